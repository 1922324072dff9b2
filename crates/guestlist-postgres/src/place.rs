//! Where events stand in the log of an engine of several machines.
//!
//! There, no number that a commit could take is in the order in which commits become visible: each
//! machine counts its own transactions, and clocks differ. So commits leave their events without a
//! place, and whoever reads the log first gives places to what is there by then: one at a time, from
//! one row that says how many there are. What has a place is never joined by anything before it.
//!
//! What became visible since the last time can be given places in any order that keeps to what commits
//! relied on: whoever wrote a row at some revision comes before all that relied on it, and these come
//! before whoever wrote the next one. Where none relies on the other, the server's clock decides.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use guestlist_store::StoreError;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::error::{During, Failed, store_error};
use crate::flush::{fetch, is_to_be_repeated};
use crate::list::get;
use crate::options::Dialect;
use crate::plan::Plan;
use crate::read::{id, text};
use crate::rows;
use crate::sql::{Names, Sql, list};
use crate::statement::EVENT;
use crate::table::Table;
use crate::value::{Column, Kind, Value};

/// How many commits are given places in one transaction. Of more that wait, those that the clock says
/// are the first.
const MOST: usize = 8192;

/// How often it is tried again, if another one was faster.
const MAX_RUNS: usize = 16;

/// The clock of the server, in microseconds, when it is asked.
pub(crate) const TICK: &str = "(extract(epoch from clock_timestamp()) * 1000000)::int8";

impl Names {
    /// Whether commits leave their events without a place.
    pub(crate) const fn places_later(&self) -> bool {
        !matches!(self.dialect, Dialect::PostgreSql)
    }
}

/// Rows, each with the revision that a commit relied on and the one that it has written. Zero: it was
/// not there, or is not there any more.
type Basis = BTreeMap<String, (Option<i64>, Option<i64>)>;

/// What a commit relied on and has written, for its first event.
pub(crate) fn basis(plan: &Plan) -> Result<Value, StoreError> {
    let mut basis = Basis::new();
    for fact in &plan.facts {
        basis.entry(row(fact.table, &fact.key)).or_default().0 = Some(fact.revision);
    }
    for put in plan.puts.iter().filter(|put| !put.blind) {
        let (key, columns) = put.values.split_at(put.table.key.len());
        if let Some(Value::Int(revision)) = columns.first() {
            basis.entry(row(put.table, key)).or_default().1 = Some(*revision);
        }
    }
    for (table, key) in &plan.deletes {
        basis.entry(row(table, key)).or_default().1 = Some(0);
    }
    rows::json(&basis)
}

/// What a row is called. No part of a key has control characters.
fn row(table: &Table, key: &[Value]) -> String {
    let mut row = table.name.to_owned();
    for value in key {
        row.push('\n');
        match value {
            Value::Int(number) => row.push_str(&number.to_string()),
            Value::Name(text) => row.push_str(text),
            Value::Text(text) => row.push_str(text),
            Value::Id(id) => row.extend(id.iter().map(|byte| char::from(*byte))),
            Value::Null | Value::Nothing | Value::Bool(_) | Value::Digest(_) => {}
        }
    }
    row
}

/// Which commit an event is of.
const KEY: &[Column] = &[
    Column {
        name: "bucket",
        kind: Kind::Int,
    },
    Column {
        name: "host",
        kind: Kind::Text,
    },
    Column {
        name: "commit_id",
        kind: Kind::Uuid,
    },
];

/// A commit whose events have no place.
fn waiting(row: &PgRow) -> Result<([Value; 3], Basis), StoreError> {
    let key = [
        get(row, 0)?.into(),
        text(row, 1)?.into(),
        Value::Id(id(row, 2)?),
    ];
    Ok((key, rows::parse(text(row, 3)?, "what a commit relied on")?))
}

