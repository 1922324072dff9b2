//! The small door: what an ordered key-value engine has to offer.

use async_trait::async_trait;

use crate::error::StoreError;

/// An ordered key-value engine with atomic, conditional writes.
///
/// Implement these three methods, wrap the engine in a [`KvStore`](crate::KvStore), and run the
/// conformance suite. Keys are byte strings ordered byte by byte; the first two bytes of each are
/// its bucket, so that an engine can be partitioned by key range.
///
/// Every value begins with eight bytes, a big-endian number: the revision of a row, or the count
/// of a counter. Checks and [`KvOp::Add`] look at that number only; a key that is not there counts
/// as zero.
#[async_trait]
pub trait Kv: Send + Sync {
    /// The values of these keys, in order, all as they are at one instant.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// The first `limit` entries of a range, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError>;

    /// Applies all operations, in order, if all checks hold and all bounds are kept, atomically and
    /// durably; nothing otherwise.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if it may have been applied, anything else if it was not.
    async fn commit(&self, checks: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError>;
}

/// Keys from `start` on, up to but without `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "engines take it apart")]
pub struct KvRange {
    /// The first key that may be in it.
    pub start: Vec<u8>,
    /// The first key that is not in it.
    pub end: Vec<u8>,
}

/// A condition on the number that a value begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "engines take it apart")]
pub struct KvCheck {
    /// The key.
    pub key: Vec<u8>,
    /// The number; zero: the key is not there, or is a counter at zero.
    pub number: u64,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every engine must apply every operation"
)]
pub enum KvOp {
    /// Writes a value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key, if it is there.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Adds to a counter, never below zero. With a bound, only while the counter, as the operations
    /// before have left it, is below it.
    Add {
        /// The key.
        key: Vec<u8>,
        /// How much: may be negative.
        by: i64,
        /// The bound.
        below: Option<u64>,
    },
    /// Appends to a log: the key is `log` and the next number, eight bytes big-endian, counted
    /// up from 1. Numbers become visible in their order.
    Append {
        /// What the keys of this log begin with.
        log: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
}

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "every outcome must be placed")]
pub enum KvCommitted {
    /// It is applied.
    Applied,
    /// This check, counted from zero, is the first that does not hold.
    CheckMissed(usize),
    /// This operation, counted from zero, would pass its bound.
    BoundMissed(usize),
}
