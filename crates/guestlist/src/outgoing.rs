//! How events get out: to endpoints, and to people. The log is the queue; what could not be
//! delivered is parked and tried again on its own, so that the rest goes on.

use core::time::Duration;

use async_trait::async_trait;
use guestlist_membership::{Fact, ParkedRecord, Row, RowKey, Scope, Sequence};
use guestlist_store::{Check, EventFilter, Page, Query, Recorded, Revision, Store, Write};
use guestlist_types::{ConsumerName, Timestamp};
use guestlist_webhooks::{Next, Outcome, RetrySchedule};

use crate::error::Error;
use crate::facade::Guestlist;
use crate::feed::Leased;
use crate::members::unknown_host;

/// How long one reader has a consumer for itself without saying anything.
const LEASE: Duration = Duration::from_secs(5 * 60);

/// How many events of one consumer wait to be tried again at most. While there are so many, the
/// rest waits in the log.
pub(crate) const MAX_PARKED: usize = 1000;

/// How many events that nobody tries any more are kept; the oldest give way.
pub(crate) const MAX_DEAD: usize = 1000;

/// What came of carrying one event.
pub(crate) enum Carried {
    /// It concerns nobody there.
    Unwanted,
    /// It arrived.
    Delivered,
    /// It did not arrive.
    Failed {
        /// Why: a stable code.
        code: String,
        /// When it may be tried again.
        outcome: Outcome,
    },
}

/// Carries events somewhere.
#[async_trait]
pub(crate) trait Courier: Send + Sync {
    /// Carries one event. `reached` says whom it has reached already, where it goes to several.
    async fn carry(&self, recorded: &Recorded, reached: &mut Vec<u32>) -> Result<Carried, Error>;
}

/// What a round of deliveries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Delivered {
    /// How many events arrived.
    pub delivered: u64,
    /// How many did not, and are tried again.
    pub failed: u64,
    /// How many are not tried any more.
    pub dead: u64,
    /// How many destinations another process is just delivering to.
    pub busy: u64,
    /// How many destinations say that they are gone.
    pub gone: u64,
}

impl core::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.dead += other.dead;
        self.busy += other.busy;
        self.gone += other.gone;
    }
}

/// An event that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Where it stands in the log.
    pub sequence: Sequence,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; `None`: not unless somebody asks for it.
    pub next_at: Option<Timestamp>,
    /// What went wrong the last time: a stable code.
    pub error: String,
    /// When it was tried last.
    pub tried_at: Timestamp,
}

/// A parked event, as it was read.
struct Parked {
    sequence: Sequence,
    record: ParkedRecord,
}

impl<S: Store> Guestlist<S> {
    /// Delivers what is due to one destination, at most `limit` new events.
    pub(crate) async fn pump(
        &self,
        name: &ConsumerName,
        filter: EventFilter,
        courier: &dyn Courier,
        schedule: &RetrySchedule,
        limit: u32,
    ) -> Result<Delivered, Error> {
        let consumer = self.consumer(name.clone(), filter);
        let Some(mut leased) = consumer.lease(LEASE).await? else {
            return Ok(Delivered {
                busy: 1,
                ..Delivered::default()
            });
        };
        let mut round = Round {
            guestlist: self,
            name,
            courier,
            schedule,
            done: Delivered::default(),
            down: false,
        };
        let parked = self.parked(name).await?;
        let waiting = parked
            .iter()
            .filter(|parked| parked.record.next_at.is_some())
            .count();
        for parked in &parked {
            let due = parked
                .record
                .next_at
                .is_some_and(|at| !at.is_after(self.now()));
            if due && !round.down {
                round.again(&mut leased, parked).await?;
            }
        }
        round.bury(&mut leased, &parked).await?;
        if !round.down && waiting < MAX_PARKED {
            let from = leased.acknowledged();
            let batch = consumer.behind(from, limit).await?;
            for recorded in &batch.events {
                round.first(&mut leased, recorded).await?;
                if round.down {
                    break;
                }
            }
            // What is not wanted needs no acknowledgement of its own, unless it is a lot.
            let behind = batch
                .end
                .commit
                .saturating_sub(leased.acknowledged().commit);
            if !round.down && (behind > FAR || !batch.events.is_empty()) && behind > 0 {
                let end = batch.end;
                leased
                    .write(|record| record.acknowledged = end, Vec::new(), Vec::new())
                    .await?;
            }
        }
        let done = round.done;
        leased.release().await?;
        Ok(done)
    }

