//! What has to happen without anybody asking: access ends by itself, but mail has to be sent.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::app::Guests;

/// How many at a time.
const BATCH: u32 = 100;

/// Writes down what has expired, and sends notices and webhooks, until it is dropped.
pub(crate) async fn run(guests: Guests) {
    let mut ticks = interval(Duration::from_secs(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let failed = [
            guests.sweep(BATCH).await.err(),
            guests.deliver_notices(BATCH).await.err(),
            guests.deliver_webhooks(BATCH).await.err(),
        ];
        for error in failed.into_iter().flatten() {
            warn!(code = error.code(), %error, "a task in the background failed; it is tried again");
        }
    }
}
