//! What guestlist asks this application about people.

use std::error::Error;

use async_trait::async_trait;
use guestlist::membership::Stated;
use guestlist::{Addressee, Directory, EmailAddress, OrgId, UserId};

use super::Host;

/// All memberships of people are guestlist's here, so that nobody's standing has to be told.
/// Addresses are this application's.
pub(crate) struct HostDirectory(pub(crate) Host);

#[async_trait]
impl Directory for HostDirectory {
    async fn standing(
        &self,
        _: &OrgId,
        _: &UserId,
    ) -> Result<Stated, Box<dyn Error + Send + Sync>> {
        Ok(Stated::NOBODY)
    }

    async fn addressees(
        &self,
        addressee: &Addressee<'_>,
    ) -> Result<Vec<EmailAddress>, Box<dyn Error + Send + Sync>> {
        let Addressee::User(user) = addressee else {
            return Ok(Vec::new());
        };
        Ok(self
            .0
            .user(user)
            .await?
            .map(|user| user.email)
            .into_iter()
            .collect())
    }
}
