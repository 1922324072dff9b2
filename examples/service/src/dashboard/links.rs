//! "API keys & users": join links from *Add external user* to deletion, and access keys.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use guestlist::membership::By;
use guestlist::membership::link::{Approval, Link, LinkCondition, LinkStatus, UseState};
use guestlist::types::{EmailDomain, GroupId};
use guestlist::{
    Action, Expiry, Funnel, IdempotencyKey, Issued, JoinedBy, Lasting, LinkDraft, LinkFilter,
    LinkId, LinkListing, Page, Pattern, Pause, Preset, PresetGrant, Uses,
};

use super::desk::{Desk, Shell, done, redirect};
use super::fields::{DAY, Fields, parse};
use super::insights::{Bars, funnel_bars};
use super::names::Names;
use super::problem::Problem;
use super::view::{self, Badge, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::{Kind, new_id, now};

/// Permissions that the form has room for.
const ROWS: usize = 4;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/users", get(list))
        .route("/users/new", get(new).post(create))
        .route("/users/pause", post(pause))
        .route("/users/resume", post(resume))
        .route("/users/key", post(access_key))
        .route("/users/key/revoke", post(revoke_access_key))
        .route("/links/{id}", get(detail))
        .route("/links/{id}/edit", get(edit_page).post(edit))
        .route("/links/{id}/reveal", post(reveal))
        .route("/links/{id}/refresh", get(ask_refresh).post(refresh))
        .route("/links/{id}/disable", get(ask_disable).post(disable))
        .route("/links/{id}/enable", post(enable))
        .route("/links/{id}/delete", get(ask_delete).post(delete))
}

pub(super) fn id_of(text: &str) -> Result<LinkId, Problem> {
    LinkId::parse(text).map_err(|_| Problem::not_found())
}

pub(super) fn label_of(link: &Link) -> String {
    let label = link.config.label.as_ref().map(ToString::to_string);
    label.unwrap_or_else(|| "Link without a name".to_owned())
}

/// A link in the list.
struct Row {
    id: String,
    label: String,
    badge: Badge,
    approval: Badge,
    uses: String,
    expires: Option<When>,
    creator: String,
    created: When,
}

#[derive(askama::Template)]
#[template(path = "users.html")]
struct List {
    shell: Shell,
    links: Vec<Row>,
    next: Option<String>,
    paused: bool,
    refused: Option<String>,
    organization: String,
    keys: Vec<KeyRow>,
}

/// One of the signed-in person's own keys.
struct KeyRow {
    id: String,
    organization: String,
    created: When,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let page = super::people::page_of(&fields, "after", 50)?;
    let names = Names::load(&desk.app).await?;
    let (mut links, mut next, mut paused, mut refused) = (Vec::new(), None, false, None);
    match guests
        .links(&actor, host, LinkFilter::default(), &page)
        .await
    {
        Ok(found) => {
            paused = found
                .links
                .iter()
                .any(|listing| listing.condition == LinkCondition::Paused);
            links.extend(found.links.iter().map(|listing| row(listing, &names)));
            next = found.next.map(|cursor| cursor.to_string());
        }
        Err(error) if error.code() == "not-allowed" => {
            refused = Some(Problem::from(error).sentence());
        }
        Err(error) => return Err(error.into()),
    }
    let keys = desk.app.host.access_keys(&desk.user.id).await?;
    let keys = keys.into_iter().map(|key| KeyRow {
        id: key.id,
        organization: key.organization.map_or_else(
            || "any organization".to_owned(),
            |id| names.organization(&id),
        ),
        created: When(key.created_at),
    });
    show(&List {
        keys: keys.collect(),
        shell: desk.shell("API keys & users", "users").await,
        links,
        next,
        paused,
        refused,
        organization: names.organization(host),
    })
}

fn row(listing: &LinkListing, names: &Names) -> Row {
    let link = &listing.link;
    Row {
        id: link.id.to_string(),
        label: label_of(link),
        badge: listing.condition.into(),
        approval: approval(link.config.approval),
        uses: uses(listing),
        expires: link.config.expires_at.map(When),
        creator: creator(link, names),
        created: When(link.created_at),
    }
}

