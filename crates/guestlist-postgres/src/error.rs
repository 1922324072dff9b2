//! What PostgreSQL and the driver say, as what a store says.

use guestlist_store::StoreError;
use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What a statement says by an error of its own: a row that was to be new was there by the time it
/// was written. Nothing was changed.
pub(crate) const OVERTAKEN: &str = "guestlist: overtaken";

/// When something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Nothing that was sent can have had an effect that stays.
    Reading,
    /// What was sent commits by itself.
    Committing,
}

/// Why several statements in a row have failed.
pub(crate) enum Failed {
    Sql(Error),
    Store(StoreError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether a commit that was to write a new row has been overtaken by another one.
pub(crate) fn is_overtaken(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.message().contains(OVERTAKEN) || (error.is_unique_violation() && is_key(error))
    })
}

/// Whether it is the key of a row that says so. All that was to be new was absent a moment before.
fn is_key(error: &dyn DatabaseError) -> bool {
    error
        .constraint()
        .is_some_and(|name| name.starts_with("guestlist_") && name.ends_with("_pkey"))
}

/// Whether the connection has gone with it.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed
    ) || is_last_word(error)
}

/// Whether the server, or what stands before it, has ended the connection with this.
fn is_last_word(error: &Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// The error of a statement, or of getting a connection for it.
pub(crate) fn store_error(error: Error, during: During) -> StoreError {
    match &error {
        Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let message = database.message().to_owned();
            by_code(&code, &message, error, during)
        }
        // Whether what was sent has arrived is not known.
        Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed => match during {
            During::Committing => StoreError::Unknown(Box::new(error)),
            During::Reading => StoreError::Retryable(Box::new(error)),
        },
        Error::Encode(_) => StoreError::Malformed {
            what: "one of its values can't be sent",
        },
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::TypeNotFound { .. } => {
            StoreError::corrupt("a column of another type")
        }
        Error::PoolTimedOut | Error::PoolClosed | Error::Tls(_) | Error::Configuration(_) => {
            StoreError::Unavailable(Box::new(error))
        }
        _ => StoreError::Fatal(Box::new(error)),
    }
}

/// The error of getting a connection: nothing was sent.
pub(crate) fn connect_error(error: Error) -> StoreError {
    match error {
        Error::Io(_) | Error::Protocol(_) => StoreError::Unavailable(Box::new(error)),
        other => store_error(other, During::Reading),
    }
}

fn by_code(code: &str, message: &str, error: Error, during: During) -> StoreError {
    // It may have come before the commit, or behind it.
    if during == During::Committing && is_last_word(&error) {
        return StoreError::Unknown(Box::new(error));
    }
    match code {
        // A commit of which the server itself can't tell.
        "40003" | "08007" => StoreError::Unknown(Box::new(error)),
        // The server has ended the connection, and with it a transaction that was too slow.
        "25P03" | "25P04" => StoreError::Retryable(Box::new(error)),
        "25P02" => StoreError::Misuse {
            what: "the transaction has failed before: roll it back",
        },
        // A read-only transaction or a standby; a user without the right to write.
        "25006" => StoreError::ReadOnly(Box::new(error)),
        "42501" | "28000" | "28P01" | "3D000" => StoreError::Denied(Box::new(error)),
        "42P01" | "42703" | "3F000" | "42883" => StoreError::Foreign {
            what: format!("{message}; has `migrate` been called?"),
        },
        "53100" => StoreError::Full(Box::new(error)),
        "22021" | "22P05" | "54000" => StoreError::Malformed {
            what: "one of its values can't be kept",
        },
        // Starting up, shutting down, in recovery, out of connections.
        "57P03" | "53300" => StoreError::Unavailable(Box::new(error)),
        _ => match code.get(..2) {
            Some("08") => StoreError::Unavailable(Box::new(error)),
            // Serialization failures, deadlocks, timeouts, locks, memory.
            Some("40" | "53" | "55" | "57") => StoreError::Retryable(Box::new(error)),
            Some("23") => StoreError::Malformed {
                what: "the schema refuses one of its rows",
            },
            Some("XX") => StoreError::corrupt(message),
            _ => StoreError::Fatal(Box::new(error)),
        },
    }
}

pub(crate) const OTHER_LIST: StoreError = StoreError::Malformed {
    what: "a cursor of another list",
};

/// A number that has to be a count.
pub(crate) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::corrupt("a count below zero"))
}

/// A number that has to fit into a column.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Malformed {
        what: "a number of more than 63 bits",
    })
}
