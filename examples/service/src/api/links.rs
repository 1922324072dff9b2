//! Invite links.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use guestlist::membership::TokenProblem;
use guestlist::membership::link::{Approval as GuestApproval, LinkCondition, LinkConfig};
use guestlist::token::TokenKind;
use guestlist::{Cursor, Issued, JoinedBy, LinkFilter, LinkListing, OrgId, Timestamp};
use guestlist::{InviteToken, LinkId, membership::link};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, MaybeBody, Params, etag, guests, page};
use super::invites::Invite;
use super::organizations::{Versioned, versioned};
use super::problem::{Problem, parse, parse_some};
use super::shape::{
    Approval, By, Cause, Condition, Kinds, LinkDraft, LinkStatus, List, Member, Number, Paging,
    Preset, UseState, json_of, seconds,
};
use crate::app::App;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_links, create_link))
        .routes(routes!(get_link, edit_link, delete_link))
        .routes(routes!(make_default_link))
        .routes(routes!(refresh_link))
        .routes(routes!(disable_link))
        .routes(routes!(enable_link))
        .routes(routes!(reveal_link))
        .routes(routes!(list_link_users))
        .routes(routes!(get_funnel))
        .routes(routes!(inspect_token))
}

/// An invite link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Its id. It opens nothing.
    #[schema(example = "0197a3c2-5d1e-7a40-9c1b-2f6f0a7f3b11")]
    id: String,
    organization: String,
    label: Option<String>,
    /// Whether a claim needs somebody's approval.
    #[schema(value_type = Approval)]
    approval: GuestApproval,
    /// Who may use it.
    #[schema(value_type = Kinds)]
    joined_by: JoinedBy,
    preset: Preset,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How many distinct members may get past it; null: any number.
    max_uses: Option<u64>,
    allowed_domains: Vec<String>,
    allowed_members: Vec<Member>,
    /// How many seconds memberships through it last; null: until they are ended.
    membership_ttl_seconds: Option<u64>,
    questions: Vec<String>,
    #[schema(value_type = Object)]
    metadata: serde_json::Value,
    #[schema(value_type = LinkStatus)]
    status: link::LinkStatus,
    /// Which token it is at: every refresh and every enabling makes the next one.
    generation: u32,
    /// The user who created it; null: the application itself.
    creator: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<link::Link> for Link {
    fn from(link: link::Link) -> Self {
        let LinkConfig {
            label,
            approval,
            joined_by,
            preset,
            expires_at,
            max_uses,
            allowed_domains,
            allowed_members,
            membership_ttl,
            questions,
            metadata,
        } = link.config;
        Self {
            id: link.id.to_string(),
            organization: link.host.to_string(),
            label: label.map(|label| label.to_string()),
            approval,
            joined_by,
            preset: (&preset).into(),
            expires_at,
            max_uses: max_uses.map(std::num::NonZero::get),
            allowed_domains: allowed_domains.iter().map(ToString::to_string).collect(),
            allowed_members: allowed_members.iter().map(Into::into).collect(),
            membership_ttl_seconds: seconds(membership_ttl),
            questions,
            metadata: json_of(&metadata),
            status: link.status,
            generation: link.generation.get(),
            creator: link.creator.map(|user| user.to_string()),
            created_at: link.created_at,
            updated_at: link.updated_at,
        }
    }
}

/// A link, and how it stands now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedLink {
    link: Link,
    /// How many uses it has had; counted for links with a limit.
    uses: Option<u64>,
    /// Whether it takes claims now.
    #[schema(value_type = Condition)]
    condition: LinkCondition,
}

impl From<LinkListing> for ListedLink {
    fn from(listing: LinkListing) -> Self {
        Self {
            link: listing.link.into(),
            uses: listing.uses,
            condition: listing.condition,
        }
    }
}

/// A link with its token: the only place where that appears.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedLink {
    link: Link,
    /// The secret. Null if this call made none: a persistent link that was there already, or a call
    /// repeated with its idempotency key.
    token: Option<String>,
    /// The secret as a link to send to people.
    url: Option<String>,
}

impl From<Issued> for IssuedLink {
    fn from(issued: Issued) -> Self {
        Self {
            token: issued.token.map(|token| token.expose_secret().to_owned()),
            url: issued.url.map(|url| url.expose_secret().to_owned()),
            link: issued.link.into(),
        }
    }
}

/// Creates a link. Needs `links.create`; nobody promises more than they may give.
#[utoipa::path(post, path = "/organizations/{organization}/links", tag = "links",
    params(("organization" = String, Path)), request_body = LinkDraft,
    responses((status = 201, body = IssuedLink,
        headers(("Location" = String), ("ETag" = String)))))]
