//! Everything that can be seen of a store, and everything that its log says should be seen.

use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::{AccessBook, AccessChange};
use guestlist_membership::invite::InvitePhase;
use guestlist_membership::link::{Generation, LinkStatus};
use guestlist_membership::member::Status;
use guestlist_membership::{
    Fact, InviteRef, LinkRef, Records, Row, RowKey, Scope, SeatCount, evolve,
};
use guestlist_token::{PepperId, Selector};
use guestlist_types::{
    EmailAddress, LinkId, Member, MemberKind, OrgId, OrgName, Timestamp, UserId,
};

use super::Fixture;
use super::harness::{Harness, consumer, org};
use super::world::CONSUMER;
use crate::commit::Write;
use crate::event::{EventFilter, Recorded};
use crate::query::{InviteFilter, MemberFilter, Query};
use crate::snapshot::Revision;
use crate::store::Store;

/// What can be seen of a store.
#[derive(Debug, PartialEq)]
pub(super) struct Observed {
    events: Vec<Recorded>,
    rows: BTreeMap<RowKey, (Revision, Option<Row>)>,
    books: BTreeMap<OrgId, AccessBook>,
    lists: Vec<(Query, Vec<(RowKey, Row)>)>,
}

impl Observed {
    /// Panics with the first thing that is not the same.
    pub(super) fn assert_same(&self, after: &Self, what: &str) {
        assert_items(&self.events, &after.events, &format!("{what}: events"));
        let (before, now): (Vec<_>, Vec<_>) =
            (self.rows.iter().collect(), after.rows.iter().collect());
        assert_items(&before, &now, &format!("{what}: rows"));
        let (before, now): (Vec<_>, Vec<_>) =
            (self.books.iter().collect(), after.books.iter().collect());
        assert_items(&before, &now, &format!("{what}: access rules"));
        for ((query, before), (_, now)) in self.lists.iter().zip(&after.lists) {
            assert_items(before, now, &format!("{what}: {query:?}"));
        }
        assert_eq!(self, after, "{what}");
    }
}

/// Panics with the first item that is not the same, instead of with both lists.
pub(super) fn assert_items<T: PartialEq + Debug>(expected: &[T], found: &[T], what: &str) {
    let first = expected.iter().zip(found).position(|(a, b)| a != b);
    let at = first.unwrap_or_else(|| expected.len().min(found.len()));
    assert!(
        expected.len() == found.len() && first.is_none(),
        "{what}: of {} expected and {} found, number {at} is\n  found:    {:?}\n  expected: {:?}",
        expected.len(),
        found.len(),
        found.get(at),
        expected.get(at),
    );
}

/// All rows, as the log says.
pub(super) fn fold(events: &[Recorded]) -> Records {
    let mut records = Records::new();
    for recorded in events {
        let host = &recorded.organization;
        evolve(&mut records, host, &recorded.stamp, &recorded.event);
    }
    records
}

/// The keys that were ever written, according to a fold.
fn keys(records: &Records) -> BTreeSet<RowKey> {
    records.changes().map(|(key, _, _)| key.clone()).collect()
}

/// The facts that make a load read this row.
fn facts_of(key: &RowKey) -> Vec<Fact> {
    match key {
        RowKey::Name(name) => vec![Fact::Name(name.clone())],
        RowKey::Organization(_) => vec![Fact::Organization],
        RowKey::Owners(_) => vec![Fact::Owners],
        RowKey::SeatTally(_) => vec![Fact::Organization, Fact::Seats],
        RowKey::AccessHead(_) | RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..) => {
            vec![Fact::Book]
        }
        RowKey::Link(_, link) => vec![Fact::Link(LinkRef::Id(*link))],
        RowKey::LinkTally(_, link) => {
            vec![
                Fact::Link(LinkRef::Id(*link)),
                Fact::Tally(LinkRef::Id(*link)),
            ]
        }
        RowKey::LinkUse(_, link, member) => vec![Fact::Use(LinkRef::Id(*link), member.clone())],
        RowKey::PreviewTally(_, link, generation) => vec![Fact::PreviewTally(*link, *generation)],
        RowKey::Invite(_, invite) => vec![Fact::Invite(InviteRef::Id(*invite))],
        RowKey::Address(_, address) => vec![Fact::Address(address.clone())],
        RowKey::Endpoint(_, endpoint) => vec![Fact::Endpoint(*endpoint)],
        RowKey::Consumer(name) => vec![Fact::Consumer(name.clone())],
        RowKey::Parked(name, sequence) => vec![Fact::Parked(name.clone(), *sequence)],
        RowKey::Token(token) => vec![Fact::Token(*token)],
        RowKey::Membership(_, member) => vec![Fact::Membership(member.clone())],
        RowKey::Acting(_, host) => vec![Fact::ActingIn(host.clone())],
        RowKey::UseCount(_, link) => vec![Fact::UseCount(LinkRef::Id(*link))],
        RowKey::SeatCount(_) => vec![Fact::SeatCount],
    }
}

