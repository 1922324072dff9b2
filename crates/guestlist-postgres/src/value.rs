//! What is bound to statements: columns of values, one array each.

use guestlist_types::{Bucket, Member, MemberKind, Timestamp};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo};
use sqlx::{Arguments as _, Encode, Postgres, Type};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Int,
    Big,
    /// Several numbers, written as PostgreSQL writes arrays: arrays of arrays must be rectangular.
    Bigs,
    Bool,
    Text,
    Json,
    Uuid,
    Bytes,
}

impl Kind {
    /// The type of its parameter.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Int => "int4",
            Self::Big => "int8",
            Self::Bool => "bool",
            Self::Bigs | Self::Text | Self::Json => "text",
            Self::Uuid => "uuid",
            Self::Bytes => "bytea",
        }
    }

    /// What turns the parameter into the column.
    pub(crate) const fn cast(self) -> &'static str {
        match self {
            Self::Bigs => "::int8[]",
            Self::Json => "::json",
            Self::Int | Self::Big | Self::Bool | Self::Text | Self::Uuid | Self::Bytes => "",
        }
    }
}

/// A column of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Bool(bool),
    Name(&'static str),
    Text(String),
    Uuid([u8; 16]),
    Digest([u8; 32]),
}

impl Value {
    fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Null
            | Self::Bool(_)
            | Self::Name(_)
            | Self::Text(_)
            | Self::Uuid(_)
            | Self::Digest(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Name(text) => Some(text),
            Self::Text(text) => Some(text),
            Self::Null | Self::Int(_) | Self::Bool(_) | Self::Uuid(_) | Self::Digest(_) => None,
        }
    }

    const fn uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(bytes) => Some(Uuid(*bytes)),
            _ => None,
        }
    }

    const fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Digest(bytes) => Some(bytes),
            _ => None,
        }
    }

    const fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
}

/// Sixteen bytes as PostgreSQL keeps them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

impl Type<Postgres> for Uuid {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2950))
    }
}

impl PgHasArrayType for Uuid {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2951))
    }
}

impl Encode<'_, Postgres> for Uuid {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

/// The parameters of a statement.
#[derive(Default)]
pub(crate) struct Parameters {
    arguments: PgArguments,
    error: Option<BoxDynError>,
}

impl Parameters {
    /// One value.
    pub(crate) fn push(&mut self, kind: Kind, value: &Value) {
        match kind {
            Kind::Int => self.add(value.int().and_then(|number| i32::try_from(number).ok())),
            Kind::Big => self.add(value.int()),
            Kind::Bool => self.add(value.bool()),
            Kind::Bigs | Kind::Text | Kind::Json => self.add(value.text().map(str::to_owned)),
            Kind::Uuid => self.add(value.uuid()),
            Kind::Bytes => self.add(value.bytes().map(<[u8]>::to_vec)),
        }
    }

    /// A column of values.
    pub(crate) fn push_all<'a>(&mut self, kind: Kind, values: impl Iterator<Item = &'a Value>) {
        match kind {
            Kind::Int => {
                let int = |value: &Value| value.int().and_then(|number| i32::try_from(number).ok());
                self.add(values.map(int).collect::<Vec<_>>());
            }
            Kind::Big => self.add(values.map(Value::int).collect::<Vec<_>>()),
            Kind::Bool => self.add(values.map(Value::bool).collect::<Vec<_>>()),
            Kind::Bigs | Kind::Text | Kind::Json => {
                let texts = values.map(|value| value.text().map(str::to_owned));
                self.add(texts.collect::<Vec<_>>());
            }
            Kind::Uuid => self.add(values.map(Value::uuid).collect::<Vec<_>>()),
            Kind::Bytes => {
                let bytes = values.map(|value| value.bytes().map(<[u8]>::to_vec));
                self.add(bytes.collect::<Vec<_>>());
            }
        }
    }

    fn add<T: for<'q> Encode<'q, Postgres> + Type<Postgres>>(&mut self, value: T) {
        if let Err(error) = self.arguments.add(value) {
            self.error.get_or_insert(error);
        }
    }

    /// All of them, or why one can't be sent.
    pub(crate) fn finish(self) -> Result<PgArguments, sqlx::Error> {
        match self.error {
            None => Ok(self.arguments),
            Some(error) => Err(sqlx::Error::Encode(error)),
        }
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
        Self::Bool(truth)
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
        Self::Uuid(*bytes)
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

/// The bucket of the list of a member's memberships.
pub(crate) fn member_bucket(member: &Member) -> Bucket {
    Bucket::of_bytes(member.id().as_bytes())
}
