//! What must hold of every state, whatever was done before.
//!
//! [`check`] looks at rows as a store keeps them, and at the log if there is one, and names every
//! [`Violation`] with the rows concerned. It decides nothing and repairs nothing. An embedder runs
//! it in property tests and after crashes, over what its own store gave back.
//!
//! Not here is what types hold already: a pattern or a key that breaks the grammar, a link with no
//! uses, an event with a digest can't be made at all.
//!
//! ```
//! use guestlist_membership::testing::World;
//! use guestlist_testkit::invariants::{State, check};
//!
//! let world = World::populated();
//! let state = State::of_rows(world.records(), &world.roles).with_log(world.log());
//! assert_eq!(check(&state), []);
//! ```

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::{Action, ActionSet, GroupMember, RoleCatalog, Subject};
use guestlist_membership::invite::{EmailInvite, InviteEvent, InviteStatus};
use guestlist_membership::link::{Link, LinkEvent, LinkStatus, TokenSubject, UseState};
use guestlist_membership::member::{Membership, Status};
use guestlist_membership::{Event, Records, Row, RowKey, Stamp, evolve};
use guestlist_token::Selector;
use guestlist_types::{GroupId, LinkId, Member, MemberKind, OrgId, Timestamp, UserId};

/// A state to be checked.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    rows: &'a Records,
    roles: &'a RoleCatalog,
    log: Option<&'a [(OrgId, Stamp, Event)]>,
}

impl<'a> State<'a> {
    /// These rows: all of a store, or all of some organizations.
    #[must_use]
    pub const fn of_rows(rows: &'a Records, roles: &'a RoleCatalog) -> Self {
        Self {
            rows,
            roles,
            log: None,
        }
    }

    /// With the log that led to them, from the beginning and in its order.
    #[must_use]
    pub const fn with_log(mut self, log: &'a [(OrgId, Stamp, Event)]) -> Self {
        self.log = Some(log);
        self
    }
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// A row says the same as the key that it is kept under.
    KeyNamesRow,
    /// The name of an organization leads to it.
    NameLeadsBack,
    /// A link has one active token while it takes claims, and none otherwise; an e-mail invite has
    /// one while it waits.
    OneActiveToken,
    /// A token is of a link or an invite that is there.
    TokenHasSubject,
    /// The counter of a limited link is the number of its uses, and others have no counter.
    UsesCounted,
    /// A reserved use is held by a request that waits and came through that link.
    ReservedUseWaits,
    /// A link ends after it was made.
    LinkEndsLater,
    /// An ended membership says how it ended, and no other does.
    EndedSaysHow,
    /// Nobody is a member of itself.
    NotOwnMember,
    /// A member organization has a proxy user from its first approval on, and no role; a user has
    /// none.
    ProxyFollowsApproval,
    /// A proxy user stands for one membership, and its name is its own in the host.
    ProxyIsUnique,
    /// Nothing counts or was given in an episode that hasn't come yet.
    EpisodesInOrder,
    /// The owners on record are the approved members with the owner role, at least one.
    OwnersOnRecord,
    /// The membership of an owner is not limited in time.
    OwnersStay,
    /// The counter of seats is the number of members that hold one, where there is a limit.
    SeatsCounted,
    /// An invite that waits holds its address, alone.
    OneLiveInvite,
    /// An invite that was answered or taken back says how, and no other does.
    ClosedSaysHow,
    /// A member that is found by an address is approved and has that address.
    AddressLeadsToMember,
    /// A grant gives something.
    GrantGives,
    /// No outsider is given `share` or `public_read`.
    OutsiderCeiling,
    /// No outsider was put into an internal group, by any path.
    InternalKeepsOut,
    /// Groups don't contain themselves, by any path.
    GroupsAcyclic,
    /// Members, grants and the external group name groups that are there.
    GroupsExist,
    /// No two groups of an organization have the same name.
    GroupNamesUnique,
    /// Nothing changed last before it was made.
    TimesInOrder,
    /// The log, folded, gives the rows, but for digests and sealed tokens, which no event holds.
    LogFolds,
    /// The times in the log never go back for one membership, link or invite.
    LogInOrder,
    /// No token is issued twice.
    TokensNew,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Self; 28] = [
        Self::KeyNamesRow,
        Self::NameLeadsBack,
        Self::OneActiveToken,
        Self::TokenHasSubject,
        Self::UsesCounted,
        Self::ReservedUseWaits,
        Self::LinkEndsLater,
        Self::EndedSaysHow,
        Self::NotOwnMember,
        Self::ProxyFollowsApproval,
        Self::ProxyIsUnique,
        Self::EpisodesInOrder,
        Self::OwnersOnRecord,
        Self::OwnersStay,
        Self::SeatsCounted,
        Self::OneLiveInvite,
        Self::ClosedSaysHow,
        Self::AddressLeadsToMember,
        Self::GrantGives,
        Self::OutsiderCeiling,
        Self::InternalKeepsOut,
        Self::GroupsAcyclic,
        Self::GroupsExist,
        Self::GroupNamesUnique,
        Self::TimesInOrder,
        Self::LogFolds,
        Self::LogInOrder,
        Self::TokensNew,
    ];
}

