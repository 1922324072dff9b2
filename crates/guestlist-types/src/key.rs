//! Keys of the host application's data.

use unicode_normalization::is_nfc;

use crate::text::text_type;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing was given.
    #[error("a key must not be empty")]
    Empty,
    /// More than 1,024 bytes.
    #[error("a key has at most 1024 bytes")]
    TooLong,
    /// A leading `/`.
    #[error("a key must not begin with `/`")]
    LeadingSlash,
    /// A leading `@`, which is kept for addresses.
    #[error("a key must not begin with `@`, which addresses another organization")]
    LeadingAt,
    /// Two slashes in a row, or one at the end.
    #[error("a key must not have an empty segment")]
    EmptySegment,
    /// A segment that is `.` or `..`.
    #[error("a key must not have a segment `.` or `..`")]
    DotSegment,
    /// A control character.
    #[error("a key must not have control characters")]
    Control,
    /// A `\`. Only [`Key::parse_strict`] refuses it.
    #[error("a key must not have a backslash")]
    Backslash,
    /// Not in composed form (Unicode NFC). Only [`Key::parse_strict`] refuses it.
    #[error("a key must be in composed form (Unicode NFC)")]
    NotComposed,
}

impl KeyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "key-empty",
            Self::TooLong => "key-too-long",
            Self::LeadingSlash => "key-leading-slash",
            Self::LeadingAt => "key-leading-at",
            Self::EmptySegment => "key-empty-segment",
            Self::DotSegment => "key-dot-segment",
            Self::Control => "key-control-character",
            Self::Backslash => "key-backslash",
            Self::NotComposed => "key-not-composed",
        }
    }
}

text_type! {
    /// The name of one item of the host application's data: segments separated by `/`.
    ///
    /// Not empty, at most 1,024 bytes of UTF-8; no leading `/` or `@`, no empty segment, no `.` or
    /// `..`, no control character. Keys are compared byte for byte, case-sensitively, and are never
    /// percent-decoded or normalized: `*`, `%` and `_` are plain characters. [`Key::parse_strict`]
    /// refuses more.
    ///
    /// ```
    /// # use guestlist_types::{Key, KeyError};
    /// assert!(Key::parse("shared/design-tokens").is_ok());
    /// assert_eq!(Key::parse("shared//x"), Err(KeyError::EmptySegment));
    /// assert_eq!(Key::parse("shared/../private"), Err(KeyError::DotSegment));
    /// ```
    Key, KeyError, check
}

impl Key {
    /// Parses `text` as [`parse`](Self::parse) does, and refuses a backslash and what is not in
    /// composed form (Unicode NFC) as well.
    ///
    /// For host applications whose keys become file names, where some systems take `\` for `/` and
    /// compose what they are given, or are typed by people, who can't tell two spellings of one
    /// letter apart. Nothing else asks for it: a key that is read back is parsed by the rules of all
    /// keys.
    ///
    /// ```
    /// # use guestlist_types::{Key, KeyError};
    /// assert!(Key::parse_strict("menus/caf\u{e9}").is_ok());
    /// assert_eq!(Key::parse_strict("menus/cafe\u{301}"), Err(KeyError::NotComposed));
    /// assert_eq!(Key::parse_strict("menus\\cafe"), Err(KeyError::Backslash));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), [`KeyError::Backslash`] and [`KeyError::NotComposed`].
    pub fn parse_strict(text: &str) -> Result<Self, KeyError> {
        let key = Self::parse(text)?;
        if text.contains('\\') {
            return Err(KeyError::Backslash);
        }
        if !is_nfc(text) {
            return Err(KeyError::NotComposed);
        }
        Ok(key)
    }
}

fn check(text: &str) -> Result<(), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong);
    }
    match text.as_bytes()[0] {
        b'/' => return Err(KeyError::LeadingSlash),
        b'@' => return Err(KeyError::LeadingAt),
        _ => {}
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err(KeyError::EmptySegment),
            "." | ".." => return Err(KeyError::DotSegment),
            _ => {}
        }
    }
    if text.chars().any(char::is_control) {
        return Err(KeyError::Control);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_refused_never_repaired() {
        for (text, error) in [
            ("", KeyError::Empty),
            ("/a", KeyError::LeadingSlash),
            ("@a/b", KeyError::LeadingAt),
            ("a/", KeyError::EmptySegment),
            ("a//b", KeyError::EmptySegment),
            ("a/./b", KeyError::DotSegment),
            ("..", KeyError::DotSegment),
            ("a/..", KeyError::DotSegment),
            ("a\0", KeyError::Control),
            ("a\nb", KeyError::Control),
            ("a\u{85}b", KeyError::Control),
        ] {
            assert_eq!(Key::parse(text), Err(error), "{text:?}");
        }
        for text in [
            "a", "a/b", "...", "a/.b", "%2e%2e/x", "*", "a\\b", " ", "\u{130}", "a@b", "x/@y",
        ] {
            assert!(Key::parse(text).is_ok(), "{text:?}");
        }
        assert!(Key::parse(&"k".repeat(MAX_KEY_BYTES)).is_ok());
        assert_eq!(
            Key::parse(&"k".repeat(MAX_KEY_BYTES + 1)),
            Err(KeyError::TooLong)
        );
    }

    #[test]
    fn length_is_counted_in_bytes() {
        let longest = "\u{e9}".repeat(MAX_KEY_BYTES / 2);
        assert!(Key::parse(&longest).is_ok());
        assert_eq!(Key::parse(&(longest + "\u{e9}")), Err(KeyError::TooLong));
    }

    #[test]
    fn a_strict_key_is_composed_and_has_no_backslash() {
        for (text, error) in [
            ("a\\b", KeyError::Backslash),
            ("\\", KeyError::Backslash),
            ("cafe\u{301}", KeyError::NotComposed),
            ("\u{1100}\u{1161}", KeyError::NotComposed),
            // The Kelvin sign is composed to a letter; these marks are in the other order.
            ("\u{212a}", KeyError::NotComposed),
            ("q\u{301}\u{323}", KeyError::NotComposed),
        ] {
            assert!(Key::parse(text).is_ok(), "{text:?}");
            assert_eq!(Key::parse_strict(text), Err(error), "{text:?}");
        }
        // What is no key is none here either, and a mark that nothing is composed with may stay.
        for text in [
            "",
            "/a",
            "a//b",
            "a/..",
            "a\0",
            "a",
            "a/b",
            "caf\u{e9}",
            "q\u{301}",
            "\u{fb01}",
            "*",
        ] {
            assert_eq!(Key::parse_strict(text), Key::parse(text), "{text:?}");
        }
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (KeyError::Empty, "key-empty"),
            (KeyError::TooLong, "key-too-long"),
            (KeyError::LeadingSlash, "key-leading-slash"),
            (KeyError::LeadingAt, "key-leading-at"),
            (KeyError::EmptySegment, "key-empty-segment"),
            (KeyError::DotSegment, "key-dot-segment"),
            (KeyError::Control, "key-control-character"),
            (KeyError::Backslash, "key-backslash"),
            (KeyError::NotComposed, "key-not-composed"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn one_spelling_per_key(text: String) {
            if let Ok(key) = Key::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