/// A row at one revision.
#[derive(Default)]
struct State {
    /// Who has written it.
    writers: Vec<usize>,
    /// Who relied on it and left it.
    readers: Vec<usize>,
    /// Who relied on it and has written the next.
    changers: Vec<usize>,
}

/// A row, at each revision. One that was deleted and made anew has been at some twice, and nothing
/// follows from them.
#[derive(Default)]
struct History(BTreeMap<i64, State>);

impl History {
    fn is_clear(&self) -> bool {
        let once = |state: &State| state.writers.len() <= 1 && state.changers.len() <= 1;
        self.0.get(&0).is_none_or(|state| state.writers.is_empty()) && self.0.values().all(once)
    }
}

/// In which order these are given places. Those that wait come by the clock already.
fn order(waiting: &[Basis]) -> Vec<usize> {
    let mut rows: BTreeMap<&str, History> = BTreeMap::new();
    for (index, basis) in waiting.iter().enumerate() {
        for (row, (read, written)) in basis {
            let history = &mut rows.entry(row).or_default().0;
            if let Some(revision) = read {
                let state = history.entry(*revision).or_default();
                if written.is_some() {
                    state.changers.push(index);
                } else {
                    state.readers.push(index);
                }
            }
            if let Some(revision) = written {
                history.entry(*revision).or_default().writers.push(index);
            }
        }
    }
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
    let mut before = vec![0_usize; waiting.len()];
    let mut comes_before = |one: usize, other: usize| {
        if let (Some(behind), Some(before)) = (behind.get_mut(one), before.get_mut(other)) {
            behind.push(other);
            *before += 1;
        }
    };
    let clear = rows.values().filter(|history| history.is_clear());
    for state in clear.flat_map(|history| history.0.values()) {
        if let [writer] = *state.writers {
            for next in state.readers.iter().chain(&state.changers) {
                comes_before(writer, *next);
            }
        }
        if let [changer] = *state.changers {
            for reader in &state.readers {
                comes_before(*reader, changer);
            }
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..waiting.len())
        .filter(|index| before.get(*index) == Some(&0))
        .map(Reverse)
        .collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(Reverse(index)) = ready.pop() {
        ordered.push(index);
        for next in behind.get(index).into_iter().flatten() {
            if let Some(before) = before.get_mut(*next) {
                *before -= 1;
                if *before == 0 {
                    ready.push(Reverse(*next));
                }
            }
        }
    }
    // None is left, unless what they wrote down contradicts itself.
    let left: Vec<usize> = (0..waiting.len())
        .filter(|index| before.get(*index) != Some(&0))
        .collect();
    ordered.extend(left);
    ordered
}

/// Gives places to the events that wait for one, and shows the log up to there. How many commits got
/// one.
pub(crate) async fn place(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<usize, StoreError> {
    if !is_any(connection, names).await? {
        return Ok(0);
    }
    let mut placed = 0;
    loop {
        let given = give(connection, names).await?;
        show(connection, names).await?;
        placed += given;
        if given < MOST {
            return Ok(placed);
        }
    }
}

/// Whether there is something to do: events that wait, or that the last one who gave places has not
/// come to show.
async fn is_any(connection: &mut PgConnection, names: &Names) -> Result<bool, StoreError> {
    let prefix = &names.prefix;
    let sql = format!(
        "select exists (select 1 from {prefix}guestlist_unplaced) \
        or exists (select 1 from {prefix}guestlist_places where shown < given)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .map_err(reading)?;
    row.try_get(0).map_err(reading)
}

async fn give(connection: &mut PgConnection, names: &Names) -> Result<usize, StoreError> {
    for _ in 0..MAX_RUNS {
        // Whoever has waited for the row sees what the one before has left.
        let mut transaction = connection
            .begin_with("begin isolation level read committed")
            .await
            .map_err(reading)?;
        match give_within(&mut transaction, names).await {
            Ok(given) => match transaction.commit().await {
                Ok(()) => return Ok(given),
                Err(error) if is_to_be_repeated(&error) => {}
                // If it was committed after all, there is nothing left to do.
                Err(error) => return Err(reading(error)),
            },
            Err(Failed::Sql(error)) if is_to_be_repeated(&error) => {
                transaction.rollback().await.map_err(reading)?;
            }
            Err(failed) => {
                // If this fails, too, the connection is gone, and with it the transaction.
                let _ = transaction.rollback().await;
                return Err(match failed {
                    Failed::Sql(error) => reading(error),
                    Failed::Store(error) => error,
                });
            }
        }
    }
    Err(StoreError::Retryable(
        "others gave places to events again and again".into(),
    ))
}

fn reading(error: sqlx::Error) -> StoreError {
    store_error(error, During::Reading)
}

async fn give_within(connection: &mut PgConnection, names: &Names) -> Result<usize, Failed> {
    let prefix = &names.prefix;
    if names.dialect == Dialect::Citus {
        // What is moved leaves one table and comes into the other at the same moment, on each machine.
        connection
            .execute("set local citus.multi_shard_modify_mode to 'sequential'")
            .await?;
    }
    let held = format!("select given from {prefix}guestlist_places where id = 1 for update");
    let given: i64 = connection
        .fetch_one(AssertSqlSafe(held))
        .await?
        .try_get(0)?;
    let found = format!(
        "select bucket::int8, host, commit_id, basis from {prefix}guestlist_unplaced \
        where ordinal = 0 order by tick, commit_id, host limit {MOST}"
    );
    // Not as a plain text, to which values are answered as text, too.
    let found = sqlx::query(AssertSqlSafe(found))
        .fetch_all(&mut *connection)
        .await?;
    if found.is_empty() {
        return Ok(0);
    }
    let (waiting, bases): (Vec<[Value; 3]>, Vec<Basis>) = found
        .iter()
        .map(waiting)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .unzip();
    let places: Vec<Value> = (given + 1..).map(Value::Int).take(waiting.len()).collect();
    let mut rows: Vec<Vec<&Value>> = Vec::with_capacity(waiting.len());
    for (index, place) in order(&bases).into_iter().zip(&places) {
        if let Some(commit) = waiting.get(index) {
            rows.push(commit.iter().chain([place]).collect());
        }
    }
    fetch(connection, moved(names, &rows)).await?;
    fetch(connection, left(names, &rows)).await?;
    let given = format!(
        "update {prefix}guestlist_places set given = given + {} where id = 1",
        waiting.len()
    );
    connection.execute(AssertSqlSafe(given)).await?;
    Ok(waiting.len())
}

/// Copies the events of these commits to the log.
fn moved<'a>(names: &'a Names, placed: &[Vec<&Value>]) -> Sql<'a> {
    let columns: Vec<Column> = KEY
        .iter()
        .copied()
        .chain([Column {
            name: "position",
            kind: Kind::Big,
        }])
        .collect();
    let mut sql = Sql::new(names, None);
    let (prefix, events) = (&names.prefix, list(EVENT.iter()));
    sql.add(&format!(
        "insert into {prefix}guestlist_events (position, ordinal, {events}) select u.position, t.ordinal"
    ));
    for column in EVENT {
        sql.add(", t.").add(column.name);
    }
    sql.add(" from ").rows(&columns, placed);
    sql.add(&format!(" join {prefix}guestlist_unplaced t on "))
        .is_key("t", KEY);
    sql
}

fn left<'a>(names: &'a Names, placed: &[Vec<&Value>]) -> Sql<'a> {
    let keys: Vec<Vec<&Value>> = placed
        .iter()
        .map(|row| row.iter().take(KEY.len()).copied().collect())
        .collect();
    let mut sql = Sql::new(names, None);
    let prefix = &names.prefix;
    sql.add(&format!("delete from {prefix}guestlist_unplaced t using "))
        .rows(KEY, &keys);
    sql.add(" where ").is_key("t", KEY);
    sql
}

