//! Patterns: which keys a grant is about.

use core::fmt;
use core::str::FromStr;

use guestlist_types::{Key, KeyError, MAX_KEY_BYTES};
use serde::{Deserialize, Serialize};

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing was given. Every key is [`Pattern::all`], which no text spells, so that a forgotten
    /// field never becomes a grant on everything.
    #[error("a pattern must not be empty; every key is spelled `Pattern::all()`")]
    Empty,
    /// The part before the trailing `/`, or the whole of an exact pattern, is no key.
    #[error("the key in this pattern is not valid")]
    Key(#[source] KeyError),
    /// The text is tagged as the other kind of pattern.
    #[error("a prefix ends with `/` and an exact key does not")]
    Kind,
}

impl PatternError {
    /// The stable code of this error; the code of the key's error if the key is wrong.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "pattern-empty",
            Self::Key(error) => error.code(),
            Self::Kind => "pattern-kind",
        }
    }
}

/// The three kinds of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth kind of pattern must break every match"
)]
pub enum PatternKind {
    /// Every key.
    All,
    /// Every key below a prefix of whole segments.
    Prefix,
    /// One key.
    Exact,
}

/// Which keys a grant is about: all of them, those below a prefix, or one.
///
/// `a/b/` covers what is below `a/b` segment by segment, and not the key `a/b` itself; `a/b` covers
/// that one key. There are no wildcards: `*`, `%` and `_` are plain characters. The shape is the
/// one of [`Key`], so each pattern has one spelling.
///
/// ```
/// # use guestlist_access::Pattern;
/// # use guestlist_types::Key;
/// let shared = Pattern::parse("shared/")?;
/// assert!(shared.covers(&Key::parse("shared/design-tokens").unwrap()));
/// assert!(!shared.covers(&Key::parse("shared-evil/x").unwrap()));
/// assert!(!shared.covers(&Key::parse("shared").unwrap()));
/// assert!(Pattern::parse("").is_err(), "every key is Pattern::all()");
/// # Ok::<(), guestlist_access::PatternError>(())
/// ```
// The text is the whole value: "" is every key, a trailing `/` marks a prefix. Patterns then sort
// so that everything below a prefix directly follows it, which is what coverages search by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The pattern of every key.
    #[must_use]
    pub fn all() -> Self {
        Self("".into())
    }

    /// Parses `a/b/` as a prefix on whole segments, and anything else as one exact key.
    ///
    /// # Errors
    ///
    /// [`PatternError::Empty`] for the empty text, and [`PatternError::Key`] for what breaks a rule
    /// of [`Key`]; a prefix must leave room for a key below it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        match text.strip_suffix('/') {
            // "/" has nothing before its slash; as a key it begins with one.
            Some("") => return Err(PatternError::Key(KeyError::LeadingSlash)),
            Some(stem) => {
                Key::parse(stem).map_err(PatternError::Key)?;
                if text.len() >= MAX_KEY_BYTES {
                    return Err(PatternError::Key(KeyError::TooLong));
                }
            }
            None => {
                Key::parse(text).map_err(PatternError::Key)?;
            }
        }
        Ok(Self(text.into()))
    }

    /// Which kind of pattern this is.
    #[must_use]
    pub fn kind(&self) -> PatternKind {
        if self.0.is_empty() {
            PatternKind::All
        } else if self.0.ends_with('/') {
            PatternKind::Prefix
        } else {
            PatternKind::Exact
        }
    }

    /// The text as it was parsed; empty for [`Pattern::all`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this key is among those that the pattern is about.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        self.includes_text(key.as_str())
    }

    /// Whether every key that `other` covers is covered by this pattern as well.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.includes_text(&other.0)
    }

    fn includes_text(&self, text: &str) -> bool {
        Self::covers_text(&self.0, text)
    }

    /// The same for the text of a pattern and the text of a key or a pattern.
    pub(crate) fn covers_text(pattern: &str, text: &str) -> bool {
        // A prefix ends with its `/`, so this compares whole segments.
        let is_prefix = pattern.is_empty() || pattern.ends_with('/');
        if is_prefix {
            text.starts_with(pattern)
        } else {
            pattern == text
        }
    }

    /// A pattern whose text is known to be one.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<Key> for Pattern {
    /// The pattern of this one key.
    fn from(key: Key) -> Self {
        Self(key.as_str().into())
    }
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Pattern {
    type Error = PatternError;
    fn try_from(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            PatternKind::All => f.write_str("Pattern(all)"),
            PatternKind::Prefix | PatternKind::Exact => write!(f, "Pattern({:?})", self.as_str()),
        }
    }
}

