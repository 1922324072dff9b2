//! Claim storms: many at once on one link with a limit. Exactly as many get in as it allows.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::sync::Arc;

use common::{clock, link, org, over, owner, register, user};
use guestlist::membership::link::{LinkCondition, UseState};
use guestlist::{
    Claim, EventFilter, Guestlist, LinkDraft, LinkFilter, MemoryStore, Page, Store, Uses,
};
use guestlist_sqlite::SqliteStore;

const ROUNDS: usize = 50;

/// One storm of `claimers` on a new link for `limit`.
async fn storm<S: Store + 'static>(
    guestlist: &Arc<Guestlist<S>>,
    round: usize,
    claimers: usize,
    limit: usize,
) {
    let draft = if round.is_multiple_of(2) {
        LinkDraft::review()
    } else {
        LinkDraft::auto()
    };
    let draft = draft.max_uses(Uses::AtMost(limit as u64));
    let (id, token) = link(guestlist, "host", draft).await;
    let token = Arc::new(token);
    let claims: Vec<_> = (0..claimers)
        .map(|number| {
            let (guestlist, token) = (Arc::clone(guestlist), Arc::clone(&token));
            tokio::spawn(async move {
                let actor = user(&format!("r{round}-{limit}-{number}"));
                guestlist.claim(&actor, &token, Claim::for_myself()).await
            })
        })
        .collect();
    let mut admitted = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Ok(changed) => admitted += usize::from(changed.changed),
            Err(error) => assert_eq!(error.code(), "invalid-token", "{error:?}"),
        }
    }
    let expected = claimers.min(limit);
    assert_eq!(admitted, expected, "round {round}, limit {limit}");
    let (alice, host) = (owner("host"), org("host"));
    let mut users = Vec::new();
    let mut page = Page::first(100).unwrap();
    loop {
        let (part, next) = guestlist
            .link_users(&alice, &host, id, &page)
            .await
            .unwrap();
        users.extend(part);
        let Some(next) = next else { break };
        page = page.after(next);
    }
    let counted = users
        .iter()
        .filter(|used| used.state != UseState::Released)
        .count();
    assert_eq!(counted, expected);
    let filter = LinkFilter::default();
    let mut page = Page::first(1000).unwrap();
    let listing = loop {
        let part = guestlist
            .links(&alice, &host, filter.clone(), &page)
            .await
            .unwrap();
        if let Some(found) = part.links.into_iter().find(|listing| listing.link.id == id) {
            break found;
        }
        page = page.after(part.next.expect("the link is listed"));
    };
    assert_eq!(listing.uses, Some(expected as u64));
    let full = limit <= claimers;
    assert_eq!(listing.condition == LinkCondition::Exhausted, full);
    // Announced exactly once.
    let name = Some("link-exhausted".to_owned());
    let filter = EventFilter {
        name,
        link: Some(id),
        ..EventFilter::default()
    };
    let told = guestlist
        .audit(&alice, &host, filter, &Page::default())
        .await
        .unwrap();
    assert_eq!(told.events.len(), usize::from(full));
}

async fn storms<S: Store + 'static>(store: S, claimers: usize) {
    let guestlist = Arc::new(over(store, &clock(), 9));
    register(&guestlist, &["host"]).await;
    for round in 0..ROUNDS {
        for limit in [1, 2, 5, claimers - 1, claimers, claimers + 1] {
            storm(&guestlist, round, claimers, limit).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_in_memory() {
    storms(MemoryStore::default(), 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("storm.db")).unwrap();
    storms(store, 32).await;
}
