//! `@org/key` addresses.

use core::fmt;
use core::str::FromStr;

use crate::key::{Key, KeyError, MAX_KEY_BYTES};
use crate::name::{MAX_ORG_NAME_BYTES, NameError, OrgName};

/// `@`, the longest name, `/` and the longest key.
const MAX_BYTES: usize = 1 + MAX_ORG_NAME_BYTES + 1 + MAX_KEY_BYTES;

/// A key of the caller's own organization, or of another one: `@name/key`.
///
/// ```
/// # use guestlist_types::Address;
/// let address: Address = "@widgets-inc/shared/design-tokens".parse()?;
/// assert_eq!(address.organization().unwrap().as_str(), "widgets-inc");
/// assert_eq!(address.key().as_str(), "shared/design-tokens");
/// assert!("@a/@b/k".parse::<Address>().is_err(), "one hop only");
/// # Ok::<(), guestlist_types::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    organization: Option<OrgName>,
    key: Key,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// `@name` without `/key` behind it.
    #[error("an address of another organization is written `@name/key`")]
    NoKey,
    /// The part between `@` and `/` is no organization name.
    #[error("the organization in this address is not valid")]
    Organization(#[source] NameError),
    /// The key is not valid; a second `@` hop is among the reasons, and so is a text that is longer
    /// than any address.
    #[error("the key in this address is not valid")]
    Key(#[source] KeyError),
}

impl AddressError {
    /// The stable code of this error; the code of the part that is wrong.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoKey => "address-no-key",
            Self::Organization(error) => error.code(),
            Self::Key(error) => error.code(),
        }
    }
}

impl Address {
    /// The address of a key in the caller's own organization.
    #[must_use]
    pub const fn own(key: Key) -> Self {
        Self {
            organization: None,
            key,
        }
    }

    /// The address of a key in the organization of this name.
    #[must_use]
    pub const fn of(organization: OrgName, key: Key) -> Self {
        Self {
            organization: Some(organization),
            key,
        }
    }

    /// Parses `key` or `@name/key`.
    ///
    /// # Errors
    ///
    /// Says which part is wrong. A text that begins with `@` is never taken for a key.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // Refused before the slash is looked for.
        if text.len() > MAX_BYTES {
            return Err(AddressError::Key(KeyError::TooLong));
        }
        let Some(rest) = text.strip_prefix('@') else {
            return Key::parse(text).map(Self::own).map_err(AddressError::Key);
        };
        let (name, key) = rest.split_once('/').ok_or(AddressError::NoKey)?;
        Ok(Self::of(
            OrgName::parse(name).map_err(AddressError::Organization)?,
            Key::parse(key).map_err(AddressError::Key)?,
        ))
    }

    /// The organization that this address names; `None` for the caller's own.
    #[must_use]
    pub const fn organization(&self) -> Option<&OrgName> {
        self.organization.as_ref()
    }

    /// The key inside that organization.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.organization {
            write!(f, "@{name}/")?;
        }
        fmt::Display::fmt(&self.key, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;
    fn try_from(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl From<Key> for Address {
    fn from(key: Key) -> Self {
        Self::own(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_hop_and_nothing_else() {
        for text in [
            "", "@", "@a", "@/k", "@a/", "@a//k", "@a/@b/k", "@A/k", "@a/../k", "@a /k",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Address::parse("@a/@b/k"),
            Err(AddressError::Key(KeyError::LeadingAt))
        );
    }

    #[test]
    fn what_is_longer_than_any_address_is_not_read() {
        let longest = format!("@{}/{}", "a".repeat(63), "k".repeat(MAX_KEY_BYTES));
        assert!(Address::parse(&longest).is_ok());
        let no_key = |bytes: usize| format!("@{}", "a".repeat(bytes - 1));
        for (text, error) in [
            (no_key(MAX_BYTES), AddressError::NoKey),
            (no_key(MAX_BYTES + 1), AddressError::Key(KeyError::TooLong)),
            (longest + "k", AddressError::Key(KeyError::TooLong)),
        ] {
            assert_eq!(Address::parse(&text), Err(error), "{} bytes", text.len());
        }
    }

    #[test]
    fn codes_are_those_of_the_part_that_is_wrong() {
        for (text, code) in [
            ("@a", "address-no-key"),
            ("@A/k", "name-character"),
            ("@a/", "key-empty"),
            ("@a/@b/k", "key-leading-at"),
            ("a/", "key-empty-segment"),
        ] {
            assert_eq!(Address::parse(text).unwrap_err().code(), code, "{text:?}");
        }
    }

    #[test]
    fn every_way_in_gives_the_same_address() {
        for (text, organization, key) in [("a/k", None, "a/k"), ("@a/b/k", Some("a"), "b/k")] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.organization().map(OrgName::as_str), organization);
            assert_eq!(address.key().as_str(), key);
            assert_eq!(text.parse().as_ref(), Ok(&address));
            assert_eq!(Address::try_from(text).as_ref(), Ok(&address));
            let key = address.key().clone();
            let made = match address.organization() {
                None => Address::from(key),
                Some(name) => Address::of(name.clone(), key),
            };
            assert_eq!(made, address);
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "@?[a-z/@.-]{0,12}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
