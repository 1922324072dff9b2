//! Stores on a private server, each in a schema of its own.
#![allow(
    dead_code,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    unreachable_pub,
    reason = "each test uses some of it"
)]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::Cursor;
use guestlist_store::conformance::CaseFuture;
use guestlist_testkit::postgres::{Database, shared};
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::runtime::Runtime;

/// The runtime of all tests that are no async functions.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// The database that the schemas of this process are in.
pub fn database() -> &'static Database {
    static DATABASE: OnceLock<Database> = OnceLock::new();
    DATABASE.get_or_init(|| shared().create_database().unwrap())
}

/// A schema that nobody else uses.
pub fn schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("s{}", MADE.fetch_add(1, Ordering::Relaxed))
}

pub async fn pool(connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .connect(&database().socket_url())
        .await
        .unwrap()
}

pub async fn store() -> PgStore {
    store_with(PgOptions::new()).await
}

pub async fn store_with(options: PgOptions) -> PgStore {
    PgStore::open(pool(6).await, options.schema(schema()))
        .await
        .unwrap()
}

/// Waits until every transaction has ended that could still be in the log before what is there.
pub async fn settle(pool: &PgPool) {
    let now = sqlx::query("select pg_snapshot_xmax(pg_current_snapshot())::text::int8")
        .fetch_one(pool)
        .await
        .unwrap();
    let now: i64 = now.get(0);
    loop {
        let oldest = sqlx::query("select pg_snapshot_xmin(pg_current_snapshot())::text::int8")
            .fetch_one(pool)
            .await
            .unwrap();
        let oldest: i64 = oldest.get(0);
        if oldest >= now {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Mirrors to the end of the log. The cursor behind it.
pub async fn mirror(store: &PgStore, mut after: Option<Cursor>, limit: u32) -> Option<Cursor> {
    loop {
        let done = store.mirror(after.as_ref(), limit).await.unwrap();
        after = done.next;
        if done.events == 0 {
            return after;
        }
    }
}

pub fn block_on(future: CaseFuture<'_>) {
    runtime().block_on(future);
}
