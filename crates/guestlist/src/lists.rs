//! Lists and the event log.

use guestlist_access::{AccessHead, Grant, Group, GroupMember};
use guestlist_membership::{Actor, Fact, Reading, Records, Row, Scope, Stated, principal_of};
use guestlist_store::{Cursor, EventFilter, EventPage, Listed, Page, Query, Store, StoreError};
use guestlist_types::{GroupId, GroupName, Member, OrgId};

use crate::error::Error;
use crate::facade::{Guestlist, rows_of};
use crate::organizations::not_found;

impl<S: Store> Guestlist<S> {
    pub(crate) async fn list(&self, query: &Query, page: &Page) -> Result<Listed, Error> {
        if query.start(page).is_err() {
            return Err(Error::Cursor);
        }
        Ok(self.store.list(query, page, self.now()).await?)
    }

    /// Groups of an organization, oldest first. Needs `groups.manage` or `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn groups(
        &self,
        actor: &Actor,
        organization: &OrgId,
        page: &Page,
    ) -> Result<(Vec<Group>, Option<Cursor>), Error> {
        self.check_read(actor, organization, &Reading::Groups)
            .await?;
        let query = Query::Groups {
            organization: organization.clone(),
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let groups = rows_of(rows, |_, row| match row {
            Row::Group(group) => Some(group),
            _ => None,
        });
        Ok((groups, next))
    }

    /// Who and what is in a group by the access rules. Those whose membership carries the group, and
    /// proxy users in the external group, are found by [`Guestlist::members`] with a group filter.
    /// Needs `groups.manage` or `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn group_members(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
    ) -> Result<Vec<GroupMember>, Error> {
        self.check_read(actor, organization, &Reading::Groups)
            .await?;
        let records = self.book_of(organization, Vec::new()).await?;
        let book = records
            .book()
            .filter(|book| book.group(group).is_some())
            .ok_or_else(|| not_found("group"))?;
        Ok(book.members_of(group).cloned().collect())
    }

    /// The group of this name. Needs `groups.manage` or `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn group_named(
        &self,
        actor: &Actor,
        organization: &OrgId,
        name: &GroupName,
    ) -> Result<Group, Error> {
        self.check_read(actor, organization, &Reading::Groups)
            .await?;
        let records = self.book_of(organization, Vec::new()).await?;
        let group = records.book().and_then(|book| book.group_named(name));
        group.cloned().ok_or_else(|| not_found("group"))
    }

    /// The groups that a member is directly in now: those that it was added to, those that its
    /// membership carries, and for a proxy user the external group. Members see their own; others
    /// need `groups.manage` or `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, also for whoever is no member.
    pub async fn groups_of(
        &self,
        actor: &Actor,
        organization: &OrgId,
        member: &Member,
    ) -> Result<Vec<Group>, Error> {
        self.check_read(actor, organization, &Reading::GroupsOf(member))
            .await?;
        let membership = Fact::Membership(member.clone());
        let records = self.book_of(organization, vec![membership]).await?;
        let env = self.env(self.now(), &Stated::NOBODY);
        let principal = principal_of(&records, organization, member, &env);
        let (Some(principal), Some(book)) = (principal, records.book()) else {
            return Err(not_found("membership"));
        };
        let groups = guestlist_access::groups_of(book, &principal);
        Ok(groups.into_iter().cloned().collect())
    }

    /// What an organization says of its groups and grants as a whole: the external group, and who
    /// may give grants. Needs `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn access_settings(
        &self,
        actor: &Actor,
        organization: &OrgId,
    ) -> Result<AccessHead, Error> {
        self.check_read(actor, organization, &Reading::Grants)
            .await?;
        let records = self.book_of(organization, Vec::new()).await?;
        Ok(records.book().map(|book| *book.head()).unwrap_or_default())
    }

    async fn book_of(&self, organization: &OrgId, facts: Vec<Fact>) -> Result<Records, Error> {
        let facts = facts.into_iter().chain([Fact::Book]).collect();
        self.records(&Scope::of(organization.clone(), facts)).await
    }

    /// Grants of an organization, oldest first. Needs `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn grants(
        &self,
        actor: &Actor,
        organization: &OrgId,
        page: &Page,
    ) -> Result<(Vec<Grant>, Option<Cursor>), Error> {
        self.check_read(actor, organization, &Reading::Grants)
            .await?;
        let query = Query::Grants {
            organization: organization.clone(),
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let grants = rows_of(rows, |_, row| match row {
            Row::Grant(grant) => Some(*grant),
            _ => None,
        });
        Ok((grants, next))
    }

    /// The audit trail of one organization, oldest first: who did what, when and why, by the
    /// filter. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn audit(
        &self,
        actor: &Actor,
        organization: &OrgId,
        filter: EventFilter,
        page: &Page,
    ) -> Result<EventPage, Error> {
        self.check_read(actor, organization, &Reading::Audit)
            .await?;
        let filter = EventFilter {
            organization: Some(organization.clone()),
            ..filter
        };
        let limit = u32::try_from(page.limit()).unwrap_or(1000);
        self.events(&filter, page.cursor(), limit).await
    }

    /// The feed: every event of every organization, in the order in which commits became visible,
    /// at least once. For the host application itself; it asks nobody.
    ///
    /// Keep the returned cursor and go on from it: nothing is missed and nothing is repeated.
    ///
    /// # Errors
    ///
    /// `cursor-invalid`, and those of the store.
    pub async fn feed(&self, after: Option<&Cursor>, limit: u32) -> Result<EventPage, Error> {
        self.events(&EventFilter::default(), after, limit.clamp(1, 10_000))
            .await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, Error> {
        if filter.start(after).is_err() {
            return Err(Error::Cursor);
        }
        match self.store.events(filter, after, limit).await {
            Err(StoreError::Malformed { .. }) => Err(Error::Cursor),
            other => Ok(other?),
        }
    }
}
