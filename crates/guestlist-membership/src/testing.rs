//! A small world for tests, and proptest strategies of what is done in it.
//!
//! A [`World`] holds everything that was ever folded, and decides every command on the rows of
//! its scope only, as a shell does: a fact that a scope leaves out, and a row that is written
//! without having been looked at, are found out by [`World::run`].

#![expect(
    clippy::missing_panics_doc,
    reason = "the ids, names and addresses made here are plain and valid"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "checks look at the rows and events that they are about"
)]

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guestlist_access::{
    AccessBook, AccessChange, AccessCommand, Action, ActionSet, Audience, Episode, Giver, Grant,
    Grantee, GroupMember, Pattern, PresetGrant, RoleCatalog, Sharing, Subject,
};
use guestlist_token::{PepperId, Selector, TokenTag};
use guestlist_types::{
    Bucket, DisplayName, EmailAddress, EmailDomain, EndpointId, EndpointUrl, GrantId, GroupId,
    GroupName, InviteId, Label, LinkId, Member, MemberKind, Message, OrgId, OrgName, ProxyUserId,
    RoleName, Timestamp, UserId,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::actor::Actor;
use crate::command::{Command, Env, Stated};
use crate::decide::{Decided, decide, evolve};
use crate::error::{CommandError, TokenProblem};
use crate::event::{Event, Stamp};
use crate::invite::{
    DeliveryReport, EmailInvite, InviteCommand, InviteDraft, InvitePhase, InviteStatus, Mode,
    NewInvite, SignOn,
};
use crate::link::{
    Approval, Expiry, JoinedBy, Lasting, LinkCommand, LinkDraft, LinkStatus, NewToken, Preset,
    UseState, Uses,
};
use crate::member::{
    ActingRule, Changes, Door, MemberCommand, MemberEvent, Membership, Phase, Presented, Profile,
    Status,
};
use crate::organization::{OrganizationCommand, OrganizationEvent, Pause, Settings};
use crate::policy::{AddressCheck, AfterRejection, Joins, Requests, Seats, SecondInvite, Standing};
use crate::record::{Records, Row, RowKey, SeatCount};
use crate::scope::{Loaded, Scope};
use crate::webhook::{DisabledFor, SecretVersion, WebhookCommand};

/// When a world begins.
pub const START: Timestamp = Timestamp::from_micros(1_000_000_000_000);

/// An organization of the small world.
#[must_use]
pub fn org(number: u8) -> OrgId {
    OrgId::parse(&format!("org_{number}")).expect("a plain id is valid")
}

/// The name that it is registered under.
#[must_use]
pub fn org_name(number: u8) -> OrgName {
    OrgName::parse(&format!("org-{number}")).expect("a plain name is valid")
}

/// A user of the small world.
#[must_use]
pub fn user(number: u8) -> UserId {
    UserId::parse(&format!("user_{number}")).expect("a plain id is valid")
}

/// An organization as a member.
#[must_use]
pub fn org_member(number: u8) -> Member {
    Member::Org(org(number))
}

/// A user as a member.
#[must_use]
pub fn user_member(number: u8) -> Member {
    Member::User(user(number))
}

/// The founder of the organization of this number, acting there.
#[must_use]
pub fn founder(number: u8) -> Actor {
    Actor::user(user(number)).in_organization(org(number))
}

/// Who mostly gives such a command to a host: doors and ways out are the member's, the life of
/// organizations is the service's, the rest is the host's.
#[must_use]
pub fn fitting(host: u8, command: &Command) -> Actor {
    match command {
        Command::Member(
            command @ (MemberCommand::Claim { .. }
            | MemberCommand::Accept { .. }
            | MemberCommand::Request { .. }
            | MemberCommand::Cancel { .. }
            | MemberCommand::Leave { .. }),
        ) => {
            let number = |id: &OrgId| (0..4).find(|number| org(*number) == *id);
            let of = |member: &Member| match member {
                Member::User(user) => Actor::user(user.clone()),
                Member::Org(id) => number(id).map_or_else(Actor::system, founder),
            };
            command.member().map_or_else(Actor::system, of)
        }
        Command::Organization(
            OrganizationCommand::Suspend
            | OrganizationCommand::Resume
            | OrganizationCommand::Delete
            | OrganizationCommand::Register { .. }
            | OrganizationCommand::ReserveName { .. },
        ) => Actor::system(),
        Command::Invite(InviteCommand::Decline { .. }) => Actor::user(user(host % 5)),
        Command::Member(_)
        | Command::Organization(_)
        | Command::Link(_)
        | Command::Invite(_)
        | Command::Webhook(_)
        | Command::Access(_) => founder(host),
    }
}

/// A link's id.
#[must_use]
pub const fn link_id(number: u8) -> LinkId {
    LinkId::from_bytes([number; 16])
}

/// An e-mail invite's id.
#[must_use]
pub const fn invite_id(number: u8) -> InviteId {
    InviteId::from_bytes([number; 16])
}

/// A group's id.
#[must_use]
pub const fn group_id(number: u8) -> GroupId {
    GroupId::from_bytes([number; 16])
}

/// A grant's id.
#[must_use]
pub const fn grant_id(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

/// A role.
#[must_use]
pub fn role(name: &str) -> RoleName {
    RoleName::parse(name).expect("a plain name is valid")
}

/// A token as a genuine one is presented.
#[must_use]
pub const fn presented(selector: Selector) -> Presented {
    Presented {
        selector,
        genuine: true,
    }
}

/// Everything that ever happened, and what it comes to.
#[derive(Debug, Clone)]
pub struct World {
    /// The clock; it may step back.
    pub now: Timestamp,
    /// The host application's roles.
    pub roles: RoleCatalog,
    /// What the host application says of creators that guestlist keeps no membership of.
    pub stated: BTreeMap<(OrgId, UserId), RoleName>,
    records: Records,
    log: Vec<(OrgId, Stamp, Event)>,
    drawn: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// The rows of a scope while they are collected.
struct Loading {
    known: BTreeSet<RowKey>,
    records: Records,
}

impl Loaded for Loading {
    fn knows(&self, key: &RowKey) -> bool {
        self.known.contains(key)
    }

    fn records(&self) -> &Records {
        &self.records
    }
}

impl World {
    /// Nothing, with the roles `owner`, `admin` and `member`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: START,
            roles: RoleCatalog::owner_admin_member(),
            stated: BTreeMap::new(),
            records: Records::new(),
            log: Vec::new(),
            drawn: 0,
        }
    }

    /// The organizations 0, 1 and 2, each with its founder, two groups, the second one internal,
    /// and two links: the first needs review, the second approves by itself.
    ///
    /// # Panics
    ///
    /// If a rule refuses that.
    #[must_use]
    pub fn populated() -> Self {
        let mut world = Self::new();
        for (host, actor, command) in world.population() {
            world
                .run(&host, &actor, &command)
                .expect("founders may do all of this");
        }
        world
    }

    /// The commands that make the world of [`populated`](Self::populated) out of nothing.
    pub fn population(&mut self) -> Vec<(OrgId, Actor, Command)> {
        let mut commands = Vec::new();
        for number in 0..3 {
            let (host, founder) = (org(number), founder(number));
            for command in self.registration(number, Settings::default()) {
                let command = Command::Organization(command);
                commands.push((host.clone(), Actor::system(), command));
            }
            for (group, internal) in [(1, false), (2, true)] {
                let command = AccessCommand::CreateGroup {
                    id: group_id(group),
                    name: GroupName::parse(&format!("group {group}")).expect("valid"),
                    internal,
                };
                commands.push((host.clone(), founder.clone(), Command::Access(command)));
            }
            for (link, draft) in [(1, LinkDraft::review()), (2, LinkDraft::auto())] {
                let command = LinkCommand::Create {
                    link: link_id(link),
                    draft: Box::new(draft),
                    token: self.draw(&host),
                    as_default: false,
                };
                commands.push((host.clone(), founder.clone(), Command::Link(command)));
            }
        }
        commands
    }

    /// Registers an organization with its founder, who holds everything.
    ///
    /// # Panics
    ///
    /// If a rule refuses that.
    pub fn register(&mut self, number: u8, settings: Settings) {
        for command in self.registration(number, settings) {
            self.run(
                &org(number),
                &Actor::system(),
                &Command::Organization(command),
            )
            .expect("the host application registers organizations");
        }
    }

    fn registration(&self, number: u8, settings: Settings) -> [OrganizationCommand; 2] {
        let (name, member) = (org_name(number), user_member(number));
        let grant = Grant {
            id: grant_id(200),
            giver: Giver::System,
            at: self.now,
            expires_at: None,
            subject: Subject::Member {
                member,
                episode: Episode::new(1),
            },
            actions: ActionSet::ALL,
            pattern: Pattern::all(),
        };
        [
            OrganizationCommand::ReserveName { name: name.clone() },
            OrganizationCommand::Register {
                name,
                display_name: None,
                founder: Some(user(number)),
                founder_grant: Some(Box::new(grant)),
                settings: Box::new(settings),
            },
        ]
    }

    /// All rows.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// All events, in order.
    #[must_use]
    pub fn log(&self) -> &[(OrgId, Stamp, Event)] {
        &self.log
    }

    /// Moves the clock forward.
    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// A token that was never drawn before.
    ///
    /// # Panics
    ///
    /// After too many draws.
    pub fn draw(&mut self, host: &OrgId) -> NewToken {
        self.drawn += 1;
        let number = u64::from(Bucket::of(host).get()) * 62_u64.pow(8) + self.drawn;
        let selector = i64::try_from(number).ok().and_then(Selector::from_i64);
        let mut mac = [0xa5; 32];
        mac[24..].copy_from_slice(&self.drawn.to_be_bytes());
        NewToken {
            selector: selector.expect("worlds draw few tokens"),
            tag: TokenTag::new(PepperId::new(1), mac),
        }
    }

    /// A proxy user's id that was never drawn before.
    pub fn draw_proxy(&mut self) -> ProxyUserId {
        self.drawn += 1;
        let mut bytes = [0xbb; 16];
        bytes[8..].copy_from_slice(&self.drawn.to_be_bytes());
        ProxyUserId::from_bytes(bytes)
    }

    /// The access rules of an organization, put together from its rows.
    #[must_use]
    pub fn book(&self, host: &OrgId) -> AccessBook {
        let mut book = AccessBook::new();
        for (key, row) in self.records.iter() {
            if key.organization() != Some(host) {
                continue;
            }
            let change = match (key, row) {
                (_, Row::AccessHead(head)) => AccessChange::Head(*head),
                (_, Row::Group(group)) => AccessChange::PutGroup(group.clone()),
                (RowKey::GroupMember(_, group, member), _) => AccessChange::PutGroupMember {
                    group: *group,
                    member: member.clone(),
                },
                (_, Row::Grant(grant)) => AccessChange::PutGrant((**grant).clone()),
                _ => continue,
            };
            book.apply(&change);
        }
        book
    }

    /// How many uses of a link count.
    #[must_use]
    pub fn uses(&self, host: &OrgId, link: LinkId) -> u64 {
        let counted = self.records.iter().filter(|(key, row)| {
            matches!((key, row), (RowKey::LinkUse(org, id, _), Row::LinkUse(held))
                if org == host && *id == link && held.state.counts())
        });
        counted.count() as u64
    }

    /// How many memberships are pending and approved, by stored status.
    #[must_use]
    pub fn seats(&self, host: &OrgId) -> SeatCount {
        let mut seats = SeatCount::default();
        for (key, row) in self.records.iter() {
            if let (RowKey::Membership(org, _), Row::Membership(membership)) = (key, row)
                && org == host
            {
                match membership.status {
                    Some(Status::Pending) => seats.pending += 1,
                    Some(Status::Approved) => seats.approved += 1,
                    Some(Status::Rejected | Status::Removed | Status::Cancelled) | None => {}
                }
            }
        }
        seats
    }

    fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::UseCount(host, link) => Some(Row::UseCount(self.uses(host, *link))),
            RowKey::SeatCount(host) => Some(Row::SeatCount(self.seats(host))),
            key => self.records.get(key).cloned(),
        }
    }

    /// The rows that a scope names, and no others, with the access rules if it names them.
    #[must_use]
    pub fn load(&self, scope: &Scope) -> Records {
        let mut loading = Loading {
            known: BTreeSet::new(),
            records: Records::new(),
        };
        loop {
            let missing = scope.missing(&loading);
            if missing.is_empty() {
                break;
            }
            for key in missing {
                if let Some(row) = self.row(&key) {
                    loading.records.insert(key.clone(), row);
                }
                loading.known.insert(key);
            }
        }
        let mut records = loading.records;
        if let Some(host) = scope.host(&records) {
            if scope.books(&records).contains(&host) {
                records.set_book(Arc::new(self.book(&host)));
            }
            records.set_host(host);
        }
        records
    }

    /// What the host application says of the creator of the link or invite that a command is about.
    fn creator(&self, records: &Records, host: &OrgId, actor: &Actor, command: &Command) -> Stated {
        let creator = command.creator(records, host, actor, self.now);
        let role = creator.and_then(|user| self.stated.get(&(host.clone(), user)).cloned());
        Stated {
            is_member: role.is_some(),
            role,
        }
    }

    /// Decides a command on the rows of its scope, and gives those rows and the host back.
    ///
    /// # Errors
    ///
    /// What [`decide`] refuses with.
    ///
    /// # Panics
    ///
    /// If more rows would give another answer: then the scope leaves something out.
    pub fn decide(
        &self,
        host: &OrgId,
        actor: &Actor,
        command: &Command,
    ) -> Result<(OrgId, Records, Decided), CommandError> {
        self.decide_at(host, actor, command).1
    }

    /// The same, with the time that the command is decided at.
    fn decide_at(
        &self,
        host: &OrgId,
        actor: &Actor,
        command: &Command,
    ) -> (Timestamp, Result<(OrgId, Records, Decided), CommandError>) {
        let scope = command.scope(host, actor);
        let scoped = self.load(&scope);
        let host = scope.host(&scoped).unwrap_or_else(|| host.clone());
        let creator = self.creator(&scoped, &host, actor, command);
        let env = Env {
            now: self.now,
            roles: &self.roles,
            creator: &creator,
        };
        let decided = decide(&scoped, &host, actor, command, &env);
        assert_eq!(
            decided,
            decide(&scoped, &host, actor, command, &env),
            "decide is deterministic"
        );
        assert!(
            !matches!(decided, Err(CommandError::FactMissing { .. })),
            "{command:?} leaves a fact out of its scope: {decided:?}"
        );
        // More rows can only move the time, so this is asked while the clock runs forward.
        let latest = crate::standing::not_before(&env, &self.records).now;
        if latest == self.now {
            let mut full = self.records.clone();
            full.set_book(Arc::new(self.book(&host)));
            for key in scoped.iter().map(|(key, _)| key) {
                if let (true, Some(row)) = (key.is_counted(), self.row(key)) {
                    full.insert(key.clone(), row);
                }
            }
            assert_eq!(
                decided,
                decide(&full, &host, actor, command, &env),
                "{command:?} by {actor:?} leaves a fact out of its scope"
            );
        }
        let at = crate::standing::not_before(&env, &scoped).now;
        (at, decided.map(|decided| (host, scoped, decided)))
    }

    /// Decides a command, folds what happens into everything, and returns it.
    ///
    /// # Errors
    ///
    /// What [`decide`] refuses with; nothing changes then.
    ///
    /// # Panics
    ///
    /// If the scope leaves a fact out, if a row is changed that was not looked at, if folding
    /// into the scoped rows and into all rows comes to something else, or if a row of another
    /// organization is changed.
    pub fn run(
        &mut self,
        host: &OrgId,
        actor: &Actor,
        command: &Command,
    ) -> Result<Vec<Event>, CommandError> {
        let (_, decided) = self.perform(host, actor, command);
        decided.map(|decided| decided.events)
    }

    /// Like [`run`](Self::run), with all that came of it, and the time that it was decided at.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn perform(
        &mut self,
        host: &OrgId,
        actor: &Actor,
        command: &Command,
    ) -> (Timestamp, Result<Decided, CommandError>) {
        let (at, decided) = self.decide_at(host, actor, command);
        let decided = decided.map(|(host, scoped, decided)| {
            self.fold(&host, scoped, command, &decided);
            decided
        });
        (at, decided)
    }

    fn fold(&mut self, host: &OrgId, mut scoped: Records, command: &Command, decided: &Decided) {
        let Decided { stamp, events, .. } = decided;
        let mut full = Records::new();
        for (key, row) in self.records.iter() {
            full.insert(key.clone(), row.clone());
        }
        for event in events {
            evolve(&mut scoped, host, stamp, event);
            evolve(&mut full, host, stamp, event);
            self.log.push((host.clone(), stamp.clone(), event.clone()));
        }
        let changes = |records: &Records| -> Vec<(RowKey, Option<Row>, Option<Row>)> {
            records
                .changes()
                .map(|(key, before, after)| {
                    // Rows of access rules are looked at in the book, not one by one.
                    let in_book = matches!(
                        key,
                        RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..)
                    );
                    let before = before.filter(|_| !in_book);
                    (key.clone(), before.cloned(), after.cloned())
                })
                .collect()
        };
        let written = changes(&full);
        assert_eq!(
            changes(&scoped),
            written,
            "{command:?} writes rows that its scope leaves out"
        );
        for (key, _, _) in &written {
            let at_home = match command {
                Command::Organization(OrganizationCommand::ReserveName { name }) => {
                    *key == RowKey::Name(name.clone())
                }
                _ => match key.organization() {
                    Some(organization) => organization == host,
                    None => matches!(key, RowKey::Token(_)),
                },
            };
            assert!(at_home, "{command:?} writes {key:?}, which lives elsewhere");
        }
        self.records = Records::new();
        for (key, row) in full.iter() {
            let mut row = row.clone();
            if let Row::Token(token) = &mut row
                && let Some(new) = command
                    .new_tokens()
                    .find(|new| new.selector == token.selector)
            {
                token.tag = Some(new.tag);
            }
            self.records.insert(key.clone(), row);
        }
    }

    /// Runs a command about a membership.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn member(
        &mut self,
        host: u8,
        actor: &Actor,
        command: MemberCommand,
    ) -> Result<Vec<Event>, CommandError> {
        self.run(&org(host), actor, &Command::Member(command))
    }

    /// Runs a command about a link.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn link(
        &mut self,
        host: u8,
        actor: &Actor,
        command: LinkCommand,
    ) -> Result<Vec<Event>, CommandError> {
        self.run(&org(host), actor, &Command::Link(command))
    }

    /// Runs a command about e-mail invites.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn invite(
        &mut self,
        host: u8,
        actor: &Actor,
        command: InviteCommand,
    ) -> Result<Vec<Event>, CommandError> {
        self.run(&org(host), actor, &Command::Invite(command))
    }

    /// Sends one invite and gives its token's selector, or what the one item was refused with.
    ///
    /// # Errors
    ///
    /// As [`World::run`], and what came of the item.
    pub fn send(
        &mut self,
        host: u8,
        actor: &Actor,
        invite: u8,
        address: EmailAddress,
        draft: InviteDraft,
    ) -> Result<Selector, CommandError> {
        let token = self.draw(&org(host));
        let selector = token.selector;
        let command = Command::Invite(InviteCommand::Send {
            invites: vec![NewInvite {
                id: invite_id(invite),
                address,
                draft,
                sign_on: SignOn::Usual,
                is_member: false,
                token,
            }],
            mode: Mode::EachOnItsOwn,
        });
        let (_, _, decided) = self.decide(&org(host), actor, &command)?;
        if let Some(Err(refused)) = decided.items.into_iter().next() {
            return Err(refused);
        }
        self.run(&org(host), actor, &command).map(|_| selector)
    }

    /// Accepts an invite with its genuine token.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn accept(
        &mut self,
        actor: &Actor,
        member: Member,
        token: Selector,
    ) -> Result<Vec<Event>, CommandError> {
        let command = MemberCommand::Accept {
            token: presented(token),
            member,
            profile: Profile::default(),
            proxy: self.draw_proxy(),
        };
        self.run(&org(99), actor, &Command::Member(command))
    }

    /// Asks to join without any invite.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn ask(
        &mut self,
        host: u8,
        actor: &Actor,
        member: Member,
    ) -> Result<Vec<Event>, CommandError> {
        let command = MemberCommand::Request {
            member,
            profile: Profile::default(),
            message: None,
            answers: Vec::new(),
            proxy: self.draw_proxy(),
        };
        self.member(host, actor, command)
    }

    /// Runs a command about an organization.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn organization(
        &mut self,
        host: u8,
        actor: &Actor,
        command: OrganizationCommand,
    ) -> Result<Vec<Event>, CommandError> {
        self.run(&org(host), actor, &Command::Organization(command))
    }

    /// Runs a command about groups and grants.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn access(
        &mut self,
        host: u8,
        actor: &Actor,
        command: AccessCommand,
    ) -> Result<Vec<Event>, CommandError> {
        self.run(&org(host), actor, &Command::Access(command))
    }

    /// Creates a link and gives its token's selector.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn create(
        &mut self,
        host: u8,
        actor: &Actor,
        link: u8,
        draft: LinkDraft,
    ) -> Result<Selector, CommandError> {
        let token = self.draw(&org(host));
        let selector = token.selector;
        let command = LinkCommand::Create {
            link: link_id(link),
            draft: Box::new(draft),
            token,
            as_default: false,
        };
        self.link(host, actor, command).map(|_| selector)
    }

    /// Claims with a genuine token, whatever organization it belongs to.
    ///
    /// # Errors
    ///
    /// As [`World::run`].
    pub fn claim(
        &mut self,
        actor: &Actor,
        member: Member,
        token: Selector,
    ) -> Result<Vec<Event>, CommandError> {
        let command = MemberCommand::Claim {
            token: presented(token),
            member,
            profile: Profile::default(),
            answers: Vec::new(),
            proxy: self.draw_proxy(),
        };
        self.run(&org(99), actor, &Command::Member(command))
    }

    /// Where a membership is now.
    #[must_use]
    pub fn phase(&self, host: u8, member: &Member) -> Phase {
        self.records
            .membership(&org(host), member)
            .map_or(Phase::Never, |record| record.phase(self.now))
    }

    /// The log, folded from nothing.
    #[must_use]
    pub fn refold(&self) -> Records {
        let mut records = Records::new();
        for (host, stamp, event) in &self.log {
            evolve(&mut records, host, stamp, event);
        }
        records
    }

    /// Checks what must hold of every state.
    ///
    /// # Panics
    ///
    /// If it doesn't.
    pub fn check(&self) {
        let mut approved_once = BTreeSet::new();
        let mut had_owner = BTreeSet::new();
        for (host, _, event) in &self.log {
            match event {
                Event::Member(MemberEvent::Joined { opening, .. }) => {
                    approved_once.insert((host, &opening.member));
                }
                Event::Member(MemberEvent::Approved { member, .. }) => {
                    approved_once.insert((host, member));
                }
                Event::Organization(OrganizationEvent::OwnerAdded { .. }) => {
                    had_owner.insert(host);
                }
                _ => {}
            }
        }
        let mut owners: BTreeMap<&OrgId, BTreeSet<&Member>> = BTreeMap::new();
        let mut proxies = BTreeSet::new();
        for (key, row) in self.records.iter() {
            match (key, row) {
                (RowKey::Membership(host, member), Row::Membership(record)) => {
                    assert_eq!((host, member), (&record.host, &record.member));
                    assert_ne!(*member, Member::Org(host.clone()), "h is not m");
                    let ever = approved_once.contains(&(host, member));
                    let expected = ever && member.kind() == MemberKind::Org;
                    assert_eq!(
                        record.proxy.is_some(),
                        expected,
                        "a proxy iff ever approved"
                    );
                    if let Some(proxy) = &record.proxy {
                        assert!(
                            proxies.insert(proxy.id),
                            "a proxy stands for one membership"
                        );
                    }
                    assert!(record.access_since <= record.episode);
                    let live = record.principal(&self.roles, self.now);
                    assert_eq!(live.is_some(), record.phase(self.now) == Phase::Approved);
                    let ended = matches!(
                        record.status,
                        Some(Status::Rejected | Status::Removed | Status::Cancelled)
                    );
                    assert_eq!(record.ended.is_some(), ended, "{record:?}");
                    let is_owner = record
                        .role
                        .as_ref()
                        .is_some_and(|role| self.roles.is_owner(role));
                    if record.status == Some(Status::Approved) && is_owner {
                        assert_eq!(record.expires_at, None, "owners don't expire");
                        assert_eq!(member.kind(), MemberKind::User, "a proxy is no owner");
                        owners.entry(host).or_default().insert(member);
                    }
                    if member.kind() == MemberKind::Org {
                        assert_eq!(record.role, None, "proxies have no role");
                    }
                }
                (RowKey::Link(host, id), Row::Link(link)) => {
                    assert_eq!((host, *id), (&link.host, link.id));
                    let active: Vec<Selector> = self
                        .records
                        .iter()
                        .filter_map(|(_, row)| match row {
                            Row::Token(token)
                                if token.subject.link() == Some(*id)
                                    && token.host == *host
                                    && token.valid_until.is_none() =>
                            {
                                Some(token.selector)
                            }
                            _ => None,
                        })
                        .collect();
                    let works = link.status == LinkStatus::Active && link.deleted_at.is_none();
                    let expected: Vec<Selector> = link.token.into_iter().collect();
                    assert_eq!(active, expected, "one active token");
                    assert_eq!(link.token.is_some(), works, "iff active and not deleted");
                    let tally = self.records.link_tally(host, *id);
                    let uses = link.config.max_uses.map(|_| self.uses(host, *id));
                    assert_eq!(tally, uses, "the tally is the number of uses");
                }
                (RowKey::Invite(host, id), Row::Invite(invite)) => {
                    assert_eq!((host, *id), (&invite.host, invite.id));
                    self.check_invite(invite);
                }
                (RowKey::Address(host, address), Row::Address(record)) => {
                    assert!(record.invite.is_some() || !record.members.is_empty());
                    if let Some(id) = record.invite {
                        let invite = self.records.invite(host, id).expect("it is there");
                        assert_eq!(invite.address, *address);
                        assert_eq!(invite.status, InviteStatus::Pending);
                    }
                    for user in &record.members {
                        let member = Member::User(user.clone());
                        let row = self.records.membership(host, &member).expect("a member");
                        assert_eq!(row.status, Some(Status::Approved));
                        assert_eq!(row.profile.email.as_ref(), Some(address));
                    }
                }
                (RowKey::Organization(host), Row::Organization(organization)) => {
                    let count = self.seats(host);
                    let seats = organization.settings.seats.map(|seats| {
                        count.approved
                            + if seats.count_pending {
                                count.pending
                            } else {
                                0
                            }
                    });
                    assert_eq!(self.records.seat_tally(host), seats, "seats are counted");
                }
                (RowKey::LinkUse(host, link, member), Row::LinkUse(held)) => {
                    let record = self.records.membership(host, member);
                    let pending = record.is_some_and(|record| {
                        record.status == Some(Status::Pending) && record.door.link() == Some(*link)
                    });
                    if held.state == UseState::Reserved {
                        assert!(pending, "a reserved use is held by a waiting request");
                    }
                }
                _ => {}
            }
        }
        for (key, row) in self.records.iter() {
            if let (RowKey::Owners(host), Row::Owners(row)) = (key, row) {
                let expected = owners.remove(host).unwrap_or_default();
                let row: BTreeSet<_> = row.iter().cloned().map(Member::User).collect();
                assert!(row.iter().eq(expected), "owners");
                assert!(
                    !had_owner.contains(host) || !row.is_empty(),
                    "the last owner"
                );
            }
        }
        assert!(owners.is_empty(), "owners that are not on record");
    }

    /// An invite has one active token while it is pending and none afterwards, and there are never
    /// two live ones for an address.
    fn check_invite(&self, invite: &EmailInvite) {
        let active: Vec<Selector> = self
            .records
            .iter()
            .filter_map(|(_, row)| match row {
                Row::Token(token)
                    if token.subject.invite() == Some(invite.id)
                        && token.host == invite.host
                        && token.valid_until.is_none() =>
                {
                    Some(token.selector)
                }
                _ => None,
            })
            .collect();
        let expected: Vec<Selector> = invite.token.into_iter().collect();
        assert_eq!(active, expected, "one active token");
        assert_eq!(
            invite.token.is_some(),
            invite.status == InviteStatus::Pending
        );
        assert_eq!(
            invite.closed.is_some(),
            invite.status != InviteStatus::Pending
        );
        // One that was noted as expired has given its address back; every other pending one, also
        // one that has run out since, holds it.
        let holds = self
            .records
            .address(&invite.host, &invite.address)
            .and_then(|record| record.invite)
            == Some(invite.id);
        let waits = invite.status == InviteStatus::Pending && invite.expired_at.is_none();
        assert_eq!(holds, waits, "one live invite for an address");
    }

    /// Whether a genuine token opens its link or invite at the time that a command would happen at.
    ///
    /// # Errors
    ///
    /// Why it doesn't.
    pub fn opens(&self, selector: Selector) -> Result<(), TokenProblem> {
        let mut now = self.now;
        let token = self.records.token(selector);
        let link = token.and_then(|token| self.records.link(&token.host, token.subject.link()?));
        let invite =
            token.and_then(|token| self.records.invite(&token.host, token.subject.invite()?));
        now = link.map_or(now, |link| now.max(link.updated_at));
        now = invite.map_or(now, |invite| now.max(invite.updated_at));
        let env = Env {
            now,
            roles: &self.roles,
            creator: &Stated::NOBODY,
        };
        let presented = presented(selector);
        if invite.is_some() {
            crate::invite::decide::open(&self.records, &presented, &env).map(|_| ())
        } else {
            crate::link::decide::open(&self.records, &presented, &env).map(|_| ())
        }
    }

    /// A token of this host: those that open something come first, then the newest.
    fn token_of(&mut self, host: &OrgId, number: u8, of_invite: bool) -> Selector {
        let here = self.records.iter().filter_map(|(_, row)| match row {
            Row::Token(row) if row.host == *host && row.subject.invite().is_some() == of_invite => {
                Some(row.selector)
            }
            _ => None,
        });
        let mut tokens: Vec<Selector> = here.collect();
        tokens.sort_by_key(|token| {
            (
                self.opens(*token).is_err(),
                core::cmp::Reverse(token.as_i64()),
            )
        });
        let token = tokens.get(usize::from(number)).copied();
        token.unwrap_or_else(|| self.draw(host).selector)
    }

    /// Does one step, and says what was asked and what came of it.
    pub fn step(&mut self, step: &Step) -> Stepped {
        let (host, actor, command) = self.spell(step);
        let outcome = self.run(&host, &actor, &command);
        Stepped {
            host,
            actor,
            command,
            outcome,
        }
    }

    /// Moves the clock as a step says, and gives its command, with ids and tokens that fit the
    /// world as it is.
    pub fn spell(&mut self, step: &Step) -> (OrgId, Actor, Command) {
        let micros = step.tick.saturating_mul(1_000_000);
        self.now = Timestamp::from_micros(self.now.as_micros().saturating_add(micros));
        let founds = matches!(&step.what, What::Plain(command)
            if matches!(**command, Command::Organization(OrganizationCommand::Register { .. }
                | OrganizationCommand::ReserveName { .. })));
        // Now and then an organization is founded that was not there.
        let host = match step.aim {
            Some(aim) if founds && aim % 2 == 0 => org(3),
            Some(_) | None => org(step.host),
        };
        let command = match step.what.clone() {
            What::Claim {
                member,
                token,
                genuine,
                answers,
            } => {
                // Now and then somebody tries an invite's token at the wrong door.
                let selector = self.token_of(&host, token, answers > 0 && token == 0);
                Command::Member(MemberCommand::Claim {
                    token: Presented { selector, genuine },
                    member,
                    profile: Profile::default(),
                    answers: vec!["an answer".to_owned(); answers],
                    proxy: self.draw_proxy(),
                })
            }
            What::Accept {
                member,
                token,
                genuine,
            } => Command::Member(MemberCommand::Accept {
                token: Presented {
                    selector: self.token_of(&host, token, token != 3),
                    genuine,
                },
                member,
                profile: Profile::default(),
                proxy: self.draw_proxy(),
            }),
            What::Decline { token } => Command::Invite(InviteCommand::Decline {
                token: presented(self.token_of(&host, token, true)),
            }),
            What::Ask { member, answers } => Command::Member(MemberCommand::Request {
                member,
                profile: Profile::default(),
                message: Some(Message::parse("Let me in.").expect("valid")),
                answers: vec!["an answer".to_owned(); answers],
                proxy: self.draw_proxy(),
            }),
            What::Send { invites, mode } => {
                let mut new = Vec::new();
                for (id, number, draft) in invites {
                    let address = address(number);
                    if new.iter().all(|new: &NewInvite| new.address != address) {
                        new.push(NewInvite {
                            id,
                            address,
                            draft,
                            sign_on: SignOn::Usual,
                            is_member: false,
                            token: self.draw(&host),
                        });
                    }
                }
                Command::Invite(InviteCommand::Send { invites: new, mode })
            }
            What::Resend { invite } => Command::Invite(InviteCommand::Resend {
                invite,
                token: self.draw(&host),
            }),
            What::Report { invite, sent } => {
                let generation = self
                    .records
                    .invite(&host, invite)
                    .map_or_else(Default::default, |invite| invite.generation);
                Command::Invite(InviteCommand::ReportDelivery {
                    reports: vec![DeliveryReport {
                        invite,
                        generation,
                        sent,
                    }],
                })
            }
            What::Add {
                member,
                gift,
                lasts,
            } => Command::Member(MemberCommand::Add {
                member,
                profile: Profile::default(),
                gift: Box::new(gift),
                expires_at: lasts.map(|lasts| self.now + lasts),
                proxy: self.draw_proxy(),
            }),
            What::Approve {
                member,
                gift,
                lasts,
                reinstate,
            } => Command::Member(MemberCommand::Approve {
                member,
                changes: Box::new(Changes {
                    gift,
                    expires_at: lasts.map(|lasts| self.now + lasts),
                    reinstate,
                }),
                proxy: self.draw_proxy(),
            }),
            What::Create {
                link,
                draft,
                as_default,
            } => Command::Link(LinkCommand::Create {
                link,
                draft: Box::new(draft),
                token: self.draw(&host),
                as_default,
            }),
            What::Refresh { link, overlap } => Command::Link(LinkCommand::Refresh {
                link,
                token: self.draw(&host),
                overlap,
            }),
            What::Enable { link } => Command::Link(LinkCommand::Enable {
                link,
                token: self.draw(&host),
            }),
            What::PauseFor(lasts) => Command::Organization(OrganizationCommand::PauseLinks {
                until: lasts.map_or(Pause::UntilResumed, |lasts| Pause::Until(self.now + lasts)),
            }),
            What::Plain(command) => *command,
        };
        let command = match step.aim {
            Some(aim) => self.aim(&host, aim.into(), command),
            None => command,
        };
        let actor = match &step.who {
            Who::System => Actor::system(),
            Who::Founder => founder(step.host),
            Who::Somebody(actor) => (**actor).clone(),
            Who::Fitting => fitting(step.host, &command),
        };
        // Whoever comes with an invite mostly has the address that it is for.
        let invited = command.presented().and_then(|token| {
            let token = self.records.token(token.selector)?;
            let invite = self.records.invite(&token.host, token.subject.invite()?)?;
            Some(invite.address.clone())
        });
        let actor = match step.email {
            Some(domain) => actor.with_verified_email(address(domain)),
            None => match invited {
                Some(invited) if !step.what.is_rude() => actor.with_verified_email(invited),
                Some(_) | None => actor,
            },
        };
        let mut command = command;
        if let Command::Member(
            MemberCommand::Claim { profile, .. }
            | MemberCommand::Accept { profile, .. }
            | MemberCommand::Request { profile, .. },
        ) = &mut command
        {
            profile.email = actor.emails().first().cloned();
        }
        (host, actor, command)
    }
}

