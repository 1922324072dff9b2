//! Connections that read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use guestlist_store::StoreError;
use rusqlite::Connection;

use crate::apply::execute;
use crate::error::Failure;

type Opener = Box<dyn Fn() -> Result<Connection, StoreError> + Send + Sync>;

/// What reads go through.
pub(crate) enum Readers {
    /// The connection that writes, in turns with it.
    Shared(Arc<Mutex<Connection>>),
    /// Connections of their own.
    Pool(Pool),
}

pub(crate) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
    open: Opener,
}

struct State {
    idle: Vec<Connection>,
    /// How many more may be opened.
    left: usize,
}

impl Readers {
    /// At most `number` connections, of which one is open already.
    pub(crate) fn pool(first: Connection, number: usize, open: Opener) -> Self {
        Self::Pool(Pool {
            state: Mutex::new(State {
                idle: vec![first],
                left: number.saturating_sub(1),
            }),
            returned: Condvar::new(),
            open,
        })
    }

    /// Reads, all as it is at one instant.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let read = |connection: &Connection| -> Result<T, Failure> {
            let transaction = ReadTransaction::begin(connection)?;
            let value = read(connection)?;
            drop(transaction);
            Ok(value)
        };
        match self {
            Self::Shared(connection) => Ok(read(&lock(connection))?),
            Self::Pool(pool) => {
                let lent = pool.take()?;
                let connection = lent.connection.as_ref();
                Ok(read(connection.ok_or_else(closed)?)?)
            }
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the connection is closed".into())
}

impl Pool {
    fn take(&self) -> Result<Lent<'_>, StoreError> {
        let mut state = lock(&self.state);
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(Lent {
                    pool: self,
                    connection: Some(connection),
                });
            }
            if state.left > 0 {
                state.left -= 1;
                drop(state);
                return match (self.open)() {
                    Ok(connection) => Ok(Lent {
                        pool: self,
                        connection: Some(connection),
                    }),
                    Err(error) => {
                        lock(&self.state).left += 1;
                        self.returned.notify_one();
                        Err(error)
                    }
                };
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection out of the pool, which it goes back to.
struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        lock(&self.pool.state).idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}

/// Ends with the scope, also when something in it panics.
pub(crate) struct ReadTransaction<'a>(&'a Connection);

impl<'a> ReadTransaction<'a> {
    pub(crate) fn begin(connection: &'a Connection) -> Result<Self, Failure> {
        execute(connection, "begin", &[])?;
        Ok(Self(connection))
    }
}

impl Drop for ReadTransaction<'_> {
    fn drop(&mut self) {
        // Nothing was written, so there is nothing to lose. If this failed, so would the next
        // begin.
        let _ = execute(self.0, "rollback", &[]);
    }
}

/// What a lock guards is whole between any two statements, so a poisoned one is used all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
