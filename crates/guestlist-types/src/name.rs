//! Names that people read: handles, display names, labels.

use crate::text::text_type;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// More than the allowed number of characters.
    #[error("a name of this kind has at most {max} characters")]
    TooLong {
        /// The longest that is allowed.
        max: usize,
    },
    /// A character that names of this kind can't have.
    #[error("this name has a character that names of this kind can't have")]
    Character,
    /// Begins or ends with something that names of this kind can't begin or end with.
    #[error("a name of this kind begins and ends with a letter or a digit, or at least no space")]
    Edge,
}

impl NameError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "name-empty",
            Self::TooLong { .. } => "name-too-long",
            Self::Character => "name-character",
            Self::Edge => "name-edge",
        }
    }
}

fn check_handle(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { max });
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !text
        .bytes()
        .all(|byte| is_word(byte) || byte == b'-' || byte == b'_')
    {
        return Err(NameError::Character);
    }
    let (first, last) = (text.as_bytes()[0], text.as_bytes()[text.len() - 1]);
    if !is_word(first) || !is_word(last) {
        return Err(NameError::Edge);
    }
    Ok(())
}

/// Characters that can turn a name into something it isn't on screen: controls, line separators,
/// bidirectional overrides and invisible joiners.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{061c}' | '\u{00ad}' | '\u{fff9}'..='\u{fffb}')
}

fn check_text(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // Four bytes a character at most: refuses oversized input without reading it.
    if text.len() > max * 4 || text.chars().count() > max {
        return Err(NameError::TooLong { max });
    }
    if text.chars().any(is_deceptive) {
        return Err(NameError::Character);
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(NameError::Edge);
    }
    Ok(())
}

/// The longest name of an organization, in bytes.
pub(crate) const MAX_ORG_NAME_BYTES: usize = 63;

fn check_org_name(text: &str) -> Result<(), NameError> {
    check_handle(text, MAX_ORG_NAME_BYTES)
}

fn check_role_name(text: &str) -> Result<(), NameError> {
    check_handle(text, 40)
}

fn check_consumer(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 64 {
        return Err(NameError::TooLong { max: 64 });
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !text
        .bytes()
        .all(|byte| is_word(byte) || b"-_./".contains(&byte))
    {
        return Err(NameError::Character);
    }
    Ok(())
}

fn check_message(text: &str) -> Result<(), NameError> {
    let max = 2000;
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max * 4 || text.chars().count() > max {
        return Err(NameError::TooLong { max });
    }
    if text
        .chars()
        .any(|character| is_deceptive(character) && !matches!(character, '\n' | '\t'))
    {
        return Err(NameError::Character);
    }
    Ok(())
}

fn check_short(text: &str) -> Result<(), NameError> {
    check_text(text, 120)
}

fn check_long(text: &str) -> Result<(), NameError> {
    check_text(text, 500)
}

text_type! {
    /// An organization's handle, as in `@name/key`: 1 to 63 of `a-z`, `0-9`, `-` and `_`, with a
    /// letter or a digit at both ends.
    ///
    /// A handle is unique, and is never given to another organization again.
    OrgName, NameError, check_org_name
}
text_type! {
    /// The name of a role of the host application, for example `admin`.
    RoleName, NameError, check_role_name
}
text_type! {
    /// What people are shown for an organization or a user: 1 to 120 characters, no control
    /// characters, no bidirectional overrides. It may hold markup; escape it where it is shown.
    DisplayName, NameError, check_short
}
text_type! {
    /// The name of a group inside one organization, 1 to 120 characters.
    GroupName, NameError, check_short
}
text_type! {
    /// What a link is called in lists, 1 to 120 characters.
    Label, NameError, check_short
}
text_type! {
    /// The name of a consumer of the feed, 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.` and `/`.
    ConsumerName, NameError, check_consumer
}
text_type! {
    /// What somebody says to the other side, 1 to 2,000 characters. It may have line breaks, and
    /// may hold markup; escape it where it is shown.
    Message, NameError, check_message
}
text_type! {
    /// Why something was done, in a person's words, 1 to 500 characters.
    Reason, NameError, check_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_one_spelling() {
        for text in ["widgets-inc", "a", "a_b", "0x", "a--b"] {
            assert!(OrgName::parse(text).is_ok(), "{text:?}");
        }
        for (text, error) in [
            ("", NameError::Empty),
            ("Widgets", NameError::Character),
            ("a.b", NameError::Character),
            ("a/b", NameError::Character),
            ("\u{430}bc", NameError::Character),
            ("-a", NameError::Edge),
            ("a-", NameError::Edge),
            ("_a", NameError::Edge),
            ("a_", NameError::Edge),
            ("-", NameError::Edge),
        ] {
            assert_eq!(OrgName::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn display_names_can_not_deceive() {
        assert!(DisplayName::parse("Widgets <Inc> \u{1f389}").is_ok());
        for text in ["a\u{202e}b", "a\u{200d}b", "a\nb", "\u{feff}a", "a\0"] {
            assert_eq!(
                DisplayName::parse(text),
                Err(NameError::Character),
                "{text:?}"
            );
        }
        for text in [" a", "a ", "\u{3000}a", "a\u{a0}"] {
            assert_eq!(DisplayName::parse(text), Err(NameError::Edge), "{text:?}");
        }
    }

    #[test]
    fn messages_have_lines() {
        for text in ["a\nb", "a\tb\n", " a ", "\n"] {
            assert!(Message::parse(text).is_ok(), "{text:?}");
        }
        for text in ["a\rb", "a\0", "a\u{202e}b", "a\u{2028}b", "a\u{200b}"] {
            assert_eq!(Message::parse(text), Err(NameError::Character), "{text:?}");
        }
    }

    #[test]
    fn consumers_are_named_like_paths() {
        for text in ["a", "0", "mail/v1.0_a-b", "-", "/", "..", "_"] {
            assert!(ConsumerName::parse(text).is_ok(), "{text:?}");
        }
        for text in ["A", "a b", "a\\b", "a:b", "caf\u{e9}", "a\0"] {
            let refused = ConsumerName::parse(text);
            assert_eq!(refused, Err(NameError::Character), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        // One byte, and four.
        for character in ["x", "\u{20000}"] {
            macro_rules! check {
                ($($name:ident: $max:literal),+) => {$(
                    assert_eq!($name::parse(""), Err(NameError::Empty));
                    for length in [1, $max - 1, $max] {
                        assert!($name::parse(&character.repeat(length)).is_ok());
                    }
                    for length in [$max + 1, $max * 4, $max * 4 + 1, 1 << 20] {
                        let refused = $name::parse(&character.repeat(length));
                        assert_eq!(refused, Err(NameError::TooLong { max: $max }));
                    }
                )+};
            }
            check!(DisplayName: 120, GroupName: 120, Label: 120, Reason: 500, Message: 2000);
            if character.is_ascii() {
                check!(OrgName: 63, RoleName: 40, ConsumerName: 64);
            }
        }
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (NameError::Empty, "name-empty"),
            (NameError::TooLong { max: 1 }, "name-too-long"),
            (NameError::Character, "name-character"),
            (NameError::Edge, "name-edge"),
        ] {
            assert_eq!(error.code(), code);
        }
    }
}
