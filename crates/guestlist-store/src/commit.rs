//! Commits: what a decision comes to, for a store.

use guestlist_membership::link::TokenRecord;
use guestlist_membership::{Event, Home, Row, RowKey, Sequence, Stamp};
use guestlist_membership::{Records, SeatCount};
use guestlist_token::{SealedToken, Selector, TokenTag};
use guestlist_types::CommitId;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Revision, Snapshot};

/// A digest of who asked for what. The same idempotency key with another digest is an error.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandDigest(pub [u8; 32]);

impl core::fmt::Debug for CommandDigest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CommandDigest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// What is kept of an applied commit, so that sending it again gives the first answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who asked for what.
    pub digest: CommandDigest,
    /// The answer, as the caller encoded it. Holds no secret.
    pub reply: String,
}

/// A fact that must still hold when a commit is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must check every kind of fact"
)]
pub enum Check {
    /// The row has this revision; [`Revision::ABSENT`]: it is not there. A counter's revision is
    /// its count.
    Revision {
        /// The row.
        key: RowKey,
        /// Its revision.
        revision: Revision,
    },
    /// That many uses of a link count ([`RowKey::UseCount`]).
    UseCount {
        /// Which link's.
        key: RowKey,
        /// How many.
        count: u64,
    },
    /// That many memberships are pending and approved ([`RowKey::SeatCount`]).
    SeatCount {
        /// Which organization's.
        key: RowKey,
        /// How many.
        count: SeatCount,
    },
}

impl Check {
    /// The row that this check is about.
    #[must_use]
    pub const fn key(&self) -> &RowKey {
        match self {
            Self::Revision { key, .. }
            | Self::UseCount { key, .. }
            | Self::SeatCount { key, .. } => key,
        }
    }
}

/// One change to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must apply every kind of write"
)]
pub enum Write {
    /// Writes a row.
    Put {
        /// The row's key.
        key: RowKey,
        /// The row.
        row: Row,
        /// The revision that it gets.
        revision: Revision,
        /// What was there before, as the decision saw it. For stores that keep indexes themselves.
        before: Option<Box<Row>>,
    },
    /// Deletes a row.
    Delete {
        /// The row's key.
        key: RowKey,
        /// What was there before, as the decision saw it.
        before: Option<Box<Row>>,
    },
    /// Adds one to a counter while it is below a bound; a precondition and a write in one, so that
    /// commands that only add don't collide.
    Take {
        /// The counter.
        key: RowKey,
        /// The count must be below this.
        below: u64,
    },
    /// Takes one from a counter, never below zero.
    Give {
        /// The counter.
        key: RowKey,
    },
    /// Erases personal data from an event of this home that is in the log already: the event is
    /// replaced, and the answer that is kept with its commit is emptied.
    Erase {
        /// The row that the event is about, for the answer to a conflict.
        key: RowKey,
        /// Where it stands.
        sequence: Sequence,
        /// The commit that it came with.
        commit: CommitId,
        /// The event without the data.
        event: Box<Event>,
        /// What is kept of the data: see [`Recorded::erased`](crate::Recorded::erased).
        mark: [u8; 32],
    },
}

impl Write {
    /// The row that this write is about.
    #[must_use]
    pub const fn key(&self) -> &RowKey {
        match self {
            Self::Put { key, .. }
            | Self::Delete { key, .. }
            | Self::Take { key, .. }
            | Self::Give { key }
            | Self::Erase { key, .. } => key,
        }
    }
}

/// A decision, ready to be stored: all of one home, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a commit changes nothing until a store applies it"]
pub struct Commit {
    /// Its id: a commit that was applied is never applied again.
    pub id: CommitId,
    /// Where all of its rows live.
    pub home: Home,
    /// What must still hold.
    pub checks: Vec<Check>,
    /// What changes.
    pub writes: Vec<Write>,
    /// Who and when, for its events.
    pub stamp: Stamp,
    /// What happened, in order. Consumers have no events.
    pub events: Vec<Event>,
    /// What is kept of it. `None`: nothing, so that it is applied as often as it is sent; for
    /// counting, and where the checks tell whether it was applied. Consumers keep nothing.
    pub receipt: Option<Receipt>,
}

