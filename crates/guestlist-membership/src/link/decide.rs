//! The rules about links.

use core::num::NonZeroU64;
use core::time::Duration;

use guestlist_access::Capability;
use guestlist_types::{
    DisplayName, Label, LinkId, MemberKind, OrgId, OrgName, RoleName, Timestamp,
};

use super::command::{LinkCommand, NewToken};
use super::event::{LinkEvent, TokenEnd};
use super::state::{
    Approval, Expiry, Generation, JoinedBy, Lasting, Link, LinkConfig, LinkDraft, LinkStatus,
    Preset, TokenRecord, Uses,
};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::{CommandError, TokenProblem};
use crate::event::Event;
use crate::member::Presented;
use crate::organization::decide::existing;
use crate::organization::{OrgStatus, Organization, Settings};
use crate::policy::Standing;
use crate::record::Records;
use crate::standing::{InOrg, not_before};

/// The longest time that an old token may stay valid after a refresh.
pub const MAX_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// How many old tokens of one link may be valid beside the active one.
const MAX_OVERLAPPING: usize = 8;

const MAX_QUESTIONS: usize = 20;
const MAX_QUESTION_CHARS: usize = 500;
const MAX_GIFTS: usize = 100;
const MAX_ALLOWED: usize = 1000;

impl LinkDraft {
    /// The configuration that this draft makes of `base`, checked.
    pub(crate) fn over(
        &self,
        base: LinkConfig,
        settings: &Settings,
        env: &Env<'_>,
    ) -> Result<LinkConfig, CommandError> {
        let mut config = base;
        if let Some(label) = &self.label {
            config.label = Some(label.clone());
        }
        if let Some(approval) = self.approval {
            config.approval = approval;
        }
        if let Some(joined_by) = self.joined_by {
            config.joined_by = joined_by;
        }
        if let Some(preset) = &self.preset {
            config.preset = preset.clone();
        }
        if let Some(expiry) = self.expiry {
            config.expires_at = match expiry {
                Expiry::Never => None,
                Expiry::At(end) => Some(end),
                Expiry::After(duration) => Some(env.now + duration),
            };
            if !env.now.is_before_end(config.expires_at) {
                return Err(CommandError::InThePast);
            }
            within_lifetime(&config, settings, env)?;
        }
        if let Some(uses) = self.max_uses {
            config.max_uses = match uses {
                Uses::Unlimited => None,
                Uses::AtMost(limit) => Some(NonZeroU64::new(limit).ok_or(CommandError::ZeroUses)?),
            };
        }
        if let Some(domains) = &self.allowed_domains {
            config.allowed_domains.clone_from(domains);
        }
        if let Some(members) = &self.allowed_members {
            config.allowed_members.clone_from(members);
        }
        if self.membership_ttl.is_some() {
            config.membership_ttl = lifetime(self.membership_ttl)?;
        }
        if let Some(questions) = &self.questions {
            config.questions.clone_from(questions);
        }
        if let Some(metadata) = &self.metadata {
            config.metadata = metadata.clone();
        }
        check(&config, env)?;
        Ok(config)
    }

    /// This draft, with what it leaves out taken from the host's defaults.
    fn or(self, defaults: Self) -> Self {
        Self {
            label: self.label.or(defaults.label),
            approval: self.approval.or(defaults.approval),
            joined_by: self.joined_by.or(defaults.joined_by),
            preset: self.preset.or(defaults.preset),
            expiry: self.expiry.or(defaults.expiry),
            max_uses: self.max_uses.or(defaults.max_uses),
            allowed_domains: self.allowed_domains.or(defaults.allowed_domains),
            allowed_members: self.allowed_members.or(defaults.allowed_members),
            membership_ttl: self.membership_ttl.or(defaults.membership_ttl),
            questions: self.questions.or(defaults.questions),
            metadata: self.metadata.or(defaults.metadata),
        }
    }
}

