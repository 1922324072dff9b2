//! Organizations: founding, names, settings, pause, end.

use std::num::NonZeroU64;

use axum::Json;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode};
use data_encoding::HEXLOWER;
use guestlist::types::{DisplayName, OrgName};
use guestlist::{
    Actor, AfterRejection as GuestAfterRejection, IdempotencyKey, JoinedBy, OrgId, Pause, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, MaybeBody, Operator, Params, etag, guests, page};
use super::problem::{Problem, parse, parse_some};
use super::shape::{
    AddressCheck, Joins, Kinds, Lasting, LinkDraft, List, Number, OrganizationStatus, Preset,
    SecondInvite, Standing, from_objects, seconds,
};
use crate::app::App;
use crate::host::new_id;

/// An answer with the version of the record.
pub(crate) type Versioned<T> = ([(HeaderName, String); 1], Json<T>);

pub(crate) fn versioned<T>(updated_at: Timestamp, body: T) -> Versioned<T> {
    ([(ETAG, etag(updated_at))], Json(body))
}

from_objects!(Seats, Requests);

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_discoverable, create_organization))
        .routes(routes!(get_organization, delete_organization))
        .routes(routes!(get_organization_by_name))
        .routes(routes!(rename_organization))
        .routes(routes!(set_display_name))
        .routes(routes!(get_settings, change_settings))
        .routes(routes!(pause_links, resume_links))
        .routes(routes!(suspend_organization))
        .routes(routes!(resume_organization))
}

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    /// Its id.
    #[schema(example = "org_J6hQf0mXk2a9")]
    id: String,
    /// Its handle, as in `@name/key`.
    #[schema(example = "acme-docs")]
    name: String,
    /// What people are shown for it.
    display_name: Option<String>,
    /// Whether it is active.
    #[schema(value_type = OrganizationStatus)]
    status: guestlist::membership::organization::OrgStatus,
    /// Whether all links rest, and until when.
    links_pause: Option<LinksPause>,
    /// The id of its persistent link, once it has been made.
    default_link: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// All links rest.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LinksPause {
    /// Until when; until they are resumed if nothing is said.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<guestlist::Organization> for Organization {
    fn from(organization: guestlist::Organization) -> Self {
        Self {
            id: organization.id.to_string(),
            name: organization.name.to_string(),
            display_name: organization.display_name.map(|name| name.to_string()),
            status: organization.status,
            links_pause: organization.pause.map(|pause| LinksPause {
                until: match pause {
                    Pause::UntilResumed => None,
                    Pause::Until(time) => Some(time),
                },
            }),
            default_link: organization.default_link.map(|link| link.to_string()),
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}

fn shown(organization: guestlist::Organization) -> Versioned<Organization> {
    versioned(organization.updated_at, organization.into())
}

/// A new organization.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "acme-docs", "display_name": "Acme Docs" }))]
pub(crate) struct NewOrganization {
    /// Its handle: lower-case letters, digits and `-`; never given to another organization again.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// What people are shown for it; the handle if nothing is said.
    #[schema(max_length = 120)]
    display_name: Option<String>,
}

/// Founds an organization. Whoever does it becomes its first member and holds every right.
#[utoipa::path(post, path = "/organizations", tag = "organizations",
    request_body = NewOrganization,
    responses((status = 201, body = Organization)))]
async fn create_organization(
    caller: Caller,
    Body(new): Body<NewOrganization>,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<Organization>), Problem> {
    let name: OrgName = parse("name", &new.name)?;
    let title = new.display_name.as_deref().unwrap_or(&new.name);
    let title: DisplayName = parse("display_name", title)?;
    let founder = &caller.user.id;
    // The host application registers, so that its keys would be everybody's: the key of this
    // person is made one of its own, and the id follows from it.
    let organization = match caller.key() {
        None => {
            let id = parse("id", &new_id("org"))?;
            let guests = caller.direct();
            let host = &caller.app.host;
            host.found(&guests, &id, name, &title, founder).await?;
            id
        }
        Some(key) => {
            let digest = Sha256::digest(format!("{founder}\n{key:?}"));
            let digest = HEXLOWER.encode(&digest[..16]);
            let id: OrgId = parse("id", &format!("org_{digest}"))?;
            let key: IdempotencyKey = parse("Idempotency-Key", &digest)?;
            let guests = caller.app.guests.with_key(key);
            let host = &caller.app.host;
            host.found(&guests, &id, name, &title, founder).await?;
            id
        }
    };
    let made = guests!(caller)
        .organization(&caller.actor(), &organization)
        .await?;
    let headers = [
        (LOCATION, format!("/api/v1/organizations/{organization}")),
        (ETAG, etag(made.updated_at)),
    ];
    Ok((StatusCode::CREATED, headers, Json(made.into())))
}

