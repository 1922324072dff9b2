//! The caller: who it is, where it belongs, who has invited it.

use axum::Json;
use guestlist::membership::invite;
use guestlist::{EmailAddress, Member};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Caller, Params, guests, page};
use super::invites::Invite;
use super::members::{Membership, MembershipParams};
use super::problem::{Problem, parse_some};
use super::shape::{InvitePhase, List};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_me))
        .routes(routes!(list_my_memberships))
        .routes(routes!(list_my_invites))
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    #[schema(example = "usr_J6hQf0mXk2a9")]
    id: String,
    /// The verified address.
    email: String,
    display_name: String,
}

/// Who the caller is.
#[utoipa::path(get, path = "/me", tag = "me", responses((status = 200, body = Me)))]
async fn get_me(caller: Caller) -> Json<Me> {
    Json(Me {
        id: caller.user.id.to_string(),
        email: caller.user.email.to_string(),
        display_name: caller.user.display_name.to_string(),
    })
}

/// Organizations that the caller has joined or asked to join.
#[utoipa::path(get, path = "/me/memberships", tag = "me", params(MembershipParams),
    responses((status = 200, body = List<Membership>)))]
async fn list_my_memberships(
    caller: Caller,
    Params(params): Params<MembershipParams>,
) -> Result<Json<List<Membership>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let member = Member::User(caller.user.id.clone());
    let found = guests!(caller)
        .memberships_of(&caller.actor(), &member, params.status, &page)
        .await?;
    Ok(Json(List::of(found.members, found.next.as_ref())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MyInviteParams {
    /// One of the caller's verified addresses; the caller's own if nothing is said.
    address: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<InvitePhase>)]
    phase: Option<invite::InvitePhase>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// E-mail invites to the caller, of all organizations.
#[utoipa::path(get, path = "/me/invites", tag = "me", params(MyInviteParams),
    responses((status = 200, body = List<Invite>)))]
async fn list_my_invites(
    caller: Caller,
    Params(params): Params<MyInviteParams>,
) -> Result<Json<List<Invite>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let address: Option<EmailAddress> = parse_some("address", params.address.as_deref())?;
    let address = address.unwrap_or_else(|| caller.user.email.clone());
    let found = guests!(caller)
        .invites_to(&caller.actor(), &address, params.phase, &page)
        .await?;
    Ok(Json(List::of(found.invites, found.next.as_ref())))
}
