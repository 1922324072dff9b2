//! Webhook endpoints.

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use guestlist::membership::webhook::{self, DisabledFor, EndpointStatus};
use guestlist::types::EndpointId;
use guestlist::{EndpointDraft, EndpointWithSecret, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, MaybeBody, Params, guests};
use super::links::Overlap;
use super::problem::{Problem, parse, parse_some};
use super::shape::{List, Paging, Sequence};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(get_webhook, edit_webhook, delete_webhook))
        .routes(routes!(reveal_webhook_secret))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(enable_webhook))
        .routes(routes!(disable_webhook))
        .routes(routes!(list_dead_letters))
        .routes(routes!(replay))
}

/// Where an organization's events are sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Webhook {
    id: String,
    url: String,
    label: Option<String>,
    /// Only events of these names; empty: all.
    events: Vec<String>,
    /// Whether it is sent to.
    enabled: bool,
    /// Why it is not: `asked`, or `gone` where it said so itself.
    disabled_for: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<webhook::Endpoint> for Webhook {
    fn from(endpoint: webhook::Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.url.to_string(),
            label: endpoint.label.map(|label| label.to_string()),
            events: endpoint.events.into_iter().collect(),
            enabled: endpoint.status == EndpointStatus::Enabled,
            disabled_for: match endpoint.status {
                EndpointStatus::Enabled => None,
                EndpointStatus::Disabled(DisabledFor::Asked) => Some("asked"),
                EndpointStatus::Disabled(DisabledFor::Gone) => Some("gone"),
            },
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// A webhook with the secret that its messages are verified with.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    webhook: Webhook,
    /// `whsec_...`, of the Standard Webhooks specification.
    secret: String,
}

impl From<EndpointWithSecret> for WebhookWithSecret {
    fn from(held: EndpointWithSecret) -> Self {
        Self {
            secret: held.secret.expose_secret().to_string(),
            webhook: held.endpoint.into(),
        }
    }
}

/// Where to send which events.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://hooks.example.com/guestlist",
    "label": "Chat",
    "events": ["membership-approved"],
}))]
pub(crate) struct WebhookDraft {
    /// Must begin with `https`.
    #[schema(max_length = 2048)]
    url: String,
    #[schema(max_length = 120)]
    label: Option<String>,
    /// Only events of these names; none: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    events: Vec<String>,
}

impl WebhookDraft {
    fn parse(self) -> Result<EndpointDraft, Problem> {
        let mut draft = EndpointDraft::new(parse("url", &self.url)?);
        if let Some(label) = parse_some("label", self.label.as_deref())? {
            draft = draft.label(label);
        }
        Ok(self.events.into_iter().fold(draft, EndpointDraft::event))
    }
}

/// Sends an organization's events to this URL from now on. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks", tag = "webhooks",
    params(("organization" = String, Path)), request_body = WebhookDraft,
    responses((status = 201, body = WebhookWithSecret, headers(("Location" = String)))))]
async fn create_webhook(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(draft): Body<WebhookDraft>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 1],
        Json<WebhookWithSecret>,
    ),
    Problem,
> {
    let draft = draft.parse()?;
    let made = guests!(caller)
        .create_endpoint(&caller.actor(), &organization, draft)
        .await?;
    let id = made.endpoint.id;
    let place = format!("/api/v1/organizations/{organization}/webhooks/{id}");
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(made.into())))
}

/// Webhooks of an organization. Needs `settings.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/webhooks", tag = "webhooks",
    params(("organization" = String, Path), Paging),
    responses((status = 200, body = List<Webhook>)))]
async fn list_webhooks(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<Webhook>>, Problem> {
    let (endpoints, next) = guests!(caller)
        .endpoints(&caller.actor(), &organization, &paging.page()?)
        .await?;
    Ok(Json(List::of(endpoints, next.as_ref())))
}

/// One webhook. Needs `settings.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/webhooks/{webhook}", tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = Webhook)))]
async fn get_webhook(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<Json<Webhook>, Problem> {
    let found = guests!(caller)
        .endpoint(&caller.actor(), &organization, webhook)
        .await?;
    Ok(Json(found.into()))
}

/// Changes where a webhook goes, what it is called and what it gets. Needs `settings.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/webhooks/{webhook}", tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    request_body = WebhookDraft,
    responses((status = 200, body = Webhook)))]
