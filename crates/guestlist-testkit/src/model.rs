//! A naive model of the whole system, to hold a real one against.
//!
//! It is written from what guestlist promises, with plain maps and sets, and shares no rule with
//! the code that it is compared with: statuses, uses, seats and rules about coming back are read
//! off a list of episodes each time, groups are walked until nothing is new, and every decision
//! looks at every grant. It is slow and obvious.
//!
//! A [`Model`] [follows](Model::follow) a system: it is told what was asked and what was answered,
//! and says where it would have answered otherwise. Where several rules refuse, no rule is
//! promised to speak first: the model names [all reasons](Answer::Refused), and the system has to
//! give one of them. After each command the [`View`] of the model and the one of the
//! [stored rows](View::of_records) have to be equal.
//!
//! Time comes from outside, as [`Asked::at`]: the time that the command was recorded with. The
//! model holds it to what is promised: never before the clock, never before what the thing
//! concerned holds already, and never later than the latest of both.
//!
//! ```
//! use guestlist_testkit::model::{Answer, Asked, Model, Told};
//! use guestlist_membership::organization::{OrganizationCommand, Settings};
//! use guestlist_membership::{Actor, Command};
//! use guestlist_types::{OrgId, OrgName, Timestamp};
//!
//! let mut model = Model::new(guestlist_access::RoleCatalog::owner_admin_member());
//! let (host, name) = (OrgId::parse("org-1").unwrap(), OrgName::parse("widgets").unwrap());
//! let register = Command::Organization(OrganizationCommand::Register {
//!     name: name.clone(),
//!     display_name: None,
//!     founder: None,
//!     founder_grant: None,
//!     settings: Box::new(Settings::default()),
//! });
//! let now = Timestamp::from_micros(0);
//! let actor = Actor::system();
//! let asked = Asked { host: &host, actor: &actor, command: &register, now, at: now };
//! // A name has to be reserved first.
//! assert!(matches!(model.answer(&asked), Answer::Refused(why) if why.contains("name-taken")));
//!
//! let reserve = Command::Organization(OrganizationCommand::ReserveName { name });
//! model.follow(&Asked { command: &reserve, ..asked }, &Told::done()).unwrap();
//! assert!(matches!(model.answer(&asked), Answer::Accepted { .. }));
//! let difference = model.follow(&asked, &Told::Refused("seats-full")).unwrap_err();
//! assert!(difference.to_string().contains("seats-full"));
//! ```

mod invites;
mod keys;
mod links;
mod members;
mod organizations;
mod view;

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::{
    ActionSet, Capability, Episode as EpisodeNumber, Giver, GroupMember, Pattern, PresetGrant,
    RoleCatalog, Sharing, Subject,
};
use guestlist_membership::invite::{Closing, Delivery};
use guestlist_membership::link::{JoinedBy, LinkConfig, NewToken, Preset, TokenSubject};
use guestlist_membership::member::{ActingRule, Cause, Door};
use guestlist_membership::organization::{OrgStatus, OrganizationCommand, Pause, Settings};
use guestlist_membership::webhook::{EndpointStatus, SecretVersion};
use guestlist_membership::{Actor, Command, CommandError, Decided, Stated};
use guestlist_token::Selector;
use guestlist_types::{
    EmailAddress, EndpointId, EndpointUrl, GrantId, GroupId, GroupName, InviteId, Label, LinkId,
    Member, MemberKind, OrgId, OrgName, ProxyUserId, RoleName, Timestamp, UserId,
};

pub use view::{Difference, View};

/// The codes of reasons to refuse something.
pub type Reasons = BTreeSet<&'static str>;

/// A command as it was put to a system.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The organization that it was put to. A token says itself which one it is of.
    pub host: &'a OrgId,
    /// Who asked.
    pub actor: &'a Actor,
    /// What was asked.
    pub command: &'a Command,
    /// What the clock said.
    pub now: Timestamp,
    /// The time that the command was decided at.
    pub at: Timestamp,
}

