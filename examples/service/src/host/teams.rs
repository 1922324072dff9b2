//! Who owns a team. guestlist has groups, and no word for that.

use std::collections::BTreeSet;

use guestlist::{OrgId, UserId};

use super::Host;
use super::database::DatabaseError;

impl Host {
    pub(crate) async fn team_owners(
        &self,
        organization: &OrgId,
        team: &str,
    ) -> Result<BTreeSet<UserId>, DatabaseError> {
        self.database
            .query(
                "select user_id from app_team_owners where organization = $1 and team = $2",
                vec![organization.as_str().into(), team.into()],
            )
            .await?
            .iter()
            .map(|row| UserId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0)))
            .collect()
    }

    pub(crate) async fn set_team_owner(
        &self,
        organization: &OrgId,
        team: &str,
        user: &UserId,
        owns: bool,
    ) -> Result<(), DatabaseError> {
        let sql = if owns {
            "insert into app_team_owners (organization, team, user_id) values ($1, $2, $3) \
             on conflict (organization, team, user_id) do nothing"
        } else {
            "delete from app_team_owners where organization = $1 and team = $2 and user_id = $3"
        };
        let values = vec![
            organization.as_str().into(),
            team.into(),
            user.as_str().into(),
        ];
        self.database.query(sql, values).await?;
        Ok(())
    }

    /// The team is gone.
    pub(crate) async fn forget_team(
        &self,
        organization: &OrgId,
        team: &str,
    ) -> Result<(), DatabaseError> {
        self.database
            .query(
                "delete from app_team_owners where organization = $1 and team = $2",
                vec![organization.as_str().into(), team.into()],
            )
            .await?;
        Ok(())
    }

    /// The person has left the organization.
    pub(crate) async fn forget_team_owner(
        &self,
        organization: &OrgId,
        user: &UserId,
    ) -> Result<(), DatabaseError> {
        self.database
            .query(
                "delete from app_team_owners where organization = $1 and user_id = $2",
                vec![organization.as_str().into(), user.as_str().into()],
            )
            .await?;
        Ok(())
    }
}
