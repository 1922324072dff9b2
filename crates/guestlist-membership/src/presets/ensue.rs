//! A memory network that organizations invite each other to.

use guestlist_access::RoleCatalog;

use super::ProductPreset;
use crate::link::{JoinedBy, LinkDraft};
use crate::organization::Settings;

/// Ensue: links let organizations in, each reviewed unless its link says otherwise; a rejected
/// organization can try again with a new claim.
#[must_use]
pub fn ensue() -> ProductPreset {
    ProductPreset {
        roles: RoleCatalog::owner_admin_member(),
        settings: Settings {
            link_defaults: LinkDraft::review().joined_by(JoinedBy::Organizations),
            ..Settings::default()
        },
    }
}
