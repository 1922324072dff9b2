//! Groups: who is in them, which is in which, and the one for everybody from outside.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use guestlist::types::GroupId;
use guestlist::{GroupName, Member, MemberFilter, Page, Status};

use super::desk::{Desk, Shell, done};
use super::fields::Fields;
use super::incoming::{of_value, path_of, value_of};
use super::links::Confirm;
use super::names::Names;
use super::problem::Problem;
use super::view::When;
use super::{Answer, show};
use crate::app::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/groups", get(list).post(create))
        .route("/groups/external", post(set_external))
        .route("/groups/{id}", get(detail))
        .route("/groups/{id}/add", post(add))
        .route("/groups/{id}/remove", post(remove))
        .route("/groups/{id}/nest", post(nest))
        .route("/groups/{id}/unnest", post(unnest))
        .route("/groups/{id}/rename", post(rename))
        .route("/groups/{id}/delete", get(ask_delete).post(delete))
}

pub(super) fn id_of(text: &str) -> Result<GroupId, Problem> {
    GroupId::parse(text).map_err(|_| Problem::not_found())
}

/// The names of groups, for whoever may see them; else how many there are.
pub(super) async fn named(desk: &Desk, groups: &BTreeSet<GroupId>) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    let listed = all(desk).await.unwrap_or_default();
    let name = |id: &GroupId| {
        let known = listed.iter().find(|(known, _)| known == id);
        known.map_or_else(|| "a group".to_owned(), |(_, name)| name.clone())
    };
    groups.iter().map(name).collect()
}

/// Every group with its name.
pub(super) async fn all(desk: &Desk) -> Result<Vec<(GroupId, String)>, Problem> {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let mut page = Page::first(1000)?;
    let mut found = Vec::new();
    loop {
        let (groups, next) = guests.groups(&actor, host, &page).await?;
        found.extend(
            groups
                .into_iter()
                .map(|group| (group.id, group.name.to_string())),
        );
        match next {
            Some(next) => page = page.after(next),
            None => return Ok(found),
        }
    }
}

struct Row {
    id: String,
    name: String,
    internal: bool,
    external: bool,
    members: usize,
    created: When,
}

#[derive(askama::Template)]
#[template(path = "groups.html")]
struct List {
    shell: Shell,
    groups: Vec<Row>,
    next: Option<String>,
    external_known: bool,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let page = super::people::page_of(&fields, "after", 50)?;
    let (groups, next) = guests.groups(&actor, host, &page).await?;
    let external = external_group(&desk).await;
    let mut rows = Vec::new();
    for group in groups {
        let members = guests.group_members(&actor, host, group.id).await?;
        rows.push(Row {
            external: matches!(&external, Ok(Some(id)) if *id == group.id),
            id: group.id.to_string(),
            name: group.name.to_string(),
            internal: group.internal,
            members: members.len(),
            created: When(group.created_at),
        });
    }
    show(&List {
        shell: desk.shell("Groups", "groups").await,
        groups: rows,
        next: next.map(|cursor| cursor.to_string()),
        external_known: external.is_ok(),
    })
}

/// The group that everybody from outside is in: what was said about it last.
async fn external_group(desk: &Desk) -> Result<Option<GroupId>, Problem> {
    let events = super::audit::named(desk, "external-group-set").await?;
    Ok(events
        .into_iter()
        .rev()
        .find_map(|event| match event.event {
            guestlist::membership::Event::Access(
                guestlist::access_rules::AccessEvent::ExternalGroupSet(group),
            ) => Some(group),
            _ => None,
        })
        .flatten())
}

async fn create(desk: Desk, fields: Fields) -> Answer {
    let host = desk.host()?;
    let name: GroupName = fields.required("name", "Name")?;
    let group = desk
        .app
        .guests
        .create_group(&desk.actor(), host, name, fields.is_on("internal"))
        .await?;
    let said = format!(
        "{} was created. Put somebody in it, and give it permissions.",
        group.name
    );
    Ok(done(&format!("/groups/{}", group.id), &said))
}

async fn set_external(desk: Desk, fields: Fields) -> Answer {
    let host = desk.host()?;
    let group = match fields.text("group") {
        "" => None,
        text => Some(id_of(text)?),
    };
    desk.app
        .guests
        .set_external_group(&desk.actor(), host, group)
        .await?;
    let said = if group.is_some() {
        "Every proxy user is in this group now."
    } else {
        "There is no external group any more."
    };
    Ok(done("/groups", said))
}

struct Inside {
    value: String,
    name: String,
    kind: &'static str,
    path: String,
    group: bool,
}

#[derive(askama::Template)]
#[template(path = "group.html")]
struct Detail {
    shell: Shell,
    id: String,
    name: String,
    internal: bool,
    external: bool,
    members: Vec<Inside>,
    by_membership: Vec<(String, String)>,
    candidates: Vec<(String, String)>,
    groups: Vec<(String, String)>,
    grants: Vec<super::access::GrantRow>,
}