async fn create_link(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(draft): Body<LinkDraft>,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<IssuedLink>), Problem> {
    let draft = draft.parse()?;
    let issued = guests!(caller)
        .create_link(&caller.actor(), &organization, draft)
        .await?;
    let place = format!(
        "/api/v1/organizations/{organization}/links/{}",
        issued.link.id
    );
    let headers = [(LOCATION, place), (ETAG, etag(issued.link.updated_at))];
    Ok((StatusCode::CREATED, headers, Json(issued.into())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkParams {
    /// Only those with this status.
    #[param(value_type = Option<LinkStatus>)]
    status: Option<link::LinkStatus>,
    /// Only those that this user created.
    creator: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Links of an organization, oldest first. Needs `links.manage` or `links.create`.
#[utoipa::path(get, path = "/organizations/{organization}/links", tag = "links",
    params(("organization" = String, Path), LinkParams),
    responses((status = 200, body = List<ListedLink>)))]
async fn list_links(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(params): Params<LinkParams>,
) -> Result<Json<List<ListedLink>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let filter = LinkFilter {
        status: params.status,
        creator: parse_some("creator", params.creator.as_deref())?,
    };
    let found = guests!(caller)
        .links(&caller.actor(), &organization, filter, &page)
        .await?;
    Ok(Json(List::of(found.links, found.next.as_ref())))
}

/// One link. Needs `links.manage` or `links.create`.
#[utoipa::path(get, path = "/organizations/{organization}/links/{link}", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 200, body = ListedLink, headers(("ETag" = String)))))]
async fn get_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<Versioned<ListedLink>, Problem> {
    let found = guests!(caller)
        .link(&caller.actor(), &organization, link)
        .await?;
    Ok(versioned(found.link.updated_at, found.into()))
}

/// Changes the configuration of a link, never its token. What is left out stays.
#[utoipa::path(patch, path = "/organizations/{organization}/links/{link}", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version")),
    request_body = LinkDraft,
    responses((status = 200, body = Link, headers(("ETag" = String)))))]
async fn edit_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
    Body(draft): Body<LinkDraft>,
) -> Result<Versioned<Link>, Problem> {
    let (actor, draft) = (caller.actor(), draft.parse()?);
    if caller.is_conditional() {
        let held = guests!(caller).link(&actor, &organization, link).await?;
        caller.check_match(held.link.updated_at)?;
    }
    let edited = guests!(caller)
        .edit_link(&actor, &organization, link, draft)
        .await?;
    Ok(versioned(edited.updated_at, edited.into()))
}

/// Deletes a link: gone from lists, refused everywhere. Who came through it and when stays.
#[utoipa::path(delete, path = "/organizations/{organization}/links/{link}", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 204, description = "It is deleted")))]
async fn delete_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .delete_link(&caller.actor(), &organization, link)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The organization's persistent link: made on first use, the same one afterwards.
#[utoipa::path(post, path = "/organizations/{organization}/default-link", tag = "links",
    params(("organization" = String, Path)), request_body = Option<LinkDraft>,
    responses((status = 200, body = IssuedLink)))]
async fn make_default_link(
    caller: Caller,
    At(organization): At<OrgId>,
    MaybeBody(draft): MaybeBody<LinkDraft>,
) -> Result<Json<IssuedLink>, Problem> {
    let draft = draft.parse()?;
    let issued = guests!(caller)
        .default_link(&caller.actor(), &organization, draft)
        .await?;
    Ok(Json(issued.into()))
}

/// For how long an old secret stays good beside the new one.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Overlap {
    /// How many seconds; none if nothing is said.
    pub(crate) overlap_seconds: Number,
}

impl Overlap {
    pub(crate) const fn duration(&self) -> Duration {
        self.overlap_seconds.seconds()
    }
}

/// Gives a link a new token. The old one is dead at once, or after an overlap of at most 24 hours.
#[utoipa::path(post, path = "/organizations/{organization}/links/{link}/refresh", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    request_body = Option<Overlap>,
    responses((status = 200, body = IssuedLink)))]
async fn refresh_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
    MaybeBody(overlap): MaybeBody<Overlap>,
) -> Result<Json<IssuedLink>, Problem> {
    let issued = guests!(caller)
        .refresh_link(&caller.actor(), &organization, link, overlap.duration())
        .await?;
    Ok(Json(issued.into()))
}

/// Takes no more claims through a link. Who is approved keeps access, who is pending stays pending.
#[utoipa::path(post, path = "/organizations/{organization}/links/{link}/disable", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 200, body = Link)))]
async fn disable_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<Versioned<Link>, Problem> {
    let disabled = guests!(caller)
        .disable_link(&caller.actor(), &organization, link)
        .await?;
    Ok(versioned(disabled.updated_at, disabled.into()))
}

/// Takes claims again, with a new token: no earlier one ever works again.
#[utoipa::path(post, path = "/organizations/{organization}/links/{link}/enable", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 200, body = IssuedLink)))]
async fn enable_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<Json<IssuedLink>, Problem> {
    let issued = guests!(caller)
        .enable_link(&caller.actor(), &organization, link)
        .await?;
    Ok(Json(issued.into()))
}

