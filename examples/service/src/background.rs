//! What has to happen without anybody asking: access ends by itself, but mail has to be sent.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::app::Guests;

/// How many at a time.
const BATCH: u32 = 100;

/// Writes down what has expired, and sends notices and webhooks, until it is told to stop. A round
/// that has begun is ended.
pub(crate) async fn run(guests: Guests, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(Duration::from_secs(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => {}
        }
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
