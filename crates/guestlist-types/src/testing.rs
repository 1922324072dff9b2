//! proptest strategies for the types of this crate.

#![expect(
    clippy::missing_panics_doc,
    reason = "what is expected here is valid by its strategy"
)]

use proptest::prelude::*;

use crate::{DisplayName, EmailAddress, Key, LinkId, OrgId, OrgName, Timestamp, UserId};

/// Organization ids from a small set, so that commands meet each other.
pub fn arb_org_id() -> impl Strategy<Value = OrgId> {
    (0_u8..6).prop_map(|n| OrgId::parse(&format!("org_{n}")).expect("a plain id is valid"))
}

/// User ids from a small set.
pub fn arb_user_id() -> impl Strategy<Value = UserId> {
    (0_u8..6).prop_map(|n| UserId::parse(&format!("user_{n}")).expect("a plain id is valid"))
}

/// Organization names from a small set.
pub fn arb_org_name() -> impl Strategy<Value = OrgName> {
    (0_u8..6).prop_map(|n| OrgName::parse(&format!("org-{n}")).expect("a plain name is valid"))
}

/// Keys of one to four short segments that often share prefixes.
pub fn arb_key() -> impl Strategy<Value = Key> {
    proptest::collection::vec("[ab]{1,2}", 1..4)
        .prop_map(|segments| Key::parse(&segments.join("/")).expect("plain segments are valid"))
}

/// Valid e-mail addresses, with letters outside ASCII among them.
pub fn arb_email() -> impl Strategy<Value = EmailAddress> {
    ("[a-z\u{e9}\u{6f22}]{1,5}", "[a-z\u{fc}]{1,5}")
        .prop_map(|(a, b)| EmailAddress::parse(&format!("{a}@{b}.example")).expect("valid"))
}

/// Display names, with markup and letters of several scripts among them.
pub fn arb_display_name() -> impl Strategy<Value = DisplayName> {
    "[A-Za-z<>&\u{e9}\u{6f22}]{1,20}".prop_map(|text| DisplayName::parse(&text).expect("valid"))
}

/// Any time.
pub fn arb_timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

/// Any link id.
pub fn arb_link_id() -> impl Strategy<Value = LinkId> {
    any::<[u8; 16]>().prop_map(LinkId::from_bytes)
}
