//! The application's own tables, in the database where guestlist's are.
//!
//! One text of SQL for both engines: placeholders are `$1`, `$2`; values are texts and numbers.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::ValueRef;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column as _, PgPool, Row as _, TypeInfo as _};

/// Each statement may run again: that is all that this application needs of migrations.
const SCHEMA: &str = include_str!("schema.sql");

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer. A column that is asked for as what it isn't is a mistake of this program.
#[derive(Debug, Clone)]
pub(crate) struct Record(Vec<Value>);

impl Record {
    pub(crate) fn text(&self, column: usize) -> Result<String, DatabaseError> {
        self.optional(column)?.ok_or(DatabaseError::Column(column))
    }

    pub(crate) fn optional(&self, column: usize) -> Result<Option<String>, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(DatabaseError::Column(column)),
        }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(DatabaseError::Column(column)),
        }
    }

    pub(crate) fn optional_int(&self, column: usize) -> Result<Option<i64>, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.int(column).map(Some),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("the application's database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the application's database: {0}")]
    Postgres(#[from] sqlx::Error),
    #[error("column {0} is not what it was taken for")]
    Column(usize),
    #[error("the task that asks the database is gone")]
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite(Arc<Mutex<rusqlite::Connection>>),
    Postgres(PgPool),
}

impl Database {
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, DatabaseError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full;")?;
        Self::Sqlite(Arc::new(Mutex::new(connection)))
            .migrated()
            .await
    }

    pub(crate) async fn postgres(pool: PgPool) -> Result<Self, DatabaseError> {
        Self::Postgres(pool).migrated().await
    }

    async fn migrated(self) -> Result<Self, DatabaseError> {
        let exact_text = match &self {
            Self::Sqlite(_) => "text",
            Self::Postgres(_) => "text collate \"C\"",
        };
        for statement in SCHEMA
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let statement = statement.replace("exact_text", exact_text);
            self.query(&statement, Vec::new()).await?;
        }
        Ok(self)
    }

    /// All rows of the answer.
    pub(crate) async fn query(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Record>, DatabaseError> {
        match self {
            Self::Sqlite(connection) => {
                let connection = Arc::clone(connection);
                let sql = sql.replace('$', "?");
                tokio::task::spawn_blocking(move || in_sqlite(&connection, &sql, &values))
                    .await
                    .map_err(|_| DatabaseError::Gone)?
            }
            Self::Postgres(pool) => in_postgres(pool, sql, values).await,
        }
    }

    /// The first row of the answer.
    pub(crate) async fn first(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Option<Record>, DatabaseError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }
}

fn in_sqlite(
    connection: &Mutex<rusqlite::Connection>,
    sql: &str,
    values: &[Value],
) -> Result<Vec<Record>, DatabaseError> {
    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let mut statement = connection.prepare_cached(sql)?;
    let bound = rusqlite::params_from_iter(values.iter().map(|value| match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Int(number) => rusqlite::types::Value::Integer(*number),
        Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
    }));
    let columns = statement.column_count();
    let mut rows = statement.query(bound)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let record = (0..columns).map(|column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Int(number),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Real(_) | ValueRef::Blob(_) => return Err(DatabaseError::Column(column)),
            })
        });
        found.push(Record(record.collect::<Result<_, DatabaseError>>()?));
    }
    Ok(found)
}

async fn in_postgres(
    pool: &PgPool,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Record>, DatabaseError> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for value in values {
        query = match value {
            Value::Null => query.bind(None::<String>),
            Value::Int(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        };
    }
    let rows = query.fetch_all(pool).await?;
    rows.iter().map(from_postgres).collect()
}

fn from_postgres(row: &PgRow) -> Result<Record, DatabaseError> {
    let record = row.columns().iter().enumerate().map(|(place, column)| {
        Ok(match column.type_info().name() {
            "INT8" => row.try_get::<Option<i64>, _>(place)?.into(),
            _ => row.try_get::<Option<String>, _>(place)?.into(),
        })
    });
    Ok(Record(record.collect::<Result<_, DatabaseError>>()?))
}
