//! Workspaces that people join by a persistent link, by e-mail, or by asking.

use guestlist_access::RoleCatalog;

use super::ProductPreset;
use crate::link::{Expiry, JoinedBy, LinkDraft, Uses};
use crate::organization::Settings;
use crate::policy::{AfterRejection, Requests, Standing};

/// `TeamWins`: links never expire and have no limit; those of administrators approve by
/// themselves, and those of others are reviewed unless the workspace approves everybody
/// ([`Joins::AlwaysAuto`](crate::Joins::AlwaysAuto)). Whoever was declined can't use the same link again. A link outlives
/// its creator. A workspace can be found and asked unless it is incognito.
#[must_use]
pub fn teamwins() -> ProductPreset {
    ProductPreset {
        roles: RoleCatalog::owner_admin_reviewer_member(),
        settings: Settings {
            after_rejection: AfterRejection::NotThisLink,
            standing: Standing::Keep,
            link_defaults: LinkDraft::auto()
                .joined_by(JoinedBy::Users)
                .expiry(Expiry::Never)
                .max_uses(Uses::Unlimited),
            discoverable: true,
            requests: Requests {
                open: true,
                joined_by: JoinedBy::Users,
                ..Requests::default()
            },
            ..Settings::default()
        },
    }
}
