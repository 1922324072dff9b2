//! Organizations, their settings and their webhook endpoints.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::{Capability, Sharing};
use guestlist_membership::Joins;
use guestlist_membership::link::{Lasting, LinkConfig, Preset};
use guestlist_membership::member::Door;
use guestlist_membership::organization::{OrgStatus, OrganizationCommand, Pause, Settings};
use guestlist_membership::webhook::{DisabledFor, EndpointStatus, WebhookCommand};
use guestlist_types::{EndpointUrl, Member, OrgName};

use super::{
    Done, Endpoint, Episode, Grant, Host, Reasons, Relation, State, Turn, refused, unless,
};

impl Turn<'_> {
    pub(super) fn organization(&mut self, command: &OrganizationCommand) -> Done {
        match command {
            OrganizationCommand::ReserveName { name } => {
                let mut why = self.system_only();
                let taken = self.model.names.get(name);
                if taken.is_some_and(|holder| *holder != self.host) {
                    why.insert("name-taken");
                }
                unless(why)?;
                self.model.names.insert(name.clone(), self.host.clone());
                return Ok(());
            }
            OrganizationCommand::Register { .. } => return self.register(command),
            OrganizationCommand::Rename { .. }
            | OrganizationCommand::SetDisplayName { .. }
            | OrganizationCommand::Suspend
            | OrganizationCommand::Resume
            | OrganizationCommand::Delete
            | OrganizationCommand::ChangeSettings { .. }
            | OrganizationCommand::PauseLinks { .. }
            | OrganizationCommand::ResumeLinks => {}
        }
        self.need_member()?;
        self.existing()?;
        let at = self.at;
        let before = self.here()?.clone();
        let mut after = before.clone();
        match command {
            OrganizationCommand::ReserveName { .. } | OrganizationCommand::Register { .. } => {}
            OrganizationCommand::Rename { name } => {
                self.need(Capability::SettingsManage)?;
                unless(self.name_is_not_held(name))?;
                after.name = name.clone();
            }
            // What people are shown is no rule's business.
            OrganizationCommand::SetDisplayName { .. } => {
                self.need(Capability::SettingsManage)?;
                after.last = after.last.max(at);
            }
            OrganizationCommand::Suspend => {
                unless(self.system_only())?;
                after.status = OrgStatus::Suspended;
            }
            OrganizationCommand::Resume => {
                unless(self.system_only())?;
                after.status = OrgStatus::Active;
            }
            OrganizationCommand::Delete => {
                self.need(Capability::SettingsManage)?;
                unless(self.model.above_own(&self.me(), self.model.roles.owner()))?;
                after.status = OrgStatus::Deleted;
            }
            OrganizationCommand::ChangeSettings { settings } => {
                self.need(Capability::SettingsManage)?;
                let mut why = self.settings_are_wrong(settings);
                // Whoever says what those get who ask, and that nobody reviews it, gives it.
                let unreviewed = |settings: &Settings| {
                    settings.discoverable
                        && settings.requests.open
                        && settings.joins == Joins::AlwaysAuto
                };
                let (old, new) = (&before.settings, &**settings);
                if old.requests.preset != new.requests.preset
                    || old.requests.joined_by != new.requests.joined_by
                    || (unreviewed(new) && !unreviewed(old))
                {
                    let requests = &new.requests;
                    let me = self.me();
                    why.extend(self.may_give_to_all(&me, &requests.preset, requests.joined_by));
                }
                unless(why)?;
                after.settings = (**settings).clone();
            }
            OrganizationCommand::PauseLinks { until } => {
                self.need(Capability::LinksManage)?;
                if matches!(until, Pause::Until(end) if *end <= at) {
                    return refused("in-the-past");
                }
                after.pause = Some(*until);
            }
            OrganizationCommand::ResumeLinks => {
                self.need(Capability::LinksManage)?;
                after.pause = None;
            }
        }
        let changed = after.name != before.name
            || after.status != before.status
            || after.settings != before.settings
            || after.pause != before.pause;
        if changed {
            after.last = at;
        } else {
            after.last = before.last;
        }
        *self.here_mut()? = after;
        Ok(())
    }

    fn system_only(&self) -> Reasons {
        if self.actor.is_system() {
            Reasons::new()
        } else {
            Reasons::from(["system-only"])
        }
    }

    /// A name is reserved before it is borne.
    fn name_is_not_held(&self, name: &OrgName) -> Reasons {
        if self.model.names.get(name) == Some(&self.host) {
            Reasons::new()
        } else {
            Reasons::from(["name-taken"])
        }
    }

    fn settings_are_wrong(&self, settings: &Settings) -> Reasons {
        let (_, mut why) =
            self.configured(&settings.link_defaults, LinkConfig::default(), settings);
        let requests = &settings.requests;
        if settings.request_ttl == Some(Duration::ZERO)
            || settings.invites_last == Lasting::For(Duration::ZERO)
        {
            why.insert("in-the-past");
        }
        why.extend(super::links::questions_are_wrong(&requests.questions));
        why.extend(self.preset_is_wrong(&requests.preset, requests.joined_by, None));
        why
    }

    fn register(&mut self, command: &OrganizationCommand) -> Done {
        let OrganizationCommand::Register {
            name,
            founder,
            founder_grant,
            settings,
            ..
        } = command
        else {
            return Ok(());
        };
        let mut why = self.system_only();
        if let Some(known) = self.model.hosts.get(&self.host) {
            if known.name == *name && known.status != OrgStatus::Deleted {
                return unless(why);
            }
            why.insert("already-registered");
            return Err(why);
        }
        why.extend(self.name_is_not_held(name));
        why.extend(self.settings_are_wrong(settings));
        unless(why)?;
        let mut host = Host {
            name: name.clone(),
            status: OrgStatus::Active,
            settings: (**settings).clone(),
            pause: None,
            default_link: None,
            links: BTreeMap::new(),
            invites: BTreeMap::new(),
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            inside: BTreeSet::new(),
            grants: BTreeMap::new(),
            external: None,
            sharing: Sharing::WithinOwn,
            acting: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            last: self.at,
        };
        if let Some(user) = founder {
            let founded = Episode {
                door: Door::Founded,
                state: State::In,
                was_in: true,
                since: 1,
                until: None,
                ttl: None,
                gift: Preset {
                    role: Some(self.model.roles.owner().clone()),
                    ..Preset::default()
                },
                email: None,
            };
            let relation = Relation {
                episodes: vec![founded],
                last: self.at,
                ..Relation::default()
            };
            host.people.insert(Member::User(user.clone()), relation);
            if let Some(grant) = founder_grant {
                let given = Grant {
                    giver: grant.giver.clone(),
                    until: grant.expires_at,
                    subject: grant.subject.clone(),
                    actions: grant.actions,
                    pattern: grant.pattern.clone(),
                };
                host.grants.insert(grant.id, given);
            }
        }
        self.model.hosts.insert(self.host.clone(), host);
        Ok(())
    }

    pub(super) fn webhook(&mut self, command: &WebhookCommand) -> Done {
        self.need(Capability::SettingsManage)?;
        self.existing()?;
        let (at, id) = (self.at, command.endpoint());
        if let WebhookCommand::Create {
            url,
            label,
            events,
            secret,
            ..
        } = command
        {
            let mut why = self.endpoint_is_wrong(url, events);
            if self.here()?.endpoints.contains_key(&id) {
                why.insert("already-registered");
            }
            unless(why)?;
            let endpoint = Endpoint {
                url: url.clone(),
                label: label.clone(),
                events: events.clone(),
                secret: *secret,
                status: EndpointStatus::Enabled,
                deleted: false,
                last: at,
            };
            self.here_mut()?.endpoints.insert(id, endpoint);
            return Ok(());
        }
        let found = self.here()?.endpoints.get(&id);
        let Some(mut endpoint) = found.filter(|endpoint| !endpoint.deleted).cloned() else {
            return refused("not-found");
        };
        let before = (endpoint.clone().into_facts(), endpoint.last);
        match command {
            WebhookCommand::Create { .. } => {}
            WebhookCommand::Edit {
                url, label, events, ..
            } => {
                unless(self.endpoint_is_wrong(url, events))?;
                endpoint.url = url.clone();
                endpoint.label.clone_from(label);
                endpoint.events.clone_from(events);
            }
            WebhookCommand::Rotate {
                secret, overlap, ..
            } => {
                if *overlap > Duration::from_secs(7 * 86_400) {
                    return refused("overlap-too-long");
                }
                endpoint.secret = *secret;
            }
            WebhookCommand::Enable { .. } => endpoint.status = EndpointStatus::Enabled,
            WebhookCommand::Disable { reason, .. } => {
                // Somebody's wish outlasts what the endpoint says of itself.
                if endpoint.status != EndpointStatus::Disabled(DisabledFor::Asked) {
                    endpoint.status = EndpointStatus::Disabled(*reason);
                }
            }
            WebhookCommand::Delete { .. } => endpoint.deleted = true,
        }
        if endpoint.clone().into_facts() != before.0 {
            endpoint.last = at;
        }
        self.here_mut()?.endpoints.insert(id, endpoint);
        Ok(())
    }

    fn endpoint_is_wrong(&self, url: &EndpointUrl, events: &BTreeSet<String>) -> Reasons {
        let mut why = Reasons::new();
        if !url.is_https() && !self.actor.is_system() {
            why.insert("endpoint-not-encrypted");
        }
        if events.len() > 100 || events.iter().any(|name| name.len() > 64) {
            why.insert("too-many");
        }
        why
    }
}

impl Endpoint {
    fn into_facts(self) -> impl PartialEq {
        (
            self.url,
            self.label,
            self.events,
            self.secret,
            self.status,
            self.deleted,
        )
    }
}