impl World {
    /// The same command about a membership or a link that it fits, if there is one.
    fn aim(&self, host: &OrgId, aim: usize, mut command: Command) -> Command {
        match &mut command {
            Command::Member(command) => {
                let fits = |record: &Membership| match command {
                    MemberCommand::Approve { .. }
                    | MemberCommand::Reject { .. }
                    | MemberCommand::Block { .. }
                    | MemberCommand::Cancel { .. } => record.status == Some(Status::Pending),
                    MemberCommand::Remove { .. }
                    | MemberCommand::Leave { .. }
                    | MemberCommand::ChangeRole { .. } => {
                        record.status == Some(Status::Approved)
                            && (record.door != Door::Founded || aim.is_multiple_of(4))
                    }
                    MemberCommand::Expire { .. } => record.expires_at.is_some(),
                    MemberCommand::Unblock { .. } => record.block.is_some(),
                    MemberCommand::LiftRemoval { .. } => record.removed_at.is_some(),
                    MemberCommand::Claim { .. }
                    | MemberCommand::Request { .. }
                    | MemberCommand::Add { .. } => record.status != Some(Status::Approved),
                    MemberCommand::Accept { .. } | MemberCommand::Erase { .. } => true,
                    MemberCommand::RestrictActing { .. } => false,
                };
                let members: Vec<&Member> = self
                    .records
                    .iter()
                    .filter_map(|(_, row)| match row {
                        Row::Membership(row) if row.host == *host && fits(row) => Some(&row.member),
                        _ => None,
                    })
                    .collect();
                if let Some(found) = members.get(aim % members.len().max(1)) {
                    if let MemberCommand::Erase { invites, .. } = command {
                        let accepted = self.records.iter().filter_map(|(_, row)| match row {
                            Row::Invite(row) => row
                                .closed
                                .as_ref()
                                .is_some_and(|closed| closed.member.as_ref() == Some(found))
                                .then_some(row.id),
                            _ => None,
                        });
                        invites.extend(accepted);
                    }
                    if let MemberCommand::Claim { member, .. }
                    | MemberCommand::Accept { member, .. }
                    | MemberCommand::Request { member, .. }
                    | MemberCommand::Add { member, .. }
                    | MemberCommand::Approve { member, .. }
                    | MemberCommand::Reject { member, .. }
                    | MemberCommand::Remove { member, .. }
                    | MemberCommand::Cancel { member }
                    | MemberCommand::Leave { member }
                    | MemberCommand::ChangeRole { member, .. }
                    | MemberCommand::Block { member, .. }
                    | MemberCommand::Unblock { member }
                    | MemberCommand::LiftRemoval { member }
                    | MemberCommand::Expire { member }
                    | MemberCommand::Erase { member, .. } = command
                    {
                        *member = (*found).clone();
                    }
                }
            }
            Command::Link(command) => {
                let wants = match command {
                    LinkCommand::Enable { .. } => Some(LinkStatus::Disabled),
                    LinkCommand::Refresh { .. } | LinkCommand::Disable { .. } => {
                        Some(LinkStatus::Active)
                    }
                    LinkCommand::Create { .. }
                    | LinkCommand::Edit { .. }
                    | LinkCommand::Reveal { .. }
                    | LinkCommand::Expire { .. }
                    | LinkCommand::Delete { .. } => None,
                };
                let links: Vec<LinkId> = self
                    .records
                    .iter()
                    .filter_map(|(_, row)| match row {
                        Row::Link(row)
                            if row.host == *host
                                && row.deleted_at.is_none()
                                && wants.is_none_or(|wants| wants == row.status) =>
                        {
                            Some(row.id)
                        }
                        _ => None,
                    })
                    .collect();
                if let Some(found) = links.get(aim % links.len().max(1)) {
                    match command {
                        LinkCommand::Create { .. } => {}
                        LinkCommand::Refresh { link, .. }
                        | LinkCommand::Disable { link }
                        | LinkCommand::Enable { link, .. }
                        | LinkCommand::Edit { link, .. }
                        | LinkCommand::Reveal { link }
                        | LinkCommand::Expire { link }
                        | LinkCommand::Delete { link } => *link = *found,
                    }
                }
            }
            Command::Invite(command) => {
                let pending: Vec<InviteId> = self
                    .records
                    .iter()
                    .filter_map(|(_, row)| match row {
                        Row::Invite(row)
                            if row.host == *host
                                && matches!(
                                    row.phase(self.now),
                                    InvitePhase::Pending | InvitePhase::Expired
                                ) =>
                        {
                            Some(row.id)
                        }
                        _ => None,
                    })
                    .collect();
                if let Some(found) = pending.get(aim % pending.len().max(1)) {
                    match command {
                        InviteCommand::Resend { invite, .. }
                        | InviteCommand::Revoke { invite }
                        | InviteCommand::Expire { invite } => *invite = *found,
                        InviteCommand::Send { .. }
                        | InviteCommand::Decline { .. }
                        | InviteCommand::ReportDelivery { .. } => {}
                    }
                }
            }
            Command::Webhook(command) => {
                let endpoints: Vec<EndpointId> = self
                    .records
                    .iter()
                    .filter_map(|(_, row)| match row {
                        Row::Endpoint(row) if row.organization == *host => Some(row.id),
                        _ => None,
                    })
                    .collect();
                if let Some(found) = endpoints.get(aim % endpoints.len().max(1)) {
                    match command {
                        WebhookCommand::Create { .. } => {}
                        WebhookCommand::Edit { endpoint, .. }
                        | WebhookCommand::Rotate { endpoint, .. }
                        | WebhookCommand::Enable { endpoint }
                        | WebhookCommand::Disable { endpoint, .. }
                        | WebhookCommand::Delete { endpoint } => *endpoint = *found,
                    }
                }
            }
            Command::Access(command) => self.aim_access(host, aim, command),
            // A name is reserved first, and then the organization is registered under it.
            Command::Organization(asked) if *host == org(3) => {
                let reserve = OrganizationCommand::ReserveName { name: org_name(3) };
                match asked {
                    OrganizationCommand::Register { name, .. } => {
                        if self.records.name(&org_name(3)).is_some() {
                            *name = org_name(3);
                        } else {
                            *asked = reserve;
                        }
                    }
                    OrganizationCommand::ReserveName { .. } => *asked = reserve,
                    _ => {}
                }
            }
            Command::Organization(_) => {}
        }
        command
    }

