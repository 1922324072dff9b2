//! The people of the application. guestlist knows them by their ids.

use guestlist::{Actor, DisplayName, EmailAddress, OrgId, Timestamp, UserId};

use super::database::{DatabaseError, Record};
use super::{Host, new_id, now};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) display_name: DisplayName,
    /// The organization whose identity provider this person signs in through.
    pub(crate) single_sign_on: Option<OrgId>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Option<Timestamp>,
}

impl User {
    /// This person as guestlist is told: who it is, and which addresses were verified.
    pub(crate) fn actor(&self) -> Actor {
        Actor::user(self.id.clone())
            .with_verified_email(self.email.clone())
            .with_display_name(self.display_name.clone())
    }

    pub(crate) fn actor_in(&self, organization: &OrgId) -> Actor {
        self.actor().acting_in(organization.clone())
    }
}

const COLUMNS: &str = "id, email, display_name, single_sign_on, created_at, last_seen_at";

fn user(row: &Record) -> Result<User, DatabaseError> {
    Ok(User {
        id: UserId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0))?,
        email: EmailAddress::parse(&row.text(1)?).map_err(|_| DatabaseError::Column(1))?,
        display_name: DisplayName::parse(&row.text(2)?).map_err(|_| DatabaseError::Column(2))?,
        single_sign_on: row
            .optional(3)?
            .map(|id| OrgId::parse(&id).map_err(|_| DatabaseError::Column(3)))
            .transpose()?,
        created_at: Timestamp::from_micros(row.int(4)?),
        last_seen_at: row.optional_int(5)?.map(Timestamp::from_micros),
    })
}

impl Host {
    /// The user with this address; a new one if there is none yet.
    pub(crate) async fn user_with_email(
        &self,
        email: &EmailAddress,
        display_name: &DisplayName,
    ) -> Result<User, DatabaseError> {
        let values = vec![
            new_id("usr").into(),
            email.as_str().into(),
            display_name.as_str().into(),
            now().as_micros().into(),
        ];
        // "do update" so that the row that is there already is answered, too.
        let row = self
            .database
            .first(
                &format!(
                    "insert into app_users (id, email, display_name, created_at) \
                     values ($1, $2, $3, $4) \
                     on conflict (email) do update set email = excluded.email returning {COLUMNS}"
                ),
                values,
            )
            .await?;
        user(&row.ok_or(DatabaseError::Gone)?)
    }

    pub(crate) async fn user(&self, id: &UserId) -> Result<Option<User>, DatabaseError> {
        self.database
            .first(
                &format!("select {COLUMNS} from app_users where id = $1"),
                vec![id.as_str().into()],
            )
            .await?
            .as_ref()
            .map(user)
            .transpose()
    }

    pub(crate) async fn user_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<User>, DatabaseError> {
        self.database
            .first(
                &format!("select {COLUMNS} from app_users where email = $1"),
                vec![email.as_str().into()],
            )
            .await?
            .as_ref()
            .map(user)
            .transpose()
    }

    pub(crate) async fn users(&self) -> Result<Vec<User>, DatabaseError> {
        self.database
            .query(
                &format!("select {COLUMNS} from app_users order by display_name, id"),
                Vec::new(),
            )
            .await?
            .iter()
            .map(user)
            .collect()
    }

    /// Those of these users who are there.
    pub(crate) async fn users_among(&self, ids: &[&UserId]) -> Result<Vec<User>, DatabaseError> {
        let mut found = Vec::with_capacity(ids.len());
        // Databases bound the number of placeholders.
        for ids in ids.chunks(500) {
            let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            let places = places.join(", ");
            let sql = format!("select {COLUMNS} from app_users where id in ({places})");
            let values = ids.iter().map(|id| id.as_str().into()).collect();
            for row in self.database.query(&sql, values).await? {
                found.push(user(&row)?);
            }
        }
        Ok(found)
    }

    pub(crate) async fn set_single_sign_on(
        &self,
        id: &UserId,
        through: Option<&OrgId>,
    ) -> Result<(), DatabaseError> {
        self.database
            .query(
                "update app_users set single_sign_on = $2 where id = $1",
                vec![id.as_str().into(), through.map(OrgId::as_str).into()],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn seen(&self, id: &UserId, at: Timestamp) -> Result<(), DatabaseError> {
        self.database
            .query(
                "update app_users set last_seen_at = $2 where id = $1",
                vec![id.as_str().into(), at.as_micros().into()],
            )
            .await?;
        Ok(())
    }
}
