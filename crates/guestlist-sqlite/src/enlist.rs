//! Commands inside a transaction of the host application.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use async_trait::async_trait;
use guestlist_store::{
    Capabilities, Commit, Committed, Cursor, EventFilter, EventPage, Listed, Load, Page, Query,
    Snapshot, Store, StoreError,
};
use guestlist_types::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::apply::apply_guarded;
use crate::error::Failure;
use crate::plan::Plan;
use crate::pool::lock;
use crate::read::OwnedLoad;
use crate::{events, list, schema};

/// Runs a future with a store that works inside the transaction that is open on `connection`, and
/// gives its value.
///
/// Commands that the future performs on the store read and write as part of that transaction: they
/// are applied if the host application commits it, together with everything else in it, and gone
/// if it rolls back. The store never begins, commits or retries. A commit that is refused writes
/// nothing and leaves the transaction as usable as it was.
///
/// The future runs on the calling thread until it is done. It may wait for other things; whatever
/// is sent to the store, from any thread, is executed here meanwhile. Calls to the store after
/// this has returned are answered with [`StoreError::Misuse`], and so are all calls if no
/// transaction is open or the tables are missing (see [`migrate`](crate::migrate)).
///
/// Some twenty statements are prepared for a command: give the connection a
/// [cache](Connection::set_prepared_statement_cache_capacity) of 64 or more.
///
/// ```
/// use guestlist_membership::{Fact, Home, Row, RowKey, Scope};
/// use guestlist_sqlite::{enlist, migrate};
/// use guestlist_store::{Load, Store as _};
/// use guestlist_types::OrgId;
/// use rusqlite::{Connection, params};
///
/// let mut connection = Connection::open_in_memory()?;
/// connection.execute_batch("create table orders (id integer primary key, buyer text)")?;
/// migrate(&connection)?;
///
/// let transaction = connection.transaction()?;
/// transaction.execute("insert into orders (buyer) values (?)", params!["org_1"])?;
/// let found = enlist(&transaction, |store| async move {
///     // Here: `guestlist.on(store)`, and a command on it.
///     let scope = Scope::of(OrgId::parse("org_1").unwrap(), vec![Fact::Organization]);
///     let snapshot = store.load(&Load::of(&scope)).await?;
///     Ok::<_, guestlist_store::StoreError>(snapshot.records().iter().count())
/// })?;
/// assert_eq!(found, 0);
/// // Both or nothing:
/// transaction.commit()?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub fn enlist<T, F>(connection: &Connection, run: impl FnOnce(Enlisted) -> F) -> T
where
    F: Future<Output = T>,
{
    let signal = Arc::new(Signal {
        raised: AtomicBool::new(false),
        thread: thread::current(),
    });
    let queue = Arc::new(Queue {
        jobs: Mutex::new(Some(VecDeque::new())),
        signal: Arc::clone(&signal),
    });
    // Whatever happens, nobody waits for a loop that is gone.
    let _closing = Closing(&queue);
    let mut future = pin!(run(Enlisted {
        queue: Arc::clone(&queue),
    }));
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    let mut checked = false;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        let mut worked = false;
        while let Some(job) = queue.pop() {
            worked = true;
            job(ready(connection, &mut checked));
        }
        if !worked {
            signal.wait();
        }
    }
}

/// The store that [`enlist`] hands out. Clones are the same.
#[derive(Debug, Clone)]
pub struct Enlisted {
    queue: Arc<Queue>,
}

/// Work for the loop, which gives it the connection or says why it can't be used.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

struct Queue {
    /// `None` once the loop is gone.
    jobs: Mutex<Option<VecDeque<Job>>>,
    signal: Arc<Signal>,
}

/// Wakes the loop. The flag is what counts: other code on its thread may park there, too.
struct Signal {
    raised: AtomicBool,
    thread: Thread,
}

struct Closing<'a>(&'a Queue);

/// Whether the connection can be used now. The tables are looked at once.
fn ready<'a>(connection: &'a Connection, checked: &mut bool) -> Result<&'a Connection, StoreError> {
    if connection.is_autocommit() {
        return Err(StoreError::Misuse {
            what: "no transaction is open on the connection",
        });
    }
    if !*checked {
        schema::check_current(connection)?;
        *checked = true;
    }
    Ok(connection)
}

const OVER: StoreError = StoreError::Misuse {
    what: "the transaction that this store was enlisted in is over",
};

impl Enlisted {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Box::new(move |connection| {
            let done = connection.and_then(|connection| Ok(work(connection)?));
            // Nobody may be waiting for it any more.
            let _ = answer.send(done);
        }))?;
        answered.await.unwrap_or(Err(OVER))
    }
}

#[async_trait]
impl Store for Enlisted {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        let load = OwnedLoad::of(load);
        self.run(move |connection| load.load(connection)).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let plans = Plan::all(commits)?;
        let outcomes = self
            .run(move |connection| apply_guarded(connection, &plans))
            .await?;
        Ok(outcomes
            .into_iter()
            .zip(commits)
            .map(|(outcome, commit)| outcome.committed(commit))
            .collect())
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let (query, page) = (query.clone(), page.clone());
        self.run(move |connection| list::list(connection, &query, &page, now))
            .await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.run(move |connection| events::events(connection, &filter, after.as_ref(), limit))
            .await
    }

    /// Nothing is durable, or there for anybody else, until the host application commits.
    fn capabilities(&self) -> Capabilities {
        Capabilities::immediate(false, false)
    }
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), StoreError> {
        lock(&self.jobs).as_mut().ok_or(OVER)?.push_back(job);
        self.signal.raise();
        Ok(())
    }

    fn pop(&self) -> Option<Job> {
        lock(&self.jobs).as_mut()?.pop_front()
    }
}

impl core::fmt::Debug for Queue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queue")
            .field("open", &lock(&self.jobs).is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // Dropped outside of the lock: their senders wake whoever waits.
        let jobs = lock(&self.0.jobs).take();
        drop(jobs);
    }
}

impl Signal {
    fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn wait(&self) {
        while !self.raised.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}
