//! Where events stand on engines of several machines: one log for all, whatever the clocks say.
//!
//! On PostgreSQL, which takes the same statements. What several machines do to it is done by hand.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::commits::{apply, claim, claim_with, send};
use common::{chance, pool, rounds, runtime, schema, seed};
use guestlist_postgres::{Dialect, PgOptions, PgStore};
use guestlist_store::{Cursor, EventFilter, Recorded, Store};
use guestlist_testkit::postgres::Server;
use guestlist_types::CommitId;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;

async fn open(schema: &str, dialect: Dialect) -> PgStore {
    let options = PgOptions::new().schema(schema).dialect(dialect);
    PgStore::open(pool(6).await, options).await.unwrap()
}

async fn run(store: &PgStore, schema: &str, sql: &str) -> u64 {
    let sql = sql.replace('@', &format!("{schema}.guestlist_"));
    let done = sqlx::query(AssertSqlSafe(sql)).execute(store.pool()).await;
    done.unwrap().rows_affected()
}

/// What is behind a cursor, in pages of this size, and the cursor behind that.
async fn read(
    store: &PgStore,
    mut after: Option<Cursor>,
    size: u32,
) -> (Vec<Recorded>, Option<Cursor>) {
    let mut all = Vec::new();
    loop {
        let page = store
            .events(&EventFilter::default(), after.as_ref(), size)
            .await
            .unwrap();
        let is_end = page.events.is_empty();
        all.extend(page.events);
        after = page.next;
        if is_end {
            return (all, after);
        }
    }
}

async fn commits(store: &PgStore) -> Vec<CommitId> {
    let (events, _) = read(store, None, 100).await;
    events.iter().map(|recorded| recorded.commit).collect()
}

fn ids(numbers: &[u64]) -> Vec<CommitId> {
    numbers.iter().map(|number| claim(*number, 1).id).collect()
}

#[test]
fn the_log_is_in_the_order_of_what_was_relied_on_whatever_the_clock_says() {
    runtime().block_on(async {
        let schema = schema();
        let store = open(&schema, Dialect::YugabyteDb).await;
        apply(&store, &claim(1, 1)).await;
        apply(&store, &claim_with(2, 1, 1, 1)).await;
        apply(&store, &claim_with(3, 1, 1, 2)).await;
        apply(&store, &claim(4, 1)).await;
        apply(&store, &claim_with(5, 1, 4, 1)).await;
        // The clock goes backwards.
        let waiting = run(&store, &schema, "update @unplaced set tick = -tick").await;
        assert_eq!(waiting, 5);
        assert_eq!(commits(&store).await, ids(&[4, 5, 1, 2, 3]));
        assert_eq!(run(&store, &schema, "delete from @unplaced").await, 0);
        assert_eq!(store.place().await.unwrap(), 0);
    });
}

