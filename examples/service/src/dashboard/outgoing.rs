//! "Orgs you joined": where this organization and this person are members, and invites to answer.

use axum::Router;
use axum::routing::{get, post};
use guestlist::membership::invite::InvitePhase;
use guestlist::{Actor, Member, Membership, OrgId, Page, Status};

use super::desk::{Desk, Shell, done, encoded};
use super::fields::Fields;
use super::links::Confirm;
use super::names::{Names, handle};
use super::problem::Problem;
use super::view::{self, Badge, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::now;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/outgoing", get(list))
        .route("/outgoing/leave", get(ask_leave).post(leave))
        .route("/outgoing/cancel", post(cancel))
}

struct Joined {
    host: String,
    name: String,
    handle: String,
    badge: Badge,
    pending: bool,
    approved: bool,
    since: When,
    expires: Option<When>,
    role: String,
    reason: String,
    leave: String,
}

struct Offered {
    host: String,
    expires: Option<When>,
}

#[derive(askama::Template)]
#[template(path = "outgoing.html")]
struct List {
    shell: Shell,
    organization: Option<String>,
    joined: Vec<Joined>,
    own: Vec<Joined>,
    offered: Vec<Offered>,
    more: bool,
}

async fn list(desk: Desk) -> Answer {
    let (guests, actor) = (&desk.app.guests, desk.actor());
    let names = Names::load(&desk.app).await?;
    let page = Page::first(200)?;
    let (mut joined, mut more) = (Vec::new(), false);
    if let Some(member) = actor.as_member_organization() {
        let found = guests.memberships_of(&actor, &member, None, &page).await?;
        more |= found.next.is_some();
        for membership in &found.members {
            joined.push(shown(&desk.app, membership, &names, "org").await?);
        }
    }
    let mut own = Vec::new();
    let me = Member::User(desk.user.id.clone());
    let found = guests.memberships_of(&actor, &me, None, &page).await?;
    more |= found.next.is_some();
    for membership in &found.members {
        own.push(shown(&desk.app, membership, &names, "me").await?);
    }
    let (address, phase) = (&desk.user.email, Some(InvitePhase::Pending));
    let invites = guests.invites_to(&actor, address, phase, &page).await?;
    let organization = desk.organization.as_ref();
    show(&List {
        shell: desk.shell("Orgs you joined", "outgoing").await,
        organization: organization.map(|entry| entry.title.to_string()),
        joined,
        own,
        offered: invites
            .invites
            .iter()
            .map(|invite| Offered {
                host: names.organization(&invite.host),
                expires: invite.expires_at.map(When),
            })
            .collect(),
        more,
    })
}

async fn shown(
    app: &App,
    membership: &Membership,
    names: &Names,
    who: &str,
) -> Result<Joined, Problem> {
    let status = membership.status_at(now());
    let host = membership.host.to_string();
    let ended = membership.ended.as_ref();
    Ok(Joined {
        name: names.organization(&membership.host),
        handle: handle(app, &membership.host).await?,
        badge: view::status(status),
        pending: status == Some(Status::Pending),
        approved: status == Some(Status::Approved),
        since: When(ended.map_or(
            membership.approved_at.unwrap_or(membership.opened_at),
            |ended| ended.at,
        )),
        expires: membership.expires_at.map(When),
        role: membership
            .role
            .as_ref()
            .map(|role| view::words(role.as_str()))
            .unwrap_or_default(),
        reason: ended
            .and_then(|ended| ended.reason.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        leave: format!("/outgoing/leave?as={who}&host={}", encoded(&host)),
        host,
    })
}

/// Which membership a form means: of the organization, or of the person.
fn meant(desk: &Desk, fields: &Fields) -> Result<(Actor, OrgId, Member), Problem> {
    let host = OrgId::parse(fields.text("host")).map_err(|_| Problem::not_found())?;
    let actor = desk.actor();
    let member = match fields.text("as") {
        "org" => actor.as_member_organization(),
        _ => actor.as_member(),
    };
    let member = member.ok_or_else(Problem::no_organization)?;
    Ok((actor, host, member))
}

async fn ask_leave(desk: Desk, fields: Fields) -> Answer {
    let (actor, host, member) = meant(&desk, &fields)?;
    desk.app.guests.membership(&actor, &host, &member).await?;
    let names = Names::load(&desk.app).await?;
    let (host_name, who) = (names.organization(&host), names.member(&member));
    let title = format!("Leave {host_name}?");
    show(&Confirm {
        shell: desk.shell(&title, "outgoing").await,
        title,
        text: format!(
            "{who} gives up its access to what {host_name} shares, at once. Coming back takes a new \
             link or invite."
        ),
        action: "/outgoing/leave".to_owned(),
        button: "Leave",
        danger: true,
        reason: false,
        hidden: vec![
            ("host", host.to_string()),
            ("as", fields.text("as").to_owned()),
        ],
        back: "/outgoing".to_owned(),
    })
}

async fn leave(desk: Desk, fields: Fields) -> Answer {
    let (actor, host, member) = meant(&desk, &fields)?;
    desk.app.guests.leave(&actor, &host, &member).await?;
    let name = Names::load(&desk.app).await?.organization(&host);
    Ok(done("/outgoing", &format!("You have left {name}.")))
}

async fn cancel(desk: Desk, fields: Fields) -> Answer {
    let (actor, host, member) = meant(&desk, &fields)?;
    desk.app.guests.cancel(&actor, &host, &member).await?;
    let name = Names::load(&desk.app).await?.organization(&host);
    Ok(done(
        "/outgoing",
        &format!("Your request to join {name} was withdrawn."),
    ))
}
