//! Links and their tokens.

use core::num::NonZeroU64;
use core::time::Duration;

use guestlist_access::Capability;
use guestlist_membership::Standing as Demand;
use guestlist_membership::link::{
    Approval, Expiry, Lasting, LinkCommand, LinkConfig, LinkDraft, TokenSubject, Uses,
};
use guestlist_membership::member::Presented;
use guestlist_membership::organization::{OrgStatus, Pause, Settings};
use guestlist_types::UserId;

use super::{Done, Host, Link, Model, Reasons, Standing, Turn, refused, unless};

pub(super) fn questions_are_wrong(questions: &[String]) -> Reasons {
    let too_long = |question: &String| question.chars().count() > 500;
    if questions.len() > 20 || questions.iter().any(too_long) {
        Reasons::from(["too-many"])
    } else {
        Reasons::new()
    }
}

impl Turn<'_> {
    /// The configuration that a draft makes of another one, and what is wrong with it.
    pub(super) fn configured(
        &self,
        draft: &LinkDraft,
        base: LinkConfig,
        settings: &Settings,
    ) -> (LinkConfig, Reasons) {
        let mut why = Reasons::new();
        let mut config = base;
        if draft.label.is_some() {
            config.label.clone_from(&draft.label);
        }
        config.approval = draft.approval.unwrap_or(config.approval);
        config.joined_by = draft.joined_by.unwrap_or(config.joined_by);
        config.preset = draft.preset.clone().unwrap_or(config.preset);
        if let Some(expiry) = draft.expiry {
            config.expires_at = match expiry {
                Expiry::Never => None,
                Expiry::At(end) => Some(end),
                Expiry::After(duration) => Some(self.at + duration),
            };
            if config.expires_at.is_some_and(|end| end <= self.at) {
                why.insert("in-the-past");
            }
            why.extend(self.lives_too_long(&config, settings));
        }
        match draft.max_uses {
            None => {}
            Some(Uses::Unlimited) => config.max_uses = None,
            Some(Uses::AtMost(0)) => {
                why.insert("zero-uses");
            }
            Some(Uses::AtMost(limit)) => config.max_uses = NonZeroU64::new(limit),
        }
        let domains = draft.allowed_domains.clone();
        config.allowed_domains = domains.unwrap_or(config.allowed_domains);
        let members = draft.allowed_members.clone();
        config.allowed_members = members.unwrap_or(config.allowed_members);
        match draft.membership_ttl {
            None => {}
            Some(Lasting::Always) => config.membership_ttl = None,
            Some(Lasting::For(Duration::ZERO)) => {
                why.insert("in-the-past");
            }
            Some(Lasting::For(ttl)) => config.membership_ttl = Some(ttl),
        }
        config.questions = draft.questions.clone().unwrap_or(config.questions);
        config.metadata = draft.metadata.clone().unwrap_or(config.metadata);
        if config.allowed_domains.len() > 1000 || config.allowed_members.len() > 1000 {
            why.insert("too-many");
        }
        why.extend(questions_are_wrong(&config.questions));
        why.extend(self.preset_is_wrong(&config.preset, config.joined_by, config.membership_ttl));
        (config, why)
    }

    fn lives_too_long(&self, config: &LinkConfig, settings: &Settings) -> Reasons {
        let longest = settings.max_link_lifetime.map(|longest| self.at + longest);
        let too_long =
            longest.is_some_and(|longest| config.expires_at.is_none_or(|end| end > longest));
        if too_long {
            Reasons::from(["lifetime-too-long"])
        } else {
            Reasons::new()
        }
    }

    /// The ceiling of what a link promises.
    fn may_promise(&self, giver: &Standing, config: &LinkConfig) -> Reasons {
        let mut why = self.may_give_to_all(giver, &config.preset, config.joined_by);
        if config.approval == Approval::Auto && !self.model.can(giver, Capability::LinksAutoApprove)
        {
            // A creator that is no member any more is as good as not there.
            why.insert("not-allowed");
            why.insert("not-found");
        }
        why
    }

    pub(super) fn link(&mut self, command: &LinkCommand) -> Done {
        self.need_member()?;
        self.existing()?;
        let (me, at, id) = (self.me(), self.at, command.link());
        if let LinkCommand::Create {
            draft,
            token,
            as_default,
            ..
        } = command
        {
            self.need(Capability::LinksCreate)?;
            let host = self.here()?;
            let default = host.default_link.and_then(|link| host.links.get(&link));
            if *as_default && default.is_some_and(|link| !link.deleted) {
                return Ok(());
            }
            let mut why = Reasons::new();
            if host.links.contains_key(&id) {
                why.insert("wrong-link-state");
            }
            let settings = host.settings.clone();
            let whole = filled_in(draft, &settings.link_defaults);
            let (mut config, wrong) = self.configured(&whole, LinkConfig::default(), &settings);
            why.extend(wrong);
            why.extend(self.lives_too_long(&config, &settings));
            if config.approval == Approval::Auto
                && !self.model.can(&me, Capability::LinksAutoApprove)
            {
                if draft.approval == Some(Approval::Auto) {
                    why.insert("not-allowed");
                }
                config.approval = Approval::Review;
            }
            why.extend(self.may_promise(&me, &config));
            why.extend(self.issued_before(token));
            unless(why)?;
            self.issue(token, TokenSubject::Link(id));
            let link = Link {
                config,
                disabled: false,
                deleted: false,
                generation: 1,
                live: vec![token.selector],
                creator: self.actor.user_id().cloned(),
                noted: false,
                last: at,
            };
            let host = self.here_mut()?;
            host.links.insert(id, link);
            if *as_default {
                host.default_link = Some(id);
                host.last = at;
            }
            return Ok(());
        }
        let found = self.here()?.links.get(&id);
        let Some(mut link) = found.filter(|link| !link.deleted).cloned() else {
            return refused("not-found");
        };
        let own = self.actor.user_id().is_some() && self.actor.user_id() == link.creator.as_ref();
        let may = self.model.can(&me, Capability::LinksManage)
            || (own && self.model.can(&me, Capability::LinksCreate));
        // Writing down what is so already needs no right.
        if !may && !matches!(command, LinkCommand::Expire { .. }) {
            return refused("not-allowed");
        }
        match command {
            LinkCommand::Create { .. } => {}
            LinkCommand::Refresh { token, overlap, .. } => {
                let mut why = self.may_promise(&me, &link.config);
                if link.disabled {
                    why.insert("wrong-link-state");
                }
                if *overlap > Duration::from_secs(86_400) {
                    why.insert("overlap-too-long");
                }
                why.extend(self.issued_before(token));
                unless(why)?;
                self.end_tokens(&link.live, at + *overlap);
                // At most eight old tokens are valid beside the new one.
                self.end_tokens(link.live.get(8..).unwrap_or_default(), at);
                self.issue(token, TokenSubject::Link(id));
                let tokens = &self.model.tokens;
                link.live.retain(|old| {
                    let end = tokens.get(old).and_then(|token| token.ends);
                    end.is_some_and(|end| end > at)
                });
                link.live.insert(0, token.selector);
                link.generation += 1;
            }
            LinkCommand::Disable { .. } => {
                if link.disabled {
                    return Ok(());
                }
                self.end_tokens(&link.live, at);
                link.live.clear();
                link.disabled = true;
            }
            LinkCommand::Enable { token, .. } => {
                if !link.disabled {
                    return Ok(());
                }
                let mut why = self.may_promise(&me, &link.config);
                why.extend(self.issued_before(token));
                unless(why)?;
                self.issue(token, TokenSubject::Link(id));
                link.live = vec![token.selector];
                link.generation += 1;
                link.disabled = false;
            }
            LinkCommand::Edit { draft, .. } => {
                let settings = self.here()?.settings.clone();
                let (config, wrong) = self.configured(draft, link.config.clone(), &settings);
                unless(wrong)?;
                if config == link.config {
                    return Ok(());
                }
                unless(self.edit_is_refused(&me, &link, &config))?;
                if config.expires_at != link.config.expires_at {
                    link.noted = false;
                }
                link.config = config;
            }
            LinkCommand::Delete { .. } => {
                self.end_tokens(&link.live, at);
                link.live.clear();
                link.deleted = true;
            }
            LinkCommand::Reveal { .. } => {
                if link.disabled {
                    return refused("wrong-link-state");
                }
            }
            LinkCommand::Expire { .. } => {
                let over = link.config.expires_at.is_some_and(|end| at >= end);
                if !over || link.noted {
                    return Ok(());
                }
                link.noted = true;
            }
        }
        link.last = at;
        self.here_mut()?.links.insert(id, link);
        Ok(())
    }

    /// "Editing somebody else's link: the lower of the two ceilings."
    fn edit_is_refused(&self, me: &Standing, link: &Link, config: &LinkConfig) -> Reasons {
        let (old, new) = (&link.config, config);
        let words = |config: &LinkConfig| LinkConfig {
            label: None,
            questions: Vec::new(),
            metadata: guestlist_membership::Metadata::EMPTY,
            ..config.clone()
        };
        let mut why = Reasons::new();
        if words(old) != words(new) {
            why.extend(self.may_promise(me, new));
        }
        let gives_otherwise = (&old.preset, old.approval, old.joined_by)
            != (&new.preset, new.approval, new.joined_by);
        if gives_otherwise && link.creator.is_some() {
            let creator = self.maker(link.creator.as_ref());
            if !creator.is_member() {
                why.insert("creator-not-standing");
            }
            why.extend(self.may_promise(&creator, new));
        }
        why
    }

    /// Whoever made a link or sent an invite of this organization, as they are now.
    pub(super) fn maker(&self, creator: Option<&UserId>) -> Standing {
        self.model.creator_in(&self.host, creator, self.at)
    }

    /// "A link keeps working when its creator leaves only under `Keep`."
    pub(super) fn stands(&self, host: &Host, creator: Option<&UserId>, right: Capability) -> bool {
        let maker = self.maker(creator);
        match host.settings.standing {
            Demand::Keep => true,
            Demand::MustBeMember => maker.is_member(),
            Demand::MustHoldRight => maker.is_member() && self.model.can(&maker, right),
        }
    }
}