fn creator(link: &Link, names: &Names) -> String {
    let creator = link.creator.as_ref().map(|user| names.user(user));
    creator.unwrap_or_else(|| "the service".to_owned())
}

const fn approval(approval: Approval) -> Badge {
    match approval {
        Approval::Review => Badge::new("plain", "Review"),
        Approval::Auto => Badge::new("info", "Auto-approve"),
    }
}

/// Uses are counted for links with a limit.
fn uses(listing: &LinkListing) -> String {
    match (listing.uses, listing.link.config.max_uses) {
        (Some(uses), Some(limit)) => format!("{uses} of {limit}"),
        (Some(uses), None) => format!("{uses}, no limit"),
        (None, Some(limit)) => format!("at most {limit}"),
        (None, None) => "no limit".to_owned(),
    }
}

/// A permission of the form, as it was filled in.
#[derive(Default)]
struct Permission {
    number: usize,
    pattern: String,
    actions: Vec<&'static str>,
}

impl Permission {
    fn has(&self, action: &str) -> bool {
        self.actions.contains(&action)
    }
}

#[derive(Default)]
struct Choices {
    value: String,
    label: String,
    chosen: bool,
}

/// What a form about a link holds, so that a refused one comes back as it was.
struct LinkForm {
    label: String,
    auto: bool,
    joined_by: &'static str,
    expires: String,
    max_uses: String,
    lasts: String,
    domains: String,
    questions: String,
    permissions: Vec<Permission>,
    groups: Vec<Choices>,
    roles: Vec<Choices>,
}

#[derive(askama::Template)]
#[template(path = "link_form.html")]
struct FormPage {
    shell: Shell,
    /// The link that is edited.
    editing: Option<(String, String)>,
    form: LinkForm,
    error: Option<String>,
    advice: &'static str,
    once: String,
    organization: String,
}

async fn form_page(
    desk: &Desk,
    editing: Option<&Link>,
    form: LinkForm,
    problem: Option<&Problem>,
) -> Answer {
    let title = match editing {
        Some(link) => format!("Edit {}", label_of(link)),
        None => "Add external user".to_owned(),
    };
    let organization = desk.organization.as_ref();
    let page = show(&FormPage {
        shell: desk.shell(&title, "users").await,
        editing: editing.map(|link| (link.id.to_string(), label_of(link))),
        form,
        error: problem.map(Problem::sentence),
        advice: problem.map_or("", |problem| problem.advice()),
        once: new_id("form"),
        organization: organization
            .map(|entry| entry.title.to_string())
            .unwrap_or_default(),
    })?;
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    Ok((status, page).into_response())
}

/// Groups and roles to choose from. Who may not see the groups is offered none.
async fn choices(
    desk: &Desk,
    groups: &[String],
    role: &str,
) -> Result<(Vec<Choices>, Vec<Choices>), Problem> {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let listed = guests.groups(&actor, host, &Page::first(200)?).await;
    let listed = listed.map(|(groups, _)| groups).unwrap_or_default();
    let groups = listed
        .into_iter()
        .filter(|group| !group.internal)
        .map(|group| {
            let value = group.id.to_string();
            Choices {
                chosen: groups.contains(&value),
                value,
                label: group.name.to_string(),
            }
        });
    let roles = guests.roles().roles().iter().map(|one| Choices {
        value: one.name.to_string(),
        label: view::words(one.name.as_str()),
        chosen: one.name.as_str() == role,
    });
    Ok((groups.collect(), roles.collect()))
}

