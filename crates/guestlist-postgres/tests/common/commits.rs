//! Commits by hand, below every rule, and what they leave.

use std::fmt::Write as _;

use guestlist_access::Episode;
use guestlist_membership::link::{Generation, LinkUse, UseState};
use guestlist_membership::member::{MemberEvent, Membership, Status};
use guestlist_membership::{By, Event, Fact, Home, Row, RowKey, Scope, SeatCount, Stamp};
use guestlist_store::{
    Check, CommandDigest, Commit, Committed, EventFilter, Load, MemberFilter, Page, Query, Receipt,
    Revision, Store, StoreError, Write,
};
use guestlist_types::{CommitId, LinkId, Member, OrgId, Timestamp, UserId};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Row as _};

pub const NOW: Timestamp = Timestamp::from_micros(1_000);

pub fn host() -> OrgId {
    OrgId::parse("org_1").unwrap()
}

pub fn user(id: u64) -> Member {
    Member::User(UserId::parse(&format!("user_{id}")).unwrap())
}

pub fn bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    // Found in what is sent.
    bytes[..4].copy_from_slice(b"\xfeid\xfe");
    bytes
}

/// The same as PostgreSQL writes it, but for the dashes.
pub fn uuid(number: u64) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes(number)))
}

pub fn link(number: u64) -> LinkId {
    LinkId::from_bytes(bytes(number))
}

pub fn member_key(id: u64) -> RowKey {
    RowKey::Membership(host(), user(id))
}

fn put(key: RowKey, row: Row, revision: u64) -> Write {
    Write::Put {
        key,
        row,
        revision: Revision::new(revision),
        before: None,
    }
}

pub fn is_at(key: RowKey, revision: u64) -> Check {
    Check::Revision {
        key,
        revision: Revision::new(revision),
    }
}

pub fn uses(of: u64, count: u64) -> Check {
    Check::UseCount {
        key: RowKey::UseCount(host(), link(of)),
        count,
    }
}

pub fn seats(pending: u64, approved: u64) -> Check {
    Check::SeatCount {
        key: RowKey::SeatCount(host()),
        count: SeatCount { pending, approved },
    }
}

fn commit(id: u64, checks: Vec<Check>, writes: Vec<Write>) -> Commit {
    Commit {
        id: CommitId::from_bytes(bytes(id)),
        home: Home::Organization(host()),
        checks,
        writes,
        stamp: Stamp {
            at: NOW,
            by: By::System,
        },
        events: vec![Event::Member(MemberEvent::Unblocked { member: user(id) })],
        receipt: Some(Receipt {
            digest: CommandDigest([3; 32]),
            reply: format!("reply {id}"),
        }),
    }
}

fn membership(id: u64, revision: u64) -> Write {
    let mut row = Membership::blank(host(), user(id), NOW);
    row.status = Some(Status::Approved);
    row.episode = Episode::new(1);
    row.access_since = Episode::new(1);
    row.approved_at = Some(NOW);
    row.approved_by = Some(By::Policy);
    put(member_key(id), Row::Membership(Box::new(row)), revision)
}

/// A new member through a link: a membership, a use, one more in the counter, an event, a receipt.
pub fn claim(id: u64, of: u64) -> Commit {
    let used = RowKey::LinkUse(host(), link(of), user(id));
    commit(
        id,
        vec![is_at(member_key(id), 0), is_at(used.clone(), 0)],
        vec![
            membership(id, 1),
            put(
                used,
                Row::LinkUse(LinkUse {
                    generation: Generation::FIRST,
                    state: UseState::Settled,
                    at: NOW,
                    released_for: None,
                }),
                1,
            ),
            Write::Take {
                key: RowKey::LinkTally(host(), link(of)),
                below: 1_000_000,
            },
        ],
    )
}

/// A claim that also relies on a membership, and writes that, too.
pub fn claim_with(id: u64, of: u64, other: u64, revision: u64) -> Commit {
    let mut claim = claim(id, of);
    claim.checks.push(is_at(member_key(other), revision));
    claim.writes.push(membership(other, revision + 1));
    claim
}

