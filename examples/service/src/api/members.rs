//! Memberships: review, roles, endings, lists.

use axum::Json;
use axum::http::StatusCode;
use guestlist::membership::member::ActingRule as GuestActingRule;
use guestlist::membership::member::Door as GuestDoor;
use guestlist::{Changes, LinkId, MemberFilter, OrgId, Reason, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, MaybeBody, Params, guests, page};
use super::problem::{Problem, parse, parse_some};
use super::shape::{
    By, Cause, Kind, List, Member, Preset, PresetGrant, Status, Which, json_of, member_at,
    parse_all, seconds,
};
use crate::app::App;
use crate::host::now;

/// How many members one call may be about.
const MAX_BATCH: usize = 100;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_requests))
        .routes(routes!(approve_requests))
        .routes(routes!(reject_requests))
        .routes(routes!(remove_members))
        .routes(routes!(list_members))
        .routes(routes!(get_member, add_member))
        .routes(routes!(approve_member))
        .routes(routes!(reject_member))
        .routes(routes!(remove_member))
        .routes(routes!(leave))
        .routes(routes!(cancel_request))
        .routes(routes!(change_role))
        .routes(routes!(block_member))
        .routes(routes!(unblock_member))
        .routes(routes!(lift_removal))
        .routes(routes!(erase_member))
        .routes(routes!(list_memberships))
        .routes(routes!(restrict_acting, allow_acting))
}

/// How a membership's current episode began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Door {
    /// `link`, `invite`, `request`, `added` or `founded`.
    #[schema(example = "link")]
    kind: &'static str,
    /// The link, if it was one.
    link: Option<String>,
    /// The e-mail invite, if it was one.
    invite: Option<String>,
}

/// What the host is shown of a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Profile {
    /// The handle of an organization.
    name: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
}

/// How an episode ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    #[schema(value_type = Cause)]
    cause: guestlist::membership::member::Cause,
    by: By,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    reason: Option<String>,
}

/// A member that no door lets in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Block {
    by: By,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    reason: Option<String>,
}

/// The user that stands for a member organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProxyUser {
    id: String,
    user_name: String,
}

/// The record between an organization and a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// The organization that lets in.
    host: String,
    member: Member,
    /// As it is now; null: it never joined, and is on record because it is blocked.
    #[schema(value_type = Option<Status>)]
    status: Option<guestlist::Status>,
    /// Counts how often it was opened.
    episode: u32,
    door: Door,
    profile: Profile,
    role: Option<String>,
    groups: Vec<String>,
    grants: Vec<PresetGrant>,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    approved_at: Option<Timestamp>,
    approved_by: Option<By>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How many seconds it lasts from its approval on.
    ttl_seconds: Option<u64>,
    answers: Vec<String>,
    message: Option<String>,
    #[schema(value_type = Object)]
    metadata: serde_json::Value,
    ended: Option<Ended>,
    /// Of a member organization, once it was approved.
    proxy: Option<ProxyUser>,
    block: Option<Block>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is mapped over what is taken apart"
)]
fn text(text: impl ToString) -> String {
    text.to_string()
}

impl From<guestlist::Membership> for Membership {
    fn from(held: guestlist::Membership) -> Self {
        let status = held.status_at(now());
        Self {
            host: held.host.to_string(),
            member: (&held.member).into(),
            status,
            episode: held.episode.get(),
            door: Door {
                kind: held.door.as_str(),
                link: held.door.link().map(text),
                invite: match held.door {
                    GuestDoor::Invite { invite, .. } => Some(invite.to_string()),
                    _ => None,
                },
            },
            profile: Profile {
                name: held.profile.name.map(text),
                display_name: held.profile.display_name.map(text),
                email: held.profile.email.map(text),
            },
            role: held.role.map(text),
            groups: held.groups.into_iter().map(text).collect(),
            grants: held
                .grants
                .iter()
                .map(|grant| PresetGrant {
                    actions: grant.actions,
                    pattern: (&grant.pattern).into(),
                })
                .collect(),
            opened_at: held.opened_at,
            approved_at: held.approved_at,
            approved_by: held.approved_by.as_ref().map(Into::into),
            expires_at: held.expires_at,
            ttl_seconds: seconds(held.ttl),
            answers: held.answers,
            message: held.message.map(text),
            metadata: json_of(&held.metadata),
            ended: held.ended.map(|ended| Ended {
                cause: ended.cause,
                by: (&ended.by).into(),
                at: ended.at,
                reason: ended.reason.map(text),
            }),
            proxy: held.proxy.map(|proxy| ProxyUser {
                id: proxy.id.to_string(),
                user_name: proxy.user_name.to_string(),
            }),
            block: held.block.map(|block| Block {
                by: (&block.by).into(),
                at: block.at,
                reason: block.reason.map(text),
            }),
            updated_at: held.updated_at,
        }
    }
}

