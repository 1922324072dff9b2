//! [`Together`] in schedules that are drawn by shuttle. Turns change wherever something is awaited:
//! between the calls, in a flush, and where a worker is lost. In which order threads take its locks is
//! what `loom.rs` tries.
//!
//! `GUESTLIST_ROUNDS` is the number of schedules, `GUESTLIST_SEED` what they are drawn from.

#![expect(clippy::print_stdout, reason = "what was run, for whoever asks for it")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guestlist_store::{Flush, StoreError, Together};
use shuttle::future::{JoinHandle, spawn, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

const WORKERS: usize = 2;
const LIMIT: usize = 2;

/// A table of numbers, where everybody else has a turn before and after each.
#[derive(Clone, Default)]
struct Table {
    applied: Arc<Mutex<Vec<u32>>>,
    flushing: Arc<AtomicUsize>,
    /// What is wrong with it: the last of several calls gets no answer.
    forgets: bool,
}

impl Table {
    fn count(&self, number: u32) -> usize {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        applied.iter().filter(|other| **other == number).count()
    }
}

/// A flush that is under way, until it ends or is lost.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Flush for Table {
    type Item = u32;
    type Outcome = u32;

    async fn flush(&self, batch: Vec<Vec<u32>>) -> Vec<Result<Vec<u32>, StoreError>> {
        let at_once = self.flushing.fetch_add(1, Ordering::SeqCst) + 1;
        let _under_way = UnderWay(Arc::clone(&self.flushing));
        assert!(at_once <= WORKERS, "{at_once} flushes at once");
        let items: usize = batch.iter().map(Vec::len).sum();
        assert!(batch.len() == 1 || items <= LIMIT, "{items} items in one");
        let mut answers = Vec::new();
        for call in &batch {
            yield_now().await;
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            applied.extend(call);
            answers.push(Ok(call.iter().map(|number| number * 10).collect()));
        }
        yield_now().await;
        if self.forgets && answers.len() > 1 {
            answers.pop();
        }
        answers
    }
}

type Workers = Arc<Mutex<Vec<JoinHandle<()>>>>;

fn together(table: &Table) -> (Together<Table>, Workers) {
    let workers = Workers::default();
    let made = Arc::clone(&workers);
    let together = Together::new(table.clone(), WORKERS, LIMIT, move |worker| {
        let handle = spawn(worker);
        made.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
        Ok(())
    });
    (together, workers)
}

type Answer = Result<Vec<u32>, StoreError>;

fn calls(together: &Together<Table>) -> Vec<JoinHandle<Answer>> {
    (1..=4)
        .map(|number| {
            let together = together.clone();
            spawn(async move { together.commit(vec![number]).await })
        })
        .collect()
}

/// Four calls with two workers: each gets its own answer, and all is applied once.
async fn everybody_is_answered(table: Table) {
    let (together, _workers) = together(&table);
    for (number, call) in (1..).zip(calls(&together)) {
        let answer = call.await.expect("a call ends");
        assert_eq!(answer.expect("it was applied"), [number * 10]);
        assert_eq!(table.count(number), 1);
    }
}

/// A worker is lost while four call, and so is one of the calls: what is answered is so, and nobody
/// waits for ever.
async fn nobody_is_left_waiting(table: Table) {
    let (together, workers) = together(&table);
    let calls = calls(&together);
    yield_now().await;
    // With the flush that it is in the middle of.
    let lost = workers.lock().unwrap_or_else(PoisonError::into_inner).pop();
    if let Some(lost) = lost {
        lost.abort();
    }
    calls[0].abort();
    for (number, call) in (1..).zip(calls) {
        let Ok(answer) = call.await else {
            assert_eq!(number, 1, "only one call went away");
            assert!(table.count(number) <= 1);
            continue;
        };
        match answer {
            Ok(outcome) => {
                assert_eq!(outcome, [number * 10]);
                assert_eq!(table.count(number), 1);
            }
            Err(StoreError::Unknown(_)) => assert!(table.count(number) <= 1),
            Err(StoreError::Retryable(_)) => assert_eq!(table.count(number), 0),
            Err(error) => panic!("{error:?}"),
        }
    }
    // Whoever comes now is served.
    let answer = together.commit(vec![9]).await;
    assert_eq!(answer.expect("a new worker is made"), [90]);
}

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => usual,
    }
}

fn run<F: Future<Output = ()> + Send + 'static>(
    scheduler: impl Scheduler + 'static,
    forgets: bool,
    scenario: fn(Table) -> F,
) -> usize {
    let mut config = Config::new();
    // What is not optimised needs more than the usual 32 KiB.
    config.stack_size = 1 << 18;
    Runner::new(scheduler, config).run(move || {
        let table = Table {
            forgets,
            ..Table::default()
        };
        shuttle::future::block_on(scenario(table));
    })
}

fn explore<F: Future<Output = ()> + Send + 'static>(scenario: fn(Table) -> F) {
    let schedules = number("GUESTLIST_ROUNDS", 5000);
    let seed = number("GUESTLIST_SEED", 1);
    let half = usize::try_from(schedules / 2).expect("a small number");
    let random = RandomScheduler::new_from_seed(seed, half);
    let pct = PctScheduler::new_from_seed(seed, 3, half);
    let done = run(random, false, scenario) + run(pct, false, scenario);
    assert_eq!(done, 2 * half);
    println!("seed {seed}: {done} schedules");
}

#[test]
fn everybody_is_answered_in_every_schedule() {
    explore(everybody_is_answered);
    // Nothing of this would be noticed if no two calls were ever flushed together.
    let forgetful = std::thread::spawn(|| {
        let random = RandomScheduler::new_from_seed(1, 5000);
        run(random, true, everybody_is_answered)
    });
    assert!(
        forgetful.join().is_err(),
        "an answer that is left out is noticed"
    );
}

#[test]
fn nobody_is_left_waiting_in_any_schedule() {
    explore(nobody_is_left_waiting);
}
