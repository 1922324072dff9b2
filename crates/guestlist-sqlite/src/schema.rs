//! The tables, and how a database gets them.

use guestlist_store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{Failure, store_error};
use crate::pool::ReadTransaction;

/// Every version of the schema as a step from the one before. A step that was released never
/// changes: databases remember the checksum of each that they took.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
];

/// The version of the schema that this library makes and knows.
#[expect(
    clippy::cast_possible_wrap,
    reason = "there are a few migrations, not 2^63"
)]
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

const TABLE: &str = "create table guestlist_schema (
    version integer primary key check (version >= 1),
    checksum integer not null
) strict";

/// Makes or updates guestlist's tables in the main database of `connection`.
///
/// [`SqliteStore`](crate::SqliteStore) does this by itself. Call it for a connection of your own,
/// whose transactions are to be [enlisted](crate::enlist). All names begin with `guestlist_`; the
/// application's own tables, `user_version` and `application_id` are left alone. It may be called
/// at any time and from several processes at once: it takes the write lock only if there is
/// something to do, waiting for it as long as the connection's busy timeout says. Inside an open
/// transaction it is part of that transaction.
///
/// # Errors
///
/// [`StoreError::NewerSchema`] if a newer guestlist made the tables, [`StoreError::Foreign`] if
/// the tables or the file are another program's, [`StoreError::ReadOnly`] or
/// [`StoreError::Unavailable`] if the file can't be written, [`StoreError::Retryable`] if it stayed
/// locked, [`StoreError::Full`] if there is no space. Nothing was changed then.
pub fn migrate(connection: &Connection) -> Result<(), StoreError> {
    if missing(connection)? == 0 {
        return Ok(());
    }
    let (begin, end, undo) = if connection.is_autocommit() {
        ("begin immediate", "commit", "rollback")
    } else {
        (
            "savepoint guestlist_migrate",
            "release guestlist_migrate",
            "rollback to guestlist_migrate; release guestlist_migrate",
        )
    };
    connection.execute_batch(begin).map_err(store_error)?;
    let done =
        take_steps(connection).and_then(|()| connection.execute_batch(end).map_err(store_error));
    if done.is_err() && !connection.is_autocommit() {
        // The first error says what was wrong; SQLite may have rolled back already.
        let _ = connection.execute_batch(undo);
    }
    done
}

fn take_steps(connection: &Connection) -> Result<(), StoreError> {
    // Looked at again under the write lock: another process may have been faster.
    let missing = missing(connection)?;
    if missing == MIGRATIONS.len() && !has_table(connection, "guestlist_schema")? {
        connection.execute_batch(TABLE).map_err(store_error)?;
    }
    let taken = MIGRATIONS.len() - missing;
    for (version, sql) in (1_i64..).zip(MIGRATIONS).skip(taken) {
        connection.execute_batch(sql).map_err(store_error)?;
        connection
            .execute(
                "insert into guestlist_schema (version, checksum) values (?, ?)",
                params![version, checksum(sql)],
            )
            .map_err(store_error)?;
    }
    Ok(())
}

/// How many steps a database has not taken yet, or why it can't take them. Changes nothing.
pub(crate) fn missing(connection: &Connection) -> Result<usize, StoreError> {
    // All as it is at one instant: another process may be about to take them.
    let _reading = if connection.is_autocommit() {
        Some(ReadTransaction::begin(connection)?)
    } else {
        None
    };
    if !has_table(connection, "guestlist_schema")? {
        let other: Option<String> = connection
            .prepare_cached(
                "select name from sqlite_master where name glob 'guestlist_*' and type = 'table'",
            )
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
            .map_err(store_error)?;
        return match other {
            None => Ok(MIGRATIONS.len()),
            Some(name) => Err(StoreError::Foreign {
                what: format!("there is a table `{name}` that guestlist has not made"),
            }),
        };
    }
    let steps = steps(connection).map_err(|failure| match StoreError::from(failure) {
        StoreError::Fatal(source) => StoreError::Foreign {
            what: format!("`guestlist_schema` is another table: {source}"),
        },
        other => other,
    })?;
    let newest = steps.last().map_or(0, |(version, _)| *version);
    if newest > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema {
            found: newest,
            known: SCHEMA_VERSION,
        });
    }
    for (expected, (version, sum)) in (1_i64..).zip(&steps) {
        let known = usize::try_from(expected - 1)
            .ok()
            .and_then(|index| MIGRATIONS.get(index));
        if *version != expected || known.is_none_or(|sql| checksum(sql) != *sum) {
            return Err(StoreError::Foreign {
                what: format!("step {version} of its schema is not the one that guestlist knows"),
            });
        }
    }
    Ok(MIGRATIONS.len() - steps.len())
}

fn steps(connection: &Connection) -> Result<Vec<(i64, i64)>, Failure> {
    let mut statement = connection
        .prepare_cached("select version, checksum from guestlist_schema order by version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("select 1 from sqlite_master where type = 'table' and name = ?")
        .and_then(|mut statement| statement.exists([name]))
        .map_err(store_error)
}

/// Whether a connection's tables are those that this library works with.
pub(crate) fn check_current(connection: &Connection) -> Result<(), StoreError> {
    if missing(connection)? == 0 {
        return Ok(());
    }
    Err(StoreError::Misuse {
        what: "the tables of guestlist are missing or old: call `migrate` first",
    })
}

/// Without carriage returns, which some checkouts add.
fn checksum(sql: &str) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for part in sql.split('\r') {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_migrations_are_pinned() {
        // A new line here for a new step; a line that changes breaks every database there is.
        let sums: Vec<i64> = MIGRATIONS.iter().map(|sql| checksum(sql)).collect();
        assert_eq!(sums, [3_934_916_193, 2_946_876_765, 1_076_186_041]);
    }
}