/// Shows the log up to the last place that was given, once everything before it is there: where a
/// transaction is on several machines, it comes to be seen on one after the other.
async fn show(connection: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    let prefix = &names.prefix;
    let sql = format!("select given, shown from {prefix}guestlist_places where id = 1");
    let row = connection
        .fetch_one(AssertSqlSafe(sql))
        .await
        .map_err(reading)?;
    let (given, shown) = (get(&row, 0)?, get(&row, 1)?);
    if given == shown {
        return Ok(());
    }
    let sql = format!(
        "select count(*) from {prefix}guestlist_events \
        where position > {shown} and position <= {given} and ordinal = 0"
    );
    let row = connection
        .fetch_one(AssertSqlSafe(sql))
        .await
        .map_err(reading)?;
    if get(&row, 0)? == given - shown {
        let sql = format!(
            "update {prefix}guestlist_places set shown = {given} where id = 1 and shown < {given}"
        );
        connection
            .execute(AssertSqlSafe(sql))
            .await
            .map_err(reading)?;
    }
    Ok(())
}

/// Begins behind what is in the log already, which came from an engine that gives places by itself.
pub(crate) async fn go_on_behind(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<(), StoreError> {
    let prefix = &names.prefix;
    let sql = format!(
        "update {prefix}guestlist_places set given = l.position, shown = l.position from \
        (select max(position) as position from {prefix}guestlist_events) l \
        where id = 1 and given < l.position"
    );
    connection
        .execute(AssertSqlSafe(sql))
        .await
        .map_err(reading)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Basis, order};

    /// What was read and written, zero for nothing.
    fn basis(rows: &[(&str, Option<i64>, Option<i64>)]) -> Basis {
        rows.iter()
            .map(|(row, read, written)| ((*row).to_owned(), (*read, *written)))
            .collect()
    }

    #[test]
    fn the_clock_decides_where_nothing_depends() {
        let all = ["a", "b", "c"].map(|row| basis(&[(row, Some(0), Some(1))]));
        assert_eq!(order(&all), [0, 1, 2]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn what_was_relied_on_comes_before_whatever_the_clock_says() {
        let changes = [
            basis(&[("link", Some(2), Some(3))]),
            basis(&[("link", Some(2), None), ("one", Some(0), Some(1))]),
            basis(&[("link", Some(1), Some(2))]),
            basis(&[("link", Some(3), None), ("two", Some(0), Some(1))]),
            basis(&[("link", Some(1), None), ("three", Some(0), Some(1))]),
        ];
        assert_eq!(order(&changes), [4, 2, 1, 0, 3]);
    }

    #[test]
    fn of_a_row_that_was_deleted_only_the_clock_tells() {
        let changes = [
            basis(&[("row", Some(0), Some(1))]),
            basis(&[("row", Some(1), Some(2)), ("other", Some(1), None)]),
            basis(&[("row", Some(2), Some(0))]),
            basis(&[("row", Some(0), None)]),
            basis(&[("row", Some(0), Some(1))]),
            basis(&[("row", Some(1), Some(2)), ("other", Some(0), Some(1))]),
        ];
        assert_eq!(order(&changes), [0, 2, 3, 4, 5, 1]);
        // That it was deleted in between is said by nobody.
        let changes = [&changes[..2], &changes[4..]].concat();
        assert_eq!(order(&changes), [0, 2, 3, 1]);
    }

    #[test]
    fn what_contradicts_itself_is_by_the_clock() {
        let circle = [
            basis(&[("a", Some(1), Some(2)), ("b", Some(2), Some(3))]),
            basis(&[("a", Some(2), None), ("b", Some(1), Some(2))]),
            basis(&[("c", Some(0), Some(1))]),
        ];
        assert_eq!(order(&circle), [2, 0, 1]);
    }
}