    /// Everything that a consumer has parked.
    async fn parked(&self, name: &ConsumerName) -> Result<Vec<Parked>, Error> {
        let query = Query::Parked {
            consumer: name.clone(),
        };
        let mut all = Vec::new();
        let mut page = Page::first(1000)?;
        loop {
            let listed = self.list(&query, &page).await?;
            for (key, row) in listed.rows {
                if let (RowKey::Parked(_, sequence), Row::Parked(record)) = (key, row) {
                    all.push(Parked { sequence, record });
                }
            }
            match listed.next {
                Some(next) => page = page.after(next),
                None => return Ok(all),
            }
        }
    }

    /// What a consumer could not deliver, oldest first.
    pub(crate) async fn dead_letters_of(
        &self,
        name: &ConsumerName,
    ) -> Result<Vec<DeadLetter>, Error> {
        let parked = self.parked(name).await?;
        let letter = |parked: Parked| DeadLetter {
            sequence: parked.sequence,
            attempts: parked.record.attempts,
            next_at: parked.record.next_at,
            error: parked.record.error,
            tried_at: parked.record.tried_at,
        };
        Ok(parked.into_iter().map(letter).collect())
    }

    /// Has parked events tried again with the next round: one, or all that nobody tries any more.
    pub(crate) async fn try_again(
        &self,
        name: &ConsumerName,
        wanted: Option<Sequence>,
    ) -> Result<usize, Error> {
        let consumer = self.consumer(name.clone(), EventFilter::default());
        let mut count = 0;
        for parked in self.parked(name).await? {
            let is_wanted = match wanted {
                Some(sequence) => parked.sequence == sequence,
                None => parked.record.next_at.is_none(),
            };
            if !is_wanted {
                continue;
            }
            let key = RowKey::Parked(name.clone(), parked.sequence);
            let revision = self.revision_of(name, parked.sequence).await?;
            let record = ParkedRecord {
                attempts: 0,
                next_at: Some(self.now()),
                ..parked.record.clone()
            };
            let checks = vec![Check::Revision {
                key: key.clone(),
                revision,
            }];
            let writes = vec![put_parked(key, record, revision, Some(parked.record))];
            count += usize::from(consumer.commit(checks, writes).await?);
        }
        Ok(count)
    }

    /// How often a parked event was written.
    async fn revision_of(&self, name: &ConsumerName, at: Sequence) -> Result<Revision, Error> {
        let scope = Scope::of(unknown_host(), vec![Fact::Parked(name.clone(), at)]);
        let loaded = self.load(&scope).await?;
        let key = RowKey::Parked(name.clone(), at);
        Ok(loaded.snapshot.revision(&key).unwrap_or(Revision::ABSENT))
    }

