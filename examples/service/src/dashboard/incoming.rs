//! "Orgs that joined you": requests, who is in, and who was.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use guestlist::membership::By;
use guestlist::membership::member::Door;
use guestlist::types::{GroupId, MemberKind};
use guestlist::{
    Changes, EventFilter, Member, MemberFilter, Membership, OrgId, Page, PendingRequest, Preset,
    Reason, Status, UserId,
};

use super::audit::Happened;
use super::desk::{Desk, Shell, done};
use super::fields::{Fields, parse};
use super::links::Confirm;
use super::names::{Names, handle};
use super::people::page_of;
use super::problem::Problem;
use super::view::{self, Badge, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::now;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/incoming", get(list))
        .route("/incoming/batch", post(batch))
        .route("/incoming/{kind}/{id}", get(detail))
        .route("/incoming/{kind}/{id}/approve", post(approve))
        .route("/incoming/{kind}/{id}/reject", post(reject))
        .route("/incoming/{kind}/{id}/remove", get(ask_remove).post(remove))
        .route("/incoming/{kind}/{id}/block", post(block))
        .route("/incoming/{kind}/{id}/unblock", post(unblock))
        .route("/incoming/{kind}/{id}/lift", post(lift))
}

pub(super) fn member_of(kind: &str, id: &str) -> Result<Member, Problem> {
    let member = match kind {
        "org" => OrgId::parse(id).ok().map(Member::Org),
        "user" => UserId::parse(id).ok().map(Member::User),
        _ => None,
    };
    member.ok_or_else(Problem::not_found)
}

pub(super) const fn kind_of(member: &Member) -> &'static str {
    match member {
        Member::Org(_) => "org",
        Member::User(_) => "user",
    }
}

pub(super) fn path_of(member: &Member) -> String {
    format!(
        "/incoming/{}/{}",
        kind_of(member),
        super::desk::encoded(member.id())
    )
}

/// As it stands in a form: `org:ID` or `user:ID`.
pub(super) fn value_of(member: &Member) -> String {
    format!("{}:{}", kind_of(member), member.id())
}

pub(super) fn of_value(text: &str) -> Result<Member, Problem> {
    let (kind, id) = text.split_once(':').ok_or_else(Problem::not_found)?;
    member_of(kind, id)
}

/// A request that waits.
pub(super) struct Waiting {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) name: String,
    pub(super) handle: String,
    pub(super) kind: &'static str,
    pub(super) door: &'static str,
    pub(super) days: String,
    pub(super) answers: Vec<String>,
}

impl Waiting {
    pub(super) fn of(request: &PendingRequest, names: &Names) -> Self {
        let membership = &request.membership;
        Self {
            path: path_of(&membership.member),
            value: value_of(&membership.member),
            name: names.membership(membership),
            handle: shown_handle(membership),
            kind: kind_words(&membership.member),
            door: door_words(&membership.door),
            days: match request.days_waiting {
                0 => "today".to_owned(),
                days => view::plural(days, "day", "days"),
            },
            answers: membership.answers.clone(),
        }
    }
}

fn shown_handle(membership: &Membership) -> String {
    let profile = &membership.profile;
    match (&profile.name, &profile.email) {
        (Some(name), _) => format!("@{name}"),
        (None, Some(email)) => email.to_string(),
        (None, None) => String::new(),
    }
}

const fn kind_words(member: &Member) -> &'static str {
    match member {
        Member::Org(_) => "Organization",
        Member::User(_) => "Person",
    }
}

const fn door_words(door: &Door) -> &'static str {
    match door {
        Door::Link { .. } => "by a link",
        Door::Invite { .. } => "by an e-mail invite",
        Door::Request => "asked without an invite",
        Door::Added => "added here",
        Door::Founded => "founded it",
    }
}

struct Inside {
    path: String,
    name: String,
    handle: String,
    proxy: String,
    since: Option<When>,
    by: String,
    expires: Option<When>,
}

struct Past {
    path: String,
    name: String,
    kind: &'static str,
    badge: Badge,
    cause: String,
    by: String,
    at: When,
    reason: String,
}

