//! The tables, and how a database gets them.

use core::fmt::Write as _;

use guestlist_store::StoreError;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::cockroachdb;
use crate::error::{During, Failed, store_error};
use crate::options::{Dialect, PgOptions};
use crate::place;
use crate::sql::Names;

/// Every version of the schema as a step from the one before. A step that was released never
/// changes: databases remember the checksum of each that they took.
pub(crate) const MIGRATIONS: &[&str] = &[
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

/// How often somebody else may make the same table at the same moment.
const MAX_RACES: usize = 32;

/// Makes or updates guestlist's tables.
///
/// [`PgStore`](crate::PgStore) does this by itself when it is opened, unless it is told not to.
/// Call it in a deployment step of its own, where the application's user may not create tables,
/// and for a connection whose transactions are to be [borrowed](crate::PgTransaction) without a
/// store.
///
/// All names begin with `guestlist_`, and nothing else is touched: neither the application's own
/// tables nor the bookkeeping of its own migrations. It may be called at any time and from several
/// processes at once; one of them takes the steps, and the others wait for it. All steps are one
/// transaction; inside an open transaction they are part of that one. What the feed needs to go on
/// behind a [restored backup](PgOptions) is looked after here, too.
///
/// # Errors
///
/// [`StoreError::NewerSchema`] if a newer guestlist made the tables, [`StoreError::Foreign`] if
/// they are another program's or the database is not in UTF-8, [`StoreError::Denied`] if the user
/// may not create them, [`StoreError::Unavailable`] if the server can't be reached. Nothing was
/// changed then.
pub async fn migrate(connection: &mut PgConnection, options: &PgOptions) -> Result<(), StoreError> {
    let names = options.names(false)?;
    if missing(connection, &names, options).await? > 0 {
        steps_until_done(connection, &names, options).await?;
    }
    if names.places_later() {
        place::go_on_behind(connection, &names).await
    } else {
        go_on_behind(connection, &names).await
    }
}

async fn steps_until_done(
    connection: &mut PgConnection,
    names: &Names,
    options: &PgOptions,
) -> Result<(), StoreError> {
    for _ in 0..MAX_RACES {
        match take_steps(connection, names, options).await {
            Err(Failed::Sql(error)) if is_race(&error) => {}
            Err(Failed::Sql(error)) => return Err(store_error(error, During::Reading)),
            Err(Failed::Store(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(StoreError::Retryable(
        "the tables are being made by others, again and again".into(),
    ))
}

/// What `if not exists` does not prevent: two that find nothing, and make the same.
fn is_race(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["23505", "42P06", "42P07", "40001", "40P01"].contains(&&*code))
}

async fn take_steps(
    connection: &mut PgConnection,
    names: &Names,
    options: &PgOptions,
) -> Result<(), Failed> {
    if let Some(schema) = &options.schema {
        // Only if it is missing: who may use a schema need not be allowed to make one.
        let found = sqlx::query("select 1 from pg_namespace where nspname = $1")
            .bind(schema)
            .fetch_optional(&mut *connection)
            .await?;
        if found.is_none() {
            let schema = crate::options::quoted(schema);
            run(connection, format!("create schema if not exists {schema}")).await?;
        }
    }
    let table = &names.migrations;
    let mut transaction = connection.begin().await?;
    let make = format!(
        "create table if not exists {table} (\
        version bigint primary key check (version >= 0), checksum bigint not null)"
    );
    run(&mut transaction, make).await?;
    // Who holds this row takes the steps.
    let first =
        format!("insert into {table} (version, checksum) values (0, 0) on conflict do nothing");
    run(&mut transaction, first).await?;
    let hold = format!("select version from {table} where version = 0 for update");
    run(&mut transaction, hold).await?;
    let taken = taken(&mut transaction, names).await?;
    for (version, text) in (1_i64..).zip(MIGRATIONS).skip(taken) {
        transaction
            .execute(AssertSqlSafe(for_names(text, names, options.partitions)))
            .await?;
        sqlx::query(AssertSqlSafe(format!(
            "insert into {table} (version, checksum) values ($1, $2)"
        )))
        .bind(version)
        .bind(checksum(text))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

/// A migration as it is run: with the names of the tables, and with their partitions.
fn for_names(text: &str, names: &Names, partitions: u16) -> String {
    let plain;
    let text = if names.dialect == Dialect::CockroachDb {
        plain = cockroachdb::migration(text, MIGRATIONS);
        &plain
    } else {
        text
    };
    let by = |column: &str| {
        if partitions == 0 {
            String::new()
        } else {
            format!(" partition by hash ({column})")
        }
    };
    let mut sql = String::with_capacity(text.len() * 2);
    for statement in text.split_inclusive(";\n\n") {
        sql.push_str(
            &statement
                .replace("@partitioned_by_member", &by("member_bucket"))
                .replace("@partitioned", &by("bucket"))
                .replace('@', &names.prefix),
        );
        let Some(table) = partitioned_table(statement) else {
            continue;
        };
        for part in 0..partitions {
            let prefix = &names.prefix;
            let _ = writeln!(
                sql,
                "create table {prefix}{table}_{part} partition of {prefix}{table} \
                for values with (modulus {partitions}, remainder {part});"
            );
        }
    }
    sql
}

/// The table that a statement makes, if it is one that can be partitioned.
fn partitioned_table(statement: &str) -> Option<&str> {
    if !statement.contains("@partitioned") {
        return None;
    }
    let (_, rest) = statement.split_once("create table @")?;
    rest.split_once(' ').map(|(name, _)| name)
}

/// How many steps a database has not taken yet, or why it can't take them. Changes nothing.
pub(crate) async fn missing(
    connection: &mut PgConnection,
    names: &Names,
    options: &PgOptions,
) -> Result<usize, StoreError> {
    let reading = |error| store_error(error, During::Reading);
    let state = sqlx::query(
        "select to_regclass($1) is not null, pg_encoding_to_char(encoding), \
        (select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname = coalesce($2, current_schema()) and c.relkind in ('r', 'p', 'v', 'm', 'f') \
        and c.relname like 'guestlist\\_%' limit 1) \
        from pg_database where datname = current_database()",
    )
    .bind(&names.migrations)
    .bind(&options.schema)
    .fetch_one(&mut *connection)
    .await
    .map_err(reading)?;
    let (is_made, encoding, other): (bool, String, Option<String>) = (
        state.try_get(0).map_err(reading)?,
        state.try_get(1).map_err(reading)?,
        state.try_get(2).map_err(reading)?,
    );
    if encoding != "UTF8" {
        return Err(StoreError::Foreign {
            what: format!("its encoding is {encoding}, and must be UTF8"),
        });
    }
    if is_made {
        let taken = taken(connection, names).await?;
        return Ok(MIGRATIONS.len() - taken);
    }
    match other {
        None => Ok(MIGRATIONS.len()),
        Some(name) => Err(StoreError::Foreign {
            what: format!(
                "there is a table `{name}`, but no table {} that says who has made it",
                names.migrations
            ),
        }),
    }
}

/// How many steps were taken.
async fn taken(connection: &mut PgConnection, names: &Names) -> Result<usize, StoreError> {
    let table = &names.migrations;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select version, checksum from {table} where version > 0 order by version"
    )))
    .fetch_all(connection)
    .await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            return Err(match store_error(error, During::Reading) {
                StoreError::Foreign { .. } => StoreError::Foreign {
                    what: format!("{table} is another table"),
                },
                other => other,
            });
        }
    };
    let step =
        |row: &PgRow| -> Result<(i64, i64), sqlx::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
    let steps: Result<Vec<(i64, i64)>, _> = rows.iter().map(step).collect();
    let steps = steps.map_err(|_| StoreError::Foreign {
        what: format!("{table} is another table"),
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
        if *version != expected || known.is_none_or(|text| checksum(text) != *sum) {
            return Err(StoreError::Foreign {
                what: format!("step {version} of its schema is not the one that guestlist knows"),
            });
        }
    }
    Ok(steps.len())
}

/// Whether a database's tables are those that this library works with.
pub(crate) async fn check_current(
    connection: &mut PgConnection,
    names: &Names,
    options: &PgOptions,
) -> Result<(), StoreError> {
    if missing(connection, names, options).await? == 0 {
        return Ok(());
    }
    Err(StoreError::Misuse {
        what: "the tables of guestlist are missing or old: call `migrate` first",
    })
}

/// Whether the tables are spread over partitions.
pub(crate) async fn is_partitioned(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<bool, StoreError> {
    let table = format!("{}guestlist_memberships", names.prefix);
    sqlx::query("select relkind = 'p' from pg_class where oid = to_regclass($1)")
        .bind(table)
        .fetch_optional(connection)
        .await
        .and_then(|row| row.map_or(Ok(false), |row| row.try_get(0)))
        .map_err(|error| store_error(error, During::Reading))
}

/// A cluster that a backup was restored into numbers its transactions anew. What is in the log
/// already must stay before what comes.
async fn go_on_behind(connection: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    let prefix = &names.prefix;
    let behind = format!(
        "select e.added + 1 + l.position - h.horizon as added from {prefix}guestlist_epoch e, \
        (select position from {prefix}guestlist_events order by position desc limit 1) l, \
        (select pg_snapshot_xmax(pg_current_snapshot())::text::int8 + added as horizon \
        from {prefix}guestlist_epoch) h where l.position >= h.horizon"
    );
    let found = sqlx::query(AssertSqlSafe(behind))
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| store_error(error, During::Reading))?;
    let Some(row) = found else {
        return Ok(());
    };
    let added: i64 = row
        .try_get(0)
        .map_err(|error| store_error(error, During::Reading))?;
    sqlx::query(AssertSqlSafe(format!(
        "update {prefix}guestlist_epoch set added = greatest(added, $1)"
    )))
    .bind(added)
    .execute(connection)
    .await
    .map_err(|error| store_error(error, During::Reading))?;
    Ok(())
}

/// Without carriage returns, which some checkouts add.
pub(crate) fn checksum(text: &str) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for part in text.split('\r') {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, checksum};

    /// Databases remember these. A step that was released never changes: add another one.
    #[test]
    fn released_steps_are_what_they_were() {
        let sums: Vec<i64> = MIGRATIONS.iter().map(|text| checksum(text)).collect();
        assert_eq!(sums, [2_544_403_232, 3_428_729_047, 1_643_657_562]);
    }
}
