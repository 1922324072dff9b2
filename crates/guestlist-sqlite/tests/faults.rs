//! Errors at every statement, at COMMIT, and in what is stored: nothing half, nothing lost, no
//! panic.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use common::*;
use guestlist_access::{AccessHead, Episode, Group, GroupMember};
use guestlist_membership::link::{LinkStatus, UseState};
use guestlist_membership::member::{ActingRule, Status};
use guestlist_membership::{Fact, LinkRef, Root, Row, RowKey, Scope};
use guestlist_sqlite::{SqliteStore, enlist, migrate};
use guestlist_store::{
    Commit, Committed, EventFilter, Load, MemberFilter, Page, Query, Store, StoreError, Write,
};
use guestlist_token::Selector;
use guestlist_types::{GroupId, GroupName, Member, OrgId, Timestamp, UserId};
use rusqlite::Connection;

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Committed>, StoreError>> + Send + 'a>>;

/// A commit that writes to many tables.
fn wide(id: u64, host: &OrgId) -> Commit {
    let member = user(&format!("user_{id}"));
    let group = GroupId::from_bytes(bytes(id));
    let mut commit = joining(id, host, &member);
    commit.writes.extend([
        put(
            RowKey::Owners(host.clone()),
            Row::Owners([UserId::parse("ada").unwrap()].into()),
            1,
        ),
        put(RowKey::SeatTally(host.clone()), Row::Tally(1), 1),
        put(
            RowKey::AccessHead(host.clone()),
            Row::AccessHead(AccessHead::default()),
            1,
        ),
        put(
            RowKey::Link(host.clone(), link_id(id)),
            Row::Link(Box::new(link(host, id, LinkStatus::Active))),
            1,
        ),
        Write::Take {
            key: RowKey::LinkTally(host.clone(), link_id(id)),
            below: 5,
        },
        put(
            RowKey::LinkUse(host.clone(), link_id(id), member.clone()),
            Row::LinkUse(link_use(UseState::Reserved)),
            1,
        ),
        put(
            RowKey::Token(Selector::from_i64(i64::try_from(id).unwrap()).unwrap()),
            Row::Token(token(host, i64::try_from(id).unwrap(), Some(1))),
            1,
        ),
        put(
            RowKey::Acting(host.clone(), org("org_other")),
            Row::Acting(ActingRule::default()),
            1,
        ),
        put(
            RowKey::Group(host.clone(), group),
            Row::Group(Group {
                id: group,
                name: GroupName::parse("Design").unwrap(),
                internal: false,
                created_at: time(1),
            }),
            1,
        ),
        put(
            RowKey::GroupMember(
                host.clone(),
                group,
                GroupMember::Member {
                    member: member.clone(),
                    episode: Episode::new(1),
                },
            ),
            Row::GroupMember,
            1,
        ),
    ]);
    commit
}

const TABLES: [&str; 13] = [
    "memberships",
    "owners",
    "seat_tallies",
    "access_heads",
    "links",
    "link_tallies",
    "link_uses",
    "tokens",
    "acting",
    "groups",
    "group_members",
    "commits",
    "events",
];

fn counts(connection: &Connection) -> Vec<i64> {
    TABLES
        .iter()
        .map(|table| {
            let sql = format!("select count(*) from guestlist_{table}");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        })
        .collect()
}

fn database(path: &Path) -> (SqliteStore, Connection) {
    let store = SqliteStore::builder()
        .path(path)
        .busy_timeout(Duration::from_secs(30))
        .open()
        .unwrap();
    (store, Connection::open(path).unwrap())
}

#[test]
fn an_error_at_any_statement_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = database(&folder.path().join("app.db"));
    for (id, (table, kind)) in (1..).zip(
        TABLES
            .iter()
            .flat_map(|table| [(table, "abort"), (table, "fail"), (table, "rollback")]),
    ) {
        // A host of its own, so that every row is inserted.
        let host = org(&format!("org_{id}"));
        let before = counts(&other);
        let sent = wide(id, &host);
        for time in ["before", "after"] {
            other
                .execute_batch(&format!(
                    "create trigger fault {time} insert on guestlist_{table} \
                     begin select raise({kind}, 'injected'); end"
                ))
                .unwrap();
            let error = block_on(store.commit(std::slice::from_ref(&sent))).unwrap_err();
            assert!(!error.is_unknown(), "{error:?}");
            other.execute_batch("drop trigger fault").unwrap();
            assert_eq!(counts(&other), before, "{table} {kind} {time}");
        }
        assert_eq!(
            block_on(store.commit(&[sent])).unwrap(),
            [Committed::Applied]
        );
    }
}

