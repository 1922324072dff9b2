//! Peppers are rotated while people claim: every genuine token works as long as its pepper is
//! there, what was claimed with goes over to the new one, and what was not fails closed.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::sync::Arc;

use common::pg::{rounds, seed};
use common::{clock, link, org, pepper, register, user, user_member};
use guestlist::{
    Claim, Guestlist, InviteToken, LinkDraft, MemoryStore, NoRateLimit, PepperId, PepperRing, Store,
};
use guestlist_sqlite::SqliteStore;

const ROUNDS: usize = 50;
const LINKS: usize = 6;
const CLAIMERS: usize = 4;

fn ring(current: u8, older: Option<u8>) -> PepperRing {
    let id = |number: u8| PepperId::new(number.into());
    let ring = PepperRing::new(id(current), pepper(current));
    match older {
        Some(older) => ring.with_older(id(older), pepper(older)).unwrap(),
        None => ring,
    }
}

fn with<S: Store>(store: S, peppers: PepperRing) -> Guestlist<S> {
    Guestlist::builder(store, peppers)
        .clock(clock())
        .rate_limit(NoRateLimit)
        .build()
}

/// Everybody claims with every token at once, through one process or another.
async fn claim_all<S: Store + Clone + 'static>(
    guestlists: &[Arc<Guestlist<S>>],
    tokens: &[Arc<InviteToken>],
    round: usize,
) {
    let mut claims = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        for claimer in 0..CLAIMERS {
            let guestlist = Arc::clone(&guestlists[(place + claimer) % guestlists.len()]);
            let (token, name) = (Arc::clone(token), format!("u{round}-{place}-{claimer}"));
            claims.push(tokio::spawn(async move {
                let actor = user(&name);
                let claimed = guestlist.claim(&actor, &token, Claim::for_myself());
                claimed.await.map(|_| name)
            }));
        }
    }
    for claim in claims {
        let name = claim.await.unwrap().unwrap();
        let found = guestlists[0]
            .membership(&user(&name), &org("host"), &user_member(&name))
            .await
            .unwrap();
        assert!(found.status.is_some(), "{name} is not in");
    }
}

async fn rotate<S: Store + Clone + 'static>(store: S, rounds: usize, seed: u8) {
    let founding = common::over(store.clone(), &clock(), seed);
    register(&founding, &["host"]).await;
    let late = user("late");
    for round in 0..rounds {
        // Ids of peppers are never used again.
        let (old, new) = (
            u8::try_from(round % 100 + 1).unwrap(),
            u8::try_from(round % 100 + 2).unwrap(),
        );
        // First everybody gets to know the new pepper, then one after the other uses it.
        let before = Arc::new(with(store.clone(), ring(old, Some(new))));
        let after = Arc::new(with(store.clone(), ring(new, Some(old))));
        let (mut tokens, mut idle) = (Vec::new(), Vec::new());
        for _ in 0..LINKS {
            tokens.push(Arc::new(link(&before, "host", LinkDraft::auto()).await.1));
            idle.push(link(&before, "host", LinkDraft::auto()).await.1);
        }
        let both = [Arc::clone(&before), Arc::clone(&after)];
        claim_all(&both, &tokens, 3 * round).await;
        claim_all(&both[1..], &tokens, 3 * round + 1).await;
        let without = Arc::new(with(store.clone(), ring(new, None)));
        claim_all(std::slice::from_ref(&without), &tokens, 3 * round + 2).await;
        for token in &idle {
            let refused = without.claim(&late, token, Claim::for_myself());
            assert_eq!(refused.await.unwrap_err().code(), "invalid-token");
            // It is only the pepper that is missing.
            assert!(after.preview(token).await.is_ok());
        }
        let other = PepperRing::new(PepperId::new(new.into()), pepper(200));
        for wrong in [other, ring(old, None)] {
            let wrong = with(store.clone(), wrong);
            for token in &tokens {
                let refused = wrong.claim(&late, token, Claim::for_myself());
                assert_eq!(refused.await.unwrap_err().code(), "invalid-token");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peppers_are_rotated_while_people_claim_in_memory() {
    rotate(MemoryStore::default(), rounds(ROUNDS), seed(21)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peppers_are_rotated_while_people_claim_on_sqlite() {
    let store = SqliteStore::builder().in_memory().open().unwrap();
    rotate(store, rounds(ROUNDS), seed(22)).await;
}
