//! The feed and the audit trail.

use guestlist_membership::{By, Event, Stamp};
use guestlist_store::columns::{Value, member_values, parse};
use guestlist_store::{Cursor, EventFilter, EventPage, Position, Recorded, Sequence};
use guestlist_types::{Bucket, CommitId, InviteId, LinkId, OrgId, Timestamp, UserId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow};

use crate::error::{Failure, OTHER_LIST, unsigned};
use crate::read::{damaged, id, organization, text};
use crate::value::bound;

macro_rules! select {
    ($from:literal, $where:literal) => {
        concat!(
            "select position, ordinal, commit_id, host, at, by, body, erased \
            from guestlist_events ",
            $from,
            " where ",
            $where,
            " (position, ordinal) > (?3, ?4) and (?5 is null or by_user = ?5) \
            and (?6 is null or name = ?6) \
            and (?7 is null or (member_kind = ?7 and member_id = ?8)) \
            and (?9 is null or link = ?9) \
            and (?10 is null or at >= ?10) and (?11 is null or at < ?11) \
            and (?12 is null or invite = ?12) \
            order by position, ordinal"
        )
    };
}

// The two parameters of the first go unused in the second, so that both are bound alike.
const OF_HOST: &str = select!(
    "indexed by guestlist_events_by_host",
    "bucket = ?1 and host = ?2 and"
);
const OF_ALL: &str = select!("", "?1 is null and ?2 is null and");

const LAST: &str = "select position, ordinal from guestlist_events \
    order by position desc, ordinal desc limit 1";

/// A stretch of the log; the connection is inside a transaction.
pub(crate) fn events(
    connection: &Connection,
    filter: &EventFilter,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<EventPage, Failure> {
    let start = filter.start(after).map_err(|_| OTHER_LIST)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut events: Vec<Recorded> = Vec::new();
    if limit > 0 {
        let mut statement = connection.prepare_cached(match filter.organization {
            Some(_) => OF_HOST,
            None => OF_ALL,
        })?;
        let mut found = statement.query(bound(&values(filter, start)))?;
        while events.len() < limit
            && let Some(row) = found.next()?
        {
            let recorded = decode(row)?;
            if filter.matches(&recorded) {
                events.push(recorded);
            }
        }
    }
    let seen = if events.len() < limit {
        // Nothing up to the end of the log is wanted: the next page begins there.
        last(connection)?.max(start)
    } else {
        events.last().map_or(start, |last| last.sequence)
    };
    let next = (seen != Sequence::default())
        .then(|| Cursor::new(filter.fingerprint(), &Position::Event(seen)));
    Ok(EventPage {
        events,
        next: next.or_else(|| after.cloned()),
    })
}

fn values(filter: &EventFilter, start: Sequence) -> Vec<Value> {
    let host = filter.organization.as_ref();
    let [kind, member] = filter
        .member
        .as_ref()
        .map_or([Value::Null, Value::Null], member_values);
    vec![
        host.map(Bucket::of).into(),
        host.map(OrgId::as_str).into(),
        i64::try_from(start.commit).unwrap_or(i64::MAX).into(),
        i64::try_from(start.ordinal).unwrap_or(i64::MAX).into(),
        filter.by.as_ref().map(UserId::as_str).into(),
        filter.name.as_deref().into(),
        kind,
        member,
        filter.link.as_ref().map(LinkId::as_bytes).into(),
        filter.from.into(),
        filter.until.into(),
        filter.invite.as_ref().map(InviteId::as_bytes).into(),
    ]
}

fn decode(row: &SqlRow<'_>) -> Result<Recorded, Failure> {
    let event: Event = parse(text(row, 6)?, "an event")?;
    let by: By = parse(text(row, 5)?, "an author")?;
    Ok(Recorded {
        sequence: sequence(row)?,
        commit: CommitId::from_bytes(id(row, 2)?),
        organization: organization(text(row, 3)?)?,
        stamp: Stamp {
            at: Timestamp::from_micros(row.get(4)?),
            by,
        },
        event,
        erased: mark(row)?,
    })
}

/// What is left of what was erased.
fn mark(row: &SqlRow<'_>) -> Result<Option<[u8; 32]>, Failure> {
    match row.get_ref(7)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => match bytes.try_into() {
            Ok(mark) => Ok(Some(mark)),
            Err(_) => Err(damaged("the mark of an erasure")),
        },
        _ => Err(damaged("the mark of an erasure")),
    }
}

fn last(connection: &Connection) -> Result<Sequence, Failure> {
    let place: Option<Result<Sequence, Failure>> = connection
        .prepare_cached(LAST)?
        .query_row([], |row| Ok(sequence(row)))
        .optional()?;
    place.transpose().map(Option::unwrap_or_default)
}

pub(crate) fn sequence(row: &SqlRow<'_>) -> Result<Sequence, Failure> {
    Ok(Sequence {
        commit: unsigned(row.get(0)?)?,
        ordinal: unsigned(row.get(1)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::migrate;

    #[test]
    fn the_log_is_read_off_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        for sql in [OF_HOST, OF_ALL] {
            let mut statement = connection
                .prepare(&format!("explain query plan {sql}"))
                .unwrap();
            let mut plan: Vec<String> = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get(3).unwrap());
            }
            assert_eq!(plan.len(), 1, "{plan:?}");
            assert!(
                plan[0].starts_with("SEARCH") && plan[0].contains('>'),
                "{plan:?}"
            );
        }
    }
}