    /// What is there is taken away and changed.
    fn aim_access(&self, host: &OrgId, aim: usize, command: &mut AccessCommand) {
        let book = self.book(host);
        let groups: Vec<GroupId> = book.groups().map(|group| group.id).collect();
        let inside: Vec<(GroupId, &GroupMember)> = groups
            .iter()
            .flat_map(|group| book.members_of(*group).map(move |member| (*group, member)))
            .collect();
        match command {
            AccessCommand::Revoke { grant } => {
                let grants: Vec<GrantId> = book.grants().map(|grant| grant.id).collect();
                if let Some(found) = grants.get(aim % grants.len().max(1)) {
                    *grant = *found;
                }
            }
            AccessCommand::RemoveFromGroup { group, member } => {
                let members = inside.iter().filter_map(|(group, entry)| match entry {
                    GroupMember::Member { member, .. } => Some((*group, member)),
                    GroupMember::Group(_) => None,
                });
                let members: Vec<_> = members.collect();
                if let Some((of, found)) = members.get(aim % members.len().max(1)) {
                    (*group, *member) = (*of, (*found).clone());
                }
            }
            AccessCommand::UnnestGroup { outer, inner } => {
                let nested = |outer: GroupId| book.outer_groups(outer).map(move |by| (by, outer));
                let nested: Vec<_> = groups.iter().copied().flat_map(nested).collect();
                if let Some(found) = nested.get(aim % nested.len().max(1)) {
                    (*outer, *inner) = *found;
                }
            }
            AccessCommand::NestGroup { outer, .. }
            | AccessCommand::AddToGroup { group: outer, .. } => {
                if let Some(found) = groups.get(aim % groups.len().max(1)) {
                    *outer = *found;
                }
            }
            AccessCommand::CreateGroup { .. }
            | AccessCommand::RenameGroup { .. }
            | AccessCommand::DeleteGroup { .. }
            | AccessCommand::MarkInternal { .. }
            | AccessCommand::SetExternalGroup(_)
            | AccessCommand::SetSharing(_)
            | AccessCommand::Grant { .. } => {}
        }
    }
}

