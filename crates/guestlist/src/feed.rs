//! Consumers of the feed: who has dealt with what.

use core::time::Duration;

use guestlist_membership::{By, ConsumerRecord, Fact, Home, Row, RowKey, Scope, Sequence, Stamp};
use guestlist_store::{
    Check, Commit, Committed, Cursor, EventFilter, Position, Recorded, Revision, Store, Write,
};
use guestlist_types::{CommitId, ConsumerName, Timestamp};

use crate::error::Error;
use crate::facade::Guestlist;
use crate::members::unknown_host;

/// Somebody who reads the feed and says what they have dealt with, so that they go on from there
/// after a restart. Made by [`Guestlist::consumer`].
///
/// Events come at least once: what was read and not acknowledged comes again. Deal with an event
/// in a way that a second time does no harm, for example by its [sequence](Recorded::sequence).
#[derive(Debug)]
pub struct Consumer<'a, S> {
    guestlist: &'a Guestlist<S>,
    name: ConsumerName,
    filter: EventFilter,
}

/// A stretch of the feed for a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The events, oldest first.
    pub events: Vec<Recorded>,
    /// What to acknowledge once all of them are dealt with. It may be further on than the last of
    /// them, if nothing behind it is wanted.
    pub end: Sequence,
}

impl<S: Store> Guestlist<S> {
    /// A consumer of the feed, by its name. Use a name always with the same filter. For the host
    /// application itself; it asks nobody.
    #[must_use]
    pub const fn consumer(&self, name: ConsumerName, filter: EventFilter) -> Consumer<'_, S> {
        Consumer {
            guestlist: self,
            name,
            filter,
        }
    }

    /// The event that stands there.
    pub(crate) async fn event_at(&self, sequence: Sequence) -> Result<Option<Recorded>, Error> {
        let before = match sequence.ordinal.checked_sub(1) {
            Some(ordinal) => Sequence {
                ordinal,
                ..sequence
            },
            None => Sequence {
                commit: sequence.commit.saturating_sub(1),
                ordinal: u64::MAX,
            },
        };
        let filter = EventFilter::default();
        let cursor = Cursor::new(filter.fingerprint(), &Position::Event(before));
        let page = self.store.events(&filter, Some(&cursor), 1).await?;
        let found = page.events.into_iter().next();
        Ok(found.filter(|recorded| recorded.sequence == sequence))
    }

    /// The end of the log.
    pub(crate) async fn end_of_log(&self) -> Result<Sequence, Error> {
        // What is still to come is at no earlier time than this.
        let filter = EventFilter {
            from: Some(Timestamp::from_micros(i64::MAX)),
            ..EventFilter::default()
        };
        let page = self.store.events(&filter, None, 1).await?;
        Ok(end_of(&filter, page.next.as_ref()).unwrap_or_default())
    }
}

/// Where a page of the log ended.
fn end_of(filter: &EventFilter, next: Option<&Cursor>) -> Option<Sequence> {
    match next?.position(filter.fingerprint()) {
        Ok(Position::Event(sequence)) => Some(sequence),
        Ok(_) | Err(_) => None,
    }
}

/// What is kept of a consumer, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) record: Option<ConsumerRecord>,
    pub(crate) revision: Revision,
}

impl Kept {
    pub(crate) fn acknowledged(&self) -> Sequence {
        self.record
            .as_ref()
            .map_or_else(Sequence::default, |record| record.acknowledged)
    }
}