impl Commit {
    /// The revision that this commit gives to the access rules of its organization, if it changes
    /// them: that of their head, which moves with each of them.
    #[must_use]
    pub fn access_revision(&self) -> Option<Revision> {
        self.writes.iter().find_map(|write| match write {
            Write::Put {
                key: RowKey::AccessHead(_),
                revision,
                ..
            } => Some(*revision),
            Write::Put { .. }
            | Write::Delete { .. }
            | Write::Take { .. }
            | Write::Give { .. }
            | Write::Erase { .. } => None,
        })
    }
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a caller must place every outcome")]
pub enum Committed {
    /// It is stored, durably.
    Applied,
    /// It had been applied before; this is what was kept of it then.
    AlreadyApplied(Receipt),
    /// Something it relied on holds no more. Nothing was changed.
    Conflict {
        /// The first fact found changed, as a hint.
        key: RowKey,
    },
}

/// What is kept of a token's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    /// Which token's.
    pub selector: Selector,
    /// Its digest.
    pub tag: TokenTag,
    /// The token itself, sealed; `None` where the host seals none.
    pub sealed: Option<SealedToken>,
}

impl TokenSecret {
    fn put_into(&self, token: &mut TokenRecord) {
        token.tag = Some(self.tag);
        if self.sealed.is_some() {
            token.sealed.clone_from(&self.sealed);
        }
    }
}

/// A decision about to become a commit.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The commit's id.
    pub id: CommitId,
    /// Where its rows live.
    pub home: Home,
    /// What the decision was made on.
    pub snapshot: &'a Snapshot,
    /// The same with all events folded in.
    pub after: &'a Records,
    /// Who and when.
    pub stamp: Stamp,
    /// What happened.
    pub events: Vec<Event>,
    /// What is kept of the secrets of new tokens, and of tokens that get another pepper; the core
    /// never sees it.
    pub secrets: &'a [TokenSecret],
    /// What is kept.
    pub receipt: Receipt,
    /// Erasures of earlier events, if that is what the command is about.
    pub erasures: Vec<Write>,
}