/// An address of the small world.
#[must_use]
pub fn address(domain: u8) -> EmailAddress {
    EmailAddress::parse(&format!("ada@d{domain}.example")).expect("valid")
}

fn domain(number: u8) -> EmailDomain {
    EmailDomain::parse(&format!("d{number}.example")).expect("valid")
}

/// One thing done in a [`World`], in words that fit every world: which token is meant is found
/// out when it is done.
#[derive(Debug, Clone)]
pub struct Step {
    tick: i64,
    host: u8,
    aim: Option<u8>,
    who: Who,
    email: Option<u8>,
    what: What,
}

/// What a [`Step`] came to.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// The organization concerned.
    pub host: OrgId,
    /// Who did it.
    pub actor: Actor,
    /// What was asked.
    pub command: Command,
    /// What came of it.
    pub outcome: Result<Vec<Event>, CommandError>,
}

#[derive(Debug, Clone)]
enum Who {
    System,
    Founder,
    Fitting,
    Somebody(Box<Actor>),
}

#[derive(Debug, Clone)]
enum What {
    Claim {
        member: Member,
        token: u8,
        genuine: bool,
        answers: usize,
    },
    Add {
        member: Member,
        gift: Preset,
        lasts: Option<Duration>,
    },
    Approve {
        member: Member,
        gift: Option<Preset>,
        lasts: Option<Duration>,
        reinstate: bool,
    },
    Create {
        link: LinkId,
        draft: LinkDraft,
        as_default: bool,
    },
    Refresh {
        link: LinkId,
        overlap: Duration,
    },
    Enable {
        link: LinkId,
    },
    PauseFor(Option<Duration>),
    Accept {
        member: Member,
        token: u8,
        genuine: bool,
    },
    Decline {
        token: u8,
    },
    Ask {
        member: Member,
        answers: usize,
    },
    Send {
        invites: Vec<(InviteId, u8, InviteDraft)>,
        mode: Mode,
    },
    Resend {
        invite: InviteId,
    },
    Report {
        invite: InviteId,
        sent: bool,
    },
    Plain(Box<Command>),
}

