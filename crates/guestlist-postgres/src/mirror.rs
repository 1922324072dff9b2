//! The lists of members' memberships, from the log.

use std::collections::BTreeMap;

use guestlist_membership::RowKey;
use guestlist_store::{Cursor, EventFilter, StoreError};
use guestlist_types::{Member, OrgId};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::{During, store_error};
use crate::events;
use crate::flush::fetch;
use crate::list::get;
use crate::read::text;
use crate::rows;
use crate::sql::{Names, Sql, list};
use crate::table::{JOINED, MEMBERSHIPS};
use crate::value::{Column, Kind, Value, member_bucket, member_values};

/// How many events are read at once at most, and how many rows are written.
const MOST: u32 = 1024;

/// Which of those that were asked for a row is.
const N: Column = Column {
    name: "n",
    kind: Kind::Int,
};

/// What [`PgStore::mirror`](crate::PgStore::mirror) has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirrored {
    /// Where to go on: keep it, and begin behind it the next time. `None` only at the very
    /// beginning of an empty log.
    pub next: Option<Cursor>,
    /// How many events were read. None: that was the end of the log.
    pub events: usize,
    /// How many rows of the lists were written or deleted.
    pub rows: u64,
}

pub(crate) async fn mirror(
    connection: &mut PgConnection,
    names: &Names,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Mirrored, StoreError> {
    let filter = EventFilter::default();
    let page = events::events(connection, names, &filter, after, limit.clamp(1, MOST)).await?;
    let mut keys: Vec<(&OrgId, &Member)> = page
        .events
        .iter()
        .filter_map(|recorded| Some((&recorded.organization, recorded.event.member()?)))
        .collect();
    // In one order by everybody, so that two who do this at once don't wait for each other.
    keys.sort_unstable();
    keys.dedup();
    let rows = if keys.is_empty() {
        0
    } else {
        copy(connection, names, &keys).await?
    };
    Ok(Mirrored {
        events: page.events.len(),
        next: page.next,
        rows,
    })
}

/// Writes what memberships are now, which is what the events have led to or something newer.
async fn copy(
    connection: &mut PgConnection,
    names: &Names,
    keys: &[(&OrgId, &Member)],
) -> Result<u64, StoreError> {
    let found = ask(connection, current(names, keys)).await?;
    let mut bodies: BTreeMap<usize, (i64, String)> = BTreeMap::new();
    for row in &found {
        let n: i32 = row
            .try_get(0)
            .map_err(|error| store_error(error, During::Reading))?;
        let n = usize::try_from(n).map_err(|_| StoreError::corrupt("a number below zero"))?;
        bodies.insert(n, (get(row, 1)?, text(row, 2)?.to_owned()));
    }
    let mut put: Vec<Vec<Value>> = Vec::with_capacity(bodies.len());
    let mut gone: Vec<Vec<Value>> = Vec::new();
    for (n, (host, member)) in keys.iter().enumerate() {
        let mut row = joined_key(host, member);
        if let Some((revision, body)) = bodies.remove(&n) {
            row.extend([revision.into(), body.into()]);
            put.push(row);
        } else {
            gone.push(row);
        }
    }
    put.sort();
    gone.sort();
    let mut written = 0;
    if !put.is_empty() {
        written += ask(connection, upsert(names, &put)).await?.len();
    }
    if !gone.is_empty() {
        written += ask(connection, delete(names, &gone)).await?.len();
    }
    Ok(u64::try_from(written).unwrap_or(u64::MAX))
}

async fn ask(connection: &mut PgConnection, sql: Sql<'_>) -> Result<Vec<PgRow>, StoreError> {
    // Doing it again does no harm, whatever has become of it.
    fetch(connection, sql)
        .await
        .map_err(|error| store_error(error, During::Reading))
}

/// The key of a membership in the list of its member.
pub(crate) fn joined_key(host: &OrgId, member: &Member) -> Vec<Value> {
    let mut values: Vec<Value> = vec![member_bucket(member).into()];
    values.extend(member_values(member));
    values.push(host.as_str().into());
    values
}

fn current<'a>(names: &'a Names, keys: &[(&OrgId, &Member)]) -> Sql<'a> {
    let asked: Vec<Vec<Value>> = (0_i64..)
        .zip(keys)
        .map(|(n, (host, member))| {
            let key = RowKey::Membership((*host).clone(), (*member).clone());
            let mut row = vec![Value::Int(n)];
            row.extend(rows::key_values(&key));
            row
        })
        .collect();
    let asked: Vec<Vec<&Value>> = asked.iter().map(|row| row.iter().collect()).collect();
    let columns: Vec<Column> = core::iter::once(&N)
        .chain(MEMBERSHIPS.key)
        .copied()
        .collect();
    let mut sql = Sql::new(names, None);
    sql.add("select u.n, t.revision, t.body::text from ")
        .rows(&columns, &asked)
        .add(" cross join lateral (select t.revision, t.body from ")
        .table(&MEMBERSHIPS)
        .add(" t where ")
        .is_key("t", MEMBERSHIPS.key)
        .add(" limit 1) t");
    sql
}

fn upsert<'a>(names: &'a Names, rows: &[Vec<Value>]) -> Sql<'a> {
    let rows: Vec<Vec<&Value>> = rows.iter().map(|row| row.iter().collect()).collect();
    let columns: Vec<Column> = JOINED.all().copied().collect();
    let mut sql = Sql::new(names, None);
    sql.add("insert into ")
        .table(&JOINED)
        .add(" as t (")
        .add(&list(JOINED.all()))
        .add(") select ")
        .of_rows(JOINED.all())
        .add(" from ")
        .rows(&columns, &rows)
        .add(" on conflict (")
        .add(&list(JOINED.key.iter()))
        .add(") do update set revision = excluded.revision, body = excluded.body")
        .add(" where t.revision < excluded.revision returning 1");
    sql
}

/// Of rows whose membership was not there: it may be by now.
fn delete<'a>(names: &'a Names, rows: &[Vec<Value>]) -> Sql<'a> {
    let buckets: Vec<Value> = rows
        .iter()
        .map(|row| match row.last() {
            Some(Value::Text(host)) => guestlist_types::Bucket::of_bytes(host.as_bytes()).into(),
            _ => Value::Null,
        })
        .collect();
    let rows: Vec<Vec<&Value>> = rows
        .iter()
        .zip(&buckets)
        .map(|(row, bucket)| row.iter().chain([bucket]).collect())
        .collect();
    let mut columns: Vec<Column> = JOINED.key.to_vec();
    columns.push(Column {
        name: "bucket",
        kind: Kind::Int,
    });
    let mut sql = Sql::new(names, None);
    sql.add("delete from ")
        .table(&JOINED)
        .add(" t using ")
        .rows(&columns, &rows)
        .add(" where ")
        .is_key("t", JOINED.key)
        .add(" and not exists (select 1 from ")
        .table(&MEMBERSHIPS)
        .add(" m where ")
        .is_key("m", MEMBERSHIPS.key)
        .add(") returning 1");
    sql
}
