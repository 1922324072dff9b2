//! The doors: previewing a token, claiming, accepting, declining, asking.

use axum::Json;
use guestlist::membership::link::LinkCondition;
use guestlist::token::TokenKind;
use guestlist::{Claim, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, MaybeBody, Visitor, guests};
use super::invites::Invite;
use super::links::Token;
use super::members::Changed;
use super::problem::{Problem, parse, parse_some};
use super::shape::Condition;
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(preview_token))
        .routes(routes!(claim))
        .routes(routes!(accept))
        .routes(routes!(decline))
        .routes(routes!(ask_to_join))
}

/// What a token opens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// `link` or `invite`.
    #[schema(example = "link")]
    kind: &'static str,
    /// The handle of the organization.
    organization: String,
    /// What people are shown for it.
    display_name: Option<String>,
    /// What the link is called.
    label: Option<String>,
    /// The role that a joining user gets.
    role: Option<String>,
    /// Whether somebody will have to approve.
    needs_review: bool,
    /// What the joining side will be asked.
    questions: Vec<String>,
    /// What the inviter says.
    message: Option<String>,
    /// The address that the invite is for, masked.
    address_hint: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whether it works now.
    #[schema(value_type = Condition)]
    condition: LinkCondition,
}

/// Shows what a token opens, before anybody signs in. Changes nothing and uses nothing up.
#[utoipa::path(post, path = "/token-previews", tag = "joining", request_body = Token,
    security(()), responses((status = 200, body = Preview)))]
async fn preview_token(
    visitor: Visitor,
    Body(body): Body<Token>,
) -> Result<Json<Preview>, Problem> {
    let token = body.parse()?;
    if token.kind() == TokenKind::EmailInvite {
        let found = guests!(visitor).preview_invite(&token).await?;
        return Ok(Json(Preview {
            kind: "invite",
            organization: found.host_name.to_string(),
            display_name: found.host_display_name.map(|name| name.to_string()),
            label: None,
            role: found.role.map(|role| role.to_string()),
            needs_review: found.needs_review,
            questions: Vec::new(),
            message: found.message.map(|message| message.to_string()),
            address_hint: Some(found.address_hint),
            expires_at: found.expires_at,
            condition: if found.expired {
                LinkCondition::Expired
            } else {
                LinkCondition::Open
            },
        }));
    }
    let found = guests!(visitor).preview(&token).await?;
    Ok(Json(Preview {
        kind: "link",
        organization: found.host_name.to_string(),
        display_name: found.host_display_name.map(|name| name.to_string()),
        label: found.label.map(|label| label.to_string()),
        role: found.role.map(|role| role.to_string()),
        needs_review: found.needs_review,
        questions: found.questions,
        message: None,
        address_hint: None,
        expires_at: found.expires_at,
        condition: found.condition,
    }))
}

/// Who joins: the caller, or an organization that the caller may bind.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "token": "gl_l_...", "organization": null, "answers": [] }))]
pub(crate) struct Joining {
    /// The token of a link.
    token: String,
    /// The organization that joins; null: the caller does.
    organization: Option<String>,
    /// Answers to the link's questions, in their order.
    #[serde(default)]
    answers: Vec<String>,
}

/// A claim with its answers, for an organization or for the caller.
fn claim_of(organization: Option<&OrgId>, answers: Vec<String>) -> Claim {
    let claim = if organization.is_some() {
        Claim::for_organization()
    } else {
        Claim::for_myself()
    };
    answers.into_iter().fold(claim, Claim::answer)
}

/// Presents a link's token: asks to join, or joins at once if link and organization say so.
#[utoipa::path(post, path = "/claims", tag = "joining", request_body = Joining,
    responses((status = 200, body = Changed)))]
async fn claim(caller: Caller, Body(body): Body<Joining>) -> Result<Json<Changed>, Problem> {
    let token = parse("token", &body.token)?;
    let organization = parse_some("organization", body.organization.as_deref())?;
    let actor = caller.actor_for(organization.as_ref());
    let claim = claim_of(organization.as_ref(), body.answers);
    let changed = guests!(caller).claim(&actor, &token, claim).await?;
    Ok(Json(changed.into()))
}

/// An e-mail invite's token, and who accepts it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepting {
    /// The token of an e-mail invite.
    token: String,
    /// The organization that joins; null: the caller does.
    organization: Option<String>,
}

/// Accepts an e-mail invite. The invited address must be the caller's.
#[utoipa::path(post, path = "/acceptances", tag = "joining", request_body = Accepting,
    responses((status = 200, body = Changed)))]
async fn accept(caller: Caller, Body(body): Body<Accepting>) -> Result<Json<Changed>, Problem> {
    let token = parse("token", &body.token)?;
    let organization = parse_some("organization", body.organization.as_deref())?;
    let actor = caller.actor_for(organization.as_ref());
    let claim = claim_of(organization.as_ref(), Vec::new());
    let changed = guests!(caller).accept(&actor, &token, claim).await?;
    Ok(Json(changed.into()))
}

/// Declines an e-mail invite. The invited address must be the caller's.
#[utoipa::path(post, path = "/declines", tag = "joining", request_body = Token,
    responses((status = 200, body = Invite)))]
async fn decline(caller: Caller, Body(body): Body<Token>) -> Result<Json<Invite>, Problem> {
    let token = body.parse()?;
    let declined = guests!(caller).decline(&caller.actor(), &token).await?;
    Ok(Json(declined.into()))
}

/// A request without any invite.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asking {
    /// The organization that joins; null: the caller does.
    organization: Option<String>,
    /// Answers to the questions, in their order.
    answers: Vec<String>,
    /// For whoever reviews it.
    #[schema(max_length = 2000)]
    message: Option<String>,
}

/// Asks an organization to join it, without any invite.
#[utoipa::path(post, path = "/organizations/{organization}/requests", tag = "joining",
    params(("organization" = String, Path)), request_body = Option<Asking>,
    responses((status = 200, body = Changed)))]
async fn ask_to_join(
    caller: Caller,
    At(host): At<OrgId>,
    MaybeBody(body): MaybeBody<Asking>,
) -> Result<Json<Changed>, Problem> {
    let organization = parse_some("organization", body.organization.as_deref())?;
    let message = parse_some("message", body.message.as_deref())?;
    let actor = caller.actor_for(organization.as_ref());
    let claim = claim_of(organization.as_ref(), body.answers);
    let changed = guests!(caller)
        .request(&actor, &host, claim, message)
        .await?;
    Ok(Json(changed.into()))
}
