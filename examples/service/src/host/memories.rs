//! The application's own data: texts under keys, in organizations. Who may see which is not
//! decided here: callers ask guestlist first.

use guestlist::{Key, OrgId, Timestamp};

use super::database::{DatabaseError, Record, Value};
use super::{Host, now};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) key: String,
    pub(crate) description: String,
    pub(crate) value: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

const COLUMNS: &str = "key_name, description, value, created_at, updated_at";

fn memory(row: &Record) -> Result<Memory, DatabaseError> {
    Ok(Memory {
        key: row.text(0)?,
        description: row.text(1)?,
        value: row.text(2)?,
        created_at: Timestamp::from_micros(row.int(3)?),
        updated_at: Timestamp::from_micros(row.int(4)?),
    })
}

impl Host {
    pub(crate) async fn memory(
        &self,
        organization: &OrgId,
        key: &Key,
    ) -> Result<Option<Memory>, DatabaseError> {
        self.database
            .first(
                &format!(
                    "select {COLUMNS} from app_memories where organization = $1 and key_name = $2"
                ),
                vec![organization.as_str().into(), key.as_str().into()],
            )
            .await?
            .as_ref()
            .map(memory)
            .transpose()
    }

    /// Whether it was written: a key that is taken stays as it is.
    pub(crate) async fn create_memory(
        &self,
        organization: &OrgId,
        key: &Key,
        description: &str,
        value: &str,
    ) -> Result<bool, DatabaseError> {
        let written = self
            .database
            .first(
                "insert into app_memories (organization, key_name, description, value, \
                 created_at, updated_at) values ($1, $2, $3, $4, $5, $5) \
                 on conflict (organization, key_name) do nothing returning key_name",
                vec![
                    organization.as_str().into(),
                    key.as_str().into(),
                    description.into(),
                    value.into(),
                    now().as_micros().into(),
                ],
            )
            .await?;
        Ok(written.is_some())
    }

    /// Whether there was one. Without a description, the one that it has stays.
    pub(crate) async fn update_memory(
        &self,
        organization: &OrgId,
        key: &Key,
        description: Option<&str>,
        value: &str,
    ) -> Result<bool, DatabaseError> {
        let written = self
            .database
            .first(
                "update app_memories set value = $3, \
                 description = coalesce($4, description), updated_at = $5 \
                 where organization = $1 and key_name = $2 returning key_name",
                vec![
                    organization.as_str().into(),
                    key.as_str().into(),
                    value.into(),
                    description.into(),
                    now().as_micros().into(),
                ],
            )
            .await?;
        Ok(written.is_some())
    }

    /// Whether there was one.
    pub(crate) async fn delete_memory(
        &self,
        organization: &OrgId,
        key: &Key,
    ) -> Result<bool, DatabaseError> {
        let gone = self
            .database
            .first(
                "delete from app_memories where organization = $1 and key_name = $2 \
                 returning key_name",
                vec![organization.as_str().into(), key.as_str().into()],
            )
            .await?;
        Ok(gone.is_some())
    }

    /// The memories of an organization that `filter` lets through and whose keys begin with `stem`,
    /// by key.
    ///
    /// `filter` is a condition on the column `key_name`, without parameters: what
    /// `Coverage::sql_filter` writes for the rights of whoever asks.
    pub(crate) async fn memories(
        &self,
        organization: &OrgId,
        filter: &str,
        stem: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Memory>, DatabaseError> {
        self.database
            .query(
                &format!(
                    "select {COLUMNS} from app_memories where organization = $1 and ({filter}) \
                     and key_name >= $4 and substr(key_name, 1, length($4)) = $4 \
                     order by key_name limit $2 offset $3"
                ),
                vec![
                    organization.as_str().into(),
                    Value::Int(i64::from(limit)),
                    Value::Int(i64::from(offset)),
                    stem.into(),
                ],
            )
            .await?
            .iter()
            .map(memory)
            .collect()
    }
}
