//! Stores on a private PostgreSQL server, and what it takes to read their log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use guestlist::{MemoryStore, Store};
use guestlist_postgres::{Dialect, PgOptions, PgStore, citus_statements, migrate};
use guestlist_sqlite::SqliteStore;
use guestlist_testkit::postgres::{Database, shared};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// The database that the schemas of this process are in.
fn database() -> &'static Database {
    static DATABASE: OnceLock<Database> = OnceLock::new();
    DATABASE.get_or_init(|| shared().create_database().unwrap())
}

/// A schema that nobody else uses.
fn schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("s{}", MADE.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn pool(connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(120))
        .test_before_acquire(false)
        .connect(&database().socket_url())
        .await
        .unwrap()
}

/// A store with tables of its own.
pub(crate) async fn store() -> PgStore {
    store_with(PgOptions::new()).await.0
}

/// The same, and the schema that its tables are in.
pub(crate) async fn store_with(options: PgOptions) -> (PgStore, String) {
    let schema = schema();
    let store = PgStore::open(pool(16).await, options.schema(schema.clone()));
    (store.await.unwrap(), schema)
}

/// One that commits as it does on Citus, by the function that Citus would run where the bucket is.
pub(crate) async fn store_on_citus(options: PgOptions) -> (PgStore, String) {
    let schema = schema();
    let options = options.schema(schema.clone()).dialect(Dialect::Citus);
    let pool = pool(16).await;
    migrate(&mut pool.acquire().await.unwrap(), &options)
        .await
        .unwrap();
    // All but what would distribute them.
    let statements = citus_statements(&options).unwrap();
    for sql in statements {
        if !sql.starts_with("select create_") {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&pool)
                .await
                .unwrap();
        }
    }
    (PgStore::open(pool, options).await.unwrap(), schema)
}

/// Takes all rows out of a store's tables, which is faster than making new ones.
pub(crate) async fn clear(store: &PgStore, schema: &str) {
    let statement = "select string_agg(format('delete from %s', c.oid::regclass), '; ') \
        from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition \
        and c.relname not in ('guestlist_schema', 'guestlist_epoch', 'guestlist_places')";
    let statement: String = sqlx::query_scalar(statement)
        .bind(schema)
        .fetch_one(store.pool())
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(store.pool())
        .await
        .unwrap();
}

/// A store whose log shows what was committed, once this has been waited for.
pub(crate) trait Settle: Store {
    fn settle(&self) -> impl Future<Output = ()> + Send;
}

impl Settle for MemoryStore {
    async fn settle(&self) {}
}

impl Settle for SqliteStore {
    async fn settle(&self) {}
}

impl Settle for PgStore {
    /// Every transaction that could still stand in the log before what is there has to end.
    async fn settle(&self) {
        let now = "select pg_snapshot_xmax(pg_current_snapshot())::text::int8";
        let now: i64 = sqlx::query_scalar(now)
            .fetch_one(self.pool())
            .await
            .unwrap();
        let oldest = "select pg_snapshot_xmin(pg_current_snapshot())::text::int8";
        loop {
            let oldest: i64 = sqlx::query_scalar(oldest)
                .fetch_one(self.pool())
                .await
                .unwrap();
            if oldest >= now {
                break;
            }
            tokio::task::yield_now().await;
        }
        // Lists of memberships come from the log where they are elsewhere.
        if self.capabilities().memberships_lag == Duration::ZERO {
            return;
        }
        let mut after = None;
        loop {
            let done = self.mirror(after.as_ref(), 500).await.unwrap();
            if done.events == 0 {
                return;
            }
            after = done.next;
        }
    }
}

/// How many rounds a test runs: `GUESTLIST_ROUNDS`, or what fits every run.
pub(crate) fn rounds(usual: usize) -> usize {
    match std::env::var("GUESTLIST_ROUNDS") {
        Ok(rounds) => rounds.parse().unwrap(),
        Err(_) => usual,
    }
}

/// What a test draws its ids and tokens from: `GUESTLIST_SEED`, or the usual.
pub(crate) fn seed(usual: u8) -> u8 {
    match std::env::var("GUESTLIST_SEED") {
        Ok(seed) => seed.parse::<u64>().unwrap().to_le_bytes()[0] ^ usual,
        Err(_) => usual,
    }
}
