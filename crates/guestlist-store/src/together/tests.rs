use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::Context;
use std::sync::{Barrier, mpsc};
use std::task::Wake;
use std::thread;

use super::*;
use crate::conformance::block_on;

type Done = Vec<Result<Vec<u32>, StoreError>>;

/// A flush that the test ends by hand.
struct Flushing {
    batch: Vec<Vec<u32>>,
    end: Sender<Done>,
}

impl Flushing {
    /// Everything is answered with ten times itself.
    fn apply(self) {
        let done = self.batch.iter().map(|call| Ok(tenfold(call))).collect();
        self.end.send(done);
    }
}

fn tenfold(call: &[u32]) -> Vec<u32> {
    call.iter().map(|item| item * 10).collect()
}

/// Panics at the number 13; never answers if its end is dropped.
#[derive(Clone, Default)]
struct Hand(Arc<Mutex<VecDeque<Flushing>>>);

impl Flush for Hand {
    type Item = u32;
    type Outcome = u32;

    async fn flush(&self, batch: Vec<Vec<u32>>) -> Done {
        assert!(!batch.iter().flatten().any(|item| *item == 13), "injected");
        let (end, ended) = channel();
        lock(&self.0).push_back(Flushing { batch, end });
        ended.await.expect("the test ends every flush")
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A future that is polled first when it is made, and then only if it was woken.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    flag: Arc<Flag>,
    value: Option<T>,
}

impl<'a, T> Task<'a, T> {
    fn new(future: impl Future<Output = T> + Send + 'a) -> Self {
        let mut task = Self {
            future: Box::pin(future),
            flag: Arc::new(Flag(true.into())),
            value: None,
        };
        task.run();
        task
    }

    /// Whether it has ended.
    fn run(&mut self) -> bool {
        if self.value.is_none() && self.flag.0.swap(false, Ordering::Acquire) {
            let waker = Waker::from(Arc::clone(&self.flag));
            let mut context = Context::from_waker(&waker);
            if let Poll::Ready(value) = self.future.as_mut().poll(&mut context) {
                self.value = Some(value);
            }
        }
        self.value.is_some()
    }

    fn value(mut self) -> T {
        assert!(self.run(), "it still waits");
        self.value.expect("it has ended")
    }
}

type Call<'a> = Task<'a, Result<Vec<u32>, StoreError>>;

/// All by hand: workers are made and not run, flushes are begun and not ended.
struct Table {
    together: Together<Hand>,
    hand: Hand,
    made: Arc<Mutex<VecDeque<Worker>>>,
    refuses: Arc<AtomicBool>,
}

impl Table {
    fn new(workers: usize, limit: usize) -> Self {
        let hand = Hand::default();
        let made = Arc::<Mutex<VecDeque<Worker>>>::default();
        let refuses = Arc::<AtomicBool>::default();
        let (put, refuse) = (Arc::clone(&made), Arc::clone(&refuses));
        let together = Together::new(hand.clone(), workers, limit, move |worker| {
            if refuse.load(Ordering::Relaxed) {
                return Err("no thread".into());
            }
            lock(&put).push_back(worker);
            Ok(())
        });
        Self {
            together,
            hand,
            made,
            refuses,
        }
    }

    fn call(&self, items: &[u32]) -> Call<'_> {
        Task::new(self.together.commit(items.to_vec()))
    }

    /// The next worker that was made, after its first poll.
    fn worker(&self) -> Task<'static, ()> {
        let worker = lock(&self.made).pop_front();
        Task::new(worker.expect("a worker was made"))
    }

    fn made(&self) -> usize {
        lock(&self.made).len()
    }

    /// The only flush that is under way.
    fn flushing(&self) -> Flushing {
        let mut flushing = lock(&self.hand.0);
        assert_eq!(flushing.len(), 1);
        flushing.pop_front().expect("there is one")
    }

    fn is_flushing(&self) -> bool {
        !lock(&self.hand.0).is_empty()
    }
}

fn ok(call: Call<'_>) -> Vec<u32> {
    call.value().expect("it was applied")
}

