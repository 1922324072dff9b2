//! The one shape that every refusal has.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guestlist::access_rules::AccessError;
use guestlist::store::PageError;
use guestlist::token::TokenError;
use guestlist::{CommandError, Error};
use serde_json::json;

use crate::host::DatabaseError;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: Cow<'static, str>,
}

impl Failure {
    pub(super) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) const fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: Cow::Borrowed("this needs an access token that is valid"),
        }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no such {what}"))
    }

    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { status, message }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = self.status.as_u16();
        let body = json!({ "error": { "code": code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        use CommandError as E;
        let status = match &error {
            E::InvalidToken(_)
            | E::NotFound { .. }
            | E::Access(AccessError::GroupNotFound { .. } | AccessError::GrantNotFound { .. }) => {
                StatusCode::NOT_FOUND
            }
            E::UnknownRole | E::TooMany { .. } | E::Access(AccessError::MemberNotLive { .. }) => {
                StatusCode::BAD_REQUEST
            }
            E::LastOwner
            | E::NameTaken
            | E::SeatsFull
            | E::WrongState { .. }
            | E::WrongLinkState { .. }
            | E::CreatorNotStanding { .. }
            | E::OwnerCanNotExpire
            | E::AlreadyMember
            | E::OrganizationNotActive { .. }
            | E::Access(AccessError::GroupNameTaken { .. } | AccessError::HeldOtherwise { .. }) => {
                StatusCode::CONFLICT
            }
            E::FactMissing { .. } | E::SelectorTaken => StatusCode::INTERNAL_SERVER_ERROR,
            // All others are about what somebody may do.
            _ => StatusCode::FORBIDDEN,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Command(error) => return error.into(),
            Error::Token(_) => return Self::not_found("invite"),
            Error::Page(_) | Error::Cursor => StatusCode::BAD_REQUEST,
            Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(code = error.code(), %error, "a request failed");
            return Self::new(status, "this could not be done now");
        }
        Self::new(status, error.to_string())
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        Error::from(error).into()
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Error::from(error).into()
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this could not be done now",
        )
    }
}

pub(super) async fn no_such_endpoint() -> Failure {
    Failure::not_found("endpoint")
}

/// What the router or a layer around it refused, in the documented form.
pub(crate) fn refused(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("refused");
    Failure::new(status, reason.to_lowercase()).into_response()
}
