//! E-mail invites.

use axum::Json;
use guestlist::membership::invite::{self, InviteConfig};
use guestlist::membership::link::Approval as GuestApproval;
use guestlist::{EmailInvite, InviteId, Invited, OrgId, Timestamp};
use guestlist::{Invitations, InviteDraft, InviteFilter, InviteOutcome, JoinedBy};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, Params, guests, page};
use super::problem::{Problem, parse, parse_some, title_of};
use super::shape::{
    Approval, Delivery, Expiry, InvitePhase, Kinds, Lasting, List, Preset, SignOn, from_objects,
    json_of, metadata_of, seconds,
};
use crate::app::App;
use crate::host::now;

/// How many invites one call may revoke.
const MAX_BATCH: usize = 100;

from_objects!(Invitee);

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_invites, send_invites))
        .routes(routes!(get_invite))
        .routes(routes!(resend_invite))
        .routes(routes!(revoke_invite))
        .routes(routes!(revoke_invites))
}

/// An e-mail invite.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invite {
    /// Its id. It opens nothing.
    id: String,
    organization: String,
    /// Whom it is for.
    #[schema(example = "grace@example.com")]
    address: String,
    #[schema(value_type = Kinds)]
    joined_by: JoinedBy,
    preset: Preset,
    #[schema(value_type = Approval)]
    approval: GuestApproval,
    membership_ttl_seconds: Option<u64>,
    message: Option<String>,
    #[schema(value_type = Object)]
    metadata: serde_json::Value,
    /// How the invited person is to sign in.
    #[schema(value_type = SignOn)]
    sign_on: invite::SignOn,
    /// As it is now.
    #[schema(value_type = InvitePhase)]
    phase: invite::InvitePhase,
    /// Which token it is at.
    generation: u32,
    /// The user who sent it; null: the application itself.
    creator: Option<String>,
    /// Whether its mail went out.
    #[schema(value_type = Delivery)]
    delivery: invite::Delivery,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its token was made.
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<EmailInvite> for Invite {
    fn from(held: EmailInvite) -> Self {
        let phase = held.phase(now());
        let InviteConfig {
            joined_by,
            preset,
            approval,
            membership_ttl,
            message,
            metadata,
            sign_on,
            ..
        } = held.config;
        Self {
            id: held.id.to_string(),
            organization: held.host.to_string(),
            address: held.address.to_string(),
            joined_by,
            preset: (&preset).into(),
            approval,
            membership_ttl_seconds: seconds(membership_ttl),
            message: message.map(|message| message.to_string()),
            metadata: json_of(&metadata),
            sign_on,
            phase,
            generation: held.generation.get(),
            creator: held.creator.map(|user| user.to_string()),
            delivery: held.delivery,
            expires_at: held.expires_at,
            created_at: held.created_at,
            sent_at: held.sent_at,
            updated_at: held.updated_at,
        }
    }
}

/// Somebody to be invited.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Invitee {
    /// The e-mail address.
    address: String,
    /// A role of their own, in place of the preset's.
    role: Option<String>,
}

/// Whom to invite, and what every invite offers.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "to": [{ "address": "grace@example.com" }, { "address": "ada@example.com", "role": "edit" }],
    "preset": { "role": "read" },
    "message": "Have a look at our handbook.",
}))]
pub(crate) struct Sending {
    /// The addresses.
    #[schema(max_items = 10_000)]
    to: Vec<Invitee>,
    /// What the invites give.
    preset: Option<Preset>,
    /// Who may accept them.
    #[schema(value_type = Option<Kinds>)]
    joined_by: Option<JoinedBy>,
    /// When they stop working; as the settings say if nothing is said.
    expiry: Option<Expiry>,
    /// How long memberships through them last.
    membership_lasts: Option<Lasting>,
    /// For the invited people.
    #[schema(max_length = 2000)]
    message: Option<String>,
    /// The application's own data: an object of at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
    /// Whether none is sent if one is refused.
    #[serde(default)]
    all_or_nothing: bool,
    /// Whether they are to use the organization's single sign-on.
    #[serde(default)]
    single_sign_on: bool,
    /// Whether the tokens are answered and nothing is mailed.
    #[serde(default)]
    without_mail: bool,
}

