//! People and e-mail invites.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use guestlist::membership::invite::{Delivery, InvitePhase};
use guestlist::types::MemberKind;
use guestlist::{
    Cursor, Invitations, InviteDraft, InviteFilter, InviteId, InviteOutcome, Member, MemberFilter,
    Page, RoleName, Status,
};

use super::desk::{Desk, Shell, done};
use super::fields::{Fields, parse};
use super::incoming::{member_of, path_of};
use super::links::{Confirm, once};
use super::names::Names;
use super::problem::Problem;
use super::view::{self, Badge, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::{new_id, now};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/people", get(list))
        .route("/people/invite", post(invite))
        .route("/people/invites/{id}/resend", post(resend))
        .route("/people/invites/{id}/revoke", get(ask_revoke).post(revoke))
        .route("/people/{id}/role", post(change_role))
}

/// The page of a list that the query names.
pub(super) fn page_of(fields: &Fields, name: &str, limit: u32) -> Result<Page, Problem> {
    let page = Page::first(limit)?;
    Ok(match fields.text(name) {
        "" => page,
        text => {
            let cursor: Cursor = text.parse().map_err(|_| guestlist::Error::Cursor)?;
            page.after(cursor)
        }
    })
}

struct Row {
    id: String,
    path: String,
    name: String,
    email: String,
    role: String,
    since: Option<When>,
    myself: bool,
}

struct Invite {
    id: String,
    address: String,
    role: String,
    badge: Badge,
    delivery: &'static str,
    sent: When,
    expires: Option<When>,
    by: String,
    open: bool,
}

#[derive(askama::Template)]
#[template(path = "people.html")]
struct List {
    shell: Shell,
    people: Vec<Row>,
    people_next: Option<String>,
    text: String,
    invites: Vec<Invite>,
    invites_next: Option<String>,
    invites_refused: Option<String>,
    roles: Vec<(String, String)>,
    once: String,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let names = Names::load(&desk.app).await?;
    let text = fields.text("q").to_owned();
    let filter = MemberFilter {
        status: Some(Status::Approved),
        kind: Some(MemberKind::User),
        text: (!text.is_empty()).then(|| text.clone()),
        ..MemberFilter::default()
    };
    let page = page_of(&fields, "people", 50)?;
    let members = guests.members(&actor, host, filter, &page).await?;
    let people = members.members.iter().filter_map(|membership| {
        let Member::User(user) = &membership.member else {
            return None;
        };
        let role = membership
            .role
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        Some(Row {
            id: user.to_string(),
            path: path_of(&membership.member),
            name: names.user(user),
            email: names.email(user),
            role,
            since: membership.approved_at.map(When),
            myself: *user == desk.user.id,
        })
    });
    let people = people.collect();
    let page = page_of(&fields, "invites", 50)?;
    let (mut invites, mut invites_next, mut invites_refused) = (Vec::new(), None, None);
    match guests
        .invites(&actor, host, InviteFilter::default(), &page)
        .await
    {
        Ok(found) => {
            invites_next = found.next.map(|cursor| cursor.to_string());
            invites.extend(found.invites.iter().map(|invite| {
                Invite {
                    id: invite.id.to_string(),
                    address: invite.address.to_string(),
                    role: invite
                        .config
                        .preset
                        .role
                        .as_ref()
                        .map_or_else(|| "Lowest".to_owned(), |role| view::words(role.as_str())),
                    badge: invite.phase(now()).into(),
                    delivery: match invite.delivery {
                        Delivery::Unknown => "on its way",
                        Delivery::Sent => "sent",
                        Delivery::Undelivered => "not delivered",
                    },
                    sent: When(invite.sent_at),
                    expires: invite.expires_at.map(When),
                    by: invite
                        .creator
                        .as_ref()
                        .map(|user| names.user(user))
                        .unwrap_or_default(),
                    open: matches!(
                        invite.phase(now()),
                        InvitePhase::Pending | InvitePhase::Expired
                    ),
                }
            }));
            invites.reverse();
        }
        Err(error) if error.code() == "not-allowed" => {
            invites_refused = Some(Problem::from(error).sentence());
        }
        Err(error) => return Err(error.into()),
    }
    let roles = guests.roles().roles().iter();
    show(&List {
        shell: desk.shell("People & e-mail invites", "people").await,
        people,
        people_next: members.next.map(|cursor| cursor.to_string()),
        text,
        invites,
        invites_next,
        invites_refused,
        roles: roles
            .map(|role| (role.name.to_string(), view::words(role.name.as_str())))
            .collect(),
        once: new_id("form"),
    })
}