/// The stored form names the kind, so that an empty text can never sneak in as every key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename = "Pattern")]
enum Stored<T> {
    All,
    Prefix(T),
    Exact(T),
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind() {
            PatternKind::All => Stored::All,
            PatternKind::Prefix => Stored::Prefix(self.as_str()),
            PatternKind::Exact => Stored::Exact(self.as_str()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (text, kind) = match Stored::<String>::deserialize(deserializer)? {
            Stored::All => return Ok(Self::all()),
            Stored::Prefix(text) => (text, PatternKind::Prefix),
            Stored::Exact(text) => (text, PatternKind::Exact),
        };
        match Self::parse(&text) {
            Ok(pattern) if pattern.kind() == kind => Ok(pattern),
            Ok(_) => Err(serde::de::Error::custom(PatternError::Kind)),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{arb_key, arb_pattern};

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        for (text, covered, not_covered) in [
            (
                "shared/",
                &["shared/x", "shared/x/y", "shared/*"][..],
                &[
                    "shared",
                    "sharedx/y",
                    "shared-evil/x",
                    "sharedx",
                    "Shared/x",
                    "a/shared/x",
                    "share/d",
                ][..],
            ),
            ("a/b/", &["a/b/c"], &["a/b", "a/bc", "a/bc/d", "a/x/b/c"]),
            ("a/b", &["a/b"], &["a/b/c", "a/bb", "a", "A/b"]),
        ] {
            for text_key in covered {
                assert!(pattern(text).covers(&key(text_key)), "{text} {text_key}");
            }
            for text_key in not_covered {
                assert!(!pattern(text).covers(&key(text_key)), "{text} {text_key}");
            }
        }
    }

    #[test]
    fn nothing_is_a_wildcard() {
        for (text, missed) in [
            ("*", "a"),
            ("a/*", "a/b"),
            ("%", "a"),
            ("a%", "ab"),
            ("a_c", "abc"),
            ("a?c", "abc"),
            ("a/**/", "a/b/c"),
            ("[ab]", "a"),
            ("a\\", "a"),
        ] {
            assert!(!pattern(text).covers(&key(missed)), "{text} {missed}");
            let stem = text.trim_end_matches('/');
            assert!(pattern(stem).covers(&key(stem)), "{text} is a plain key");
        }
    }

    #[test]
    fn shapes_are_refused_never_repaired() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("/", PatternError::Key(KeyError::LeadingSlash)),
            ("//", PatternError::Key(KeyError::LeadingSlash)),
            ("/a/", PatternError::Key(KeyError::LeadingSlash)),
            ("a//", PatternError::Key(KeyError::EmptySegment)),
            ("a//b", PatternError::Key(KeyError::EmptySegment)),
            ("a/../", PatternError::Key(KeyError::DotSegment)),
            ("./", PatternError::Key(KeyError::DotSegment)),
            ("@a/", PatternError::Key(KeyError::LeadingAt)),
            ("a\0/", PatternError::Key(KeyError::Control)),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_longest_prefix_still_has_keys_below() {
        let stem = "k".repeat(MAX_KEY_BYTES - 2);
        let longest = Pattern::parse(&format!("{stem}/")).unwrap();
        assert!(longest.covers(&key(&format!("{stem}/x"))));
        assert_eq!(
            Pattern::parse(&format!("{stem}k/")),
            Err(PatternError::Key(KeyError::TooLong))
        );
        assert!(Pattern::parse(&"k".repeat(MAX_KEY_BYTES)).is_ok());
        assert!(Pattern::parse(&"k/".repeat(1 << 20)).is_err());
    }

    #[test]
    fn the_stored_form_is_pinned_and_names_its_kind() {
        for (pattern, json) in [
            (Pattern::all(), r#""all""#),
            (pattern("a/"), r#"{"prefix":"a/"}"#),
            (pattern("k"), r#"{"exact":"k"}"#),
        ] {
            assert_eq!(serde_json::to_string(&pattern).unwrap(), json);
            assert_eq!(serde_json::from_str::<Pattern>(json).unwrap(), pattern);
        }
        for json in [
            r#""""#,
            "null",
            r#"{"prefix":""}"#,
            r#"{"exact":""}"#,
            r#"{"prefix":"a"}"#,
            r#"{"exact":"a/"}"#,
            r#"{"prefix":"a//"}"#,
            r#"{"exact":"../a"}"#,
            r#"{"all":""}"#,
            r#""a/""#,
        ] {
            assert!(serde_json::from_str::<Pattern>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn texts_come_in_by_parsing_only() {
        for text in ["a/b/", "a", "", "a//", "/"] {
            assert_eq!(text.parse(), Pattern::parse(text), "{text:?}");
            assert_eq!(Pattern::try_from(text), Pattern::parse(text), "{text:?}");
        }
        assert_eq!(Pattern::from(key("a/b")), pattern("a/b"));
    }

    #[test]
    fn patterns_are_shown_as_texts() {
        assert_eq!(format!("{:?}", pattern("a/")), r#"Pattern("a/")"#);
        assert_eq!(format!("{:?}", pattern("k")), r#"Pattern("k")"#);
        assert_eq!(format!("{:?}", Pattern::all()), "Pattern(all)");
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (PatternError::Empty, "pattern-empty"),
            (
                PatternError::Key(KeyError::Control),
                "key-control-character",
            ),
            (PatternError::Kind, "pattern-kind"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn one_spelling_per_pattern(text: String) {
            if let Ok(pattern) = Pattern::parse(&text) {
                prop_assert_eq!(pattern.as_str(), text);
            }
        }

        #[test]
        fn stored_patterns_come_back(pattern in arb_pattern()) {
            let json = serde_json::to_string(&pattern).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Pattern>(&json).unwrap(), &pattern);
            let bytes = postcard::to_allocvec(&pattern).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Pattern>(&bytes).unwrap(), &pattern);
        }

        #[test]
        fn covering_is_comparing_segments(pattern in arb_pattern(), key in arb_key()) {
            let segments: Vec<&str> = key.as_str().split('/').collect();
            let own: Vec<&str> = pattern.as_str().trim_end_matches('/').split('/').collect();
            let expected = match pattern.kind() {
                PatternKind::All => true,
                PatternKind::Prefix => segments.len() > own.len() && segments.starts_with(&own),
                PatternKind::Exact => segments == own,
            };
            prop_assert_eq!(pattern.covers(&key), expected);
        }

        #[test]
        fn including_is_covering_all_of_it(
            outer in arb_pattern(), inner in arb_pattern(), key in arb_key(),
        ) {
            if outer.includes(&inner) && inner.covers(&key) {
                prop_assert!(outer.covers(&key));
            }
            prop_assert!(outer.includes(&outer) && Pattern::all().includes(&inner));
            prop_assert_eq!(outer.includes(&inner) && inner.includes(&outer), outer == inner);
        }
    }
}
