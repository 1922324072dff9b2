//! Commands inside a transaction of the host application.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::sync::mpsc;
use std::task::Poll;
use std::{future, thread};

use common::*;
use guestlist_membership::member::Status;
use guestlist_membership::{Fact, Scope};
use guestlist_sqlite::{Enlisted, enlist, migrate};
use guestlist_store::{Committed, EventFilter, Load, Page, Query, Store, StoreError};
use guestlist_types::{Member, OrgId, Timestamp};
use rusqlite::Connection;
use tokio::sync::mpsc::unbounded_channel;

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("create table orders (id integer primary key, buyer text not null)")
        .unwrap();
    migrate(&connection).unwrap();
    connection
}

fn orders(connection: &Connection) -> i64 {
    connection
        .query_row("select count(*) from orders", [], |row| row.get(0))
        .unwrap()
}

fn memberships(connection: &Connection) -> i64 {
    connection
        .query_row("select count(*) from guestlist_memberships", [], |row| {
            row.get(0)
        })
        .unwrap()
}

async fn join(store: &Enlisted, id: u64, host: &OrgId, member: &Member) -> Committed {
    let sent = joining(id, host, member);
    store.commit(&[sent]).await.unwrap().pop().unwrap()
}

#[test]
fn both_or_nothing() {
    for keep in [true, false] {
        let mut connection = database();
        let transaction = connection.transaction().unwrap();
        transaction
            .execute("insert into orders (buyer) values ('ada')", [])
            .unwrap();
        let (host, ada) = (org("org_1"), user("ada"));
        let outcome = enlist(&transaction, |store| async move {
            let outcome = join(&store, 1, &host, &ada).await;
            // It sees what it has written.
            let scope = Scope::of(host.clone(), vec![Fact::Membership(ada.clone())]);
            let snapshot = store.load(&Load::of(&scope)).await.unwrap();
            assert!(snapshot.records().membership(&host, &ada).is_some());
            let query = Query::MembershipsOf {
                member: ada,
                status: None,
            };
            let listed = store.list(&query, &Page::default(), Timestamp::MAX).await;
            assert_eq!(listed.unwrap().rows.len(), 1);
            let page = store
                .events(&EventFilter::of(host), None, 10)
                .await
                .unwrap();
            assert_eq!(page.events.len(), 1);
            assert!(!store.capabilities().durable);
            outcome
        });
        assert_eq!(outcome, Committed::Applied);
        assert!(!transaction.is_autocommit());
        if keep {
            transaction.commit().unwrap();
        } else {
            transaction.rollback().unwrap();
        }
        let expected = i64::from(keep);
        assert_eq!(orders(&connection), expected);
        assert_eq!(memberships(&connection), expected);
    }
}

#[test]
fn what_is_refused_leaves_the_transaction_usable() {
    let mut connection = database();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute("insert into orders (buyer) values ('ada')", [])
        .unwrap();
    let (host, ada) = (org("org_1"), user("ada"));
    enlist(&transaction, |store| {
        let (host, ada) = (host.clone(), ada.clone());
        async move {
            assert_eq!(join(&store, 1, &host, &ada).await, Committed::Applied);
            let key = membership_key(&host, &ada);
            assert_eq!(
                join(&store, 2, &host, &ada).await,
                Committed::Conflict { key }
            );
            // A row that the schema refuses, behind one that it took.
            let own = Member::Org(host.clone());
            let bad = put_membership(membership(&host, &own, Status::Pending), 1);
            let mut both = joining(3, &host, &user("bob"));
            both.writes.push(bad);
            let error = store.commit(&[both]).await.unwrap_err();
            assert!(matches!(error, StoreError::Malformed { .. }), "{error:?}");
        }
    });
    assert_eq!(memberships(&transaction), 1);
    transaction
        .execute("insert into orders (buyer) values ('bob')", [])
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!((orders(&connection), memberships(&connection)), (2, 1));
}

#[test]
fn without_a_transaction_or_tables_it_is_misused() {
    let refused = |connection: &Connection| {
        enlist(connection, |store| async move {
            let scope = Scope::of(org("org_1"), vec![Fact::Organization]);
            let error = store.load(&Load::of(&scope)).await.unwrap_err();
            assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
            let sent = joining(1, &org("org_1"), &user("ada"));
            let error = store.commit(&[sent]).await.unwrap_err();
            assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
        });
    };
    refused(&database());
    let mut empty = Connection::open_in_memory().unwrap();
    refused(&empty.transaction().unwrap());
}

#[test]
fn afterwards_it_is_misused_and_never_hangs() {
    let mut connection = database();
    let transaction = connection.transaction().unwrap();
    let (kept, unfinished) = enlist(&transaction, |store| async move {
        let other = store.clone();
        // Sent, and not answered when this ends.
        let mut unfinished = Box::pin(async move {
            let scope = Scope::of(org("org_1"), vec![Fact::Organization]);
            other.load(&Load::of(&scope)).await.map(|_| ())
        });
        future::poll_fn(|context| {
            assert!(unfinished.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        (store, unfinished)
    });
    let error = block_on(unfinished).unwrap_err();
    assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
    let sent = joining(1, &org("org_1"), &user("ada"));
    let error = block_on(kept.commit(&[sent])).unwrap_err();
    assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
    assert!(format!("{kept:?}").contains("open: false"));
    drop(transaction);
}

#[test]
fn other_threads_may_call_and_the_future_may_wait_for_them() {
    let mut connection = database();
    let transaction = connection.transaction().unwrap();
    let host = org("org_1");
    enlist(&transaction, |store| {
        let host = host.clone();
        async move {
            let (sender, mut receiver) = unbounded_channel();
            let threads: Vec<_> = (0..8_u64)
                .map(|id| {
                    let (store, host, sender) = (store.clone(), host.clone(), sender.clone());
                    thread::spawn(move || {
                        let member = user(&format!("user_{id}"));
                        let sent = joining(id, &host, &member);
                        let outcome = block_on(store.commit(&[sent])).unwrap();
                        sender.send(outcome).unwrap();
                    })
                })
                .collect();
            for _ in 0..8 {
                assert_eq!(receiver.recv().await.unwrap(), [Committed::Applied]);
            }
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
    assert_eq!(memberships(&transaction), 8);
}

#[test]
fn a_future_that_panics_takes_its_callers_along() {
    let mut connection = database();
    let transaction = connection.transaction().unwrap();
    let (sender, receiver) = mpsc::channel::<Enlisted>();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        enlist(&transaction, |store| async move {
            sender.send(store).unwrap();
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    let store = receiver.recv().unwrap();
    let error = block_on(store.commit(&[joining(1, &org("org_1"), &user("ada"))])).unwrap_err();
    assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
}