/// An organization as those see it who don't belong to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Discoverable {
    /// Its id, to ask it with.
    id: String,
    name: String,
    display_name: Option<String>,
    /// Whether it can be asked without an invite.
    takes_requests: bool,
    /// What it asks of whoever asks.
    questions: Vec<String>,
}

impl From<guestlist::Discovered> for Discoverable {
    fn from(found: guestlist::Discovered) -> Self {
        Self {
            id: found.id.to_string(),
            name: found.name.to_string(),
            display_name: found.display_name.map(|name| name.to_string()),
            takes_requests: found.takes_requests,
            questions: found.questions,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoverParams {
    /// Only those with this text in their handle or display name.
    text: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Organizations that can be found by those who don't belong to them, by name.
#[utoipa::path(get, path = "/organizations", tag = "organizations", params(DiscoverParams),
    responses((status = 200, body = List<Discoverable>)))]
async fn list_discoverable(
    caller: Caller,
    Params(params): Params<DiscoverParams>,
) -> Result<Json<List<Discoverable>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let found = guests!(caller)
        .discover(params.text.as_deref(), &page)
        .await?;
    Ok(Json(List::of(found.organizations, found.next.as_ref())))
}

/// One organization, for those who may read its settings.
#[utoipa::path(get, path = "/organizations/{organization}", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 200, body = Organization)))]
async fn get_organization(
    caller: Caller,
    At(organization): At<OrgId>,
) -> Result<Versioned<Organization>, Problem> {
    let found = guests!(caller)
        .organization(&caller.actor(), &organization)
        .await?;
    Ok(shown(found))
}

/// The organization that has this handle now, for those who may read its settings.
#[utoipa::path(get, path = "/organization-names/{name}", tag = "organizations",
    params(("name" = String, Path)),
    responses((status = 200, body = Organization)))]
async fn get_organization_by_name(
    caller: Caller,
    At(name): At<OrgName>,
) -> Result<Versioned<Organization>, Problem> {
    let found = guests!(caller)
        .organization_named(&caller.actor(), &name)
        .await?;
    Ok(shown(found))
}

/// Deletes an organization: every door is closed for good. Needs the highest role.
#[utoipa::path(delete, path = "/organizations/{organization}", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 204, description = "It is deleted")))]
async fn delete_organization(
    caller: Caller,
    At(organization): At<OrgId>,
) -> Result<StatusCode, Problem> {
    guests!(caller)
        .delete(&caller.actor(), &organization)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A handle.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    #[schema(min_length = 1, max_length = 120)]
    pub(crate) name: String,
}

/// Gives an organization another handle. Nobody else ever gets the old one.
#[utoipa::path(put, path = "/organizations/{organization}/name", tag = "organizations",
    params(("organization" = String, Path)), request_body = Name,
    responses((status = 200, body = Organization)))]
async fn rename_organization(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<Name>,
) -> Result<Versioned<Organization>, Problem> {
    let name = parse("name", &body.name)?;
    let renamed = guests!(caller)
        .rename(&caller.actor(), &organization, name)
        .await?;
    Ok(shown(renamed))
}

/// What people are shown.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// Null: nothing but the handle.
    #[schema(max_length = 120)]
    display_name: Option<String>,
}

/// Changes what people are shown for an organization.
#[utoipa::path(put, path = "/organizations/{organization}/display-name", tag = "organizations",
    params(("organization" = String, Path)), request_body = Shown,
    responses((status = 200, body = Organization)))]
async fn set_display_name(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<Shown>,
) -> Result<Versioned<Organization>, Problem> {
    let name = parse_some("display_name", body.display_name.as_deref())?;
    let changed = guests!(caller)
        .set_display_name(&caller.actor(), &organization, name)
        .await?;
    Ok(shown(changed))
}

