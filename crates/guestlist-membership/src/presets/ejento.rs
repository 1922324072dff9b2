//! An organization whose global administrators invite its people.

use guestlist_access::RoleCatalog;

use super::ProductPreset;
use crate::link::{JoinedBy, LinkDraft};
use crate::organization::Settings;

/// Ejento: only global administrators invite, by a link to be copied or by e-mail to one address
/// or several; whoever comes joins as a user.
#[must_use]
pub fn ejento() -> ProductPreset {
    ProductPreset {
        roles: RoleCatalog::global_admin(),
        settings: Settings {
            link_defaults: LinkDraft::auto().joined_by(JoinedBy::Users),
            ..Settings::default()
        },
    }
}