impl What {
    /// Whether this comes with an address that nobody invited.
    const fn is_rude(&self) -> bool {
        matches!(self, Self::Accept { token: 2, .. })
    }
}

/// A user or an organization of the small world; one organization is not registered.
pub fn arb_member() -> impl Strategy<Value = Member> {
    prop_oneof![
        3 => (0_u8..5).prop_map(user_member),
        3 => (0_u8..3).prop_map(org_member),
        1 => Just(org_member(3)),
    ]
}

fn arb_lasting() -> impl Strategy<Value = Duration> {
    select(vec![1, 60, 3600, 86_400]).prop_map(Duration::from_secs)
}

fn arb_link_id() -> impl Strategy<Value = LinkId> {
    (1_u8..6).prop_map(link_id)
}

fn arb_group_id() -> impl Strategy<Value = GroupId> {
    (1_u8..5).prop_map(group_id)
}

fn arb_pattern() -> impl Strategy<Value = Pattern> {
    select(vec!["a/", "a/b/", "b", "a/b/c"])
        .prop_map(|text| Pattern::parse(text).expect("plain patterns are valid"))
}

fn arb_actions() -> impl Strategy<Value = ActionSet> {
    select(vec![
        ActionSet::of(&[Action::Read]),
        ActionSet::of(&[Action::Read, Action::Update]),
        ActionSet::of(&[Action::Read, Action::Share]),
        ActionSet::of(&[Action::PublicRead]),
    ])
}