/// "Lifetime above the policy cap is refused": of a new link, and where an end is asked for.
fn within_lifetime(
    config: &LinkConfig,
    settings: &Settings,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    let Some(longest) = settings.max_link_lifetime else {
        return Ok(());
    };
    match config.expires_at {
        Some(end) if end <= env.now + longest => Ok(()),
        Some(_) | None => Err(CommandError::LifetimeTooLong {
            seconds: longest.as_secs(),
        }),
    }
}

const fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), CommandError> {
    if count > max {
        Err(CommandError::TooMany { what, max })
    } else {
        Ok(())
    }
}

/// The same check for a new link and for an edited one.
fn check(config: &LinkConfig, env: &Env<'_>) -> Result<(), CommandError> {
    check_questions(&config.questions)?;
    at_most("allowed domains", config.allowed_domains.len(), MAX_ALLOWED)?;
    at_most("allowed members", config.allowed_members.len(), MAX_ALLOWED)?;
    check_preset(&config.preset, config.joined_by, config.membership_ttl, env)
}

/// The same check for the questions of a link and of a host.
pub(crate) fn check_questions(questions: &[String]) -> Result<(), CommandError> {
    at_most("questions", questions.len(), MAX_QUESTIONS)?;
    questions.iter().try_for_each(|question| {
        let count = question.chars().count();
        at_most("characters in a question", count, MAX_QUESTION_CHARS)
    })
}

/// The same check for what a link, an e-mail invite and a host give.
pub(crate) fn check_preset(
    preset: &Preset,
    joined_by: JoinedBy,
    membership_ttl: Option<Duration>,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    check_size(preset)?;
    if let Some(role) = role_for_users(preset, joined_by, env) {
        if !env.roles.contains(role) {
            return Err(CommandError::UnknownRole);
        }
        if env.roles.is_owner(role) && membership_ttl.is_some() {
            return Err(CommandError::OwnerCanNotExpire);
        }
    }
    Ok(())
}

/// The same check for whatever is given, by any door.
pub(crate) fn check_size(gift: &Preset) -> Result<(), CommandError> {
    at_most("groups in a preset", gift.groups.len(), MAX_GIFTS)?;
    at_most("grants in a preset", gift.grants.len(), MAX_GIFTS)
}

/// The role that joining users get: the lowest one where the preset names none.
fn role_for_users<'a>(
    preset: &'a Preset,
    joined_by: JoinedBy,
    env: &Env<'a>,
) -> Option<&'a RoleName> {
    let lowest = || {
        joined_by
            .admits(MemberKind::User)
            .then(|| env.roles.default_role())
    };
    preset.role.as_ref().or_else(lowest)
}

/// How long memberships last, as it is kept.
pub(crate) fn lifetime(lasting: Option<Lasting>) -> Result<Option<Duration>, CommandError> {
    match lasting {
        None | Some(Lasting::Always) => Ok(None),
        Some(Lasting::For(ttl)) if ttl.is_zero() => Err(CommandError::InThePast),
        Some(Lasting::For(ttl)) => Ok(Some(ttl)),
    }
}

/// The kinds of members that something is for.
pub(crate) fn kinds(joined_by: JoinedBy) -> impl Iterator<Item = MemberKind> {
    [MemberKind::Org, MemberKind::User]
        .into_iter()
        .filter(move |kind| joined_by.admits(*kind))
}