/// A membership after a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    membership: Membership,
    /// Whether this command changed it; false if all was as it wanted already.
    changed: bool,
}

impl From<guestlist::Changed> for Changed {
    fn from(changed: guestlist::Changed) -> Self {
        Self {
            changed: changed.changed,
            membership: changed.membership.into(),
        }
    }
}

/// A request that waits for review.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingRequest {
    membership: Membership,
    /// How many whole days it has waited.
    days_waiting: u64,
}

impl From<guestlist::PendingRequest> for PendingRequest {
    fn from(request: guestlist::PendingRequest) -> Self {
        Self {
            membership: request.membership.into(),
            days_waiting: request.days_waiting,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestParams {
    /// Only those through this link.
    link: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Requests that wait for review, longest waiting first. Needs `requests.review`.
#[utoipa::path(get, path = "/organizations/{organization}/requests", tag = "members",
    params(("organization" = String, Path), RequestParams),
    responses((status = 200, body = List<PendingRequest>)))]
async fn list_requests(
    caller: Caller,
    At(host): At<OrgId>,
    Params(params): Params<RequestParams>,
) -> Result<Json<List<PendingRequest>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let link: Option<LinkId> = parse_some("link", params.link.as_deref())?;
    let found = guests!(caller)
        .pending(&caller.actor(), &host, link, &page)
        .await?;
    Ok(Json(List::of(found.requests, found.next.as_ref())))
}

/// Several members, and why.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// At most 100; an empty selection is nothing, never everything.
    #[schema(max_items = 100)]
    members: Vec<Member>,
    /// Why.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Several members.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    /// At most 100; an empty selection is nothing, never everything.
    #[schema(max_items = 100)]
    members: Vec<Member>,
}

/// What came of one member of a selection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberOutcome {
    /// Where it stands in the selection.
    member: Member,
    /// What it is now, unless it was refused.
    result: Option<Changed>,
    /// Why it was refused.
    problem: Option<Problem>,
}

/// What came of each member of a selection, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberOutcomes {
    outcomes: Vec<MemberOutcome>,
}

fn selected(members: &[Member]) -> Result<Vec<guestlist::Member>, Problem> {
    if members.len() > MAX_BATCH {
        let detail = format!("at most {MAX_BATCH} members in one call");
        return Err(Problem::new("too-many", detail).in_field("members"));
    }
    members
        .iter()
        .map(|member| member.parse("members"))
        .collect()
}

fn outcomes(
    members: Vec<Member>,
    results: Vec<Result<guestlist::Changed, guestlist::Error>>,
) -> Json<MemberOutcomes> {
    let outcome = |(member, result): (Member, Result<guestlist::Changed, guestlist::Error>)| {
        let (result, problem) = match result {
            Ok(changed) => (Some(changed.into()), None),
            Err(error) => (None, Some(error.into())),
        };
        MemberOutcome {
            member,
            result,
            problem,
        }
    };
    Json(MemberOutcomes {
        outcomes: members.into_iter().zip(results).map(outcome).collect(),
    })
}

