//! Teams: groups of guestlist, with owners that the application remembers.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use guestlist::access_rules::Group;
use guestlist::types::GroupId;
use guestlist::{Actor, EmailAddress, GroupName, Member, Membership, Page, UserId};
use serde::{Deserialize, Serialize};

use super::caller::{Body, Caller, OptionalBody, Parameters};
use super::error::Failure;
use super::members::users_of;
use super::paging::{Listed, Paging, Place};
use super::roster::{self, Roster};
use super::shapes::{MemberShape, user_of};
use crate::app::App;
use crate::host::User;

const LONGEST_TITLE: usize = 64;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TeamShape {
    object: &'static str,
    id: String,
    title: String,
    members: usize,
    spaces: usize,
    created_at: String,
    permissions: TeamPermissions,
}

#[derive(Debug, Serialize)]
struct TeamPermissions {
    admin: bool,
    view: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TeamRole {
    Owner,
    Member,
}

#[derive(Debug, Serialize)]
pub(super) struct InTeam {
    role: TeamRole,
}

/// All teams of an organization with everybody who could be in one, for somebody who manages teams.
struct Teams {
    roster: Roster,
    people: Vec<Membership>,
}

impl Teams {
    async fn load(app: &App, caller: &Caller) -> Result<Self, Failure> {
        let page = Page::first(1)?;
        app.guests
            .groups(&caller.actor(), &caller.org, &page)
            .await?;
        Ok(Self {
            roster: Roster::load(app, &caller.org).await?,
            people: roster::people(app, &Actor::system(), &caller.org, None).await?,
        })
    }

    fn in_the_path(&self, caller: &Caller) -> Result<&Group, Failure> {
        let id = GroupId::parse(&caller.at.team).ok();
        id.and_then(|id| self.roster.team(id))
            .ok_or_else(|| Failure::not_found("team"))
    }

    fn members_of(&self, team: GroupId) -> impl Iterator<Item = &Membership> {
        self.people
            .iter()
            .filter(move |membership| self.roster.is_in(membership, team))
    }

    fn membership_of(&self, user: &UserId) -> Option<&Membership> {
        self.people
            .iter()
            .find(|membership| user_of(membership) == Some(user))
    }

