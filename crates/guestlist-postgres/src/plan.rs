//! Commits as rows of tables: made where they come from, before anything waits for a connection.

use guestlist_membership::{Home, Row, RowKey};
use guestlist_store::{Check, Commit, Committed, Receipt, Revision, StoreError, Write};
use guestlist_types::Bucket;

use crate::error::signed;
use crate::mirror::joined_key;
use crate::place;
use crate::rows;
use crate::sql::Names;
use crate::table::{COUNTERS, JOINED, ORDER, Table, table_of};
use crate::value::Value;

/// A row that must be at a revision; zero: that must not be there.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// Which of the commit's checks.
    pub(crate) n: i64,
    pub(crate) table: &'static Table,
    pub(crate) key: Vec<Value>,
    pub(crate) revision: i64,
    /// Whether the commit writes it, too.
    pub(crate) written: bool,
}

/// What is counted and must come to the same.
#[derive(Debug, Clone)]
pub(crate) enum Counted {
    Uses {
        n: i64,
        key: Vec<Value>,
        count: i64,
    },
    Seats {
        n: i64,
        key: Vec<Value>,
        pending: i64,
        approved: i64,
    },
}

/// What a commit asks of a counter, and does to it. Whatever it adds and takes away, in whatever
/// order, comes to `max(count + add, least)`.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    /// Which of the commit's checks and takes, if one of them misses.
    pub(crate) n: i64,
    pub(crate) table: &'static Table,
    pub(crate) key: Vec<Value>,
    /// It may be at most this.
    pub(crate) most: i64,
    /// It must be this.
    pub(crate) same: Option<i64>,
    pub(crate) add: i64,
    pub(crate) least: i64,
    pub(crate) written: bool,
}

impl Counter {
    /// Whether others like it can be counted on top of it.
    pub(crate) const fn is_simple(&self) -> bool {
        self.add == 1 && self.least == 1 && self.same.is_none()
    }
}

/// A row that is written.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) table: &'static Table,
    /// Whether it is written whatever is there.
    pub(crate) blind: bool,
    /// Whether the commit has checked that it is not there; of a row of a list: that the membership
    /// isn't.
    pub(crate) is_new: bool,
    /// Key and columns.
    pub(crate) values: Vec<Value>,
}

/// One commit.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The key of its receipt.
    pub(crate) receipt: Vec<Value>,
    /// The bucket that all of its rows are in, if it is one.
    pub(crate) bucket: Option<i64>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) counted: Vec<Counted>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) puts: Vec<Put>,
    pub(crate) deletes: Vec<(&'static Table, Vec<Value>)>,
    /// What is erased from the log: the columns of the event.
    pub(crate) erasures: Vec<Vec<Value>>,
    /// The columns of its receipt behind the key, if one is kept.
    pub(crate) kept: Option<Vec<Value>>,
    /// The columns of its events behind their place in the log.
    pub(crate) events: Vec<Vec<Value>>,
    /// What places them later, if they are to be placed later.
    pub(crate) basis: Option<Value>,
}

/// What became of a planned commit.
#[derive(Debug)]
pub(crate) enum Outcome {
    Applied,
    Already(Receipt),
    /// Which check missed.
    Missed(usize),
}

impl Plan {
    /// With `mirrored`, the lists of members' memberships are written by somebody else.
    pub(crate) fn all(
        commits: &[Commit],
        names: &Names,
        mirrored: bool,
    ) -> Result<Vec<Self>, StoreError> {
        commits
            .iter()
            .map(|commit| {
                let mut plan = Self::of(commit, mirrored)?;
                if names.places_later() && !plan.events.is_empty() {
                    plan.basis = Some(place::basis(&plan)?);
                }
                Ok(plan)
            })
            .collect()
    }

    fn of(commit: &Commit, mirrored: bool) -> Result<Self, StoreError> {
        if let (Home::Consumer(_), Some(_)) = (&commit.home, &commit.receipt) {
            return Err(StoreError::Malformed {
                what: "a receipt of a consumer",
            });
        }
        let mut receipt = rows::home_values(&commit.home);
        receipt.push(commit.id.as_bytes().into());
        let by = rows::json(&commit.stamp.by)?;
        let mut plan = Self {
            bucket: match &commit.home {
                Home::Organization(_) | Home::Consumer(_) => {
                    Some(commit.home.bucket().get().into())
                }
                // Its events are in the bucket of the organization.
                Home::Name(_) => None,
            },
            receipt,
            facts: Vec::with_capacity(commit.checks.len()),
            counted: Vec::new(),
            counters: Vec::new(),
            puts: Vec::with_capacity(commit.writes.len()),
            deletes: Vec::new(),
            erasures: Vec::new(),
            events: guestlist_store::columns::events(commit, &by)?,
            basis: None,
            kept: commit.receipt.as_ref().map(|receipt| {
                vec![
                    commit.stamp.at.into(),
                    by,
                    Value::Digest(receipt.digest.0),
                    receipt.reply.as_str().into(),
                ]
            }),
        };
        for (n, check) in (0_i64..).zip(&commit.checks) {
            plan.check(n, check, commit)?;
        }
        plan.count(commit)?;
        for write in &commit.writes {
            plan.write(write, commit, mirrored)?;
        }
        Ok(plan)
    }