fn arb_role() -> impl Strategy<Value = RoleName> {
    prop_oneof![8 => Just("member"), 8 => Just("admin"), 8 => Just("owner"), 1 => Just("nobody")]
        .prop_map(role)
}

/// Gifts, most of them small.
pub fn arb_preset() -> impl Strategy<Value = Preset> {
    let grants = (arb_actions(), arb_pattern())
        .prop_map(|(actions, pattern)| PresetGrant { actions, pattern });
    (
        proptest::option::of(arb_role()),
        proptest::collection::btree_set(arb_group_id(), 0..2),
        proptest::collection::vec(grants, 0..2),
    )
        .prop_map(|(role, groups, grants)| Preset {
            role,
            groups,
            grants,
        })
}

/// What is asked of new and of edited links.
pub fn arb_draft() -> impl Strategy<Value = LinkDraft> {
    let expiry = prop_oneof![
        2 => Just(Expiry::Never),
        4 => arb_lasting().prop_map(Expiry::After),
        1 => (0_i64..2_000_000).prop_map(|s| Expiry::At(Timestamp::from_micros(s * 1_000_000))),
    ];
    let uses = prop_oneof![4 => Just(Uses::Unlimited), 8 => (1_u64..4).prop_map(Uses::AtMost), 1 => Just(Uses::AtMost(0))];
    let lasting = prop_oneof![
        Just(Lasting::Always),
        arb_lasting().prop_map(Lasting::For),
        Just(Lasting::For(Duration::ZERO)),
    ];
    let approval = select(vec![
        None,
        Some(Approval::Review),
        Some(Approval::Auto),
        Some(Approval::Auto),
    ]);
    let kinds = select(vec![
        JoinedBy::Both,
        JoinedBy::Both,
        JoinedBy::Users,
        JoinedBy::Organizations,
    ]);
    let rarely =
        |of: BoxedStrategy<LinkDraft>| prop_oneof![8 => Just(LinkDraft::default()), 1 => of];
    let restrictions = prop_oneof![
        (0_u8..2).prop_map(|number| LinkDraft::default().allow_domain(domain(number))),
        arb_member().prop_map(|member| LinkDraft::default().allow_member(member)),
        Just(LinkDraft::default().question("Why?")),
    ];
    (
        approval,
        proptest::option::weighted(0.2, kinds),
        proptest::option::weighted(0.5, arb_preset()),
        proptest::option::weighted(0.3, expiry),
        proptest::option::weighted(0.5, uses),
        proptest::option::weighted(0.2, lasting),
        rarely(restrictions.boxed()),
        proptest::option::weighted(0.2, 0_u8..3),
    )
        .prop_map(
            |(approval, joined_by, preset, expiry, max_uses, membership_ttl, rest, label)| {
                LinkDraft {
                    approval,
                    joined_by,
                    preset,
                    expiry,
                    max_uses,
                    membership_ttl,
                    label: label.map(|n| Label::parse(&format!("label {n}")).expect("valid")),
                    ..rest
                }
            },
        )
}

