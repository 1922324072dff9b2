//! How a database gets its tables, and what is none.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::{env, fs, thread};

use common::*;
use guestlist_sqlite::{SCHEMA_VERSION, SqliteStore, migrate};
use guestlist_store::{Committed, EventFilter, Store, StoreError};
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
fn inside_a_transaction_it_is_part_of_it() {
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
