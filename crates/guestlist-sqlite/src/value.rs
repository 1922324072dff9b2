//! What is bound to statements.

use guestlist_types::{Bucket, Member, MemberKind, Timestamp};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// A parameter, owned so that it can be sent to the thread that writes.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    /// A blob without bytes.
    Nothing,
    Int(i64),
    Name(&'static str),
    Text(String),
    Id([u8; 16]),
    Digest([u8; 32]),
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Nothing => ValueRef::Blob(&[]),
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Name(text) => ValueRef::Text(text.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Id(bytes) => ValueRef::Blob(bytes),
            Self::Digest(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(truth.into())
    }
}

impl From<Bucket> for Value {
    fn from(bucket: Bucket) -> Self {
        Self::Int(bucket.get().into())
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.as_micros())
    }
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

impl From<&[u8; 16]> for Value {
    fn from(bytes: &[u8; 16]) -> Self {
        Self::Id(*bytes)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The name of a kind of member; organizations sort before users.
pub(crate) const fn kind_name(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Org => "org",
        MemberKind::User => "user",
    }
}

/// The two columns of a member.
pub(crate) fn member_values(member: &Member) -> [Value; 2] {
    [Value::Name(kind_name(member.kind())), member.id().into()]
}
