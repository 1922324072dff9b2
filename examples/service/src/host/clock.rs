//! The time that guestlist is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use guestlist::{Clock, Timestamp};

use super::now;

/// The clock of this machine. The demo sets it back while it makes up a past.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostClock(Arc<AtomicU64>);

impl HostClock {
    /// From now on it is as it was this long ago.
    pub(crate) fn set_back(&self, by: Duration) {
        self.0.store(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        let back = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0);
        Timestamp::from_micros(now().as_micros() - back * 1_000_000)
    }
}
