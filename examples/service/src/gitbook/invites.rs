//! Inviting people by their addresses: they are members at once.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use guestlist::{
    Actor, DisplayName, EmailAddress, Member, OrgId, Page, Preset, RoleName, Status, UserId,
};
use serde::{Deserialize, Serialize};

use super::caller::{Body, Caller};
use super::error::Failure;
use super::shapes::{WireRole, present, role_meant};
use crate::app::App;

/// The most addresses in one request.
const MOST: usize = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct Invitations {
    emails: Vec<Invitee>,
    #[serde(default, deserialize_with = "present")]
    role: Option<WireRole>,
    sso: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Invitee {
    Usual(String),
    As {
        email: String,
        #[serde(deserialize_with = "present")]
        role: Option<WireRole>,
    },
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Added {
    users: Vec<UserId>,
    invited: usize,
    #[serde(rename = "failedSSOEmails", skip_serializing_if = "Option::is_none")]
    failed_sso_emails: Option<Vec<EmailAddress>>,
}

pub(super) async fn add(
    State(app): State<App>,
    caller: Caller,
    Body(invitations): Body<Invitations>,
) -> Result<Json<Added>, Failure> {
    let actor = caller.actor();
    // Whoever may not invite is refused before anything is written, people's accounts too.
    app.guests
        .invites(
            &actor,
            &caller.org,
            guestlist::InviteFilter::default(),
            &Page::first(1)?,
        )
        .await?;
    let wanted = checked(&app, &invitations)?;
    let single = invitations.sso.unwrap_or(false);
    let (mut added, mut failed) = (Added::default(), Vec::new());
    for (email, role) in wanted {
        let user = app.host.user_with_email(&email, &name_for(&email)?).await?;
        let member = Member::User(user.id.clone());
        if is_in(&app, &caller.org, &member).await? {
            continue;
        }
        let gift = Preset {
            role: Some(role),
            ..Preset::default()
        };
        let elsewhere = belongs_elsewhere(&app, &caller.org, &member).await?;
        let joined = app
            .guests
            .add_member(&actor, &caller.org, &member, gift, None)
            .await?;
        if !joined.changed {
            continue;
        }
        if single && elsewhere {
            failed.push(email);
        }
        let through_here = single && !elsewhere;
        if through_here || user.single_sign_on.as_ref() == Some(&caller.org) {
            let through = through_here.then_some(&caller.org);
            app.host.set_single_sign_on(&user.id, through).await?;
        }
        added.users.push(user.id);
        added.invited += 1;
    }
    added.failed_sso_emails = (!failed.is_empty()).then_some(failed);
    Ok(Json(added))
}

/// Everybody once, in the order of the request, with a role each; or what is wrong with one.
fn checked(app: &App, invitations: &Invitations) -> Result<Vec<(EmailAddress, RoleName)>, Failure> {
    if invitations.emails.len() > MOST {
        return Err(Failure::bad(format!("at most {MOST} addresses at once")));
    }
    let roles = app.guests.roles();
    let usual = role_meant(roles, invitations.role.as_ref().and_then(Option::as_deref))?;
    let (mut seen, mut wanted) = (BTreeSet::new(), Vec::new());
    for invitee in &invitations.emails {
        let (text, role) = match invitee {
            Invitee::Usual(email) => (email, usual.clone()),
            Invitee::As { email, role } => {
                let role = role.as_ref().and_then(Option::as_deref);
                (email, role_meant(roles, role)?)
            }
        };
        let email = EmailAddress::parse(text).map_err(|error| Failure::bad(error.to_string()))?;
        if seen.insert(email.clone()) {
            wanted.push((email, role));
        }
    }
    Ok(wanted)
}

/// What somebody is called until they say so themselves.
fn name_for(email: &EmailAddress) -> Result<DisplayName, Failure> {
    let mailbox = email.as_str().split('@').next().unwrap_or_default();
    DisplayName::parse(mailbox)
        .or_else(|_| DisplayName::parse(email.as_str()))
        .map_err(|error| Failure::bad(error.to_string()))
}

async fn is_in(app: &App, org: &OrgId, member: &Member) -> Result<bool, Failure> {
    match app.guests.membership(&Actor::system(), org, member).await {
        Ok(membership) => {
            let now = crate::host::now();
            Ok(membership.status_at(now) == Some(Status::Approved))
        }
        Err(error) if error.code() == "not-found" => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn belongs_elsewhere(app: &App, org: &OrgId, member: &Member) -> Result<bool, Failure> {
    let approved = Some(Status::Approved);
    let page = Page::first(2)?;
    let all = app
        .guests
        .memberships_of(&Actor::system(), member, approved, &page)
        .await?;
    Ok(all.members.iter().any(|membership| membership.host != *org))
}
