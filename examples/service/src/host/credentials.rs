//! Sign-in: bearer tokens for programs, sessions for browsers. Yours is an identity provider.

use std::time::Duration;

use guestlist::{OrgId, Timestamp, UserId};

use super::database::DatabaseError;
use super::users::User;
use super::{Host, digest, new_secret, now};

/// How long a session lasts.
const SESSION: Duration = Duration::from_hours(12);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of programs, in the `Authorization` header.
    Bearer,
    /// Of browsers, in a cookie.
    Session,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Session => "session",
        }
    }
}

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    /// The organization that this person acts in, where the credential says so.
    pub(crate) organization: Option<OrgId>,
}

/// A program's credential, without its secret.
#[derive(Debug, Clone)]
pub(crate) struct AccessKey {
    /// What is kept of the secret: names it, and opens nothing.
    pub(crate) id: String,
    pub(crate) organization: Option<OrgId>,
    pub(crate) created_at: Timestamp,
}

impl Host {
    /// A new credential. The secret is in the answer only.
    pub(crate) async fn issue(
        &self,
        kind: Kind,
        user: &UserId,
        organization: Option<&OrgId>,
    ) -> Result<String, DatabaseError> {
        let secret = new_secret();
        let expires_at = match kind {
            Kind::Bearer => None,
            Kind::Session => Some((now() + SESSION).as_micros()),
        };
        self.database
            .query(
                "insert into app_credentials (hash, kind, user_id, organization, created_at, \
                 expires_at) values ($1, $2, $3, $4, $5, $6)",
                vec![
                    digest(&secret).into(),
                    kind.as_str().into(),
                    user.as_str().into(),
                    organization.map(OrgId::as_str).into(),
                    now().as_micros().into(),
                    expires_at.unwrap_or(i64::MAX).into(),
                ],
            )
            .await?;
        Ok(secret)
    }

    /// Who holds this credential, if it is one and has not expired.
    pub(crate) async fn signed_in(
        &self,
        kind: Kind,
        secret: &str,
    ) -> Result<Option<SignedIn>, DatabaseError> {
        let found = self
            .database
            .first(
                "select user_id, organization from app_credentials \
                 where hash = $1 and kind = $2 and expires_at > $3",
                vec![
                    digest(secret).into(),
                    kind.as_str().into(),
                    now().as_micros().into(),
                ],
            )
            .await?;
        let Some(row) = found else { return Ok(None) };
        let id = UserId::parse(&row.text(0)?).map_err(|_| DatabaseError::Column(0))?;
        let organization = row
            .optional(1)?
            .map(|id| OrgId::parse(&id).map_err(|_| DatabaseError::Column(1)))
            .transpose()?;
        Ok(self
            .user(&id)
            .await?
            .map(|user| SignedIn { user, organization }))
    }

    /// The same session, in another organization from now on.
    pub(crate) async fn act_in(
        &self,
        session: &str,
        organization: Option<&OrgId>,
    ) -> Result<(), DatabaseError> {
        self.database
            .query(
                "update app_credentials set organization = $2 where hash = $1 and kind = $3",
                vec![
                    digest(session).into(),
                    organization.map(OrgId::as_str).into(),
                    Kind::Session.as_str().into(),
                ],
            )
            .await?;
        Ok(())
    }

    /// Ends a session.
    pub(crate) async fn sign_out(&self, session: &str) -> Result<(), DatabaseError> {
        self.database
            .query(
                "delete from app_credentials where hash = $1 and kind = $2",
                vec![digest(session).into(), Kind::Session.as_str().into()],
            )
            .await?;
        Ok(())
    }

    /// The programs' credentials of a user, newest first.
    pub(crate) async fn access_keys(&self, user: &UserId) -> Result<Vec<AccessKey>, DatabaseError> {
        self.database
            .query(
                "select hash, organization, created_at from app_credentials \
                 where user_id = $1 and kind = $2 order by created_at desc, hash limit 200",
                vec![user.as_str().into(), Kind::Bearer.as_str().into()],
            )
            .await?
            .iter()
            .map(|row| {
                let organization = row.optional(1)?;
                Ok(AccessKey {
                    id: row.text(0)?,
                    organization: organization.and_then(|id| OrgId::parse(&id).ok()),
                    created_at: Timestamp::from_micros(row.int(2)?),
                })
            })
            .collect()
    }

    /// Ends one of them; whether there was one.
    pub(crate) async fn revoke_access_key(
        &self,
        user: &UserId,
        id: &str,
    ) -> Result<bool, DatabaseError> {
        let gone = self
            .database
            .first(
                "delete from app_credentials where hash = $1 and user_id = $2 and kind = $3 \
                 returning hash",
                vec![
                    id.into(),
                    user.as_str().into(),
                    Kind::Bearer.as_str().into(),
                ],
            )
            .await?;
        Ok(gone.is_some())
    }
}
