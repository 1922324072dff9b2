//! The application's list of organizations. Whether one is active, and who belongs to it, is
//! guestlist's to say.

use guestlist::{
    Actor, DisplayName, Error, Guestlist, IdempotencyKey, NewOrganization, OrgId, OrgName, Sharing,
    Store, UserId,
};

use super::database::DatabaseError;
use super::{Host, now};
use crate::app::Guests;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrganizationEntry {
    pub(crate) id: OrgId,
    pub(crate) title: DisplayName,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NewOrganizationError {
    #[error(transparent)]
    Guestlist(#[from] Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Host {
    /// Founds an organization: guestlist registers it and its first member, and answers the same
    /// if it is asked again; then it is listed here.
    pub(crate) async fn found<S: Store>(
        &self,
        guests: &Guestlist<S>,
        id: &OrgId,
        name: OrgName,
        title: &DisplayName,
        founder: &UserId,
    ) -> Result<(), NewOrganizationError> {
        let new = NewOrganization::new(id.clone(), name)
            .display_name(title.clone())
            .founder(founder.clone());
        guests.register(new).await?;
        // Whoever has the highest role shares all content, by whatever door they got it. Once: an
        // owner may have changed it by the time that the same is asked again.
        let once =
            IdempotencyKey::parse(&format!("sharing-{id}")).expect("ids are printable and short");
        guests
            .with_key(once)
            .set_sharing(&Actor::system(), id, Sharing::OwnersOnly)
            .await?;
        self.database
            .query(
                "insert into app_organizations (id, name, created_at) values ($1, $2, $3) \
                 on conflict (id) do nothing",
                vec![
                    id.as_str().into(),
                    title.as_str().into(),
                    now().as_micros().into(),
                ],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn organizations(&self) -> Result<Vec<OrganizationEntry>, DatabaseError> {
        let rows = self
            .database
            .query(
                "select id, name from app_organizations order by name, id",
                Vec::new(),
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(OrganizationEntry {
                    id: OrgId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0))?,
                    title: DisplayName::parse(&row.text(1)?)
                        .map_err(|_| DatabaseError::Column(1))?,
                })
            })
            .collect()
    }

    /// The organizations that this person belongs to, so that one can be chosen.
    pub(crate) async fn organizations_of(
        &self,
        guests: &Guests,
        user: &UserId,
    ) -> Result<Vec<OrganizationEntry>, NewOrganizationError> {
        let listed = self.organizations().await?;
        let mut page = guestlist::Page::first(1000).unwrap_or_default();
        let mut found = Vec::new();
        loop {
            let memberships = guests
                .memberships_of(
                    &Actor::user(user.clone()),
                    &guestlist::Member::User(user.clone()),
                    Some(guestlist::Status::Approved),
                    &page,
                )
                .await?;
            for membership in memberships.members {
                found.extend(
                    listed
                        .iter()
                        .find(|entry| entry.id == membership.host)
                        .cloned(),
                );
            }
            match memberships.next {
                Some(next) => page = page.after(next),
                None => return Ok(found),
            }
        }
    }
}