async fn filled(desk: &Desk, fields: &Fields) -> Result<LinkForm, Problem> {
    let chosen: Vec<String> = fields.all("group").map(str::to_owned).collect();
    let (groups, roles) = choices(desk, &chosen, fields.text("role")).await?;
    let permissions = (0..ROWS).map(|number| Permission {
        number,
        pattern: fields.text(&format!("pattern{number}")).to_owned(),
        actions: Action::ALL
            .map(Action::as_str)
            .into_iter()
            .filter(|name| fields.has(&format!("actions{number}"), name))
            .collect(),
    });
    Ok(LinkForm {
        label: fields.text("label").to_owned(),
        auto: fields.is_on("auto"),
        joined_by: match fields.text("joined_by") {
            "users" => "users",
            "both" => "both",
            _ => "organizations",
        },
        expires: fields.text("expires").to_owned(),
        max_uses: fields.text("max_uses").to_owned(),
        lasts: fields.text("lasts").to_owned(),
        domains: fields.text("domains").to_owned(),
        questions: fields.text("questions").to_owned(),
        permissions: permissions.collect(),
        groups,
        roles,
    })
}

async fn new(desk: Desk) -> Answer {
    let mut form = filled(&desk, &Fields::default()).await?;
    if let Some(first) = form.permissions.first_mut() {
        first.pattern.push_str("shared/");
        first.actions = vec!["read"];
    }
    form_page(&desk, None, form, None).await
}

/// The form as guestlist takes it.
fn draft(fields: &Fields) -> Result<LinkDraft, Problem> {
    let approval = if fields.is_on("auto") {
        LinkDraft::auto()
    } else {
        LinkDraft::review()
    };
    let mut preset = Preset {
        role: fields.optional("role", "Role")?,
        ..Preset::default()
    };
    for group in fields.all("group") {
        preset.groups.insert(parse::<GroupId>(group, "Group")?);
    }
    for number in 0..ROWS {
        let pattern = fields.text(&format!("pattern{number}"));
        let actions = fields.actions(&format!("actions{number}"))?;
        if pattern.is_empty() {
            continue;
        }
        let label = format!("Permission {}", number + 1);
        let pattern =
            Pattern::parse(pattern).map_err(|error| Problem::field(&label, &error.to_string()))?;
        if actions.is_empty() {
            return Err(Problem::field(&label, "tick at least one action"));
        }
        preset.grants.push(PresetGrant { actions, pattern });
    }
    let mut domains = std::collections::BTreeSet::new();
    for domain in fields.list("domains") {
        domains.insert(parse::<EmailDomain>(domain, "Allowed e-mail domains")?);
    }
    let max_uses: Option<u64> = fields.optional("max_uses", "Limit")?;
    Ok(LinkDraft {
        label: fields.optional("label", "Name")?,
        preset: Some(preset),
        joined_by: Some(match fields.text("joined_by") {
            "users" => JoinedBy::Users,
            "both" => JoinedBy::Both,
            _ => JoinedBy::Organizations,
        }),
        expiry: Some(
            fields
                .days("expires", "Link expires after")?
                .map_or(Expiry::Never, Expiry::After),
        ),
        max_uses: Some(max_uses.map_or(Uses::Unlimited, Uses::AtMost)),
        membership_ttl: Some(
            fields
                .days("lasts", "Access ends after")?
                .map_or(Lasting::Always, Lasting::For),
        ),
        allowed_domains: Some(domains),
        questions: Some(fields.lines("questions").map(str::to_owned).collect()),
        ..approval
    })
}

/// A form that is sent twice does its work once.
pub(super) fn once(fields: &Fields) -> Result<IdempotencyKey, Problem> {
    let text = fields.text("once");
    let key = if text.is_empty() {
        new_id("form")
    } else {
        text.to_owned()
    };
    IdempotencyKey::parse(&key).map_err(|error| Problem::field("Form", &error.to_string()))
}

async fn create(desk: Desk, fields: Fields) -> Answer {
    let host = desk.host()?;
    let refused = match draft(&fields) {
        Ok(draft) => {
            let guests = desk.app.guests.with_key(once(&fields)?);
            match guests.create_link(&desk.actor(), host, draft).await {
                Ok(issued) => return show_issued(&desk, &issued, "Link generated").await,
                Err(error) => Problem::from(error),
            }
        }
        Err(problem) => problem,
    };
    let form = filled(&desk, &fields).await?;
    form_page(&desk, None, form, Some(&refused)).await
}

