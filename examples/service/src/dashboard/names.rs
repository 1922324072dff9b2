//! Names for ids, as far as this application knows them.

use std::collections::BTreeMap;

use guestlist::membership::By;
use guestlist::{
    Actor, InviteFilter, InviteId, LinkFilter, LinkId, Member, Membership, OrgId, Page, UserId,
};

use super::desk::Desk;
use super::links::label_of;
use super::problem::Problem;
use super::view;
use crate::app::App;

#[derive(Debug)]
pub(super) struct Names {
    users: BTreeMap<UserId, (String, String)>,
    organizations: BTreeMap<OrgId, String>,
    links: BTreeMap<LinkId, String>,
    invites: BTreeMap<InviteId, String>,
}

impl Names {
    pub(super) async fn load(app: &App) -> Result<Self, Problem> {
        let users = app.host.users().await?.into_iter().map(|user| {
            let names = (user.display_name.to_string(), user.email.to_string());
            (user.id, names)
        });
        let organizations = app.host.organizations().await?.into_iter();
        Ok(Self {
            users: users.collect(),
            organizations: organizations
                .map(|entry| (entry.id, entry.title.to_string()))
                .collect(),
            links: BTreeMap::new(),
            invites: BTreeMap::new(),
        })
    }

    /// Also the links and e-mail invites of an organization, the oldest five hundred, for whoever
    /// may see them.
    pub(super) async fn with_invites(mut self, desk: &Desk) -> Result<Self, Problem> {
        let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
        let page = Page::first(500)?;
        if let Ok(found) = guests
            .links(&actor, host, LinkFilter::default(), &page)
            .await
        {
            let links = found.links.iter().map(|listing| &listing.link);
            self.links
                .extend(links.map(|link| (link.id, label_of(link))));
        }
        let filter = InviteFilter::default();
        if let Ok(found) = guests.invites(&actor, host, filter, &page).await {
            let invites = found.invites.into_iter();
            self.invites
                .extend(invites.map(|invite| (invite.id, invite.address.to_string())));
        }
        Ok(self)
    }

    pub(super) fn link(&self, id: LinkId) -> String {
        self.links.get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn invite(&self, id: InviteId) -> String {
        self.invites.get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn user(&self, id: &UserId) -> String {
        let known = self.users.get(id).map(|(name, _)| name.clone());
        known.unwrap_or_else(|| id.to_string())
    }

    pub(super) fn email(&self, id: &UserId) -> String {
        let known = self.users.get(id).map(|(_, email)| email.clone());
        known.unwrap_or_default()
    }

    pub(super) fn organization(&self, id: &OrgId) -> String {
        let known = self.organizations.get(id).cloned();
        known.unwrap_or_else(|| id.to_string())
    }

    pub(super) fn member(&self, member: &Member) -> String {
        match member {
            Member::Org(id) => self.organization(id),
            Member::User(id) => self.user(id),
        }
    }

    /// What people are shown for a membership: what it was called when it began.
    pub(super) fn membership(&self, membership: &Membership) -> String {
        let profile = &membership.profile;
        let name = profile.display_name.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| self.member(&membership.member))
    }

    pub(super) fn by(&self, by: &By) -> String {
        match by {
            By::User { user, .. } => self.user(user),
            other => view::by(other).unwrap_or_default().to_owned(),
        }
    }
}

/// The handle of an organization, as in `@name/key`, for whoever deals with it.
pub(super) async fn handle(app: &App, id: &OrgId) -> Result<String, Problem> {
    let organization = app.guests.organization(&Actor::system(), id).await?;
    Ok(organization.name.to_string())
}