fn code(call: Call<'_>) -> &'static str {
    call.value().expect_err("it was refused").code()
}

#[test]
fn who_comes_alone_is_flushed_at_once() {
    let table = Table::new(1, 8);
    for number in 1..4 {
        let mut call = table.call(&[number]);
        let mut worker = table.worker();
        assert!(!call.run());
        let flushing = table.flushing();
        assert_eq!(flushing.batch, [[number]]);
        flushing.apply();
        assert!(worker.run(), "nothing waits any more");
        assert_eq!(ok(call), [number * 10]);
        assert_eq!(table.made(), 0);
    }
}

#[test]
fn what_waits_goes_together_in_order() {
    let table = Table::new(1, 8);
    let first = table.call(&[1]);
    let mut worker = table.worker();
    let waiting = [table.call(&[2]), table.call(&[3, 4]), table.call(&[5])];
    assert_eq!(table.made(), 0, "one at a time");
    let flushing = table.flushing();
    assert_eq!(flushing.batch, [[1]]);
    flushing.apply();
    assert!(!worker.run());
    assert_eq!(ok(first), [10]);
    let flushing = table.flushing();
    assert_eq!(flushing.batch, [vec![2], vec![3, 4], vec![5]]);
    let last = table.call(&[6]);
    flushing.apply();
    assert!(!worker.run());
    let answers = waiting.map(ok);
    assert_eq!(answers, [vec![20], vec![30, 40], vec![50]]);
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!(ok(last), [60]);
}

#[test]
fn a_flush_has_a_limit_and_no_call_is_split() {
    let table = Table::new(1, 4);
    let first = table.call(&[0]);
    let mut worker = table.worker();
    let sizes = [2, 1, 2, 3, 9, 1, 3, 1];
    let calls: Vec<_> = (1..)
        .zip(sizes)
        .map(|(number, size)| table.call(&vec![number; size]))
        .collect();
    let mut batches: Vec<Vec<u32>> = Vec::new();
    while table.is_flushing() {
        let flushing = table.flushing();
        batches.push(flushing.batch.iter().map(|call| call[0]).collect());
        flushing.apply();
        worker.run();
    }
    let expected: [&[u32]; 7] = [&[0], &[1, 2], &[3], &[4], &[5], &[6, 7], &[8]];
    assert_eq!(batches, expected.map(<[u32]>::to_vec));
    assert!(worker.run());
    assert_eq!(ok(first), [0]);
    for ((number, size), call) in (1..).zip(sizes).zip(calls) {
        assert_eq!(ok(call), vec![number * 10; size]);
    }
}

#[test]
fn nothing_is_answered_without_a_flush() {
    let table = Table::new(1, 8);
    assert!(ok(table.call(&[])).is_empty());
    assert_eq!(table.made(), 0);
}

#[test]
fn an_error_is_the_error_of_its_call() {
    let table = Table::new(1, 8);
    let first = table.call(&[1]);
    let mut worker = table.worker();
    let [good, bad, late] = [table.call(&[2]), table.call(&[3]), table.call(&[4])];
    table.flushing().apply();
    assert!(!worker.run());
    let what = "three";
    let malformed = Err(StoreError::Malformed { what });
    // The last one is forgotten.
    table.flushing().end.send(vec![Ok(vec![20]), malformed]);
    assert!(worker.run());
    assert_eq!(ok(first), [10]);
    assert_eq!(ok(good), [20]);
    assert_eq!(code(bad), "store-malformed-commit");
    assert_eq!(code(late), "store-outcome-unknown");
}

#[test]
fn what_was_sent_is_flushed_whoever_waits_for_it() {
    let table = Table::new(1, 8);
    drop(table.together.commit(vec![7]));
    assert_eq!(table.made(), 0, "it was never sent");
    drop(table.call(&[1]));
    let mut worker = table.worker();
    drop(table.call(&[2]));
    let kept = table.call(&[3]);
    let Table { together, hand, .. } = &table;
    assert_eq!(hand.0.lock().unwrap()[0].batch, [[1]]);
    table.flushing().apply();
    assert!(!worker.run());
    let shared = Arc::downgrade(&together.shared);
    let flushing = table.flushing();
    assert_eq!(flushing.batch, [[2], [3]]);
    flushing.apply();
    assert!(worker.run());
    assert_eq!(ok(kept), [30]);
    drop((worker, table));
    assert_eq!(shared.strong_count(), 0, "nothing is kept");
}

#[test]
fn what_was_sent_is_flushed_when_all_clones_are_gone() {
    let table = Table::new(1, 1);
    drop([table.call(&[1]), table.call(&[2])]);
    let mut worker = table.worker();
    let Table { together, hand, .. } = table;
    drop(together);
    for number in 1..3 {
        let flushing = hand.0.lock().unwrap().pop_front().unwrap();
        assert_eq!(flushing.batch, [[number]]);
        assert!(!worker.run());
        flushing.apply();
        worker.run();
    }
    assert!(worker.run());
}

#[test]
fn a_worker_that_is_dropped_leaves_nobody_waiting() {
    let table = Table::new(1, 8);
    let flushed = [table.call(&[1]), table.call(&[2])];
    let worker = table.worker();
    let waiting = [table.call(&[3]), table.call(&[4])];
    drop(worker);
    assert_eq!(flushed.map(code), ["store-outcome-unknown"; 2]);
    assert_eq!(waiting.map(code), ["store-busy"; 2]);
    lock(&table.hand.0).clear();

    // Before it was polled, too.
    let call = table.call(&[5]);
    drop(lock(&table.made).pop_front());
    assert_eq!(code(call), "store-busy");

    let call = table.call(&[6]);
    let mut worker = table.worker();
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!(ok(call), [60]);
}

/// Sends something as soon as it is woken, there and then.
struct Sending(Together<Hand>);

impl Wake for Sending {
    fn wake(self: Arc<Self>) {
        drop(Task::new(self.0.commit(vec![2])));
    }
}

#[test]
fn who_is_told_that_a_worker_is_lost_finds_its_place_free() {
    let table = Table::new(1, 8);
    let mut call = Box::pin(table.together.commit(vec![1]));
    let waker = Waker::from(Arc::new(Sending(table.together.clone())));
    let mut context = Context::from_waker(&waker);
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(table.worker());
    assert_eq!(table.flushing().batch, [[1]]);
    let _worker = table.worker();
    assert_eq!(table.flushing().batch, [[2]]);
}

#[test]
fn another_worker_takes_over_what_waits() {
    let table = Table::new(2, 8);
    let first = table.call(&[1]);
    let lost = table.worker();
    lock(&table.hand.0).clear();
    let second = table.call(&[2]);
    let mut worker = table.worker();
    let third = table.call(&[3]);
    drop(lost);
    assert_eq!(code(first), "store-outcome-unknown");
    table.flushing().apply();
    assert!(!worker.run());
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!(ok(second), [20]);
    assert_eq!(ok(third), [30]);
}

#[test]
fn a_flush_that_panics_takes_down_only_its_own() {
    let table = Table::new(1, 2);
    let first = table.call(&[1]);
    let mut worker = table.worker();
    let bad = [table.call(&[12]), table.call(&[13])];
    let good = table.call(&[14]);
    table.flushing().apply();
    assert!(!worker.run());
    assert_eq!(ok(first), [10]);
    assert_eq!(bad.map(code), ["store-outcome-unknown"; 2]);
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!(ok(good), [140]);
}

#[test]
fn a_start_that_fails_is_told_to_whoever_waits() {
    let table = Table::new(2, 8);
    let served = table.call(&[1]);
    let mut worker = table.worker();
    table.refuses.store(true, Ordering::Relaxed);
    // Somebody is there who will see to it.
    let mut waits = table.call(&[2]);
    assert!(!waits.run());
    table.flushing().apply();
    assert!(!worker.run());
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!((ok(served), ok(waits)), (vec![10], vec![20]));

    let error = table.call(&[3]).value().unwrap_err();
    assert_eq!(error.code(), "store-unavailable");
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "no thread");

    table.refuses.store(false, Ordering::Relaxed);
    let call = table.call(&[4]);
    let mut worker = table.worker();
    let flushing = table.flushing();
    assert_eq!(flushing.batch, [[4]]);
    flushing.apply();
    assert!(worker.run());
    assert_eq!(ok(call), [40]);
}

