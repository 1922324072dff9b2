//! What consumers of the feed keep: how far they have read, and what they have put aside.

use core::time::Duration;

use guestlist_membership::{
    ConsumerRecord, Fact, Home, ParkedRecord, Row, RowKey, Scope, Sequence,
};
use guestlist_types::ConsumerName;

use crate::commit::{Check, Commit, Committed, Write};
use crate::conformance::harness::{consumer, must, name, org};
use crate::conformance::observe::assert_items;
use crate::conformance::{Fixture, Harness, Order};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::event::EventFilter;
use crate::query::{Page, Query};
use crate::snapshot::Revision;
use crate::store::Store;

const fn at(commit: u64, ordinal: u64) -> Sequence {
    Sequence { commit, ordinal }
}

async fn row<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    fact: Fact,
    key: &RowKey,
) -> (Revision, Option<Row>) {
    h.row(&Scope::of(org("anywhere"), vec![fact]), key).await
}

/// How far a consumer has read, and how often that was written.
pub(super) async fn read_up_to<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    name: &ConsumerName,
) -> (Revision, Option<ConsumerRecord>) {
    let (revision, found) = row(
        h,
        Fact::Consumer(name.clone()),
        &RowKey::Consumer(name.clone()),
    )
    .await;
    match found {
        Some(Row::Consumer(record)) => (revision, Some(record)),
        None => (revision, None),
        found => panic!("the row of {name} is {found:?}"),
    }
}

/// Acknowledges up to here, if nobody has acknowledged anything since this revision.
pub(super) fn acknowledge<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    name: &ConsumerName,
    revision: Revision,
    acknowledged: Sequence,
) -> Commit {
    let key = RowKey::Consumer(name.clone());
    let row = Row::Consumer(ConsumerRecord {
        acknowledged,
        chain: Some([u8::try_from(acknowledged.commit % 251).unwrap_or(0); 32]),
        leased_until: None,
        updated_at: h.now(),
    });
    let check = Check::Revision {
        key: key.clone(),
        revision,
    };
    let put = Write::Put {
        key,
        row,
        revision: revision.next(),
        before: None,
    };
    h.plain_commit(Home::Consumer(name.clone()), vec![check], vec![put])
}

fn parked<S: Store + ?Sized>(h: &Harness<'_, S>, attempts: u32) -> ParkedRecord {
    ParkedRecord {
        attempts,
        next_at: (!attempts.is_multiple_of(3)).then(|| h.now() + Duration::from_secs(60)),
        error: "http-\u{e9}'%".to_owned(),
        reached: Vec::new(),
        parked_at: h.now(),
        tried_at: h.now(),
    }
}

fn park<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    name: &ConsumerName,
    sequence: Sequence,
    revision: Revision,
) -> Commit {
    let key = RowKey::Parked(name.clone(), sequence);
    let check = Check::Revision {
        key: key.clone(),
        revision,
    };
    let attempts = u32::try_from(revision.get() + 1).unwrap_or(u32::MAX);
    let put = Write::Put {
        key,
        row: Row::Parked(parked(h, attempts)),
        revision: revision.next(),
        before: None,
    };
    h.plain_commit(Home::Consumer(name.clone()), vec![check], vec![put])
}

fn sequences(rows: Vec<(RowKey, Row)>) -> Vec<Sequence> {
    let place = |(key, row)| match (key, row) {
        (RowKey::Parked(_, sequence), Row::Parked(_)) => sequence,
        other => panic!("a parked event is {other:?}"),
    };
    rows.into_iter().map(place).collect()
}

