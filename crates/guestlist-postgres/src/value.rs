//! What is bound to statements: columns of values, one array each.

pub(crate) use guestlist_store::columns::{Value, kind_name, member_values};
use guestlist_types::{Bucket, Member};
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

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn small(value: &Value) -> Option<i32> {
    int(value).and_then(|number| i32::try_from(number).ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Name(text) => Some((*text).to_owned()),
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn uuid(value: &Value) -> Option<Uuid> {
    match value {
        Value::Id(bytes) => Some(Uuid(*bytes)),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Digest(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        _ => None,
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
            Kind::Int => self.add(small(value)),
            Kind::Big => self.add(int(value)),
            Kind::Bool => self.add(truth(value)),
            Kind::Bigs | Kind::Text | Kind::Json => self.add(text(value)),
            Kind::Uuid => self.add(uuid(value)),
            Kind::Bytes => self.add(bytes(value)),
        }
    }

    /// A column of values.
    pub(crate) fn push_all<'a>(&mut self, kind: Kind, values: impl Iterator<Item = &'a Value>) {
        match kind {
            Kind::Int => self.add(values.map(small).collect::<Vec<_>>()),
            Kind::Big => self.add(values.map(int).collect::<Vec<_>>()),
            Kind::Bool => self.add(values.map(truth).collect::<Vec<_>>()),
            Kind::Bigs | Kind::Text | Kind::Json => self.add(values.map(text).collect::<Vec<_>>()),
            Kind::Uuid => self.add(values.map(uuid).collect::<Vec<_>>()),
            Kind::Bytes => self.add(values.map(bytes).collect::<Vec<_>>()),
        }
    }

    /// An array of numbers.
    pub(crate) fn push_bigs(&mut self, values: Vec<Option<i64>>) {
        self.add(values);
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

/// The bucket of the list of a member's memberships.
pub(crate) fn member_bucket(member: &Member) -> Bucket {
    Bucket::of_bytes(member.id().as_bytes())
}
