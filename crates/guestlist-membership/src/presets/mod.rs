//! Ready-made configurations: what five published products do, as data.
//!
//! A preset is a catalog of roles, for the facade's builder, and the settings that every
//! organization of such a product begins with. Where the products disagree it is a setting, so a
//! preset holds no rule; change what you want to have otherwise.

mod ejento;
mod ensue;
mod gitbook;
mod teamwins;

use guestlist_access::RoleCatalog;

pub use ejento::ejento;
pub use ensue::ensue;
pub use gitbook::gitbook;
pub use teamwins::teamwins;

use crate::organization::Settings;

/// A product as configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProductPreset {
    /// The product's roles.
    pub roles: RoleCatalog,
    /// What its organizations begin with.
    pub settings: Settings,
}