/// Approves several requests, each on its own.
#[utoipa::path(post, path = "/organizations/{organization}/request-approvals", tag = "members",
    params(("organization" = String, Path)), request_body = Members,
    responses((status = 200, body = MemberOutcomes)))]
async fn approve_requests(
    caller: Caller,
    At(host): At<OrgId>,
    Body(body): Body<Members>,
) -> Result<Json<MemberOutcomes>, Problem> {
    let members = selected(&body.members)?;
    let results = guests!(caller)
        .approve_all(&caller.actor(), &host, &members)
        .await;
    Ok(outcomes(body.members, results))
}

/// Rejects several requests, each on its own.
#[utoipa::path(post, path = "/organizations/{organization}/request-rejections", tag = "members",
    params(("organization" = String, Path)), request_body = Selection,
    responses((status = 200, body = MemberOutcomes)))]
async fn reject_requests(
    caller: Caller,
    At(host): At<OrgId>,
    Body(body): Body<Selection>,
) -> Result<Json<MemberOutcomes>, Problem> {
    let members = selected(&body.members)?;
    let reason: Option<Reason> = parse_some("reason", body.reason.as_deref())?;
    let results = guests!(caller)
        .reject_all(&caller.actor(), &host, &members, reason.as_ref())
        .await;
    Ok(outcomes(body.members, results))
}

/// Removes several members, each on its own.
#[utoipa::path(post, path = "/organizations/{organization}/member-removals", tag = "members",
    params(("organization" = String, Path)), request_body = Selection,
    responses((status = 200, body = MemberOutcomes)))]
async fn remove_members(
    caller: Caller,
    At(host): At<OrgId>,
    Body(body): Body<Selection>,
) -> Result<Json<MemberOutcomes>, Problem> {
    let members = selected(&body.members)?;
    let reason: Option<Reason> = parse_some("reason", body.reason.as_deref())?;
    let results = guests!(caller)
        .remove_all(&caller.actor(), &host, &members, reason.as_ref())
        .await;
    Ok(outcomes(body.members, results))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberParams {
    /// Only those with this status. Who may not review sees the approved ones.
    #[param(value_type = Option<Status>)]
    status: Option<guestlist::Status>,
    /// Only organizations, or only users.
    #[param(value_type = Option<Kind>)]
    kind: Option<Which>,
    /// Only those with this role.
    role: Option<String>,
    /// Only those in this group.
    group: Option<String>,
    /// Only those who came through this link.
    link: Option<String>,
    /// Only those with this text in their id, names or address.
    text: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Members of an organization, for its members.
#[utoipa::path(get, path = "/organizations/{organization}/members", tag = "members",
    params(("organization" = String, Path), MemberParams),
    responses((status = 200, body = List<Membership>)))]
async fn list_members(
    caller: Caller,
    At(host): At<OrgId>,
    Params(params): Params<MemberParams>,
) -> Result<Json<List<Membership>>, Problem> {
    use guestlist::types::MemberKind;
    let page = page(params.limit, params.after.as_deref())?;
    let filter = MemberFilter {
        status: params.status,
        kind: params.kind.map(|kind| match kind {
            Which::Organizations => MemberKind::Org,
            Which::Users => MemberKind::User,
        }),
        role: parse_some("role", params.role.as_deref())?,
        group: parse_some("group", params.group.as_deref())?,
        link: parse_some("link", params.link.as_deref())?,
        text: params.text,
        ..MemberFilter::default()
    };
    let found = guests!(caller)
        .members(&caller.actor(), &host, filter, &page)
        .await?;
    Ok(Json(List::of(found.members, found.next.as_ref())))
}

/// One membership, for reviewers and for the member itself.
#[utoipa::path(get, path = "/organizations/{organization}/members/{kind}/{member}",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Membership)))]
async fn get_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Membership>, Problem> {
    let member = member_at(which, &id)?;
    let found = guests!(caller)
        .membership(&caller.actor(), &host, &member)
        .await?;
    Ok(Json(found.into()))
}

