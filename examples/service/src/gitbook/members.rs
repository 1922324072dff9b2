//! The members of an organization.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use guestlist::{Membership, Status, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::caller::{Body, Caller, Parameters};
use super::error::Failure;
use super::paging::{Listed, Paging, Place};
use super::roster::{self, Roster};
use super::shapes::{MemberShape, WireRole, present, role_meant, user_of};
use crate::app::App;
use crate::host::User;

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    limit: Option<String>,
    page: Option<String>,
    role: Option<String>,
    search: Option<String>,
    #[serde(default)]
    sort: Sort,
    #[serde(default)]
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Sort {
    #[default]
    JoinedAt,
    LastSeenAt,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Order {
    Asc,
    #[default]
    Desc,
}

impl Sort {
    fn place(self, membership: &Membership, user: &User) -> Place {
        let id = user.id.as_str();
        match self {
            Self::JoinedAt => {
                let joined_at = membership.approved_at.unwrap_or(membership.opened_at);
                Place::numbered(joined_at.as_micros(), id)
            }
            Self::LastSeenAt => {
                let seen = user.last_seen_at.map_or(0, Timestamp::as_micros);
                Place::numbered(seen, id)
            }
            Self::Name => Place(user.display_name.as_str().to_lowercase(), id.into()),
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(query): Parameters<Query>,
) -> Result<Json<Listed<MemberShape>>, Failure> {
    let roles = app.guests.roles();
    let role = match query.role.as_deref() {
        None => None,
        Some(text) if text == roles.default_role().as_str() => Some(role_meant(roles, None)?),
        Some(text) => Some(role_meant(roles, Some(text))?),
    };
    let search = query.search.unwrap_or_default().to_lowercase();
    let Query { sort, order, .. } = query;
    let paging = Paging::parse(
        ("members", &caller.org, sort, order, &query.role, &search),
        order == Order::Desc,
        query.limit.as_deref(),
        query.page.as_deref(),
    )?;
    let people = roster::people(&app, &caller.actor(), &caller.org, role).await?;
    let users = users_of(&app, &people).await?;
    let rows = people.iter().filter_map(|membership| {
        let user = users.get(user_of(membership)?)?;
        let is_found = [user.display_name.as_str(), user.email.as_str()]
            .iter()
            .any(|text| text.to_lowercase().contains(&search));
        is_found.then(|| (sort.place(membership, user), (membership, user)))
    });
    let listed = paging.cut(rows.collect());
    let roster = Roster::load(&app, &caller.org).await?;
    let shapes = listed
        .items
        .iter()
        .map(|(membership, user)| MemberShape::of(&app, &roster, membership, user))
        .collect();
    Ok(Json(listed.with(shapes)))
}

/// The people behind these memberships.
pub(super) async fn users_of(
    app: &App,
    memberships: &[Membership],
) -> Result<BTreeMap<UserId, User>, Failure> {
    let ids: Vec<&UserId> = memberships.iter().filter_map(user_of).collect();
    let users = app.host.users_among(&ids).await?;
    Ok(users
        .into_iter()
        .map(|user| (user.id.clone(), user))
        .collect())
}

pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<MemberShape>, Failure> {
    let membership = in_the_path(&app, &caller).await?;
    shape(&app, &caller, &membership).await
}

async fn shape(
    app: &App,
    caller: &Caller,
    membership: &Membership,
) -> Result<Json<MemberShape>, Failure> {
    let users = users_of(app, std::slice::from_ref(membership)).await?;
    let user = users.values().next();
    let user = user.ok_or_else(|| Failure::not_found("member"))?;
    let roster = Roster::load(app, &caller.org).await?;
    Ok(Json(MemberShape::of(app, &roster, membership, user)))
}

/// The membership of the person in the path, who is in now.
pub(super) async fn in_the_path(app: &App, caller: &Caller) -> Result<Membership, Failure> {
    let member = caller.member()?;
    let membership = app
        .guests
        .membership(&caller.actor(), &caller.org, &member)
        .await?;
    if membership.status_at(crate::host::now()) == Some(Status::Approved) {
        Ok(membership)
    } else {
        Err(Failure::not_found("member"))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "present")]
    role: Option<WireRole>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<Change>,
) -> Result<Json<MemberShape>, Failure> {
    let mut membership = in_the_path(&app, &caller).await?;
    if let Some(role) = change.role {
        let role = role_meant(app.guests.roles(), role.as_deref())?;
        membership = app
            .guests
            .change_role(&caller.actor(), &caller.org, &caller.member()?, role)
            .await?
            .membership;
    }
    shape(&app, &caller, &membership).await
}

/// An admin removes somebody, or a member leaves.
pub(super) async fn remove(State(app): State<App>, caller: Caller) -> Result<StatusCode, Failure> {
    let actor = caller.actor();
    let ended = if caller.is_in_the_path() {
        let membership = in_the_path(&app, &caller).await?;
        app.guests
            .leave(&actor, &caller.org, &membership.member)
            .await
    } else {
        match caller.member() {
            Ok(member) => app.guests.remove(&actor, &caller.org, &member, None).await,
            Err(_) => return nobody(&app, &caller).await,
        }
    };
    match ended {
        Ok(ended) if ended.changed => {
            if let Some(user) = user_of(&ended.membership) {
                app.host.forget_team_owner(&caller.org, user).await?;
            }
            Ok(StatusCode::RESET_CONTENT)
        }
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(error) if ["not-found", "wrong-state"].contains(&error.code()) => {
            nobody(&app, &caller).await
        }
        Err(error) => Err(error.into()),
    }
}

/// That there was no such member is told to those who may know. Asked afterwards, so that somebody
/// who was removed in between is not told so of a member who is there.
async fn nobody(app: &App, caller: &Caller) -> Result<StatusCode, Failure> {
    app.guests
        .organization(&caller.actor(), &caller.org)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