impl Sending {
    fn parse(self) -> Result<Invitations, Problem> {
        let draft = InviteDraft {
            joined_by: self.joined_by,
            preset: self.preset.as_ref().map(Preset::parse).transpose()?,
            expiry: self.expiry.map(Into::into),
            membership_ttl: self.membership_lasts.map(Into::into),
            message: parse_some("message", self.message.as_deref())?,
            metadata: self.metadata.as_ref().map(metadata_of).transpose()?,
        };
        let mut invitations = Invitations::new().draft(draft);
        for invitee in self.to {
            invitations = match invitee.role {
                Some(role) => invitations.to_as(invitee.address, parse("to.role", &role)?),
                None => invitations.to(invitee.address),
            };
        }
        if self.all_or_nothing {
            invitations = invitations.all_or_nothing();
        }
        if self.single_sign_on {
            invitations = invitations.single_sign_on();
        }
        if self.without_mail {
            invitations = invitations.without_mail();
        }
        Ok(invitations)
    }
}

/// An invite with its token: the only place where that appears, besides the mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentInvite {
    invite: Invite,
    /// The secret. Null for a call repeated with its idempotency key.
    token: Option<String>,
    /// The secret as a link.
    url: Option<String>,
}

impl From<Invited> for SentInvite {
    fn from(invited: Invited) -> Self {
        Self {
            token: invited.token.map(|token| token.expose_secret().to_owned()),
            url: invited.url.map(|url| url.expose_secret().to_owned()),
            invite: invited.invite.into(),
        }
    }
}

/// What came of one address.
#[derive(Serialize, ToSchema)]
pub(crate) struct SendOutcome {
    /// `invited`, `already-member`, `already-invited`, `duplicate`, `not-sent`, or why not.
    #[schema(example = "invited")]
    code: String,
    /// The same in words.
    detail: String,
    /// What was sent, if it was.
    sent: Option<SentInvite>,
    /// For a duplicate: which address of this call it is, counted from zero.
    duplicate_of: Option<usize>,
}

impl From<InviteOutcome> for SendOutcome {
    fn from(outcome: InviteOutcome) -> Self {
        let code = outcome.code().to_owned();
        let mut made = Self {
            detail: title_of(&code),
            code,
            sent: None,
            duplicate_of: None,
        };
        match outcome {
            InviteOutcome::Invited(invited) => made.sent = Some((*invited).into()),
            InviteOutcome::Refused { message, .. } => made.detail = message,
            InviteOutcome::Duplicate { of } => made.duplicate_of = Some(of),
            InviteOutcome::AlreadyMember
            | InviteOutcome::AlreadyInvited
            | InviteOutcome::Invalid { .. }
            | InviteOutcome::NotSent
            | InviteOutcome::Failed(_) => {}
        }
        made
    }
}

/// What came of each address, in order.
#[derive(Serialize, ToSchema)]
pub(crate) struct SendOutcomes {
    outcomes: Vec<SendOutcome>,
}

/// Invites addresses, and mails the invites. Needs `invites.send`; nobody offers more than they may
/// give.
#[utoipa::path(post, path = "/organizations/{organization}/invites", tag = "invites",
    params(("organization" = String, Path)), request_body = Sending,
    responses((status = 200, body = SendOutcomes)))]
