//! What was committed stays, and the store goes on where it was.

use guestlist_membership::link::LinkDraft;

use crate::commit::{Commit, Committed, Receipt};
use crate::conformance::harness::{must, name, org, person};
use crate::conformance::observe::{assert_folds, assert_items, observe};
use crate::conformance::world::{build, limited};
use crate::conformance::{Fixture, Harness};
use crate::event::EventFilter;
use crate::query::{Page, Query};
use crate::store::Store;

/// A durable store that is opened again shows all that it showed before, goes on with its log, and
/// knows every commit that it has applied. A store that is not durable says so.
pub async fn opening_again_keeps_everything<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let before = observe(fixture, &h).await;
    let (now, drawn, applied) = (h.now(), h.drawn(), h.applied());
    let everything = EventFilter::default();
    let (all, end) = h.events_after(&everything, None, 1000).await;
    let links = Query::Links {
        host: world.acme.clone(),
        status: None,
        creator: None,
    };
    let whole = h.list(&links, 1000).await;
    let two = must(Page::first(2), "a page's size");
    let listed = store.list(&links, &two, now).await;
    let listed = must(listed, "listing");
    let is_durable = store.capabilities().durable;
    let Some(store) = fixture.reopen(store).await else {
        assert!(
            !is_durable,
            "a store says that it is durable, and can't be opened again"
        );
        return;
    };
    let h = Harness::resume(&store, now, drawn);
    let after = observe(fixture, &h).await;
    before.assert_same(&after, "opened again");
    for commit in &applied {
        // Without a receipt it would be applied again.
        let Some(receipt) = &commit.receipt else {
            continue;
        };
        let other = Commit {
            receipt: Some(Receipt {
                reply: "something else".to_owned(),
                ..receipt.clone()
            }),
            ..commit.clone()
        };
        let outcome = h.commit(&other).await;
        assert_eq!(outcome, Committed::AlreadyApplied(receipt.clone()));
    }
    let after = observe(fixture, &h).await;
    before.assert_same(&after, "all of its commits sent again");
    // Cursors of before lead on.
    let rest = two.after(listed.next.unwrap_or_else(|| panic!("more than two links")));
    let rest = store.list(&links, &rest, now).await;
    let rest = must(rest, "listing");
    let again: Vec<_> = listed.rows.into_iter().chain(rest.rows).collect();
    assert_items(
        &whole[..again.len()],
        &again,
        "links, the store opened again in between",
    );
    h.register(&org("org_new"), &name("new")).await;
    fixture.settle(&store).await;
    let (new, _) = h.events_after(&everything, end, 1000).await;
    assert_eq!(
        new.len(),
        2,
        "what came after the store was opened again: {new:?}"
    );
    let last = all.last().map(|recorded| recorded.sequence);
    assert!(
        new.iter().all(|recorded| Some(recorded.sequence) > last),
        "behind the rest"
    );
    let issued = h
        .new_link(&org("org_new"), LinkDraft::auto().max_uses(limited(1)))
        .await;
    h.done(&h.claim(issued.token, &person("ann"))).await;
    assert_folds(fixture, &h).await;
}

/// Two stores of a fixture have nothing in common.
pub async fn stores_are_apart<F: Fixture>(fixture: &F) {
    let (one, two) = (fixture.store().await, fixture.store().await);
    let (h, other) = (Harness::new(&one), Harness::new(&two));
    h.register(&org("org_1"), &name("one")).await;
    assert_eq!(
        other.events(&EventFilter::default(), 10).await,
        [],
        "a fresh store is empty"
    );
    other.register(&org("org_1"), &name("one")).await;
    assert_folds(fixture, &other).await;
}