#[derive(askama::Template)]
#[template(path = "issued.html")]
struct IssuedPage {
    shell: Shell,
    title: &'static str,
    label: String,
    url: String,
    back: String,
    auto: bool,
    expires: Option<When>,
    uses: String,
    sealed: bool,
}

/// The answer to the form itself holds the secret: nothing is put into an address or a cookie, and
/// asking for the page again shows the link without it.
async fn show_issued(desk: &Desk, issued: &Issued, title: &'static str) -> Answer {
    let path = format!("/links/{}", issued.link.id);
    let Some(url) = &issued.url else {
        return Ok(done(
            &path,
            "That was done before. The link can be shown again here.",
        ));
    };
    let limit = issued.link.config.max_uses;
    show(&IssuedPage {
        shell: desk.shell(title, "users").await,
        title,
        label: label_of(&issued.link),
        url: url.expose_secret().to_owned(),
        back: path,
        auto: issued.link.config.approval == Approval::Auto,
        expires: issued.link.config.expires_at.map(When),
        uses: limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit}")),
        sealed: true,
    })
}

struct Through {
    who: String,
    path: String,
    state: Badge,
    at: When,
    approved: String,
    approved_at: Option<When>,
    still: bool,
}

#[derive(askama::Template)]
#[template(path = "link.html")]
struct Detail {
    shell: Shell,
    id: String,
    label: String,
    badge: Badge,
    active: bool,
    facts: Vec<(&'static str, String)>,
    permissions: Vec<(String, String)>,
    groups: Vec<String>,
    questions: Vec<String>,
    through: Vec<Through>,
    next: Option<String>,
    funnels: Vec<Funnel>,
    bars: Bars,
    once: String,
}

async fn detail(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let id = id_of(&id)?;
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let listing = guests.link(&actor, host, id).await?;
    let names = Names::load(&desk.app).await?;
    let page = super::people::page_of(&fields, "after", 50)?;
    let (users, next) = guests.link_users(&actor, host, id, &page).await?;
    let through = users.iter().map(|user| Through {
        who: names.member(&user.member),
        path: super::incoming::path_of(&user.member),
        state: match user.state {
            UseState::Reserved => Badge::new("wait", "Waiting"),
            UseState::Settled => Badge::new("good", "Let in"),
            UseState::Released => Badge::new("off", "Given back"),
        },
        at: When(user.at),
        approved: user
            .approved_by
            .as_ref()
            .map_or_else(String::new, |by: &By| names.by(by)),
        approved_at: user.approved_at.map(When),
        still: user.still_member,
    });
    let through = through.collect();
    let funnels = guests.funnel(&actor, host, id).await?;
    let link = &listing.link;
    let config = &link.config;
    let groups = super::groups::named(&desk, &config.preset.groups).await;
    let mut facts = vec![
        ("Uses", uses(&listing)),
        (
            "When somebody joins",
            match config.approval {
                Approval::Review => "you review the request".to_owned(),
                Approval::Auto => "they are let in at once".to_owned(),
            },
        ),
        (
            "For",
            match config.joined_by {
                JoinedBy::Organizations => "organizations",
                JoinedBy::Users => "people",
                JoinedBy::Both => "organizations and people",
            }
            .to_owned(),
        ),
        (
            "Expires",
            config
                .expires_at
                .map_or("never".to_owned(), |at| When(at).words()),
        ),
        (
            "Access lasts",
            config
                .membership_ttl
                .map_or("until it is ended".to_owned(), |ttl| {
                    view::plural(ttl.as_secs() / DAY.as_secs(), "day", "days")
                }),
        ),
        (
            "Made by",
            format!(
                "{}, {}",
                creator(link, &names),
                When(link.created_at).words()
            ),
        ),
        ("Token", format!("number {}", link.generation.get())),
    ];
    if let Some(role) = &config.preset.role {
        facts.push(("Role of people", view::words(role.as_str())));
    }
    if !config.allowed_domains.is_empty() {
        let domains: Vec<String> = config
            .allowed_domains
            .iter()
            .map(ToString::to_string)
            .collect();
        facts.push(("Only for addresses at", domains.join(", ")));
    }
    let permissions = config.preset.grants.iter();
    let label = label_of(link);
    show(&Detail {
        shell: desk.shell(&label, "users").await,
        id: id.to_string(),
        label,
        badge: listing.condition.into(),
        active: link.status == LinkStatus::Active,
        facts,
        permissions: permissions
            .map(|grant| (view::pattern(&grant.pattern), view::actions(grant.actions)))
            .collect(),
        groups,
        questions: config.questions.clone(),
        through,
        next: next.map(|cursor| cursor.to_string()),
        bars: funnel_bars(&funnels),
        funnels,
        once: new_id("form"),
    })
}

async fn edit_page(desk: Desk, Path(id): Path<String>) -> Answer {
    let host = desk.host()?;
    let listing = desk
        .app
        .guests
        .link(&desk.actor(), host, id_of(&id)?)
        .await?;
    let form = of_link(&desk, &listing.link).await?;
    form_page(&desk, Some(&listing.link), form, None).await
}

async fn of_link(desk: &Desk, link: &Link) -> Result<LinkForm, Problem> {
    let config = &link.config;
    let chosen: Vec<String> = config
        .preset
        .groups
        .iter()
        .map(ToString::to_string)
        .collect();
    let role = config.preset.role.as_ref().map_or("", |role| role.as_str());
    let (groups, roles) = choices(desk, &chosen, role).await?;
    let days = |time: Duration| time.as_secs().div_ceil(DAY.as_secs()).to_string();
    let permissions = (0..ROWS).map(|number| {
        let grant = config.preset.grants.get(number);
        Permission {
            number,
            pattern: grant.map_or(String::new(), |grant| grant.pattern.as_str().to_owned()),
            actions: grant.map_or(Vec::new(), |grant| {
                grant.actions.iter().map(Action::as_str).collect()
            }),
        }
    });
    let domains: Vec<String> = config
        .allowed_domains
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(LinkForm {
        label: config
            .label
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        auto: config.approval == Approval::Auto,
        joined_by: match config.joined_by {
            JoinedBy::Organizations => "organizations",
            JoinedBy::Users => "users",
            JoinedBy::Both => "both",
        },
        expires: config
            .expires_at
            .map_or(String::new(), |at| days(at.since(now()))),
        max_uses: config
            .max_uses
            .map_or(String::new(), |limit| limit.to_string()),
        lasts: config.membership_ttl.map_or(String::new(), days),
        domains: domains.join(", "),
        questions: config.questions.join("\n"),
        permissions: permissions.collect(),
        groups,
        roles,
    })
}

async fn edit(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let (guests, actor) = (&desk.app.guests, desk.actor());
    let refused = match draft(&fields) {
        Ok(draft) => match guests.edit_link(&actor, host, id, draft).await {
            Ok(_) => return Ok(done(&format!("/links/{id}"), "The link was changed.")),
            Err(error) => Problem::from(error),
        },
        Err(problem) => problem,
    };
    let listing = guests.link(&actor, host, id).await?;
    let form = filled(&desk, &fields).await?;
    form_page(&desk, Some(&listing.link), form, Some(&refused)).await
}

async fn reveal(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let issued = desk.app.guests.reveal_link(&desk.actor(), host, id).await?;
    show_issued(&desk, &issued, "Your join link").await
}

/// Asks before something that can't be taken back.
#[derive(askama::Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) shell: Shell,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) action: String,
    pub(super) button: &'static str,
    pub(super) danger: bool,
    /// Whether it asks why.
    pub(super) reason: bool,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) back: String,
}

