//! The dashboard: pages that a server writes and forms that it reads. Everything works without
//! script.
//!
//! Handlers translate: a form becomes a command of guestlist, its answer becomes words. What may
//! be done is never decided here, so that a refusal is shown in guestlist's own words.

mod access;
mod assets;
mod audit;
mod desk;
mod fields;
mod groups;
mod incoming;
mod insights;
mod join;
mod links;
mod memories;
mod names;
mod outgoing;
mod overview;
mod people;
mod problem;
mod sign_in;
mod view;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse as _, Response};
use tower_http::csrf::CsrfLayer;

use crate::app::App;
use problem::Problem;

/// What a handler answers.
type Answer = Result<Response, Problem>;

pub(crate) fn router(app: App) -> Router {
    // A browser says where a form was sent from; without script, too. The origin that this service
    // is known by counts where a proxy in front of it rewrites `Host`.
    let csrf = CsrfLayer::new();
    let csrf = match csrf.clone().add_trusted_origin(&app.public_url) {
        Ok(trusting) => trusting,
        Err(_) => csrf,
    };
    Router::new()
        .merge(overview::routes())
        .merge(sign_in::routes())
        .merge(join::routes())
        .merge(links::routes())
        .merge(incoming::routes())
        .merge(outgoing::routes())
        .merge(people::routes())
        .merge(groups::routes())
        .merge(access::routes())
        .merge(insights::routes())
        .merge(audit::routes())
        .merge(memories::routes())
        .route_layer(csrf)
        .route_layer(from_fn_with_state(app.clone(), desk::frame))
        .merge(assets::routes())
        .with_state(app)
}

/// A page that was asked for.
fn show<T: askama::Template>(template: &T) -> Answer {
    Ok(Html(template.render().map_err(|_| Problem::broken())?).into_response())
}
