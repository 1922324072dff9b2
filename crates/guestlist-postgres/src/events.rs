//! The feed and the audit trail.

use guestlist_membership::{By, Event, Stamp};
use guestlist_store::{Cursor, EventFilter, EventPage, Position, Recorded, Sequence, StoreError};
use guestlist_types::{Bucket, CommitId, InviteId, LinkId, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::{During, OTHER_LIST, signed, store_error};
use crate::flush::fetch;
use crate::list::{get, sequence};
use crate::read::{id, is_null, organization, text};
use crate::rows::parse;
use crate::sql::{Names, Scope, Sql};
use crate::value::{Kind, Value, member_values};

/// How many rows are read at once at most.
const MOST: usize = 4096;

/// A stretch of the log.
///
/// Positions are numbers of transactions, and one with a lower number may end later than one with
/// a higher number. So the log is read up to the oldest that is under way: nothing can come to
/// stand before that any more. Where [places are given later](crate::place), up to the last that is
/// shown.
pub(crate) async fn events(
    connection: &mut PgConnection,
    names: &Names,
    filter: &EventFilter,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<EventPage, StoreError> {
    let start = filter.start(after).map_err(|_| OTHER_LIST)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut events: Vec<Recorded> = Vec::new();
    let mut seen = start;
    // The end of the log of one organization, while that has one: it is where the rows are.
    let mut end_of_all = filter.organization.is_none();
    while events.len() < limit {
        let chunk = (limit - events.len()).min(MOST);
        let sql = statement(names, filter, seen, chunk, end_of_all)?;
        let found = fetch(connection, sql)
            .await
            .map_err(|error| store_error(error, During::Reading))?;
        let mut end = None;
        let mut rows = 0;
        for row in &found {
            if is_null(row, 2)? {
                // The last row is no event: it says how far the log goes.
                end = Some(sequence(row, 0)?);
                continue;
            }
            rows += 1;
            let recorded = decode(row)?;
            seen = recorded.sequence;
            if filter.matches(&recorded) {
                events.push(recorded);
            }
        }
        if !end_of_all && end.is_none() && seen == Sequence::default() {
            end_of_all = true;
            continue;
        }
        if rows < chunk {
            // Nothing up to the end of the log is wanted: the next page begins there.
            if events.len() < limit {
                seen = seen.max(end.unwrap_or_default());
            }
            break;
        }
    }
    let next = (seen != Sequence::default())
        .then(|| Cursor::new(filter.fingerprint(), &Position::Event(seen)));
    Ok(EventPage {
        events,
        next: next.or_else(|| after.cloned()),
    })
}

/// The events, and behind them the last one of the log, whatever it is: the last one of the
/// organization that is asked about, unless the end of all is wanted.
pub(crate) fn statement<'a>(
    names: &'a Names,
    filter: &EventFilter,
    start: Sequence,
    rows: usize,
    end_of_all: bool,
) -> Result<Sql<'a>, StoreError> {
    let bucket = filter.organization.as_ref().map(Bucket::of);
    let mut sql = Sql::new(names, bucket.map(|bucket| bucket.get().into()));
    let prefix = &names.prefix;
    let horizon = "(select horizon from seen)";
    sql.add("with seen as materialized (select ");
    sql.add(if names.places_later() {
        "shown + 1"
    } else {
        "pg_snapshot_xmin(pg_current_snapshot())::text::int8 + added"
    });
    sql.add(" as horizon from ").add(prefix);
    sql.add(if names.places_later() {
        "guestlist_places"
    } else {
        "guestlist_epoch"
    });
    sql.add("), page as (select position, ordinal, commit_id, host, at, by, body::text as body, erased from ");
    sql.add(prefix)
        .add("guestlist_events where position < ")
        .add(horizon);
    sql.add(" and (position, ordinal) > (");
    sql.value(Kind::Big, &signed(start.commit)?.into())
        .add(", ");
    sql.value(
        Kind::Big,
        &Value::Int(i64::try_from(start.ordinal).unwrap_or(i64::MAX)),
    )
    .add(")");
    let mut of_host = String::new();
    if let (Some(host), Some(bucket)) = (&filter.organization, bucket) {
        let bucket = if sql.scope == Scope::One {
            1
        } else {
            sql.bind(Kind::Int, &bucket.into())
        };
        let host = sql.bind(Kind::Text, &host.as_str().into());
        of_host = format!(" and bucket = ${bucket}::int4 and host = ${host}::text");
        sql.add(&of_host);
    }
    let [kind, member] = filter
        .member
        .as_ref()
        .map_or([Value::Null, Value::Null], member_values);
    for (condition, of, value) in [
        (
            " and by_user = ",
            Kind::Text,
            Value::from(filter.by.as_ref().map(AsRef::<str>::as_ref)),
        ),
        (" and name = ", Kind::Text, filter.name.as_deref().into()),
        (" and member_kind = ", Kind::Text, kind),
        (" and member_id = ", Kind::Text, member),
        (
            " and link = ",
            Kind::Uuid,
            filter.link.as_ref().map(LinkId::as_bytes).into(),
        ),
        (
            " and invite = ",
            Kind::Uuid,
            filter.invite.as_ref().map(InviteId::as_bytes).into(),
        ),
        (" and at >= ", Kind::Big, filter.from.into()),
        (" and at < ", Kind::Big, filter.until.into()),
    ] {
        if value != Value::Null {
            sql.add(condition).value(of, &value);
        }
    }
    let rows = Value::Int(i64::try_from(rows).unwrap_or(i64::MAX));
    sql.add(" order by position, ordinal limit ")
        .value(Kind::Big, &rows);
    sql.add(
        ") select position, ordinal, commit_id, host, at, by, body, erased from page union all ",
    );
    sql.add("select position, ordinal, null, null, null, null, null, null from (select position, ordinal from ");
    sql.add(prefix)
        .add("guestlist_events where position < ")
        .add(horizon);
    if !end_of_all {
        sql.add(&of_host);
    }
    sql.add(" order by position desc, ordinal desc limit 1) last");
    Ok(sql)
}

fn decode(row: &PgRow) -> Result<Recorded, StoreError> {
    let event: Event = parse(text(row, 6)?, "an event")?;
    let by: By = parse(text(row, 5)?, "an author")?;
    let erased: Option<Vec<u8>> = row
        .try_get(7)
        .map_err(|error| store_error(error, During::Reading))?;
    let mark = |bytes: Vec<u8>| {
        <[u8; 32]>::try_from(bytes).map_err(|_| StoreError::corrupt("the mark of an erasure"))
    };
    Ok(Recorded {
        sequence: sequence(row, 0)?,
        commit: CommitId::from_bytes(id(row, 2)?),
        organization: organization(text(row, 3)?)?,
        stamp: Stamp {
            at: Timestamp::from_micros(get(row, 4)?),
            by,
        },
        event,
        erased: erased.map(mark).transpose()?,
    })
}
