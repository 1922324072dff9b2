//! What is kept of those who read the feed. No rule is here: reading changes nothing.

use guestlist_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an event stands in the log: its commit, then its place there.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Sequence {
    /// Which commit, in the order in which they became visible.
    pub commit: u64,
    /// Which event of that commit, or of all that became visible with it.
    pub ordinal: u64,
}

/// How far a consumer has read the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerRecord {
    /// Everything up to here has been dealt with.
    pub acknowledged: Sequence,
    /// The head of the hash chain up to here, if this consumer keeps one.
    pub chain: Option<[u8; 32]>,
    /// Until when one reader has it for itself, so that others don't deliver the same.
    pub leased_until: Option<Timestamp>,
    /// When it was last acknowledged.
    pub updated_at: Timestamp,
}

/// An event that a consumer could not deliver: it is tried again on its own, and the feed goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedRecord {
    /// How often delivery was tried.
    pub attempts: u32,
    /// When it is tried again; `None`: never, unless somebody asks for it.
    pub next_at: Option<Timestamp>,
    /// What went wrong the last time: a stable code.
    pub error: String,
    /// Whom it has reached already, where it goes to several: checksums, no addresses.
    pub reached: Vec<u32>,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// When it was last tried.
    pub tried_at: Timestamp,
}
