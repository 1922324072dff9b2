//! A consumer of the feed that dies anywhere, before it has dealt with what it read, before it
//! acknowledges and behind that: it misses nothing, and meets everything in order.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::pg::rounds;
use common::{clock, org, over, owner, register};
use guestlist::store::Sequence;
use guestlist::{Consumer, EventFilter, Guestlist, MemoryStore, Store};
use guestlist_sqlite::SqliteStore;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

const LIVES: usize = 200;

#[derive(Debug, Clone)]
enum Step {
    /// So many commits, with two events each time.
    Commit(u8),
    /// Reads so many, and deals with the first of them only, before it dies if that is not all.
    Read(u32, Index),
    Acknowledge,
    /// A message of an earlier life arrives late.
    AcknowledgeLate(Index),
    Die,
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u8..5).prop_map(Step::Commit),
        6 => (1_u32..12, any::<Index>()).prop_map(|(limit, dealt)| Step::Read(limit, dealt)),
        5 => Just(Step::Acknowledge),
        1 => any::<Index>().prop_map(Step::AcknowledgeLate),
        2 => Just(Step::Die),
    ]
}

fn consumer<S: Store>(guestlist: &Guestlist<S>) -> Consumer<'_, S> {
    guestlist.consumer("reader".parse().unwrap(), EventFilter::default())
}

/// What the outside world has got of the events: each once, by where it stands.
#[derive(Default)]
struct Outside(Vec<Sequence>);

impl Outside {
    fn deal_with(&mut self, event: Sequence) {
        match self.0.last() {
            Some(last) if *last >= event => {
                assert!(
                    self.0.contains(&event),
                    "{event:?} comes behind a later one"
                );
            }
            _ => self.0.push(event),
        }
    }
}

async fn live<S: Store>(store: S, steps: &[Step]) {
    let guestlist = over(store, &clock(), 4);
    register(&guestlist, &["host"]).await;
    let reader = consumer(&guestlist);
    let mut outside = Outside::default();
    // What this life has read and dealt with, and the ends that any life ever came to.
    let (mut end, mut ends) = (None, Vec::new());
    let mut groups = 0;
    for step in steps {
        match step {
            Step::Commit(count) => {
                for _ in 0..*count {
                    groups += 1;
                    let name = format!("group {groups}").parse().unwrap();
                    guestlist
                        .create_group(&owner("host"), &org("host"), name, false)
                        .await
                        .unwrap();
                }
            }
            Step::Read(limit, dealt) => {
                let batch = reader.next(*limit).await.unwrap();
                assert!(batch.events.len() <= *limit as usize);
                let dealt = dealt.index(batch.events.len() + 1);
                for event in &batch.events[..dealt] {
                    outside.deal_with(event.sequence);
                }
                end = (dealt == batch.events.len()).then_some(batch.end);
                ends.extend(end);
            }
            Step::Acknowledge => {
                if let Some(end) = end.take() {
                    reader.acknowledge(end).await.unwrap();
                }
            }
            Step::AcknowledgeLate(which) => {
                if !ends.is_empty() {
                    let before = reader.position().await.unwrap();
                    let late = ends[which.index(ends.len())];
                    reader.acknowledge(late).await.unwrap();
                    let after = reader.position().await.unwrap();
                    assert_eq!(after, before.max(late), "it only goes forward");
                }
            }
            Step::Die => end = None,
        }
    }
    loop {
        let batch = reader.next(7).await.unwrap();
        if batch.events.is_empty() {
            break;
        }
        for event in &batch.events {
            outside.deal_with(event.sequence);
        }
        reader.acknowledge(batch.end).await.unwrap();
    }
    let log = guestlist.feed(None, 10_000).await.unwrap().events;
    let log: Vec<Sequence> = log.iter().map(|recorded| recorded.sequence).collect();
    assert_eq!(outside.0, log, "something was missed");
}

fn run<S: Store>(store: impl Fn() -> S) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: u32::try_from(rounds(LIVES)).unwrap(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = proptest::collection::vec(arb_step(), 1..40);
    TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(live(store(), &steps));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_consumer_that_dies_anywhere_misses_nothing_in_memory() {
    run(MemoryStore::default);
}

#[test]
fn a_consumer_that_dies_anywhere_misses_nothing_on_sqlite() {
    run(|| SqliteStore::builder().in_memory().open().unwrap());
}