/// Loads all of these rows, with one scope per organization.
async fn load_all<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    records: &Records,
    keys: &BTreeSet<RowKey>,
) -> (
    BTreeMap<RowKey, (Revision, Option<Row>)>,
    BTreeMap<OrgId, AccessBook>,
) {
    let mut scopes: BTreeMap<OrgId, Vec<Fact>> = BTreeMap::new();
    for key in keys {
        let host = match key {
            RowKey::Token(token) => records.token(*token).map(|token| &token.host),
            key => key.organization(),
        };
        let host = host.cloned().unwrap_or_else(|| org("anywhere"));
        let facts = scopes.entry(host).or_default();
        for fact in facts_of(key) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        if let RowKey::Link(_, link) = key {
            facts.push(Fact::UseCount(LinkRef::Id(*link)));
        }
        if let RowKey::Organization(_) = key {
            facts.extend([Fact::SeatCount, Fact::Book]);
        }
    }
    let (mut rows, mut books) = (BTreeMap::new(), BTreeMap::new());
    for (host, facts) in scopes {
        let snapshot = h.load(&Scope::of(host, facts)).await;
        for (key, revision) in snapshot.revisions() {
            rows.insert(
                key.clone(),
                (revision, snapshot.records().get(key).cloned()),
            );
        }
        for (organization, book) in snapshot.books() {
            let book = book.whole();
            let book = book.unwrap_or_else(|| panic!("no access rules of {organization} loaded"));
            books.insert(organization.clone(), (**book).clone());
        }
    }
    (rows, books)
}

/// Looks at everything.
pub(super) async fn observe<F: Fixture>(fixture: &F, h: &Harness<'_, F::Store>) -> Observed {
    observe_with(fixture, h, &[]).await
}

/// Looks at everything, and at these rows, whether the log knows of them or not.
pub(super) async fn observe_with<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    writes: &[Write],
) -> Observed {
    fixture.settle(h.store()).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let records = fold(&events);
    let mut keys = keys(&records);
    keys.extend(writes.iter().map(|write| write.key().clone()));
    keys.extend(previews(&records));
    let mut lists = Vec::new();
    // What consumers keep is in no event.
    let name = consumer(CONSUMER);
    keys.insert(RowKey::Consumer(name.clone()));
    let parked = Query::Parked { consumer: name };
    for query in plain_queries(&records).into_iter().chain([parked]) {
        let rows = h.list(&query, 1000).await;
        lists.push((query, rows));
    }
    for (query, found) in &lists {
        if let Query::Parked { .. } = query {
            keys.extend(found.iter().map(|(key, _)| key.clone()));
        }
    }
    let (rows, books) = load_all(h, &records, &keys).await;
    Observed {
        events,
        rows,
        books,
        lists,
    }
}

/// The counters of previews that there may be: one for each generation of each link.
fn previews(records: &Records) -> Vec<RowKey> {
    let mut keys = Vec::new();
    for (_, row) in records.iter() {
        if let Row::Link(link) = row {
            let generations = (1..=link.generation.get()).map(Generation::new);
            keys.extend(
                generations
                    .map(|generation| RowKey::PreviewTally(link.host.clone(), link.id, generation)),
            );
        }
    }
    keys
}

/// The organizations, links, members and invited addresses that there are.
#[derive(Default)]
struct Named {
    hosts: BTreeSet<OrgId>,
    links: BTreeSet<(OrgId, LinkId)>,
    members: BTreeSet<Member>,
    creators: BTreeSet<UserId>,
    addresses: BTreeSet<EmailAddress>,
}

