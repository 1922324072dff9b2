//! Commits as statements: made where they come from, so that the one thread that writes only
//! binds and steps.

use guestlist_membership::{Home, Row, RowKey};
use guestlist_store::columns::{self, Value};
use guestlist_store::{Check, Commit, Committed, Receipt, StoreError, Write};

use crate::error::signed;
use crate::rows::{self, Call};

/// What a check must find.
#[derive(Debug)]
pub(crate) enum Expected {
    /// This revision or count; none counts as zero.
    Number(i64),
    /// A count below a bound, once the writes before it in the same commit are done.
    Below(Bound),
    /// These counts of pending and approved memberships.
    Seats { pending: i64, approved: i64 },
}

/// What a counter must be below when it is taken from.
#[derive(Debug)]
pub(crate) struct Bound {
    below: i64,
    /// The count that the same commit has put there before; `None`: the one that is stored.
    put: Option<i64>,
    /// What it has added and taken away since.
    steps: Vec<i64>,
}

impl Bound {
    fn of(key: &RowKey, below: u64, earlier: &[Write]) -> Self {
        let mut bound = Self {
            below: i64::try_from(below).unwrap_or(i64::MAX),
            put: None,
            steps: Vec::new(),
        };
        for write in earlier.iter().filter(|write| write.key() == key) {
            let put = match write {
                Write::Take { .. } => {
                    bound.steps.push(1);
                    continue;
                }
                Write::Give { .. } => {
                    bound.steps.push(-1);
                    continue;
                }
                Write::Put {
                    row: Row::Tally(count),
                    ..
                } => i64::try_from(*count).unwrap_or(i64::MAX),
                Write::Put { .. } | Write::Delete { .. } | Write::Erase { .. } => 0,
            };
            bound.put = Some(put);
            bound.steps.clear();
        }
        bound
    }

    pub(crate) fn holds(&self, stored: i64) -> bool {
        let start = self.put.unwrap_or(stored);
        let step = |count: i64, step: &i64| count.saturating_add(*step).max(0);
        self.steps.iter().fold(start, step) < self.below
    }
}

/// One commit.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The key of its receipt.
    pub(crate) receipt: Vec<Value>,
    /// Its checks, then the bounds of what it takes.
    pub(crate) checks: Vec<(Call, Expected)>,
    pub(crate) writes: Vec<Call>,
    /// What is erased from the log: the event, which must be there, and the answer kept with it.
    pub(crate) erasures: Vec<[Call; 2]>,
    /// The other columns of its receipt, if one is kept: when, by whom, digest, reply.
    pub(crate) kept: Option<Vec<Value>>,
    /// The columns of its events behind their place in the log.
    pub(crate) events: Vec<Vec<Value>>,
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
    pub(crate) fn all(commits: &[Commit]) -> Result<Vec<Self>, StoreError> {
        commits.iter().map(Self::of).collect()
    }

    fn of(commit: &Commit) -> Result<Self, StoreError> {
        if let (Home::Consumer(_), Some(_)) = (&commit.home, &commit.receipt) {
            return Err(StoreError::Malformed {
                what: "a receipt of a consumer",
            });
        }
        let mut receipt = columns::home_values(&commit.home);
        receipt.push(commit.id.as_bytes().into());
        let mut checks = Vec::with_capacity(commit.checks.len() + 2);
        for check in &commit.checks {
            checks.push(planned_check(check)?);
        }
        let mut writes = Vec::with_capacity(commit.writes.len());
        let mut erasures = Vec::new();
        for (index, write) in commit.writes.iter().enumerate() {
            writes.push(match write {
                Write::Erase {
                    sequence,
                    commit: of,
                    event,
                    mark,
                    ..
                } => {
                    erasures.push(rows::erase(&commit.home, *sequence, *of, event, *mark)?);
                    continue;
                }
                Write::Put {
                    key, row, revision, ..
                } => rows::put(key, row, revision.get())?,
                Write::Delete { key, .. } => rows::delete(key)?,
                Write::Take { key, below } => {
                    let bound = Bound::of(key, *below, &commit.writes[..index]);
                    checks.push((rows::number(key)?, Expected::Below(bound)));
                    rows::take(key)?
                }
                Write::Give { key } => rows::give(key)?,
            });
        }
        let by = columns::json(&commit.stamp.by)?;
        Ok(Self {
            receipt,
            checks,
            writes,
            erasures,
            events: columns::events(commit, &by)?,
            kept: commit.receipt.as_ref().map(|receipt| {
                vec![
                    commit.stamp.at.into(),
                    by,
                    Value::Digest(receipt.digest.0),
                    receipt.reply.as_str().into(),
                ]
            }),
        })
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

fn planned_check(check: &Check) -> Result<(Call, Expected), StoreError> {
    Ok(match check {
        Check::Revision { key, revision } => (
            rows::number(key)?,
            Expected::Number(signed(revision.get())?),
        ),
        Check::UseCount { key, count } => (rows::number(key)?, Expected::Number(signed(*count)?)),
        Check::SeatCount { key, count } => {
            let host = key.organization().ok_or(rows::NOT_COUNTED)?;
            (
                Call {
                    sql: rows::STATUS_COUNT,
                    values: columns::host_values(host),
                },
                Expected::Seats {
                    pending: signed(count.pending)?,
                    approved: signed(count.approved)?,
                },
            )
        }
    })
}