/// What a system answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a command is accepted or it is refused"
)]
pub enum Told {
    /// It did as it was asked, or all was so already. For a command about several things: the code
    /// that each of them was refused with, in their order.
    Accepted(Vec<Option<&'static str>>),
    /// It refused with this code.
    Refused(&'static str),
}

impl Told {
    /// A command about one thing was accepted.
    #[must_use]
    pub const fn done() -> Self {
        Self::Accepted(Vec::new())
    }

    /// What [`decide`](guestlist_membership::decide) answered.
    #[must_use]
    pub fn of(decided: &Result<Decided, CommandError>) -> Self {
        match decided {
            Ok(decided) => Self::Accepted(
                decided
                    .items
                    .iter()
                    .map(|item| item.as_ref().err().map(CommandError::code))
                    .collect(),
            ),
            Err(error) => Self::Refused(error.code()),
        }
    }
}

/// What the model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a command is accepted or it is refused"
)]
pub enum Answer {
    /// The command is accepted.
    Accepted {
        /// Reasons that a system may refuse for all the same, because it is promised to know
        /// better only after a sweep: a seat or a use that is held by what has run out.
        excuses: Reasons,
        /// Of a command about several things: why each is refused; no reason if it is not.
        items: Vec<Reasons>,
    },
    /// The command is refused, with one of these codes.
    Refused(Reasons),
}

/// Where a system and the model disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// About the answer.
    Answer {
        /// What the model says.
        model: Answer,
        /// What the system said.
        system: Told,
    },
    /// About the time that the command was decided at.
    Time {
        /// The earliest time that it may have been decided at.
        earliest: Timestamp,
        /// The latest.
        latest: Timestamp,
        /// When it was.
        at: Timestamp,
    },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { model, system } => {
                write!(f, "the system says {system:?}, the model {model:?}")
            }
            Self::Time {
                earliest,
                latest,
                at,
            } => write!(
                f,
                "decided at {at}, which is not from {earliest} to {latest}"
            ),
        }
    }
}

impl core::error::Error for Disagreement {}

/// The model. See the [module](self).
#[derive(Debug, Clone)]
pub struct Model {
    roles: RoleCatalog,
    stated: BTreeMap<(OrgId, UserId), RoleName>,
    names: BTreeMap<OrgName, OrgId>,
    hosts: BTreeMap<OrgId, Host>,
    tokens: BTreeMap<Selector, Token>,
    latest: Timestamp,
}

#[derive(Debug, Clone)]
struct Host {
    name: OrgName,
    status: OrgStatus,
    settings: Settings,
    pause: Option<Pause>,
    default_link: Option<LinkId>,
    links: BTreeMap<LinkId, Link>,
    invites: BTreeMap<InviteId, Invite>,
    people: BTreeMap<Member, Relation>,
    groups: BTreeMap<GroupId, Group>,
    /// Who is in which group.
    inside: BTreeSet<(GroupId, GroupMember)>,
    grants: BTreeMap<GrantId, Grant>,
    external: Option<GroupId>,
    sharing: Sharing,
    acting: BTreeMap<OrgId, ActingRule>,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    last: Timestamp,
}

#[derive(Debug, Clone)]
struct Link {
    config: LinkConfig,
    disabled: bool,
    deleted: bool,
    generation: u32,
    /// The active token, then those that a refresh left for a while, newest first.
    live: Vec<Selector>,
    creator: Option<UserId>,
    noted: bool,
    last: Timestamp,
}

#[derive(Debug, Clone)]
struct Invite {
    address: EmailAddress,
    joined_by: JoinedBy,
    preset: Preset,
    /// Whether its sender could let in without review when it was sent.
    sender_approves: bool,
    lasts: Option<Duration>,
    ttl: Option<Duration>,
    creator: Option<UserId>,
    closed: Option<(Closing, Option<Member>)>,
    /// Whether its running out was written down, which gives its address back.
    noted: bool,
    token: Option<Selector>,
    generation: u32,
    until: Option<Timestamp>,
    sent: Timestamp,
    delivery: Delivery,
    last: Timestamp,
}

#[derive(Debug, Clone)]
struct Token {
    host: OrgId,
    subject: TokenSubject,
    issued: Timestamp,
    ends: Option<Timestamp>,
}

