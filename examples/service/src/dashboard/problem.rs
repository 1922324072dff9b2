//! What did not work: guestlist's own words, and what to do about it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use guestlist::Error;
use guestlist::store::PageError;
use tracing::error;

use crate::host::{DatabaseError, NewOrganizationError};

/// A refusal, as a page. The page itself is written by [`frame`](super::desk::frame), which knows
/// who is looking.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) text: String,
    pub(super) code: &'static str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            code: "",
        }
    }

    /// Something is wrong with a field of a form.
    pub(super) fn field(label: &str, text: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("{label}: {text}"),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no such page, or it is not yours to see",
        )
    }

    pub(super) fn no_organization() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            text: "you don't act in an organization now".to_owned(),
            code: "no-organization",
        }
    }

    /// A mistake of this program.
    pub(super) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "something went wrong on this side",
        )
    }

    /// The words, as a sentence.
    pub(super) fn sentence(&self) -> String {
        sentence(&self.text)
    }

    pub(super) const fn title(&self) -> &'static str {
        match self.status {
            StatusCode::FORBIDDEN => "That is not yours to do",
            StatusCode::NOT_FOUND => "There is nothing here",
            StatusCode::GONE => "This has ended",
            StatusCode::CONFLICT => "Things have changed meanwhile",
            StatusCode::UNPROCESSABLE_ENTITY => "Something has to be corrected",
            StatusCode::TOO_MANY_REQUESTS => "A little slower, please",
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE => {
                "That did not work just now"
            }
            _ => "That did not work",
        }
    }

    /// What to do, by the stable code.
    pub(super) fn advice(&self) -> &'static str {
        match self.code {
            "not-allowed" | "owners-only" => {
                "Ask an administrator of your organization to do it, or to give you a role that may."
            }
            "no-organization" => {
                "Choose one of your organizations at the top, or open a join link that you were sent."
            }
            "role-above-own" => "Choose a role that is not above your own.",
            "share-not-held" | "action-not-held" => {
                "You can pass on what you hold yourself, with the right to share it. Ask whoever holds it."
            }
            "not-found" => "It may have been deleted, or it belongs to another organization.",
            "wrong-state" | "wrong-invite-state" | "wrong-link-state" => {
                "Somebody else was faster, or it was done before. Go back and look at how it is now."
            }
            "invalid-token" | "malformed-token" | "token-retired" => {
                "Ask whoever sent you the link for a new one. Links are replaced, switched off, or run out."
            }
            "wrong-account" => {
                "Sign out, and sign in with the account that has this address. The invite is still good."
            }
            "wrong-kind-of-member" => "Go back and choose another way of joining.",
            "answers-missing" => "Go back and answer every question.",
            "domain-not-allowed" | "member-not-allowed" => {
                "Sign in with an account of the organization that the link was made for."
            }
            "seats-full" => "The host has to make room first. Nothing was used up.",
            "token-not-sealed" => "Refresh the link: that makes a new one, which you can copy.",
            "last-owner" => "Make somebody else an administrator first.",
            "rate-limited" => "Wait a moment and try again.",
            "contended" | "unavailable" => "Nothing was changed. Try again.",
            "group-held-otherwise" => {
                "It came with the membership. Remove the membership, or approve it with other groups."
            }
            _ => match self.status {
                StatusCode::UNPROCESSABLE_ENTITY => "Go back and correct it. Nothing was changed.",
                StatusCode::FORBIDDEN => "Nothing was changed.",
                _ => "Go back and try again. Nothing was changed.",
            },
        }
    }
}

pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let mut sentence: String = first.into_iter().flatten().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

impl From<Error> for Problem {
    fn from(refused: Error) -> Self {
        let code = refused.code();
        let status = match &refused {
            Error::Command(_) => of_command(code),
            Error::Token(_) => StatusCode::NOT_FOUND,
            Error::Contended | Error::NotSealed | Error::KeyReused | Error::OutcomeErased => {
                StatusCode::CONFLICT
            }
            Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Page(_) | Error::Cursor => StatusCode::BAD_REQUEST,
            _ => {
                error!(code, error = %refused, "guestlist could not answer");
                return Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    text: "the service can't answer now".to_owned(),
                    code,
                };
            }
        };
        Self {
            status,
            text: refused.to_string(),
            code,
        }
    }
}

fn of_command(code: &str) -> StatusCode {
    match code {
        "not-found" | "invalid-token" | "group-not-found" | "grant-not-found" => {
            StatusCode::NOT_FOUND
        }
        "wrong-state"
        | "wrong-invite-state"
        | "wrong-link-state"
        | "already-member"
        | "already-invited"
        | "seats-full"
        | "last-owner"
        | "group-name-taken"
        | "organization-not-active"
        | "creator-not-standing"
        | "inviter-not-standing"
        | "member-not-live"
        | "group-held-otherwise" => StatusCode::CONFLICT,
        "not-allowed" | "not-the-member" | "system-only" | "role-above-own" | "owners-only"
        | "share-not-held" | "action-not-held" | "missing-capability" | "wrong-account"
        | "blocked" | "cooling-down" | "rejected-link" | "invite-only" | "domain-not-allowed"
        | "member-not-allowed" | "outsider" | "outsider-ceiling" | "internal-group"
        | "outsider-in-group" | "requests-closed" => StatusCode::FORBIDDEN,
        code if code.starts_with("token-") || code.starts_with("link") => StatusCode::NOT_FOUND,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        Error::from(error).into()
    }
}

impl From<DatabaseError> for Problem {
    fn from(failed: DatabaseError) -> Self {
        error!(error = %failed, "the application's database could not answer");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the service can't answer now",
        )
    }
}

impl From<NewOrganizationError> for Problem {
    fn from(failed: NewOrganizationError) -> Self {
        match failed {
            NewOrganizationError::Guestlist(error) => error.into(),
            NewOrganizationError::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
