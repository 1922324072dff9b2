//! What handlers take out of a request. Whatever is wrong with it is a [`Problem`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use guestlist::{Actor, Guestlist, IdempotencyKey, OrgId, Page, Store, Timestamp};
use serde::de::DeserializeOwned;

use super::problem::{Problem, of_field, parse_some};
use crate::app::App;
use crate::host::{Kind, User};

/// How much of an error in a body is told.
const MAX_DETAIL: usize = 300;

/// Somebody who may be signed in or not: where from.
pub(crate) struct Visitor {
    pub(crate) app: App,
    address: IpAddr,
}

/// Somebody who is signed in, and what the request says besides its body.
pub(crate) struct Caller {
    pub(crate) app: App,
    pub(crate) user: User,
    organization: Option<OrgId>,
    address: IpAddr,
    key: Option<IdempotencyKey>,
    if_match: Option<String>,
}

/// guestlist for one request. An address and a key each make it one reference deeper.
type Direct<'a> = Guestlist<&'a Arc<dyn Store>>;
pub(crate) type Keyed<'a, 'b> = Guestlist<&'a &'b Arc<dyn Store>>;

/// guestlist for this caller: with the address it comes from and its idempotency key.
macro_rules! guests {
    ($caller:expr) => {
        $caller.keyed(&$caller.direct())
    };
}
pub(crate) use guests;

impl Visitor {
    pub(crate) fn direct(&self) -> Direct<'_> {
        self.app.guests.from_address(self.address)
    }

    pub(crate) fn keyed<'a, 'b>(&self, direct: &'a Direct<'b>) -> Keyed<'a, 'b> {
        direct.from_address(self.address)
    }
}

impl Caller {
    /// The person, in the organization that the credential is for, if it is for one.
    pub(crate) fn actor(&self) -> Actor {
        match &self.organization {
            Some(organization) => self.user.actor_in(organization),
            None => self.user.actor(),
        }
    }

    /// The person in this organization; in none, for `None`.
    pub(crate) fn actor_for(&self, organization: Option<&OrgId>) -> Actor {
        organization.map_or_else(|| self.user.actor(), |id| self.user.actor_in(id))
    }

    pub(crate) fn direct(&self) -> Direct<'_> {
        self.app.guests.from_address(self.address)
    }

    pub(crate) fn keyed<'a, 'b>(&self, direct: &'a Direct<'b>) -> Keyed<'a, 'b> {
        match &self.key {
            Some(key) => direct.with_key(key.clone()),
            None => direct.from_address(self.address),
        }
    }

    pub(crate) const fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// Whether the caller made its request conditional.
    pub(crate) const fn is_conditional(&self) -> bool {
        self.if_match.is_some()
    }

    /// Refuses if the caller has seen another version than this one.
    pub(crate) fn check_match(&self, updated_at: Timestamp) -> Result<(), Problem> {
        let Some(wanted) = &self.if_match else {
            return Ok(());
        };
        let held = etag(updated_at);
        if wanted
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag == held)
        {
            Ok(())
        } else {
            Err(Problem::new(
                "precondition-failed",
                "it was changed since: get it again",
            ))
        }
    }
}

/// The version of a record.
pub(crate) fn etag(updated_at: Timestamp) -> String {
    format!("\"{:x}\"", updated_at.as_micros())
}

fn address_of(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    headers
        .get(name)
        .map(|value| {
            value.to_str().map_err(|_| {
                Problem::new(
                    "header-malformed",
                    format!("`{name}` is not printable ASCII"),
                )
            })
        })
        .transpose()
}

/// The token behind `Bearer`, which may be written in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self {
            app: app.clone(),
            address: address_of(parts),
        })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let unauthenticated =
            || Problem::new("unauthenticated", "this needs a bearer token that is valid");
        let token = bearer(&parts.headers).ok_or_else(unauthenticated)?;
        let signed_in = app
            .host
            .signed_in(Kind::Bearer, token)
            .await?
            .ok_or_else(unauthenticated)?;
        let name = HeaderName::from_static("idempotency-key");
        let key = header(&parts.headers, &name)?
            .map(IdempotencyKey::parse)
            .transpose()
            .map_err(|error| of_field("Idempotency-Key", &error))?;
        Ok(Self {
            app: app.clone(),
            user: signed_in.user,
            organization: signed_in.organization,
            address: address_of(parts),
            key,
            if_match: header(&parts.headers, &IF_MATCH)?.map(ToOwned::to_owned),
        })
    }
}

/// Who runs the service: whoever has the operator's key.
pub(crate) struct Operator {
    pub(crate) app: App,
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if bearer(&parts.headers).is_some_and(|token| app.is_operator(token)) {
            return Ok(Self { app: app.clone() });
        }
        Caller::from_request_parts(parts, app).await?;
        Err(Problem::new(
            "system-only",
            "only the operator of this service can do this",
        ))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body that may be left out.
pub(crate) struct MaybeBody<T>(pub(crate) T);

/// The query.
pub(crate) struct Params<T>(pub(crate) T);

/// The parameters of the path. An id that is none is found as little as an unknown one.
pub(crate) struct At<T>(pub(crate) T);

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // An array would be taken for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new("body-invalid", "the body is a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let mut detail = error.to_string();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
        }
        let code = if error.is_data() {
            "body-invalid"
        } else {
            "body-malformed"
        };
        Problem::new(code, detail)
    })
}

async fn bytes_of(request: Request, app: &App) -> Result<Bytes, Problem> {
    Bytes::from_request(request, app)
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE)
            } else {
                Problem::new("body-unreadable", "the body could not be read")
            }
        })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        read(&bytes_of(request, app).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let bytes = bytes_of(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !json {
            return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        read(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new("query-invalid", rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(path)) => Ok(Self(path)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => {
                use axum::extract::path::ErrorKind;
                Err(match failed.kind() {
                    ErrorKind::InvalidUtf8InPathParam { .. } => {
                        Problem::new("path-malformed", "the path is not UTF-8")
                    }
                    _ => Problem::of_status(StatusCode::NOT_FOUND),
                })
            }
            Err(_) => Err(Problem::new("internal-error", "")),
        }
    }
}

/// How many rows a page has if nobody says.
const PAGE: u32 = 100;

/// The page that a query asks for.
pub(crate) fn page(limit: Option<u32>, after: Option<&str>) -> Result<Page, Problem> {
    let page = Page::first(limit.unwrap_or(PAGE)).map_err(|error| of_field("limit", &error))?;
    Ok(match parse_some("after", after)? {
        Some(cursor) => page.after(cursor),
        None => page,
    })
}
