//! How a database gets its tables, and what is none.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::{env, fs, thread};

use common::*;
use guestlist_membership::link::LinkDraft;
use guestlist_membership::member::Status;
use guestlist_membership::{Fact, LinkRef, Records, Row, Scope, evolve};
use guestlist_sqlite::{SCHEMA_VERSION, SqliteStore, migrate};
use guestlist_store::conformance::{Harness, Order};
use guestlist_store::{Committed, EventFilter, Page, Query, Store, StoreError};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn version(connection: &Connection) -> i64 {
    connection
        .query_row("select max(version) from guestlist_schema", [], |row| {
            row.get(0)
        })
        .unwrap()
}

fn dump(connection: &Connection) -> Vec<(String, Option<String>)> {
    connection
        .prepare("select name, sql from sqlite_master order by name")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn twice_is_once() {
    let connection = Connection::open_in_memory().unwrap();
    migrate(&connection).unwrap();
    let first = dump(&connection);
    migrate(&connection).unwrap();
    assert_eq!(dump(&connection), first);
    assert_eq!(version(&connection), SCHEMA_VERSION);
}

#[test]
fn it_is_part_of_the_transaction_that_it_is_in() {
    let mut connection = Connection::open_in_memory().unwrap();
    let transaction = connection.transaction().unwrap();
    migrate(&transaction).unwrap();
    transaction.rollback().unwrap();
    assert!(dump(&connection).is_empty());
    let transaction = connection.transaction().unwrap();
    migrate(&transaction).unwrap();
    transaction.commit().unwrap();
    assert_eq!(version(&connection), SCHEMA_VERSION);
}

#[test]
fn an_applications_own_tables_are_left_alone() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let own = Connection::open(&path).unwrap();
    own.execute_batch(
        "create table links (id integer primary key, guestlist_note text);
         insert into links values (1, 'mine');
         pragma user_version = 42;
         pragma application_id = 7",
    )
    .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let sent = joining(1, &org("org_1"), &user("ada"));
    assert_eq!(
        block_on(store.commit(&[sent])).unwrap(),
        [Committed::Applied]
    );
    let pragma = |name| own.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    assert_eq!(pragma("user_version"), Ok(42));
    assert_eq!(pragma("application_id"), Ok(7));
    let note: String = own
        .query_row("select guestlist_note from links", [], |row| row.get(0))
        .unwrap();
    assert_eq!(note, "mine");
    own.execute("insert into links values (2, 'also mine')", [])
        .unwrap();
}

#[test]
fn many_threads_make_one_database() {
    for _ in 0..20 {
        let folder = folder();
        let path = folder.path().join("app.db");
        let gate = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8_u64)
            .map(|id| {
                let (path, gate) = (path.clone(), Arc::clone(&gate));
                thread::spawn(move || {
                    gate.wait();
                    let store = SqliteStore::open(&path).unwrap();
                    let sent = joining(id, &org("org_1"), &user(&format!("user_{id}")));
                    block_on(store.commit(&[sent])).unwrap()
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), [Committed::Applied]);
        }
        let store = SqliteStore::open(&path).unwrap();
        let page = block_on(store.events(&EventFilter::default(), None, 100)).unwrap();
        let positions: Vec<u64> = page.events.iter().map(|e| e.sequence.commit).collect();
        assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

/// Not a test by itself: what the other processes of the next test do.
#[test]
fn child() {
    let (Ok(path), Ok(id)) = (env::var("GUESTLIST_PATH"), env::var("GUESTLIST_ID")) else {
        return;
    };
    let store = SqliteStore::open(path).unwrap();
    let sent = joining(
        id.parse().unwrap(),
        &org("org_1"),
        &user(&format!("user_{id}")),
    );
    assert_eq!(
        block_on(store.commit(&[sent])).unwrap(),
        [Committed::Applied]
    );
}

#[test]
fn several_processes_make_one_database() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let mut children: Vec<_> = (0..4)
        .map(|id| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "child", "--quiet"])
                .env("GUESTLIST_PATH", &path)
                .env("GUESTLIST_ID", id.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let store = SqliteStore::open(&path).unwrap();
    let page = block_on(store.events(&EventFilter::default(), None, 100)).unwrap();
    assert_eq!(page.events.len(), 4);
}

/// A database as the first version of the schema left it, with rows that were written then.
fn old_database(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "create table guestlist_schema (
                 version integer primary key check (version >= 1),
                 checksum integer not null
             ) strict",
        )
        .unwrap();
    for sql in [
        include_str!("../migrations/0001.sql"),
        include_str!("old/0001-rows.sql"),
    ] {
        connection.execute_batch(sql).unwrap();
    }
}

