//! Commands of several threads over the store in memory, in every order in which they can take its
//! lock (`cargo xtask loom`).
#![cfg(guestlist_loom)]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use common::{clock, link, org, over, owner, register, user};
use guestlist::store::{
    Capabilities, Kv, KvCheck, KvCommitted, KvOp, KvRange, KvStore, MemoryKv, Store, StoreError,
};
use guestlist::{Claim, Guestlist, InviteToken, LinkDraft, MemoryStore, Uses};
use loom::thread;

/// Over a store that makes nobody wait, everything is done with one poll.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// In every order, or in those with at most so many changes of turn that nothing forces. How many
/// they were.
fn explore(turns: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) -> usize {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = turns;
    // Each reading of a list takes the lock again.
    model.max_branches = 100_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    model.check(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        scenario();
    });
    orders.load(Ordering::SeqCst)
}

/// A store that does not look again at what was relied on.
struct Forgetful(MemoryKv);

#[async_trait]
impl Kv for Forgetful {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.get(keys).await
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.0.scan(range, limit).await
    }

    async fn commit(&self, _: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError> {
        let unbounded: Vec<KvOp> = ops
            .iter()
            .map(|op| match op.clone() {
                KvOp::Add { key, by, .. } => KvOp::Add {
                    key,
                    by,
                    below: None,
                },
                other => other,
            })
            .collect();
        self.0.commit(&[], &unbounded).await
    }
}

/// How many of these, who claim by a link at the same time, get in by so many uses.
fn admitted<S: Store + 'static>(store: S, uses: u64, names: &'static [&'static str]) -> usize {
    let guestlist = Arc::new(over(store, &clock(), 31));
    let token = at_once(async {
        register(&guestlist, &["host"]).await;
        let draft = LinkDraft::auto().max_uses(Uses::AtMost(uses));
        Arc::new(link(&guestlist, "host", draft).await.1)
    });
    let threads: Vec<_> = names
        .iter()
        .map(|name| {
            let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
            thread::spawn(move || gets_in(&guestlist, &token, name))
        })
        .collect();
    let answers = threads.into_iter().map(|thread| thread.join().unwrap());
    answers.filter(|is_in| *is_in).count()
}

fn gets_in<S: Store>(guestlist: &Guestlist<S>, token: &InviteToken, name: &str) -> bool {
    match at_once(guestlist.claim(&user(name), token, Claim::for_myself())) {
        Ok(done) => done.changed,
        Err(error) => {
            assert_eq!(error.code(), "invalid-token", "{error:?}");
            false
        }
    }
}

#[test]
fn as_many_get_in_as_a_link_has_uses() {
    let two = &["ann", "ben"];
    let orders = explore(None, || {
        assert_eq!(admitted(MemoryStore::default(), 1, two), 1)
    });
    println!("two claims on the last use: {orders} orders");
    let three = &["ann", "ben", "cat"];
    let orders = explore(Some(3), || {
        assert_eq!(admitted(MemoryStore::default(), 2, three), 2)
    });
    println!("three claims on two uses: {orders} orders");
}

#[test]
fn a_store_that_does_not_look_again_is_noticed() {
    let too_many = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&too_many);
    explore(None, move || {
        let store = KvStore::new(
            Forgetful(MemoryKv::default()),
            Capabilities::immediate(false, false),
        );
        if admitted(store, 1, &["ann", "ben"]) == 2 {
            seen.store(true, Ordering::SeqCst);
        }
    });
    assert!(too_many.load(Ordering::SeqCst));
}

#[test]
fn nobody_comes_by_a_token_that_was_replaced() {
    let orders = explore(None, || {
        let guestlist = Arc::new(over(MemoryStore::default(), &clock(), 31));
        let (link, token) = at_once(async {
            register(&guestlist, &["host"]).await;
            link(&guestlist, "host", LinkDraft::auto()).await
        });
        let refresh = {
            let guestlist = Arc::clone(&guestlist);
            thread::spawn(move || {
                let (alice, host) = (owner("host"), org("host"));
                let refresh = guestlist.refresh_link(&alice, &host, link, Duration::ZERO);
                at_once(refresh).unwrap();
            })
        };
        let is_in = gets_in(&guestlist, &token, "ann");
        refresh.join().unwrap();
        let page = at_once(guestlist.feed(None, 1000)).unwrap();
        let links = page.events.iter().filter(|of| of.event.link().is_some());
        let names: Vec<&str> = links.map(|of| of.event.name()).collect();
        let place = |name| names.iter().position(|other| *other == name);
        let (joined, replaced) = (place("membership-joined"), place("link-refreshed"));
        assert_eq!(joined.is_some(), is_in, "{names:?}");
        assert!(
            replaced.is_some() && joined.is_none_or(|at| Some(at) < replaced),
            "{names:?}"
        );
        assert!(!gets_in(&guestlist, &token, "ben"));
    });
    println!("a claim while the token is replaced: {orders} orders");
}
