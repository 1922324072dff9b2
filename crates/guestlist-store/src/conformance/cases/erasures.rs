//! Erasing personal data from the log.

use guestlist_membership::member::MemberCommand;
use guestlist_membership::{Event, Fact, Home, RowKey, Scope};

use crate::commit::{Commit, Committed, Write};
use crate::conformance::harness::{must, name, org, person};
use crate::conformance::observe::{assert_items, fold};
use crate::conformance::{Fixture, Harness, Order};
use crate::event::{EventFilter, Recorded};
use crate::snapshot::Load;
use crate::store::Store;

/// Somebody was let in with an address, and left; and what there is of that to erase.
struct Left {
    events: Vec<Recorded>,
    personal: Vec<Recorded>,
}

async fn left<F: Fixture>(fixture: &F, h: &Harness<'_, F::Store>) -> Left {
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    for number in 0..2 {
        let (sent, invited) = h.invite_order(&host, &format!("p{number}@example.com"));
        h.done(&sent).await;
        let id = format!("person-{number}");
        let address = format!("p{number}@example.com");
        h.done(&h.accept_as(invited.token, &id, &address)).await;
    }
    h.done(&Order::leave(&host, &person("person-0"))).await;
    fixture.settle(h.store()).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let of_the_first = |recorded: &&Recorded| match &recorded.event {
        Event::Member(event) => event.member() == Some(&person("person-0")),
        _ => false,
    };
    let personal: Vec<Recorded> = events
        .iter()
        .filter(of_the_first)
        .filter(|recorded| recorded.event.erased() != recorded.event)
        .cloned()
        .collect();
    assert!(!personal.is_empty(), "an address is personal");
    Left { events, personal }
}

/// The commit that erases the first person, together with these events.
async fn erasing<S: Store + ?Sized>(h: &Harness<'_, S>, personal: &[Recorded]) -> Commit {
    let host = org("org_1");
    let command = MemberCommand::Erase {
        member: person("person-0"),
        invites: Vec::new(),
        logged: true,
    };
    let mut commit = h.prepared(&Order::member(&host, command)).await;
    commit
        .writes
        .extend(personal.iter().map(|recorded| Write::Erase {
            key: RowKey::Membership(host.clone(), person("person-0")),
            sequence: recorded.sequence,
            commit: recorded.commit,
            event: Box::new(recorded.event.erased()),
            mark: [7; 32],
        }));
    commit
}

/// The log without personal data, as it should be then.
fn erased(left: &Left) -> Vec<Recorded> {
    let replaced = |recorded: &Recorded| {
        let is_erased = left
            .personal
            .iter()
            .any(|it| it.sequence == recorded.sequence);
        let mut recorded = recorded.clone();
        if is_erased {
            recorded.event = recorded.event.erased();
            recorded.erased = Some([7; 32]);
        }
        recorded
    };
    left.events.iter().map(replaced).collect()
}

/// Erasing replaces the events in their places and keeps the mark beside them; every other event
/// stays, one for the erasure itself is added, and the log still folds to the rows.
pub async fn an_erasure_replaces_events_in_their_places<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let left = left(fixture, &h).await;
    let commit = erasing(&h, &left.personal).await;
    h.applies(&commit).await;
    fixture.settle(&store).await;
    let found = h.events(&EventFilter::default(), 1000).await;
    let (before, added) = found.split_at(left.events.len());
    assert_items(&erased(&left), before, "the log after an erasure");
    let added: Vec<_> = added.iter().map(|recorded| recorded.event.name()).collect();
    assert_eq!(added, ["member-erased"]);
    let member = person("person-0");
    let row = fold(&found);
    let row = row.membership(&org("org_1"), &member);
    let facts = vec![Fact::Membership(member.clone())];
    let snapshot = h.load(&Scope::of(org("org_1"), facts)).await;
    let stored = snapshot.records().membership(&org("org_1"), &member);
    assert_eq!(stored, row, "the log folds to the row");
    assert!(stored.is_some_and(|row| row.profile.email.is_none()));
    // Filters find the erased events by whom they are about, as before.
    let of_member = EventFilter {
        member: Some(member),
        ..EventFilter::of(org("org_1"))
    };
    let found = h.events(&of_member, 1000).await;
    assert!(found.iter().filter(|it| it.erased.is_some()).count() >= left.personal.len());
}

/// The answers of the commits whose events are erased are emptied, because they may repeat what
/// was erased; that a commit was applied is still known. Other answers stay.
pub async fn an_erasure_empties_the_answers_of_its_commits<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let left = left(fixture, &h).await;
    let commit = erasing(&h, &left.personal).await;
    h.applies(&commit).await;
    let scope = Scope::of(org("org_1"), vec![Fact::Organization]);
    let home = Home::Organization(org("org_1"));
    for applied in h.applied().iter().filter(|commit| commit.home == home) {
        let Some(receipt) = &applied.receipt else {
            continue;
        };
        let load = Load {
            scope: &scope,
            receipt: Some(applied.id),
            known_books: None,
        };
        let snapshot = must(store.load(&load).await, "a receipt");
        let Some(kept) = snapshot.receipt() else {
            panic!("the receipt of {} is gone", applied.id);
        };
        assert_eq!(kept.digest, receipt.digest);
        let is_erased = left.personal.iter().any(|it| it.commit == applied.id);
        let expected = if is_erased { "" } else { &receipt.reply };
        assert_eq!(kept.reply, expected, "the answer of {}", applied.id);
    }
}

/// An erasure that conflicts erases nothing.
pub async fn an_erasure_that_conflicts_erases_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let left = left(fixture, &h).await;
    let commit = erasing(&h, &left.personal).await;
    h.done(&Order::member(
        &org("org_1"),
        MemberCommand::Block {
            member: person("person-0"),
            reason: None,
        },
    ))
    .await;
    assert!(matches!(
        h.commit(&commit).await,
        Committed::Conflict { .. }
    ));
    fixture.settle(&store).await;
    let found = h.events(&EventFilter::default(), 1000).await;
    assert_items(&left.events, &found[..left.events.len()], "the log");
}
