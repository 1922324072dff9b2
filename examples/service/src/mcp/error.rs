//! Why a tool does not do what it was asked for: part of the answer, never of the protocol.

use guestlist::{CommandError, Error};
use rmcp::model::CallToolResult;
use serde_json::{Value, json};
use tracing::error;

use crate::host::DatabaseError;

/// What a tool answers.
pub(super) type Answer = Result<Value, Refusal>;

/// A refusal. Whoever asked sees all of it, so nothing of the data is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn invalid(message: impl std::fmt::Display) -> Self {
        Self::new("invalid_argument", message)
    }

    pub(super) fn not_found(message: impl std::fmt::Display) -> Self {
        Self::new("not_found", message)
    }

    pub(super) fn exists(message: impl std::fmt::Display) -> Self {
        Self::new("already_exists", message)
    }

    pub(super) fn denied(message: impl std::fmt::Display) -> Self {
        Self::new("permission_denied", message)
    }

    pub(super) fn state(message: impl std::fmt::Display) -> Self {
        Self::new("invalid_state", message)
    }

    fn new(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    pub(super) fn into_result(self) -> CallToolResult {
        CallToolResult::structured_error(
            json!({ "error": { "code": self.code, "message": self.message } }),
        )
    }

    fn unavailable(source: &dyn std::fmt::Display) -> Self {
        error!(error = %source, "a tool could not be answered");
        Self::new("unavailable", "this can't be answered now; try again")
    }
}

/// guestlist's codes are finer than what callers of tools tell apart.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let word = match &error {
            Error::Command(CommandError::InvalidToken(_)) | Error::Token(_) => "invalid_token",
            Error::Command(refused) => word_of(refused),
            Error::RateLimited { .. } => "rate_limited",
            Error::Contended => "unavailable",
            other => return Self::unavailable(other),
        };
        Self::new(word, error)
    }
}

fn word_of(refused: &CommandError) -> &'static str {
    match refused.code() {
        "not-found" | "group-not-found" | "grant-not-found" | "member-not-live" => "not_found",
        "name-taken" | "group-name-taken" => "already_exists",
        "not-allowed" | "missing-capability" | "not-the-member" | "owners-only"
        | "share-not-held" | "action-not-held" | "outsider" | "outsider-ceiling"
        | "role-above-own" | "blocked" => "permission_denied",
        "too-many" | "grant-without-actions" => "invalid_argument",
        _ => "invalid_state",
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Self::unavailable(&error)
    }
}
