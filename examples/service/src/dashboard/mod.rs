//! dashboard

use axum::Router;

use crate::app::App;

pub(crate) fn router(app: App) -> Router {
    Router::new().with_state(app)
}
