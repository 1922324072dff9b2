//! What has changed in access rules, off the log.

use guestlist_access::AccessEvent;
use guestlist_membership::Event;

use crate::snapshot::{FoundBook, Revision};

/// What happened to an organization's access rules between two revisions, collected off the log.
/// For stores that can find it there: [`Commit::access_revision`](crate::Commit::access_revision)
/// says what is to be kept with each event for that.
#[derive(Debug)]
pub struct AccessChanges {
    since: Revision,
    until: Revision,
    reached: Revision,
    events: Vec<AccessEvent>,
    is_whole: bool,
}

impl AccessChanges {
    /// So many revisions are brought up to date from the log at most; behind that, reading the
    /// rules whole is about as much.
    pub const MOST: u64 = 1000;

    /// From what the caller has to what is there now. `None` if there is no way from one to the
    /// other, or a longer one than is worth it.
    #[must_use]
    pub const fn between(since: Revision, until: Revision) -> Option<Self> {
        let far = until.get().saturating_sub(since.get());
        if far == 0 || far > Self::MOST {
            return None;
        }
        Some(Self {
            since,
            until,
            reached: since,
            events: Vec::new(),
            is_whole: true,
        })
    }

    /// Adds the next event, in the order of the log, with the revision that its commit made.
    pub fn push(&mut self, revision: Revision, event: Event) {
        let is_next = revision == self.reached || revision == self.reached.next();
        match event {
            Event::Access(event) if is_next && revision > self.since => {
                self.reached = revision;
                self.events.push(event);
            }
            _ => self.is_whole = false,
        }
    }

    /// All of it; `None` if the log doesn't have a step of it.
    #[must_use]
    pub fn into_found(self) -> Option<FoundBook> {
        (self.is_whole && self.reached == self.until).then_some(FoundBook::Changed {
            since: self.since,
            events: self.events,
        })
    }
}

#[cfg(test)]
mod tests {
    use guestlist_access::Sharing;

    use super::*;

    fn collected(since: u64, until: u64, revisions: &[u64]) -> Option<usize> {
        let between = AccessChanges::between(Revision::new(since), Revision::new(until));
        let mut changes = between?;
        for revision in revisions {
            let event = AccessEvent::SharingSet(Sharing::OwnersOnly);
            changes.push(Revision::new(*revision), Event::Access(event));
        }
        match changes.into_found()? {
            FoundBook::Changed { since: of, events } => {
                assert_eq!(of, Revision::new(since));
                Some(events.len())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_step_must_be_there() {
        assert_eq!(collected(3, 6, &[4, 5, 5, 6]), Some(4));
        for gap in [
            &[][..],
            &[4, 5],
            &[5, 6],
            &[4, 6],
            &[3, 4, 5, 6],
            &[4, 5, 4, 6],
        ] {
            assert_eq!(collected(3, 6, gap), None, "{gap:?}");
        }
    }

    #[test]
    fn there_is_no_way_back_and_none_that_is_too_long() {
        assert_eq!(collected(6, 6, &[]), None);
        assert_eq!(collected(7, 6, &[]), None);
        let most = AccessChanges::MOST;
        let all: Vec<u64> = (1..=most).collect();
        assert_eq!(collected(0, most, &all), Some(all.len()));
        assert_eq!(collected(0, most + 1, &all), None);
    }
}
