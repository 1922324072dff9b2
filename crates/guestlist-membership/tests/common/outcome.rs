//! What a command came to.

use guestlist_membership::{CommandError, Event};

pub(crate) type Outcome = Result<Vec<Event>, CommandError>;

#[track_caller]
pub(crate) fn refused(outcome: &Outcome, expected: &str) {
    let code = match outcome {
        Ok(events) if events.is_empty() => "unchanged",
        Ok(_) => "done",
        Err(error) => error.code(),
    };
    assert_eq!(code, expected, "{outcome:?}");
}

#[track_caller]
pub(crate) fn done(outcome: &Outcome) {
    refused(outcome, "done");
}