impl Draft<'_> {
    /// The commit: every fact that was read in this home becomes a precondition, every row that
    /// changed a write, and counters are added to.
    pub fn into_commit(self) -> Commit {
        let mut checks: Vec<Check> = self
            .snapshot
            .revisions()
            .filter(|(key, _)| self.is_of_home(key) && !key.is_counter() && !key.is_counted())
            .map(|(key, revision)| Check::Revision {
                key: key.clone(),
                revision,
            })
            .collect();
        let mut writes = Vec::new();
        for (key, before, after) in self.after.changes() {
            self.write(key, before, after, &mut checks, &mut writes);
        }
        self.retag(&mut writes);
        writes.extend(self.erasures);
        Commit {
            id: self.id,
            home: self.home,
            checks,
            writes,
            stamp: self.stamp,
            events: self.events,
            receipt: Some(self.receipt),
        }
    }

    fn is_of_home(&self, key: &RowKey) -> bool {
        match (&self.home, key) {
            (Home::Name(home), RowKey::Name(name)) => home == name,
            (Home::Name(_) | Home::Consumer(_), _)
            | (Home::Organization(_), RowKey::Name(_) | RowKey::Consumer(_) | RowKey::Parked(..)) => {
                false
            }
            (Home::Organization(home), key) => match key.organization() {
                Some(organization) => organization == home,
                // Tokens are in the bucket of their host; a scope only reads those of its host.
                None => true,
            },
        }
    }

    fn write(
        &self,
        key: &RowKey,
        before: Option<&Row>,
        after: Option<&Row>,
        checks: &mut Vec<Check>,
        writes: &mut Vec<Write>,
    ) {
        if let (true, Some(Row::Tally(old)), Some(Row::Tally(new))) =
            (key.is_counter(), before, after)
            && !self.counts_anew(key)
        {
            // The last one below a limit is told apart, so that "exhausted" is decided exactly
            // once: any other taker must leave at least one.
            let limit = self.limit(key);
            let is_last = *new >= limit;
            let below = if is_last { limit } else { limit - 1 };
            if is_last && new > old {
                // Nor may one have been given back meanwhile: then it isn't the last.
                checks.push(Check::Revision {
                    key: key.clone(),
                    revision: Revision::new(*old),
                });
            }
            for _ in *old..*new {
                writes.push(Write::Take {
                    key: key.clone(),
                    below,
                });
            }
            for _ in *new..*old {
                writes.push(Write::Give { key: key.clone() });
            }
            return;
        }
        if key.is_counter() {
            checks.extend(self.count_check(key));
        }
        let known = self.snapshot.revision(key);
        if known.is_none() && !is_access_row(key) && !key.is_counter() {
            // Not looked for because it is new: it must be.
            checks.push(Check::Revision {
                key: key.clone(),
                revision: Revision::ABSENT,
            });
        }
        let boxed = |row: Option<&Row>| row.cloned().map(Box::new);
        match after {
            // The head's revision is that of all access rules: it moves with each of them.
            Some(row) if Some(row) != before || matches!(key, RowKey::AccessHead(_)) => {
                writes.push(Write::Put {
                    key: key.clone(),
                    row: self.tagged(row),
                    revision: known.unwrap_or_default().next(),
                    before: boxed(before),
                });
            }
            Some(_) => {}
            None => {
                if before.is_some() || is_access_row(key) {
                    writes.push(Write::Delete {
                        key: key.clone(),
                        before: boxed(before),
                    });
                }
            }
        }
    }

    /// Whether this commit begins to count what it has just had counted.
    fn counts_anew(&self, key: &RowKey) -> bool {
        self.count_check(key).is_some()
    }

    fn count_check(&self, key: &RowKey) -> Option<Check> {
        match key {
            RowKey::LinkTally(host, link) => {
                let key = RowKey::UseCount(host.clone(), *link);
                let count = self.snapshot.records().use_count(host, *link)?;
                Some(Check::UseCount { key, count })
            }
            RowKey::SeatTally(host) => {
                let count = self.snapshot.records().seat_count(host)?;
                Some(Check::SeatCount {
                    key: RowKey::SeatCount(host.clone()),
                    count,
                })
            }
            _ => None,
        }
    }

    fn limit(&self, key: &RowKey) -> u64 {
        match key {
            RowKey::LinkTally(host, link) => self
                .after
                .link(host, *link)
                .and_then(|link| link.config.max_uses)
                .map_or(u64::MAX, core::num::NonZeroU64::get),
            // Nothing is announced about seats, so the last one is taken like any other.
            RowKey::SeatTally(host) => self
                .after
                .organization(host)
                .and_then(|organization| organization.settings.seats)
                .map_or(u64::MAX, |seats| seats.limit.get().saturating_add(1)),
            _ => u64::MAX,
        }
    }

    fn tagged(&self, row: &Row) -> Row {
        let mut row = row.clone();
        if let Row::Token(token) = &mut row
            && let Some(secret) = self
                .secrets
                .iter()
                .find(|secret| secret.selector == token.selector)
        {
            secret.put_into(token);
        }
        row
    }

    /// Tokens whose digest is renewed without anything else about them changing.
    fn retag(&self, writes: &mut Vec<Write>) {
        for secret in self.secrets {
            let key = RowKey::Token(secret.selector);
            let written = writes.iter().any(|write| *write.key() == key);
            let (Some(token), Some(revision)) = (
                self.snapshot.records().token(secret.selector),
                self.snapshot.revision(&key),
            ) else {
                continue;
            };
            if !written {
                let before = Row::Token(token.clone());
                let mut token = token.clone();
                secret.put_into(&mut token);
                writes.push(Write::Put {
                    key,
                    row: Row::Token(token),
                    revision: revision.next(),
                    before: Some(Box::new(before)),
                });
            }
        }
    }
}

/// Rows that are covered by the revision of their head.
const fn is_access_row(key: &RowKey) -> bool {
    matches!(
        key,
        RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..)
    )
}

#[cfg(test)]
mod tests {
    use guestlist_membership::member::MemberEvent;
    use guestlist_membership::{By, evolve};
    use guestlist_types::{Member, OrgId, Timestamp, UserId};

    use super::*;

    #[test]
    fn what_is_written_without_having_been_looked_for_must_be_new() {
        let host = OrgId::parse("org_1").unwrap();
        let member = Member::User(UserId::parse("ann").unwrap());
        let stamp = Stamp {
            at: Timestamp::default(),
            by: By::System,
        };
        let event = Event::Member(MemberEvent::Blocked {
            member: member.clone(),
            reason: None,
        });
        let snapshot = Snapshot::new();
        let mut after = snapshot.to_records();
        evolve(&mut after, &host, &stamp, &event);
        let commit = Draft {
            id: CommitId::from_bytes([1; 16]),
            home: Home::Organization(host.clone()),
            snapshot: &snapshot,
            after: &after,
            stamp,
            events: vec![event],
            secrets: &[],
            receipt: Receipt {
                digest: CommandDigest([0; 32]),
                reply: String::new(),
            },
            erasures: Vec::new(),
        }
        .into_commit();
        let key = RowKey::Membership(host, member);
        let revision = Revision::ABSENT;
        assert_eq!(commit.checks, [Check::Revision { key, revision }]);
        assert!(matches!(
            &commit.writes[..],
            [Write::Put { revision, before: None, .. }] if revision.get() == 1
        ));
    }
}