async fn detail(desk: Desk, Path(id): Path<String>) -> Answer {
    let id = id_of(&id)?;
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let listed = all(&desk).await?;
    let internal = {
        let (groups, _) = guests.groups(&actor, host, &Page::first(1000)?).await?;
        groups
            .into_iter()
            .find(|group| group.id == id)
            .is_some_and(|group| group.internal)
    };
    let members = guests.group_members(&actor, host, id).await?;
    let name = listed
        .iter()
        .find(|(known, _)| *known == id)
        .map(|(_, name)| name.clone())
        .ok_or_else(Problem::not_found)?;
    let names = Names::load(&desk.app).await?;
    let inside: Vec<Inside> = members
        .iter()
        .map(|member| match member {
            guestlist::access_rules::GroupMember::Group(inner) => Inside {
                value: inner.to_string(),
                name: listed
                    .iter()
                    .find(|(known, _)| known == inner)
                    .map_or_else(|| inner.to_string(), |(_, name)| name.clone()),
                kind: "Group",
                path: format!("/groups/{inner}"),
                group: true,
            },
            guestlist::access_rules::GroupMember::Member { member, .. } => Inside {
                value: value_of(member),
                name: names.member(member),
                kind: match member {
                    Member::Org(_) => "Organization",
                    Member::User(_) => "Person",
                },
                path: path_of(member),
                group: false,
            },
        })
        .collect();
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let approved = guests
        .members(&actor, host, filter.clone(), &Page::first(500)?)
        .await;
    let approved = approved.map(|page| page.members).unwrap_or_default();
    let held = MemberFilter {
        group: Some(id),
        ..filter
    };
    let held = guests
        .members(&actor, host, held, &Page::first(500)?)
        .await?
        .members;
    let shown = |membership: &guestlist::Membership| {
        (path_of(&membership.member), names.membership(membership))
    };
    let is_listed = |value: &str| inside.iter().any(|one| one.value == value);
    let external = external_group(&desk).await;
    let grants = super::access::rows(&desk, &names).await.unwrap_or_default();
    show(&Detail {
        shell: desk.shell(&name, "groups").await,
        id: id.to_string(),
        internal,
        external: matches!(external, Ok(Some(group)) if group == id),
        by_membership: held
            .iter()
            .filter(|one| !is_listed(&value_of(&one.member)))
            .map(shown)
            .collect(),
        candidates: approved
            .iter()
            .filter(|one| !is_listed(&value_of(&one.member)))
            .map(|one| (value_of(&one.member), names.membership(one)))
            .collect(),
        groups: listed
            .iter()
            .filter(|(other, _)| *other != id && !is_listed(&other.to_string()))
            .map(|(other, name)| (other.to_string(), name.clone()))
            .collect(),
        grants: grants
            .into_iter()
            .filter(|grant| grant.group == Some(id))
            .collect(),
        members: inside,
        name,
    })
}

async fn add(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let member = of_value(fields.text("member"))?;
    desk.app
        .guests
        .add_to_group(&desk.actor(), host, id, &member)
        .await?;
    Ok(done(
        &format!("/groups/{id}"),
        "Added: access through the group counts at once.",
    ))
}

async fn remove(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let member = of_value(fields.text("member"))?;
    desk.app
        .guests
        .remove_from_group(&desk.actor(), host, id, &member)
        .await?;
    Ok(done(
        &format!("/groups/{id}"),
        "Taken out: access through the group has ended.",
    ))
}

async fn nest(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host, inner) = (id_of(&id)?, desk.host()?, id_of(fields.text("group"))?);
    desk.app
        .guests
        .nest_group(&desk.actor(), host, id, inner)
        .await?;
    Ok(done(
        &format!("/groups/{id}"),
        "Whoever is in that group is in this one, too.",
    ))
}

async fn unnest(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host, inner) = (id_of(&id)?, desk.host()?, id_of(fields.text("group"))?);
    desk.app
        .guests
        .unnest_group(&desk.actor(), host, id, inner)
        .await?;
    Ok(done(&format!("/groups/{id}"), "The group was taken out."))
}

async fn rename(desk: Desk, Path(id): Path<String>, fields: Fields) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    let name: GroupName = fields.required("name", "Name")?;
    let said = format!("The group is called {name} now.");
    desk.app
        .guests
        .rename_group(&desk.actor(), host, id, name)
        .await?;
    Ok(done(&format!("/groups/{id}"), &said))
}

async fn ask_delete(desk: Desk, Path(id): Path<String>) -> Answer {
    let id = id_of(&id)?;
    let listed = all(&desk).await?;
    let name = listed
        .into_iter()
        .find(|(known, _)| *known == id)
        .map(|(_, name)| name)
        .ok_or_else(Problem::not_found)?;
    let title = format!("Delete {name}?");
    show(&Confirm {
        shell: desk.shell(&title, "groups").await,
        title,
        text: "Its permissions and its memberships end with it, at once. A new group of this name \
               inherits nothing."
            .to_owned(),
        action: format!("/groups/{id}/delete"),
        button: "Delete the group",
        danger: true,
        reason: false,
        hidden: Vec::new(),
        back: format!("/groups/{id}"),
    })
}

async fn delete(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (id_of(&id)?, desk.host()?);
    desk.app
        .guests
        .delete_group(&desk.actor(), host, id)
        .await?;
    Ok(done("/groups", "The group was deleted."))
}
