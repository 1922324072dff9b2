//! Groups.

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use guestlist::access_rules;
use guestlist::types::GroupId;
use guestlist::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, Params, guests};
use super::organizations::Name;
use super::problem::{Problem, parse};
use super::shape::{Kind, List, Member, Paging, Which, member_at};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(delete_group))
        .routes(routes!(rename_group))
        .routes(routes!(mark_group))
        .routes(routes!(list_group_members))
        .routes(routes!(add_to_group, remove_from_group))
        .routes(routes!(nest_group, unnest_group))
        .routes(routes!(set_external_group, unset_external_group))
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Group {
    /// Never used again, also not for a new group of this name.
    id: String,
    #[schema(example = "writers")]
    name: String,
    /// Whether no outsider can be in it, by any path.
    internal: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<access_rules::Group> for Group {
    fn from(group: access_rules::Group) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.to_string(),
            internal: group.internal,
            created_at: group.created_at,
        }
    }
}

/// A new group.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "writers" }))]
pub(crate) struct NewGroup {
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// Whether no outsider can be in it, by any path.
    #[serde(default)]
    internal: bool,
}

/// Creates a group. Needs `groups.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/groups", tag = "groups",
    params(("organization" = String, Path)), request_body = NewGroup,
    responses((status = 201, body = Group, headers(("Location" = String)))))]
async fn create_group(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(new): Body<NewGroup>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Group>), Problem> {
    let name = parse("name", &new.name)?;
    let group = guests!(caller)
        .create_group(&caller.actor(), &organization, name, new.internal)
        .await?;
    let place = format!("/api/v1/organizations/{organization}/groups/{}", group.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(group.into())))
}

/// Groups of an organization, oldest first. Needs `groups.manage` or `grants.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/groups", tag = "groups",
    params(("organization" = String, Path), Paging),
    responses((status = 200, body = List<Group>)))]
async fn list_groups(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<Group>>, Problem> {
    let (groups, next) = guests!(caller)
        .groups(&caller.actor(), &organization, &paging.page()?)
        .await?;
    Ok(Json(List::of(groups, next.as_ref())))
}

/// Gives a group another name. Needs `groups.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/groups/{group}/name", tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path)), request_body = Name,
    responses((status = 204, description = "It is renamed")))]
async fn rename_group(
    caller: Caller,
    At((organization, group)): At<(OrgId, GroupId)>,
    Body(body): Body<Name>,
) -> Result<StatusCode, Problem> {
    let name = parse("name", &body.name)?;
    guests!(caller)
        .rename_group(&caller.actor(), &organization, group, name)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a group is internal.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Internal {
    internal: bool,
}

/// Marks a group as internal, or as open to outsiders. Needs `groups.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/groups/{group}/internal",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path)), request_body = Internal,
    responses((status = 204, description = "It is marked")))]
async fn mark_group(
    caller: Caller,
    At((organization, group)): At<(OrgId, GroupId)>,
    Body(body): Body<Internal>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .mark_internal(&caller.actor(), &organization, group, body.internal)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a group with its grants and memberships; a new group of that name inherits nothing.
#[utoipa::path(delete, path = "/organizations/{organization}/groups/{group}", tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path)),
    responses((status = 204, description = "It is deleted")))]
async fn delete_group(
    caller: Caller,
    At((organization, group)): At<(OrgId, GroupId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .delete_group(&caller.actor(), &organization, group)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody or something in a group: a member or a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupMember {
    member: Option<Member>,
    group: Option<String>,
}

/// Who and what is in a group by the access rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupMembers {
    items: Vec<GroupMember>,
}

/// Who and what is in a group by the access rules. Those whose membership carries the group are
/// found in the list of members.
#[utoipa::path(get, path = "/organizations/{organization}/groups/{group}/members",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path)),
    responses((status = 200, body = GroupMembers)))]
async fn list_group_members(
    caller: Caller,
    At((organization, group)): At<(OrgId, GroupId)>,
) -> Result<Json<GroupMembers>, Problem> {
    let members = guests!(caller)
        .group_members(&caller.actor(), &organization, group)
        .await?;
    let entry = |entry| match entry {
        access_rules::GroupMember::Group(group) => GroupMember {
            member: None,
            group: Some(group.to_string()),
        },
        access_rules::GroupMember::Member { member, .. } => GroupMember {
            member: Some((&member).into()),
            group: None,
        },
    };
    Ok(Json(GroupMembers {
        items: members.into_iter().map(entry).collect(),
    }))
}

/// Puts a member in a group. Needs to be able to give all that the group reaches.
#[utoipa::path(put,
    path = "/organizations/{organization}/groups/{group}/members/{kind}/{member}",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path), ("kind" = Kind, Path),
        ("member" = String, Path)),
    responses((status = 204, description = "It is in the group")))]
async fn add_to_group(
    caller: Caller,
    At((organization, group, which, id)): At<(OrgId, GroupId, Which, String)>,
) -> Result<StatusCode, Problem> {
    let member = member_at(which, &id)?;
    guests!(caller)
        .add_to_group(&caller.actor(), &organization, group, &member)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a member out of a group.
#[utoipa::path(delete,
    path = "/organizations/{organization}/groups/{group}/members/{kind}/{member}",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path), ("kind" = Kind, Path),
        ("member" = String, Path)),
    responses((status = 204, description = "It is not in the group")))]
async fn remove_from_group(
    caller: Caller,
    At((organization, group, which, id)): At<(OrgId, GroupId, Which, String)>,
) -> Result<StatusCode, Problem> {
    let member = member_at(which, &id)?;
    guests!(caller)
        .remove_from_group(&caller.actor(), &organization, group, &member)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a group into another one: its members get what the outer one reaches.
#[utoipa::path(put, path = "/organizations/{organization}/groups/{group}/groups/{inner}",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path), ("inner" = String, Path)),
    responses((status = 204, description = "It is in the group")))]
async fn nest_group(
    caller: Caller,
    At((organization, outer, inner)): At<(OrgId, GroupId, GroupId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .nest_group(&caller.actor(), &organization, outer, inner)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a group out of another one.
#[utoipa::path(delete, path = "/organizations/{organization}/groups/{group}/groups/{inner}",
    tag = "groups",
    params(("organization" = String, Path), ("group" = String, Path), ("inner" = String, Path)),
    responses((status = 204, description = "It is not in the group")))]
async fn unnest_group(
    caller: Caller,
    At((organization, outer, inner)): At<(OrgId, GroupId, GroupId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .unnest_group(&caller.actor(), &organization, outer, inner)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A group of the organization.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalGroup {
    /// Its id.
    group: String,
}

/// Names the group that every proxy user is in while it is set.
#[utoipa::path(put, path = "/organizations/{organization}/external-group", tag = "groups",
    params(("organization" = String, Path)), request_body = ExternalGroup,
    responses((status = 204, description = "It is set")))]
async fn set_external_group(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<ExternalGroup>,
) -> Result<StatusCode, Problem> {
    let group = parse("group", &body.group)?;
    guests!(caller)
        .set_external_group(&caller.actor(), &organization, Some(group))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts proxy users in no group by itself any more.
#[utoipa::path(delete, path = "/organizations/{organization}/external-group", tag = "groups",
    params(("organization" = String, Path)),
    responses((status = 204, description = "It is not set")))]
async fn unset_external_group(
    caller: Caller,
    At(organization): At<OrgId>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .set_external_group(&caller.actor(), &organization, None)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