/// Of two acknowledgements that begin at the same place one is stored, and the row moves from
/// revision to revision; consumers of similar names have nothing to do with each other.
pub async fn an_acknowledgement_is_stored_where_it_begins<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let names = ["a", "a/b", "a/", "ab", "-", "_", ".", "0", &"z".repeat(64)].map(consumer);
    for (number, name) in (0..).zip(&names) {
        assert_eq!(read_up_to(&h, name).await, (Revision::ABSENT, None));
        let first = acknowledge(&h, name, Revision::ABSENT, at(number, 7));
        let second = acknowledge(&h, name, Revision::ABSENT, at(number, 9));
        h.applies(&first).await;
        h.conflicts(&second).await;
    }
    for (number, name) in (0..).zip(&names) {
        let (revision, found) = read_up_to(&h, name).await;
        let found = found.map(|record| record.acknowledged);
        assert_eq!((revision.get(), found), (1, Some(at(number, 7))), "{name}");
    }
    let name = &names[0];
    h.advance(Duration::from_secs(1));
    let late = acknowledge(&h, name, Revision::new(1), at(u64::MAX >> 1, u64::MAX >> 1));
    let other = acknowledge(&h, name, Revision::new(1), at(4, 0));
    h.applies(&late).await;
    for _ in 0..2 {
        h.conflicts(&other).await;
        // Nothing is kept of it, so its own check tells that it was applied.
        h.conflicts(&late).await;
    }
    let (revision, found) = read_up_to(&h, name).await;
    assert_eq!(revision.get(), 2);
    let wanted = late.writes.into_iter().find_map(|write| match write {
        Write::Put {
            row: Row::Consumer(record),
            ..
        } => Some(record),
        _ => None,
    });
    assert_eq!(found, wanted, "as it was written");
    let mut done = acknowledge(&h, name, Revision::new(2), at(5, 0));
    let key = RowKey::Consumer(name.clone());
    done.writes = vec![Write::Delete { key, before: None }];
    h.applies(&done).await;
    assert_eq!(read_up_to(&h, name).await, (Revision::ABSENT, None));
    assert_eq!(
        h.events(&EventFilter::default(), 10).await,
        [],
        "reading leaves no trace in the log"
    );
}

/// Parked events come back as they were written, in the order of the log, page by page, each
/// consumer's own; one that is delivered is gone.
pub async fn parked_events_are_listed_in_the_order_of_the_log<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (one, two) = (consumer("one"), consumer("one/2"));
    let places = [
        at(2, 1),
        at(1 << 40, 0),
        at(2, 0),
        at(1, u64::MAX >> 1),
        at(256, 3),
        at(255, 300),
        at(3, 0),
    ];
    for (number, place) in places.into_iter().enumerate() {
        h.advance(Duration::from_micros(1));
        h.applies(&park(&h, &one, place, Revision::ABSENT)).await;
        if number % 2 == 0 {
            h.applies(&park(&h, &two, place, Revision::ABSENT)).await;
        }
    }
    let list = |name: &ConsumerName| Query::Parked {
        consumer: name.clone(),
    };
    let mut wanted = places.to_vec();
    wanted.sort_unstable();
    fixture.settle(&store).await;
    for page in [1, 2, 3, 1000] {
        let found = sequences(h.list(&list(&one), page).await);
        assert_items(&wanted, &found, &format!("parked, in pages of {page}"));
    }
    assert_eq!(h.list(&list(&two), 2).await.len(), 4, "the other's own");
    assert_eq!(h.list(&list(&consumer("one/")), 2).await, []);
    // Tried again, and put aside again.
    h.advance(Duration::from_secs(60));
    h.applies(&park(&h, &one, at(2, 1), Revision::new(1))).await;
    h.conflicts(&park(&h, &one, at(2, 1), Revision::new(1)))
        .await;
    let key = RowKey::Parked(one.clone(), at(2, 1));
    let fact = || Fact::Parked(one.clone(), at(2, 1));
    let found = row(&h, fact(), &key).await;
    let again = Row::Parked(parked(&h, 2));
    assert_eq!(found, (Revision::new(2), Some(again.clone())));
    fixture.settle(&store).await;
    let listed = h.list(&list(&one), 1000).await;
    let listed = listed.into_iter().find(|(listed, _)| *listed == key);
    assert_eq!(listed, Some((key.clone(), again.clone())));
    // Delivered, while somebody reads the list.
    let first = must(Page::first(2), "a page's size");
    let page = must(store.list(&list(&one), &first, h.now()).await, "listing");
    let next: Cursor = page.next.unwrap_or_else(|| panic!("there are seven"));
    assert_eq!(sequences(page.rows), [at(1, u64::MAX >> 1), at(2, 0)]);
    let mut delivered = park(&h, &one, at(2, 1), Revision::new(2));
    delivered.writes = vec![Write::Delete {
        key: key.clone(),
        before: Some(Box::new(again)),
    }];
    h.applies(&delivered).await;
    h.applies(&park(&h, &one, at(2, 2), Revision::ABSENT)).await;
    h.applies(&park(&h, &one, at(1, 0), Revision::ABSENT)).await;
    fixture.settle(&store).await;
    let rest = first.after(next.clone());
    let page = must(store.list(&list(&one), &rest, h.now()).await, "listing");
    assert_eq!(sequences(page.rows), [at(2, 2), at(3, 0)], "behind them");
    assert_eq!(row(&h, fact(), &key).await, (Revision::ABSENT, None));
    let foreign = store.list(&list(&two), &rest, h.now()).await;
    assert!(
        matches!(foreign, Err(StoreError::Malformed { .. })),
        "a cursor of another consumer was taken: {foreign:?}"
    );
}

