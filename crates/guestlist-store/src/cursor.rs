//! Cursors: where a page ended, for the next one.

use core::fmt;
use core::str::FromStr;

use guestlist_token::Selector;
use guestlist_types::{GrantId, GroupId, LinkId, Member, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::Sequence;

/// Where a page ended, as text for a client to hand back. Opaque: only its own list takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

/// The text is no cursor, or that of another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this cursor does not belong to this list")]
pub struct CursorError;

impl CursorError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "cursor-invalid"
    }
}

/// The sort key of the last row of a page. For stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place every order"
)]
pub enum Position {
    /// In links.
    Link(LinkId),
    /// In members of a host.
    Member(Member),
    /// In requests, by age.
    Pending(Timestamp, Member),
    /// In memberships of a member, by host.
    Host(OrgId),
    /// In groups.
    Group(GroupId),
    /// In grants.
    Grant(GrantId),
    /// In tokens.
    Token(Selector),
    /// In episodes that have run out, by when they did.
    RunOut(Timestamp, OrgId, Member),
    /// In events.
    Event(Sequence),
}

/// The longest text that is looked at.
const MAX_TEXT: usize = 1024;

impl Cursor {
    /// A cursor for this position of the list with this fingerprint. For stores.
    #[must_use]
    pub fn new(list: u32, position: &Position) -> Self {
        let mut bytes = postcard::to_stdvec(position).unwrap_or_default();
        let mut hasher = crc32fast::Hasher::new_with_initial(list);
        hasher.update(&bytes);
        bytes.extend(hasher.finalize().to_be_bytes());
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The position, if this cursor belongs to the list with this fingerprint. For stores.
    ///
    /// # Errors
    ///
    /// [`CursorError`] if it doesn't.
    pub fn position(&self, list: u32) -> Result<Position, CursorError> {
        let bytes = unhex(&self.0).ok_or(CursorError)?;
        let (payload, sum) = bytes.split_last_chunk::<4>().ok_or(CursorError)?;
        let mut hasher = crc32fast::Hasher::new_with_initial(list);
        hasher.update(payload);
        if hasher.finalize().to_be_bytes() != *sum {
            return Err(CursorError);
        }
        postcard::from_bytes(payload).map_err(|_| CursorError)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len() / 2)
        .map(|at| {
            text.get(at * 2..at * 2 + 2)
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        })
        .collect()
}

impl FromStr for Cursor {
    type Err = CursorError;

    /// Takes the text of a cursor. Whether it belongs to a list is seen when it is used there.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() > MAX_TEXT || text.len() < 8 || !text.bytes().all(is_hex) {
            return Err(CursorError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;
    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let position = Position::Link(LinkId::from_bytes([7; 16]));
        let cursor = Cursor::new(1, &position);
        let parsed: Cursor = cursor.as_str().parse().unwrap();
        assert_eq!(parsed.position(1), Ok(position));
        assert_eq!(parsed.position(2), Err(CursorError));
        for text in [
            "",
            "zz",
            "0",
            "00000000",
            &"0".repeat(2000),
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let refused = text.parse::<Cursor>().and_then(|cursor| cursor.position(1));
            assert_eq!(refused, Err(CursorError), "{text:?}");
        }
    }
}
