//! What is bound to statements.

use guestlist_store::columns::Value;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Params, ToSql, params_from_iter};

/// A parameter.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Nothing => ValueRef::Blob(&[]),
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
            Value::Name(text) => ValueRef::Text(text.as_bytes()),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Id(bytes) => ValueRef::Blob(bytes),
            Value::Digest(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// All parameters of a statement.
pub(crate) fn bound<'a>(values: impl IntoIterator<Item = &'a Value>) -> impl Params {
    params_from_iter(values.into_iter().map(Bound))
}