    fn shape(&self, team: &Group) -> TeamShape {
        TeamShape {
            object: "team",
            id: team.id.to_string(),
            title: team.name.to_string(),
            members: self.members_of(team.id).count(),
            spaces: self.roster.spaces_of_team(team.id),
            created_at: team.created_at.to_string(),
            // Who sees teams manages teams.
            permissions: TeamPermissions {
                admin: true,
                view: true,
            },
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    limit: Option<String>,
    page: Option<String>,
    title: Option<String>,
    owner: Option<String>,
}

impl Query {
    fn paging(&self, list: &str, caller: &Caller) -> Result<Paging, Failure> {
        let at = (&caller.at.team, &caller.at.user);
        Paging::parse(
            (list, &caller.org, at, &self.title, &self.owner),
            false,
            self.limit.as_deref(),
            self.page.as_deref(),
        )
    }

    fn has_title(&self, team: &Group) -> bool {
        let title = self.title.as_deref().unwrap_or_default().to_lowercase();
        team.name.as_str().to_lowercase().contains(&title)
    }
}

/// Oldest first.
fn place(team: &Group) -> Place {
    Place::numbered(team.created_at.as_micros(), team.id.to_string())
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(query): Parameters<Query>,
) -> Result<Json<Listed<TeamShape>>, Failure> {
    let paging = query.paging("teams", &caller)?;
    let teams = Teams::load(&app, &caller).await?;
    let mut rows = Vec::new();
    for (team, _) in &teams.roster.teams {
        let is_wanted = match &query.owner {
            None => true,
            Some(owner) => {
                let id = team.id.to_string();
                let owners = app.host.team_owners(&caller.org, &id).await?;
                teams
                    .members_of(team.id)
                    .filter_map(user_of)
                    .any(|user| user.as_str() == owner && owners.contains(user))
            }
        };
        if is_wanted && query.has_title(team) {
            rows.push((place(team), team));
        }
    }
    let listed = paging.cut(rows);
    let shapes = listed.items.iter().map(|team| teams.shape(team)).collect();
    Ok(Json(listed.with(shapes)))
}

#[derive(Debug, Deserialize)]
pub(super) struct NewTeam {
    title: String,
    members: Option<Vec<String>>,
}

fn name(title: &str) -> Result<GroupName, Failure> {
    if title.chars().count() > LONGEST_TITLE {
        return Err(Failure::bad(format!(
            "a title has at most {LONGEST_TITLE} characters"
        )));
    }
    GroupName::parse(title).map_err(|error| Failure::bad(error.to_string()))
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewTeam>,
) -> Result<(StatusCode, Json<TeamShape>), Failure> {
    let (actor, org) = (caller.actor(), &caller.org);
    let title = name(&new.title)?;
    let teams = Teams::load(&app, &caller).await?;
    let mut members = Vec::new();
    for id in new.members.iter().flatten() {
        let user = UserId::parse(id).ok();
        let membership = user.and_then(|user| teams.membership_of(&user));
        members.push(membership.ok_or_else(no_member)?.member.clone());
    }
    let team = app.guests.create_group(&actor, org, title, true).await?;
    for member in &members {
        app.guests
            .add_to_group(&actor, org, team.id, member)
            .await?;
    }
    let teams = Teams::load(&app, &caller).await?;
    Ok((StatusCode::CREATED, Json(teams.shape(&team))))
}

fn no_member() -> Failure {
    Failure::bad("only members of the organization can be in a team")
}

pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<TeamShape>, Failure> {
    let teams = Teams::load(&app, &caller).await?;
    Ok(Json(teams.shape(teams.in_the_path(&caller)?)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Change {
    title: String,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<Change>,
) -> Result<Json<TeamShape>, Failure> {
    let title = name(&change.title)?;
    let teams = Teams::load(&app, &caller).await?;
    let team = teams.in_the_path(&caller)?.id;
    app.guests
        .rename_group(&caller.actor(), &caller.org, team, title)
        .await?;
    show(State(app), caller).await
}

pub(super) async fn delete(State(app): State<App>, caller: Caller) -> Result<StatusCode, Failure> {
    let teams = Teams::load(&app, &caller).await?;
    let Ok(team) = teams.in_the_path(&caller) else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let (actor, org) = (caller.actor(), &caller.org);
    match app.guests.delete_group(&actor, org, team.id).await {
        Ok(()) => {
            app.host.forget_team(org, &team.id.to_string()).await?;
            Ok(StatusCode::RESET_CONTENT)
        }
        // Somebody else was faster.
        Err(error) if error.code() == "group-not-found" => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Serialize)]
pub(super) struct TeamMember {
    organization: MemberShape,
    team: InTeam,
    permissions: MayView,
}

#[derive(Debug, Serialize)]
struct MayView {
    view: bool,
}

/// By name.
pub(super) async fn members(
    State(app): State<App>,
    caller: Caller,
    Parameters(query): Parameters<Query>,
) -> Result<Json<Listed<TeamMember>>, Failure> {
    let paging = query.paging("team-members", &caller)?;
    let teams = Teams::load(&app, &caller).await?;
    let team = teams.in_the_path(&caller)?;
    let users = users_of(&app, &teams.people).await?;
    let rows = teams.members_of(team.id).filter_map(|membership| {
        let user = users.get(user_of(membership)?)?;
        let place = Place(
            user.display_name.as_str().to_lowercase(),
            user.id.to_string(),
        );
        Some((place, (membership, user)))
    });
    let listed = paging.cut(rows.collect());
    let owners = app
        .host
        .team_owners(&caller.org, &team.id.to_string())
        .await?;
    let shape = |(membership, user): &(&Membership, &User)| TeamMember {
        organization: MemberShape::of(&app, &teams.roster, membership, user),
        team: role_in(&owners, &user.id),
        permissions: MayView { view: true },
    };
    let shapes = listed.items.iter().map(shape).collect();
    Ok(Json(listed.with(shapes)))
}

fn role_in(owners: &BTreeSet<UserId>, user: &UserId) -> InTeam {
    let role = if owners.contains(user) {
        TeamRole::Owner
    } else {
        TeamRole::Member
    };
    InTeam { role }
}

#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    memberships: BTreeMap<String, Role>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Role {
    role: Option<TeamRole>,
}

/// Whoever is both added and removed is not in the team in the end.
pub(super) async fn change_members(
    State(app): State<App>,
    caller: Caller,
    Body(changes): Body<Changes>,
) -> Result<StatusCode, Failure> {
    let teams = Teams::load(&app, &caller).await?;
    let team = teams.in_the_path(&caller)?.id;
    // All of them are known before anybody is added or removed.
    let mut roles = BTreeMap::new();
    for text in &changes.add {
        roles.insert(meant(&app, &teams, text).await?, None);
    }
    for (text, role) in &changes.memberships {
        if role.role.is_none() {
            return Err(Failure::bad("a membership has a `role`"));
        }
        roles.insert(meant(&app, &teams, text).await?, role.role);
    }
    let mut removed = BTreeSet::new();
    for text in &changes.remove {
        removed.insert(meant(&app, &teams, text).await?);
    }
    for (user, role) in roles {
        if !removed.contains(&user) {
            put(&app, &caller, &teams, team, &user, role).await?;
        }
    }
    for user in &removed {
        take_out(&app, &caller, &teams, team, user).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The member whom a user id or an address means.
async fn meant(app: &App, teams: &Teams, text: &str) -> Result<UserId, Failure> {
    let user = if text.contains('@') {
        let email = EmailAddress::parse(text).map_err(|error| Failure::bad(error.to_string()))?;
        app.host.user_by_email(&email).await?.map(|user| user.id)
    } else {
        UserId::parse(text).ok()
    };
    user.filter(|user| teams.membership_of(user).is_some())
        .ok_or_else(no_member)
}

/// Puts somebody in a team. Without a role, whoever is in it already keeps theirs.
async fn put(
    app: &App,
    caller: &Caller,
    teams: &Teams,
    team: GroupId,
    user: &UserId,
    role: Option<TeamRole>,
) -> Result<(), Failure> {
    let member = Member::User(user.clone());
    let was_in = teams
        .membership_of(user)
        .is_some_and(|membership| teams.roster.is_in(membership, team));
    app.guests
        .add_to_group(&caller.actor(), &caller.org, team, &member)
        .await?;
    let role = role.or((!was_in).then_some(TeamRole::Member));
    if let Some(role) = role {
        let owns = role == TeamRole::Owner;
        app.host
            .set_team_owner(&caller.org, &team.to_string(), user, owns)
            .await?;
    }
    Ok(())
}

/// Whether this person was in the team.
async fn take_out(
    app: &App,
    caller: &Caller,
    teams: &Teams,
    team: GroupId,
    user: &UserId,
) -> Result<bool, Failure> {
    let membership = teams.membership_of(user);
    let Some(membership) = membership.filter(|held| teams.roster.is_in(held, team)) else {
        return Ok(false);
    };
    let member = &membership.member;
    app.guests
        .remove_from_group(&caller.actor(), &caller.org, team, member)
        .await?;
    app.host
        .set_team_owner(&caller.org, &team.to_string(), user, false)
        .await?;
    Ok(true)
}

pub(super) async fn put_member(
    State(app): State<App>,
    caller: Caller,
    OptionalBody(change): OptionalBody<Role>,
) -> Result<StatusCode, Failure> {
    let teams = Teams::load(&app, &caller).await?;
    let team = teams.in_the_path(&caller)?.id;
    let user = UserId::parse(&caller.at.user).ok();
    let user = user
        .filter(|user| teams.membership_of(user).is_some())
        .ok_or_else(|| Failure::not_found("member"))?;
    put(&app, &caller, &teams, team, &user, change.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_member(
    State(app): State<App>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    let teams = Teams::load(&app, &caller).await?;
    let team = teams.in_the_path(&caller)?.id;
    let Ok(user) = UserId::parse(&caller.at.user) else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let was_in = take_out(&app, &caller, &teams, team, &user).await?;
    Ok(if was_in {
        StatusCode::RESET_CONTENT
    } else {
        StatusCode::NO_CONTENT
    })
}

#[derive(Debug, Serialize)]
pub(super) struct TeamOfMember {
    team: TeamShape,
    member: InTeam,
}

pub(super) async fn of_member(
    State(app): State<App>,
    caller: Caller,
    Parameters(query): Parameters<Query>,
) -> Result<Json<Listed<TeamOfMember>>, Failure> {
    let paging = query.paging("teams-of-member", &caller)?;
    let teams = Teams::load(&app, &caller).await?;
    let user = UserId::parse(&caller.at.user).ok();
    let membership = user.and_then(|user| teams.membership_of(&user));
    let membership = membership.ok_or_else(|| Failure::not_found("member"))?;
    let rows = teams
        .roster
        .teams_of(membership)
        .filter(|team| query.has_title(team))
        .map(|team| (place(team), team));
    let listed = paging.cut(rows.collect());
    let mut shapes = Vec::new();
    for team in &listed.items {
        let id = team.id.to_string();
        let owners = app.host.team_owners(&caller.org, &id).await?;
        let member = user_of(membership).map_or(
            InTeam {
                role: TeamRole::Member,
            },
            |user| role_in(&owners, user),
        );
        shapes.push(TeamOfMember {
            team: teams.shape(team),
            member,
        });
    }
    Ok(Json(listed.with(shapes)))
}