/// All that ever was between a host and a member.
#[derive(Debug, Clone, Default)]
struct Relation {
    episodes: Vec<Episode>,
    blocked: bool,
    /// Removals of so many first episodes are forgiven.
    forgiven: usize,
    /// Every address that it was ever known by, erased ones too.
    addresses: BTreeSet<EmailAddress>,
    proxy: Option<ProxyUserId>,
    last: Timestamp,
}

#[derive(Debug, Clone)]
struct Episode {
    door: Door,
    state: State,
    /// Whether it was ever let in.
    was_in: bool,
    /// From which episode on what was given counts, once it is let in.
    since: u32,
    /// When it ends by itself.
    until: Option<Timestamp>,
    ttl: Option<Duration>,
    gift: Preset,
    email: Option<EmailAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    In,
    Ended(Cause, Timestamp),
}

/// Where a relation is at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Never,
    Waits,
    In,
    Ended(Cause),
    /// Time has ended it, and nobody has written that.
    RanOut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: GroupName,
    internal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    giver: Giver,
    until: Option<Timestamp>,
    subject: Subject,
    actions: ActionSet,
    pattern: Pattern,
}

#[derive(Debug, Clone)]
struct Endpoint {
    url: EndpointUrl,
    label: Option<Label>,
    events: BTreeSet<String>,
    secret: SecretVersion,
    status: EndpointStatus,
    deleted: bool,
    last: Timestamp,
}

/// What somebody is in one organization.
#[derive(Debug, Clone)]
struct Standing {
    is_system: bool,
    role: Option<RoleName>,
    /// `None`: no member.
    person: Option<Person>,
}

impl Standing {
    const NOBODY: Self = Self {
        is_system: false,
        role: None,
        person: None,
    };

    const fn is_member(&self) -> bool {
        self.person.is_some()
    }
}

/// Somebody with a standing in an organization, as decisions on keys see it.
#[derive(Debug, Clone)]
struct Person {
    /// `None`: the host application, which holds everything.
    member: Option<Member>,
    /// What was given to these episodes counts.
    since: u32,
    current: u32,
    groups: BTreeSet<GroupId>,
    grants: Vec<PresetGrant>,
}

impl Person {
    fn is_outsider(&self) -> bool {
        matches!(&self.member, Some(Member::Org(_)))
    }

    fn counts(&self, episode: EpisodeNumber) -> bool {
        (self.since..=self.current).contains(&episode.get())
    }
}

impl Relation {
    fn episode(&self) -> Option<&Episode> {
        self.episodes.last()
    }

    fn number(&self) -> u32 {
        u32::try_from(self.episodes.len()).unwrap_or(u32::MAX)
    }

    fn place(&self, at: Timestamp) -> Place {
        let Some(episode) = self.episode() else {
            return Place::Never;
        };
        let over = episode.until.is_some_and(|until| at >= until);
        match episode.state {
            State::Ended(cause, _) => Place::Ended(cause),
            State::Waits | State::In if over => Place::RanOut,
            State::Waits => Place::Waits,
            State::In => Place::In,
        }
    }

    /// When it was last removed, unless that is forgiven.
    fn removed(&self) -> Option<(usize, Timestamp)> {
        let removed = |(index, episode): (usize, &Episode)| match episode.state {
            State::Ended(Cause::Removed, when) if index >= self.forgiven => Some((index, when)),
            State::Ended(..) | State::Waits | State::In => None,
        };
        self.episodes
            .iter()
            .enumerate()
            .filter_map(removed)
            .next_back()
    }

    /// "A newer one goes to review even where it would approve itself", until somebody has.
    fn needs_review(&self) -> bool {
        self.removed().is_some_and(|(index, _)| {
            let later = self.episodes.iter().skip(index + 1);
            later.clone().all(|episode| !episode.was_in)
        })
    }

    /// The rejections since it was last let in: when, and through which links.
    fn rejections(&self) -> (Option<Timestamp>, BTreeSet<LinkId>) {
        let mut when = None;
        let mut links = BTreeSet::new();
        for episode in self.episodes.iter().rev() {
            if episode.was_in {
                break;
            }
            if let State::Ended(Cause::Rejected, at) = episode.state {
                when = when.max(Some(at));
                links.extend(episode.door.link());
            }
        }
        (when, links)
    }