async fn send_invites(
    caller: Caller,
    At(host): At<OrgId>,
    Body(body): Body<Sending>,
) -> Result<Json<SendOutcomes>, Problem> {
    let invitations = body.parse()?;
    let outcomes = guests!(caller)
        .invite(&caller.actor(), &host, invitations)
        .await?;
    Ok(Json(SendOutcomes {
        outcomes: outcomes.into_iter().map(Into::into).collect(),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteParams {
    /// Only those in this phase.
    #[param(value_type = Option<InvitePhase>)]
    phase: Option<invite::InvitePhase>,
    /// Only those for this address.
    address: Option<String>,
    /// Only those that this user sent.
    creator: Option<String>,
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// E-mail invites of an organization, oldest first. Needs `invites.send`.
#[utoipa::path(get, path = "/organizations/{organization}/invites", tag = "invites",
    params(("organization" = String, Path), InviteParams),
    responses((status = 200, body = List<Invite>)))]
async fn list_invites(
    caller: Caller,
    At(host): At<OrgId>,
    Params(params): Params<InviteParams>,
) -> Result<Json<List<Invite>>, Problem> {
    let page = page(params.limit, params.after.as_deref())?;
    let filter = InviteFilter {
        phase: params.phase,
        address: parse_some("address", params.address.as_deref())?,
        creator: parse_some("creator", params.creator.as_deref())?,
    };
    let found = guests!(caller)
        .invites(&caller.actor(), &host, filter, &page)
        .await?;
    Ok(Json(List::of(found.invites, found.next.as_ref())))
}

/// One e-mail invite. Needs `invites.send`.
#[utoipa::path(get, path = "/organizations/{organization}/invites/{invite}", tag = "invites",
    params(("organization" = String, Path), ("invite" = String, Path)),
    responses((status = 200, body = Invite)))]
async fn get_invite(
    caller: Caller,
    At((host, invite)): At<(OrgId, InviteId)>,
) -> Result<Json<Invite>, Problem> {
    let found = guests!(caller)
        .email_invite(&caller.actor(), &host, invite)
        .await?;
    Ok(Json(found.into()))
}

/// Makes a new token for an invite and mails it: the old one is dead, the expiry begins anew.
#[utoipa::path(post, path = "/organizations/{organization}/invites/{invite}/resend",
    tag = "invites",
    params(("organization" = String, Path), ("invite" = String, Path)),
    responses((status = 200, body = SentInvite)))]
async fn resend_invite(
    caller: Caller,
    At((host, invite)): At<(OrgId, InviteId)>,
) -> Result<Json<SentInvite>, Problem> {
    let sent = guests!(caller)
        .resend_invite(&caller.actor(), &host, invite)
        .await?;
    Ok(Json(sent.into()))
}

/// Takes an invite back. Needs `invites.send`.
#[utoipa::path(post, path = "/organizations/{organization}/invites/{invite}/revoke",
    tag = "invites",
    params(("organization" = String, Path), ("invite" = String, Path)),
    responses((status = 200, body = Invite)))]
async fn revoke_invite(
    caller: Caller,
    At((host, invite)): At<(OrgId, InviteId)>,
) -> Result<Json<Invite>, Problem> {
    let revoked = guests!(caller)
        .revoke_invite(&caller.actor(), &host, invite)
        .await?;
    Ok(Json(revoked.into()))
}

/// Several invites.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoking {
    /// Their ids, at most 100; an empty selection is nothing, never everything.
    #[schema(max_items = 100)]
    invites: Vec<String>,
}

/// What came of one invite of a selection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokeOutcome {
    /// Its id.
    id: String,
    /// What it is now, unless it was refused.
    invite: Option<Invite>,
    /// Why it was refused.
    problem: Option<Problem>,
}

/// What came of each invite of a selection, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokeOutcomes {
    outcomes: Vec<RevokeOutcome>,
}

/// Takes several invites back, each on its own.
#[utoipa::path(post, path = "/organizations/{organization}/invite-revocations", tag = "invites",
    params(("organization" = String, Path)), request_body = Revoking,
    responses((status = 200, body = RevokeOutcomes)))]
async fn revoke_invites(
    caller: Caller,
    At(host): At<OrgId>,
    Body(body): Body<Revoking>,
) -> Result<Json<RevokeOutcomes>, Problem> {
    if body.invites.len() > MAX_BATCH {
        let detail = format!("at most {MAX_BATCH} invites in one call");
        return Err(Problem::new("too-many", detail).in_field("invites"));
    }
    let invites: Vec<InviteId> = body
        .invites
        .iter()
        .map(|id| parse("invites", id))
        .collect::<Result<_, _>>()?;
    let results = guests!(caller)
        .revoke_invites(&caller.actor(), &host, &invites)
        .await;
    let outcome = |(id, result): (String, Result<EmailInvite, guestlist::Error>)| {
        let (invite, problem) = match result {
            Ok(revoked) => (Some(revoked.into()), None),
            Err(error) => (None, Some(error.into())),
        };
        RevokeOutcome {
            id,
            invite,
            problem,
        }
    };
    Ok(Json(RevokeOutcomes {
        outcomes: body.invites.into_iter().zip(results).map(outcome).collect(),
    }))
}