fn named(records: &Records) -> Named {
    let mut named = Named::default();
    for (key, row) in records.iter() {
        named.hosts.extend(key.organization().cloned());
        match (key, row) {
            (RowKey::Membership(_, member), _) => {
                named.members.insert(member.clone());
            }
            (RowKey::Link(host, link), Row::Link(row)) => {
                named.links.insert((host.clone(), *link));
                named.creators.extend(row.creator.clone());
            }
            (_, Row::Invite(row)) => {
                named.addresses.insert(row.address.clone());
                named.creators.extend(row.creator.clone());
            }
            _ => {}
        }
    }
    named
}

/// Every list without a filter.
pub(super) fn plain_queries(records: &Records) -> Vec<Query> {
    let named = named(records);
    let mut queries = vec![
        Query::RunOut { host: None },
        Query::RunOutLinks { host: None },
        Query::RunOutInvites { host: None },
        Query::Discover { text: None },
        Query::Tokens { pepper: None },
        Query::Endpoints { organization: None },
    ];
    for host in named.hosts {
        queries.extend([
            Query::Endpoints {
                organization: Some(host.clone()),
            },
            Query::Links {
                host: host.clone(),
                status: None,
                creator: None,
            },
            Query::Pending {
                host: host.clone(),
                link: None,
            },
            Query::Members {
                host: host.clone(),
                filter: MemberFilter::default(),
            },
            Query::Groups {
                organization: host.clone(),
            },
            Query::Grants {
                organization: host.clone(),
            },
            Query::Invites {
                host: host.clone(),
                filter: InviteFilter::default(),
            },
            Query::RunOutLinks {
                host: Some(host.clone()),
            },
            Query::RunOutInvites {
                host: Some(host.clone()),
            },
            Query::RunOut { host: Some(host) },
        ]);
    }
    let addresses = named.addresses.into_iter();
    queries.extend(addresses.map(|address| Query::InvitesTo {
        address,
        phase: None,
    }));
    let uses = named.links.into_iter();
    queries.extend(uses.map(|(host, link)| Query::Uses { host, link }));
    let members = named.members.into_iter();
    queries.extend(members.map(|member| Query::MembershipsOf {
        member,
        status: None,
    }));
    queries
}

/// Every list with every filter that there is something to filter by.
pub(super) fn filtered_queries(records: &Records) -> Vec<Query> {
    let named = named(records);
    let mut queries = Vec::new();
    for pepper in 1..4 {
        let pepper = Some(PepperId::new(pepper));
        queries.push(Query::Tokens { pepper });
    }
    let creators: Vec<_> = core::iter::once(None)
        .chain(named.creators.iter().cloned().map(Some))
        .collect();
    for host in &named.hosts {
        for status in [None, Some(LinkStatus::Active), Some(LinkStatus::Disabled)] {
            for creator in creators.clone() {
                queries.push(Query::Links {
                    host: host.clone(),
                    status,
                    creator,
                });
            }
        }
        let filters = invite_filters(&named);
        queries.extend(filters.into_iter().map(|filter| Query::Invites {
            host: host.clone(),
            filter,
        }));
        let filters = member_filters(records, host);
        queries.extend(filters.into_iter().map(|filter| Query::Members {
            host: host.clone(),
            filter,
        }));
        let links = named.links.iter().filter(|(of, _)| of == host);
        queries.extend(links.map(|(_, link)| Query::Pending {
            host: host.clone(),
            link: Some(*link),
        }));
    }
    for address in &named.addresses {
        queries.extend(PHASES.map(|phase| Query::InvitesTo {
            address: address.clone(),
            phase: Some(phase),
        }));
    }
    for text in ["", "a", "ACME", "-", "_", "%", "<b>", "nothing like it"] {
        let text = Some(text.to_owned());
        queries.push(Query::Discover { text });
    }
    for member in named.members {
        queries.extend(Status::ALL.map(|status| Query::MembershipsOf {
            member: member.clone(),
            status: Some(status),
        }));
    }
    queries
}

const PHASES: [InvitePhase; 5] = [
    InvitePhase::Pending,
    InvitePhase::Expired,
    InvitePhase::Accepted,
    InvitePhase::Declined,
    InvitePhase::Revoked,
];

