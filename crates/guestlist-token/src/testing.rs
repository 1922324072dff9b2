//! proptest strategies for the types of this crate.

use guestlist_types::{BUCKETS, Bucket};
use proptest::prelude::*;

use crate::{InviteToken, PepperId, SEALED_BYTES, SealedToken, Selector, TokenKind, TokenTag};

/// Either kind of token.
pub fn arb_token_kind() -> impl Strategy<Value = TokenKind> {
    proptest::sample::select(&TokenKind::ALL[..])
}

/// Any token. It shrinks towards a token of zeros, which no generator would make.
pub fn arb_token() -> impl Strategy<Value = InviteToken> {
    arb_token_kind().prop_flat_map(arb_token_of)
}

/// Any token of one kind.
pub fn arb_token_of(kind: TokenKind) -> impl Strategy<Value = InviteToken> {
    "[0-9A-Za-z]{32}".prop_filter_map("every one is a code", move |code| {
        InviteToken::parse_code(kind, &code).ok()
    })
}

/// Any selector.
pub fn arb_selector() -> impl Strategy<Value = Selector> {
    (0..BUCKETS, any::<u64>()).prop_filter_map("every one is a bucket", |(bucket, tail)| {
        Some(Selector::new(Bucket::new(bucket)?, tail))
    })
}

/// Any tag, with few pepper ids, so that rings know some of them.
pub fn arb_tag() -> impl Strategy<Value = TokenTag> {
    (0_u16..4, any::<[u8; 32]>()).prop_map(|(id, mac)| TokenTag::new(PepperId::new(id), mac))
}

/// Any sealed token, with few key ids, so that rings know some of them. None of them opens.
pub fn arb_sealed() -> impl Strategy<Value = SealedToken> {
    (0_u8..4, any::<[[u8; SEALED_BYTES / 2]; 2]>()).prop_map(|(id, halves)| {
        let mut bytes = [0; SEALED_BYTES];
        bytes.copy_from_slice(halves.as_flattened());
        (bytes[0], bytes[1]) = (0, id);
        SealedToken::from_bytes(bytes)
    })
}
