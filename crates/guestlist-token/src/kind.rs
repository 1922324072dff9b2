//! What a token opens.

use serde::{Deserialize, Serialize};

/// What a token opens. The kind is printed as the token's prefix and is part of its tag, so a
/// token of one kind never passes for one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of token must break every match"
)]
pub enum TokenKind {
    /// A link, usable by many: `glj_`.
    Link,
    /// An e-mail invite, usable once: `gle_`.
    EmailInvite,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Link, Self::EmailInvite];

    /// The four bytes that tokens of this kind begin with. They carry the version too: another
    /// format gets another prefix.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Link => "glj_",
            Self::EmailInvite => "gle_",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pinned() {
        let names =
            TokenKind::ALL.map(|kind| (kind.prefix(), serde_json::to_string(&kind).unwrap()));
        assert_eq!(
            names,
            [
                ("glj_", r#""link""#.to_owned()),
                ("gle_", r#""email-invite""#.to_owned()),
            ]
        );
    }
}