/// What is asked of new invites.
pub fn arb_invite_draft() -> impl Strategy<Value = InviteDraft> {
    let expiry = prop_oneof![
        1 => Just(Expiry::Never),
        3 => arb_lasting().prop_map(Expiry::After),
    ];
    let kinds = select(vec![
        JoinedBy::Both,
        JoinedBy::Users,
        JoinedBy::Organizations,
    ]);
    let lasting = arb_lasting().prop_map(Lasting::For);
    (
        proptest::option::weighted(0.5, arb_preset()),
        proptest::option::weighted(0.5, expiry),
        proptest::option::weighted(0.5, kinds),
        proptest::option::weighted(0.1, lasting),
    )
        .prop_map(|(preset, expiry, joined_by, membership_ttl)| InviteDraft {
            joined_by,
            preset,
            expiry,
            membership_ttl,
            ..InviteDraft::default()
        })
}

fn arb_requests() -> impl Strategy<Value = Requests> {
    (any::<bool>(), any::<bool>(), arb_preset()).prop_map(|(open, asks, preset)| Requests {
        open,
        joined_by: JoinedBy::Both,
        questions: if asks {
            vec!["Why?".to_owned()]
        } else {
            Vec::new()
        },
        preset: Preset {
            // Settings that give what nobody may give are refused whole.
            groups: BTreeSet::new(),
            role: preset.role.filter(|role| role.as_str() != "nobody"),
            ..preset
        },
    })
}

/// How a host has it with invites and requests: lasting, addresses, second ones, discovery.
fn arb_invite_settings() -> impl Strategy<Value = (AddressCheck, SecondInvite, bool, Requests)> {
    (
        select(vec![
            AddressCheck::Exact,
            AddressCheck::Exact,
            AddressCheck::AnyVerified,
            AddressCheck::Bearer,
        ]),
        select(vec![SecondInvite::Refuse, SecondInvite::Replace]),
        proptest::bool::weighted(0.7),
        arb_requests(),
    )
}

/// What a host decides for its links and members.
pub fn arb_settings() -> impl Strategy<Value = Settings> {
    let joins = select(vec![
        Joins::LinkDecides,
        Joins::AlwaysReview,
        Joins::AlwaysAuto,
    ]);
    let after_rejection = prop_oneof![
        3 => Just(AfterRejection::Again),
        1 => arb_lasting().prop_map(AfterRejection::CoolDown),
        1 => Just(AfterRejection::NotThisLink),
        1 => Just(AfterRejection::InviteOnly),
    ];
    let standing = select(vec![
        Standing::Keep,
        Standing::MustBeMember,
        Standing::MustHoldRight,
    ]);
    let seats = (1_u64..5, any::<bool>()).prop_map(|(limit, count_pending)| Seats {
        limit: core::num::NonZeroU64::new(limit).expect("one at least"),
        count_pending,
    });
    (
        joins,
        after_rejection,
        standing,
        proptest::option::of(arb_lasting()),
        proptest::option::weighted(0.4, seats),
        prop_oneof![3 => Just(LinkDraft::default()), 1 => arb_draft()],
        proptest::option::weighted(0.1, arb_lasting()),
        arb_invite_settings(),
    )
        .prop_map(
            |(
                joins,
                after_rejection,
                standing,
                request_ttl,
                seats,
                link_defaults,
                max_link_lifetime,
                (address_check, second_invite, discoverable, requests),
            )| {
                Settings {
                    joins,
                    after_rejection,
                    standing,
                    request_ttl,
                    seats,
                    link_defaults,
                    max_link_lifetime,
                    address_check,
                    second_invite,
                    discoverable,
                    requests,
                    ..Settings::default()
                }
            },
        )
}

fn arb_member_command() -> impl Strategy<Value = MemberCommand> {
    prop_oneof![
        2 => arb_member().prop_map(|member| MemberCommand::Reject { member, reason: None }),
        2 => arb_member().prop_map(|member| MemberCommand::Remove { member, reason: None }),
        2 => arb_member().prop_map(|member| MemberCommand::Cancel { member }),
        2 => arb_member().prop_map(|member| MemberCommand::Leave { member }),
        2 => arb_member().prop_map(|member| MemberCommand::Expire { member }),
        2 => (arb_member(), arb_role())
            .prop_map(|(member, role)| MemberCommand::ChangeRole { member, role }),
        3 => arb_member().prop_map(|member| MemberCommand::Block { member, reason: None }),
        2 => arb_member().prop_map(|member| MemberCommand::Unblock { member }),
        1 => arb_member().prop_map(|member| MemberCommand::LiftRemoval { member }),
        1 => (arb_member(), proptest::collection::vec((1_u8..12).prop_map(invite_id), 0..3))
            .prop_map(|(member, invites)| MemberCommand::Erase {
                member,
                invites,
                logged: false,
            }),
        1 => (
            0_u8..3,
            proptest::option::of((0_u8..5, proptest::option::of(arb_group_id()))),
        )
            .prop_map(|(host, rule)| MemberCommand::RestrictActing {
                host: org(host),
                rule: rule.map(|(number, group)| ActingRule {
                    users: BTreeSet::from([user(number)]),
                    groups: group.into_iter().collect(),
                }),
            }),
    ]
}

fn arb_link_command() -> impl Strategy<Value = LinkCommand> {
    prop_oneof![
        1 => arb_link_id().prop_map(|link| LinkCommand::Disable { link }),
        1 => arb_link_id().prop_map(|link| LinkCommand::Delete { link }),
        2 => arb_link_id().prop_map(|link| LinkCommand::Expire { link }),
        1 => arb_link_id().prop_map(|link| LinkCommand::Reveal { link }),
        4 => (arb_link_id(), arb_draft()).prop_map(|(link, draft)| LinkCommand::Edit {
            link,
            draft: Box::new(draft),
        }),
    ]
}

fn arb_invite_command() -> impl Strategy<Value = InviteCommand> {
    let invite = || (1_u8..12).prop_map(invite_id);
    prop_oneof![
        2 => invite().prop_map(|invite| InviteCommand::Revoke { invite }),
        2 => invite().prop_map(|invite| InviteCommand::Expire { invite }),
    ]
}

fn arb_webhook_command() -> impl Strategy<Value = WebhookCommand> {
    let endpoint = || (1_u8..4).prop_map(|number| EndpointId::from_bytes([number; 16]));
    let url = || {
        select(vec![
            "https://a.example/in",
            "https://b.example/in",
            "http://localhost/in",
        ])
        .prop_map(|url| EndpointUrl::parse_insecure(url).expect("a plain url is valid"))
    };
    let events = || {
        let names = select(vec![
            "membership-approved".to_owned(),
            "link-created".to_owned(),
        ]);
        proptest::collection::btree_set(names, 0..2)
    };
    let secret = || (0_u32..4).prop_map(|generation| SecretVersion { key: 1, generation });
    let reason = select(vec![DisabledFor::Asked, DisabledFor::Gone]);
    prop_oneof![
        4 => (endpoint(), url(), events(), secret()).prop_map(|(endpoint, url, events, secret)| {
            WebhookCommand::Create { endpoint, url, label: None, events, secret }
        }),
        1 => (endpoint(), url(), events()).prop_map(|(endpoint, url, events)| {
            WebhookCommand::Edit { endpoint, url, label: None, events }
        }),
        1 => (endpoint(), secret(), select(vec![0, 60, 604_801])).prop_map(
            |(endpoint, secret, secs)| WebhookCommand::Rotate {
                endpoint,
                secret,
                overlap: Duration::from_secs(secs),
            }
        ),
        4 => endpoint().prop_map(|endpoint| WebhookCommand::Enable { endpoint }),
        3 => (endpoint(), reason)
            .prop_map(|(endpoint, reason)| WebhookCommand::Disable { endpoint, reason }),
        1 => endpoint().prop_map(|endpoint| WebhookCommand::Delete { endpoint }),
    ]
}

