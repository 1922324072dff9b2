//! GitBook's endpoints for invites, members and teams, under `/v1`.
//!
//! Handlers translate: what the wire says into a call of guestlist, and its answer back. Who may do
//! what is guestlist's to decide, and so is what a link opens and that somebody stays an admin.

mod caller;
mod content;
mod error;
mod invites;
mod links;
mod members;
mod organization;
mod paging;
mod roster;
mod shapes;
mod teams;

use axum::Router;
use axum::routing::{get, post, put};

use crate::app::App;

pub(crate) use content::{COLLECTION_ID, SPACE_ID};
pub(crate) use error::refused;

pub(crate) fn router(app: App) -> Router {
    let organization = Router::new()
        .route("/", get(organization::show).patch(organization::change))
        .route("/invites", post(invites::add))
        .route("/invites/{invite}", post(links::join))
        .route("/link-invites", get(links::list).post(links::create))
        .route(
            "/link-invites/{invite}",
            get(links::show).patch(links::change).delete(links::delete),
        )
        .route("/members", get(members::list))
        .route(
            "/members/{user}",
            get(members::show)
                .patch(members::change)
                .delete(members::remove),
        )
        .route("/members/{user}/teams", get(teams::of_member))
        .route("/teams", get(teams::list).put(teams::create))
        .route(
            "/teams/{team}",
            get(teams::show).patch(teams::change).delete(teams::delete),
        )
        .route(
            "/teams/{team}/members",
            get(teams::members).put(teams::change_members),
        )
        .route(
            "/teams/{team}/members/{user}",
            put(teams::put_member).delete(teams::remove_member),
        );
    let all = Router::new()
        .nest("/orgs/{org}", organization)
        .fallback(error::no_such_endpoint)
        .with_state(app);
    Router::new().nest("/v1", all)
}