#[derive(askama::Template)]
#[template(path = "incoming.html")]
struct List {
    shell: Shell,
    waiting: Vec<Waiting>,
    waiting_next: Option<String>,
    inside: Vec<Inside>,
    inside_next: Option<String>,
    past: Vec<Past>,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let names = Names::load(&desk.app).await?;
    let page = page_of(&fields, "waiting", 50)?;
    let pending = guests.pending(&actor, host, None, &page).await?;
    let filter = MemberFilter {
        status: Some(Status::Approved),
        kind: Some(MemberKind::Org),
        ..MemberFilter::default()
    };
    let page = page_of(&fields, "inside", 50)?;
    let inside = guests.members(&actor, host, filter, &page).await?;
    let mut past = Vec::new();
    for status in [Status::Rejected, Status::Removed, Status::Cancelled] {
        let filter = MemberFilter {
            status: Some(status),
            ..MemberFilter::default()
        };
        let page = Page::first(50)?;
        past.extend(guests.members(&actor, host, filter, &page).await?.members);
    }
    past.sort_by_key(|membership| std::cmp::Reverse(membership.updated_at));
    show(&List {
        shell: desk.shell("Orgs that joined you", "incoming").await,
        waiting: pending
            .requests
            .iter()
            .map(|request| Waiting::of(request, &names))
            .collect(),
        waiting_next: pending.next.map(|cursor| cursor.to_string()),
        inside: inside
            .members
            .iter()
            .map(|membership| Inside {
                path: path_of(&membership.member),
                name: names.membership(membership),
                handle: shown_handle(membership),
                proxy: proxy_of(membership),
                since: membership.approved_at.map(When),
                by: membership
                    .approved_by
                    .as_ref()
                    .map(|by| match by {
                        By::User { .. } => format!("by {}", names.by(by)),
                        other => names.by(other),
                    })
                    .unwrap_or_default(),
                expires: membership.expires_at.map(When),
            })
            .collect(),
        inside_next: inside.next.map(|cursor| cursor.to_string()),
        past: past.iter().map(|one| ended(one, &names)).collect(),
    })
}

fn proxy_of(membership: &Membership) -> String {
    let proxy = membership.proxy.as_ref();
    proxy
        .map(|proxy| proxy.user_name.to_string())
        .unwrap_or_default()
}

