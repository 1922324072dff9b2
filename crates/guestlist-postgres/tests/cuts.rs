//! Connections that are cut, and backends that are terminated, around a commit: it is applied or
//! not, the answer says no more than is known, and sent again it is applied once.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::commits::{
    apply, bytes, claim, claims, is_there, load, receipt, send, settle_claim, uses,
};
use common::{chance, connect, pool_of, rounds, seed, store_in, until};
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::{Commit, Committed, StoreError};
use guestlist_testkit::postgres::shared;
use guestlist_testkit::proxy::{Cut, CuttingProxy};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

fn proxied(proxy: &CuttingProxy) -> PgConnectOptions {
    connect().port(proxy.address().port())
}

/// A store behind the proxy whose connections are new.
async fn behind(proxy: &CuttingProxy, schema: &str) -> PgStore {
    PgStore::open(
        pool_of(proxied(proxy), 2).await,
        PgOptions::new().schema(schema),
    )
    .await
    .unwrap()
}

/// A claim, every second of them with something to count, so that it is a transaction of several
/// statements.
fn nth(id: u64) -> Commit {
    let mut sent = claim(id, id);
    if id.is_multiple_of(2) {
        sent.checks.push(uses(id, 0));
    }
    sent
}

/// Sends it while something happens to the connection, and again until it is there.
async fn once(
    store: &PgStore,
    proxy: &CuttingProxy,
    schema: &str,
    id: u64,
) -> Result<Committed, StoreError> {
    let sent = nth(id);
    let first = send(store, &sent).await;
    proxy.disarm();
    match &first {
        Ok(done) => assert_eq!(*done, Committed::Applied),
        Err(error) => {
            let _ = settle_claim(store, &sent, error).await;
        }
    }
    // The cut may have come right behind the answer.
    let before = StoreError::Unknown("applied by now".into());
    assert_eq!(settle_claim(store, &sent, &before).await, receipt(&sent));
    assert!(load(store, id).await.unwrap());
    assert!(is_there(store.pool(), schema, id).await);
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_at_any_byte_leaves_all_or_nothing() {
    let seed = seed();
    let (direct, name) = store_in().await;
    let proxy = CuttingProxy::start(shared().address()).unwrap();
    let mut id = 0;
    let cuts = rounds(28);
    for warm in [false, true] {
        for kind in [1, 2] {
            // How many bytes a commit is: the least of a few, for a connection may still be put
            // back, or another be opened, while one is counted.
            id += kind;
            id += (id + kind) % 2;
            let mut exchange = [u64::MAX; 2];
            for _ in 0..3 {
                id += 2;
                let store = behind(&proxy, &name).await;
                if warm {
                    apply(&store, &nth(id + 1_000_000)).await;
                }
                let before = (proxy.sent(), proxy.received());
                apply(&store, &nth(id)).await;
                exchange[0] = exchange[0].min(proxy.sent() - before.0);
                exchange[1] = exchange[1].min(proxy.received() - before.1);
                store.pool().close().await;
            }
            for (up, length) in [true, false].into_iter().zip(exchange) {
                let mut answered = [0; 2];
                for step in 0..cuts / 2 {
                    id += 2;
                    let store = behind(&proxy, &name).await;
                    if warm {
                        apply(&store, &nth(id + 1_000_000)).await;
                    }
                    // The first and the last byte, and evenly between them, give or take.
                    let even = length * step / (cuts / 2 - 1).max(1);
                    let width = length / cuts;
                    let place = match step {
                        0 => 0,
                        _ if step == cuts / 2 - 1 => length,
                        _ => even + chance(seed, id, width),
                    };
                    proxy.cut(if up {
                        Cut::AfterSent(place)
                    } else {
                        Cut::AfterReceived(place)
                    });
                    let first = once(&store, &proxy, &name, id).await;
                    answered[usize::from(first.is_ok())] += 1;
                    store.pool().close().await;
                }
                assert!(
                    answered[0] > cuts / 8,
                    "seed {seed}: hardly one was cut: {answered:?} of {exchange:?}"
                );
            }
        }
    }
    let total = claims(direct.pool(), &name).await;
    assert!(total > 0, "seed {seed}");
    assert!(
        // What is aimed at behind the last byte cuts nothing.
        proxy.cuts() >= 4 * cuts * 9 / 10 - 16,
        "seed {seed}: {}",
        proxy.cuts()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_an_unknown_outcome() {
    let (direct, name) = store_in().await;
    let proxy = CuttingProxy::start(shared().address()).unwrap();
    let mut total = 0;
    for id in 1..=rounds(20) {
        let store = behind(&proxy, &name).await;
        // What commits: the statement itself, or that of its own.
        let pattern = if id.is_multiple_of(2) {
            b"COMMIT\0".to_vec()
        } else {
            bytes(id).to_vec()
        };
        let lost = id % 4 < 2;
        proxy.cut(if lost {
            Cut::AfterForwarding(pattern)
        } else {
            Cut::BeforeForwarding(pattern)
        });
        let sent = nth(id);
        let error = send(&store, &sent).await.unwrap_err();
        assert!(error.is_unknown(), "{error:?}");
        assert!(!proxy.is_armed());
        if lost {
            // The server had everything, and has done it.
            assert!(is_there(direct.pool(), &name, id).await);
            assert_eq!(send(&store, &sent).await.unwrap(), receipt(&sent));
        } else {
            assert!(!is_there(direct.pool(), &name, id).await);
            apply(&store, &sent).await;
        }
        total += 1;
        assert_eq!(claims(direct.pool(), &name).await, total);
        store.pool().close().await;
    }
}

/// Terminates a backend of these, if there is one.
async fn terminate(pool: &PgPool, application: &str, number: u64) -> bool {
    let found = sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 \
        order by pid offset $2 % greatest((select count(*) from pg_stat_activity \
        where application_name = $1), 1) limit 1",
    )
    .bind(application)
    .bind(i64::try_from(number).unwrap())
    .fetch_optional(pool)
    .await
    .unwrap();
    found.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_are_terminated_while_commits_run() {
    let seed = seed();
    let (direct, name) = store_in().await;
    let target = rounds(30);
    for together in [true, false] {
        let application = format!("{name}_{together}");
        let store = PgStore::open(
            pool_of(connect().application_name(&application), 4).await,
            PgOptions::new().schema(&name).flush_together(together),
        )
        .await
        .unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..4_u64)
            .map(|task| {
                let (store, over) = (store.clone(), Arc::clone(&over));
                tokio::spawn(async move {
                    let mut failed = 0_u64;
                    let mut ids = Vec::new();
                    for number in 0_u64.. {
                        if over.load(Ordering::SeqCst) {
                            break;
                        }
                        let id = (1 + u64::from(together)) * 10_000_000 + task * 1_000_000 + number;
                        // On two links, so that they meet; the counting ones on their own.
                        let mut sent = claim(id, number % 2);
                        if number % 5 == 0 {
                            sent = claim(id, id);
                            sent.checks.push(uses(id, 0));
                        }
                        match send(&store, &sent).await {
                            Ok(done) => assert_eq!(done, Committed::Applied),
                            Err(error) => {
                                failed += 1;
                                let _ = settle_claim(&store, &sent, &error).await;
                            }
                        }
                        ids.push(id);
                    }
                    (ids, failed)
                })
            })
            .collect();
        let mut terminated = 0;
        for step in 0..100 * target {
            if terminated == target || tasks.iter().any(tokio::task::JoinHandle::is_finished) {
                break;
            }
            terminated +=
                u64::from(terminate(direct.pool(), &application, chance(seed, step, 1_000)).await);
            tokio::time::sleep(Duration::from_millis(chance(seed, step + 1_000_000, 12))).await;
        }
        over.store(true, Ordering::SeqCst);
        let mut failed = 0;
        for task in tasks {
            let (ids, of_task) = task.await.unwrap();
            failed += of_task;
            for id in ids {
                assert!(is_there(direct.pool(), &name, id).await, "seed {seed}");
            }
        }
        assert_eq!(terminated, target, "seed {seed}");
        assert!(failed > 0, "seed {seed}: nobody noticed");
        claims(direct.pool(), &name).await;
        store.pool().close().await;
    }
}

/// The server ends the connection at the very moment at which it writes.
#[tokio::test]
async fn a_backend_that_ends_while_it_commits_is_an_unknown_outcome() {
    let (store, name) = store_in().await;
    store
        .pool()
        .execute(AssertSqlSafe(format!(
            "create function {name}.fault() returns trigger language plpgsql as $$ begin \
            perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(10); return new; end $$"
        )))
        .await
        .unwrap();
    for (id, table) in (1..).zip(["memberships", "link_tallies", "events"]) {
        for counting in [false, true] {
            let id = 2 * id + u64::from(!counting);
            let sent = nth(id);
            let trigger = format!(
                "create constraint trigger fault after insert or update on {name}.guestlist_{table} \
                deferrable initially {} for each row execute function {name}.fault()",
                // At the commit itself, too.
                if table == "events" {
                    "deferred"
                } else {
                    "immediate"
                },
            );
            store.pool().execute(AssertSqlSafe(trigger)).await.unwrap();
            let error = send(&store, &sent).await.unwrap_err();
            let untold = !counting || table == "events";
            assert_eq!(error.is_unknown(), untold, "{table}: {error:?}");
            assert!(error.is_unknown() || error.is_transient(), "{error:?}");
            assert!(!is_there(store.pool(), &name, id).await);
            store
                .pool()
                .execute(AssertSqlSafe(format!(
                    "drop trigger fault on {name}.guestlist_{table}"
                )))
                .await
                .unwrap();
            // The connection was not kept.
            apply(&store, &sent).await;
        }
    }
    assert_eq!(claims(store.pool(), &name).await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_takes_the_borrowed_transaction_with_it() {
    let (store, name) = store_in().await;
    let proxy = CuttingProxy::start(shared().address()).unwrap();
    let pool = pool_of(proxied(&proxy), 2).await;
    let application = format!("{name}_borrowed");
    let named = pool_of(connect().application_name(&application), 2).await;
    // How long the whole of it is.
    let mut transaction = pool.begin().await.unwrap();
    let before = (proxy.sent(), proxy.received());
    apply(&store.transaction(&mut transaction), &nth(1)).await;
    let exchange = [proxy.sent() - before.0, proxy.received() - before.1];
    transaction.commit().await.unwrap();
    let steps = rounds(5);
    let mut total = 1;
    for step in 0..steps {
        for how in ["sent", "received", "terminated"] {
            let id = 10 * (step + 1) + how.len() as u64;
            let pool = if how == "terminated" {
                named.clone()
            } else {
                pool_of(proxied(&proxy), 1).await
            };
            let mut transaction = pool.begin().await.unwrap();
            // What the application itself has written.
            transaction
                .execute(AssertSqlSafe(format!(
                    "insert into {name}.guestlist_schema values ({}, 0)",
                    1_000 + id
                )))
                .await
                .unwrap();
            let [up, down] = exchange.map(|length| length * step / steps);
            match how {
                "sent" => proxy.cut(Cut::AfterSent(up)),
                "received" => proxy.cut(Cut::AfterReceived(down)),
                _ => {
                    assert!(terminate(store.pool(), &application, 0).await);
                    let gone = format!(
                        "select not exists (select 1 from pg_stat_activity \
                        where application_name = '{application}')"
                    );
                    until(store.pool(), &gone).await;
                }
            }
            let sent = nth(id);
            let borrowed = store.transaction(&mut transaction);
            let error = send(&borrowed, &sent).await.unwrap_err();
            assert!(error.is_transient(), "{how} {step}: {error:?}");
            assert!(load(&borrowed, 1).await.is_err());
            transaction.commit().await.unwrap_err();
            let sql = format!("select count(*) from {name}.guestlist_schema where version > 999");
            let row = sqlx::query(AssertSqlSafe(sql))
                .fetch_one(store.pool())
                .await;
            assert_eq!(row.unwrap().get::<i64, _>(0), 0);
            assert!(!is_there(store.pool(), &name, id).await);
            apply(&store, &sent).await;
            total += 1;
            assert_eq!(claims(store.pool(), &name).await, total);
        }
    }
}
