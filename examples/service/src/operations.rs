//! Health, readiness, metrics.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use guestlist::{CommandRecord, DecisionRecord, Observer};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::App;

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