pub(crate) fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &LinkCommand,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let standing = InOrg::actor(records, actor, host, env);
    // Outsiders get one answer for every link, of unknown and deleted organizations too.
    standing.need_member("link")?;
    let organization = existing(records, host)?;
    let found = || {
        records
            .link(host, command.link())
            .filter(|link| link.deleted_at.is_none())
            .ok_or(CommandError::NotFound { what: "link" })
    };
    let managed = || -> Result<(&Link, LinkStatus), CommandError> {
        let link = found()?;
        may_manage(&standing, link, actor, env)?;
        Ok((link, link.status))
    };
    let event = match command {
        LinkCommand::Create {
            link,
            draft,
            token,
            as_default,
        } => {
            let create = Create {
                id: *link,
                draft,
                token,
                as_default: *as_default,
            };
            return create.decide(records, organization, &standing, actor, env);
        }
        LinkCommand::Refresh { token, overlap, .. } => {
            let (link, _) = managed()?;
            Some(refresh(records, link, &standing, token, *overlap, env)?)
        }
        LinkCommand::Disable { .. } => match managed()? {
            (_, LinkStatus::Disabled) => None,
            (link, LinkStatus::Active) => Some(LinkEvent::Disabled {
                link: link.id,
                ended: ends(records, link, env.now),
            }),
        },
        LinkCommand::Enable { token, .. } => match managed()? {
            (_, LinkStatus::Active) => None,
            (link, LinkStatus::Disabled) => {
                // A new token is a new promise of the same gift.
                may_give(&standing, &link.config, records, env)?;
                never_issued(records, token)?;
                Some(LinkEvent::Enabled {
                    link: link.id,
                    generation: link.generation.next(),
                    selector: token.selector,
                })
            }
        },
        LinkCommand::Edit { draft, .. } => {
            let (link, _) = managed()?;
            edit(records, organization, link, &standing, draft, env)?
        }
        LinkCommand::Delete { .. } => {
            let (link, _) = managed()?;
            Some(LinkEvent::Deleted {
                link: link.id,
                ended: ends(records, link, env.now),
            })
        }
        LinkCommand::Reveal { .. } => match managed()? {
            // "The current token of an active link; retired tokens can't be revealed" (spec 3).
            (link, LinkStatus::Active) => Some(LinkEvent::Revealed {
                link: link.id,
                generation: link.generation,
            }),
            (_, status @ LinkStatus::Disabled) => {
                return Err(CommandError::WrongLinkState {
                    status: status.as_str(),
                });
            }
        },
        // Writing down what is so already needs no right.
        LinkCommand::Expire { .. } => {
            let link = found()?;
            let over = !env.now.is_before_end(link.config.expires_at);
            (over && link.expired_at.is_none()).then_some(LinkEvent::Expired { link: link.id })
        }
    };
    Ok(event.map(Event::Link).into_iter().collect())
}

struct Create<'a> {
    id: LinkId,
    draft: &'a LinkDraft,
    token: &'a NewToken,
    as_default: bool,
}

impl Create<'_> {
    fn decide(
        &self,
        records: &Records,
        organization: &Organization,
        standing: &InOrg,
        actor: &Actor,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let host = &organization.id;
        standing.need(Capability::LinksCreate, "link", env)?;
        if self.as_default
            && let Some(id) = organization.default_link
            && records
                .link(host, id)
                .is_some_and(|link| link.deleted_at.is_none())
        {
            // `default_link`: made on first use, the same link afterwards (spec 3).
            return Ok(Vec::new());
        }
        if records.link(host, self.id).is_some() {
            return Err(CommandError::WrongLinkState {
                status: "there already",
            });
        }
        let config = new_config(organization, standing, self.draft, env)?;
        may_give(standing, &config, records, env)?;
        never_issued(records, self.token)?;
        let created = Link {
            id: self.id,
            host: host.clone(),
            config,
            status: LinkStatus::Active,
            generation: Generation::FIRST,
            token: Some(self.token.selector),
            overlapping: Vec::new(),
            creator: actor.user_id().cloned(),
            created_at: env.now,
            updated_at: env.now,
            deleted_at: None,
            expired_at: None,
        };
        let mut events = vec![Event::Link(LinkEvent::Created(Box::new(created)))];
        if self.as_default {
            events.push(Event::Link(LinkEvent::MadeDefault { link: self.id }));
        }
        Ok(events)
    }
}

/// No selector is ever issued twice: the row of an earlier token is never written over.
pub(crate) fn never_issued(records: &Records, token: &NewToken) -> Result<(), CommandError> {
    match records.token(token.selector) {
        Some(_) => Err(CommandError::SelectorTaken),
        None => Ok(()),
    }
}