async fn ask(desk: &Desk, id: &str, what: &'static str) -> Answer {
    let (id, host) = (id_of(id)?, desk.host()?);
    let listing = desk.app.guests.link(&desk.actor(), host, id).await?;
    let label = label_of(&listing.link);
    let (title, text, button) = match what {
        "refresh" => (
            format!("Refresh “{label}”?"),
            "The link gets a new token and keeps its configuration and its counts. The old link \
             stops working at once: send the new one to whoever still needs it.",
            "Refresh the link",
        ),
        "disable" => (
            format!("Disable “{label}”?"),
            "Nobody can join through it any more. Organizations that have joined keep their access, \
             and requests that wait can still be decided. Enabling it later makes a new link.",
            "Disable the link",
        ),
        _ => (
            format!("Delete “{label}”?"),
            "The link is gone from the list and refused everywhere, for good. Whoever came through \
             it keeps their access, and stays on record.",
            "Delete the link",
        ),
    };
    show(&Confirm {
        shell: desk.shell(&title, "users").await,
        title,
        text: text.to_owned(),
        action: format!("/links/{id}/{what}"),
        button,
        danger: what != "refresh",
        reason: false,
        hidden: vec![("once", new_id("form"))],
        back: format!("/links/{id}"),
    })
}

async fn ask_refresh(desk: Desk, Path(id): Path<String>) -> Answer {
    ask(&desk, &id, "refresh").await
}