fn invite_filters(named: &Named) -> Vec<InviteFilter> {
    let plain = InviteFilter::default;
    let mut filters = Vec::new();
    for phase in PHASES {
        let phase = Some(phase);
        filters.push(InviteFilter { phase, ..plain() });
    }
    for creator in named.creators.iter().cloned().map(Some) {
        for phase in [None, Some(InvitePhase::Pending)] {
            filters.push(InviteFilter {
                phase,
                creator: creator.clone(),
                ..plain()
            });
        }
    }
    for address in named.addresses.iter().cloned().map(Some) {
        filters.push(InviteFilter { address, ..plain() });
    }
    filters
}

fn member_filters(records: &Records, host: &OrgId) -> Vec<MemberFilter> {
    let plain = MemberFilter::default;
    let mut filters = Vec::new();
    for status in Status::ALL {
        filters.push(MemberFilter {
            status: Some(status),
            ..plain()
        });
        for kind in [MemberKind::Org, MemberKind::User] {
            filters.push(MemberFilter {
                status: Some(status),
                kind: Some(kind),
                ..plain()
            });
        }
    }
    let mut roles = BTreeSet::new();
    let mut groups = BTreeSet::new();
    let mut links = BTreeSet::new();
    for (key, row) in records.iter() {
        if let (RowKey::Membership(of, _), Row::Membership(row)) = (key, row)
            && of == host
        {
            roles.extend(row.role.clone());
            groups.extend(row.groups.iter().copied());
            links.extend(row.door.link());
        }
    }
    filters.extend(roles.into_iter().map(|role| MemberFilter {
        role: Some(role),
        ..plain()
    }));
    filters.extend(groups.into_iter().map(|group| MemberFilter {
        group: Some(group),
        ..plain()
    }));
    for link in links {
        for status in [None, Some(Status::Pending), Some(Status::Approved)] {
            filters.push(MemberFilter {
                link: Some(link),
                status,
                ..plain()
            });
        }
    }
    for text in ["", "a", "ORG", "user", "_", "%", "@", "nothing like it"] {
        filters.push(MemberFilter {
            text: Some(text.into()),
            ..plain()
        });
    }
    filters
}

/// Where a row stands in a list: only what matters in that list is set.
#[derive(PartialEq, Eq, PartialOrd, Ord, Default)]
struct Rank {
    at: Option<Timestamp>,
    host: Option<OrgId>,
    member: Option<Member>,
    id: [u8; 16],
    token: Option<Selector>,
    name: Option<OrgName>,
}

/// The rank of a row, if it belongs to the list at all.
fn rank(query: &Query, key: &RowKey, row: &Row) -> Option<Rank> {
    let none = Rank::default;
    match (query, key, row) {
        (Query::Links { host, .. }, RowKey::Link(of, link), _) if host == of => Some(Rank {
            id: *link.as_bytes(),
            ..none()
        }),
        (Query::Groups { organization }, RowKey::Group(of, group), _) if organization == of => {
            Some(Rank {
                id: *group.as_bytes(),
                ..none()
            })
        }
        (Query::Grants { organization }, RowKey::Grant(of, grant), _) if organization == of => {
            Some(Rank {
                id: *grant.as_bytes(),
                ..none()
            })
        }
        (Query::Pending { host, .. }, RowKey::Membership(of, member), Row::Membership(row))
            if host == of =>
        {
            Some(Rank {
                at: Some(row.opened_at),
                member: Some(member.clone()),
                ..none()
            })
        }
        (Query::Members { host, .. }, RowKey::Membership(of, member), _) if host == of => {
            Some(Rank {
                member: Some(member.clone()),
                ..none()
            })
        }
        (Query::Uses { host, link }, RowKey::LinkUse(of, id, member), _)
            if host == of && link == id =>
        {
            Some(Rank {
                member: Some(member.clone()),
                ..none()
            })
        }
        (Query::MembershipsOf { member, .. }, RowKey::Membership(host, of), _) if member == of => {
            Some(Rank {
                host: Some(host.clone()),
                ..none()
            })
        }
        (Query::RunOut { host }, RowKey::Membership(of, member), Row::Membership(row))
            if host.as_ref().is_none_or(|host| host == of) =>
        {
            Some(Rank {
                at: Some(row.expires_at?),
                host: Some(of.clone()),
                member: Some(member.clone()),
                ..none()
            })
        }
        (Query::RunOutLinks { host }, RowKey::Link(of, link), Row::Link(row))
            if host.as_ref().is_none_or(|host| host == of) =>
        {
            Some(Rank {
                at: Some(row.config.expires_at?),
                host: Some(of.clone()),
                id: *link.as_bytes(),
                ..none()
            })
        }
        (Query::RunOutInvites { host }, RowKey::Invite(of, invite), Row::Invite(row))
            if host.as_ref().is_none_or(|host| host == of) =>
        {
            Some(Rank {
                at: Some(row.expires_at?),
                host: Some(of.clone()),
                id: *invite.as_bytes(),
                ..none()
            })
        }
        (Query::Invites { host, .. }, RowKey::Invite(of, invite), _) if host == of => Some(Rank {
            id: *invite.as_bytes(),
            ..none()
        }),
        (Query::InvitesTo { .. }, RowKey::Invite(of, invite), _) => Some(Rank {
            host: Some(of.clone()),
            id: *invite.as_bytes(),
            ..none()
        }),
        (Query::Endpoints { organization }, RowKey::Endpoint(of, endpoint), _)
            if organization.as_ref().is_none_or(|host| host == of) =>
        {
            Some(Rank {
                host: Some(of.clone()),
                id: *endpoint.as_bytes(),
                ..none()
            })
        }
        (Query::Discover { .. }, _, Row::Organization(row)) => Some(Rank {
            name: Some(row.name.clone()),
            ..none()
        }),
        (Query::Tokens { .. }, RowKey::Token(token), _) => Some(Rank {
            token: Some(*token),
            ..none()
        }),
        _ => None,
    }
}

