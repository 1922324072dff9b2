//! The MCP server at `/mcp`: memories, invites, memberships, sharing.
//!
//! Tools read their parameters, ask guestlist, and say what it answered.

mod caller;
mod error;
mod invites;
mod like;
mod members;
mod memory;
mod server;
mod share;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use guestlist::types::DisplayName;
use guestlist::{Actor, Member, OrgId, Preset};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::de::IgnoredAny;
use serde_json::json;
use tracing::error;

use self::caller::Caller;
use self::server::Server;
use crate::app::App;
use crate::host::{Kind, User};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The largest body of a call: below what the whole service reads, so that it is this one that
/// answers.
const MAX_BODY: usize = 3 << 20;

pub(crate) fn router(app: App) -> Router {
    // No sessions: a credential is looked up for each call, and so is everything else.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        // A bearer token is not sent by a page that was led here by a name of its own.
        .disable_allowed_hosts()
        .with_allowed_origins(origin(&app.public_url))
        .enforce_origin_validation();
    let service = StreamableHttpService::new(
        || Ok(Server),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route_service("/mcp", service)
        .layer(from_fn_with_state(app, enter))
}

/// This service's own pages, the only ones that may call from a browser.
fn origin(public_url: &str) -> Option<String> {
    let url: Uri = public_url.parse().ok()?;
    let (scheme, host) = (url.scheme_str()?, url.host()?);
    let default = if scheme == "https" { 443 } else { 80 };
    Some(format!(
        "{scheme}://{host}:{}",
        url.port_u16().unwrap_or(default)
    ))
}

/// Lets in who is signed in, and only what is a message.
async fn enter(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = match caller(app, request.headers()).await {
        Ok(caller) => caller,
        Err(response) => return response,
    };
    request.extensions_mut().insert(caller);
    if request.method() == Method::POST {
        match message_in(request).await {
            Ok(whole) => request = whole,
            Err(response) => return response,
        }
    }
    let is_json = is_json(request.headers());
    let response = next.run(request).await;
    if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // It was JSON, and no message of the protocol.
        return protocol_error(-32600, "this is no message of the protocol");
    }
    response
}

async fn caller(app: App, headers: &HeaderMap) -> Result<Caller, Response> {
    let token = bearer(headers).ok_or_else(unauthorized)?;
    let signed_in = match app.host.signed_in(Kind::Bearer, token).await {
        Ok(signed_in) => signed_in.ok_or_else(unauthorized)?,
        Err(error) => {
            error!(%error, "a credential could not be looked up");
            let (code, message) = ("unavailable", "this can't be answered now; try again");
            return Err(refused(StatusCode::SERVICE_UNAVAILABLE, code, message));
        }
    };
    let Some(organization) = signed_in.organization else {
        let message = "this token is not for acting in an organization";
        return Err(refused(StatusCode::FORBIDDEN, "permission_denied", message));
    };
    Ok(Caller {
        actor: signed_in.user.actor_in(&organization),
        app,
        organization,
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The request with its body read: a body that is too large or no JSON is answered here.
async fn message_in(request: Request) -> Result<Request, Response> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let message = "the body is too large, or was cut off";
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
    };
    let text = std::str::from_utf8(&body).unwrap_or_default();
    if is_json(&parts.headers) && serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Err(protocol_error(-32700, "the body is no JSON"));
    }
    // Everything is answered in JSON: whoever can take nothing else, or doesn't say, is served.
    let both = HeaderValue::from_static("application/json, text/event-stream");
    parts.headers.insert(header::ACCEPT, both);
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn unauthorized() -> Response {
    let message = "a valid bearer token is needed";
    let mut response = refused(StatusCode::UNAUTHORIZED, "unauthorized", message);
    let scheme = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    response
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, axum::Json(body)).into_response()
}

fn protocol_error(code: i32, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

/// A person whom an organization made itself, known there by a user name.
pub(crate) async fn create_named_user(
    app: &App,
    organization: &OrgId,
    name: &str,
) -> Result<User, Failure> {
    let user = app
        .host
        .create_named_user(organization, &DisplayName::parse(name)?)
        .await?
        .ok_or("the user name is taken")?;
    app.guests
        .add_member(
            &Actor::system(),
            organization,
            &Member::User(user.id.clone()),
            Preset::default(),
            None,
        )
        .await?;
    Ok(user)
}
