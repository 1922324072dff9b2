//! What can go wrong in a store.

use core::error::Error;

/// Why a store could not answer.
///
/// A caller has three cases to tell apart: certainly not applied and worth another try
/// ([`StoreError::is_transient`]), perhaps applied ([`StoreError::Unknown`]), and everything else,
/// which another try doesn't mend. A store that can't answer is always an error, never a deny.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was applied, and the same may work again: the store was busy or interrupted.
    #[error("the store is busy; nothing was changed")]
    Retryable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection was lost while committing. Send the same commit again: its id tells.
    #[error("it is not known whether the commit was applied; send the same commit again")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
    /// The store can't be reached or has been closed.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// No space is left. Nothing was changed.
    #[error("no space is left for the store; nothing was changed")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    /// The store can't be written. Nothing was changed.
    #[error("the store is read-only; nothing was changed")]
    ReadOnly(#[source] Box<dyn Error + Send + Sync>),
    /// The store refuses who connects to it: a wrong password, a missing privilege. Nothing was
    /// changed.
    #[error("the store denies access; nothing was changed")]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// The store holds something that guestlist never wrote, or is damaged.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// The database belongs to another program.
    #[error("this database belongs to another program: {what}")]
    Foreign {
        /// How that was seen.
        what: String,
    },
    /// The database was written by a newer guestlist. Nothing was changed.
    #[error("this database has schema version {found}, and this guestlist knows up to {known}")]
    NewerSchema {
        /// The version that was found.
        found: i64,
        /// The newest version that this library knows.
        known: i64,
    },
    /// A commit that no decision makes: a defect of the caller.
    #[error("this commit is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store was used in a way that it doesn't support.
    #[error("the store can't be used like this: {what}")]
    Misuse {
        /// What was wrong.
        what: &'static str,
    },
    /// Anything else that another try doesn't mend.
    #[error("the store failed")]
    Fatal(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Retryable(_) => "store-busy",
            Self::Unknown(_) => "store-outcome-unknown",
            Self::Unavailable(_) => "store-unavailable",
            Self::Full(_) => "store-full",
            Self::ReadOnly(_) => "store-read-only",
            Self::Denied(_) => "store-denied",
            Self::Corrupt { .. } => "store-corrupt",
            Self::Foreign { .. } => "store-foreign",
            Self::NewerSchema { .. } => "store-newer-schema",
            Self::Malformed { .. } => "store-malformed-commit",
            Self::Misuse { .. } => "store-misuse",
            Self::Fatal(_) => "store-failed",
        }
    }

    /// Whether nothing was applied and the same may work if it is tried again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Retryable(_))
    }

    /// Whether the commit may have been applied all the same.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// A damaged row.
    #[must_use]
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}
