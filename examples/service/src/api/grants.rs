//! Grants, and who may give them.

use axum::Json;
use axum::http::StatusCode;
use guestlist::access_rules::{ActionSet, Giver, Subject};
use guestlist::types::GrantId;
use guestlist::{OrgId, Timestamp, access_rules};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, Params, guests};
use super::problem::{Problem, parse};
use super::shape::{ActionName, Audience, List, Member, Paging, Pattern, Sharing};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_grants, give_grant))
        .routes(routes!(revoke_grant))
        .routes(routes!(set_sharing))
}

/// To whom something is granted.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = json!({ "organization": "everyone" }))]
pub(crate) enum Grantee {
    /// Everybody of the organization, with or without proxy users.
    #[schema(value_type = Audience)]
    Organization(access_rules::Audience),
    /// Whoever is in the group of this id.
    Group(String),
    /// One member.
    Member(Member),
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Grant {
    id: String,
    /// The user who gave it; null: the application itself.
    giver: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    given_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    to: Grantee,
    #[schema(value_type = Vec<ActionName>)]
    actions: ActionSet,
    pattern: Pattern,
}

impl From<access_rules::Grant> for Grant {
    fn from(grant: access_rules::Grant) -> Self {
        Self {
            id: grant.id.to_string(),
            giver: match grant.giver {
                Giver::System => None,
                Giver::User(user) => Some(user.to_string()),
            },
            given_at: grant.at,
            expires_at: grant.expires_at,
            to: match grant.subject {
                Subject::Organization(audience) => Grantee::Organization(audience),
                Subject::Group(group) => Grantee::Group(group.to_string()),
                Subject::Member { member, .. } => Grantee::Member((&member).into()),
            },
            actions: grant.actions,
            pattern: (&grant.pattern).into(),
        }
    }
}

/// A new grant.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "to": { "member": { "kind": "users", "id": "usr_J6hQf0mXk2a9" } },
    "actions": ["read", "update"],
    "pattern": { "prefix": "guides/" },
}))]
pub(crate) struct NewGrant {
    to: Grantee,
    #[schema(value_type = Vec<ActionName>)]
    actions: ActionSet,
    pattern: Pattern,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Grants of an organization, oldest first. Needs `grants.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/grants", tag = "grants",
    params(("organization" = String, Path), Paging),
    responses((status = 200, body = List<Grant>)))]
async fn list_grants(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<Grant>>, Problem> {
    let (grants, next) = guests!(caller)
        .grants(&caller.actor(), &organization, &paging.page()?)
        .await?;
    Ok(Json(List::of(grants, next.as_ref())))
}

/// Gives somebody actions on all keys that a pattern covers.
#[utoipa::path(post, path = "/organizations/{organization}/grants", tag = "grants",
    params(("organization" = String, Path)), request_body = NewGrant,
    responses((status = 201, body = Grant)))]
async fn give_grant(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(new): Body<NewGrant>,
) -> Result<(StatusCode, Json<Grant>), Problem> {
    let to = match &new.to {
        Grantee::Organization(audience) => guestlist::Grantee::Organization(*audience),
        Grantee::Group(group) => guestlist::Grantee::Group(parse("to.group", group)?),
        Grantee::Member(member) => guestlist::Grantee::Member(member.parse("to.member")?),
    };
    let pattern = new.pattern.parse("pattern")?;
    let actor = caller.actor();
    let grant = guests!(caller)
        .grant(
            &actor,
            &organization,
            to,
            new.actions,
            pattern,
            new.expires_at,
        )
        .await?;
    Ok((StatusCode::CREATED, Json(grant.into())))
}

/// Takes a grant back. Needs `share` over its pattern, or the highest role.
#[utoipa::path(delete, path = "/organizations/{organization}/grants/{grant}", tag = "grants",
    params(("organization" = String, Path), ("grant" = String, Path)),
    responses((status = 204, description = "It is revoked")))]
async fn revoke_grant(
    caller: Caller,
    At((organization, grant)): At<(OrgId, GrantId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .revoke(&caller.actor(), &organization, grant)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who may give grants.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharingRule {
    #[schema(value_type = Sharing)]
    sharing: guestlist::Sharing,
}

/// Decides who may give grants. Needs `settings.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/sharing", tag = "grants",
    params(("organization" = String, Path)), request_body = SharingRule,
    responses((status = 204, description = "It holds")))]
async fn set_sharing(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<SharingRule>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .set_sharing(&caller.actor(), &organization, body.sharing)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
