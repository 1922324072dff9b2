//! Stores on a private server, each in a schema of its own.
#![allow(
    dead_code,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    unreachable_pub,
    reason = "each test uses some of it"
)]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

pub mod citus;
pub mod commits;
pub mod lent;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::Cursor;
use guestlist_store::conformance::CaseFuture;
use guestlist_testkit::postgres::{Database, shared};
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
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

/// Connections that are set up in a way of their own.
pub async fn pool_of(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .unwrap()
}

/// How to connect, over TCP.
pub fn connect() -> PgConnectOptions {
    database().url().parse().unwrap()
}

/// So many, or as often as `GUESTLIST_ROUNDS` says.
pub fn rounds(number: u64) -> u64 {
    let factor = std::env::var("GUESTLIST_ROUNDS").map_or(1, |text| text.parse().unwrap());
    number * factor
}

/// Where chance begins: `GUESTLIST_SEED`, or anywhere. To be told by what fails.
pub fn seed() -> u64 {
    std::env::var("GUESTLIST_SEED").map_or_else(
        |_| RandomState::new().hash_one(0_u8),
        |text| text.parse().unwrap(),
    )
}

/// A number below `end`, other ones for other steps.
pub fn chance(seed: u64, step: u64, end: u64) -> u64 {
    let mut x = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % end.max(1)
}

/// Waits until a query answers true, up to half a minute.
pub async fn until(pool: &PgPool, query: &str) {
    for _ in 0..6_000 {
        let row = sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_one(pool)
            .await
            .unwrap();
        if row.get(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited too long for `{query}`");
}

pub async fn store() -> PgStore {
    store_with(PgOptions::new()).await
}

/// A store, and the name of its schema.
pub async fn store_in() -> (PgStore, String) {
    let name = schema();
    let options = PgOptions::new().schema(&name);
    (PgStore::open(pool(6).await, options).await.unwrap(), name)
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
