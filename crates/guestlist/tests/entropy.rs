//! A generator that fails at any of its calls, or gives what no generator gives: a typed error, and
//! nothing is written.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use common::{builder, clock, link, org, owner, register, to_all, user, user_member};
use core::time::Duration;
use guestlist::{
    Claim, Entropy, EntropyError, Error, Guestlist, LinkDraft, MemoryStore, NewOrganization,
};

/// Draws well until a call that fails, as do all behind it.
struct Failing {
    good: Mutex<ChaCha20Rng>,
    calls: AtomicUsize,
    last: AtomicUsize,
}

impl Entropy for Failing {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) >= self.last.load(Ordering::SeqCst) {
            return Err(EntropyError);
        }
        self.good.lock().unwrap().fill_bytes(bytes);
        Ok(())
    }
}

/// Gives the same bytes again and again.
struct Stuck(&'static [u8]);

impl Entropy for Stuck {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for (byte, stuck) in bytes.iter_mut().zip(self.0.iter().cycle()) {
            *byte = *stuck;
        }
        Ok(())
    }
}

/// Everything that draws: each by itself, on a world that is prepared for it.
const COMMANDS: usize = 9;
const REGISTER: usize = 8;

async fn command<S: guestlist::Store>(
    g: &Guestlist<S>,
    number: usize,
    prepared: &Prepared,
) -> Result<(), Error> {
    let (alice, host) = (owner("host"), org("host"));
    let draft = LinkDraft::review();
    match number {
        0 => g.create_link(&alice, &host, draft).await.map(drop),
        1 => g.default_link(&alice, &host, draft).await.map(drop),
        2 => {
            let refreshed = g.refresh_link(&alice, &host, prepared.link, Duration::ZERO);
            refreshed.await.map(drop)
        }
        3 => g
            .enable_link(&alice, &host, prepared.disabled)
            .await
            .map(drop),
        4 => {
            let (bravo, claim) = (owner("bravo"), Claim::for_organization());
            g.claim(&bravo, &prepared.token, claim).await.map(drop)
        }
        5 => {
            let name = "a group".parse().unwrap();
            g.create_group(&alice, &host, name, false).await.map(drop)
        }
        6 => g
            .invite(&alice, &host, to_all(["a@b.example", "c@d.example"]))
            .await
            .map(drop),
        7 => {
            let member = user_member("u1");
            g.remove(&alice, &host, &member, None).await.map(drop)
        }
        _ => {
            let new = NewOrganization::new(org("late"), "late".parse().unwrap());
            g.register(new.founder("late-owner".parse().unwrap()))
                .await
                .map(drop)
        }
    }
}

struct Prepared {
    link: guestlist::LinkId,
    disabled: guestlist::LinkId,
    token: guestlist::InviteToken,
}

async fn prepare(store: &MemoryStore) -> Prepared {
    let g = builder(store, &clock(), 9).build();
    register(&g, &["host", "bravo"]).await;
    let (link_id, token) = link(&g, "host", LinkDraft::auto()).await;
    let (disabled, _) = link(&g, "host", LinkDraft::auto()).await;
    g.disable_link(&owner("host"), &org("host"), disabled)
        .await
        .unwrap();
    g.claim(&user("u1"), &token, Claim::for_myself())
        .await
        .unwrap();
    Prepared {
        link: link_id,
        disabled,
        token,
    }
}

#[tokio::test]
async fn a_generator_that_fails_at_any_call_leaves_nothing() {
    for number in 0..COMMANDS {
        let mut calls = 0;
        loop {
            let store = MemoryStore::default();
            let prepared = prepare(&store).await;
            let before = store.kv().dump();
            let entropy = Arc::new(Failing {
                good: Mutex::new(ChaCha20Rng::from_seed([3; 32])),
                calls: AtomicUsize::new(0),
                last: AtomicUsize::new(calls),
            });
            let g = builder(&store, &clock(), 0)
                .entropy(Arc::clone(&entropy))
                .build();
            match command(&g, number, &prepared).await {
                Ok(()) => {
                    assert!(calls > 0, "command {number} draws nothing");
                    assert!(store.kv().dump() != before);
                    break;
                }
                Err(error) => {
                    assert_eq!(error.code(), "entropy-unavailable", "command {number}");
                    // A name is reserved in a commit of its own, and stays its organization's.
                    let is_unchanged = number == REGISTER || store.kv().dump() == before;
                    assert!(is_unchanged, "command {number}, call {calls}");
                    let g = builder(&store, &clock(), 77).build();
                    command(&g, number, &prepared).await.unwrap();
                }
            }
            calls += 1;
            assert!(calls < 200, "command {number} never ends");
        }
    }
}

#[tokio::test]
async fn no_token_is_made_of_what_no_generator_gives() {
    for stuck in [&[0][..], &[0xff], &[7], &[1, 2], &[0x5a, 0xa5, 3]] {
        let store = MemoryStore::default();
        let prepared = prepare(&store).await;
        let before = store.kv().dump();
        let g = builder(&store, &clock(), 0).entropy(Stuck(stuck)).build();
        for number in [0, 1, 2, 3, 6] {
            let error = command(&g, number, &prepared).await.unwrap_err();
            assert_eq!(
                error.code(),
                "entropy-unavailable",
                "{stuck:?}, command {number}"
            );
            assert!(store.kv().dump() == before, "{stuck:?}, command {number}");
        }
    }
}