#[test]
fn everybody_who_waits_for_a_failing_start_is_told() {
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel();
    let left = Mutex::new(left);
    let together = Together::new(Hand::default(), 1, 8, move |_worker| {
        inside.send(()).unwrap();
        lock(&left).recv().unwrap();
        Err("no thread".into())
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| block_on(together.commit(vec![1])));
        entered.recv().unwrap();
        let mut second = Task::new(together.commit(vec![2]));
        assert!(!second.run());
        leave.send(()).unwrap();
        let first = first.join().unwrap().unwrap_err();
        assert_eq!(first.code(), "store-unavailable");
        assert_eq!(code(second), "store-unavailable");
    });
}

#[test]
fn a_start_that_panics_leaves_nobody_waiting() {
    let together = Together::new(Hand::default(), 1, 8, |_worker| panic!("injected"));
    for _ in 0..2 {
        let mut call = Box::pin(together.commit(vec![1]));
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context)));
        assert!(polled.is_err());
        assert!(lock(&together.shared.state).waiting.is_empty());
    }
}

#[test]
fn as_many_flushes_are_under_way_as_may_be() {
    let table = Table::new(2, 8);
    let first = table.call(&[1]);
    let mut workers = vec![table.worker()];
    let second = table.call(&[2]);
    workers.push(table.worker());
    let waiting = [table.call(&[3]), table.call(&[4])];
    assert_eq!(table.made(), 0, "two at a time");
    let (one, two) = {
        let mut flushing = lock(&table.hand.0);
        (flushing.pop_front().unwrap(), flushing.pop_front().unwrap())
    };
    assert_eq!((&one.batch, &two.batch), (&vec![vec![1]], &vec![vec![2]]));
    two.apply();
    assert!(!workers[1].run(), "it takes what waits");
    assert_eq!(ok(second), [20]);
    let three = table.flushing();
    assert_eq!(three.batch, [[3], [4]]);
    one.apply();
    assert!(workers[0].run());
    assert_eq!(ok(first), [10]);
    let last = table.call(&[5]);
    let mut worker = table.worker();
    table.flushing().apply();
    assert!(worker.run());
    assert_eq!(ok(last), [50]);
    three.apply();
    assert!(workers[1].run());
    assert_eq!(waiting.map(ok), [[30], [40]]);
}

