//! The public conformance suite: on a file, in memory, and inside a transaction.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use guestlist_sqlite::{Enlisted, SqliteStore, enlist, migrate};
use guestlist_store::conformance::Fixture;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Each store is a file in a folder that lives as long as the fixture.
struct Files {
    folder: TempDir,
    made: AtomicU32,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            made: AtomicU32::new(0),
        }
    }
}

#[async_trait]
impl Fixture for Files {
    type Store = SqliteStore;

    async fn store(&self) -> SqliteStore {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        SqliteStore::open(self.folder.path().join(format!("{number}.db"))).unwrap()
    }

    async fn reopen(&self, store: SqliteStore) -> Option<SqliteStore> {
        let path = store.path().unwrap().to_owned();
        drop(store);
        Some(SqliteStore::open(path).unwrap())
    }
}

struct Memory;

#[async_trait]
impl Fixture for Memory {
    type Store = SqliteStore;

    async fn store(&self) -> SqliteStore {
        SqliteStore::builder().in_memory().open().unwrap()
    }

    async fn reopen(&self, _: SqliteStore) -> Option<SqliteStore> {
        None
    }
}

/// Each store is enlisted in a transaction that a thread holds open until the fixture is dropped.
#[derive(Default)]
struct Transactions {
    open: Mutex<Vec<(JoinHandle<()>, oneshot::Sender<()>)>>,
}

#[async_trait]
impl Fixture for Transactions {
    type Store = Enlisted;

    async fn store(&self) -> Enlisted {
        let (sender, receiver) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.set_prepared_statement_cache_capacity(128);
            migrate(&connection).unwrap();
            let transaction = connection.transaction().unwrap();
            enlist(&transaction, |store| async move {
                sender.send(store).unwrap();
                ended.await.unwrap();
            });
        });
        self.open.lock().unwrap().push((thread, end));
        receiver.recv().unwrap()
    }

    async fn reopen(&self, _: Enlisted) -> Option<Enlisted> {
        None
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        for (thread, end) in self.open.get_mut().unwrap().drain(..) {
            let ended = end.send(()).is_ok() && thread.join().is_ok();
            assert!(ended || thread::panicking());
        }
    }
}

mod file {
    guestlist_store::conformance_tests!(super::Files::new());
}

mod memory {
    guestlist_store::conformance_tests!(super::Memory);
}

mod transaction {
    guestlist_store::conformance_tests!(super::Transactions::default());
}