async fn edit_webhook(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
    Body(draft): Body<WebhookDraft>,
) -> Result<Json<Webhook>, Problem> {
    let draft = draft.parse()?;
    let edited = guests!(caller)
        .edit_endpoint(&caller.actor(), &organization, webhook, draft)
        .await?;
    Ok(Json(edited.into()))
}

/// Deletes a webhook. Needs `settings.manage`.
#[utoipa::path(delete, path = "/organizations/{organization}/webhooks/{webhook}",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 204, description = "It is deleted")))]
async fn delete_webhook(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .delete_endpoint(&caller.actor(), &organization, webhook)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secret of a webhook, to verify its messages with. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks/{webhook}/reveal-secret",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = WebhookWithSecret)))]
async fn reveal_webhook_secret(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<Json<WebhookWithSecret>, Problem> {
    let found = guests!(caller)
        .endpoint_secret(&caller.actor(), &organization, webhook)
        .await?;
    Ok(Json(found.into()))
}

/// Gives a webhook another secret; messages carry both signatures for a while, at most seven days.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks/{webhook}/rotate-secret",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    request_body = Option<Overlap>,
    responses((status = 200, body = WebhookWithSecret)))]
async fn rotate_webhook_secret(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
    MaybeBody(overlap): MaybeBody<Overlap>,
) -> Result<Json<WebhookWithSecret>, Problem> {
    let actor = caller.actor();
    let rotated = guests!(caller)
        .rotate_endpoint_secret(&actor, &organization, webhook, overlap.duration())
        .await?;
    Ok(Json(rotated.into()))
}

/// Sends to a webhook again, beginning with what it missed. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks/{webhook}/enable",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = Webhook)))]
async fn enable_webhook(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<Json<Webhook>, Problem> {
    let enabled = guests!(caller)
        .enable_endpoint(&caller.actor(), &organization, webhook)
        .await?;
    Ok(Json(enabled.into()))
}

/// Sends nothing to a webhook until it is enabled again. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks/{webhook}/disable",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = Webhook)))]
async fn disable_webhook(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<Json<Webhook>, Problem> {
    let disabled = guests!(caller)
        .disable_endpoint(&caller.actor(), &organization, webhook)
        .await?;
    Ok(Json(disabled.into()))
}

/// An event that could not be delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    sequence: Sequence,
    attempts: u32,
    /// When it is tried again; null: not unless somebody asks for it.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// What went wrong the last time, as a code.
    error: String,
    #[schema(value_type = String, format = DateTime)]
    tried_at: Timestamp,
}

impl From<guestlist::DeadLetter> for DeadLetter {
    fn from(letter: guestlist::DeadLetter) -> Self {
        Self {
            sequence: letter.sequence.into(),
            attempts: letter.attempts,
            next_at: letter.next_at,
            error: letter.error,
            tried_at: letter.tried_at,
        }
    }
}

/// Events that could not be delivered, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetters {
    items: Vec<DeadLetter>,
}

/// What could not be delivered: what is tried again, and what isn't any more.
#[utoipa::path(get, path = "/organizations/{organization}/webhooks/{webhook}/dead-letters",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = DeadLetters)))]
async fn list_dead_letters(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
) -> Result<Json<DeadLetters>, Problem> {
    let letters = guests!(caller)
        .dead_letters(&caller.actor(), &organization, webhook)
        .await?;
    Ok(Json(DeadLetters {
        items: letters.into_iter().map(Into::into).collect(),
    }))
}

/// What is to be tried again.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Replaying {
    /// This event; all that are not tried any more if nothing is said.
    event: Option<Sequence>,
}

/// How many events are tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    events: usize,
}

/// Has what could not be delivered tried again with the next round. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/webhooks/{webhook}/replay",
    tag = "webhooks",
    params(("organization" = String, Path), ("webhook" = String, Path)),
    request_body = Option<Replaying>,
    responses((status = 200, body = Replayed)))]
async fn replay(
    caller: Caller,
    At((organization, webhook)): At<(OrgId, EndpointId)>,
    MaybeBody(body): MaybeBody<Replaying>,
) -> Result<Json<Replayed>, Problem> {
    let event = body.event.map(Into::into);
    let events = guests!(caller)
        .replay(&caller.actor(), &organization, webhook, event)
        .await?;
    Ok(Json(Replayed { events }))
}