#[test]
fn all_readers_meet_one_log_while_it_grows() {
    const TASKS: u64 = 8;
    const CLAIMS: u64 = 25;
    runtime().block_on(async {
        let schema = schema();
        let stores = [
            open(&schema, Dialect::YugabyteDb).await,
            open(&schema, Dialect::YugabyteDb).await,
        ];
        let over = Arc::new(AtomicBool::new(false));
        let mut readers = Vec::new();
        for (store, size) in [(&stores[0], 3), (&stores[1], 7), (&stores[1], 50)] {
            let (store, over) = (store.clone(), Arc::clone(&over));
            readers.push(tokio::spawn(async move {
                let (mut met, mut after) = (Vec::new(), None);
                loop {
                    let was_over = over.load(Ordering::SeqCst);
                    let (events, next) = read(&store, after, size).await;
                    after = next;
                    met.extend(events.iter().map(|recorded| recorded.commit));
                    if was_over {
                        return met;
                    }
                    tokio::task::yield_now().await;
                }
            }));
        }
        let mut writers = Vec::new();
        for task in 0..TASKS {
            let store = stores[usize::from(task % 2 == 0)].clone();
            writers.push(tokio::spawn(async move {
                // Each relies on what the one before has written.
                for step in 0..CLAIMS {
                    let id = task * 1_000 + step;
                    let commit = match step {
                        0 => claim(id, 1),
                        _ => claim_with(id, 1, task * 1_000, step),
                    };
                    apply(&store, &commit).await;
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
        let log = commits(&stores[0]).await;
        assert_eq!(log.len() as u64, TASKS * CLAIMS);
        for task in 0..TASKS {
            let wanted: Vec<u64> = (0..CLAIMS).map(|step| task * 1_000 + step).collect();
            let wanted = ids(&wanted);
            let of_task: Vec<CommitId> = log
                .iter()
                .filter(|commit| wanted.contains(commit))
                .copied()
                .collect();
            assert_eq!(of_task, wanted, "task {task}");
        }
        for reader in readers {
            assert_eq!(reader.await.unwrap(), log);
        }
    });
}

#[test]
fn the_log_is_shown_up_to_what_is_not_there_yet() {
    runtime().block_on(async {
        let schema = schema();
        let store = open(&schema, Dialect::YugabyteDb).await;
        apply(&store, &claim(1, 1)).await;
        assert_eq!(commits(&store).await, ids(&[1]));
        // Somebody has given a place, and not all machines show it.
        run(&store, &schema, "update @places set given = given + 1").await;
        apply(&store, &claim(3, 1)).await;
        assert_eq!(commits(&store).await, ids(&[1]));
        assert_eq!(commits(&store).await, ids(&[1]));
        apply(&store, &claim(2, 1)).await;
        run(
            &store,
            &schema,
            "insert into @events (bucket, host, position, ordinal, commit_id, name, at, by, body) \
            select bucket, host, 2, ordinal, commit_id, name, at, by, body from @unplaced",
        )
        .await;
        run(&store, &schema, "delete from @unplaced").await;
        assert_eq!(commits(&store).await, ids(&[1, 2, 3]));
    });
}

#[test]
fn what_was_given_a_place_and_not_shown_is_shown_by_the_next() {
    runtime().block_on(async {
        let schema = schema();
        let store = open(&schema, Dialect::YugabyteDb).await;
        for id in 1..=3 {
            apply(&store, &claim(id, 1)).await;
        }
        assert_eq!(store.place().await.unwrap(), 3);
        run(&store, &schema, "update @places set shown = 1").await;
        assert_eq!(commits(&store).await, ids(&[1, 2, 3]));
    });
}

#[test]
fn a_database_that_moves_to_another_engine_goes_on_behind_its_log() {
    runtime().block_on(async {
        let schema = schema();
        let mut all = Vec::new();
        let mut after = None;
        let engines = [
            Dialect::PostgreSql,
            Dialect::YugabyteDb,
            Dialect::PostgreSql,
            Dialect::YugabyteDb,
        ];
        for (turn, dialect) in (0_u64..).zip(engines) {
            let store = open(&schema, dialect).await;
            for id in [2 * turn, 2 * turn + 1] {
                apply(&store, &claim(id, 1)).await;
                all.push(id);
            }
            common::settle(store.pool()).await;
            let (events, next) = read(&store, after, 1).await;
            let new: Vec<CommitId> = events.iter().map(|recorded| recorded.commit).collect();
            assert_eq!(new, ids(&all[all.len() - 2..]), "{dialect:?}");
            after = next;
            assert_eq!(commits(&store).await, ids(&all), "{dialect:?}");
        }
    });
}

/// Claims until it fails or all is over. The ids of those that were acknowledged.
async fn claim_on(
    store: PgStore,
    first: u64,
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Vec<CommitId> {
    let mut acknowledged = Vec::new();
    for id in first.. {
        let claim = claim(id, 1);
        if over.load(Ordering::SeqCst) || send(&store, &claim).await.is_err() {
            break;
        }
        acknowledged.push(claim.id);
        done.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Reads on until it fails.
async fn read_on(store: PgStore, mut after: Option<Cursor>) -> (Vec<CommitId>, Option<Cursor>) {
    let mut met = Vec::new();
    while let Ok(page) = store
        .events(&EventFilter::default(), after.as_ref(), 5)
        .await
    {
        met.extend(page.events.iter().map(|recorded| recorded.commit));
        after = page.next.or(after);
    }
    (met, after)
}

#[test]
fn a_server_that_is_killed_while_places_are_given_loses_none() {
    const ROUNDS: u64 = 3;
    runtime().block_on(async {
        let seed = seed();
        let mut server = Server::start().unwrap();
        let connect = async |server: &Server| {
            let pool = PgPoolOptions::new()
                .max_connections(6)
                .acquire_timeout(Duration::from_secs(10))
                .connect(&server.url("postgres"))
                .await
                .unwrap();
            let options = PgOptions::new().dialect(Dialect::YugabyteDb);
            PgStore::open(pool, options).await.unwrap()
        };
        let (mut acknowledged, mut met, mut after) = (Vec::new(), Vec::new(), None);
        for round in 0..rounds(ROUNDS) {
            let store = connect(&server).await;
            let over = Arc::new(AtomicBool::new(false));
            let done = Arc::new(AtomicU64::new(0));
            let writers: Vec<_> = (0..4)
                .map(|task| {
                    let first = (round * 4 + task) * 1_000_000;
                    let (over, done) = (Arc::clone(&over), Arc::clone(&done));
                    tokio::spawn(claim_on(store.clone(), first, over, done))
                })
                .collect();
            let reader = tokio::spawn(read_on(store.clone(), after.take()));
            // In the middle of it, however fast the machine is.
            let enough = 20 + chance(seed, round, 150);
            let busy = async {
                while done.load(Ordering::SeqCst) < enough {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_mins(1), busy)
                .await
                .unwrap();
            server.kill().unwrap();
            over.store(true, Ordering::SeqCst);
            for writer in writers {
                acknowledged.extend(writer.await.unwrap());
            }
            let (read, next) = reader.await.unwrap();
            met.extend(read);
            after = next;
            store.pool().close().await;
            server.start_again().unwrap();
        }
        let store = connect(&server).await;
        let (rest, _) = read(&store, after, 5).await;
        met.extend(rest.iter().map(|recorded| recorded.commit));
        let log = commits(&store).await;
        assert_eq!(met, log, "seed {seed}");
        let once: BTreeSet<CommitId> = log.iter().copied().collect();
        assert_eq!(once.len(), log.len(), "seed {seed}");
        assert!(!acknowledged.is_empty(), "seed {seed}");
        assert!(
            acknowledged.iter().all(|commit| once.contains(commit)),
            "seed {seed}"
        );
    });
}
