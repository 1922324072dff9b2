//! One listener, four surfaces, and what all of them need.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode, Version};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::{info_span, warn};

use crate::api::problem::Problem;
use crate::app::App;
use crate::operations::{self, recorder, route_of};
use crate::{api, background, dashboard, gitbook, mcp};

/// The largest body that is read.
const MAX_BODY: usize = 4 << 20;
/// How much of a larger body is thrown away before it is refused.
const MAX_DISCARDED: usize = 16 << 20;
/// For how long it is read.
const DISCARDING: Duration = Duration::from_millis(500);
/// The longest that a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way have to end, once the service is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Everything under one router.
pub fn router(app: &App) -> Router {
    let surfaces = Router::new()
        .merge(dashboard::router(app.clone()))
        .merge(api::router(app.clone()))
        .merge(gitbook::router(app.clone()))
        .merge(mcp::router(app.clone()))
        .merge(operations::router(app.clone(), recorder()));
    let router = wrapped(surfaces);
    // Browsers must not be told to come back encrypted where nothing is.
    if app.public_url.starts_with("https://") {
        router.layer(header(STRICT_TRANSPORT_SECURITY, "max-age=31536000"))
    } else {
        router
    }
}

/// What all surfaces need, from the outside in.
fn wrapped(surfaces: Router) -> Router {
    surfaces.layer(
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(header(X_FRAME_OPTIONS, "DENY"))
            // A join link in the address bar must not travel to another site.
            .layer(header(REFERRER_POLICY, "no-referrer"))
            // The template of the route: paths and queries may hold tokens and addresses.
            .layer(
                TraceLayer::new_for_http().make_span_with(|request: &Request| {
                    let id = request.headers().get("x-request-id");
                    info_span!("request", method = %request.method(), route = route_of(request),
                    id = id.and_then(|id| id.to_str().ok()))
                }),
            )
            .layer(middleware::from_fn(operations::measure))
            .layer(middleware::from_fn(in_form))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                TIMEOUT,
            ))
            .layer(middleware::from_fn(read_body)),
    )
}

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Reads the body, so that nothing is answered before it is there, and refuses one that is too
/// large. Some of what is too large is read all the same: a client that is still sending when its
/// connection is closed never sees the answer.
async fn read_body(request: Request, next: Next) -> Response {
    let (head, mut body) = request.into_parts();
    if body.size_hint().lower() <= MAX_BODY as u64 {
        match Limited::new(&mut body, MAX_BODY).collect().await {
            Ok(whole) => {
                let request = Request::from_parts(head, whole.to_bytes().into());
                return next.run(request).await;
            }
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
    }
    // Whoever sends slowly, or waits to be told, is told now.
    let is_at_its_end = timeout(DISCARDING, discard(&mut body)).await;
    let mut response = StatusCode::PAYLOAD_TOO_LARGE.into_response();
    if is_at_its_end != Ok(true) && head.version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Reads to the end, if that is not too far away: whether it was.
async fn discard(body: &mut Body) -> bool {
    let mut left = MAX_DISCARDED;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return false;
        }
    }
    true
}

/// A defect. What it was is in the log of panics, and nobody else's business.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Gives the errors of the router and of the layers the form of the surface where they happened.
async fn in_form(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let form = [
        ("/api/", problem as fn(StatusCode) -> Response),
        ("/v1/", gitbook::refused),
    ]
    .into_iter()
    .find(|(beginning, _)| path.starts_with(beginning));
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let content = response.headers().get(CONTENT_TYPE);
    let is_json = content.is_some_and(|content| content.as_bytes().ends_with(b"json"));
    match form {
        Some((_, form)) if is_error && !is_json => {
            let mut shaped = form(status);
            for (name, value) in response.headers() {
                if name != CONTENT_TYPE && name != CONTENT_LENGTH {
                    shaped.headers_mut().insert(name, value.clone());
                }
            }
            shaped
        }
        _ => response,
    }
}

fn problem(status: StatusCode) -> Response {
    Problem::of_status(status).into_response()
}

/// Serves until `stop` is done, then ends what is under way.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let background = tokio::spawn(background::run(app.guests.clone(), stopping.subscribe()));
    let abort = background.abort_handle();
    let service = router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        stopping.send_replace(true);
    });
    let result = tokio::select! {
        result = server => result,
        // A stream that somebody listens to never ends by itself.
        () = async {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            sleep(GRACE).await;
        } => {
            warn!("some requests did not end in time");
            Ok(())
        }
    };
    // What it is at is committed whole or not at all, and is done again after a start.
    if timeout(GRACE, background).await.is_err() {
        abort.abort();
    }
    result
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::routing::{get, post};
    use tower::ServiceExt as _;

    use super::*;

    fn wrapped_routes() -> Router {
        async fn panics() {
            panic!("row 7 of the secrets");
        }
        async fn takes(body: Bytes) -> String {
            body.len().to_string()
        }
        wrapped(
            Router::new()
                .route("/api/v1/panics", get(panics))
                .route("/v1/panics", get(panics))
                .route("/panics", get(panics))
                .route("/api/v1/takes", post(takes)),
        )
    }

    async fn answer(request: Request) -> (StatusCode, String, String) {
        let response = wrapped_routes().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (
            status,
            kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned()),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    fn get_of(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_an_error_without_detail() {
        for (path, form) in [
            ("/api/v1/panics", "application/problem+json"),
            ("/v1/panics", "application/json"),
            ("/panics", ""),
        ] {
            let (status, kind, body) = answer(get_of(path)).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!(kind, form, "{path}");
            assert!(!body.contains("row 7"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn unknown_paths_and_methods_have_the_form_of_their_surface() {
        let (status, kind, body) = answer(get_of("/api/v1/nothing")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(kind, "application/problem+json");
        assert!(body.contains("\"code\":\"not-found\""), "{body}");
        let (status, kind, body) = answer(get_of("/api/v1/takes")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(kind, "application/problem+json");
        assert!(body.contains("method-not-allowed"), "{body}");
    }

    #[tokio::test]
    async fn large_bodies_are_refused_with_and_without_a_length() {
        let body = vec![b'x'; MAX_BODY + 1];
        let told = Request::post("/api/v1/takes")
            .header(CONTENT_LENGTH, body.len())
            .body(Body::from(body.clone()))
            .unwrap();
        let untold = Request::post("/api/v1/takes")
            .body(Body::from(body))
            .unwrap();
        for request in [told, untold] {
            let (status, kind, _) = answer(request).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(kind, "application/problem+json");
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_not_read_to_its_end_is_given_up() {
        for (length, closed) in [(MAX_BODY + 1, false), (MAX_DISCARDED, true)] {
            let body = Body::from(vec![b'x'; length]);
            let request = Request::post("/api/v1/takes").body(body).unwrap();
            let response = wrapped_routes().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(response.headers().contains_key(CONNECTION), closed);
        }
    }

    #[tokio::test]
    async fn browsers_are_told_to_come_back_encrypted_only_where_that_works() {
        use crate::app::Location;

        for (public_url, told) in [
            ("https://guests.example", true),
            ("http://localhost", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let database = Location::Sqlite(folder.path().join("service.db"));
            let app = App::open(&database, folder.path(), public_url, false, true)
                .await
                .unwrap();
            let response = router(&app).oneshot(get_of("/healthz")).await.unwrap();
            let headers = response.headers();
            assert_eq!(
                headers.contains_key(STRICT_TRANSPORT_SECURITY),
                told,
                "{public_url}"
            );
        }
    }
}