#[test]
fn a_commit_statement_that_fails_is_an_error_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = database(&folder.path().join("app.db"));
    other
        .execute_batch(
            "create table parent (id integer primary key);
             create table child (id references parent deferrable initially deferred);
             create trigger fault after insert on guestlist_commits
             begin insert into child values (1); end",
        )
        .unwrap();
    let host = org("org_1");
    let before = counts(&other);
    let error = block_on(store.commit(&[wide(1, &host)])).unwrap_err();
    assert!(!error.is_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(counts(&other), before);
    other
        .execute_batch("insert into parent values (1)")
        .unwrap();
    assert_eq!(
        block_on(store.commit(&[wide(1, &host)])).unwrap(),
        [Committed::Applied]
    );
}

/// Calls that wait while the file is locked are committed together; the bad ones among them fail
/// alone.
#[test]
fn calls_that_waited_together_have_their_own_outcomes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = database(&folder.path().join("app.db"));
    let host = org("org_1");
    let own = Member::Org(host.clone());
    let calls: Vec<Vec<Commit>> = (1..=300)
        .map(|id| {
            let mut sent = joining(id, &host, &user(&format!("user_{id}")));
            match id % 50 {
                7 => sent
                    .writes
                    .push(put_membership(membership(&host, &own, Status::Pending), 1)),
                9 => sent.checks.push(is_at(RowKey::Owners(host.clone()), 4)),
                11 => return vec![sent, joining(id + 1_000, &host, &user("twice"))],
                _ => {}
            }
            vec![sent]
        })
        .collect();
    other.execute_batch("begin immediate").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut futures: Vec<Answer<'_>> = calls.iter().map(|call| store.commit(call)).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    other.execute_batch("rollback").unwrap();
    let mut twice = 0;
    for (id, future) in (1..=300_u64).zip(futures) {
        let answer = block_on(future);
        match id % 50 {
            7 => assert!(
                matches!(answer, Err(StoreError::Malformed { .. })),
                "{answer:?}"
            ),
            9 => assert!(matches!(
                answer.unwrap().as_slice(),
                [Committed::Conflict {
                    key: RowKey::Owners(_)
                }]
            )),
            11 => {
                let answer = answer.unwrap();
                assert_eq!(answer[0], Committed::Applied);
                twice += usize::from(answer[1] == Committed::Applied);
            }
            _ => assert_eq!(answer.unwrap(), [Committed::Applied], "{id}"),
        }
    }
    assert_eq!(twice, 1);
    let page = block_on(store.events(&EventFilter::default(), None, 1_000)).unwrap();
    assert_eq!(page.events.len(), 300 - 6 - 6 + 1);
}

/// The same when SQLite itself ends the transaction: nothing was changed for anybody.
#[test]
fn a_transaction_that_ends_by_itself_ends_for_everybody_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = database(&folder.path().join("app.db"));
    let host = org("org_1");
    other
        .execute_batch(
            "create trigger fault after insert on guestlist_memberships
             when new.member_id = 'user_20'
             begin select raise(rollback, 'injected'); end",
        )
        .unwrap();
    let calls: Vec<[Commit; 1]> = (1..=40)
        .map(|id| [joining(id, &host, &user(&format!("user_{id}")))])
        .collect();
    other.execute_batch("begin immediate").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut futures: Vec<Answer<'_>> = calls.iter().map(|call| store.commit(call)).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    other.execute_batch("rollback").unwrap();
    let mut applied = 0;
    for future in futures {
        match block_on(future) {
            Ok(_) => applied += 1,
            Err(error) => assert!(!error.is_unknown(), "{error:?}"),
        }
    }
    let page = block_on(store.events(&EventFilter::default(), None, 1_000)).unwrap();
    assert_eq!(page.events.len(), applied);
    other.execute_batch("drop trigger fault").unwrap();
    for call in &calls {
        assert!(block_on(store.commit(call)).is_ok());
    }
}