/// What somebody is given.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gift {
    preset: Preset,
    /// When the membership ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Adds somebody directly, or gives a member more: never a lower role. Needs `requests.review`.
#[utoipa::path(put, path = "/organizations/{organization}/members/{kind}/{member}",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Option<Gift>,
    responses((status = 200, body = Changed)))]
async fn add_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    MaybeBody(gift): MaybeBody<Gift>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let preset = gift.preset.parse()?;
    let changed = guests!(caller)
        .add_member(&caller.actor(), &host, &member, preset, gift.expires_at)
        .await?;
    Ok(Json(changed.into()))
}

/// What a reviewer gives in place of what the link gives.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({ "preset": { "role": "edit" }, "reinstate": false }))]
pub(crate) struct Approving {
    /// Another gift than the link's.
    preset: Option<Preset>,
    /// When the membership ends; as the link says if nothing is said.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whether grants and groups given in earlier episodes count again.
    reinstate: bool,
}

/// Lets a pending member in, with what its link gives or with changes. Needs `requests.review`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/approve",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Option<Approving>,
    responses((status = 200, body = Changed)))]
async fn approve_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    MaybeBody(body): MaybeBody<Approving>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let changes = Changes {
        gift: body.preset.as_ref().map(Preset::parse).transpose()?,
        expires_at: body.expires_at,
        reinstate: body.reinstate,
    };
    let approved = guests!(caller)
        .approve_with(&caller.actor(), &host, &member, changes)
        .await?;
    Ok(Json(approved.into()))
}

/// Why.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Why {
    #[schema(max_length = 500)]
    reason: Option<String>,
}

impl Why {
    fn parse(&self) -> Result<Option<Reason>, Problem> {
        parse_some("reason", self.reason.as_deref())
    }
}

/// Denies a pending request. Needs `requests.review`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/reject",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Option<Why>,
    responses((status = 200, body = Changed)))]
async fn reject_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<Changed>, Problem> {
    let (member, reason) = (member_at(which, &id)?, why.parse()?);
    let changed = guests!(caller)
        .reject(&caller.actor(), &host, &member, reason)
        .await?;
    Ok(Json(changed.into()))
}

/// Ends an approved membership: access, groups and grants end with it. Needs `members.remove`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/remove",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Option<Why>,
    responses((status = 200, body = Changed)))]
async fn remove_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<Changed>, Problem> {
    let (member, reason) = (member_at(which, &id)?, why.parse()?);
    let changed = guests!(caller)
        .remove(&caller.actor(), &host, &member, reason)
        .await?;
    Ok(Json(changed.into()))
}

/// The caller, acting for the member if that is an organization.
fn on_behalf(caller: &Caller, member: &guestlist::Member) -> guestlist::Actor {
    match member {
        guestlist::Member::Org(organization) => caller.actor_for(Some(organization)),
        guestlist::Member::User(_) => caller.actor(),
    }
}

/// Ends the member's own membership, or withdraws its request. For the member itself.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/leave",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Changed)))]
async fn leave(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let actor = on_behalf(&caller, &member);
    let changed = guests!(caller).leave(&actor, &host, &member).await?;
    Ok(Json(changed.into()))
}

/// Withdraws the member's own pending request. For the member itself.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/cancel",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Changed)))]
async fn cancel_request(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let actor = on_behalf(&caller, &member);
    let changed = guests!(caller).cancel(&actor, &host, &member).await?;
    Ok(Json(changed.into()))
}

/// A role.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    #[schema(min_length = 1, max_length = 40, example = "edit")]
    role: String,
}

/// Gives a joined user another role. Needs `members.change_role`.
#[utoipa::path(put, path = "/organizations/{organization}/members/{kind}/{member}/role",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Role,
    responses((status = 200, body = Changed)))]
async fn change_role(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    Body(body): Body<Role>,
) -> Result<Json<Changed>, Problem> {
    let (member, role) = (member_at(which, &id)?, parse("role", &body.role)?);
    let changed = guests!(caller)
        .change_role(&caller.actor(), &host, &member, role)
        .await?;
    Ok(Json(changed.into()))
}

