//! Organizations whose people are invited with a role.

use guestlist_access::RoleCatalog;

use super::ProductPreset;
use crate::link::{JoinedBy, LinkDraft};
use crate::organization::Settings;

/// `GitBook`: six roles and guests; people join by a link or an e-mail invite that gives a role,
/// without review.
#[must_use]
pub fn gitbook() -> ProductPreset {
    ProductPreset {
        roles: RoleCatalog::gitbook(),
        settings: Settings {
            link_defaults: LinkDraft::auto().joined_by(JoinedBy::Users),
            ..Settings::default()
        },
    }
}