async fn invite(desk: Desk, fields: Fields) -> Answer {
    let host = desk.host()?;
    let mut draft = InviteDraft::new();
    if let Some(role) = fields.optional::<RoleName>("role", "Role")? {
        draft = draft.role(role);
    }
    let message = fields.text("message").replace("\r\n", "\n");
    if !message.is_empty() {
        draft = draft.message(parse(&message, "Message")?);
    }
    let addresses: Vec<&str> = fields.list("addresses").collect();
    if addresses.is_empty() {
        return Err(Problem::field("Addresses", "write at least one"));
    }
    let invitations: Invitations = addresses.iter().copied().collect();
    let guests = desk.app.guests.with_key(once(&fields)?);
    let outcomes = guests
        .invite(&desk.actor(), host, invitations.draft(draft))
        .await?;
    let sent = outcomes
        .iter()
        .filter(|outcome| outcome.invited().is_some())
        .count();
    let number = u64::try_from(sent).unwrap_or(u64::MAX);
    let mut said = format!("{} sent.", view::plural(number, "invite", "invites"));
    for (address, outcome) in addresses.iter().zip(&outcomes) {
        let why = match outcome {
            InviteOutcome::Invited(_) => continue,
            InviteOutcome::AlreadyMember => "is a member already",
            InviteOutcome::AlreadyInvited => "is invited already",
            InviteOutcome::Refused { message, .. } => message.as_str(),
            InviteOutcome::Invalid { .. } => "is no e-mail address",
            InviteOutcome::Duplicate { .. } => "stands there twice",
            InviteOutcome::NotSent | InviteOutcome::Failed(_) => "was not sent: try again",
        };
        said = format!("{said} {address}: {why}.");
    }
    let said: String = said.chars().take(900).collect();
    Ok(done("/people", &said))
}

fn invite_id(text: &str) -> Result<InviteId, Problem> {
    InviteId::parse(text).map_err(|_| Problem::not_found())
}

async fn resend(desk: Desk, Path(id): Path<String>) -> Answer {
    let host = desk.host()?;
    let sent = desk
        .app
        .guests
        .resend_invite(&desk.actor(), host, invite_id(&id)?)
        .await?;
    let said = format!(
        "A new invite was sent to {}. The link in the earlier mail stopped working.",
        sent.invite.address
    );
    Ok(done("/people", &said))
}

async fn ask_revoke(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (invite_id(&id)?, desk.host()?);
    let found = desk
        .app
        .guests
        .email_invite(&desk.actor(), host, id)
        .await?;
    let title = format!("Revoke the invite for {}?", found.address);
    show(&Confirm {
        shell: desk.shell(&title, "people").await,
        title,
        text: "The link in the mail stops working at once. You can invite the address again."
            .to_owned(),
        action: format!("/people/invites/{id}/revoke"),
        button: "Revoke the invite",
        danger: true,
        reason: false,
        hidden: Vec::new(),
        back: "/people".to_owned(),
    })
}

async fn revoke(desk: Desk, Path(id): Path<String>) -> Answer {
    let host = desk.host()?;
    let gone = desk
        .app
        .guests
        .revoke_invite(&desk.actor(), host, invite_id(&id)?)
        .await?;
    Ok(done(
        "/people",
        &format!("The invite for {} was revoked.", gone.address),
    ))
}

async fn change_role(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (member, host) = (member_of("user", &id)?, desk.host()?);
    let role: RoleName = fields.required("role", "Role")?;
    let words = view::words(role.as_str());
    desk.app
        .guests
        .change_role(&desk.actor(), host, &member, role)
        .await?;
    let name = Names::load(&desk.app).await?.member(&member);
    Ok(done(
        "/people",
        &format!("{name} has the role {words} now."),
    ))
}