/// An acknowledgement and what was put aside on the way are one commit, all or nothing.
pub async fn reading_and_parking_are_one_commit<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let name = consumer("audit");
    let both = |revision: Revision, place: Sequence| {
        let mut commit = acknowledge(&h, &name, revision, place);
        let aside = park(&h, &name, place, Revision::ABSENT);
        commit.checks.extend(aside.checks);
        commit.writes.extend(aside.writes);
        commit
    };
    h.applies(&both(Revision::ABSENT, at(1, 0))).await;
    h.conflicts(&both(Revision::ABSENT, at(2, 0))).await;
    h.conflicts(&both(Revision::new(1), at(1, 0))).await;
    let (revision, found) = read_up_to(&h, &name).await;
    assert_eq!(revision.get(), 1);
    assert_eq!(found.map(|record| record.acknowledged), Some(at(1, 0)));
    fixture.settle(&store).await;
    let query = Query::Parked {
        consumer: name.clone(),
    };
    assert_eq!(sequences(h.list(&query, 10).await), [at(1, 0)]);
    let outcomes = [
        both(Revision::new(1), at(2, 0)),
        both(Revision::new(1), at(3, 0)),
    ];
    let outcomes = h.commit_all(&outcomes).await;
    let applied = outcomes
        .iter()
        .filter(|outcome| **outcome == Committed::Applied);
    assert_eq!(applied.count(), 1, "in {outcomes:?}");
    fixture.settle(&store).await;
    assert_eq!(h.list(&query, 10).await.len(), 2);
}

/// Consumers read: a commit of theirs that brings events is refused as a whole, and so is one that
/// wants a receipt.
pub async fn consumers_have_no_events<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let reading = consumer("reader");
    let real = h.prepared(&Order::reserve_name(&host, &name("two"))).await;
    let with_events = Commit {
        events: real.events.clone(),
        ..acknowledge(&h, &reading, Revision::ABSENT, at(1, 0))
    };
    let with_receipt = Commit {
        receipt: real.receipt.clone(),
        ..acknowledge(&h, &reading, Revision::ABSENT, at(1, 0))
    };
    for commit in [with_events, with_receipt] {
        let refused = store.commit(&[commit]).await;
        assert!(
            matches!(refused, Err(StoreError::Malformed { .. })),
            "it is no consumer's commit: {refused:?}"
        );
        assert_eq!(read_up_to(&h, &reading).await, (Revision::ABSENT, None));
    }
    fixture.settle(&store).await;
    let events = h.events(&EventFilter::default(), 10).await;
    assert_eq!(events.len(), 2, "those of the registration");
}
