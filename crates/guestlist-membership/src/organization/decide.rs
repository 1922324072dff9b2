//! The rules about an organization itself.

use guestlist_access::{AccessEvent, Capability, Grant};
use guestlist_types::{DisplayName, Member, OrgId, OrgName, UserId};

use super::command::OrganizationCommand;
use super::event::OrganizationEvent;
use super::state::{OrgStatus, Organization, Settings};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::CommandError;
use crate::event::Event;
use crate::link::decide::{check_preset, check_questions, kinds, lifetime};
use crate::link::{LinkConfig, Preset};
use crate::member::{Door, MemberEvent, Opening, Profile, Seat};
use crate::metadata::Metadata;
use crate::policy::{Joins, Seats};
use crate::record::Records;
use crate::standing::InOrg;

/// The organization that a command is about, if it may act: deleted ones never do again.
pub(crate) fn existing<'a>(
    records: &'a Records,
    host: &OrgId,
) -> Result<&'a Organization, CommandError> {
    let organization = records.organization(host).ok_or(CommandError::NotFound {
        what: "organization",
    })?;
    match organization.status {
        OrgStatus::Active | OrgStatus::Suspended => Ok(organization),
        OrgStatus::Deleted => Err(CommandError::OrganizationNotActive {
            status: organization.status.as_str(),
        }),
    }
}

/// The organization, if its doors are open: "a suspended or deleted host refuses every door,
/// approve and resend" (spec 2).
pub(crate) fn active<'a>(
    records: &'a Records,
    host: &OrgId,
) -> Result<&'a Organization, CommandError> {
    let organization = existing(records, host)?;
    match organization.status {
        OrgStatus::Active => Ok(organization),
        OrgStatus::Suspended | OrgStatus::Deleted => Err(CommandError::OrganizationNotActive {
            status: organization.status.as_str(),
        }),
    }
}

pub(crate) fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &OrganizationCommand,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let standing = InOrg::actor(records, actor, host, env);
    let inside = || {
        standing.need_member("organization")?;
        existing(records, host)
    };
    let need = |capability| -> Result<&Organization, CommandError> {
        let organization = inside()?;
        standing.need(capability, "organization", env)?;
        Ok(organization)
    };
    let event = match command {
        OrganizationCommand::ReserveName { name } => {
            return reserve_name(records, host, actor, name);
        }
        OrganizationCommand::Register {
            name,
            display_name,
            founder,
            founder_grant,
            settings,
        } => {
            let registration = Registration {
                name,
                display_name: display_name.as_ref(),
                founder: founder.as_ref(),
                founder_grant: founder_grant.as_deref(),
                settings,
            };
            return registration.decide(records, host, actor, env);
        }
        OrganizationCommand::Rename { name } => {
            let organization = need(Capability::SettingsManage)?;
            needs_name(records, host, name)?;
            (organization.name != *name).then(|| OrganizationEvent::Renamed { name: name.clone() })
        }
        OrganizationCommand::SetDisplayName { display_name } => {
            let organization = need(Capability::SettingsManage)?;
            (organization.display_name != *display_name).then(|| {
                OrganizationEvent::DisplayNameChanged {
                    display_name: display_name.clone(),
                }
            })
        }
        OrganizationCommand::Suspend => {
            let organization = inside()?;
            system_only(actor)?;
            (organization.status == OrgStatus::Active).then_some(OrganizationEvent::Suspended)
        }
        OrganizationCommand::Resume => {
            let organization = inside()?;
            system_only(actor)?;
            (organization.status == OrgStatus::Suspended).then_some(OrganizationEvent::Resumed)
        }
        OrganizationCommand::Delete => {
            need(Capability::SettingsManage)?;
            standing.need_rank(env.roles.owner(), env)?;
            Some(OrganizationEvent::Deleted)
        }
        OrganizationCommand::ChangeSettings { settings } => {
            let organization = need(Capability::SettingsManage)?;
            // Checks the defaults as a new link would; the ceiling is checked with each link,
            // because it is its creator who gives.
            check(settings, env)?;
            if gives_more(&organization.settings, settings) {
                let requests = &settings.requests;
                for kind in kinds(requests.joined_by) {
                    standing.may_give(&requests.preset, kind, records.book(), env)?;
                }
            }
            // Counted anew where a limit begins or counts otherwise than before.
            let counts = |seats: Option<Seats>| seats.map(|seats| seats.count_pending);
            let seats_taken = match settings.seats {
                Some(seats) if counts(organization.settings.seats) != counts(settings.seats) => {
                    let count = records
                        .seat_count(host)
                        .ok_or(CommandError::FactMissing { fact: "seat count" })?;
                    let pending = if seats.count_pending {
                        count.pending
                    } else {
                        0
                    };
                    Some(count.approved + pending)
                }
                Some(_) | None => None,
            };
            (organization.settings != **settings).then(|| OrganizationEvent::SettingsChanged {
                settings: settings.clone(),
                seats_taken,
            })
        }
        OrganizationCommand::PauseLinks { until } => {
            let organization = need(Capability::LinksManage)?;
            if !until.holds(env.now) {
                return Err(CommandError::InThePast);
            }
            (organization.pause != Some(*until))
                .then_some(OrganizationEvent::LinksPaused { until: *until })
        }
        OrganizationCommand::ResumeLinks => {
            let organization = need(Capability::LinksManage)?;
            organization
                .pause
                .is_some()
                .then_some(OrganizationEvent::LinksResumed)
        }
    };
    Ok(event.map(Event::Organization).into_iter().collect())
}