/// Shows the current token of an active link again. Who looked and when is on record.
#[utoipa::path(post, path = "/organizations/{organization}/links/{link}/reveal", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 200, body = IssuedLink)))]
async fn reveal_link(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<Json<IssuedLink>, Problem> {
    let issued = guests!(caller)
        .reveal_link(&caller.actor(), &organization, link)
        .await?;
    Ok(Json(issued.into()))
}

/// Somebody who came through a link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkUser {
    member: Member,
    /// With which of the link's tokens.
    generation: u32,
    /// What became of the use.
    #[schema(value_type = UseState)]
    state: link::UseState,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How the request ended, if that gave the use back.
    #[schema(value_type = Option<Cause>)]
    released_for: Option<guestlist::membership::member::Cause>,
    /// Who approved the member, if its current episode came through this link.
    approved_by: Option<By>,
    #[schema(value_type = Option<String>, format = DateTime)]
    approved_at: Option<Timestamp>,
    /// Whether it is in now, through this link.
    still_member: bool,
}

impl From<guestlist::LinkUser> for LinkUser {
    fn from(user: guestlist::LinkUser) -> Self {
        Self {
            member: (&user.member).into(),
            generation: user.generation.get(),
            state: user.state,
            at: user.at,
            released_for: user.released_for,
            approved_by: user.approved_by.as_ref().map(Into::into),
            approved_at: user.approved_at,
            still_member: user.still_member,
        }
    }
}

/// Who came through a link and what became of them, also of those who have left since.
#[utoipa::path(get, path = "/organizations/{organization}/links/{link}/users", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path), Paging),
    responses((status = 200, body = List<LinkUser>)))]
async fn list_link_users(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<LinkUser>>, Problem> {
    let (users, next): (_, Option<Cursor>) = guests!(caller)
        .link_users(&caller.actor(), &organization, link, &paging.page()?)
        .await?;
    Ok(Json(List::of(users, next.as_ref())))
}

/// What came of one token of a link, in distinct members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Funnel {
    generation: u32,
    /// How often it was looked at, by whoever and whatever does.
    previews: u64,
    claims: u64,
    approvals: u64,
    rejections: u64,
    still_members: u64,
}

/// What came of all tokens of a link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Funnels {
    /// For each token, oldest first.
    generations: Vec<Funnel>,
}

/// What came of a link, for each of its tokens.
#[utoipa::path(get, path = "/organizations/{organization}/links/{link}/funnel", tag = "links",
    params(("organization" = String, Path), ("link" = String, Path)),
    responses((status = 200, body = Funnels)))]
async fn get_funnel(
    caller: Caller,
    At((organization, link)): At<(OrgId, LinkId)>,
) -> Result<Json<Funnels>, Problem> {
    let funnels = guests!(caller)
        .funnel(&caller.actor(), &organization, link)
        .await?;
    let funnel = |funnel: guestlist::Funnel| Funnel {
        generation: funnel.generation.get(),
        previews: funnel.previews,
        claims: funnel.claims,
        approvals: funnel.approvals,
        rejections: funnel.rejections,
        still_members: funnel.still_members,
    };
    Ok(Json(Funnels {
        generations: funnels.into_iter().map(funnel).collect(),
    }))
}

/// A token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// As it was issued, of a link or of an e-mail invite.
    token: String,
}

impl Token {
    pub(crate) fn parse(&self) -> Result<InviteToken, Problem> {
        parse("token", &self.token)
    }
}

/// What a manager is told about a token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenReport {
    /// The link that it belongs to, if it is a link's.
    link: Option<Link>,
    /// The e-mail invite that it belongs to, if it is an invite's.
    invite: Option<Invite>,
    /// Why it opens nothing, as a code; null: it opens what it belongs to.
    #[schema(example = "link-expired")]
    problem: Option<&'static str>,
}

/// Tells a manager precisely what is the matter with a token of the organization.
#[utoipa::path(post, path = "/organizations/{organization}/token-reports", tag = "links",
    params(("organization" = String, Path)), request_body = Token,
    responses((status = 200, body = TokenReport)))]
async fn inspect_token(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<Token>,
) -> Result<Json<TokenReport>, Problem> {
    let (actor, token) = (caller.actor(), body.parse()?);
    if token.kind() == TokenKind::EmailInvite {
        let report = guests!(caller)
            .inspect_invite(&actor, &organization, &token)
            .await?;
        return Ok(Json(TokenReport {
            link: None,
            invite: Some(report.invite.into()),
            problem: report.problem.map(TokenProblem::code),
        }));
    }
    let report = guests!(caller)
        .inspect(&actor, &organization, &token)
        .await?;
    Ok(Json(TokenReport {
        link: Some(report.link.into()),
        invite: None,
        problem: report.problem.map(TokenProblem::code),
    }))
}
