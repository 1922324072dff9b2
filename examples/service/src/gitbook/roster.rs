//! Who is in which team and was added to which space, of a whole organization.

use guestlist::access_rules::{Episode, Grant, Group, GroupMember, Subject};
use guestlist::types::GroupId;
use guestlist::{Actor, MemberFilter, Membership, OrgId, Page, Status};

use super::content;
use super::error::Failure;
use crate::app::App;

/// Read by the application itself, to count for whoever was allowed to see what is counted in.
pub(super) struct Roster {
    pub(super) teams: Vec<(Group, Vec<GroupMember>)>,
    grants: Vec<Grant>,
}

impl Roster {
    pub(super) async fn load(app: &App, org: &OrgId) -> Result<Self, Failure> {
        let system = Actor::system();
        let (mut teams, mut grants) = (Vec::new(), Vec::new());
        let mut page = Page::first(1000)?;
        loop {
            let (groups, next) = app.guests.groups(&system, org, &page).await?;
            for group in groups {
                match app.guests.group_members(&system, org, group.id).await {
                    Ok(members) => teams.push((group, members)),
                    // Deleted meanwhile.
                    Err(error) if error.code() == "not-found" => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let Some(next) = next else { break };
            page = Page::first(1000)?.after(next);
        }
        let mut page = Page::first(1000)?;
        loop {
            let (more, next) = app.guests.grants(&system, org, &page).await?;
            grants.extend(more);
            let Some(next) = next else { break };
            page = Page::first(1000)?.after(next);
        }
        Ok(Self { teams, grants })
    }

    pub(super) fn team(&self, id: GroupId) -> Option<&Group> {
        let mut teams = self.teams.iter().map(|(team, _)| team);
        teams.find(|team| team.id == id)
    }

    /// Whether a member is in a team: its membership carries it, or it was put there since it
    /// joined.
    pub(super) fn is_in(&self, membership: &Membership, team: GroupId) -> bool {
        let listed = self.teams.iter().find(|(group, _)| group.id == team);
        membership.groups.contains(&team)
            || listed.is_some_and(|(_, members)| {
                members.iter().any(|entry| match entry {
                    GroupMember::Member { member, episode } => {
                        *member == membership.member && counts(membership, *episode)
                    }
                    GroupMember::Group(_) => false,
                })
            })
    }

    pub(super) fn teams_of(&self, membership: &Membership) -> impl Iterator<Item = &Group> {
        self.teams
            .iter()
            .map(|(team, _)| team)
            .filter(|team| self.is_in(membership, team.id))
    }

    pub(super) fn spaces_of(&self, membership: &Membership) -> usize {
        let carried = membership.grants.iter().map(|grant| &grant.pattern);
        let given = self.grants.iter().filter(|grant| match &grant.subject {
            Subject::Member { member, episode } => {
                *member == membership.member && counts(membership, *episode)
            }
            Subject::Group(_) | Subject::Organization(_) => false,
        });
        content::spaces(carried.chain(given.map(|grant| &grant.pattern)))
    }

    pub(super) fn spaces_of_team(&self, team: GroupId) -> usize {
        let given = self
            .grants
            .iter()
            .filter(|grant| grant.subject == Subject::Group(team));
        content::spaces(given.map(|grant| &grant.pattern))
    }
}

/// Whether something given in that episode is held in the one that runs.
fn counts(membership: &Membership, episode: Episode) -> bool {
    (membership.access_since..=membership.episode).contains(&episode)
}

/// Everybody who is in now, as far as this actor may see them.
pub(super) async fn people(
    app: &App,
    actor: &Actor,
    org: &OrgId,
    role: Option<guestlist::RoleName>,
) -> Result<Vec<Membership>, Failure> {
    let filter = MemberFilter {
        status: Some(Status::Approved),
        kind: Some(guestlist::types::MemberKind::User),
        role,
        ..MemberFilter::default()
    };
    let (mut all, mut page) = (Vec::new(), Page::first(1000)?);
    loop {
        let found = app
            .guests
            .members(actor, org, filter.clone(), &page)
            .await?;
        all.extend(found.members);
        let Some(next) = found.next else {
            return Ok(all);
        };
        page = Page::first(1000)?.after(next);
    }
}
