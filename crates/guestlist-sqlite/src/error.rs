//! What SQLite says, as what a store says.

use guestlist_store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why something did not work, as it was found.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => store_error(error),
            Failure::Store(error) => error,
        }
    }
}

impl Failure {
    /// The same, for another one that it concerns.
    pub(crate) fn for_another(&self) -> StoreError {
        match self {
            Self::Sql(rusqlite::Error::SqliteFailure(error, message)) => {
                store_error(rusqlite::Error::SqliteFailure(*error, message.clone()))
            }
            Self::Sql(error) => StoreError::Fatal(error.to_string().into()),
            Self::Store(error) => StoreError::Fatal(error.to_string().into()),
        }
    }
}

/// The error of a statement, none of whose effects stay.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let text = || message.clone().unwrap_or_else(|| failure.to_string());
            match failure.code {
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::SchemaChanged
                | ErrorCode::FileLockingProtocolFailed => StoreError::Retryable(Box::new(error)),
                ErrorCode::DiskFull => StoreError::Full(Box::new(error)),
                ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied => {
                    StoreError::ReadOnly(Box::new(error))
                }
                ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => {
                    StoreError::Unavailable(Box::new(error))
                }
                ErrorCode::DatabaseCorrupt => StoreError::corrupt(text()),
                ErrorCode::NotADatabase => StoreError::Foreign { what: text() },
                ErrorCode::ConstraintViolation => StoreError::Malformed {
                    what: "the schema refuses one of its rows",
                },
                ErrorCode::TooBig => StoreError::Malformed {
                    what: "one of its rows is too large",
                },
                _ if is_missing_table(message.as_deref()) => StoreError::Foreign { what: text() },
                _ => StoreError::Fatal(Box::new(error)),
            }
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::corrupt("a column of another type"),
        _ => StoreError::Fatal(Box::new(error)),
    }
}

/// The error of a COMMIT. The transaction is gone, except that after an input or output error its
/// end may be on the disk all the same, to be found after a crash.
pub(crate) fn commit_error(error: &rusqlite::Error) -> StoreError {
    let copy = match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            rusqlite::Error::SqliteFailure(*failure, message.clone())
        }
        other => rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    };
    if copy.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
        return StoreError::Unknown(Box::new(copy));
    }
    store_error(copy)
}

fn is_missing_table(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.contains("no such table: guestlist_"))
}

pub(crate) const OTHER_LIST: StoreError = StoreError::Malformed {
    what: "a cursor of another list",
};

/// A number that has to be a count.
pub(crate) fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::Store(StoreError::corrupt("a count below zero")))
}

/// A number that has to fit into a column.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Malformed {
        what: "a number of more than 63 bits",
    })
}
