//! GitBook's endpoints for invites and members, under `/v1`.

use axum::Router;

use crate::app::App;

/// The space of the demo.
pub(crate) const SPACE_ID: &str = "space_handbook";
/// The collection of the demo.
pub(crate) const COLLECTION_ID: &str = "collection_api";

pub(crate) fn router(app: App) -> Router {
    Router::new().with_state(app)
}
