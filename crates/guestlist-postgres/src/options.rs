//! Where guestlist's tables are, and how they are used.

use guestlist_store::StoreError;

use crate::sql::Names;

/// The most partitions that a table may have.
pub const MAX_PARTITIONS: u16 = 16;

/// The longest name that PostgreSQL keeps whole.
const MAX_NAME: usize = 63;

/// An engine that speaks PostgreSQL.
///
/// What is sent to each is tested on PostgreSQL, which takes it, too; **none of the others has been
/// run**. `docs/scale.md` says how each is set up, what differs, and what only the engine can tell:
/// run the conformance suite of `guestlist-store` there before you rely on it.
///
/// It is said once for a database. One that moves from another engine goes on behind its log; let the
/// old one [place](crate::PgStore::place) what waits before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL itself, on one machine, with standbys or without.
    #[default]
    PostgreSql,
    /// PostgreSQL with Citus, the tables spread by [`citus_statements`](crate::citus_statements): a
    /// commit is a function that is delegated by bucket. Loads by name, or for another organization,
    /// still read two buckets in one statement, which Citus may not take.
    Citus,
    /// `CockroachDB`: tables without domains and functions.
    CockroachDb,
    /// `YugabyteDB`.
    YugabyteDb,
}

/// Where guestlist's tables are, and how they are used.
///
/// ```
/// use guestlist_postgres::PgOptions;
///
/// let options = PgOptions::new().schema("guestlist").partitions(16);
/// # let _ = options;
/// ```
///
/// **Backups.** A logical backup (`pg_dump`) can be restored into another cluster. Call
/// [`migrate`](crate::migrate) afterwards, or open the store as usual, before anything is written:
/// positions in the log are numbers of transactions, which begin anew there, and this puts what
/// comes behind what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, set by name"
)]
pub struct PgOptions {
    pub(crate) schema: Option<String>,
    pub(crate) migrations_table: String,
    pub(crate) partitions: u16,
    pub(crate) migrate: bool,
    pub(crate) together: bool,
    pub(crate) loads: bool,
    pub(crate) flushes: usize,
    pub(crate) mirrored: bool,
    pub(crate) one_bucket: bool,
    pub(crate) dialect: Dialect,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl PgOptions {
    /// What fits most: tables where the search path finds them, migrated when the store is opened,
    /// and commits and loads that wait at the same time sent together.
    pub fn new() -> Self {
        Self {
            schema: None,
            migrations_table: "guestlist_schema".to_owned(),
            partitions: 0,
            migrate: true,
            together: true,
            loads: true,
            flushes: 1,
            mirrored: false,
            one_bucket: false,
            dialect: Dialect::PostgreSql,
        }
    }

    /// The tables are in this schema, which is made if it is not there.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// What the table is called that says which steps of guestlist's schema were taken;
    /// `guestlist_schema` if nothing is said. It is in the same schema as the others.
    pub fn migrations_table(mut self, name: impl Into<String>) -> Self {
        self.migrations_table = name.into();
        self
    }

    /// Tables are made with this many partitions by hash of their bucket, at most
    /// [`MAX_PARTITIONS`]; zero, which is what there is if nothing is said: none. It matters when
    /// the tables are made; a store finds out by itself what it has been opened on.
    pub const fn partitions(mut self, number: u16) -> Self {
        self.partitions = number;
        self
    }

    /// Whether the tables are made or updated when the store is opened. If not, and they are
    /// missing or old, opening it fails.
    pub const fn migrate(mut self, yes: bool) -> Self {
        self.migrate = yes;
        self
    }

    /// Whether commits that wait at the same time are flushed together. If not, each is a
    /// statement of its own on a connection of its own.
    pub const fn flush_together(mut self, yes: bool) -> Self {
        self.together = yes;
        self
    }

    /// Whether rows that are asked for at the same time are looked up together, in one statement and
    /// at one instant, on a connection of their own. If not, or where each statement keeps to one
    /// bucket, each load is a statement of its own on a connection of the pool. So are always those
    /// of lists: access rules, counts, the tokens of a link.
    pub const fn load_together(mut self, yes: bool) -> Self {
        self.loads = yes;
        self
    }

    /// How many flushes may be under way at the same time; one if nothing is said, and at least one.
    /// Two wait for each other where they count on the same link.
    pub const fn flushes(mut self, number: usize) -> Self {
        self.flushes = if number == 0 { 1 } else { number };
        self
    }

    /// Whether the list of a member's memberships is not written with them, because it is on
    /// another machine, but [from the log](crate::PgStore::mirror).
    pub const fn mirror_from_log(mut self, yes: bool) -> Self {
        self.mirrored = yes || matches!(self.dialect, Dialect::Citus);
        self
    }

    /// Whether each statement keeps to one bucket and says so in one parameter, also where the
    /// tables have no partitions: for an engine that spreads them by bucket itself. Commits of
    /// different buckets are then not flushed as one statement. With partitions it is always so.
    ///
    /// ```
    /// use guestlist_postgres::PgOptions;
    ///
    /// let options = PgOptions::new().keep_to_one_bucket(true).mirror_from_log(true);
    /// # let _ = options;
    /// ```
    pub const fn keep_to_one_bucket(mut self, yes: bool) -> Self {
        self.one_bucket = yes || matches!(self.dialect, Dialect::Citus);
        self
    }

    /// What speaks PostgreSQL there; PostgreSQL itself if nothing is said. On Citus, what one
    /// statement touches is on one machine: this [keeps to one bucket](Self::keep_to_one_bucket) and
    /// [mirrors from the log](Self::mirror_from_log), whatever else is said. Each commit is a call of
    /// its own there, on a connection of the pool: none is [flushed](Self::flush_together) with
    /// others. The call is run where the bucket is, unless it is in a transaction of the application;
    /// then Citus runs it on the coordinator.
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        if matches!(dialect, Dialect::Citus) {
            self.one_bucket = true;
            self.mirrored = true;
        }
        self.dialect = dialect;
        self
    }

    pub(crate) fn names(&self, one_bucket: bool) -> Result<Names, StoreError> {
        let prefix = match &self.schema {
            Some(schema) => {
                check(schema, "the name of the schema")?;
                format!("{}.", quoted(schema))
            }
            None => String::new(),
        };
        check(
            &self.migrations_table,
            "the name of the table of migrations",
        )?;
        if self.partitions > MAX_PARTITIONS {
            return Err(StoreError::Misuse {
                what: "there are at most 16 partitions",
            });
        }
        Ok(Names {
            migrations: format!("{prefix}{}", quoted(&self.migrations_table)),
            prefix,
            one_bucket,
            planned_once: false,
            dialect: self.dialect,
        })
    }
}

fn check(name: &str, what: &'static str) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(StoreError::Misuse { what });
    }
    Ok(())
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