impl<S: Store> Consumer<'_, S> {
    /// What comes next, at most `limit` events.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn next(&self, limit: u32) -> Result<Batch, Error> {
        let from = self.kept().await?.acknowledged();
        self.behind(from, limit).await
    }

    /// Up to where everything is dealt with.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn position(&self) -> Result<Sequence, Error> {
        Ok(self.kept().await?.acknowledged())
    }

    /// Says that everything up to here is dealt with. It only ever goes forward: acknowledging
    /// something earlier changes nothing.
    ///
    /// # Errors
    ///
    /// `contended` if others kept acknowledging at the same time, and those of the store.
    pub async fn acknowledge(&self, end: Sequence) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let kept = self.kept().await?;
            if kept.acknowledged() >= end {
                return Ok(());
            }
            let record = self.record(&kept, |record| record.acknowledged = end);
            if self.put(&kept, record, Vec::new(), Vec::new()).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Goes back, so that everything behind `to` comes again.
    ///
    /// # Errors
    ///
    /// As [`Consumer::acknowledge`].
    pub async fn rewind(&self, to: Sequence) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let kept = self.kept().await?;
            if kept.acknowledged() <= to {
                return Ok(());
            }
            let record = self.record(&kept, |record| record.acknowledged = to);
            if self.put(&kept, record, Vec::new(), Vec::new()).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Events behind a place.
    pub(crate) async fn behind(&self, from: Sequence, limit: u32) -> Result<Batch, Error> {
        let cursor = (from != Sequence::default())
            .then(|| Cursor::new(self.filter.fingerprint(), &Position::Event(from)));
        let store = &self.guestlist.store;
        let page = store
            .events(&self.filter, cursor.as_ref(), limit.clamp(1, 10_000))
            .await?;
        let end = end_of(&self.filter, page.next.as_ref()).unwrap_or(from);
        Ok(Batch {
            events: page.events,
            end: end.max(from),
        })
    }

    pub(crate) async fn kept(&self) -> Result<Kept, Error> {
        let key = RowKey::Consumer(self.name.clone());
        let scope = Scope::of(unknown_host(), vec![Fact::Consumer(self.name.clone())]);
        let loaded = self.guestlist.load(&scope).await?;
        Ok(Kept {
            record: loaded.records().consumer(&self.name).cloned(),
            revision: loaded.snapshot.revision(&key).unwrap_or(Revision::ABSENT),
        })
    }

    /// The record as it is, changed.
    pub(crate) fn record(
        &self,
        kept: &Kept,
        change: impl FnOnce(&mut ConsumerRecord),
    ) -> ConsumerRecord {
        let now = self.guestlist.now();
        let mut record = kept.record.clone().unwrap_or(ConsumerRecord {
            acknowledged: Sequence::default(),
            chain: None,
            leased_until: None,
            updated_at: now,
        });
        change(&mut record);
        record.updated_at = now;
        record
    }

    /// Writes the record if it is still as it was read; `false` if it isn't.
    pub(crate) async fn put(
        &self,
        kept: &Kept,
        record: ConsumerRecord,
        mut checks: Vec<Check>,
        mut writes: Vec<Write>,
    ) -> Result<bool, Error> {
        let key = RowKey::Consumer(self.name.clone());
        checks.push(Check::Revision {
            key: key.clone(),
            revision: kept.revision,
        });
        writes.push(Write::Put {
            key,
            row: Row::Consumer(record),
            revision: kept.revision.next(),
            before: kept.record.clone().map(|old| Box::new(Row::Consumer(old))),
        });
        self.commit(checks, writes).await
    }

    /// Commits changes to what this consumer keeps; `false` if something isn't as it was read.
    ///
    /// No receipt is kept: the checks tell a commit that was sent twice, as one that was overtaken.
    pub(crate) async fn commit(
        &self,
        checks: Vec<Check>,
        writes: Vec<Write>,
    ) -> Result<bool, Error> {
        let commit = Commit {
            id: self.guestlist.draw(CommitId::generate)?,
            home: Home::Consumer(self.name.clone()),
            checks,
            writes,
            stamp: Stamp {
                at: self.guestlist.now(),
                by: By::System,
            },
            events: Vec::new(),
            receipt: None,
        };
        let outcomes = self
            .guestlist
            .store
            .commit(core::slice::from_ref(&commit))
            .await?;
        match outcomes.into_iter().next() {
            Some(Committed::Applied | Committed::AlreadyApplied(_)) => Ok(true),
            Some(Committed::Conflict { .. }) | None => Ok(false),
        }
    }

    /// Takes this consumer for one reader alone, for a while. `None` if another one has it.
    pub(crate) async fn lease(&self, lasts: Duration) -> Result<Option<Leased<'_, S>>, Error> {
        let kept = self.kept().await?;
        let now = self.guestlist.now();
        let taken = kept
            .record
            .as_ref()
            .and_then(|record| record.leased_until)
            .is_some_and(|until| until.is_after(now));
        if taken {
            return Ok(None);
        }
        let record = self.record(&kept, |record| record.leased_until = Some(now + lasts));
        if !self
            .put(&kept, record.clone(), Vec::new(), Vec::new())
            .await?
        {
            return Ok(None);
        }
        Ok(Some(Leased {
            consumer: self,
            lasts,
            kept: Kept {
                record: Some(record),
                revision: kept.revision.next(),
            },
        }))
    }
}

/// A consumer that one reader has for itself: as long as nobody takes it over, everything that it
/// writes goes through.
pub(crate) struct Leased<'a, S> {
    consumer: &'a Consumer<'a, S>,
    lasts: Duration,
    kept: Kept,
}

impl<S: Store> Leased<'_, S> {
    pub(crate) fn acknowledged(&self) -> Sequence {
        self.kept.acknowledged()
    }

    pub(crate) const fn chain(&self) -> Option<[u8; 32]> {
        match &self.kept.record {
            Some(record) => record.chain,
            None => None,
        }
    }

    /// Changes the record together with other rows, and has the lease go on.
    pub(crate) async fn write(
        &mut self,
        change: impl FnOnce(&mut ConsumerRecord),
        checks: Vec<Check>,
        writes: Vec<Write>,
    ) -> Result<(), Error> {
        let until = self.consumer.guestlist.now() + self.lasts;
        let record = self.consumer.record(&self.kept, |record| {
            change(record);
            record.leased_until = Some(until);
        });
        if !self
            .consumer
            .put(&self.kept, record.clone(), checks, writes)
            .await?
        {
            return Err(Error::ConsumerTaken);
        }
        self.kept = Kept {
            record: Some(record),
            revision: self.kept.revision.next(),
        };
        Ok(())
    }

    /// Leaves it to others.
    pub(crate) async fn release(self) -> Result<(), Error> {
        let record = self
            .consumer
            .record(&self.kept, |record| record.leased_until = None);
        // Whoever has taken it over meanwhile has it.
        self.consumer
            .put(&self.kept, record, Vec::new(), Vec::new())
            .await?;
        Ok(())
    }
}

/// How often an acknowledgement starts over when others acknowledge at the same time.
const MAX_TRIES: u32 = 64;
