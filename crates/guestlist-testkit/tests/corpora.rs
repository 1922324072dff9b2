//! None of the corpora's texts is what it stands in for.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use guestlist_testkit::corpora::{HUGE_BYTES, confusables, malformed_tokens};
use guestlist_token::{InviteToken, TokenKind, token_from_url};
use guestlist_types::Bucket;

#[test]
fn no_malformed_token_is_a_token() {
    for (seed, kind) in (0..).zip(TokenKind::ALL) {
        let bucket = Bucket::new(61).unwrap();
        let token =
            InviteToken::generate(kind, bucket, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let (mut tried, mut longest) = (0, 0);
        for text in malformed_tokens(token.expose_secret()) {
            assert!(InviteToken::parse(&text).is_err(), "{text:?}");
            assert!(token_from_url(&text).is_err(), "{text:?}");
            (tried, longest) = (tried + 1, text.len().max(longest));
        }
        assert!(tried > 10_000, "{tried}");
        assert_eq!(longest, HUGE_BYTES);
    }
}

/// Where what stands for a token is longer, shorter or no ASCII, the texts are there as well.
#[test]
fn anything_may_stand_for_a_token() {
    for text in ["", "x", "\u{e9}\u{1f389}"] {
        assert!(malformed_tokens(text).all(|malformed| malformed != text));
        assert!(malformed_tokens(text).count() > 250);
    }
}

#[test]
fn confusables_are_many() {
    assert!(confusables().len() > 5_000, "{}", confusables().len());
    assert!(confusables().contains("paypal"));
}