/// The steps that were taken, as far as anybody has got, or none: the file is new.
fn steps(path: &Path) -> Vec<(String, Option<String>)> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let sound: String = connection
        .query_row("pragma integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
    dump(&connection)
}

#[test]
fn a_process_that_is_killed_while_it_migrates_leaves_all_or_nothing() {
    let seed = seed();
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    // What both ends of the migration look like, of a new database and of an old one.
    fs::write(at("none.db"), "").unwrap();
    old_database(&at("old.db"));
    let mut ends = Vec::new();
    for before in ["none.db", "old.db"] {
        fs::copy(at(before), at("after.db")).unwrap();
        let begun = steps(&at("after.db"));
        drop(SqliteStore::open(at("after.db")).unwrap());
        ends.push((before, begun, steps(&at("after.db"))));
        fs::remove_file(at("after.db")).unwrap();
    }
    let mut killed = [0, 0];
    let all = rounds(40);
    for round in 0..all {
        let (before, begun, ended) = &ends[usize::from(chance(seed, all + round, 2) == 1)];
        let path = at(&format!("{round}.db"));
        fs::copy(at(before), &path).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--quiet"])
            .env("GUESTLIST_PATH", &path)
            .env("GUESTLIST_ID", "77")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It has the database open when there is a log beside it, which is written when it commits.
        let log = at(&format!("{round}.db-wal"));
        let open = |length: u64| fs::metadata(&log).is_ok_and(|log| log.len() >= length);
        let length = chance(seed, round, 2) * chance(seed, 2 * all + round, 40) * 4096;
        while child.try_wait().unwrap().is_none() && !open(length) {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let found = steps(&path);
        assert!(
            found == *begun || found == *ended,
            "seed {seed}, round {round}"
        );
        killed[usize::from(found == *ended)] += 1;
        let store = SqliteStore::open(&path).unwrap();
        let sent = joining(78, &org("org_1"), &user("user_78"));
        assert_eq!(
            block_on(store.commit(&[sent])).unwrap(),
            [Committed::Applied]
        );
        assert_eq!(steps(&path), *ended, "seed {seed}, round {round}");
    }
    println!("killed before and behind the migration: {killed:?}");
    assert!(all < 40 || killed[0] > 0, "seed {seed}: all were too late");
}

#[test]
fn what_the_first_version_wrote_goes_on() {
    let folder = folder();
    let path = folder.path().join("app.db");
    old_database(&path);
    let store = SqliteStore::open(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    assert_eq!(version(&connection), SCHEMA_VERSION);
    let old: i64 = connection
        .query_row(
            "select count(*) from guestlist_tokens
             where subject_kind <> 'link' or json_extract(body, '$.link') is not null
                or json_extract(body, '$.subject.link') is null",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(old, 0, "tokens open what they opened");

    let (host, ann) = (org("org_1"), user("ann"));
    let start = time(1_767_225_600_000_000);
    // The numbers that ids were drawn from then: this draws the same link and the same token.
    let drawing = Harness::resume(&store, start, 5);
    let (_, issued) = drawing.create_link(&host, LinkDraft::review());
    let h = &drawing;
    block_on(async {
        let fold = async || {
            let mut records = Records::new();
            for recorded in h.events(&EventFilter::default(), 100).await {
                let of = &recorded.organization;
                evolve(&mut records, of, &recorded.stamp, &recorded.event);
            }
            records
        };
        // Folding the log gives the stored rows, also those of a later layout.
        let records = fold().await;
        let link = || LinkRef::Id(issued.link);
        let mut facts = vec![
            Fact::Organization,
            Fact::Link(link()),
            Fact::Tokens(link()),
            Fact::Tally(link()),
            Fact::UseCount(link()),
            Fact::Name("one".parse().unwrap()),
            Fact::Known("ann@example.com".parse().unwrap()),
        ];
        for member in [&ann, &user("bob")] {
            facts.push(Fact::Membership(member.clone()));
            facts.push(Fact::Use(link(), member.clone()));
        }
        let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
        let mut same = 0;
        for (key, expected) in records.iter() {
            let found = snapshot.records().get(key).cloned();
            let found = match found {
                Some(Row::Token(mut token)) => {
                    assert!(token.tag.take().is_some(), "a token keeps its digest");
                    Some(Row::Token(token))
                }
                found => found,
            };
            assert_eq!(found.as_ref(), Some(expected), "{key:?}");
            same += 1;
        }
        assert_eq!(same, 11, "every row that there is");

        // The link's old token still works, and the link is what it was.
        h.done(&h.claim(issued.token, &user("cid"))).await;
        let cid = h.membership(&host, &user("cid")).await.unwrap();
        assert_eq!(cid.status, Some(Status::Pending));
        let forged = Harness::new(&store);
        let other = forged.create_link(&host, LinkDraft::review()).1;
        assert!(
            forged
                .prepare(&forged.claim(other.token, &ann))
                .await
                .is_err()
        );
        // Who was a member with an address is known by it.
        let (send, _) = h.invite_order(&host, "ann@example.com");
        assert!(h.prepared(&send).await.events.is_empty());
        let invited = h.new_invite(&host, "dot@example.com").await;
        let accept = h.accept_as(invited.token, "dot", "dot@example.com");
        h.done(&accept).await;
        h.done(&Order::leave(&host, &ann)).await;
        h.done(&send).await;
    });
    drop(store);
    let sent = block_on(SqliteStore::open(&path).unwrap().list(
        &Query::InvitesTo {
            address: "ann@example.com".parse().unwrap(),
            phase: None,
        },
        &Page::default(),
        start,
    ));
    assert_eq!(sent.unwrap().rows.len(), 1, "opened again");
}

#[test]
fn of_two_members_with_one_address_the_last_is_known_by_it() {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(include_str!("../migrations/0001.sql"))
        .unwrap();
    for (host, id, status, approved_at, email) in [
        ("org_1", "ann", "approved", 7, "'x@example.com'"),
        ("org_1", "bob", "approved", 9, "'x@example.com'"),
        ("org_1", "cid", "approved", 8, "'x@example.com'"),
        ("org_1", "dot", "pending", 10, "'dot@example.com'"),
        ("org_1", "eve", "removed", 11, "'x@example.com'"),
        ("org_1", "fay", "approved", 12, "null"),
        ("org_2", "ann", "approved", 1, "'x@example.com'"),
    ] {
        let sql = format!(
            "insert into guestlist_memberships (bucket, host, member_kind, member_id, status,
                 episode, opened_at, approved_at, updated_at, revision, body)
             values (1, '{host}', 'user', '{id}', '{status}', 1, 1, {approved_at}, 1, 1,
                 json_object('profile', json_object('email', {email})))"
        );
        connection.execute_batch(&sql).unwrap();
    }
    connection
        .execute_batch(include_str!("../migrations/0002.sql"))
        .unwrap();
    let known: Vec<(String, String, String)> = connection
        .prepare("select host, address, member from guestlist_addresses order by host")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let one = |host: &str, member: &str| {
        let address = "x@example.com".to_owned();
        (host.to_owned(), address, member.to_owned())
    };
    assert_eq!(known, [one("org_1", "bob"), one("org_2", "ann")]);
}

#[test]
fn an_old_schema_is_migrated_as_part_of_a_transaction() {
    let folder = folder();
    let path = folder.path().join("app.db");
    old_database(&path);
    let mut connection = Connection::open(&path).unwrap();
    let transaction = connection.transaction().unwrap();
    migrate(&transaction).unwrap();
    transaction.rollback().unwrap();
    assert_eq!(version(&connection), 1, "taken back with the transaction");
    migrate(&connection).unwrap();
    assert_eq!(version(&connection), SCHEMA_VERSION);
}

#[test]
fn a_newer_schema_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let connection = Connection::open(&path).unwrap();
    migrate(&connection).unwrap();
    connection
        .execute(
            "insert into guestlist_schema values (?, 1)",
            [SCHEMA_VERSION + 1],
        )
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    match SqliteStore::open(&path).unwrap_err() {
        StoreError::NewerSchema { found, known } => {
            assert_eq!((found, known), (SCHEMA_VERSION + 1, SCHEMA_VERSION));
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_schema_of_another_origin_is_refused() {
    for sql in [
        "update guestlist_schema set checksum = checksum + 1 where version = 1",
        "update guestlist_schema set version = 0 where version = 1",
    ] {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        connection
            .execute_batch("pragma ignore_check_constraints = on")
            .unwrap();
        connection.execute_batch(sql).unwrap();
        let error = migrate(&connection).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
    for sql in [
        "create table guestlist_links (id integer primary key)",
        "create table guestlist_schema (name text)",
        "create table guestlist_schema (version text, checksum text); \
         insert into guestlist_schema values ('one', 'two')",
    ] {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let before = dump(&connection);
        let error = migrate(&connection).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Foreign { .. } | StoreError::Corrupt { .. }
            ),
            "{error:?}"
        );
        assert_eq!(dump(&connection), before);
        assert!(connection.is_autocommit());
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    let text = "Dear diary. ".repeat(1_000);
    fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_truncated_file_is_corrupt_and_never_a_panic() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let store = SqliteStore::open(&path).unwrap();
    for id in 0..50 {
        let sent = joining(id, &org("org_1"), &user(&format!("user_{id}")));
        assert_eq!(
            block_on(store.commit(&[sent])).unwrap(),
            [Committed::Applied]
        );
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut damaged = 0;
    for length in [100, 4_096, 8_192, whole.len() / 2, whole.len() - 4_096] {
        let path = folder.path().join(format!("cut_{length}.db"));
        fs::write(&path, &whole[..length]).unwrap();
        let error = match SqliteStore::open(&path) {
            Err(error) => error,
            Ok(store) => match block_on(store.events(&EventFilter::default(), None, 1_000)) {
                Err(error) => error,
                Ok(_) => continue,
            },
        };
        damaged += 1;
        assert!(
            matches!(
                error,
                StoreError::Corrupt { .. } | StoreError::Foreign { .. }
            ),
            "{length}: {error:?}"
        );
    }
    assert!(damaged > 0);
}

#[test]
fn what_cant_be_written_says_so() {
    let folder = folder();
    let path = folder.path().join("app.db");
    // A folder that is a file, and one that is not there.
    fs::write(folder.path().join("file"), "x").unwrap();
    for path in ["file/app.db", "missing/app.db"] {
        let error = SqliteStore::open(folder.path().join(path)).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    // A database without tables that may only be read.
    drop(
        Connection::open(&path)
            .unwrap()
            .execute_batch("create table t (x)"),
    );
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let error = migrate(&connection).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    // One with tables is looked at, and nothing is lost.
    drop(connection);
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    migrate(&connection).unwrap();
    let readable = SqliteStore::open(format!("file:{}?mode=ro", path.display())).unwrap();
    let sent = joining(1, &org("org_1"), &user("ada"));
    let error = block_on(readable.commit(&[sent])).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    let page = block_on(readable.events(&EventFilter::default(), None, 1)).unwrap();
    assert!(page.events.is_empty());
}

#[test]
fn a_full_disk_leaves_no_half_schema() {
    for pages in 1..40 {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("create table own (x); insert into own values (1)")
            .unwrap();
        connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
        let before = dump(&connection);
        match migrate(&connection) {
            Ok(()) => assert_eq!(version(&connection), SCHEMA_VERSION),
            Err(error) => {
                assert!(matches!(error, StoreError::Full(_)), "{error:?}");
                assert_eq!(dump(&connection), before);
            }
        }
        assert!(connection.is_autocommit());
    }
}
