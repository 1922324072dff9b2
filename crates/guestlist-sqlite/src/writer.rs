//! The thread that writes, and how commits that wait together are committed together.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use guestlist_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::apply::{apply_all, apply_guarded, execute};
use crate::error::{Failure, commit_error};
use crate::plan::{Outcome, Plan};
use crate::pool::lock;

/// How many commits go into one transaction at most.
const BATCH: usize = 256;

type Answer = Result<Vec<Outcome>, StoreError>;

/// The commits of one call and where its answer goes.
struct Request {
    plans: Vec<Plan>,
    answer: oneshot::Sender<Answer>,
}

/// The thread's other end. Dropping it ends the thread, once all that was sent is done.
pub(crate) struct Writer {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(connection: Arc<Mutex<Connection>>) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let thread = Builder::new()
            .name("guestlist-sqlite".to_owned())
            .spawn(move || run(&connection, &receiver))
            .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Self {
            requests: Some(sender),
            thread: Some(thread),
        })
    }

    pub(crate) async fn apply(&self, plans: Vec<Plan>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send(Request { plans, answer }).is_ok());
        if !sent {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Unknown(
                "the thread that writes has ended".into(),
            ))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It has no value to give; if it panicked, its callers have been told.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Mutex<Connection>, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut size = first.plans.len();
        let mut batch = vec![first];
        while size < BATCH
            && let Ok(request) = requests.try_recv()
        {
            size += request.plans.len();
            batch.push(request);
        }
        flush(&lock(connection), batch);
    }
}

fn flush(connection: &Connection, batch: Vec<Request>) {
    let done = match transact(connection, &batch, false) {
        // Somebody's statement failed. All over again, so that it takes nobody else down.
        Err(Undone::Applying(_)) if batch.len() > 1 => transact(connection, &batch, true),
        done => done,
    };
    match done {
        Ok(outcomes) => {
            for (request, outcome) in batch.into_iter().zip(outcomes) {
                // Nobody may be waiting for it any more.
                let _ = request.answer.send(outcome.map_err(StoreError::from));
            }
        }
        Err(undone) => {
            let mut batch = batch.into_iter();
            let first = batch.next();
            for request in batch {
                let _ = request.answer.send(Err(undone.for_another()));
            }
            if let Some(request) = first {
                let _ = request.answer.send(Err(undone.into_error()));
            }
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
    batch: &[Request],
    guarded: bool,
) -> Result<Vec<Result<Vec<Outcome>, Failure>>, Undone> {
    let apply = if guarded { apply_guarded } else { apply_all };
    execute(connection, "begin immediate", &[]).map_err(Undone::Beginning)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for request in batch {
        match apply(connection, &request.plans) {
            Err(failure) if !guarded || connection.is_autocommit() => {
                roll_back(connection);
                return Err(Undone::Applying(failure));
            }
            outcome => outcomes.push(outcome),
        }
    }
    let committed = connection
        .prepare_cached("commit")
        .and_then(|mut statement| statement.execute([]));
    if let Err(error) = committed {
        roll_back(connection);
        return Err(Undone::Committing(error));
    }
    Ok(outcomes)
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // If this failed, the next transaction could not begin, and would say so.
        let _ = execute(connection, "rollback", &[]);
    }
}