/// Who may manage links manages all of them; who may create links manages their own.
fn may_manage(
    standing: &InOrg,
    link: &Link,
    actor: &Actor,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    let own = actor.user_id().is_some() && actor.user_id() == link.creator.as_ref();
    if own && standing.can(Capability::LinksCreate, env) {
        return Ok(());
    }
    standing.need(Capability::LinksManage, "link", env)
}

fn new_config(
    organization: &Organization,
    standing: &InOrg,
    draft: &LinkDraft,
    env: &Env<'_>,
) -> Result<LinkConfig, CommandError> {
    let settings = &organization.settings;
    let mut config = draft.clone().or(settings.link_defaults.clone()).over(
        LinkConfig::default(),
        settings,
        env,
    )?;
    within_lifetime(&config, settings, env)?;
    // "A link made by somebody who may not approve never approves by itself" (spec 6): asked for,
    // it is refused; as the host's default it becomes a link that needs review.
    if config.approval == Approval::Auto && !standing.can(Capability::LinksAutoApprove, env) {
        if draft.approval == Some(Approval::Auto) {
            standing.need(Capability::LinksAutoApprove, "link", env)?;
        }
        config.approval = Approval::Review;
    }
    Ok(config)
}

/// The ceiling of what a link promises, for every kind of member that it is for.
fn may_give(
    standing: &InOrg,
    config: &LinkConfig,
    records: &Records,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    if config.approval == Approval::Auto {
        standing.need(Capability::LinksAutoApprove, "link", env)?;
    }
    for kind in kinds(config.joined_by) {
        standing.may_give(&config.preset, kind, records.book(), env)?;
    }
    Ok(())
}

/// The tokens of a link that end no later than `at`: ends are only ever moved earlier.
fn ends(records: &Records, link: &Link, at: Timestamp) -> Vec<TokenEnd> {
    link.token
        .iter()
        .chain(&link.overlapping)
        .map(|selector| {
            let until = records.token(*selector).and_then(|token| token.valid_until);
            TokenEnd {
                selector: *selector,
                at: until.map_or(at, |until| until.min(at)),
            }
        })
        .collect()
}

/// "Refresh: new token, same link, same configuration and counters; the old token is dead in the
/// same commit. Optionally an overlap of at most 24 hours, which later calls can only shorten"
/// (spec 3).
fn refresh(
    records: &Records,
    link: &Link,
    standing: &InOrg,
    token: &NewToken,
    overlap: Duration,
    env: &Env<'_>,
) -> Result<LinkEvent, CommandError> {
    match link.status {
        LinkStatus::Active => {}
        LinkStatus::Disabled => {
            return Err(CommandError::WrongLinkState {
                status: link.status.as_str(),
            });
        }
    }
    if overlap > MAX_OVERLAP {
        return Err(CommandError::OverlapTooLong);
    }
    may_give(standing, &link.config, records, env)?;
    never_issued(records, token)?;
    let mut ended = ends(records, link, env.now + overlap);
    for end in ended.iter_mut().skip(MAX_OVERLAPPING) {
        end.at = end.at.min(env.now);
    }
    Ok(LinkEvent::Refreshed {
        link: link.id,
        generation: link.generation.next(),
        selector: token.selector,
        ended,
    })
}

