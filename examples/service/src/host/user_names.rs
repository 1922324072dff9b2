//! The names of the users whom an organization made itself.

use std::collections::BTreeMap;

use guestlist::{DisplayName, EmailAddress, OrgId, UserId};

use super::database::DatabaseError;
use super::users::User;
use super::{Host, new_id};

impl Host {
    /// A new user with this name in the organization; `None` if the name is taken there.
    pub(crate) async fn create_named_user(
        &self,
        organization: &OrgId,
        name: &DisplayName,
    ) -> Result<Option<User>, DatabaseError> {
        // Nobody reads mail there. The address is new, so that the user is, too.
        let address = format!("{}@users.example", new_id("user").to_lowercase());
        let address = EmailAddress::parse(&address).map_err(|_| DatabaseError::Column(0))?;
        let user = self.user_with_email(&address, name).await?;
        let taken = self
            .database
            .first(
                "insert into app_user_names (organization, user_name, user_id) \
                 values ($1, $2, $3) on conflict (organization, user_name) do nothing \
                 returning user_id",
                vec![
                    organization.as_str().into(),
                    name.as_str().into(),
                    user.id.as_str().into(),
                ],
            )
            .await?;
        Ok(taken.map(|_| user))
    }

    /// The user of this name.
    pub(crate) async fn named_user(
        &self,
        organization: &OrgId,
        name: &str,
    ) -> Result<Option<UserId>, DatabaseError> {
        // No name has a character that PostgreSQL does not take.
        if name.contains('\0') {
            return Ok(None);
        }
        self.database
            .first(
                "select user_id from app_user_names where organization = $1 and user_name = $2",
                vec![organization.as_str().into(), name.into()],
            )
            .await?
            .map(|row| UserId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0)))
            .transpose()
    }

    /// What the users of an organization are called, by their ids.
    pub(crate) async fn user_names(
        &self,
        organization: &OrgId,
    ) -> Result<BTreeMap<UserId, String>, DatabaseError> {
        let rows = self
            .database
            .query(
                "select user_id, user_name from app_user_names where organization = $1",
                vec![organization.as_str().into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let id = UserId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0))?;
                Ok((id, row.text(1)?))
            })
            .collect()
    }

    /// From now on the name is nobody's.
    pub(crate) async fn forget_user_name(
        &self,
        organization: &OrgId,
        name: &str,
    ) -> Result<(), DatabaseError> {
        self.database
            .query(
                "delete from app_user_names where organization = $1 and user_name = $2",
                vec![organization.as_str().into(), name.into()],
            )
            .await?;
        Ok(())
    }
}