    /// Opens an episode, which waits.
    fn open(&mut self, episode: Episode) {
        self.addresses.extend(episode.email.clone());
        self.episodes.push(episode);
    }

    fn person(&self, member: &Member, at: Timestamp) -> Option<Person> {
        let episode = self.episode()?;
        (self.place(at) == Place::In).then(|| Person {
            member: Some(member.clone()),
            since: episode.since,
            current: self.number(),
            groups: episode.gift.groups.clone(),
            grants: episode.gift.grants.clone(),
        })
    }
}

impl Host {
    /// Members that hold a use of a link; without those whose request has run out by `at`.
    fn users_of(&self, link: LinkId, at: Option<Timestamp>) -> BTreeSet<&Member> {
        let holds = |relation: &Relation| {
            relation.episodes.iter().any(|episode| {
                let waits = episode.state == State::Waits
                    && at.is_none_or(|at| episode.until.is_none_or(|until| at < until));
                episode.door.link() == Some(link) && (episode.was_in || waits)
            })
        };
        let people = self.people.iter().filter(|(_, relation)| holds(relation));
        people.map(|(member, _)| member).collect()
    }

    /// How many seats are taken; without those of what has run out by `at`.
    fn seats_taken(&self, count_pending: bool, at: Option<Timestamp>) -> usize {
        let takes = |relation: &&Relation| {
            relation.episode().is_some_and(|episode| {
                let over = at.is_some_and(|at| episode.until.is_some_and(|until| at >= until));
                let sits = match episode.state {
                    State::In => true,
                    State::Waits => count_pending,
                    State::Ended(..) => false,
                };
                sits && !over
            })
        };
        self.people.values().filter(takes).count()
    }

    fn owners(&self, roles: &RoleCatalog) -> BTreeSet<UserId> {
        let owns = |relation: &Relation| {
            relation.episode().is_some_and(|episode| {
                episode.state == State::In && episode.gift.role.as_ref() == Some(roles.owner())
            })
        };
        self.people
            .iter()
            .filter(|(_, relation)| owns(relation))
            .filter_map(|(member, _)| match member {
                Member::User(user) => Some(user.clone()),
                Member::Org(_) => None,
            })
            .collect()
    }
}

impl Invite {
    fn is_live(&self, at: Timestamp) -> bool {
        self.closed.is_none() && self.until.is_none_or(|until| at < until)
    }

    /// Whether it holds its address: nobody else is invited there.
    const fn holds_address(&self) -> bool {
        self.closed.is_none() && !self.noted
    }
}

impl Model {
    /// Nothing yet, under this catalog of roles.
    #[must_use]
    pub const fn new(roles: RoleCatalog) -> Self {
        Self {
            roles,
            stated: BTreeMap::new(),
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            tokens: BTreeMap::new(),
            latest: Timestamp::MIN,
        }
    }

    /// Says what the host application states of somebody that guestlist keeps no membership of:
    /// what becomes of links and invites that they made depends on it.
    pub fn state(&mut self, org: OrgId, user: UserId, role: RoleName) {
        self.stated.insert((org, user), role);
    }

    /// The latest time that anything was recorded with.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// What the model answers to a command. Nothing changes.
    #[must_use]
    pub fn answer(&self, asked: &Asked<'_>) -> Answer {
        self.attempt(asked, None).0
    }

    /// Takes note of a command and what a system answered.
    ///
    /// # Errors
    ///
    /// [`Disagreement`] if the model would have answered otherwise. Nothing changes then.
    pub fn follow(&mut self, asked: &Asked<'_>, told: &Told) -> Result<(), Disagreement> {
        let (answer, after) = self.attempt(asked, Some(told));
        let agrees = match (&answer, told) {
            (Answer::Accepted { items, .. }, Told::Accepted(told)) => {
                items.len() == told.len()
                    && items.iter().zip(told).all(|(why, told)| match told {
                        Some(code) => why.contains(code),
                        None => why.is_empty(),
                    })
            }
            (Answer::Accepted { excuses, .. }, Told::Refused(code)) => excuses.contains(code),
            (Answer::Refused(why), Told::Refused(code)) => why.contains(code),
            (Answer::Refused(_), Told::Accepted(_)) => false,
        };
        if !agrees {
            return Err(Disagreement::Answer {
                model: answer,
                system: told.clone(),
            });
        }
        // Nothing is recorded of a refusal, its time neither.
        if let (Told::Accepted(_), Some(after)) = (told, after) {
            let earliest = self.not_before(asked).max(asked.now);
            let latest = self.latest.max(asked.now);
            if asked.at < earliest || asked.at > latest {
                return Err(Disagreement::Time {
                    earliest,
                    latest,
                    at: asked.at,
                });
            }
            *self = after;
            self.latest = self.latest.max(asked.at);
        }
        Ok(())
    }