fn edit(
    records: &Records,
    organization: &Organization,
    link: &Link,
    standing: &InOrg,
    draft: &LinkDraft,
    env: &Env<'_>,
) -> Result<Option<LinkEvent>, CommandError> {
    let config = draft.over(link.config.clone(), &organization.settings, env)?;
    if config == link.config {
        return Ok(None);
    }
    // An edit is a gift, also one that only lets the same gift go on or reach others.
    let only_words = LinkConfig {
        label: link.config.label.clone(),
        questions: link.config.questions.clone(),
        metadata: link.config.metadata.clone(),
        ..config.clone()
    } == link.config;
    if !only_words {
        may_give(standing, &config, records, env)?;
    }
    // "Editing somebody else's link: the lower of the two ceilings" (spec 6).
    let gives_otherwise = config.preset != link.config.preset
        || config.approval != link.config.approval
        || config.joined_by != link.config.joined_by;
    if gives_otherwise && let Some(creator) = creator(records, link, env) {
        if !creator.is_member() {
            return Err(CommandError::CreatorNotStanding { link: link.id });
        }
        may_give(&creator, &config, records, env)?;
    }
    // A limit where there was none: what was not counted so far is counted now.
    let uses = match (link.config.max_uses, config.max_uses) {
        (None, Some(_)) => Some(
            records
                .use_count(&link.host, link.id)
                .ok_or(CommandError::FactMissing { fact: "use count" })?,
        ),
        (Some(_), Some(_)) | (_, None) => None,
    };
    Ok(Some(LinkEvent::Edited {
        link: link.id,
        config: Box::new(config),
        uses,
    }))
}

/// A token that opens its link now, with what it opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    pub(crate) token: &'a TokenRecord,
    pub(crate) link: &'a Link,
    pub(crate) host: &'a Organization,
}

/// What a genuine token was made for, whatever has become of it since.
fn of_token<'a>(records: &'a Records, presented: &Presented) -> Option<Opened<'a>> {
    let token = records
        .token(presented.selector)
        .filter(|_| presented.genuine)?;
    let link = records.link(&token.host, token.subject.link()?)?;
    let host = records.organization(&token.host)?;
    Some(Opened { token, link, host })
}

/// What a presented token opens. The one place that says which tokens are dead: never issued or
/// not genuine, retired by a refresh or by disabling, and those of a link or host that rests.
pub(crate) fn open<'a>(
    records: &'a Records,
    presented: &Presented,
    env: &Env<'_>,
) -> Result<Opened<'a>, TokenProblem> {
    let opened = of_token(records, presented).ok_or(TokenProblem::Unknown)?;
    let Opened { token, link, host } = opened;
    if link.deleted_at.is_some() {
        return Err(TokenProblem::Deleted);
    }
    match link.status {
        LinkStatus::Active => {}
        LinkStatus::Disabled => return Err(TokenProblem::Disabled),
    }
    if !env.now.is_before_end(token.valid_until) {
        return Err(TokenProblem::Retired);
    }
    match host.status {
        OrgStatus::Active => {}
        OrgStatus::Suspended | OrgStatus::Deleted => return Err(TokenProblem::HostNotActive),
    }
    if !env.now.is_before_end(link.config.expires_at) {
        return Err(TokenProblem::Expired);
    }
    if host.pause.is_some_and(|pause| pause.holds(env.now)) {
        return Err(TokenProblem::Paused);
    }
    Ok(opened)
}

/// Why a token opens nothing, for managers; `None` if it does.
#[must_use]
pub fn problem(records: &Records, presented: &Presented, env: &Env<'_>) -> Option<TokenProblem> {
    let Opened { link, host, .. } = match open(records, presented, env) {
        Ok(opened) => opened,
        Err(problem) => return Some(problem),
    };
    let uses = records.link_tally(&host.id, link.id);
    if !link_stands(records, link, host, env) {
        Some(TokenProblem::CreatorNotStanding)
    } else if link.condition(uses, host, env.now) == LinkCondition::Exhausted {
        Some(TokenProblem::Exhausted)
    } else {
        None
    }
}

/// What the creator of a link is in its host now; `None` for links of the host application.
pub(crate) fn creator(records: &Records, link: &Link, env: &Env<'_>) -> Option<InOrg> {
    link.creator
        .as_ref()
        .map(|user| InOrg::user(records, user, &link.host, env.creator, env))
}

/// "A link keeps working when its creator leaves only under `Keep`" (spec 3). The same for who
/// sent an e-mail invite; the right is the one that it was made with.
pub(crate) fn creator_stands(
    creator: Option<&InOrg>,
    right: Capability,
    settings: &Settings,
    env: &Env<'_>,
) -> bool {
    let Some(creator) = creator else { return true };
    match settings.standing {
        Standing::Keep => true,
        Standing::MustBeMember => creator.is_member(),
        Standing::MustHoldRight => creator.is_member() && creator.can(right, env),
    }
}

