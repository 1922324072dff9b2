//! What each endpoint reads of a request, and what is wrong with one.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use guestlist::{Actor, Member, OrgId, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::Failure;
use crate::app::App;
use crate::host::{Kind, User, now};

/// How old a "last seen" may get before it is written again.
const SEEN: Duration = Duration::from_mins(1);

/// Who calls, and what the path names.
pub(super) struct Caller {
    pub(super) user: User,
    /// The organization in the path; whether the caller belongs to it is not known yet.
    pub(super) org: OrgId,
    pub(super) at: At,
}

/// The ids in the path, as they were sent. Each endpoint has those of its own path.
#[derive(Debug, Deserialize)]
pub(super) struct At {
    org: String,
    #[serde(default)]
    pub(super) invite: String,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) team: String,
}

impl Caller {
    /// The caller as guestlist is told. Memberships of people are guestlist's here, so that none is
    /// stated: naming the organization would make a member of whoever asks.
    pub(super) fn actor(&self) -> Actor {
        self.user.actor()
    }

    /// The person in the path.
    pub(super) fn member(&self) -> Result<Member, Failure> {
        UserId::parse(&self.at.user)
            .map(Member::User)
            .map_err(|_| Failure::not_found("member"))
    }

    pub(super) fn is_in_the_path(&self) -> bool {
        self.user.id.as_str() == self.at.user
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let user = signed_in(parts, app).await?;
        let Path(at) = Path::<At>::from_request_parts(parts, app)
            .await
            .map_err(|_| Failure::bad("the path is not valid"))?;
        let org = OrgId::parse(&at.org).map_err(|_| Failure::not_found("organization"))?;
        Ok(Self { user, org, at })
    }
}

async fn signed_in(parts: &Parts, app: &App) -> Result<User, Failure> {
    let token = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(Failure::unauthorized)?;
    let found = app.host.signed_in(Kind::Bearer, token).await?;
    let user = found.ok_or_else(Failure::unauthorized)?.user;
    let now = now();
    if user.last_seen_at.is_none_or(|seen| now.since(seen) >= SEEN) {
        app.host.seen(&user.id, now).await?;
    }
    Ok(user)
}

/// A body of JSON, whatever its content type is said to be.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let bytes = read(request, app).await?;
        parsed(&bytes)
            .map(Self)
            .map_err(IntoResponse::into_response)
    }
}

/// The same where a body may be left out.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let bytes = read(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parsed(&bytes)
            .map(Self)
            .map_err(IntoResponse::into_response)
    }
}

async fn read(request: Request, app: &App) -> Result<Bytes, Response> {
    Bytes::from_request(request, app)
        .await
        .map_err(IntoResponse::into_response)
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // All of it, also what no field is read from.
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::bad("the body is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| {
        // Where it is wrong and how, without what was sent.
        let what = match error.classify() {
            Category::Data => "is not what this endpoint takes",
            Category::Io | Category::Syntax | Category::Eof => "is not JSON",
        };
        let (line, column) = (error.line(), error.column());
        Failure::bad(format!("the body {what}: line {line}, column {column}"))
    })
}

/// The parameters behind the `?`.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|_| Failure::bad("the query is not valid"))
    }
}