/// What a list must be, of these rows.
pub(super) fn expected(query: &Query, records: &Records, now: Timestamp) -> Vec<(RowKey, Row)> {
    let mut ranked: Vec<_> = records
        .iter()
        .filter(|(_, row)| query.matches(row, now))
        .filter_map(|(key, row)| Some((rank(query, key, row)?, key.clone(), row.clone())))
        .collect();
    ranked.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    ranked.into_iter().map(|(_, key, row)| (key, row)).collect()
}

/// A row as far as events tell it: digests and sealed tokens are in none.
fn untagged(row: Row) -> Row {
    match row {
        Row::Token(mut token) => {
            token.tag = None;
            token.sealed = None;
            Row::Token(token)
        }
        row => row,
    }
}

/// The rows that the log says there are, with the digests that only the store has.
pub(super) async fn folded<F: Fixture>(fixture: &F, h: &Harness<'_, F::Store>) -> Records {
    fixture.settle(h.store()).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let mut records = fold(&events);
    let tokens: BTreeSet<RowKey> = keys(&records)
        .into_iter()
        .filter(|key| matches!(key, RowKey::Token(_)))
        .collect();
    let (rows, _) = load_all(h, &records, &tokens).await;
    for (key, (_, row)) in rows {
        if let (RowKey::Token(_), Some(row)) = (&key, row) {
            records.insert(key, row);
        }
    }
    records
}

/// Asserts that the log folded is what loads and lists show: every row, every count, every book of
/// access rules, and every unfiltered list.
pub(super) async fn assert_folds<F: Fixture>(fixture: &F, h: &Harness<'_, F::Store>) {
    fixture.settle(h.store()).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let records = fold(&events);
    let (rows, books) = load_all(h, &records, &keys(&records)).await;
    for key in keys(&records) {
        let expected = records.get(&key);
        let found = rows.get(&key);
        match (&key, expected, found) {
            // The first are in the book, below; a counter that is kept no longer is not asked for.
            (RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..), _, _)
            | (RowKey::LinkTally(..) | RowKey::SeatTally(_), None, None) => {}
            (_, expected, found) => {
                let found = found.and_then(|(_, row)| row.clone()).map(untagged);
                assert_eq!(
                    found.as_ref(),
                    expected,
                    "{key:?}: what is stored (left) is not what the log says (right)"
                );
            }
        }
    }
    for (key, (_, row)) in &rows {
        let counted = match key {
            RowKey::UseCount(host, link) => Row::UseCount(uses(&records, host, *link)),
            RowKey::SeatCount(host) => Row::SeatCount(seats(&records, host)),
            _ => continue,
        };
        let found = row.as_ref();
        assert_eq!(
            found,
            Some(&counted),
            "{key:?}: counted (left), and by the log (right)"
        );
    }
    for (host, book) in &books {
        let expected = book_of(&records, host, book.revision());
        assert_eq!(
            *book, expected,
            "the access rules of {host}, and those of the log (right)"
        );
        let head = rows.get(&RowKey::AccessHead(host.clone()));
        let head = head.map(|(revision, _)| revision.get());
        assert_eq!(
            Some(book.revision()),
            head,
            "the revision of the access rules of {host}"
        );
    }
    let records = folded(fixture, h).await;
    for query in plain_queries(&records) {
        let found = h.list(&query, 1000).await;
        let wanted = expected(&query, &records, h.now());
        assert_items(&wanted, &found, &format!("{query:?}, by the log"));
    }
}