fn ended(membership: &Membership, names: &Names) -> Past {
    let ended = membership.ended.as_ref();
    Past {
        path: path_of(&membership.member),
        name: names.membership(membership),
        kind: kind_words(&membership.member),
        badge: view::status(membership.status_at(now())),
        cause: membership
            .cause_at(now())
            .map(|cause| view::words(cause.as_str()))
            .unwrap_or_default(),
        by: ended.map(|ended| names.by(&ended.by)).unwrap_or_default(),
        at: When(ended.map_or(membership.updated_at, |ended| ended.at)),
        reason: ended
            .and_then(|ended| ended.reason.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

/// Approves or rejects what was ticked, each on its own.
async fn batch(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let members: Vec<Member> = fields
        .all("member")
        .map(of_value)
        .collect::<Result<_, _>>()?;
    if members.is_empty() {
        return Ok(done("/incoming", "Nobody was ticked, so nothing was done."));
    }
    let reason: Option<Reason> = fields.optional("reason", "Reason")?;
    let (outcomes, word) = match fields.text("do") {
        "approve" => (guests.approve_all(&actor, host, &members).await, "approved"),
        "reject" => (
            guests
                .reject_all(&actor, host, &members, reason.as_ref())
                .await,
            "rejected",
        ),
        _ => return Err(Problem::field("Form", "choose what to do")),
    };
    let names = Names::load(&desk.app).await?;
    let number = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let mut said = format!("{number} {word}.");
    for (member, outcome) in members.iter().zip(outcomes) {
        if let Err(error) = outcome {
            let name = names.member(member);
            said = format!("{said} {name}: {}", Problem::from(error).sentence());
        }
    }
    // It travels in a cookie.
    let said: String = said.chars().take(900).collect();
    Ok(done("/incoming", &said))
}

#[derive(askama::Template)]
#[template(path = "member.html")]
struct Detail {
    shell: Shell,
    path: String,
    section: &'static str,
    name: String,
    organization: bool,
    badge: Badge,
    state: &'static str,
    blocked: Option<String>,
    removed: bool,
    again: bool,
    facts: Vec<(&'static str, String)>,
    answers: Vec<(String, String)>,
    groups: Vec<String>,
    permissions: Vec<(String, String)>,
    all_groups: Vec<(String, String)>,
    roles: Vec<(String, String)>,
    history: Vec<Happened>,
    own_handle: String,
}

async fn detail(desk: Desk, Path((kind, id)): Path<(String, String)>) -> Answer {
    let member = member_of(&kind, &id)?;
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let membership = guests.membership(&actor, host, &member).await?;
    let names = Names::load(&desk.app).await?;
    let filter = EventFilter {
        member: Some(member.clone()),
        ..EventFilter::default()
    };
    let events = guests.audit(&actor, host, filter, &Page::first(200)?).await;
    let mut history: Vec<Happened> = events
        .map(|page| page.events)
        .unwrap_or_default()
        .iter()
        .map(|event| Happened::of(event, &names))
        .collect();
    history.reverse();
    let status = membership.status_at(now());
    let mut questions = Vec::new();
    if let Some(link) = membership.door.link()
        && let Ok(listing) = guests.link(&actor, host, link).await
    {
        questions = listing.link.config.questions;
    }
    let answers = membership
        .answers
        .iter()
        .enumerate()
        .map(|(place, answer)| {
            let question = questions.get(place).cloned();
            (
                question.unwrap_or_else(|| format!("Answer {}", place + 1)),
                answer.clone(),
            )
        });
    let listed = guests.groups(&actor, host, &Page::first(200)?).await;
    let listed = listed.map(|(groups, _)| groups).unwrap_or_default();
    let roles = guests.roles().roles().iter();
    let organization = matches!(member, Member::Org(_));
    let name = names.membership(&membership);
    show(&Detail {
        section: if organization { "incoming" } else { "people" },
        shell: desk
            .shell(&name, if organization { "incoming" } else { "people" })
            .await,
        path: path_of(&member),
        organization,
        badge: view::status(status),
        state: status.map_or("", Status::as_str),
        blocked: membership.block.as_ref().map(|block| {
            let reason = block.reason.as_ref().map(ToString::to_string);
            let by = names.by(&block.by);
            reason.map_or_else(|| format!("by {by}"), |reason| format!("by {by}: {reason}"))
        }),
        removed: membership.removed_at.is_some() && status != Some(Status::Approved),
        again: membership.episode.get() > 1,
        facts: facts(&membership, &names),
        answers: answers.collect(),
        groups: super::groups::named(&desk, &membership.groups).await,
        permissions: membership
            .grants
            .iter()
            .map(|grant| (view::pattern(&grant.pattern), view::actions(grant.actions)))
            .collect(),
        all_groups: listed
            .into_iter()
            .filter(|group| !(organization && group.internal))
            .map(|group| (group.id.to_string(), group.name.to_string()))
            .collect(),
        roles: roles
            .map(|role| (role.name.to_string(), view::words(role.name.as_str())))
            .collect(),
        history,
        own_handle: handle(&desk.app, host).await?,
        name,
    })
}

fn facts(membership: &Membership, names: &Names) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Came", door_words(&membership.door).to_owned()),
        ("Since", When(membership.opened_at).words()),
    ];
    let handle = shown_handle(membership);
    if !handle.is_empty() {
        facts.insert(0, ("Known as", handle));
    }
    if let Some(by) = &membership.approved_by {
        facts.push(("Approved by", names.by(by)));
    }
    if let Some(at) = membership.approved_at {
        facts.push(("Approved", When(at).words()));
    }
    if let Some(proxy) = &membership.proxy {
        facts.push(("Proxy user", proxy.user_name.to_string()));
    }
    if let Some(role) = &membership.role {
        facts.push(("Role", view::words(role.as_str())));
    }
    if let Some(at) = membership.expires_at {
        facts.push(("Ends", When(at).words()));
    }
    if let Some(message) = &membership.message {
        facts.push(("Message", message.to_string()));
    }
    if let Some(ended) = &membership.ended {
        facts.push((
            "Ended",
            format!("{}, {}", When(ended.at).words(), names.by(&ended.by)),
        ));
        if let Some(reason) = &ended.reason {
            facts.push(("Reason", reason.to_string()));
        }
    }
    facts
}

async fn approve(desk: Desk, Path((kind, id)): Path<(String, String)>, fields: Fields) -> Answer {
    let member = member_of(&kind, &id)?;
    let mut changes = Changes {
        expires_at: fields.in_days("lasts", "Access ends after")?,
        reinstate: fields.is_on("reinstate"),
        ..Changes::default()
    };
    // What the link gives, or what the reviewer ticks: never a mixture.
    if fields.is_on("own_gift") {
        let mut gift = Preset {
            role: fields.optional("role", "Role")?,
            ..Preset::default()
        };
        for group in fields.all("group") {
            gift.groups.insert(parse::<GroupId>(group, "Group")?);
        }
        changes.gift = Some(gift);
    }
    let host = desk.host()?;
    let guests = &desk.app.guests;
    let outcome = guests
        .approve_with(&desk.actor(), host, &member, changes)
        .await?;
    let name = Names::load(&desk.app).await?.member(&member);
    let said = if outcome.changed {
        format!("{name} is approved and has access now.")
    } else {
        format!("{name} was approved before.")
    };
    Ok(done(&path_of(&member), &said))
}

async fn reject(desk: Desk, Path((kind, id)): Path<(String, String)>, fields: Fields) -> Answer {
    let member = member_of(&kind, &id)?;
    let reason: Option<Reason> = fields.optional("reason", "Reason")?;
    let host = desk.host()?;
    desk.app
        .guests
        .reject(&desk.actor(), host, &member, reason)
        .await?;
    let name = Names::load(&desk.app).await?.member(&member);
    Ok(done(
        &path_of(&member),
        &format!("The request of {name} was rejected."),
    ))
}

async fn ask_remove(desk: Desk, Path((kind, id)): Path<(String, String)>) -> Answer {
    let member = member_of(&kind, &id)?;
    let host = desk.host()?;
    let membership = desk
        .app
        .guests
        .membership(&desk.actor(), host, &member)
        .await?;
    if membership.status_at(now()) != Some(Status::Approved) {
        let text = "there is no membership to end here";
        return Err(Problem::new(StatusCode::CONFLICT, text));
    }
    let name = Names::load(&desk.app).await?.membership(&membership);
    let (section, text) = match &member {
        Member::Org(_) => (
            "incoming",
            "Its proxy user is deactivated and its access ends at once. Links from before stop \
             working for it; with a newer one it can ask again, and you will review that.",
        ),
        Member::User(_) => (
            "people",
            "Their access ends at once. Links and invites from before stop working for them; with \
             a newer one they can ask again.",
        ),
    };
    show(&Confirm {
        shell: desk.shell(&format!("Remove {name}?"), section).await,
        title: format!("Remove {name}?"),
        text: text.to_owned(),
        action: format!("{}/remove", path_of(&member)),
        button: "Remove",
        danger: true,
        reason: true,
        hidden: Vec::new(),
        back: path_of(&member),
    })
}

async fn remove(desk: Desk, Path((kind, id)): Path<(String, String)>, fields: Fields) -> Answer {
    let member = member_of(&kind, &id)?;
    let reason: Option<Reason> = fields.optional("reason", "Reason")?;
    let host = desk.host()?;
    desk.app
        .guests
        .remove(&desk.actor(), host, &member, reason)
        .await?;
    let name = Names::load(&desk.app).await?.member(&member);
    Ok(done(
        &path_of(&member),
        &format!("{name} was removed and has no access any more."),
    ))
}

async fn block(desk: Desk, Path((kind, id)): Path<(String, String)>, fields: Fields) -> Answer {
    let member = member_of(&kind, &id)?;
    let reason: Option<Reason> = fields.optional("reason", "Reason")?;
    let host = desk.host()?;
    desk.app
        .guests
        .block(&desk.actor(), host, &member, reason)
        .await?;
    Ok(done(
        &path_of(&member),
        "Blocked: no door lets it in any more.",
    ))
}

async fn unblock(desk: Desk, Path((kind, id)): Path<(String, String)>) -> Answer {
    let member = member_of(&kind, &id)?;
    let host = desk.host()?;
    desk.app
        .guests
        .unblock(&desk.actor(), host, &member)
        .await?;
    Ok(done(&path_of(&member), "It can ask to join again."))
}

async fn lift(desk: Desk, Path((kind, id)): Path<(String, String)>) -> Answer {
    let member = member_of(&kind, &id)?;
    let host = desk.host()?;
    desk.app
        .guests
        .lift_removal(&desk.actor(), host, &member)
        .await?;
    Ok(done(
        &path_of(&member),
        "Links from before the removal work for it again.",
    ))
}