/// Lets a member in by no door any more. Ends nothing by itself. Needs `members.remove`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/block",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    request_body = Option<Why>,
    responses((status = 200, body = Changed)))]
async fn block_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<Changed>, Problem> {
    let (member, reason) = (member_at(which, &id)?, why.parse()?);
    let changed = guests!(caller)
        .block(&caller.actor(), &host, &member, reason)
        .await?;
    Ok(Json(changed.into()))
}

/// Takes a block back. Needs `members.remove`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/unblock",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Changed)))]
async fn unblock_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let changed = guests!(caller)
        .unblock(&caller.actor(), &host, &member)
        .await?;
    Ok(Json(changed.into()))
}

/// Forgets that a member was removed: older tokens work for it again. Needs `members.remove`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/lift-removal",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Changed)))]
async fn lift_removal(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Changed>, Problem> {
    let member = member_at(which, &id)?;
    let changed = guests!(caller)
        .lift_removal(&caller.actor(), &host, &member)
        .await?;
    Ok(Json(changed.into()))
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erased {
    /// How many events of the log were rewritten.
    events: u64,
}

/// Erases a member's personal data: names, addresses, answers, messages and reasons. What happened
/// and when stays. Needs `settings.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/members/{kind}/{member}/erase",
    tag = "members",
    params(("organization" = String, Path), ("kind" = Kind, Path), ("member" = String, Path)),
    responses((status = 200, body = Erased)))]
async fn erase_member(
    caller: Caller,
    At((host, which, id)): At<(OrgId, Which, String)>,
) -> Result<Json<Erased>, Problem> {
    let member = member_at(which, &id)?;
    let erased = guests!(caller)
        .erase(&caller.actor(), &host, &member)
        .await?;
    Ok(Json(Erased {
        events: erased.events,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipParams {
    /// Only those with this status.
    #[param(value_type = Option<Status>)]
    pub(crate) status: Option<guestlist::Status>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    pub(crate) after: Option<String>,
}

/// Organizations that this organization has joined or asked to join, for its members.
#[utoipa::path(get, path = "/organizations/{organization}/memberships", tag = "members",
    params(("organization" = String, Path), MembershipParams),
    responses((status = 200, body = List<Membership>)))]
async fn list_memberships(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(params): Params<MembershipParams>,
) -> Result<Json<List<Membership>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let member = guestlist::Member::Org(organization);
    let found = guests!(caller)
        .memberships_of(&caller.actor(), &member, params.status, &page)
        .await?;
    Ok(Json(List::of(found.members, found.next.as_ref())))
}

/// Who may act through a proxy user.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActingRule {
    /// These users.
    users: Vec<String>,
    /// Those in these groups.
    groups: Vec<String>,
}

/// Says which of an organization's people may act through its proxy user in another one. Needs
/// `memberships.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/memberships/{host}/acting-rule",
    tag = "members",
    params(("organization" = String, Path), ("host" = String, Path)), request_body = ActingRule,
    responses((status = 204, description = "It holds")))]
async fn restrict_acting(
    caller: Caller,
    At((organization, host)): At<(OrgId, OrgId)>,
    Body(rule): Body<ActingRule>,
) -> Result<StatusCode, Problem> {
    let rule = GuestActingRule {
        users: parse_all("users", &rule.users)?,
        groups: parse_all("groups", &rule.groups)?,
    };
    guests!(caller)
        .restrict_acting(&caller.actor(), &organization, &host, Some(rule))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets all of an organization's people act through its proxy user again.
#[utoipa::path(delete, path = "/organizations/{organization}/memberships/{host}/acting-rule",
    tag = "members",
    params(("organization" = String, Path), ("host" = String, Path)),
    responses((status = 204, description = "There is no rule any more")))]
async fn allow_acting(
    caller: Caller,
    At((organization, host)): At<(OrgId, OrgId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .restrict_acting(&caller.actor(), &organization, &host, None)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