/// What a rejected member has to wait for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AfterRejection {
    /// Nothing.
    Again,
    /// So many seconds.
    CoolDownSeconds(Number),
    /// Another link.
    NotThisLink,
    /// An invite of the organization's own.
    InviteOnly,
}

impl From<GuestAfterRejection> for AfterRejection {
    fn from(policy: GuestAfterRejection) -> Self {
        match policy {
            GuestAfterRejection::Again => Self::Again,
            GuestAfterRejection::CoolDown(pause) => {
                Self::CoolDownSeconds(Number::of(pause.as_secs()))
            }
            GuestAfterRejection::NotThisLink => Self::NotThisLink,
            GuestAfterRejection::InviteOnly => Self::InviteOnly,
        }
    }
}

impl From<AfterRejection> for GuestAfterRejection {
    fn from(policy: AfterRejection) -> Self {
        match policy {
            AfterRejection::Again => Self::Again,
            AfterRejection::CoolDownSeconds(seconds) => Self::CoolDown(seconds.seconds()),
            AfterRejection::NotThisLink => Self::NotThisLink,
            AfterRejection::InviteOnly => Self::InviteOnly,
        }
    }
}

/// How many can belong to an organization.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Seats {
    limit: Number,
    /// Whether those who wait for review take a seat.
    count_pending: bool,
}

impl Seats {
    fn parse(self) -> Result<guestlist::Seats, Problem> {
        let limit = NonZeroU64::new(self.limit.get()).ok_or_else(|| {
            Problem::new("body-invalid", "`seats.limit`: at least one").in_field("seats.limit")
        })?;
        Ok(guestlist::Seats {
            limit,
            count_pending: self.count_pending,
        })
    }
}

/// Requests without an invite.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Requests {
    /// Whether they are taken.
    open: bool,
    /// Of whom.
    #[schema(value_type = Kinds)]
    joined_by: JoinedBy,
    /// What is asked.
    questions: Vec<String>,
    /// What an approval gives.
    preset: Preset,
}

/// The settings of an organization. All of them are replaced: what is left out is as in a new one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({
    "joins": "link-decides",
    "discoverable": true,
    "requests": { "open": true, "joined_by": "both", "questions": ["What for?"] },
    "invites_last": { "for-seconds": 1_209_600 },
}))]
pub(crate) struct Settings {
    /// Whether links approve by themselves.
    #[schema(value_type = Joins)]
    joins: guestlist::Joins,
    /// What a rejected member has to wait for.
    after_rejection: AfterRejection,
    /// What is asked of the creator of a link or an invite when it is used.
    #[schema(value_type = Standing)]
    standing: guestlist::Standing,
    /// After how many seconds a request expires.
    request_ttl_seconds: Option<Number>,
    /// How many can belong to it.
    seats: Option<Seats>,
    /// What a new link has where nothing is said.
    link_defaults: LinkDraft,
    /// How many seconds a link may live.
    max_link_lifetime_seconds: Option<Number>,
    /// How long e-mail invites last.
    invites_last: Lasting,
    /// Whose account can accept an e-mail invite.
    #[schema(value_type = AddressCheck)]
    address_check: guestlist::AddressCheck,
    /// What becomes of a second invite for one address.
    #[schema(value_type = SecondInvite)]
    second_invite: guestlist::SecondInvite,
    /// Whether it can be found by those who don't belong to it.
    discoverable: bool,
    /// Requests without an invite.
    requests: Requests,
}

impl Default for Settings {
    fn default() -> Self {
        (&guestlist::Settings::default()).into()
    }
}

impl From<&guestlist::Settings> for Settings {
    fn from(settings: &guestlist::Settings) -> Self {
        Self {
            joins: settings.joins,
            after_rejection: settings.after_rejection.into(),
            standing: settings.standing,
            request_ttl_seconds: seconds(settings.request_ttl).map(Number::of),
            seats: settings.seats.map(|seats| Seats {
                limit: Number::of(seats.limit.get()),
                count_pending: seats.count_pending,
            }),
            link_defaults: (&settings.link_defaults).into(),
            max_link_lifetime_seconds: seconds(settings.max_link_lifetime).map(Number::of),
            invites_last: settings.invites_last.into(),
            address_check: settings.address_check,
            second_invite: settings.second_invite,
            discoverable: settings.discoverable,
            requests: Requests {
                open: settings.requests.open,
                joined_by: settings.requests.joined_by,
                questions: settings.requests.questions.clone(),
                preset: (&settings.requests.preset).into(),
            },
        }
    }
}