/// Answers with what it was asked and how often anything was asked before; refuses every seventh
/// and panics now and then.
#[derive(Default)]
struct Storm {
    flushes: AtomicUsize,
    under_way: AtomicUsize,
    seen: Mutex<Vec<u32>>,
}

const WORKERS: usize = 3;
const LIMIT: usize = 5;

impl Flush for Arc<Storm> {
    type Item = u32;
    type Outcome = u32;

    async fn flush(&self, batch: Vec<Vec<u32>>) -> Done {
        struct Ending<'a>(&'a AtomicUsize);
        impl Drop for Ending<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        assert!(self.under_way.fetch_add(1, Ordering::SeqCst) < WORKERS);
        let _ending = Ending(&self.under_way);
        let size: usize = batch.iter().map(Vec::len).sum();
        assert!(size <= LIMIT || batch.len() == 1);
        let number = self.flushes.fetch_add(1, Ordering::Relaxed);
        lock(&self.seen).extend(batch.iter().flatten());
        thread::yield_now();
        assert!(number % 50 != 7, "injected");
        batch
            .iter()
            .map(|call| match call[0] % 7 {
                0 => Err(StoreError::Malformed { what: "a seventh" }),
                _ => Ok(tenfold(call)),
            })
            .collect()
    }
}

#[test]
fn a_storm_of_calls_is_answered_each_once_with_its_own() {
    const CALLERS: u32 = 8;
    const CALLS: u32 = 400;
    let storm = Arc::<Storm>::default();
    let made = AtomicUsize::new(0);
    let together = Together::new(Arc::clone(&storm), WORKERS, LIMIT, move |worker| {
        match made.fetch_add(1, Ordering::Relaxed) % 11 {
            3 => return Err("no thread".into()),
            5 => drop(worker),
            _ => {
                thread::spawn(move || block_on(worker));
            }
        }
        Ok(())
    });
    let gate = Barrier::new(CALLERS as usize);
    let (applied, lost) = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (together, gate) = (together.clone(), &gate);
                scope.spawn(move || {
                    gate.wait();
                    let (mut applied, mut lost) = (Vec::new(), Vec::new());
                    for call in 0..CALLS {
                        let first = (caller * CALLS + call) * 8;
                        let items: Vec<u32> = (first..).take(1 + call as usize % 8).collect();
                        if call % 9 == 8 {
                            lost.extend(&items);
                            drop(Task::new(together.commit(items)));
                            continue;
                        }
                        match block_on(together.commit(items.clone())) {
                            Ok(outcomes) => {
                                assert_ne!(first % 7, 0);
                                assert_eq!(outcomes, tenfold(&items));
                                applied.extend(items);
                            }
                            Err(StoreError::Malformed { .. }) => {
                                assert_eq!(first % 7, 0);
                                applied.extend(items);
                            }
                            Err(StoreError::Unknown(_)) => lost.extend(items),
                            Err(StoreError::Retryable(_) | StoreError::Unavailable(_)) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    (applied, lost)
                })
            })
            .collect();
        let (mut applied, mut lost) = (Vec::new(), Vec::new());
        for caller in callers {
            let (more, gone) = caller.join().unwrap();
            applied.extend(more);
            lost.extend(gone);
        }
        (applied, lost)
    });
    // Workers end by themselves, once nothing waits.
    let shared = Arc::downgrade(&together.shared);
    drop(together);
    while shared.strong_count() > 0 {
        thread::yield_now();
    }
    let mut seen = lock(&storm.seen).clone();
    let flushed = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), flushed, "nothing is flushed twice");
    assert!(applied.iter().all(|item| seen.binary_search(item).is_ok()));
    let mut known = [applied, lost].concat();
    known.sort_unstable();
    let known = |item: &u32| known.binary_search(item).is_ok();
    assert!(seen.iter().all(known), "what was refused is not flushed");
}
