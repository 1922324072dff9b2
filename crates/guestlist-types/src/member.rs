//! Who joins, and what the record between a host and a member is keyed by.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{OrgId, UserId};

/// The organization or the single user that joins a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of member must break every match"
)]
pub enum Member {
    /// An organization; in the host a proxy user stands for it.
    Org(OrgId),
    /// A user, who joins as itself.
    User(UserId),
}

/// The two kinds of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of member must break every match"
)]
pub enum MemberKind {
    /// [`Member::Org`].
    Org,
    /// [`Member::User`].
    User,
}

impl Member {
    /// Which kind of member this is.
    #[must_use]
    pub const fn kind(&self) -> MemberKind {
        match self {
            Self::Org(_) => MemberKind::Org,
            Self::User(_) => MemberKind::User,
        }
    }

    /// The host application's id of this member.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Org(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org(id) => write!(f, "organization {id}"),
            Self::User(id) => write!(f, "user {id}"),
        }
    }
}

impl From<OrgId> for Member {
    fn from(id: OrgId) -> Self {
        Self::Org(id)
    }
}

impl From<UserId> for Member {
    fn from(id: UserId) -> Self {
        Self::User(id)
    }
}

/// Names one membership: there is one record per host and member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MembershipKey {
    /// The organization that lets somebody in.
    pub host: OrgId,
    /// Who is let in.
    pub member: Member,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_an_organization_or_a_user() {
        let (org, user) = (OrgId::parse("a").unwrap(), UserId::parse("b").unwrap());
        for (member, kind, id, shown) in [
            (Member::from(org), MemberKind::Org, "a", "organization a"),
            (Member::from(user), MemberKind::User, "b", "user b"),
        ] {
            assert_eq!((member.kind(), member.id()), (kind, id));
            assert_eq!(member.to_string(), shown);
        }
    }

    #[test]
    fn stored_forms_are_pinned() {
        let host = OrgId::parse("h").unwrap();
        for (member, json) in [
            (
                Member::Org(OrgId::parse("a").unwrap()),
                r#"{"host":"h","member":{"org":"a"}}"#,
            ),
            (
                Member::User(UserId::parse("a").unwrap()),
                r#"{"host":"h","member":{"user":"a"}}"#,
            ),
        ] {
            let host = host.clone();
            let key = MembershipKey { host, member };
            assert_eq!(serde_json::to_string(&key).unwrap(), json);
            assert_eq!(serde_json::from_str::<MembershipKey>(json).unwrap(), key);
        }
        let kinds = [MemberKind::Org, MemberKind::User];
        assert_eq!(serde_json::to_string(&kinds).unwrap(), r#"["org","user"]"#);
    }
}
