//! Health, readiness, metrics.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use guestlist::{Clock as _, CommandRecord, DecisionRecord, Observer, SystemClock};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::info;

use crate::app::App;

/// The upper ends of the histograms, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Counts commands and decisions.
pub(crate) struct MetricsObserver;

impl Observer for MetricsObserver {
    fn decided(&self, record: &DecisionRecord) {
        let answer = if record.decision.is_allowed() {
            "allow"
        } else {
            "deny"
        };
        metrics::counter!("guestlist_decisions_total", "action" => record.action.as_str(), "answer" => answer)
            .increment(1);
    }

    fn commanded(&self, record: &CommandRecord<'_>) {
        metrics::counter!("guestlist_commands_total", "operation" => record.operation, "outcome" => record.outcome)
            .increment(1);
        metrics::histogram!("guestlist_command_seconds", "operation" => record.operation)
            .record(record.took.as_secs_f64());
    }
}

/// One recorder a process: tests make several routers.
pub(crate) fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets(&BUCKETS)
                .expect("there are buckets")
                .install_recorder()
                .expect("nothing else in this process records metrics")
        })
        .clone()
}

/// The template of the route that a request goes to: without what is in the path.
pub(crate) fn route_of(request: &Request) -> &str {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
}

/// The method, as one of few: anybody may send any.
fn method_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts requests, measures how long they take, and logs them without anything that they hold.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let route = route_of(&request).to_owned();
    let method = method_of(request.method());
    let began = SystemClock.now();
    let response = next.run(request).await;
    let took = SystemClock.now().since(began);
    let status = response.status().as_u16();
    metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("http_request_seconds", "method" => method, "route" => route.clone())
        .record(took.as_secs_f64());
    info!(
        method,
        route,
        status,
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

pub(crate) fn router(app: App, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(app)
        .route(
            "/metrics",
            get(move || {
                metrics.run_upkeep();
                let text = metrics.render();
                async move { text }
            }),
        )
}

/// Whether both halves of the database answer.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    let own = app
        .host
        .database
        .query("select 1", Vec::new())
        .await
        .is_ok();
    let guestlist = app.guests.feed(None, 1).await.is_ok();
    if own && guestlist {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
    }
}