async fn ask_disable(desk: Desk, Path(id): Path<String>) -> Answer {
    ask(&desk, &id, "disable").await
}

async fn ask_delete(desk: Desk, Path(id): Path<String>) -> Answer {
    ask(&desk, &id, "delete").await
}

async fn refresh(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let guests = desk.app.guests.with_key(once(&fields)?);
    let issued = guests
        .refresh_link(&desk.actor(), host, id, Duration::ZERO)
        .await?;
    show_issued(&desk, &issued, "Link refreshed").await
}

async fn enable(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let guests = desk.app.guests.with_key(once(&fields)?);
    let issued = guests.enable_link(&desk.actor(), host, id).await?;
    show_issued(&desk, &issued, "Link enabled").await
}

async fn disable(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    desk.app
        .guests
        .disable_link(&desk.actor(), host, id)
        .await?;
    Ok(done(&format!("/links/{id}"), "The link is disabled."))
}

async fn delete(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    desk.app.guests.delete_link(&desk.actor(), host, id).await?;
    Ok(done("/users", "The link was deleted."))
}

async fn pause(desk: Desk) -> Answer {
    let host = desk.host()?;
    desk.app
        .guests
        .pause_links(&desk.actor(), host, Pause::UntilResumed)
        .await?;
    Ok(done("/users", "All links rest until you resume them."))
}

async fn resume(desk: Desk) -> Answer {
    let host = desk.host()?;
    desk.app.guests.resume_links(&desk.actor(), host).await?;
    Ok(done("/users", "The links work again."))
}

#[derive(askama::Template)]
#[template(path = "access_key.html")]
struct AccessKey {
    shell: Shell,
    key: String,
    organization: String,
}

/// A key for a program of the signed-in person, in the organization that they act in.
async fn access_key(desk: Desk) -> Result<Response, Problem> {
    let Some(entry) = &desk.organization else {
        return Ok(redirect("/"));
    };
    let issued = desk
        .app
        .host
        .issue(Kind::Bearer, &desk.user.id, Some(&entry.id))
        .await?;
    show(&AccessKey {
        shell: desk.shell("Access key created", "users").await,
        key: issued,
        organization: entry.title.to_string(),
    })
}

async fn revoke_access_key(desk: Desk, fields: Fields) -> Answer {
    let host = &desk.app.host;
    if !host
        .revoke_access_key(&desk.user.id, fields.text("key"))
        .await?
    {
        return Err(Problem::not_found());
    }
    Ok(done(
        "/users",
        "The access key was revoked: programs that have it are signed out.",
    ))
}
