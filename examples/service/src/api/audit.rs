//! The audit trail.

use axum::Json;
use guestlist::store::Recorded;
use guestlist::{EventFilter, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Caller, Params, guests, page};
use super::problem::{Problem, parse_some};
use super::shape::{By, List, Which, member_at};
use super::shape::{Kind, Sequence};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_events))
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    sequence: Sequence,
    /// The stable name of the event.
    #[schema(example = "membership-approved")]
    name: &'static str,
    by: By,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The event as guestlist keeps it: ids and reasons, never a token.
    #[schema(value_type = Object)]
    event: serde_json::Value,
    /// Whether personal data was erased from it.
    erased: bool,
}

impl From<Recorded> for AuditEvent {
    fn from(recorded: Recorded) -> Self {
        Self {
            sequence: recorded.sequence.into(),
            name: recorded.event.name(),
            by: (&recorded.stamp.by).into(),
            at: recorded.stamp.at,
            event: serde_json::to_value(&recorded.event).unwrap_or_default(),
            erased: recorded.erased.is_some(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditParams {
    /// Only those by this user.
    by: Option<String>,
    /// Only those of this name.
    name: Option<String>,
    /// With `member`: what that is.
    #[param(value_type = Option<Kind>)]
    member_kind: Option<Which>,
    /// Only those about this member; a user if `member_kind` says nothing.
    member: Option<String>,
    /// Only those about this link.
    link: Option<String>,
    /// Only those about this e-mail invite.
    invite: Option<String>,
    /// Only those at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only those before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Who did what, when and why, oldest first. Needs `settings.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/audit-events", tag = "audit",
    params(("organization" = String, Path), AuditParams),
    responses((status = 200, body = List<AuditEvent>)))]
async fn list_audit_events(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(params): Params<AuditParams>,
) -> Result<Json<List<AuditEvent>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let which = params.member_kind.unwrap_or(Which::Users);
    let member = params.member.as_deref().map(|id| member_at(which, id));
    let filter = EventFilter {
        by: parse_some("by", params.by.as_deref())?,
        name: params.name,
        member: member.transpose()?,
        link: parse_some("link", params.link.as_deref())?,
        invite: parse_some("invite", params.invite.as_deref())?,
        from: parse_some("from", params.from.as_deref())?,
        until: parse_some("until", params.until.as_deref())?,
        ..EventFilter::default()
    };
    let found = guests!(caller)
        .audit(&caller.actor(), &organization, filter, &page)
        .await?;
    Ok(Json(List::of(found.events, found.next.as_ref())))
}