    fn check(&mut self, n: i64, check: &Check, commit: &Commit) -> Result<(), StoreError> {
        match check {
            // With what the commit does to it.
            Check::Revision { key, .. } if key.is_counter() => {}
            Check::Revision { key, revision } => {
                let table = table_of(key).ok_or(rows::NOT_COUNTED)?;
                self.facts.push(Fact {
                    n,
                    table,
                    key: rows::key_values(key),
                    revision: signed(revision.get())?,
                    written: commit.writes.iter().any(|write| write.key() == key),
                });
            }
            Check::UseCount { key, count } => self.counted.push(Counted::Uses {
                n,
                key: rows::key_values(key),
                count: signed(*count)?,
            }),
            Check::SeatCount { key, count } => self.counted.push(Counted::Seats {
                n,
                key: rows::key_values(key),
                pending: signed(count.pending)?,
                approved: signed(count.approved)?,
            }),
        }
        Ok(())
    }

    /// All that is asked of counters and done to them.
    fn count(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let checked = commit.checks.iter().map(Check::key);
        let written = commit.writes.iter().map(Write::key);
        let mut keys: Vec<&RowKey> = checked
            .chain(written)
            .filter(|key| key.is_counter())
            .collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            self.count_one(key, commit)?;
        }
        Ok(())
    }

    fn count_one(&mut self, key: &RowKey, commit: &Commit) -> Result<(), StoreError> {
        let table = table_of(key).ok_or(rows::NOT_COUNTED)?;
        let mut counter = Counter {
            n: i64::MAX,
            table,
            key: rows::key_values(key),
            most: i64::MAX,
            same: None,
            add: 0,
            least: 0,
            written: false,
        };
        for (n, check) in (0_i64..).zip(&commit.checks) {
            if let Check::Revision { key: of, revision } = check
                && of == key
            {
                counter.n = counter.n.min(n);
                let revision = signed(revision.get())?;
                if counter.same.is_some_and(|same| same != revision) {
                    // Two that can't both hold.
                    counter.most = -1;
                }
                counter.same = Some(revision);
            }
        }
        // What the same commit has put there before, and then whatever is there.
        let mut put: Option<i64> = None;
        // Takes are numbered behind the checks.
        let mut n = i64::try_from(commit.checks.len()).unwrap_or(i64::MAX);
        for write in &commit.writes {
            let is_take = matches!(write, Write::Take { .. });
            if write.key() == key {
                match write {
                    Write::Take { below, .. } => {
                        let below = i64::try_from(*below).unwrap_or(i64::MAX);
                        let holds = match put {
                            Some(count) => count < below,
                            None if counter.least >= below => false,
                            None => {
                                counter.most = counter.most.min(below - 1 - counter.add);
                                true
                            }
                        };
                        if !holds {
                            counter.most = -1;
                        }
                        counter.n = counter.n.min(n);
                        step(&mut put, &mut counter, 1);
                    }
                    Write::Give { .. } => step(&mut put, &mut counter, -1),
                    Write::Put {
                        row: Row::Tally(count),
                        ..
                    } => put = Some(signed(*count)?),
                    Write::Put { .. } | Write::Erase { .. } => return Err(rows::OTHER_ROW),
                    Write::Delete { .. } => put = Some(0),
                }
            }
            if is_take {
                n += 1;
            }
        }
        match put {
            Some(count) => {
                let mut values = counter.key.clone();
                values.push(count.into());
                self.puts.push(Put {
                    table,
                    blind: true,
                    is_new: false,
                    values,
                });
            }
            None => counter.written = counter.add != 0 || counter.least != 0,
        }
        if counter.written || counter.same.is_some() || counter.most != i64::MAX {
            self.counters.push(counter);
        }
        Ok(())
    }

    fn write(&mut self, write: &Write, commit: &Commit, mirrored: bool) -> Result<(), StoreError> {
        match write {
            Write::Put { key, .. } | Write::Delete { key, .. } if key.is_counter() => {}
            Write::Take { key, .. } | Write::Give { key } => {
                if !key.is_counter() {
                    return Err(rows::NOT_COUNTED);
                }
            }
            Write::Put {
                key, row, revision, ..
            } => {
                let table = table_of(key).ok_or(rows::OTHER_ROW)?;
                let mut values = rows::key_values(key);
                values.extend(rows::row_values(key, row, revision.get())?);
                let checked = |check: &Check| check.key() == key;
                let is_absent = |check: &Check| {
                    matches!(check, Check::Revision { key: of, revision }
                        if of == key && *revision == Revision::ABSENT)
                };
                if let (RowKey::Membership(host, member), false) = (key, mirrored) {
                    let mut joined = joined_key(host, member);
                    joined.extend(values.iter().skip(table.key.len()).take(2).cloned());
                    self.puts.push(Put {
                        table: &JOINED,
                        blind: true,
                        is_new: commit.checks.iter().any(is_absent),
                        values: joined,
                    });
                }
                self.puts.push(Put {
                    table,
                    blind: !commit.checks.iter().any(checked),
                    is_new: commit.checks.iter().any(is_absent),
                    values,
                });
            }
            Write::Delete { key, .. } => {
                let table = table_of(key).ok_or(rows::OTHER_ROW)?;
                if let (RowKey::Membership(host, member), false) = (key, mirrored) {
                    self.deletes.push((&JOINED, joined_key(host, member)));
                }
                self.deletes.push((table, rows::key_values(key)));
            }
            Write::Erase {
                sequence,
                commit: of,
                event,
                mark,
                ..
            } => {
                let Home::Organization(host) = &commit.home else {
                    return Err(rows::NO_SUCH_EVENT);
                };
                self.erasures.push(vec![
                    Bucket::of(host).into(),
                    host.as_str().into(),
                    signed(sequence.commit)?.into(),
                    signed(sequence.ordinal)?.into(),
                    of.as_bytes().into(),
                    rows::json(&**event)?,
                    Value::Digest(*mark),
                ]);
            }
        }
        Ok(())
    }

    /// Whether it has to be looked at alone, with its rows locked before.
    pub(crate) fn is_alone(&self) -> bool {
        !self.counted.is_empty() || !self.erasures.is_empty()
    }

    /// What it writes, in the order of everybody.
    pub(crate) fn puts_in_order(&self) -> Vec<&Put> {
        in_order(&self.puts, |put| put.table, |put| &put.values)
    }

    /// What it deletes, in the order of everybody.
    pub(crate) fn deletes_in_order(&self) -> Vec<&(&'static Table, Vec<Value>)> {
        in_order(&self.deletes, |(table, _)| table, |(_, key)| key)
    }

    /// How many rows it changes that must all have been written. What is new has a key that sees to
    /// that.
    pub(crate) fn rows(&self) -> i64 {
        let changes = |put: &&Put| !put.blind && !put.is_new;
        i64::try_from(self.puts.iter().filter(changes).count()).unwrap_or(i64::MAX)
    }
}

