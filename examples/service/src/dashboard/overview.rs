//! The first page: what waits, and how things stand.

use axum::Router;
use axum::routing::get;
use guestlist::membership::link::LinkCondition;
use guestlist::{InviteFilter, LinkFilter, Member, MemberFilter, Page, Status};

use super::desk::{Desk, Shell};
use super::incoming::Waiting;
use super::names::{Names, handle};
use super::view::When;
use super::{Answer, show};
use crate::app::App;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/", get(page))
}

/// A number that leads to its page.
struct Tile {
    label: &'static str,
    value: String,
    note: String,
    path: &'static str,
}

struct Moment {
    who: String,
    what: String,
    at: When,
}

#[derive(askama::Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    organization: String,
    handle: String,
    tiles: Vec<Tile>,
    waiting: Vec<Waiting>,
    may_review: bool,
    moments: Vec<Moment>,
    may_audit: bool,
}

#[derive(askama::Template)]
#[template(path = "nowhere.html")]
struct Nowhere {
    shell: Shell,
    has_any: bool,
}

async fn page(desk: Desk) -> Answer {
    let Some(entry) = desk.organization.clone() else {
        return show(&Nowhere {
            shell: desk.shell("Welcome", "overview").await,
            has_any: !desk.organizations.is_empty(),
        });
    };
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), &entry.id);
    let hundred = Page::first(100)?;
    let count = |number: usize, more: bool| {
        if more {
            format!("{number}+")
        } else {
            number.to_string()
        }
    };
    let names = Names::load(&desk.app).await?.with_invites(&desk).await?;
    let mut tiles = Vec::new();
    let pending = guests.pending(&actor, host, None, &hundred).await;
    let may_review = pending.is_ok();
    let mut waiting = Vec::new();
    if let Ok(pending) = &pending {
        let longest = pending
            .requests
            .first()
            .map_or(0, |first| first.days_waiting);
        tiles.push(Tile {
            label: "Waiting for review",
            value: count(pending.requests.len(), pending.next.is_some()),
            note: match pending.requests.len() {
                0 => "nobody waits".to_owned(),
                _ if longest == 0 => "since today".to_owned(),
                _ => format!("longest: {}", super::view::plural(longest, "day", "days")),
            },
            path: "/incoming",
        });
        let first = pending.requests.iter().take(5);
        waiting.extend(first.map(|request| Waiting::of(request, &names)));
    }
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    if let Ok(members) = guests.members(&actor, host, filter, &hundred).await {
        let is_org = |member: &Member| matches!(member, Member::Org(_));
        let organizations = members
            .members
            .iter()
            .filter(|one| is_org(&one.member))
            .count();
        let more = members.next.is_some();
        tiles.push(Tile {
            label: "Orgs with access",
            value: count(organizations, more),
            note: "through proxy users".to_owned(),
            path: "/incoming",
        });
        tiles.push(Tile {
            label: "People",
            value: count(members.members.len() - organizations, more),
            note: "members of this organization".to_owned(),
            path: "/people",
        });
    }
    if let Ok(links) = guests
        .links(&actor, host, LinkFilter::default(), &hundred)
        .await
    {
        let open = links
            .links
            .iter()
            .filter(|one| one.condition == LinkCondition::Open);
        tiles.push(Tile {
            label: "Active links",
            value: count(open.count(), links.next.is_some()),
            note: format!("of {}", links.links.len()),
            path: "/users",
        });
    }
    let filter = InviteFilter {
        phase: Some(guestlist::membership::invite::InvitePhase::Pending),
        ..InviteFilter::default()
    };
    if let Ok(invites) = guests.invites(&actor, host, filter, &hundred).await {
        tiles.push(Tile {
            label: "Open e-mail invites",
            value: count(invites.invites.len(), invites.next.is_some()),
            note: "not answered yet".to_owned(),
            path: "/people",
        });
    }
    let latest = super::audit::latest(&desk, &names, 6).await;
    let may_audit = latest.is_ok();
    let moments = latest.unwrap_or_default().into_iter().map(|row| Moment {
        what: match row.about.as_str() {
            "" => row.what,
            about => format!("{}: {about}", row.what),
        },
        who: row.who,
        at: row.at,
    });
    show(&Overview {
        shell: desk.shell("Overview", "overview").await,
        organization: entry.title.to_string(),
        handle: handle(&desk.app, host).await?,
        tiles,
        waiting,
        may_review,
        moments: moments.collect(),
        may_audit,
    })
}