/// Whether the creator of a link still stands for it, as the host wants that.
pub(crate) fn link_stands(
    records: &Records,
    link: &Link,
    host: &Organization,
    env: &Env<'_>,
) -> bool {
    let creator = creator(records, link, env);
    creator_stands(
        creator.as_ref(),
        Capability::LinksCreate,
        &host.settings,
        env,
    )
}

/// Whether a link takes claims now: its status with what the clock and the counters add.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new condition must be shown everywhere"
)]
pub enum LinkCondition {
    /// It takes claims.
    Open,
    /// It is disabled.
    Disabled,
    /// It has expired.
    Expired,
    /// Its last use is taken.
    Exhausted,
    /// All links of its host rest.
    Paused,
}

impl Link {
    /// Whether this link takes claims now, given how many uses it has had (as far as they are
    /// counted) and its host.
    #[must_use]
    pub fn condition(
        &self,
        uses: Option<u64>,
        host: &Organization,
        now: Timestamp,
    ) -> LinkCondition {
        let exhausted = self
            .config
            .max_uses
            .is_some_and(|limit| uses.is_some_and(|uses| uses >= limit.get()));
        match self.status {
            LinkStatus::Disabled => LinkCondition::Disabled,
            LinkStatus::Active if !now.is_before_end(self.config.expires_at) => {
                LinkCondition::Expired
            }
            LinkStatus::Active if exhausted => LinkCondition::Exhausted,
            LinkStatus::Active if host.pause.is_some_and(|pause| pause.holds(now)) => {
                LinkCondition::Paused
            }
            LinkStatus::Active => LinkCondition::Open,
        }
    }
}

/// What anybody who holds a token may see before signing in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkPreview {
    /// The host's handle.
    pub host_name: OrgName,
    /// What people are shown for the host.
    pub host_display_name: Option<DisplayName>,
    /// The link's label.
    pub label: Option<Label>,
    /// The role that joining users get.
    pub role: Option<RoleName>,
    /// Whether a claim will wait for review.
    pub needs_review: bool,
    /// What the joining side will be asked.
    pub questions: Vec<String>,
    /// When the link stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it takes claims now.
    pub condition: LinkCondition,
}

/// Shows what a token opens. Changes nothing and uses nothing up: every scanner opens every link.
///
/// A token that is dead shows nothing; a genuine and current one also shows that its link has
/// expired or is exhausted, or that all links of the host rest.
///
/// # Errors
///
/// [`CommandError::InvalidToken`], the same for every reason.
pub fn preview(
    records: &Records,
    presented: &Presented,
    env: &Env<'_>,
) -> Result<LinkPreview, CommandError> {
    let env = &not_before(env, records);
    let hidden = |problem| CommandError::from(crate::error::TokenRefusal::hidden(problem));
    let Opened { link, host, .. } =
        of_token(records, presented).ok_or_else(|| hidden(TokenProblem::Unknown))?;
    match open(records, presented, env) {
        Ok(_) | Err(TokenProblem::Expired | TokenProblem::Paused) => {}
        Err(problem) => return Err(hidden(problem)),
    }
    // Whatever else it rests for.
    if !link_stands(records, link, host, env) {
        return Err(hidden(TokenProblem::CreatorNotStanding));
    }
    let creator = creator(records, link, env);
    Ok(LinkPreview {
        host_name: host.name.clone(),
        host_display_name: host.display_name.clone(),
        label: link.config.label.clone(),
        role: role_for_users(&link.config.preset, link.config.joined_by, env).cloned(),
        needs_review: !crate::member::decide::link_wants_auto(host, link, creator.as_ref(), env),
        questions: link.config.questions.clone(),
        expires_at: link.config.expires_at,
        condition: link.condition(records.link_tally(&host.id, link.id), host, env.now),
    })
}
