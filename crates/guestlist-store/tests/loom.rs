//! What threads share, in every order in which they can take its locks (`cargo xtask loom`).
#![cfg(guestlist_loom)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use guestlist_store::{Flush, Kv, KvCheck, KvCommitted, KvOp, MemoryKv, StoreError, Together};
use loom::future::block_on;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A table of numbers.
#[derive(Clone)]
struct Table(Arc<Mutex<Vec<u32>>>);

impl Table {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    fn sorted(&self) -> Vec<u32> {
        let mut numbers = self.0.lock().unwrap().clone();
        numbers.sort_unstable();
        numbers
    }
}

impl Flush for Table {
    type Item = u32;
    type Outcome = u32;

    async fn flush(&self, batch: Vec<Vec<u32>>) -> Vec<Result<Vec<u32>, StoreError>> {
        let mut applied = self.0.lock().unwrap();
        let done = batch
            .iter()
            .map(|call| Ok(call.iter().map(|n| n + 100).collect()));
        let done = done.collect();
        applied.extend(batch.into_iter().flatten());
        done
    }
}

fn together(table: &Table, workers: usize) -> Together<Table> {
    Together::new(table.clone(), workers, 2, |worker| {
        thread::spawn(move || block_on(worker));
        Ok(())
    })
}

#[test]
fn everybody_is_answered_once() {
    for workers in [1, 2] {
        let mut model = loom::model::Builder::new();
        // With each change of turn that is forced, there are as many orders again as steps.
        model.preemption_bound = Some(3);
        model.check(move || {
            let table = Table::new();
            let together = together(&table, workers);
            let other = {
                let together = together.clone();
                thread::spawn(move || block_on(together.commit(vec![1])).unwrap())
            };
            assert_eq!(block_on(together.commit(vec![2])).unwrap(), [102]);
            assert_eq!(other.join().unwrap(), [101]);
            assert_eq!(table.sorted(), [1, 2]);
        });
    }
}

#[test]
fn what_was_sent_is_applied_though_nobody_waits_for_the_answer() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let table = Table::new();
        let together = together(&table, 1);
        {
            let mut call = pin!(together.commit(vec![1]));
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
        }
        assert_eq!(block_on(together.commit(vec![2])).unwrap(), [102]);
        assert_eq!(table.sorted(), [1, 2]);
    });
}

fn put(key: &str, number: u64) -> KvOp {
    KvOp::Put {
        key: key.as_bytes().to_vec(),
        value: number.to_be_bytes().to_vec(),
    }
}

#[test]
fn of_two_that_rely_on_the_same_one_is_applied_and_all_of_it() {
    loom::model(|| {
        let kv = MemoryKv::default();
        let commit = |number: u64| {
            let kv = kv.clone();
            move || {
                let absent = KvCheck {
                    key: b"a".to_vec(),
                    number: 0,
                };
                let ops = [put("a", number), put("b", number)];
                block_on(kv.commit(&[absent], &ops)).unwrap()
            }
        };
        let one = thread::spawn(commit(1));
        let other = thread::spawn(commit(2));
        let keys = [b"a".to_vec(), b"b".to_vec()];
        let seen = block_on(kv.get(&keys)).unwrap();
        assert_eq!(seen[0], seen[1], "half of a commit");
        let done = [one.join().unwrap(), other.join().unwrap()];
        let applied = done.iter().filter(|done| **done == KvCommitted::Applied);
        assert_eq!(applied.count(), 1, "{done:?}");
        let seen = block_on(kv.get(&keys)).unwrap();
        assert!(seen[0].is_some() && seen[0] == seen[1]);
    });
}