fn arb_organization_command() -> impl Strategy<Value = OrganizationCommand> {
    let name = || prop_oneof![2 => 2_u8..5, 1 => Just(3)].prop_map(org_name);
    prop_oneof![
        8 => arb_settings()
            .prop_map(|settings| OrganizationCommand::ChangeSettings { settings: Box::new(settings) }),
        4 => name().prop_map(|name| OrganizationCommand::ReserveName { name }),
        4 => (name(), proptest::option::of(3_u8..5), arb_settings()).prop_map(
            |(name, founder, settings)| OrganizationCommand::Register {
                name,
                display_name: None,
                founder: founder.map(user),
                founder_grant: None,
                settings: Box::new(settings),
            }
        ),
        1 => proptest::option::of(select(vec!["One", "Two"])).prop_map(|name| {
            OrganizationCommand::SetDisplayName {
                display_name: name.map(|name| DisplayName::parse(name).expect("valid")),
            }
        }),
        2 => Just(OrganizationCommand::Delete),
        6 => name().prop_map(|name| OrganizationCommand::Rename { name }),
        6 => Just(OrganizationCommand::ResumeLinks),
        1 => Just(OrganizationCommand::Suspend),
        12 => Just(OrganizationCommand::Resume),
    ]
}

fn arb_access_command() -> impl Strategy<Value = AccessCommand> {
    let grantee = prop_oneof![
        arb_member().prop_map(Grantee::Member),
        arb_group_id().prop_map(Grantee::Group),
        Just(Grantee::Organization(Audience::Everyone)),
        Just(Grantee::Organization(Audience::InternalUsers)),
    ];
    let ends = proptest::option::weighted(0.2, 900_000_i64..1_100_000);
    prop_oneof![
        2 => (arb_group_id(), 1_u8..4, any::<bool>()).prop_map(|(id, name, internal)| {
            AccessCommand::CreateGroup {
                id,
                name: GroupName::parse(&format!("group {name}")).expect("valid"),
                internal,
            }
        }),
        1 => (arb_group_id(), 1_u8..4).prop_map(|(group, name)| AccessCommand::RenameGroup {
            group,
            name: GroupName::parse(&format!("group {name}")).expect("valid"),
        }),
        1 => arb_group_id().prop_map(|group| AccessCommand::DeleteGroup { group }),
        2 => (arb_group_id(), arb_member())
            .prop_map(|(group, member)| AccessCommand::AddToGroup { group, member }),
        1 => (arb_group_id(), arb_member())
            .prop_map(|(group, member)| AccessCommand::RemoveFromGroup { group, member }),
        1 => (arb_group_id(), arb_group_id())
            .prop_map(|(outer, inner)| AccessCommand::NestGroup { outer, inner }),
        1 => (arb_group_id(), arb_group_id())
            .prop_map(|(outer, inner)| AccessCommand::UnnestGroup { outer, inner }),
        1 => (arb_group_id(), any::<bool>())
            .prop_map(|(group, internal)| AccessCommand::MarkInternal { group, internal }),
        1 => proptest::option::of(arb_group_id()).prop_map(AccessCommand::SetExternalGroup),
        1 => select(vec![Sharing::WithinOwn, Sharing::WithinNamespace, Sharing::OwnersOnly])
            .prop_map(AccessCommand::SetSharing),
        3 => ((1_u8..9).prop_map(grant_id), grantee, arb_actions(), arb_pattern(), ends).prop_map(
            |(id, to, actions, pattern, ends)| AccessCommand::Grant {
                id,
                to,
                actions,
                pattern,
                expires_at: ends.map(|seconds| Timestamp::from_micros(seconds * 1_000_000)),
            }
        ),
        1 => (1_u8..9).prop_map(|grant| AccessCommand::Revoke { grant: grant_id(grant) }),
    ]
}

fn arb_what() -> impl Strategy<Value = What> {
    let plain = |command: Command| What::Plain(Box::new(command));
    let lasts = || proptest::option::weighted(0.2, arb_lasting());
    let token = prop_oneof![4 => 0_u8..3, 1 => 0_u8..12];
    prop_oneof![
        20 => (arb_member(), token, proptest::bool::weighted(0.97), prop_oneof![9 => Just(0), 1 => Just(1_usize)])
            .prop_map(|(member, token, genuine, answers)| What::Claim {
                member,
                token,
                genuine,
                answers,
            }),
        3 => (arb_member(), arb_preset(), lasts())
            .prop_map(|(member, gift, lasts)| What::Add { member, gift, lasts }),
        7 => (
            arb_member(),
            proptest::option::weighted(0.3, arb_preset()),
            lasts(),
            proptest::bool::weighted(0.2),
        )
            .prop_map(|(member, gift, lasts, reinstate)| What::Approve {
                member,
                gift,
                lasts,
                reinstate,
            }),
        8 => (arb_link_id(), arb_draft(), proptest::bool::weighted(0.2)).prop_map(
            |(link, draft, as_default)| What::Create { link, draft, as_default }
        ),
        3 => (arb_link_id(), select(vec![0, 0, 60, 86_400, 86_401])).prop_map(|(link, secs)| {
            What::Refresh {
                link,
                overlap: Duration::from_secs(secs),
            }
        }),
        2 => arb_link_id().prop_map(|link| What::Enable { link }),
        8 => (
            proptest::collection::vec(
                ((1_u8..12).prop_map(invite_id), 0_u8..2, arb_invite_draft()),
                1..3,
            ),
            select(vec![Mode::EachOnItsOwn, Mode::AllOrNothing]),
        )
            .prop_map(|(invites, mode)| What::Send { invites, mode }),
        10 => (arb_member(), 0_u8..4, proptest::bool::weighted(0.97)).prop_map(
            |(member, token, genuine)| What::Accept { member, token, genuine }
        ),
        1 => (0_u8..3).prop_map(|token| What::Decline { token }),
        4 => (arb_member(), 0_usize..2).prop_map(|(member, answers)| What::Ask { member, answers }),
        2 => (1_u8..12).prop_map(|invite| What::Resend { invite: invite_id(invite) }),
        1 => ((1_u8..12).prop_map(invite_id), any::<bool>())
            .prop_map(|(invite, sent)| What::Report { invite, sent }),
        2 => arb_invite_command().prop_map(move |command| plain(Command::Invite(command))),
        1 => proptest::option::weighted(0.9, Just(Duration::from_secs(2))).prop_map(What::PauseFor),
        10 => arb_member_command().prop_map(move |command| plain(Command::Member(command))),
        3 => arb_link_command().prop_map(move |command| plain(Command::Link(command))),
        5 => arb_organization_command()
            .prop_map(move |command| plain(Command::Organization(command))),
        6 => arb_access_command().prop_map(move |command| plain(Command::Access(command))),
        4 => arb_webhook_command().prop_map(move |command| plain(Command::Webhook(command))),
    ]
}

/// One step: somebody, mostly with the rights for it, does something to an organization at about
/// the same time as before, later, or by a clock that stepped back.
pub fn arb_step() -> impl Strategy<Value = Step> {
    let somebody = (
        0_u8..5,
        proptest::option::of(0_u8..4),
        proptest::option::of(arb_role()),
    )
        .prop_map(|(number, organization, role)| {
            let mut actor = Actor::user(user(number));
            if let Some(organization) = organization {
                actor = actor.in_organization(org(organization));
            }
            if let Some(role) = role {
                actor = actor.with_role(role);
            }
            Who::Somebody(Box::new(actor))
        });
    let who = prop_oneof![
        9 => Just(Who::Fitting),
        1 => Just(Who::Founder),
        1 => Just(Who::System),
        2 => somebody,
    ];
    let tick = prop_oneof![
        6 => 0_i64..3,
        2 => select(vec![59, 61, 3_601, 86_401]),
        1 => select(vec![-1, -60, -3_600, -100_000]),
    ];
    // A clock that is off by a year, by ten years, or by all there is.
    let jump = select(vec![
        -31_536_000,
        31_536_000,
        315_360_000,
        i64::MIN,
        i64::MAX,
    ]);
    let tick = prop_oneof![400 => tick, 1 => jump];
    let host = prop_oneof![12 => Just(0), 2 => Just(1), 1 => 2_u8..4];
    let email = proptest::option::weighted(0.3, 0_u8..2);
    let aim = proptest::option::weighted(0.9, any::<u8>());
    (tick, host, aim, who, email, arb_what()).prop_map(|(tick, host, aim, who, email, what)| Step {
        tick,
        host,
        aim,
        who,
        email,
        what,
    })
}