    fn attempt(&self, asked: &Asked<'_>, told: Option<&Told>) -> (Answer, Option<Self>) {
        let host = asked
            .command
            .presented()
            .and_then(|token| self.tokens.get(&token.selector))
            .map_or_else(|| asked.host.clone(), |token| token.host.clone());
        let mut turn = Turn {
            model: self.clone(),
            host,
            actor: asked.actor,
            at: asked.at,
            excuses: Reasons::new(),
            items: Vec::new(),
            told,
        };
        let done = match asked.command {
            Command::Organization(command) => turn.organization(command),
            Command::Link(command) => turn.link(command),
            Command::Invite(command) => turn.invite(command),
            Command::Member(command) => turn.member(command),
            Command::Access(command) => turn.access(command),
            Command::Webhook(command) => turn.webhook(command),
        };
        match done {
            Ok(()) => {
                let answer = Answer::Accepted {
                    excuses: turn.excuses,
                    items: turn.items,
                };
                (answer, Some(turn.model))
            }
            Err(mut why) => {
                why.extend(turn.excuses);
                (Answer::Refused(why), None)
            }
        }
    }

    /// What the thing that a command is about holds already: no time before that is recorded.
    fn not_before(&self, asked: &Asked<'_>) -> Timestamp {
        let token = asked.command.presented();
        let token = token.and_then(|token| self.tokens.get(&token.selector));
        let host = token.map_or(asked.host, |token| &token.host);
        let Some(host) = self.hosts.get(host) else {
            return Timestamp::MIN;
        };
        let subject = token.and_then(|token| match token.subject {
            TokenSubject::Link(link) => host.links.get(&link).map(|link| link.last),
            TokenSubject::Invite(invite) => host.invites.get(&invite).map(|invite| invite.last),
        });
        let own = match asked.command {
            // Names, and commands about several things, have no one thing that holds a time.
            Command::Organization(OrganizationCommand::ReserveName { .. })
            | Command::Invite(_)
            | Command::Access(_) => None,
            Command::Organization(_) => Some(host.last),
            Command::Link(command) => host.links.get(&command.link()).map(|link| link.last),
            Command::Member(command) => command
                .member()
                .and_then(|member| host.people.get(member))
                .map(|relation| relation.last),
            Command::Webhook(command) => {
                let endpoint = host.endpoints.get(&command.endpoint());
                endpoint.map(|endpoint| endpoint.last)
            }
        };
        subject.max(own).unwrap_or(Timestamp::MIN)
    }

    /// What a user is in an organization. A membership that guestlist keeps rules over what the
    /// host application states.
    fn user_in(&self, org: &OrgId, user: &UserId, stated: &Stated, at: Timestamp) -> Standing {
        let member = Member::User(user.clone());
        let kept = self
            .hosts
            .get(org)
            .and_then(|host| host.people.get(&member))
            .filter(|relation| !relation.episodes.is_empty());
        match kept {
            Some(relation) => match relation.person(&member, at) {
                Some(person) => Standing {
                    is_system: false,
                    role: relation.episode().and_then(|now| now.gift.role.clone()),
                    person: Some(person),
                },
                None => Standing::NOBODY,
            },
            None if stated.is_member => Standing {
                is_system: false,
                role: stated.role.clone(),
                person: Some(kept_by_the_host(member)),
            },
            None => Standing::NOBODY,
        }
    }

    fn actor_in(&self, org: &OrgId, actor: &Actor, at: Timestamp) -> Standing {
        let Some(user) = actor.user_id() else {
            return self.system();
        };
        let vouched = actor.is_vouched_for() && actor.organization() == Some(org);
        let stated = Stated {
            is_member: vouched,
            role: actor.stated_role().cloned(),
        };
        self.user_in(org, user, &stated, at)
    }

