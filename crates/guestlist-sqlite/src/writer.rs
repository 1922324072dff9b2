//! The thread that writes, and how the commits of several calls go into one transaction.

use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread::{Builder, JoinHandle};

use guestlist_store::{Flush, StoreError, Together, Worker};
use rusqlite::Connection;

use crate::apply::{apply_all, apply_guarded, execute};
use crate::error::{Failure, commit_error};
use crate::plan::{Outcome, Plan};
use crate::pool::lock;

/// How many commits go into one transaction at most.
const BATCH: usize = 256;

/// Everybody's way to the thread. Dropping it ends the thread, once all that was sent is done.
pub(crate) struct Writer {
    // Before the thread, which ends when this is gone and no worker has it any more.
    together: Together<Transactions>,
    _thread: Joined,
}

impl Writer {
    pub(crate) fn start(connection: Arc<Mutex<Connection>>) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let thread = Builder::new()
            .name("guestlist-sqlite".to_owned())
            .spawn(move || receiver.into_iter().for_each(run))
            .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let start = move |worker| {
            let sent = sender.send(worker);
            sent.map_err(|_| "the thread that writes has ended".into())
        };
        Ok(Self {
            together: Together::new(Transactions(connection), 1, BATCH, start),
            _thread: Joined(Some(thread)),
        })
    }

    pub(crate) async fn apply(&self, plans: Vec<Plan>) -> Result<Vec<Outcome>, StoreError> {
        self.together.commit(plans).await
    }
}

struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // It has no value to give; if it panicked, its callers have been told.
            let _ = thread.join();
        }
    }
}

fn run(worker: Worker) {
    // Transactions never wait, so there is nothing to be woken for.
    let _ = pin!(worker).poll(&mut Context::from_waker(Waker::noop()));
}

/// Each flush is a transaction.
struct Transactions(Arc<Mutex<Connection>>);

impl Flush for Transactions {
    type Item = Plan;
    type Outcome = Outcome;

    async fn flush(&self, batch: Vec<Vec<Plan>>) -> Vec<Result<Vec<Outcome>, StoreError>> {
        flush(&lock(&self.0), &batch)
    }
}

fn flush(connection: &Connection, batch: &[Vec<Plan>]) -> Vec<Result<Vec<Outcome>, StoreError>> {
    let done = match transact(connection, batch, false) {
        // Somebody's statement failed. All over again, so that it takes nobody else down.
        Err(Undone::Applying(_)) if batch.len() > 1 => transact(connection, batch, true),
        done => done,
    };
    match done {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(StoreError::from))
            .collect(),
        Err(undone) => {
            let others = batch.iter().skip(1).map(|_| Err(undone.for_another()));
            let mut answers: Vec<_> = others.collect();
            answers.push(Err(undone.into_error()));
            answers
        }
    }
}

/// Why a transaction came to nothing.
enum Undone {
    Beginning(Failure),
    Applying(Failure),
    Committing(rusqlite::Error),
}

impl Undone {
    /// For one of the calls that it concerns.
    fn into_error(self) -> StoreError {
        match self {
            Self::Beginning(failure) | Self::Applying(failure) => failure.into(),
            Self::Committing(error) => commit_error(&error),
        }
    }

    /// For each of the others.
    fn for_another(&self) -> StoreError {
        match self {
            Self::Beginning(failure) | Self::Applying(failure) => failure.for_another(),
            Self::Committing(error) => commit_error(error),
        }
    }
}

/// One transaction with all of a batch. Without guards the first failure ends it; with guards only
/// one that SQLite has ended it for.
fn transact(
    connection: &Connection,
    batch: &[Vec<Plan>],
    guarded: bool,
) -> Result<Vec<Result<Vec<Outcome>, Failure>>, Undone> {
    let apply = if guarded { apply_guarded } else { apply_all };
    let transaction = Transaction::begin(connection).map_err(Undone::Beginning)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for plans in batch {
        match apply(connection, plans) {
            Err(failure) if !guarded || connection.is_autocommit() => {
                return Err(Undone::Applying(failure));
            }
            outcome => outcomes.push(outcome),
        }
    }
    transaction.commit().map_err(Undone::Committing)?;
    Ok(outcomes)
}

/// An open transaction. Dropping it rolls back, also while panicking: the connection is used on.
struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    fn begin(connection: &'a Connection) -> Result<Self, Failure> {
        execute(connection, "begin immediate", &[])?;
        Ok(Self(connection))
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("commit")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If this failed, the next transaction could not begin, and would say so.
            let _ = execute(self.0, "rollback", &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_leaves_no_transaction_open() {
        let connection = Connection::open_in_memory().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _transaction = Transaction::begin(&connection).unwrap();
            assert!(connection.is_autocommit(), "injected");
        }));
        assert!(panicked.is_err());
        assert!(connection.is_autocommit());
        Transaction::begin(&connection).unwrap().commit().unwrap();
    }
}