impl Settings {
    fn parse(self) -> Result<guestlist::Settings, Problem> {
        Ok(guestlist::Settings {
            joins: self.joins,
            after_rejection: self.after_rejection.into(),
            standing: self.standing,
            request_ttl: self.request_ttl_seconds.map(Number::seconds),
            seats: self.seats.map(Seats::parse).transpose()?,
            link_defaults: self.link_defaults.parse()?,
            max_link_lifetime: self.max_link_lifetime_seconds.map(Number::seconds),
            invites_last: self.invites_last.into(),
            address_check: self.address_check,
            second_invite: self.second_invite,
            discoverable: self.discoverable,
            requests: guestlist::Requests {
                open: self.requests.open,
                joined_by: self.requests.joined_by,
                questions: self.requests.questions,
                preset: self.requests.preset.parse()?,
            },
        })
    }
}

/// The settings of an organization. Needs `settings.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/settings", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 200, body = Settings, headers(("ETag" = String)))))]
async fn get_settings(
    caller: Caller,
    At(organization): At<OrgId>,
) -> Result<Versioned<Settings>, Problem> {
    let found = guests!(caller)
        .organization(&caller.actor(), &organization)
        .await?;
    Ok(versioned(found.updated_at, (&found.settings).into()))
}

/// Replaces the settings of an organization. Needs `settings.manage`.
#[utoipa::path(put, path = "/organizations/{organization}/settings", tag = "organizations",
    params(("organization" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version")),
    request_body = Settings,
    responses((status = 200, body = Settings, headers(("ETag" = String)))))]
async fn change_settings(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(settings): Body<Settings>,
) -> Result<Versioned<Settings>, Problem> {
    let (actor, settings) = (caller.actor(), settings.parse()?);
    if caller.is_conditional() {
        let held = guests!(caller).organization(&actor, &organization).await?;
        caller.check_match(held.updated_at)?;
    }
    let changed = guests!(caller)
        .change_settings(&actor, &organization, settings)
        .await?;
    Ok(versioned(changed.updated_at, (&changed.settings).into()))
}

/// Lets every link of an organization rest at once.
#[utoipa::path(put, path = "/organizations/{organization}/links-pause", tag = "organizations",
    params(("organization" = String, Path)), request_body = Option<LinksPause>,
    responses((status = 200, body = Organization)))]
async fn pause_links(
    caller: Caller,
    At(organization): At<OrgId>,
    MaybeBody(pause): MaybeBody<LinksPause>,
) -> Result<Versioned<Organization>, Problem> {
    let until = pause.until.map_or(Pause::UntilResumed, Pause::Until);
    let paused = guests!(caller)
        .pause_links(&caller.actor(), &organization, until)
        .await?;
    Ok(shown(paused))
}

/// Ends the rest of an organization's links.
#[utoipa::path(delete, path = "/organizations/{organization}/links-pause", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 200, body = Organization)))]
async fn resume_links(
    caller: Caller,
    At(organization): At<OrgId>,
) -> Result<Versioned<Organization>, Problem> {
    let resumed = guests!(caller)
        .resume_links(&caller.actor(), &organization)
        .await?;
    Ok(shown(resumed))
}

/// Closes every door of an organization until it is resumed. For the operator of the service.
#[utoipa::path(post, path = "/organizations/{organization}/suspend", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 200, body = Organization)))]
async fn suspend_organization(
    operator: Operator,
    At(organization): At<OrgId>,
) -> Result<Versioned<Organization>, Problem> {
    let guests = &operator.app.guests;
    Ok(shown(
        guests.suspend(&Actor::system(), &organization).await?,
    ))
}

/// Opens the doors of a suspended organization again. For the operator of the service.
#[utoipa::path(post, path = "/organizations/{organization}/resume", tag = "organizations",
    params(("organization" = String, Path)),
    responses((status = 200, body = Organization)))]
async fn resume_organization(
    operator: Operator,
    At(organization): At<OrgId>,
) -> Result<Versioned<Organization>, Problem> {
    let guests = &operator.app.guests;
    Ok(shown(guests.resume(&Actor::system(), &organization).await?))
}