/// Settings under which no link could be made, or no request could wait, are refused.
fn check(settings: &Settings, env: &Env<'_>) -> Result<(), CommandError> {
    settings
        .link_defaults
        .over(LinkConfig::default(), settings, env)?;
    if settings.request_ttl.is_some_and(|ttl| ttl.is_zero()) {
        return Err(CommandError::InThePast);
    }
    lifetime(Some(settings.invites_last))?;
    let requests = &settings.requests;
    check_questions(&requests.questions)?;
    check_preset(&requests.preset, requests.joined_by, None, env)
}

/// What those get who ask without an invite is given by whoever says so in the settings: what it
/// is, for whom, and that nobody reviews it. A reviewer gives it on their own authority.
fn gives_more(before: &Settings, after: &Settings) -> bool {
    let unreviewed = |settings: &Settings| {
        settings.discoverable && settings.requests.open && settings.joins == Joins::AlwaysAuto
    };
    before.requests.preset != after.requests.preset
        || before.requests.joined_by != after.requests.joined_by
        || (unreviewed(after) && !unreviewed(before))
}

fn system_only(actor: &Actor) -> Result<(), CommandError> {
    if actor.is_system() {
        Ok(())
    } else {
        Err(CommandError::SystemOnly)
    }
}

/// "The name is never given to another organization again after a rename or deletion" (spec 1):
/// a name once taken stays with its organization, which may take it again.
fn reserve_name(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    name: &OrgName,
) -> Result<Vec<Event>, CommandError> {
    system_only(actor)?;
    match records.name(name) {
        Some(record) if record.organization == *host => Ok(Vec::new()),
        Some(_) => Err(CommandError::NameTaken),
        None => Ok(vec![Event::Organization(OrganizationEvent::NameReserved {
            name: name.clone(),
            organization: host.clone(),
        })]),
    }
}

fn needs_name(records: &Records, host: &OrgId, name: &OrgName) -> Result<(), CommandError> {
    match records.name(name) {
        Some(record) if record.organization == *host => Ok(()),
        Some(_) | None => Err(CommandError::NameTaken),
    }
}

struct Registration<'a> {
    name: &'a OrgName,
    display_name: Option<&'a DisplayName>,
    founder: Option<&'a UserId>,
    founder_grant: Option<&'a Grant>,
    settings: &'a Settings,
}

impl Registration<'_> {
    fn decide(
        &self,
        records: &Records,
        host: &OrgId,
        actor: &Actor,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        system_only(actor)?;
        if let Some(known) = records.organization(host) {
            return if known.name == *self.name && known.status != OrgStatus::Deleted {
                Ok(Vec::new())
            } else {
                Err(CommandError::AlreadyRegistered)
            };
        }
        needs_name(records, host, self.name)?;
        check(self.settings, env)?;
        let organization = Organization {
            id: host.clone(),
            name: self.name.clone(),
            display_name: self.display_name.cloned(),
            status: OrgStatus::Active,
            settings: self.settings.clone(),
            pause: None,
            default_link: None,
            created_at: env.now,
            updated_at: env.now,
        };
        let seat = if self.settings.seats.is_some() {
            Seat::Taken
        } else {
            Seat::Kept
        };
        let mut events = vec![Event::Organization(OrganizationEvent::Registered(
            Box::new(organization),
        ))];
        if let Some(user) = self.founder {
            let opening = Opening {
                member: Member::User(user.clone()),
                door: Door::Founded,
                profile: Profile::default(),
                gift: Preset {
                    role: Some(env.roles.owner().clone()),
                    ..Preset::default()
                },
                expires_at: None,
                ttl: None,
                answers: Vec::new(),
                message: None,
                metadata: Metadata::EMPTY,
                link_use: None,
                seat,
            };
            events.push(Event::Member(MemberEvent::Joined {
                opening: Box::new(opening),
                proxy: None,
            }));
            events.push(Event::Organization(OrganizationEvent::OwnerAdded {
                user: user.clone(),
            }));
            // Access is by grants only, so somebody has to hold the first one.
            if let Some(grant) = self.founder_grant {
                events.push(Event::Access(AccessEvent::GrantMade(grant.clone())));
            }
        }
        Ok(events)
    }
}
