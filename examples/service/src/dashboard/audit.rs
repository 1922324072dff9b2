//! The audit trail, newest first.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use guestlist::access_rules::AccessEvent;
use guestlist::membership::invite::InviteEvent;
use guestlist::membership::{By, Event};
use guestlist::store::Recorded;
use guestlist::{EventFilter, Page, Timestamp};

use super::desk::{Desk, Shell, encoded};
use super::fields::{DAY, Fields};
use super::incoming::of_value;
use super::names::Names;
use super::problem::Problem;
use super::view::{self, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::now;

const ROWS: usize = 50;
/// No list reads more than this, however much there is.
const MOST: usize = 20_000;

/// What can be asked for by name.
const KINDS: [&str; 34] = [
    "membership-requested",
    "membership-joined",
    "membership-approved",
    "membership-rejected",
    "membership-removed",
    "membership-withdrawn",
    "membership-left",
    "membership-expired",
    "membership-role-changed",
    "membership-gift-added",
    "member-blocked",
    "member-unblocked",
    "member-removal-lifted",
    "link-created",
    "link-refreshed",
    "link-disabled",
    "link-enabled",
    "link-edited",
    "link-deleted",
    "link-revealed",
    "link-expired",
    "link-exhausted",
    "links-paused",
    "links-resumed",
    "invite-sent",
    "invite-resent",
    "invite-accepted",
    "invite-declined",
    "invite-revoked",
    "group-created",
    "group-deleted",
    "added-to-group",
    "grant-made",
    "grant-revoked",
];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/audit", get(list))
}

/// An event as it is shown.
pub(super) struct Happened {
    pub(super) at: When,
    pub(super) exact: String,
    pub(super) what: String,
    pub(super) about: String,
    pub(super) who: String,
    pub(super) acting_for: String,
    pub(super) reason: String,
}

impl Happened {
    pub(super) fn of(recorded: &Recorded, names: &Names) -> Self {
        let stamp = &recorded.stamp;
        let acting_for = match &stamp.by {
            By::User {
                organization: Some(id),
                ..
            } if *id != recorded.organization => names.organization(id),
            By::User { .. } | By::Policy | By::Clock | By::System => String::new(),
        };
        Self {
            at: When(stamp.at),
            exact: When(stamp.at).exact(),
            what: view::words(recorded.event.name()),
            about: about(&recorded.event, names),
            who: names.by(&stamp.by),
            acting_for,
            reason: reason(&recorded.event),
        }
    }
}

/// Whom or what an event is about.
fn about(event: &Event, names: &Names) -> String {
    if let Some(member) = event.member() {
        return names.member(member);
    }
    match event {
        Event::Invite(InviteEvent::Sent(invite)) => invite.address.to_string(),
        Event::Link(guestlist::membership::link::LinkEvent::Created(link)) => {
            super::links::label_of(link)
        }
        Event::Access(AccessEvent::GrantMade(grant)) => {
            format!(
                "{} on {}",
                view::actions(grant.actions),
                view::pattern(&grant.pattern)
            )
        }
        Event::Access(
            AccessEvent::GroupCreated(group)
            | AccessEvent::GroupRenamed(group)
            | AccessEvent::GroupMarkedInternal(group),
        ) => group.name.to_string(),
        Event::Access(
            AccessEvent::AddedToGroup {
                member: guestlist::access_rules::GroupMember::Member { member, .. },
                ..
            }
            | AccessEvent::RemovedFromGroup {
                member: guestlist::access_rules::GroupMember::Member { member, .. },
                ..
            },
        ) => names.member(member),
        Event::Link(event) => names.link(event.link()),
        Event::Invite(event) => names.invite(event.invite()),
        Event::Organization(_) | Event::Member(_) | Event::Access(_) | Event::Webhook(_) => {
            String::new()
        }
    }
}

