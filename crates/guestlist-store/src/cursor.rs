//! Cursors: where a page ended, for the next one.

use core::fmt;
use core::str::FromStr;

use guestlist_token::Selector;
use guestlist_types::{
    EndpointId, GrantId, GroupId, InviteId, LinkId, Member, OrgId, OrgName, Timestamp,
};
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
    /// In events, and in those that a consumer has parked.
    Event(Sequence),
    /// In e-mail invites.
    Invite(OrgId, InviteId),
    /// In webhook endpoints.
    Endpoint(OrgId, EndpointId),
    /// In organizations that can be found.
    Name(OrgName),
    /// In links whose time is over, by when it was.
    RunOutLink(Timestamp, OrgId, LinkId),
    /// In e-mail invites whose time is over, by when it was.
    RunOutInvite(Timestamp, OrgId, InviteId),
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
        Self(hex(&bytes))
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

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: u8| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    };
    bytes
        .iter()
        .copied()
        .flat_map(digits)
        .map(char::from)
        .collect()
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
    use proptest::prelude::*;

    use super::*;

    fn arb_position() -> impl Strategy<Value = Position> {
        let org = || "[!-~]{1,64}".prop_map(|id| OrgId::parse(&id).unwrap());
        let member = move || org().prop_map(Member::Org);
        let time = || any::<i64>().prop_map(Timestamp::from_micros);
        prop_oneof![
            any::<[u8; 16]>().prop_map(|id| Position::Link(LinkId::from_bytes(id))),
            any::<[u8; 16]>().prop_map(|id| Position::Group(GroupId::from_bytes(id))),
            any::<[u8; 16]>().prop_map(|id| Position::Grant(GrantId::from_bytes(id))),
            member().prop_map(Position::Member),
            org().prop_map(Position::Host),
            (time(), member()).prop_map(|(time, member)| Position::Pending(time, member)),
            (time(), org(), member())
                .prop_map(|(time, org, member)| { Position::RunOut(time, org, member) }),
            (0..62_i64.pow(10))
                .prop_filter_map("a selector", Selector::from_i64)
                .prop_map(Position::Token),
            (any::<u64>(), any::<u64>())
                .prop_map(|(commit, ordinal)| { Position::Event(Sequence { commit, ordinal }) }),
            (org(), any::<[u8; 16]>())
                .prop_map(|(org, id)| Position::Invite(org, InviteId::from_bytes(id))),
            (org(), any::<[u8; 16]>())
                .prop_map(|(org, id)| Position::Endpoint(org, EndpointId::from_bytes(id))),
            "[a-z0-9]{1,63}".prop_map(|name| Position::Name(OrgName::parse(&name).unwrap())),
            (time(), org(), any::<[u8; 16]>()).prop_map(|(time, org, id)| {
                Position::RunOutLink(time, org, LinkId::from_bytes(id))
            }),
            (time(), org(), any::<[u8; 16]>()).prop_map(|(time, org, id)| {
                Position::RunOutInvite(time, org, InviteId::from_bytes(id))
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_position_comes_back(position in arb_position(), list: u32, other: u32) {
            let cursor = Cursor::new(list, &position);
            let parsed: Cursor = cursor.as_str().parse().unwrap();
            prop_assert_eq!(parsed.position(list), Ok(position));
            prop_assert_eq!(parsed.position(other).is_ok(), list == other);
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f]{0,120}|.{0,40}", list: u32) {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.as_str(), text);
                let _ = cursor.position(list);
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, list: u32) {
            // Whoever knows the checksum can write any position.
            let mut hasher = crc32fast::Hasher::new_with_initial(list);
            hasher.update(&bytes);
            let mut all = bytes;
            all.extend(hasher.finalize().to_be_bytes());
            if let Ok(cursor) = hex(&all).parse::<Cursor>() {
                let _ = cursor.position(list);
            }
        }

        #[test]
        fn a_changed_digit_is_noticed(position in arb_position(), at: usize, digit in 0_u32..16) {
            let cursor = Cursor::new(7, &position);
            let mut text = cursor.as_str().to_owned();
            let at = at % text.len();
            let digit = char::from_digit(digit, 16).unwrap().to_string();
            text.replace_range(at..=at, &digit);
            let same = text == cursor.as_str();
            let changed: Cursor = text.parse().unwrap();
            prop_assert_eq!(changed.position(7).is_ok(), same);
        }
    }

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
