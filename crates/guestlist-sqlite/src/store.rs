//! The store that owns its connections.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use async_trait::async_trait;
use guestlist_store::{
    Capabilities, Commit, Committed, Cursor, EventFilter, EventPage, Listed, Load, Page, Query,
    Snapshot, Store, StoreError,
};
use guestlist_types::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::store_error;
use crate::plan::Plan;
use crate::pool::Readers;
use crate::writer::Writer;
use crate::{events, list, read, schema};

/// A [`Store`] in an SQLite database. Clones share it; the last one to go ends its thread and
/// waits until everything that was sent to it is on the disk.
///
/// Writes go to one thread, which applies everything that waits in one transaction; each call has
/// its own outcome, and a refused one takes no other down. Dropping the future of a call drops
/// only its answer: the commit is applied all the same, once it was sent.
///
/// Reads run on the thread that polls them, on a connection from a small pool, and take some
/// microseconds. They don't wait for writes. Nothing is awaited while a connection is in use; if
/// all are, the thread waits for one.
///
/// The database is in WAL mode, so its folder must be on a local disk. Several processes can use
/// it at the same time.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    // Before the readers, so that it is dropped before them: the last connection to a file tidies
    // up, and only once everything is written.
    writer: Writer,
    readers: Readers,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Path(PathBuf),
    Memory,
}

/// How a [`SqliteStore`] is opened.
#[derive(Debug, Clone)]
#[must_use = "nothing is opened until `open`"]
pub struct SqliteBuilder {
    place: Place,
    busy_timeout: Duration,
    readers: usize,
}

impl SqliteStore {
    /// Opens the database at this path, and makes it and guestlist's tables if they are not there.
    ///
    /// Blocks on the disk: call it when the application starts.
    ///
    /// # Errors
    ///
    /// As [`SqliteBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().path(path).open()
    }

    /// The file that the database is in, as it was opened; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.inner.place {
            Place::Path(path) => Some(path),
            Place::Memory => None,
        }
    }

    /// A database to be opened with other settings; in memory, unless a path is given.
    pub const fn builder() -> SqliteBuilder {
        SqliteBuilder {
            place: Place::Memory,
            busy_timeout: Duration::from_secs(5),
            readers: 4,
        }
    }
}

impl SqliteBuilder {
    /// The database is in this file. As SQLite has it, a path that begins with `file:` is a URI.
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.place = Place::Path(path.as_ref().to_owned());
        self
    }

    /// The database is in memory and gone with the last clone of the store; for tests. Reads and
    /// writes take turns.
    pub fn in_memory(mut self) -> Self {
        self.place = Place::Memory;
        self
    }

    /// How long to wait for other programs that write to the file before a call fails with
    /// [`StoreError::Retryable`]; five seconds if nothing is said.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many connections read at the same time; four if nothing is said, at least one.
    pub const fn readers(mut self, number: usize) -> Self {
        self.readers = if number == 0 { 1 } else { number };
        self
    }

    /// Opens the database, and makes it and guestlist's tables if they are not there.
    ///
    /// # Errors
    ///
    /// Those of [`migrate`](crate::migrate). Nothing was changed then.
    pub fn open(self) -> Result<SqliteStore, StoreError> {
        let writer = Arc::new(Mutex::new(self.connect_writer()?));
        let readers = match self.place {
            Place::Memory => Readers::Shared(Arc::clone(&writer)),
            Place::Path(_) => {
                let first = self.connect_reader()?;
                let opener = self.clone();
                Readers::pool(
                    first,
                    self.readers,
                    Box::new(move || opener.connect_reader()),
                )
            }
        };
        let writer = Writer::start(writer)?;
        Ok(SqliteStore {
            inner: Arc::new(Inner {
                writer,
                readers,
                place: self.place,
            }),
        })
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, StoreError> {
        let connection = match &self.place {
            Place::Path(path) => Connection::open_with_flags(path, flags),
            Place::Memory => Connection::open_in_memory(),
        }
        .map_err(store_error)?;
        connection
            .busy_timeout(self.busy_timeout)
            .and_then(|()| {
                connection.set_prepared_statement_cache_capacity(256);
                connection.execute_batch("pragma synchronous = full; pragma foreign_keys = on")
            })
            .map_err(store_error)?;
        Ok(connection)
    }

    fn connect_writer(&self) -> Result<Connection, StoreError> {
        let connection = self.connect(OpenFlags::default())?;
        if let Place::Path(_) = self.place {
            // Looked at before anything is changed: it may be none of our business.
            schema::missing(&connection)?;
            self.use_wal(&connection)?;
        }
        schema::migrate(&connection)?;
        Ok(connection)
    }

    fn connect_reader(&self) -> Result<Connection, StoreError> {
        // A file that has gone meanwhile is not made again.
        let mut flags = OpenFlags::default();
        flags.remove(OpenFlags::SQLITE_OPEN_CREATE);
        let connection = self.connect(flags)?;
        connection
            .execute_batch("pragma query_only = on")
            .map_err(store_error)?;
        Ok(connection)
    }

    /// Several processes that make one database at the same time can find it locked without
    /// SQLite waiting, so the waiting is done here.
    fn use_wal(&self, connection: &Connection) -> Result<(), StoreError> {
        const STEP: Duration = Duration::from_millis(2);
        let mut left = self.busy_timeout;
        loop {
            let mode = connection.query_row("pragma journal_mode = wal", [], |row| {
                row.get::<_, String>(0)
            });
            match mode {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(_) => {
                    return Err(StoreError::Unavailable(
                        "this file can't be used in WAL mode".into(),
                    ));
                }
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && left > Duration::ZERO =>
                {
                    left = left.saturating_sub(STEP);
                    thread::sleep(STEP);
                }
                Err(error) => return Err(store_error(error)),
            }
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        self.inner
            .readers
            .read(|connection| read::load(connection, load))
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.inner.writer.apply(Plan::all(commits)?).await?;
        Ok(outcomes
            .into_iter()
            .zip(commits)
            .map(|(outcome, commit)| outcome.committed(commit))
            .collect())
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        self.inner
            .readers
            .read(|connection| list::list(connection, query, page, now))
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        self.inner
            .readers
            .read(|connection| events::events(connection, filter, after, limit))
    }

    fn capabilities(&self) -> Capabilities {
        match self.inner.place {
            Place::Path(_) => Capabilities::immediate(true, true),
            Place::Memory => Capabilities::immediate(false, false),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::FromSql;

    use super::*;

    fn pragma<T: FromSql>(connection: &Connection, name: &str) -> T {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    }

    /// What SQLite calls `full`: a commit is on the disk before it is answered.
    const FULL: i64 = 2;

    #[test]
    fn what_is_written_is_on_the_disk_before_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let builder = SqliteStore::builder().path(folder.path().join("store.db"));
        let writer = builder.connect_writer().unwrap();
        assert_eq!(pragma::<String>(&writer, "journal_mode"), "wal");
        assert_eq!(pragma::<i64>(&writer, "synchronous"), FULL);
        assert_eq!(pragma::<i64>(&writer, "foreign_keys"), 1);
        assert_eq!(pragma::<i64>(&writer, "query_only"), 0);
        // Whoever closes the file last moves what was written into it, and that may be a reader.
        let reader = builder.connect_reader().unwrap();
        assert_eq!(pragma::<String>(&reader, "journal_mode"), "wal");
        assert_eq!(pragma::<i64>(&reader, "synchronous"), FULL);
        assert_eq!(pragma::<i64>(&reader, "query_only"), 1);
    }
}