/// Something that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// What doesn't.
    pub invariant: Invariant,
    /// The rows concerned.
    pub rows: Vec<RowKey>,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} ({:?})", self.invariant, self.found, self.rows)
    }
}

/// Everything that doesn't hold of a state.
#[must_use]
pub fn check(state: &State<'_>) -> Vec<Violation> {
    let mut case = Case {
        rows: state.rows,
        roles: state.roles,
        facts: Facts::of(state.rows),
        found: Vec::new(),
    };
    for (key, row) in state.rows.iter() {
        case.row(key, row);
    }
    case.everywhere();
    if let Some(log) = state.log {
        case.log(log);
    }
    case.found
}

/// What is asked of many rows.
#[derive(Default)]
struct Facts<'a> {
    active: BTreeMap<(&'a OrgId, TokenSubject), Vec<Selector>>,
    uses: BTreeMap<(&'a OrgId, LinkId), u64>,
    seats: BTreeMap<&'a OrgId, (u64, u64)>,
    owners: BTreeMap<&'a OrgId, BTreeSet<&'a UserId>>,
    /// The groups that directly contain a group.
    outer: BTreeMap<(&'a OrgId, GroupId), BTreeSet<GroupId>>,
}

impl<'a> Facts<'a> {
    fn of(rows: &'a Records) -> Self {
        let mut facts = Self::default();
        for (key, row) in rows.iter() {
            match (key, row) {
                (RowKey::Token(_), Row::Token(token)) if token.valid_until.is_none() => {
                    let of = facts.active.entry((&token.host, token.subject));
                    of.or_default().push(token.selector);
                }
                (RowKey::LinkUse(host, link, _), Row::LinkUse(held)) => {
                    let uses = facts.uses.entry((host, *link)).or_default();
                    *uses += u64::from(held.state.counts());
                }
                (RowKey::Membership(host, _), Row::Membership(row)) => {
                    let seats = facts.seats.entry(host).or_default();
                    seats.0 += u64::from(row.status == Some(Status::Pending));
                    seats.1 += u64::from(row.status == Some(Status::Approved));
                }
                (RowKey::GroupMember(host, outer, GroupMember::Group(inner)), _) => {
                    let groups = facts.outer.entry((host, *inner));
                    groups.or_default().insert(*outer);
                }
                _ => {}
            }
        }
        facts
    }

    /// A group and all that contain it.
    fn around(&self, host: &OrgId, group: GroupId) -> BTreeSet<GroupId> {
        let mut found = BTreeSet::from([group]);
        let mut next = vec![group];
        while let Some(inner) = next.pop() {
            for outer in self.outer.get(&(host, inner)).into_iter().flatten() {
                if found.insert(*outer) {
                    next.push(*outer);
                }
            }
        }
        found
    }
}

struct Case<'a> {
    rows: &'a Records,
    roles: &'a RoleCatalog,
    facts: Facts<'a>,
    found: Vec<Violation>,
}

const NEVER_TO_OUTSIDERS: ActionSet = ActionSet::of(&[Action::Share, Action::PublicRead]);

impl<'a> Case<'a> {
    fn holds(
        &mut self,
        holds: bool,
        invariant: Invariant,
        rows: &[&RowKey],
        found: impl FnOnce() -> String,
    ) {
        if !holds {
            self.found.push(Violation {
                invariant,
                rows: rows.iter().copied().cloned().collect(),
                found: found(),
            });
        }
    }

    fn row(&mut self, key: &'a RowKey, row: &'a Row) {
        let named = match (key, row) {
            (RowKey::Organization(id), Row::Organization(row)) => row.id == *id,
            (RowKey::Link(host, id), Row::Link(row)) => (&row.host, row.id) == (host, *id),
            (RowKey::Invite(host, id), Row::Invite(row)) => (&row.host, row.id) == (host, *id),
            (RowKey::Token(selector), Row::Token(row)) => row.selector == *selector,
            (RowKey::Membership(host, member), Row::Membership(row)) => {
                (&row.host, &row.member) == (host, member)
            }
            (RowKey::Group(_, id), Row::Group(row)) => row.id == *id,
            (RowKey::Grant(_, id), Row::Grant(row)) => row.id == *id,
            (RowKey::Endpoint(host, id), Row::Endpoint(row)) => {
                (&row.organization, row.id) == (host, *id)
            }
            (RowKey::Name(_), Row::Name(_))
            | (RowKey::Owners(_), Row::Owners(_))
            | (
                RowKey::SeatTally(_) | RowKey::LinkTally(..) | RowKey::PreviewTally(..),
                Row::Tally(_),
            )
            | (RowKey::AccessHead(_), Row::AccessHead(_))
            | (RowKey::LinkUse(..), Row::LinkUse(_))
            | (RowKey::Address(..), Row::Address(_))
            | (RowKey::Acting(..), Row::Acting(_))
            | (RowKey::GroupMember(..), Row::GroupMember)
            | (RowKey::Consumer(_), Row::Consumer(_))
            | (RowKey::Parked(..), Row::Parked(_))
            | (RowKey::UseCount(..), Row::UseCount(_))
            | (RowKey::SeatCount(_), Row::SeatCount(_)) => true,
            _ => false,
        };
        self.holds(named, Invariant::KeyNamesRow, &[key], || format!("{row:?}"));
        if !named {
            return;
        }
        match (key, row) {
            (RowKey::Organization(id), Row::Organization(row)) => {
                let holder = self.rows.name(&row.name).map(|name| &name.organization);
                let name = RowKey::Name(row.name.clone());
                self.holds(
                    holder == Some(id),
                    Invariant::NameLeadsBack,
                    &[key, &name],
                    || format!("it leads to {holder:?}"),
                );
                self.in_order(key, row.created_at, row.updated_at);
                let taken = self.facts.seats.get(id).copied().unwrap_or_default();
                let seats = row.settings.seats.map(|seats| {
                    let pending = if seats.count_pending { taken.0 } else { 0 };
                    taken.1 + pending
                });
                let tally = self.rows.seat_tally(id);
                let counter = RowKey::SeatTally(id.clone());
                self.holds(
                    tally == seats,
                    Invariant::SeatsCounted,
                    &[key, &counter],
                    || format!("{tally:?} instead of {seats:?}"),
                );
            }
            (RowKey::Link(host, id), Row::Link(row)) => self.link(key, host, *id, row),
            (RowKey::Invite(host, id), Row::Invite(row)) => {
                let subject = TokenSubject::Invite(*id);
                let waits = row.status == InviteStatus::Pending;
                self.one_token(key, (host, subject), row.token, waits);
                self.invite(key, row);
            }
            (RowKey::Token(_), Row::Token(row)) => {
                let subject = match row.subject {
                    TokenSubject::Link(id) => RowKey::Link(row.host.clone(), id),
                    TokenSubject::Invite(id) => RowKey::Invite(row.host.clone(), id),
                };
                let there = self.rows.get(&subject).is_some();
                self.holds(there, Invariant::TokenHasSubject, &[key], || {
                    format!("there is no {subject:?}")
                });
            }
            (RowKey::LinkUse(host, link, member), Row::LinkUse(held)) => {
                let record = self.rows.membership(host, member);
                let waits = record.is_some_and(|record| {
                    record.status == Some(Status::Pending) && record.door.link() == Some(*link)
                });
                let holds = held.state != UseState::Reserved || waits;
                let membership = RowKey::Membership(host.clone(), member.clone());
                self.holds(
                    holds,
                    Invariant::ReservedUseWaits,
                    &[key, &membership],
                    || {
                        format!(
                            "the membership is {:?}",
                            record.and_then(|record| record.status)
                        )
                    },
                );
            }
            (RowKey::Membership(host, member), Row::Membership(row)) => {
                self.membership(key, host, member, row);
            }
            (RowKey::Address(host, address), Row::Address(row)) => {
                if let Some(id) = row.invite {
                    let invite = self.rows.invite(host, id);
                    let holds = invite.is_some_and(|invite| {
                        invite.address == *address && invite.status == InviteStatus::Pending
                    });
                    let other = RowKey::Invite(host.clone(), id);
                    self.holds(holds, Invariant::OneLiveInvite, &[key, &other], || {
                        format!("the invite is {:?}", invite.map(|invite| invite.status))
                    });
                }
                for user in &row.members {
                    let member = Member::User(user.clone());
                    let record = self.rows.membership(host, &member);
                    let holds = record.is_some_and(|record| {
                        record.status == Some(Status::Approved)
                            && record.profile.email.as_ref() == Some(address)
                    });
                    let other = RowKey::Membership(host.clone(), member);
                    self.holds(
                        holds,
                        Invariant::AddressLeadsToMember,
                        &[key, &other],
                        || {
                            format!(
                                "the member is {:?}",
                                record.and_then(|record| record.status)
                            )
                        },
                    );
                }
            }
            (RowKey::AccessHead(host), Row::AccessHead(head)) => {
                if let Some(group) = head.external_group {
                    self.group_exists(key, host, group);
                    self.keeps_out(key, host, group);
                }
            }
            (RowKey::GroupMember(host, group, entry), Row::GroupMember) => {
                self.group_exists(key, host, *group);
                match entry {
                    GroupMember::Group(inner) => {
                        self.group_exists(key, host, *inner);
                        let around = self.facts.around(host, *group);
                        let cycle = around.contains(inner);
                        self.holds(!cycle, Invariant::GroupsAcyclic, &[key], || {
                            format!("{inner} contains {group}")
                        });
                    }
                    GroupMember::Member { member, episode } => {
                        self.episode_came(key, host, member, episode.get());
                        if member.kind() == MemberKind::Org {
                            self.keeps_out(key, host, *group);
                        }
                    }
                }
            }
            (RowKey::Grant(host, _), Row::Grant(grant)) => {
                self.holds(
                    !grant.actions.is_empty(),
                    Invariant::GrantGives,
                    &[key],
                    || "it has no action".to_owned(),
                );
                match &grant.subject {
                    Subject::Organization(_) => {}
                    Subject::Group(group) => self.group_exists(key, host, *group),
                    Subject::Member { member, episode } => {
                        self.episode_came(key, host, member, episode.get());
                        self.outsider(key, member, grant.actions);
                    }
                }
            }
            (RowKey::Endpoint(..), Row::Endpoint(row)) => {
                self.in_order(key, row.created_at, row.updated_at);
            }
            _ => {}
        }
    }

    fn link(&mut self, key: &RowKey, host: &'a OrgId, id: LinkId, row: &Link) {
        let takes_claims = row.status == LinkStatus::Active && row.deleted_at.is_none();
        self.one_token(key, (host, TokenSubject::Link(id)), row.token, takes_claims);
        let counted = self
            .facts
            .uses
            .get(&(host, id))
            .copied()
            .unwrap_or_default();
        let uses = row.config.max_uses.map(|_| counted);
        let tally = self.rows.link_tally(host, id);
        let tally_row = RowKey::LinkTally(host.clone(), id);
        self.holds(
            tally == uses,
            Invariant::UsesCounted,
            &[key, &tally_row],
            || format!("{tally:?} instead of {uses:?}"),
        );
        let end = row.config.expires_at;
        let later = end.is_none_or(|end| end > row.created_at);
        self.holds(later, Invariant::LinkEndsLater, &[key], || {
            format!("made at {}, ends at {end:?}", row.created_at)
        });
        self.in_order(key, row.created_at, row.updated_at);
    }

    fn one_token(
        &mut self,
        key: &RowKey,
        subject: (&'a OrgId, TokenSubject),
        token: Option<Selector>,
        open: bool,
    ) {
        let active = self.facts.active.get(&subject).cloned().unwrap_or_default();
        let own: Vec<Selector> = token.into_iter().collect();
        let holds = active == own && token.is_some() == open;
        self.holds(holds, Invariant::OneActiveToken, &[key], || {
            format!("{active:?} are active, {token:?} is its token")
        });
    }

    fn invite(&mut self, key: &RowKey, row: &EmailInvite) {
        let closed = row.status != InviteStatus::Pending;
        self.holds(
            row.closed.is_some() == closed,
            Invariant::ClosedSaysHow,
            &[key],
            || format!("{:?} and {:?}", row.status, row.closed),
        );
        let holder = self.rows.address(&row.host, &row.address);
        let holder = holder.and_then(|known| known.invite);
        let waits = !closed && row.expired_at.is_none();
        let address = RowKey::Address(row.host.clone(), row.address.clone());
        let holds = (holder == Some(row.id)) == waits;
        // An address that leads to something closed is told of with the address.
        if waits || row.closed.is_none() {
            self.holds(holds, Invariant::OneLiveInvite, &[key, &address], || {
                format!("the address is held by {holder:?}")
            });
        }
        self.in_order(key, row.created_at, row.updated_at);
    }

    fn membership(&mut self, key: &RowKey, host: &'a OrgId, member: &'a Member, row: &Membership) {
        let own = *member == Member::Org(host.clone());
        self.holds(!own, Invariant::NotOwnMember, &[key], || host.to_string());
        let ended = matches!(
            row.status,
            Some(Status::Rejected | Status::Removed | Status::Cancelled)
        );
        let cause = row.ended.as_ref().map(|ended| ended.cause.status());
        let says = if ended {
            cause == row.status
        } else {
            cause.is_none()
        };
        self.holds(says, Invariant::EndedSaysHow, &[key], || {
            format!("{:?} and {:?}", row.status, row.ended)
        });
        let approved = row.status == Some(Status::Approved);
        let proxied = match member.kind() {
            MemberKind::User => row.proxy.is_none(),
            MemberKind::Org => (row.proxy.is_some() || !approved) && row.role.is_none(),
        };
        self.holds(proxied, Invariant::ProxyFollowsApproval, &[key], || {
            format!("{:?}, {:?}, {:?}", row.status, row.proxy, row.role)
        });
        let in_order = row.access_since <= row.episode
            && (row.status.is_none() == (row.episode == guestlist_access::Episode::NONE));
        self.holds(in_order, Invariant::EpisodesInOrder, &[key], || {
            format!("from {:?} to {:?}", row.access_since, row.episode)
        });
        for grant in &row.grants {
            self.holds(
                !grant.actions.is_empty(),
                Invariant::GrantGives,
                &[key],
                || "a preset grant has no action".to_owned(),
            );
            if approved {
                self.outsider(key, member, grant.actions);
            }
        }
        let owner = row
            .role
            .as_ref()
            .is_some_and(|role| self.roles.is_owner(role));
        if let (true, true, Member::User(user)) = (owner, approved, member) {
            self.facts.owners.entry(host).or_default().insert(user);
            self.holds(
                row.expires_at.is_none(),
                Invariant::OwnersStay,
                &[key],
                || format!("until {:?}", row.expires_at),
            );
        }
        self.in_order(key, row.opened_at, row.updated_at);
    }

    fn in_order(&mut self, key: &RowKey, first: Timestamp, last: Timestamp) {
        self.holds(first <= last, Invariant::TimesInOrder, &[key], || {
            format!("made at {first}, changed at {last}")
        });
    }

    fn outsider(&mut self, key: &RowKey, member: &Member, actions: ActionSet) {
        let given = actions.intersection(NEVER_TO_OUTSIDERS);
        let holds = member.kind() == MemberKind::User || given.is_empty();
        self.holds(holds, Invariant::OutsiderCeiling, &[key], || {
            given.to_string()
        });
    }

    fn episode_came(&mut self, key: &RowKey, host: &OrgId, member: &Member, episode: u32) {
        let record = self.rows.membership(host, member);
        let current = record.map_or(0, |record| record.episode.get());
        self.holds(
            episode <= current,
            Invariant::EpisodesInOrder,
            &[key],
            || format!("given in episode {episode}, now is {current}"),
        );
    }

    fn group_exists(&mut self, key: &RowKey, host: &OrgId, group: GroupId) {
        let row = RowKey::Group(host.clone(), group);
        let there = self.rows.get(&row).is_some();
        self.holds(there, Invariant::GroupsExist, &[key], || {
            format!("there is no {group}")
        });
    }

    fn keeps_out(&mut self, key: &RowKey, host: &OrgId, group: GroupId) {
        let around = self.facts.around(host, group);
        let internal = around.into_iter().find(|group| {
            let row = self.rows.get(&RowKey::Group(host.clone(), *group));
            matches!(row, Some(Row::Group(group)) if group.internal)
        });
        self.holds(
            internal.is_none(),
            Invariant::InternalKeepsOut,
            &[key],
            || format!("{internal:?} is internal"),
        );
    }

    /// What is asked of several rows together.
    fn everywhere(&mut self) {
        let mut proxies = BTreeMap::new();
        let mut proxy_names = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for (key, row) in self.rows.iter() {
            let twice = match row {
                Row::Membership(row) => {
                    let Some(proxy) = &row.proxy else { continue };
                    let name = (&row.host, proxy.user_name.clone());
                    let first = proxies.insert(proxy.id, key);
                    first
                        .or(proxy_names.insert(name, key))
                        .map(|other| (Invariant::ProxyIsUnique, other, format!("{proxy:?}")))
                }
                Row::Group(row) => {
                    let name = (key.organization(), row.name.clone());
                    let other = groups.insert(name, key);
                    other.map(|other| (Invariant::GroupNamesUnique, other, row.name.to_string()))
                }
                Row::Owners(row) => {
                    let host = key.organization();
                    let known = host.and_then(|host| self.facts.owners.get(host));
                    let known = known.cloned().unwrap_or_default();
                    let same = row.iter().collect::<BTreeSet<_>>() == known && !known.is_empty();
                    (!same).then(|| {
                        let found = format!("{row:?} instead of {known:?}");
                        (Invariant::OwnersOnRecord, key, found)
                    })
                }
                _ => None,
            };
            if let Some((invariant, other, found)) = twice {
                self.holds(false, invariant, &[key, other], || found);
            }
        }
        let unlisted: Vec<&OrgId> = self
            .facts
            .owners
            .keys()
            .copied()
            .filter(|host| self.rows.owners(host).is_none())
            .collect();
        for host in unlisted {
            let row = RowKey::Owners(host.clone());
            self.holds(false, Invariant::OwnersOnRecord, &[&row], || {
                "there is no record of owners".to_owned()
            });
        }
    }

    fn log(&mut self, log: &[(OrgId, Stamp, Event)]) {
        let mut folded = Records::new();
        let mut issued = BTreeSet::new();
        let mut last: BTreeMap<RowKey, Timestamp> = BTreeMap::new();
        for (host, stamp, event) in log {
            evolve(&mut folded, host, stamp, event);
            for selector in selectors(event) {
                self.holds(issued.insert(selector), Invariant::TokensNew, &[], || {
                    format!("{selector:?} in {}", event.name())
                });
            }
            let about = match event {
                Event::Member(event) => {
                    let member = event.member().cloned();
                    member.map(|member| RowKey::Membership(host.clone(), member))
                }
                Event::Link(event) => Some(RowKey::Link(host.clone(), event.link())),
                Event::Invite(event) => Some(RowKey::Invite(host.clone(), event.invite())),
                Event::Organization(_) | Event::Access(_) | Event::Webhook(_) => None,
            };
            if let Some(about) = about {
                let before = last.insert(about.clone(), stamp.at);
                let holds = before.is_none_or(|before| before <= stamp.at);
                self.holds(holds, Invariant::LogInOrder, &[&about], || {
                    format!("{} at {} after {before:?}", event.name(), stamp.at)
                });
            }
        }
        let kept: BTreeMap<&RowKey, Row> = logged(self.rows);
        let told: BTreeMap<&RowKey, Row> = logged(&folded);
        let keys: BTreeSet<&RowKey> = kept.keys().chain(told.keys()).copied().collect();
        for key in keys {
            let (kept, told) = (kept.get(key), told.get(key));
            self.holds(kept == told, Invariant::LogFolds, &[key], || {
                format!("{kept:?} instead of {told:?}")
            });
        }
    }
}

/// The tokens that an event issues.
fn selectors(event: &Event) -> Vec<Selector> {
    match event {
        Event::Link(LinkEvent::Created(link)) => link.token.into_iter().collect(),
        Event::Link(
            LinkEvent::Refreshed { selector, .. } | LinkEvent::Enabled { selector, .. },
        )
        | Event::Invite(InviteEvent::Resent { selector, .. }) => vec![*selector],
        Event::Invite(InviteEvent::Sent(invite)) => invite.token.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The rows that a log leads to, without what no event holds.
fn logged(rows: &Records) -> BTreeMap<&RowKey, Row> {
    rows.iter()
        .filter(|(key, _)| {
            !matches!(
                key,
                RowKey::PreviewTally(..) | RowKey::Consumer(_) | RowKey::Parked(..)
            ) && !key.is_counted()
        })
        .map(|(key, row)| {
            let mut row = row.clone();
            if let Row::Token(token) = &mut row {
                token.tag = None;
                token.sealed = None;
            }
            (key, row)
        })
        .collect()
}
