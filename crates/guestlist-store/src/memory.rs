//! The contract in its plainest form: everything in one ordered map behind one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use crate::error::StoreError;
use crate::kv::{Kv, KvCheck, KvCommitted, KvOp, KvRange};
use crate::kv_store::KvStore;
use crate::store::Capabilities;
use crate::sync::{Mutex, MutexGuard};

/// A store in memory, for tests and for trying things out. It is gone with the last clone.
///
/// It keeps bytes, not values: rows go through the same encoding as in any other key-value
/// engine, so what passes here doesn't pass by being kind.
pub type MemoryStore = KvStore<MemoryKv>;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryKv::default(), Capabilities::immediate(false, false))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::in_memory()
    }
}

/// An ordered key-value engine in memory. Clones share their data.
#[derive(Debug, Clone, Default)]
pub struct MemoryKv {
    entries: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

impl MemoryKv {
    /// Every entry, in order: for looking at everything that is kept.
    #[must_use]
    pub fn dump(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.lock()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Nothing panics while the lock is held, so a poisoned one holds whole commits all the same.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(value: Option<&Vec<u8>>) -> u64 {
    value
        .and_then(|value| value.first_chunk::<8>())
        .map_or(0, |number| u64::from_be_bytes(*number))
}

/// The first operation that would pass its bound, were all of them applied in order.
fn missed_bound(entries: &BTreeMap<Vec<u8>, Vec<u8>>, ops: &[KvOp]) -> Option<usize> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (index, op) in ops.iter().enumerate() {
        match op {
            KvOp::Put { key, value } => {
                counts.insert(key, number(Some(value)));
            }
            KvOp::Delete { key } => {
                counts.insert(key, 0);
            }
            KvOp::Add { key, by, below } => {
                let count = counts
                    .entry(key)
                    .or_insert_with(|| number(entries.get(key)));
                if below.is_some_and(|below| *count >= below) {
                    return Some(index);
                }
                *count = count.saturating_add_signed(*by);
            }
            KvOp::Append { .. } => {}
        }
    }
    None
}

#[async_trait]
impl Kv for MemoryKv {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let entries = self.lock();
        Ok(keys.iter().map(|key| entries.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let entries = self.lock();
        Ok(entries
            .range(range.start.clone()..range.end.clone())
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    async fn commit(&self, checks: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError> {
        let mut entries = self.lock();
        for (index, check) in checks.iter().enumerate() {
            if number(entries.get(&check.key)) != check.number {
                return Ok(KvCommitted::CheckMissed(index));
            }
        }
        if let Some(index) = missed_bound(&entries, ops) {
            return Ok(KvCommitted::BoundMissed(index));
        }
        for op in ops {
            match op {
                KvOp::Put { key, value } => {
                    entries.insert(key.clone(), value.clone());
                }
                KvOp::Delete { key } => {
                    entries.remove(key);
                }
                KvOp::Add { key, by, .. } => {
                    let count = number(entries.get(key)).saturating_add_signed(*by);
                    entries.insert(key.clone(), count.to_be_bytes().to_vec());
                }
                KvOp::Append { log, value } => {
                    let mut end = log.clone();
                    end.extend([0xff; 9]);
                    let last = entries
                        .range(log.clone()..end)
                        .next_back()
                        .and_then(|(key, _)| key.last_chunk::<8>())
                        .map_or(0, |number| u64::from_be_bytes(*number));
                    let mut key = log.clone();
                    key.extend((last + 1).to_be_bytes());
                    entries.insert(key, value.clone());
                }
            }
        }
        Ok(KvCommitted::Applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::block_on;

    fn add(by: i64, below: Option<u64>) -> KvOp {
        KvOp::Add {
            key: b"count".to_vec(),
            by,
            below,
        }
    }

    fn count(kv: &MemoryKv) -> u64 {
        let found = block_on(kv.get(&[b"count".to_vec()])).unwrap();
        number(found[0].as_ref())
    }

    #[test]
    fn bounds_hold_after_each_operation() {
        let kv = MemoryKv::default();
        let commit = |ops: &[KvOp]| block_on(kv.commit(&[], ops)).unwrap();
        let twice = [add(1, Some(1)), add(1, Some(1))];
        assert_eq!(commit(&twice), KvCommitted::BoundMissed(1));
        assert_eq!(kv.dump(), [], "nothing was applied");
        assert_eq!(
            commit(&[add(1, Some(1)), add(-1, None), add(1, Some(1))]),
            KvCommitted::Applied
        );
        assert_eq!(count(&kv), 1);
        let put = KvOp::Put {
            key: b"count".to_vec(),
            value: 7_u64.to_be_bytes().to_vec(),
        };
        assert_eq!(commit(&[put, add(1, Some(7))]), KvCommitted::BoundMissed(1));
        let delete = KvOp::Delete {
            key: b"count".to_vec(),
        };
        assert_eq!(commit(&[delete, add(1, Some(1))]), KvCommitted::Applied);
        assert_eq!(count(&kv), 1);
        assert_eq!(commit(&[add(-9, None)]), KvCommitted::Applied);
        assert_eq!(count(&kv), 0, "never below zero");
    }

    #[test]
    fn the_first_check_that_misses_is_told() {
        let kv = MemoryKv::default();
        let check = |key: &[u8], number| KvCheck {
            key: key.to_vec(),
            number,
        };
        let checks = [check(b"a", 0), check(b"b", 1), check(b"c", 2)];
        let missed = block_on(kv.commit(&checks, &[add(1, None)])).unwrap();
        assert_eq!(missed, KvCommitted::CheckMissed(1));
        assert_eq!(kv.dump(), [], "nothing was applied");
    }

    #[test]
    fn ranges_and_logs() {
        let kv = MemoryKv::default();
        let append = |value: u8| KvOp::Append {
            log: b"log".to_vec(),
            value: vec![value],
        };
        let done = block_on(kv.commit(&[], &[append(1), append(2)])).unwrap();
        assert_eq!(done, KvCommitted::Applied);
        let done = block_on(kv.commit(&[], &[append(3)])).unwrap();
        assert_eq!(done, KvCommitted::Applied);
        let scan = |start: &[u8], end: &[u8], limit| {
            let range = KvRange {
                start: start.to_vec(),
                end: end.to_vec(),
            };
            let found = block_on(kv.scan(&range, limit)).unwrap();
            found
                .into_iter()
                .map(|(_, value)| value[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(scan(b"log", b"loh", 10), [1, 2, 3]);
        assert_eq!(scan(b"log", b"loh", 2), [1, 2]);
        assert_eq!(
            scan(b"loh", b"log", 2),
            [0; 0],
            "an empty range is no panic"
        );
        assert_eq!(scan(b"log", b"log", 2), [0; 0]);
    }
}