    /// Whoever made something; the host application if it is nobody.
    fn creator_in(&self, org: &OrgId, creator: Option<&UserId>, at: Timestamp) -> Standing {
        let Some(user) = creator else {
            return self.system();
        };
        let role = self.stated.get(&(org.clone(), user.clone())).cloned();
        let stated = Stated {
            is_member: role.is_some(),
            role,
        };
        self.user_in(org, user, &stated, at)
    }

    fn system(&self) -> Standing {
        Standing {
            is_system: true,
            role: Some(self.roles.owner().clone()),
            person: Some(Person {
                member: None,
                since: 0,
                current: 0,
                groups: BTreeSet::new(),
                grants: Vec::new(),
            }),
        }
    }

    fn knows_role(&self, role: &RoleName) -> bool {
        self.roles.roles().iter().any(|known| known.name == *role)
    }

    fn lowest_role(&self) -> Option<RoleName> {
        self.roles.roles().first().map(|role| role.name.clone())
    }

    fn is_owner(&self, role: Option<&RoleName>) -> bool {
        role.is_some() && self.roles.roles().last().map(|last| &last.name) == role
    }

    fn can(&self, who: &Standing, capability: Capability) -> bool {
        who.is_system
            || self.roles.roles().iter().any(|known| {
                Some(&known.name) == who.role.as_ref() && known.capabilities.contains(&capability)
            })
    }

    /// Why a role may not be given by this person: unknown, or above their own.
    fn above_own(&self, who: &Standing, role: &RoleName) -> Reasons {
        let roles = self.roles.roles();
        let place =
            |name: Option<&RoleName>| roles.iter().position(|known| Some(&known.name) == name);
        let Some(given) = place(Some(role)) else {
            return Reasons::from(["unknown-role"]);
        };
        let within = place(who.role.as_ref()).is_some_and(|own| {
            given <= own
                && roles[given]
                    .capabilities
                    .is_subset(&roles[own].capabilities)
        });
        if who.is_system || within {
            Reasons::new()
        } else {
            Reasons::from(["role-above-own"])
        }
    }
}

/// A user whose membership the host application keeps itself.
fn kept_by_the_host(member: Member) -> Person {
    Person {
        member: Some(member),
        since: 0,
        current: 0,
        groups: BTreeSet::new(),
        grants: Vec::new(),
    }
}

/// One command while it is worked out: the model as it is afterwards, if it is accepted.
struct Turn<'a> {
    model: Model,
    host: OrgId,
    actor: &'a Actor,
    at: Timestamp,
    excuses: Reasons,
    items: Vec<Reasons>,
    told: Option<&'a Told>,
}

type Done = Result<(), Reasons>;

fn refused(code: &'static str) -> Done {
    Err(Reasons::from([code]))
}

fn unless(why: Reasons) -> Done {
    if why.is_empty() { Ok(()) } else { Err(why) }
}

