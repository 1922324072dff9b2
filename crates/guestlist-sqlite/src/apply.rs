//! Applying commits on a connection that is inside a transaction.

use guestlist_store::columns::Value;
use guestlist_store::{CommandDigest, Receipt, StoreError};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::Failure;
use crate::plan::{Expected, Outcome, Plan};
use crate::rows::{Call, NO_SUCH_EVENT};
use crate::value::bound;

const RECEIPT: &str = "select digest, reply from guestlist_commits \
    where bucket = ? and home_kind = ? and home = ? and commit_id = ?";
const PUT_RECEIPT: &str = "insert into guestlist_commits \
    (bucket, home_kind, home, commit_id, at, by, digest, reply, position) \
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)";
const LAST_POSITION: &str =
    "select position from guestlist_events order by position desc, ordinal desc limit 1";
const PUT_EVENT: &str = "insert into guestlist_events (position, ordinal, bucket, host, commit_id, \
    name, member_kind, member_id, link, invite, at, by_user, by, body, access_revision) \
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Applies what was sent in one call. After a failure the transaction, or the savepoint around
/// this, has to be rolled back.
pub(crate) fn apply_all(connection: &Connection, plans: &[Plan]) -> Result<Vec<Outcome>, Failure> {
    plans.iter().map(|plan| apply(connection, plan)).collect()
}

/// The same inside a savepoint: after a failure nothing of it stays, and the transaction around it
/// can go on, unless SQLite has ended it.
pub(crate) fn apply_guarded(
    connection: &Connection,
    plans: &[Plan],
) -> Result<Vec<Outcome>, Failure> {
    execute(connection, "savepoint guestlist_commit", &[])?;
    let applied = apply_all(connection, plans);
    if applied.is_err() && !connection.is_autocommit() {
        execute(connection, "rollback to guestlist_commit", &[])?;
    }
    if !connection.is_autocommit() {
        execute(connection, "release guestlist_commit", &[])?;
    }
    applied
}

fn apply(connection: &Connection, plan: &Plan) -> Result<Outcome, Failure> {
    if plan.kept.is_some()
        && let Some(receipt) = receipt(connection, &plan.receipt)?
    {
        return Ok(Outcome::Already(receipt));
    }
    for (index, (call, expected)) in plan.checks.iter().enumerate() {
        if !holds(connection, call, expected)? {
            return Ok(Outcome::Missed(index));
        }
    }
    for call in &plan.writes {
        execute(connection, call.sql, &call.values)?;
    }
    for [event, reply] in &plan.erasures {
        let changed = connection
            .prepare_cached(event.sql)?
            .execute(bound(&event.values))?;
        if changed != 1 {
            return Err(NO_SUCH_EVENT.into());
        }
        execute(connection, reply.sql, &reply.values)?;
    }
    let position = if plan.events.is_empty() {
        None
    } else {
        let last: Option<i64> = connection
            .prepare_cached(LAST_POSITION)?
            .query_row([], |row| row.get(0))
            .optional()?;
        Some(last.unwrap_or(0) + 1)
    };
    if let Some(kept) = &plan.kept {
        let behind = Value::from(position);
        let values = plan.receipt.iter().chain(kept).chain([&behind]);
        connection
            .prepare_cached(PUT_RECEIPT)?
            .execute(bound(values))?;
    }
    for (ordinal, event) in (0_u32..).zip(&plan.events) {
        let place = [Value::from(position), Value::from(ordinal)];
        connection
            .prepare_cached(PUT_EVENT)?
            .execute(bound(place.iter().chain(event)))?;
    }
    Ok(Outcome::Applied)
}

fn holds(connection: &Connection, call: &Call, expected: &Expected) -> Result<bool, Failure> {
    Ok(match expected {
        Expected::Number(number) => count(connection, call.sql, &call.values)? == *number,
        Expected::Below(bound) => bound.holds(count(connection, call.sql, &call.values)?),
        Expected::Seats { pending, approved } => {
            let with = |status| call.values.iter().chain([status]);
            let mut statement = connection.prepare_cached(call.sql)?;
            let mut counts = |status| -> rusqlite::Result<i64> {
                statement.query_row(bound(with(status)), |row| row.get(0))
            };
            counts(&Value::Name("pending"))? == *pending
                && counts(&Value::Name("approved"))? == *approved
        }
    })
}

/// The number that a statement finds; nothing counts as zero.
pub(crate) fn count(
    connection: &Connection,
    sql: &'static str,
    values: &[Value],
) -> Result<i64, Failure> {
    let found: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(bound(values), |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// What was kept of a commit.
pub(crate) fn receipt(connection: &Connection, key: &[Value]) -> Result<Option<Receipt>, Failure> {
    let mut statement = connection.prepare_cached(RECEIPT)?;
    let mut rows = statement.query(bound(key))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let corrupt = || StoreError::corrupt("a receipt");
    let digest = match row.get_ref(0)? {
        ValueRef::Blob(bytes) => <[u8; 32]>::try_from(bytes).map_err(|_| corrupt())?,
        _ => return Err(corrupt().into()),
    };
    Ok(Some(Receipt {
        digest: CommandDigest(digest),
        reply: row.get(1)?,
    }))
}

pub(crate) fn execute(
    connection: &Connection,
    sql: &'static str,
    values: &[Value],
) -> Result<(), Failure> {
    connection.prepare_cached(sql)?.execute(bound(values))?;
    Ok(())
}