pub fn receipt(commit: &Commit) -> Committed {
    Committed::AlreadyApplied(commit.receipt.clone().unwrap())
}

/// How many claims a schema holds, each of them whole.
pub async fn claims(pool: &PgPool, schema: &str) -> i64 {
    let tables = ["memberships", "joined", "link_uses", "commits", "events"];
    let mut sql = format!("select (select sum(uses)::int8 from {schema}.guestlist_link_tallies)");
    for table in tables {
        let _ = write!(sql, ", (select count(*) from {schema}.guestlist_{table})");
    }
    let _ = write!(
        sql,
        ", (select count(distinct commit_id) from {schema}.guestlist_events join \
        {schema}.guestlist_commits using (bucket, commit_id) join \
        {schema}.guestlist_memberships using (bucket, member_kind, member_id))"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(pool)
        .await
        .unwrap();
    let uses = row.get::<Option<i64>, _>(0).unwrap_or(0);
    for column in 1..=tables.len() + 1 {
        let count: i64 = row.get(column);
        assert_eq!(count, uses, "nothing is half: column {column}");
    }
    uses
}

/// Whether the claim is there, with all that belongs to it.
pub async fn is_there(pool: &PgPool, schema: &str, id: u64) -> bool {
    let name = format!("user_{id}");
    let sql = format!(
        "select (select count(*) from {schema}.guestlist_memberships where member_id = $1), \
        (select count(*) from {schema}.guestlist_link_uses where member_id = $1), \
        (select count(*) from {schema}.guestlist_events where member_id = $1), \
        (select count(*) from {schema}.guestlist_commits where commit_id = $2::uuid)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(name)
        .bind(uuid(id))
        .fetch_one(pool)
        .await
        .unwrap();
    let counts: Vec<i64> = (0..4).map(|column| row.get(column)).collect();
    assert!(counts == [0; 4] || counts == [1; 4], "half: {counts:?}");
    counts == [1; 4]
}

pub async fn send(store: &dyn Store, commit: &Commit) -> Result<Committed, StoreError> {
    let mut done = store.commit(std::slice::from_ref(commit)).await?;
    assert_eq!(done.len(), 1);
    Ok(done.remove(0))
}

pub async fn apply(store: &dyn Store, commit: &Commit) {
    assert_eq!(send(store, commit).await.unwrap(), Committed::Applied);
}

/// Sends a commit again until there is an answer. Before, there was an error: if that one says
/// that nothing was applied, nothing was.
pub async fn settle_claim(store: &dyn Store, commit: &Commit, before: &StoreError) -> Committed {
    let mut surely_not = is_no(before);
    for _ in 0..100 {
        match send(store, commit).await {
            Ok(done) => {
                assert!(
                    done == Committed::Applied || (!surely_not && done == receipt(commit)),
                    "{done:?} after {before:?}"
                );
                return done;
            }
            Err(error) => surely_not &= is_no(&error),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no answer after {before:?}");
}

/// Whether an error of a lost connection says that nothing was applied.
fn is_no(error: &StoreError) -> bool {
    match error {
        StoreError::Unknown(_) => false,
        StoreError::Retryable(_) | StoreError::Unavailable(_) => true,
        other => panic!("not an error of a connection: {other:?}"),
    }
}

pub async fn load(store: &dyn Store, id: u64) -> Result<bool, StoreError> {
    let scope = Scope::of(host(), vec![Fact::Membership(user(id))]);
    let snapshot = store.load(&Load::of(&scope)).await?;
    Ok(snapshot.revision(&member_key(id)) != Some(Revision::ABSENT))
}

pub async fn list(store: &dyn Store) -> Result<usize, StoreError> {
    let query = Query::Members {
        host: host(),
        filter: MemberFilter::default(),
    };
    let page = Page::first(1_000).unwrap();
    Ok(store.list(&query, &page, NOW).await?.rows.len())
}

pub async fn events(store: &dyn Store) -> Result<usize, StoreError> {
    let filter = EventFilter::default();
    Ok(store.events(&filter, None, 10_000).await?.events.len())
}
