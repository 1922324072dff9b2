//! The lists of members' memberships, written from the log: in the end what the same transaction
//! would have written.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::time::Duration;

use common::{mirror, pool, runtime, schema, settle, store_with};
use guestlist_membership::Home;
use guestlist_membership::RowKey;
use guestlist_membership::link::LinkDraft;
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::conformance::{Harness, Order};
use guestlist_store::{Commit, Committed, Cursor, Store, StoreError, Write};
use guestlist_types::{Member, OrgId, UserId};
use sqlx::{AssertSqlSafe, Row as _};

fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

fn user(text: &str) -> Member {
    Member::User(UserId::parse(text).unwrap())
}

/// Deterministic and well spread: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// What members of three organizations do, at random; what the rules refuse is left out.
async fn history(h: &Harness<'_, PgStore>, dice: &mut Dice, steps: usize) -> Vec<Commit> {
    let hosts = [org("org_1"), org("org_2"), org("org_3")];
    let members: Vec<Member> = ["ann", "bob", "cid"]
        .into_iter()
        .map(user)
        .chain([Member::Org(org("org_2")), Member::Org(org("org_3"))])
        .collect();
    let mut links = Vec::new();
    for (host, name) in hosts.iter().zip(["one", "two", "three"]) {
        h.register(host, &name.parse().unwrap()).await;
        for draft in [LinkDraft::review(), LinkDraft::auto()] {
            links.push((host, h.new_link(host, draft).await));
        }
    }
    for _ in 0..steps {
        let (host, issued) = links[dice.below(links.len())];
        let member = &members[dice.below(members.len())];
        h.advance(Duration::from_mins(1));
        let order = match dice.below(8) {
            0..=2 => h.claim(issued.token, member),
            3 => h.approve(host, member),
            4 => Order::reject(host, member),
            5 => Order::cancel(host, member),
            6 => Order::leave(host, member),
            _ => h.add(host, member, None),
        };
        let _ = h.run(&order).await;
    }
    h.applied()
}

/// All rows of the lists, as text.
async fn joined(store: &PgStore) -> Vec<String> {
    let table = table(store);
    sqlx::query(AssertSqlSafe(format!(
        "select t::text from {table} t order by member_bucket, member_kind, member_id, host"
    )))
    .fetch_all(store.pool())
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect()
}

async fn execute(store: &PgStore, sql: String) {
    sqlx::query(AssertSqlSafe(sql))
        .execute(store.pool())
        .await
        .unwrap();
}

fn table(store: &PgStore) -> String {
    let options = format!("{:?}", store.options());
    let (_, rest) = options.split_once("schema: Some(\"").unwrap();
    format!("{}.guestlist_joined", rest.split_once('"').unwrap().0)
}

async fn apply(store: &PgStore, commits: &[Commit]) {
    for outcome in store.commit(commits).await.unwrap() {
        assert_eq!(outcome, Committed::Applied);
    }
}

async fn mirrored() -> PgStore {
    store_with(PgOptions::new().mirror_from_log(true)).await
}

#[test]
fn it_is_what_the_same_transaction_writes() {
    runtime().block_on(async {
        let mut rows = 0;
        for seed in 0..8 {
            let mut dice = Dice(seed);
            let at_once = store_with(PgOptions::new()).await;
            let commits = history(&Harness::new(&at_once), &mut dice, 60).await;
            let expected = joined(&at_once).await;
            rows += expected.len();

            let partitions = if seed % 3 == 0 { 4 } else { 0 };
            let options = PgOptions::new().mirror_from_log(true);
            let late = store_with(options.partitions(partitions)).await;
            let mut kept: Vec<Option<Cursor>> = vec![None];
            for commits in commits.chunks(5) {
                for commit in commits {
                    apply(&late, core::slice::from_ref(commit)).await;
                }
                // At once, later, not at all; and from a cursor of long ago.
                for _ in 0..dice.below(3) {
                    let from = kept[dice.below(kept.len())].clone();
                    let limit = u32::try_from(1 + dice.below(9)).unwrap();
                    let done = late.mirror(from.as_ref(), limit).await.unwrap();
                    kept.push(done.next);
                }
            }
            settle(late.pool()).await;
            if seed % 2 == 0 {
                // Two at once, of which one begins anew.
                let last = kept.last().unwrap().clone();
                let (_, _) = tokio::join!(mirror(&late, None, 3), mirror(&late, last, 2));
            } else {
                mirror(&late, None, 7).await;
            }
            assert_eq!(joined(&late).await, expected, "seed {seed}");
            let again = late.mirror(None, 1000).await.unwrap();
            assert_eq!(again.rows, 0, "once more writes nothing");
            at_once.pool().close().await;
            late.pool().close().await;
        }
        assert!(rows > 40, "histories have memberships: {rows}");
    });
}