fn reason(event: &Event) -> String {
    use guestlist::membership::member::MemberEvent;
    match event {
        Event::Member(MemberEvent::Ended { reason, .. } | MemberEvent::Blocked { reason, .. }) => {
            reason.as_ref().map(ToString::to_string).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Every event that the filter lets through, oldest first, as far as [`MOST`].
async fn read(desk: &Desk, filter: &EventFilter) -> Result<Vec<Recorded>, Problem> {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let mut page = Page::first(1000)?;
    let mut events = Vec::new();
    loop {
        let found = guests.audit(&actor, host, filter.clone(), &page).await?;
        let full = found.events.len() == 1000;
        events.extend(found.events);
        match found.next {
            Some(next) if full && events.len() < MOST => page = page.after(next),
            _ => return Ok(events),
        }
    }
}

/// Every event of this name.
pub(super) async fn named(desk: &Desk, name: &str) -> Result<Vec<Recorded>, Problem> {
    let filter = EventFilter {
        name: Some(name.to_owned()),
        ..EventFilter::default()
    };
    read(desk, &filter).await
}

/// Those of some names since some time.
pub(super) async fn since(
    desk: &Desk,
    name: &str,
    from: Timestamp,
) -> Result<Vec<Recorded>, Problem> {
    let filter = EventFilter {
        name: Some(name.to_owned()),
        from: Some(from),
        ..EventFilter::default()
    };
    read(desk, &filter).await
}

/// The newest before `filter.until`. The trail is read from its beginning, so windows that end
/// there grow until enough is in one.
async fn newest(
    desk: &Desk,
    mut filter: EventFilter,
    count: usize,
) -> Result<(Vec<Recorded>, bool), Problem> {
    let end = filter.until.unwrap_or_else(|| now() + DAY);
    let earliest = filter.from;
    filter.until = Some(end);
    for days in [2, 14, 90, 730] {
        let from = earlier(end, DAY * days);
        if earliest.is_some_and(|earliest| earliest >= from) {
            break;
        }
        filter.from = Some(from);
        let found = read(desk, &filter).await?;
        if found.len() > count {
            return Ok((cut(found, count), true));
        }
    }
    filter.from = earliest;
    let found = read(desk, &filter).await?;
    let more = found.len() > count;
    Ok((cut(found, count), more))
}

fn earlier(end: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(end.as_micros().saturating_sub(micros))
}

/// The last ones, newest first. What happened at one time stays together, so that a page can begin
/// before a time.
fn cut(mut events: Vec<Recorded>, count: usize) -> Vec<Recorded> {
    let mut from = events.len().saturating_sub(count);
    while from > 0 && events[from - 1].stamp.at == events[from].stamp.at {
        from -= 1;
    }
    let mut last = events.split_off(from);
    last.reverse();
    last
}

pub(super) async fn latest(
    desk: &Desk,
    names: &Names,
    count: usize,
) -> Result<Vec<Happened>, Problem> {
    let (mut events, _) = newest(desk, EventFilter::default(), count).await?;
    events.truncate(count);
    Ok(events
        .iter()
        .map(|event| Happened::of(event, names))
        .collect())
}

#[derive(askama::Template)]
#[template(path = "audit.html")]
struct List {
    shell: Shell,
    events: Vec<Happened>,
    older: Option<String>,
    kinds: Vec<(&'static str, String, bool)>,
    people: Vec<(String, String, bool)>,
    from: String,
    until: String,
    filtered: bool,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let names = Names::load(&desk.app).await?.with_invites(&desk).await?;
    let (kind, member) = (fields.text("kind"), fields.text("member"));
    let (from, until) = (fields.text("from"), fields.text("until"));
    let before: Option<i64> = fields.optional("before", "Page")?;
    let filter = EventFilter {
        name: (!kind.is_empty()).then(|| kind.to_owned()),
        member: if member.is_empty() {
            None
        } else {
            Some(of_value(member)?)
        },
        from: fields.date("from", "From")?,
        until: match before {
            Some(micros) => Some(Timestamp::from_micros(micros)),
            None => fields.date("until", "Until")?.map(|day| day + DAY),
        },
        ..EventFilter::default()
    };
    let (events, more) = newest(&desk, filter, ROWS).await?;
    let older = events.last().filter(|_| more).map(|last| {
        format!(
            "/audit?kind={}&member={}&from={}&until={}&before={}",
            encoded(kind),
            encoded(member),
            encoded(from),
            encoded(until),
            last.stamp.at.as_micros(),
        )
    });
    let filter = guestlist::MemberFilter::default();
    let (guests, host) = (&desk.app.guests, desk.host()?);
    let members = guests
        .members(&desk.actor(), host, filter, &Page::first(500)?)
        .await;
    let members = members.map(|page| page.members).unwrap_or_default();
    show(&List {
        shell: desk.shell("Audit", "audit").await,
        events: events
            .iter()
            .map(|event| Happened::of(event, &names))
            .collect(),
        older,
        kinds: KINDS
            .map(|name| (name, view::words(name), name == kind))
            .to_vec(),
        people: members
            .iter()
            .map(|one| {
                let value = super::incoming::value_of(&one.member);
                let chosen = value == member;
                (value, names.membership(one), chosen)
            })
            .collect(),
        from: from.to_owned(),
        until: until.to_owned(),
        filtered: [kind, member, from, until]
            .iter()
            .any(|text| !text.is_empty()),
    })
}
