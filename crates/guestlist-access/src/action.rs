//! What can be done to a key.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody may do to the keys of a pattern. No action implies another.
///
/// The one exception lies between people, not actions: what may be told to anybody anonymously
/// ([`Action::PublicRead`]) may be told to whoever is signed in, who then may [`Action::Read`] it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a seventh action must break every match"
)]
pub enum Action {
    /// Be told the value.
    Read,
    /// Make a key that is not there.
    Create,
    /// Change the value of a key that is there.
    Update,
    /// Remove a key.
    Delete,
    /// Give others what one holds, and take it back. Never held by outsiders.
    Share,
    /// Be told the value without being signed in.
    PublicRead,
}

/// A name that belongs to no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an action: expected `read`, `create`, `update`, `delete`, `share` or `public_read`")]
pub struct UnknownAction;

impl UnknownAction {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "action-unknown"
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] = [
        Self::Read,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Share,
        Self::PublicRead,
    ];

    /// The stable name of this action.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Share => "share",
            Self::PublicRead => "public_read",
        }
    }

    /// Stored in binary rows: a bit never changes its meaning.
    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Create => 1 << 1,
            Self::Update => 1 << 2,
            Self::Delete => 1 << 3,
            Self::Share => 1 << 4,
            Self::PublicRead => 1 << 5,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(UnknownAction)
    }
}

/// A set of actions. It may be empty as a value; a grant refuses the empty set.
///
/// In JSON it is the list of names, in binary formats one byte.
///
/// ```
/// # use guestlist_access::{Action, ActionSet};
/// let set = ActionSet::of(&[Action::Update, Action::Read]);
/// assert!(set.contains(Action::Read) && !set.contains(Action::PublicRead));
/// assert_eq!(set.iter().collect::<Vec<_>>(), [Action::Read, Action::Update]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActionSet(u8);

impl ActionSet {
    /// Every action.
    pub const ALL: Self = Self::of(&Action::ALL);
    /// No action.
    pub const EMPTY: Self = Self(0);

    /// The set of these actions.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut rest = actions;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// One bit for each action, none above the sixth.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Bits that belong to no action are left out.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether this action is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether no action is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in one of the two sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether everything in this set is in `other` as well.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The actions in the set, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }
}

impl From<Action> for ActionSet {
    fn from(action: Action) -> Self {
        Self::of(&[action])
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions
            .into_iter()
            .fold(Self::EMPTY, |set, action| set.union(action.into()))
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Action::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl Serialize for ActionSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.iter())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ActionSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Vec::<Action>::deserialize(deserializer).map(Self::from_iter)
        } else {
            let set = Self(u8::deserialize(deserializer)?);
            if set.is_subset(Self::ALL) {
                Ok(set)
            } else {
                Err(serde::de::Error::custom(UnknownAction))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arb_action_set;

    #[test]
    fn names_are_pinned() {
        let names = Action::ALL.map(Action::as_str);
        assert_eq!(
            names,
            ["read", "create", "update", "delete", "share", "public_read"]
        );
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
            assert_eq!(
                serde_json::to_string(&action).unwrap(),
                format!("\"{action}\"")
            );
        }
        for text in ["", "Read", "write", "sharing", "public-read", "read "] {
            assert_eq!(text.parse::<Action>(), Err(UnknownAction), "{text:?}");
        }
        assert_eq!(UnknownAction.code(), "action-unknown");
    }

    #[test]
    fn the_stored_forms_are_pinned() {
        let set = ActionSet::of(&[Action::PublicRead, Action::Read]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["read","public_read"]"#);
        assert_eq!(postcard::to_allocvec(&set).unwrap(), [0b10_0001]);
        let bytes = Action::ALL.map(|action| postcard::to_allocvec(&ActionSet::from(action)));
        assert_eq!(bytes, [1, 2, 4, 8, 16, 32].map(|byte| Ok(vec![byte])));
        assert!(postcard::from_bytes::<ActionSet>(&[0b100_0000]).is_err());
        assert!(serde_json::from_str::<ActionSet>(r#"["write"]"#).is_err());
        assert!(serde_json::from_str::<ActionSet>("255").is_err());
    }

    #[test]
    fn sets_are_shown_as_lists_of_names() {
        let set = ActionSet::of(&[Action::PublicRead, Action::Share, Action::Read]);
        assert_eq!(set.to_string(), "read, share, public_read");
        assert_eq!(format!("{set:?}"), "{Read, Share, PublicRead}");
        assert_eq!(ActionSet::EMPTY.to_string(), "");
    }

    proptest! {
        #[test]
        fn sets_behave_like_sets(a in arb_action_set(), b in arb_action_set()) {
            let both: ActionSet = a.iter().chain(b.iter()).collect();
            prop_assert_eq!(a.union(b), both);
            prop_assert_eq!(a.is_subset(b), a.iter().all(|action| b.contains(action)));
            prop_assert_eq!(a.is_subset(b), a.intersection(b) == a);
            prop_assert_eq!(a.is_empty(), a.iter().next().is_none());
            prop_assert!(a.is_subset(ActionSet::ALL) && ActionSet::EMPTY.is_subset(a));
        }

        #[test]
        fn stored_sets_come_back(set in arb_action_set()) {
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<ActionSet>(&json).unwrap(), set);
            let bytes = postcard::to_allocvec(&set).unwrap();
            prop_assert_eq!(postcard::from_bytes::<ActionSet>(&bytes).unwrap(), set);
        }
    }
}
