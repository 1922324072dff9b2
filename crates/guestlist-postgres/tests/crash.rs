//! What was acknowledged is there after the server was killed, and nothing is there by half.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::commits::{claim, claims, events, is_there, list, receipt, send, settle_claim, uses};
use common::{chance, rounds, seed, settle};
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::{Commit, Committed, StoreError};
use guestlist_testkit::postgres::Server;
use sqlx::postgres::PgPoolOptions;

const TASKS: u64 = 4;

/// The claims of one task in one round: on two links, and every fifth counts.
fn nth(round: u64, task: u64, number: u64) -> (u64, Commit) {
    let id = round * 10_000_000 + task * 1_000_000 + number;
    if number.is_multiple_of(5) {
        let mut sent = claim(id, id);
        sent.checks.push(uses(id, 0));
        return (id, sent);
    }
    (id, claim(id, number % 2))
}

/// What became of a task: how many claims were acknowledged, and one that may not have been.
struct Ended {
    task: u64,
    acknowledged: u64,
    open: Option<(u64, Commit, StoreError)>,
}

/// How many commits are done, and whether these are enough.
#[derive(Default)]
struct Progress {
    done: AtomicU64,
    is_over: AtomicBool,
}

/// Commits until it fails, or does so again when all is over.
async fn go_on(store: PgStore, round: u64, task: u64, progress: Arc<Progress>) -> Ended {
    let mut ended = Ended {
        task,
        acknowledged: 0,
        open: None,
    };
    while !progress.is_over.load(Ordering::SeqCst) {
        let number = ended.acknowledged;
        let (id, sent) = nth(round, task, number);
        match send(&store, &sent).await {
            Ok(answer) => {
                assert_eq!(answer, Committed::Applied);
                ended.acknowledged += 1;
                progress.done.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                ended.open = Some((id, sent, error));
                break;
            }
        }
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commits_survive_a_kill() {
    let seed = seed();
    let mut server = Server::start().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(6)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .connect(&server.url("postgres"))
        .await
        .unwrap();
    // The store lives on, as in a service whose database fails.
    let store = PgStore::open(pool.clone(), PgOptions::new().schema("guest"))
        .await
        .unwrap();
    let mut total = 0;
    let mut failed = 0;
    for round in 1..=rounds(3) {
        let progress = Arc::new(Progress::default());
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(go_on(store.clone(), round, task, Arc::clone(&progress))))
            .collect();
        let enough = 20 + chance(seed, round, 150);
        for _ in 0..6_000 {
            if progress.done.load(Ordering::SeqCst) >= enough {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(
            progress.done.load(Ordering::SeqCst) >= enough,
            "seed {seed}"
        );
        server.kill().unwrap();
        progress.is_over.store(true, Ordering::SeqCst);
        server.start_again().unwrap();
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(task.await.unwrap());
        }
        // A connection of its own: those of the pool are gone.
        let fresh = PgPoolOptions::new()
            .max_connections(1)
            .connect(&server.url("postgres"))
            .await
            .unwrap();
        let mut known = 0;
        for ended in &ended {
            for number in 0..ended.acknowledged {
                let (id, _) = nth(round, ended.task, number);
                assert!(is_there(&fresh, "guest", id).await, "seed {seed}: {id}");
                known += 1;
            }
            if let Some((id, _, error)) = &ended.open {
                let is_there = is_there(&fresh, "guest", *id).await;
                assert!(!is_there || error.is_unknown(), "seed {seed}: {error:?}");
                known += i64::from(is_there);
                failed += 1;
            }
        }
        total += known;
        assert_eq!(claims(&fresh, "guest").await, total, "seed {seed}");
        for ended in &ended {
            if let Some((_, sent, error)) = &ended.open
                && settle_claim(&store, sent, error).await == Committed::Applied
            {
                total += 1;
            }
            // Each is known by its receipt.
            for number in 0..ended.acknowledged {
                let (_, sent) = nth(round, ended.task, number);
                assert_eq!(send(&store, &sent).await.unwrap(), receipt(&sent));
            }
        }
        assert_eq!(claims(&fresh, "guest").await, total, "seed {seed}");
        settle(&fresh).await;
        // And through the store.
        let through = PgStore::open(fresh.clone(), PgOptions::new().schema("guest"))
            .await
            .unwrap();
        assert_eq!(
            i64::try_from(events(&through).await.unwrap()).unwrap(),
            total
        );
        assert_eq!(
            i64::try_from(list(&through).await.unwrap()).unwrap(),
            total.min(1_000)
        );
        fresh.close().await;
    }
    pool.close().await;
    assert!(failed > 0, "seed {seed}: nobody noticed");
}