/// A draft with the host's defaults where it says nothing.
fn filled_in(draft: &LinkDraft, defaults: &LinkDraft) -> LinkDraft {
    let (mut whole, draft) = (defaults.clone(), draft.clone());
    whole.label = draft.label.or(whole.label);
    whole.approval = draft.approval.or(whole.approval);
    whole.joined_by = draft.joined_by.or(whole.joined_by);
    whole.preset = draft.preset.or(whole.preset);
    whole.expiry = draft.expiry.or(whole.expiry);
    whole.max_uses = draft.max_uses.or(whole.max_uses);
    whole.allowed_domains = draft.allowed_domains.or(whole.allowed_domains);
    whole.allowed_members = draft.allowed_members.or(whole.allowed_members);
    whole.membership_ttl = draft.membership_ttl.or(whole.membership_ttl);
    whole.questions = draft.questions.or(whole.questions);
    whole.metadata = draft.metadata.or(whole.metadata);
    whole
}

impl Model {
    /// Why a token opens no link, as managers are told. No reason: it opens one.
    pub(super) fn link_problems(
        &self,
        presented: &Presented,
        at: guestlist_types::Timestamp,
    ) -> Reasons {
        let unknown = Reasons::from(["token-unknown"]);
        let Some(token) = self.tokens.get(&presented.selector) else {
            return unknown;
        };
        let link = token.subject.link();
        let (Some(host), true) = (self.hosts.get(&token.host), presented.genuine) else {
            return unknown;
        };
        let Some(link) = link.and_then(|link| host.links.get(&link)) else {
            return unknown;
        };
        let mut why = Reasons::new();
        if link.deleted {
            why.insert("link-deleted");
        }
        if link.disabled {
            why.insert("link-disabled");
        }
        if token.ends.is_some_and(|end| at >= end) {
            why.insert("token-retired");
        }
        if host.status != OrgStatus::Active {
            why.insert("host-not-active");
        }
        if link.config.expires_at.is_some_and(|end| at >= end) {
            why.insert("link-expired");
        }
        let rests = match host.pause {
            None => false,
            Some(Pause::UntilResumed) => true,
            Some(Pause::Until(end)) => at < end,
        };
        if rests {
            why.insert("links-paused");
        }
        why
    }
}