#[test]
fn going_on_behind_the_kept_cursor_misses_nothing() {
    runtime().block_on(async {
        let store = mirrored().await;
        let h = Harness::new(&store);
        let mut dice = Dice(7);
        let hosts = [org("org_1"), org("org_2"), org("org_3")];
        history(&h, &mut dice, 40).await;
        settle(store.pool()).await;
        let mut kept = mirror(&store, None, 10).await;
        let before = joined(&store).await;
        for round in 0..20 {
            let member = user(&format!("new_{round}"));
            h.done(&h.add(&hosts[round % 3], &member, None)).await;
            settle(store.pool()).await;
            kept = mirror(&store, kept, 10).await;
            assert_eq!(joined(&store).await.len(), before.len() + round + 1);
        }
        let whole = joined(&store).await;
        execute(&store, format!("delete from {}", table(&store))).await;
        assert!(joined(&store).await.is_empty());
        mirror(&store, None, 10).await;
        assert_eq!(joined(&store).await, whole, "a lost list is made anew");
    });
}

#[test]
fn what_is_newer_stays() {
    runtime().block_on(async {
        let store = mirrored().await;
        let h = Harness::new(&store);
        let host = org("org_1");
        h.register(&host, &"one".parse().unwrap()).await;
        h.done(&h.add(&host, &user("ann"), None)).await;
        settle(store.pool()).await;
        mirror(&store, None, 10).await;
        let mark = |revision: &str| {
            format!(
                "update {} set revision = revision {revision}",
                table(&store)
            )
        };
        // Somebody faster has read a later state of it.
        execute(&store, mark("+ 5")).await;
        let newer = joined(&store).await;
        assert_eq!(store.mirror(None, 10).await.unwrap().rows, 0);
        assert_eq!(joined(&store).await, newer);
        h.done(&Order::leave(&host, &user("ann"))).await;
        settle(store.pool()).await;
        assert_eq!(store.mirror(None, 10).await.unwrap().rows, 0);
        execute(&store, mark("- 5")).await;
        assert_eq!(store.mirror(None, 10).await.unwrap().rows, 1);
    });
}

#[test]
fn what_is_deleted_goes() {
    runtime().block_on(async {
        let store = mirrored().await;
        let h = Harness::new(&store);
        let host = org("org_1");
        h.register(&host, &"one".parse().unwrap()).await;
        for name in ["ann", "bob"] {
            h.done(&h.add(&host, &user(name), None)).await;
        }
        settle(store.pool()).await;
        let kept = mirror(&store, None, 10).await;
        assert_eq!(joined(&store).await.len(), 2);
        // No command does this: a commit by hand, with an event about the member.
        let key = RowKey::Membership(host.clone(), user("ann"));
        let before = None;
        let mut commit = h.plain_commit(
            Home::Organization(host.clone()),
            Vec::new(),
            vec![Write::Delete { key, before }],
        );
        let about = |commit: &Commit| {
            let events = &commit.events;
            events.iter().any(|e| e.member() == Some(&user("ann")))
        };
        commit.events = h.applied().into_iter().find(about).unwrap().events;
        apply(&store, &[commit]).await;
        settle(store.pool()).await;
        let done = store.mirror(kept.as_ref(), 10).await.unwrap();
        assert_eq!((done.events, done.rows), (1, 1));
        let left = joined(&store).await;
        assert!(left.len() == 1 && left[0].contains("bob"), "{left:?}");
        assert_eq!(store.mirror(None, 10).await.unwrap().rows, 0);
    });
}

#[test]
fn an_interrupted_one_begins_again() {
    runtime().block_on(async {
        let store = mirrored().await;
        let h = Harness::new(&store);
        let mut dice = Dice(3);
        history(&h, &mut dice, 60).await;
        settle(store.pool()).await;
        // It reads, and then can't write: the table is somebody else's.
        let options = store.options().clone().migrate(false);
        let impatient = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("set lock_timeout = 20")
                        .execute(connection)
                        .await
                        .map(drop)
                })
            })
            .connect(&common::database().socket_url())
            .await
            .unwrap();
        let writer = PgStore::open(impatient, options).await.unwrap();
        let other = pool(1).await;
        let mut holder = other.begin().await.unwrap();
        let lock = format!("lock table {} in exclusive mode", table(&store));
        sqlx::query(AssertSqlSafe(lock))
            .execute(&mut *holder)
            .await
            .unwrap();
        let error = writer.mirror(None, 100).await.unwrap_err();
        assert!(matches!(error, StoreError::Retryable(_)), "{error:?}");
        assert!(error.is_transient());
        holder.rollback().await.unwrap();
        assert!(joined(&store).await.is_empty());
        // Dropped in the middle, each time a little later.
        for polls in 1..12_usize {
            let mut running = Box::pin(writer.mirror(None, 40));
            for _ in 0..polls {
                let once = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(running.as_mut().poll(context).is_ready())
                });
                if once.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(running);
        }
        mirror(&writer, None, 9).await;

        let at_once = store_with(PgOptions::new().schema(schema())).await;
        for commit in h.applied() {
            apply(&at_once, &[commit]).await;
        }
        assert_eq!(joined(&store).await, joined(&at_once).await);
    });
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    runtime().block_on(async {
        let store = mirrored().await;
        let h = Harness::new(&store);
        h.register(&org("org_1"), &"one".parse().unwrap()).await;
        settle(store.pool()).await;
        let filter = guestlist_store::EventFilter::of(org("org_1"));
        let other = store.events(&filter, None, 1).await.unwrap().next;
        let error = store.mirror(other.as_ref(), 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Malformed { .. }), "{error:?}");
    });
}