#[test]
fn a_host_transaction_that_sqlite_ended_is_misused_from_then_on() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&connection).unwrap();
    connection
        .execute_batch(
            "create trigger fault after insert on guestlist_memberships
             begin select raise(rollback, 'injected'); end",
        )
        .unwrap();
    let transaction = connection.transaction().unwrap();
    enlist(&transaction, |store| async move {
        let host = org("org_1");
        let sent = [joining(1, &host, &user("ada"))];
        let error = store.commit(&sent).await.unwrap_err();
        assert!(matches!(error, StoreError::Malformed { .. }), "{error:?}");
        let error = store.commit(&sent).await.unwrap_err();
        assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
    });
    drop(transaction);
    assert_eq!(counts(&connection), [0; 13]);
}

#[test]
fn damaged_rows_are_errors_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = database(&folder.path().join("app.db"));
    let host = org("org_1");
    assert_eq!(
        block_on(store.commit(&[wide(1, &host)])).unwrap(),
        [Committed::Applied]
    );
    other
        .execute_batch("pragma ignore_check_constraints = on; pragma synchronous = off")
        .unwrap();
    let member = user("user_1");
    let link = LinkRef::Id(link_id(1));
    let scope = Scope {
        root: Root::Token(Selector::from_i64(1).unwrap()),
        facts: vec![
            Fact::Owners,
            Fact::Seats,
            Fact::SeatCount,
            Fact::Link(link.clone()),
            Fact::Tally(link.clone()),
            Fact::Use(link.clone(), member.clone()),
            Fact::UseCount(link),
            Fact::Membership(member.clone()),
            Fact::ActingIn(org("org_other")),
            Fact::Book,
        ],
    };
    let queries = [
        Query::Links {
            host: host.clone(),
            status: None,
            creator: None,
        },
        Query::Members {
            host: host.clone(),
            filter: MemberFilter::default(),
        },
        Query::MembershipsOf {
            member,
            status: None,
        },
        Query::Uses {
            host: host.clone(),
            link: link_id(1),
        },
        Query::Groups { organization: host },
        Query::RunOut { host: None },
        Query::Tokens { pepper: None },
    ];
    let look = || -> Result<(), StoreError> {
        let mut load = Load::of(&scope);
        load.receipt = Some(wide(1, &org("org_1")).id);
        block_on(store.load(&load))?;
        for query in &queries {
            block_on(store.list(query, &Page::default(), Timestamp::MAX))?;
        }
        block_on(store.events(&EventFilter::default(), None, 10))?;
        Ok(())
    };
    look().unwrap();
    let mut corrupt = 0;
    for table in TABLES {
        let columns: Vec<String> = other
            .prepare(&format!(
                "select name from pragma_table_info('guestlist_{table}')"
            ))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for column in columns {
            for value in [
                "null",
                "''",
                "'{}'",
                "'[1, 2'",
                "-1",
                "99999999999",
                "x''",
                "x'00112233445566778899aabbccddeeff'",
                "cast(x'ff' as text)",
                "'\u{202e}org'",
            ] {
                let sql = format!("update guestlist_{table} set {column} = {value}");
                other.execute_batch("savepoint tampering").unwrap();
                if other.execute_batch(&sql).is_ok() {
                    other.execute_batch("release tampering").unwrap();
                    match look() {
                        Ok(()) => {}
                        Err(StoreError::Corrupt { what }) => {
                            corrupt += 1;
                            assert!(!what.contains("00112233"), "{what}");
                        }
                        Err(error) => panic!("{sql}: {error:?}"),
                    }
                    restore(&other);
                } else {
                    other
                        .execute_batch("rollback to tampering; release tampering")
                        .unwrap();
                }
            }
        }
    }
    assert!(corrupt > 50, "{corrupt}");
}

/// Everything as it was made.
fn restore(connection: &Connection) {
    for table in TABLES {
        connection
            .execute_batch(&format!("delete from guestlist_{table}"))
            .unwrap();
    }
    connection.execute_batch("begin").unwrap();
    let outcome = enlist(connection, |store| async move {
        store.commit(&[wide(1, &org("org_1"))]).await.unwrap()
    });
    assert_eq!(outcome, [Committed::Applied]);
    connection.execute_batch("commit").unwrap();
}