    /// A number that nobody foresees, to spread what is tried again.
    fn jitter(&self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.config.entropy.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// So many commits without anything wanted are worth an acknowledgement.
const FAR: u64 = 1000;

struct Round<'a, S> {
    guestlist: &'a Guestlist<S>,
    name: &'a ConsumerName,
    courier: &'a dyn Courier,
    schedule: &'a RetrySchedule,
    done: Delivered,
    /// The destination doesn't answer: the rest of this round would not arrive either.
    down: bool,
}

impl<S: Store> Round<'_, S> {
    /// Carries an event for the first time.
    async fn first(
        &mut self,
        leased: &mut Leased<'_, S>,
        recorded: &Recorded,
    ) -> Result<(), Error> {
        let mut reached = Vec::new();
        let carried = self.courier.carry(recorded, &mut reached).await?;
        let sequence = recorded.sequence;
        let (mut checks, mut writes) = (Vec::new(), Vec::new());
        match carried {
            Carried::Unwanted => return Ok(()),
            Carried::Delivered => self.done.delivered += 1,
            Carried::Failed { code, outcome } => {
                let now = self.guestlist.now();
                let record = ParkedRecord {
                    attempts: 1,
                    next_at: self.next(1, outcome)?,
                    error: code,
                    reached,
                    parked_at: now,
                    tried_at: now,
                };
                // It may be there from a round that was cut short.
                let key = RowKey::Parked(self.name.clone(), sequence);
                let revision = self.guestlist.revision_of(self.name, sequence).await?;
                checks.push(Check::Revision {
                    key: key.clone(),
                    revision,
                });
                writes.push(put_parked(key, record, revision, None));
            }
        }
        leased
            .write(|record| record.acknowledged = sequence, checks, writes)
            .await
    }

    /// Carries a parked event once more.
    async fn again(&mut self, leased: &mut Leased<'_, S>, parked: &Parked) -> Result<(), Error> {
        let key = RowKey::Parked(self.name.clone(), parked.sequence);
        let revision = self
            .guestlist
            .revision_of(self.name, parked.sequence)
            .await?;
        let mut reached = parked.record.reached.clone();
        let carried = match self.guestlist.event_at(parked.sequence).await? {
            Some(recorded) => self.courier.carry(&recorded, &mut reached).await?,
            // An event that is not in the log concerns nobody.
            None => Carried::Unwanted,
        };
        let checks = vec![Check::Revision {
            key: key.clone(),
            revision,
        }];
        let before = Some(parked.record.clone());
        let write = match carried {
            Carried::Unwanted | Carried::Delivered => {
                self.done.delivered += u64::from(matches!(carried, Carried::Delivered));
                Write::Delete {
                    key,
                    before: before.map(|record| Box::new(Row::Parked(record))),
                }
            }
            Carried::Failed { code, outcome } => {
                let attempts = parked.record.attempts.saturating_add(1);
                let record = ParkedRecord {
                    attempts,
                    next_at: self.next(attempts, outcome)?,
                    error: code,
                    reached,
                    parked_at: parked.record.parked_at,
                    tried_at: self.guestlist.now(),
                };
                put_parked(key, record, revision, before)
            }
        };
        leased.write(|_| {}, checks, vec![write]).await
    }

    /// When a failed event is tried again.
    fn next(&mut self, attempts: u32, outcome: Outcome) -> Result<Option<Timestamp>, Error> {
        self.down = true;
        let now = self.guestlist.now();
        let jitter = self.guestlist.jitter()?;
        Ok(match self.schedule.next(attempts, outcome, now, jitter) {
            Next::At(at) => {
                self.done.failed += 1;
                Some(at)
            }
            Next::Disable => {
                self.done.gone += 1;
                None
            }
            Next::Dead | Next::Done => {
                self.done.dead += 1;
                None
            }
        })
    }

    /// Lets the oldest of those go that nobody tries any more, where there are too many.
    async fn bury(&self, leased: &mut Leased<'_, S>, parked: &[Parked]) -> Result<(), Error> {
        let dead: Vec<&Parked> = parked
            .iter()
            .filter(|parked| parked.record.next_at.is_none())
            .collect();
        let Some(over) = dead.len().checked_sub(MAX_DEAD) else {
            return Ok(());
        };
        for parked in &dead[..over] {
            let write = Write::Delete {
                key: RowKey::Parked(self.name.clone(), parked.sequence),
                before: Some(Box::new(Row::Parked(parked.record.clone()))),
            };
            leased.write(|_| {}, Vec::new(), vec![write]).await?;
        }
        Ok(())
    }
}

fn put_parked(
    key: RowKey,
    record: ParkedRecord,
    revision: Revision,
    before: Option<ParkedRecord>,
) -> Write {
    Write::Put {
        key,
        row: Row::Parked(record),
        revision: revision.next(),
        before: before.map(|record| Box::new(Row::Parked(record))),
    }
}
