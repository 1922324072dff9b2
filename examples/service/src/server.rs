//! One listener, four surfaces, and what all of them need.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::info_span;

use crate::app::App;
use crate::{api, background, dashboard, gitbook, mcp, operations};

/// The largest body that is read.
const MAX_BODY: usize = 4 << 20;
/// The longest that a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Everything under one router.
pub fn router(app: &App) -> Router {
    let surfaces = Router::new()
        .merge(dashboard::router(app.clone()))
        .merge(api::router(app.clone()))
        .merge(gitbook::router(app.clone()))
        .merge(mcp::router(app.clone()))
        .merge(operations::router(app.clone(), recorder()));
    surfaces.layer(
        ServiceBuilder::new()
            // Around the layers that refuse in plain text.
            .layer(axum::middleware::from_fn(gitbook::answered_as_json))
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            // The path without the query: a join link's token is in there.
            .layer(
                TraceLayer::new_for_http().make_span_with(|request: &axum::http::Request<_>| {
                    let id = request.headers().get("x-request-id");
                    let path = gitbook::loggable(request.uri().path());
                    info_span!("request", method = %request.method(), %path,
                        id = id.and_then(|id| id.to_str().ok()))
                }),
            )
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(CatchPanicLayer::new())
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                TIMEOUT,
            ))
            .layer(RequestBodyLimitLayer::new(MAX_BODY))
            .layer(header("x-content-type-options", "nosniff"))
            .layer(header("x-frame-options", "DENY"))
            // A join link in the address bar must not travel to another site.
            .layer(header("referrer-policy", "no-referrer")),
    )
}

fn header(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

/// One recorder a process: tests start several servers.
fn recorder() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .install_recorder()
                .expect("nothing else in this process records metrics")
        })
        .clone()
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
    let background = tokio::spawn(background::run(app.guests.clone()));
    let service = router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let result = axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await;
    background.abort();
    result
}
