//! The content that an invite can be for. There is none here: each organization has one sample
//! space and one sample collection, so that guestlist has keys to grant on.

use guestlist::membership::{Metadata, MetadataError};
use guestlist::{Action, ActionSet, OrgId, Pattern, PresetGrant, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Failure;

/// The space of each organization.
pub(crate) const SPACE_ID: &str = "space_handbook";
/// The collection of each organization.
pub(crate) const COLLECTION_ID: &str = "collection_api";

/// When both were made: 2026-01-05.
const MADE_AT: Timestamp = Timestamp::from_micros(1_767_571_200_000_000);

/// A piece of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    Space,
    Collection,
}

/// What a link for content remembers in its metadata: guestlist knows the grants only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContentInvite {
    pub(super) content: Content,
    pub(super) level: Option<String>,
}

impl Content {
    pub(super) fn space(id: &str) -> Result<Self, Failure> {
        if id == SPACE_ID {
            Ok(Self::Space)
        } else {
            Err(Failure::not_found("space"))
        }
    }

    pub(super) fn collection(id: &str) -> Result<Self, Failure> {
        if id == COLLECTION_ID {
            Ok(Self::Collection)
        } else {
            Err(Failure::not_found("collection"))
        }
    }

    fn prefix(self) -> String {
        match self {
            Self::Space => format!("spaces/{SPACE_ID}/"),
            Self::Collection => format!("collections/{COLLECTION_ID}/"),
        }
    }

    /// What a level gives: what holders of the role of that name do to all content, they do to this
    /// piece. No level gives nothing.
    pub(super) fn grants(self, level: Option<&str>) -> Vec<PresetGrant> {
        use Action::{Create, Read, Update};
        let all: &[(&str, ActionSet)] = match level {
            Some("read") => &[("", ActionSet::of(&[Read]))],
            Some("comment") => &[
                ("", ActionSet::of(&[Read])),
                ("discussions/", ActionSet::of(&[Create])),
            ],
            Some("edit") => &[("", ActionSet::of(&[Read, Update]))],
            Some("review") => &[
                ("", ActionSet::of(&[Read])),
                ("reviews/", ActionSet::of(&[Create])),
            ],
            Some("create") => &[("", ActionSet::of(&[Read, Create, Update]))],
            Some("admin") => &[("", ActionSet::ALL)],
            _ => &[],
        };
        let prefix = self.prefix();
        all.iter()
            .filter_map(|(below, actions)| {
                Some(PresetGrant {
                    actions: *actions,
                    pattern: Pattern::parse(&format!("{prefix}{below}")).ok()?,
                })
            })
            .collect()
    }
}

impl ContentInvite {
    pub(super) fn metadata(&self) -> Result<Metadata, MetadataError> {
        Metadata::from_json(&json!({ "gitbook": self }).to_string())
    }

    /// What the metadata of a link says; `None` for links into the organization.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        let mut value: Value = serde_json::from_str(metadata.as_json()).ok()?;
        serde_json::from_value(value.get_mut("gitbook")?.take()).ok()
    }
}

/// How many spaces these patterns are about.
pub(super) fn spaces<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> usize {
    let spaces: std::collections::BTreeSet<&str> = patterns
        .filter_map(|pattern| pattern.as_str().strip_prefix("spaces/")?.split('/').next())
        .collect();
    spaces.len()
}

/// The space as an admin sees it, who is the only one to see invites.
pub(super) fn space(public_url: &str, org: &OrgId) -> Value {
    json!({
        "object": "space",
        "id": SPACE_ID,
        "title": "Handbook",
        "emoji": "1f4d8",
        "visibility": "private",
        "createdAt": MADE_AT.to_string(),
        "updatedAt": MADE_AT.to_string(),
        "organization": org.as_str(),
        "revision": "revision_1",
        "comments": 0,
        "changeRequests": 0,
        "changeRequestsOpen": 0,
        "changeRequestsDraft": 0,
        "mergeRules": { "type": "inherit" },
        "defaultLevel": "inherit",
        "urls": {
            "location": format!("{public_url}/v1/spaces/{SPACE_ID}"),
            "app": format!("{public_url}/"),
        },
        "permissions": {
            "view": true, "access": true, "admin": true, "viewInviteLinks": true, "edit": true,
            "triggerGitSync": false, "comment": true, "merge": true, "review": true,
            "installIntegration": false,
        },
    })
}

/// The collection as an admin sees it.
pub(super) fn collection(public_url: &str, org: &OrgId) -> Value {
    json!({
        "object": "collection",
        "id": COLLECTION_ID,
        "title": "API reference",
        "organization": org.as_str(),
        "defaultLevel": "inherit",
        "urls": {
            "location": format!("{public_url}/v1/collections/{COLLECTION_ID}"),
            "app": format!("{public_url}/"),
        },
        "permissions": { "view": true, "admin": true, "viewInviteLinks": true, "create": true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actions that a level gives on keys like these.
    fn given(content: Content, level: Option<&str>, key: &str) -> ActionSet {
        let key = key.parse().unwrap();
        content
            .grants(level)
            .iter()
            .filter(|grant| grant.pattern.covers(&key))
            .fold(ActionSet::EMPTY, |all, grant| all.union(grant.actions))
    }

    #[test]
    fn a_level_is_about_its_own_content_only() {
        for level in ["read", "comment", "edit", "review", "create", "admin"] {
            let (space, collection) = (Content::Space, Content::Collection);
            for (content, own, other) in [
                (
                    space,
                    "spaces/space_handbook/a",
                    "collections/collection_api/a",
                ),
                (
                    collection,
                    "collections/collection_api/a",
                    "spaces/space_handbook/a",
                ),
            ] {
                let level = Some(level);
                assert!(
                    given(content, level, own).contains(Action::Read),
                    "{level:?}"
                );
                for key in [other, "spaces/space_handbook_2/a", "spaces/space_handbook"] {
                    assert_eq!(
                        given(content, level, key),
                        ActionSet::EMPTY,
                        "{level:?} {key}"
                    );
                }
            }
        }
        assert!(Content::Space.grants(None).is_empty());
        assert!(Content::Space.grants(Some("owner")).is_empty());
    }

    #[test]
    fn a_level_gives_what_its_name_says() {
        let may = |action, key| {
            let levels = ["read", "comment", "edit", "review", "create", "admin"];
            let may = |level: &&str| given(Content::Space, Some(level), key).contains(action);
            levels.into_iter().filter(may).collect::<Vec<_>>()
        };
        let (page, talk) = (
            "spaces/space_handbook/a",
            "spaces/space_handbook/discussions/1",
        );
        assert_eq!(may(Action::Update, page), ["edit", "create", "admin"]);
        assert_eq!(may(Action::Create, page), ["create", "admin"]);
        assert_eq!(may(Action::Create, talk), ["comment", "create", "admin"]);
        assert_eq!(may(Action::Delete, page), ["admin"]);
    }

    #[test]
    fn metadata_says_what_a_link_is_for() {
        let invite = ContentInvite {
            content: Content::Space,
            level: None,
        };
        let metadata = invite.metadata().unwrap();
        assert_eq!(ContentInvite::of(&metadata), Some(invite));
        let other = Metadata::from_json(r#"{"campaign":"spring"}"#).unwrap();
        assert_eq!(ContentInvite::of(&other), None);
        assert_eq!(ContentInvite::of(&Metadata::EMPTY), None);
    }
}