/// By table, and in each by what it says there.
fn in_order<T>(
    all: &[T],
    table: impl Fn(&T) -> &'static Table,
    values: impl Fn(&T) -> &Vec<Value>,
) -> Vec<&T> {
    let mut sorted = Vec::with_capacity(all.len());
    for of in ORDER.iter().chain(COUNTERS).copied() {
        let mut some: Vec<&T> = all
            .iter()
            .filter(|one| core::ptr::eq(table(one), of))
            .collect();
        some.sort_by(|one, other| values(one).cmp(values(other)));
        sorted.extend(some);
    }
    sorted
}

/// One more or one less than whatever there is, never below zero.
fn step(put: &mut Option<i64>, counter: &mut Counter, by: i64) {
    if let Some(count) = put {
        *count = count.saturating_add(by).max(0);
    } else {
        counter.add = counter.add.saturating_add(by);
        counter.least = counter.least.saturating_add(by).max(0);
    }
}

impl Outcome {
    /// The answer for the commit that was planned.
    pub(crate) fn committed(self, commit: &Commit) -> Committed {
        let missed = match self {
            Self::Applied => return Committed::Applied,
            Self::Already(receipt) => return Committed::AlreadyApplied(receipt),
            Self::Missed(index) => index,
        };
        let takes = commit.writes.iter().filter_map(|write| match write {
            Write::Take { key, .. } => Some(key),
            Write::Put { .. } | Write::Delete { .. } | Write::Give { .. } | Write::Erase { .. } => {
                None
            }
        });
        let mut keys = commit.checks.iter().map(Check::key).chain(takes);
        let key = keys
            .nth(missed)
            .cloned()
            .unwrap_or_else(|| home_key(commit));
        Committed::Conflict { key }
    }
}

fn home_key(commit: &Commit) -> RowKey {
    match &commit.home {
        Home::Organization(org) => RowKey::Organization(org.clone()),
        Home::Name(name) => RowKey::Name(name.clone()),
        Home::Consumer(name) => RowKey::Consumer(name.clone()),
    }
}