/// Asserts what [`assert_folds`] does, and that the log is what was committed through this harness
/// alone and every revision the number of writes.
pub(super) async fn assert_consistent<F: Fixture>(fixture: &F, h: &Harness<'_, F::Store>) {
    assert_folds(fixture, h).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let committed: Vec<_> = h
        .applied()
        .into_iter()
        .flat_map(|commit| {
            let (id, stamp) = (commit.id, commit.stamp);
            let events = commit.events.into_iter();
            events.map(move |event| (id, stamp.clone(), event))
        })
        .collect();
    let found: Vec<_> = events
        .iter()
        .map(|recorded| {
            (
                recorded.commit,
                recorded.stamp.clone(),
                recorded.event.clone(),
            )
        })
        .collect();
    assert_items(&committed, &found, "the log of what was committed");
    let mut written: BTreeMap<RowKey, u64> = BTreeMap::new();
    for commit in h.applied() {
        for write in commit.writes {
            match write {
                Write::Put { key, revision, .. } if !key.is_counter() => {
                    let times = written.entry(key.clone()).or_default();
                    *times = if is_covered(&key) { 1 } else { *times + 1 };
                    assert_eq!(revision.get(), *times, "{key:?} is written this often");
                }
                Write::Delete { key, .. } => {
                    written.remove(&key);
                }
                Write::Put { .. }
                | Write::Take { .. }
                | Write::Give { .. }
                | Write::Erase { .. } => {}
            }
        }
    }
    let records = fold(&events);
    let (rows, _) = load_all(h, &records, &keys(&records)).await;
    for (key, times) in written {
        if let Some((revision, _)) = rows.get(&key) {
            assert_eq!(
                revision.get(),
                times,
                "the revision of {key:?} counts its writes"
            );
        }
    }
}

/// Rows that have no revision of their own.
const fn is_covered(key: &RowKey) -> bool {
    matches!(
        key,
        RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..)
    )
}

fn uses(records: &Records, host: &OrgId, link: LinkId) -> u64 {
    let counts = |(key, row): &(&RowKey, &Row)| match (key, row) {
        (RowKey::LinkUse(of, id, _), Row::LinkUse(held)) => {
            of == host && *id == link && held.state.counts()
        }
        _ => false,
    };
    records.iter().filter(counts).count() as u64
}

fn seats(records: &Records, host: &OrgId) -> SeatCount {
    let mut count = SeatCount::default();
    for (key, row) in records.iter() {
        if let (RowKey::Membership(of, _), Row::Membership(row)) = (key, row)
            && of == host
        {
            match row.status {
                Some(Status::Pending) => count.pending += 1,
                Some(Status::Approved) => count.approved += 1,
                Some(Status::Rejected | Status::Removed | Status::Cancelled) | None => {}
            }
        }
    }
    count
}

/// The access rules that are among these rows.
fn book_of(records: &Records, host: &OrgId, revision: u64) -> AccessBook {
    let mut book = AccessBook::new();
    book.set_revision(revision);
    for (key, row) in records.iter() {
        let change = match (key, row) {
            (RowKey::AccessHead(of), Row::AccessHead(head)) if of == host => {
                AccessChange::Head(*head)
            }
            (RowKey::Group(of, _), Row::Group(group)) if of == host => {
                AccessChange::PutGroup(group.clone())
            }
            (RowKey::GroupMember(of, group, member), _) if of == host => {
                AccessChange::PutGroupMember {
                    group: *group,
                    member: member.clone(),
                }
            }
            (RowKey::Grant(of, _), Row::Grant(grant)) if of == host => {
                AccessChange::PutGrant((**grant).clone())
            }
            _ => continue,
        };
        book.apply(&change);
    }
    book
}