impl Turn<'_> {
    fn me(&self) -> Standing {
        self.model.actor_in(&self.host, self.actor, self.at)
    }

    /// Whoever does not belong to an organization is told that nothing is there.
    fn need_member(&self) -> Done {
        if self.me().is_member() {
            Ok(())
        } else {
            refused("not-found")
        }
    }

    fn need(&self, capability: Capability) -> Done {
        self.need_member()?;
        if self.model.can(&self.me(), capability) {
            Ok(())
        } else {
            refused("not-allowed")
        }
    }

    fn here(&self) -> Result<&Host, Reasons> {
        let host = self.model.hosts.get(&self.host);
        host.ok_or_else(|| Reasons::from(["not-found"]))
    }

    fn here_mut(&mut self) -> Result<&mut Host, Reasons> {
        let host = self.model.hosts.get_mut(&self.host);
        host.ok_or_else(|| Reasons::from(["not-found"]))
    }

    /// The organization, unless it is deleted.
    fn existing(&self) -> Result<&Host, Reasons> {
        let host = self.here()?;
        match host.status {
            OrgStatus::Active | OrgStatus::Suspended => Ok(host),
            OrgStatus::Deleted => Err(Reasons::from(["organization-not-active"])),
        }
    }

    /// The organization, if its doors are open.
    fn active(&self) -> Result<&Host, Reasons> {
        let host = self.here()?;
        match host.status {
            OrgStatus::Active => Ok(host),
            OrgStatus::Suspended | OrgStatus::Deleted => {
                Err(Reasons::from(["organization-not-active"]))
            }
        }
    }

    fn relation(&self, member: &Member) -> Option<&Relation> {
        self.model.hosts.get(&self.host)?.people.get(member)
    }

    fn place(&self, member: &Member) -> Place {
        let relation = self.relation(member);
        relation.map_or(Place::Never, |relation| relation.place(self.at))
    }

    /// No selector is ever issued twice.
    fn issued_before(&self, token: &NewToken) -> Reasons {
        if self.model.tokens.contains_key(&token.selector) {
            Reasons::from(["selector-taken"])
        } else {
            Reasons::new()
        }
    }

    fn issue(&mut self, token: &NewToken, subject: TokenSubject) {
        let issued = Token {
            host: self.host.clone(),
            subject,
            issued: self.at,
            ends: None,
        };
        self.model.tokens.insert(token.selector, issued);
    }

    /// Tokens end at this time, or before if that was said before.
    fn end_tokens(&mut self, tokens: &[Selector], at: Timestamp) {
        for selector in tokens {
            if let Some(token) = self.model.tokens.get_mut(selector) {
                token.ends = Some(token.ends.map_or(at, |end| end.min(at)));
            }
        }
    }

    /// The ceiling of every gift to a member of this kind: role, groups, grants.
    fn may_give(&self, giver: &Standing, gift: &Preset, kind: MemberKind) -> Reasons {
        let mut why = Reasons::new();
        if kind == MemberKind::User {
            let role = gift.role.clone().or_else(|| self.model.lowest_role());
            why.extend(
                role.iter()
                    .flat_map(|role| self.model.above_own(giver, role)),
            );
        }
        let Some(host) = self.model.hosts.get(&self.host) else {
            return why;
        };
        for group in &gift.groups {
            if host.groups.contains_key(group) {
                why.extend(self.may_put_in(giver, *group, kind));
            } else {
                why.insert("not-found");
            }
        }
        for grant in &gift.grants {
            why.extend(self.may_grant(giver, grant.actions, &grant.pattern, kind));
        }
        why
    }

    fn may_give_to_all(&self, giver: &Standing, gift: &Preset, joined_by: JoinedBy) -> Reasons {
        let kinds = [MemberKind::Org, MemberKind::User];
        let kinds = kinds.into_iter().filter(|kind| joined_by.admits(*kind));
        kinds
            .flat_map(|kind| self.may_give(giver, gift, kind))
            .collect()
    }

    /// What no preset may be, whoever gives it.
    fn preset_is_wrong(
        &self,
        preset: &Preset,
        joined_by: JoinedBy,
        ttl: Option<Duration>,
    ) -> Reasons {
        let mut why = gift_is_too_large(preset);
        let lowest = || {
            let users = joined_by.admits(MemberKind::User);
            self.model.lowest_role().filter(|_| users)
        };
        if let Some(role) = preset.role.clone().or_else(lowest) {
            if !self.model.knows_role(&role) {
                why.insert("unknown-role");
            }
            if self.model.is_owner(Some(&role)) && ttl.is_some() {
                why.insert("owner-can-not-expire");
            }
        }
        why
    }
}

/// What nothing that is given may be, by any door.
fn gift_is_too_large(gift: &Preset) -> Reasons {
    let is_too_large = gift.groups.len() > 100 || gift.grants.len() > 100;
    is_too_large.then_some("too-many").into_iter().collect()
}

/// Whether a pattern covers a key, or all that another pattern covers: segment by segment.
fn covers(pattern: &str, other: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    match pattern.strip_suffix('/') {
        Some(stem) => {
            let mut segments = other.split('/');
            stem.split('/')
                .all(|segment| segments.next() == Some(segment))
                && segments.next().is_some()
        }
        None => pattern == other,
    }
}
