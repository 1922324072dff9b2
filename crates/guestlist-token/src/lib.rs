//! The secrets of guestlist: invite tokens are drawn, printed, parsed, put into URLs and verified
//! here.
//!
//! ```text
//! glj_ RR SSSSSSSS VVVVVVVVVVVVVVVVVVVVVV CCCCCC   42 characters, exactly one spelling
//! |    |  |        |                      checksum: CRC-32 of the first 36 bytes
//! |    |  |        verifier: 22 characters, 131 bits, secret
//! |    |  selector: 8 random characters; with RR one number below 2^63, what a row is found by
//! |    routing hint: the host's bucket
//! kind and version: glj_ opens a link, gle_ an e-mail invite
//! ```
//!
//! | value | may be stored | may be logged |
//! |---|---|---|
//! | [`InviteToken`], [`SecretUrl`] | no | their `Debug` form, which shows prefix and selector |
//! | [`Pepper`] | outside the store only | its `Debug` form, which shows nothing |
//! | [`Selector`] | yes | yes |
//! | [`TokenTag`] | yes | its `Debug` form, which shows the pepper's id |
//! | [`SealedToken`] | yes | its `Debug` form, which shows the key's id |
//! | `SealKey` | outside the store only | its `Debug` form, which shows nothing |
//!
//! A store keeps the selector and the tag. The tag is an HMAC-SHA-256 over the token, the host and
//! the link ([`Binding`]), under a key that the store never sees ([`Pepper`]): who reads the store
//! learns no token, and who writes to it can't move a token to another host or link.
//!
//! So a lost token can only be replaced. With the feature `seal`, a host application that wants to
//! show a token again stores it encrypted as well ([`SealedToken`]), under a key of its own
//! (`SealRing`). Whoever has both that key and the store has every sealed token.
//!
//! ```
//! use guestlist_token::{
//!     Binding, InviteToken, Pepper, PepperId, PepperRing, SecretUrl, TokenKind, UrlStyle,
//!     Verification, token_from_url,
//! };
//! use guestlist_types::{Bucket, OrgId};
//! # use chacha20::{ChaCha20Rng, rand_core::SeedableRng};
//! # let mut rng = ChaCha20Rng::from_seed([1; 32]); // not a secret: an application uses `SysRng`
//! # let secret = [7; 32];
//!
//! let ring = PepperRing::new(PepperId::new(1), Pepper::from_bytes(&secret)?);
//! let host = OrgId::parse("org_2f9c")?;
//! let binding = Binding { host: &host, subject: [3; 16] };
//!
//! let token = InviteToken::generate(TokenKind::Link, Bucket::of(&host), &mut rng)?;
//! let (selector, tag) = (token.selector(), ring.tag(&token, &binding)); // what is stored
//! let url = SecretUrl::new("https://app.example/join", &token, UrlStyle::Query)?; // shown once
//!
//! let presented = token_from_url(url.expose_secret())?;
//! assert_eq!(presented.selector(), selector);
//! assert_eq!(ring.verify(&presented, &binding, &tag), Verification::Valid);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Not here: which token of a link is the active one, expiry, limits (`guestlist-membership`);
//! looking a selector up (`guestlist-store`); where randomness and keys come from (`guestlist`).
//! A token is an invite and no session: nothing here signs anybody in.

#![warn(clippy::wildcard_enum_match_arm)]

mod base62;
mod form;
mod hex;
mod kind;
mod pepper;
#[cfg(feature = "seal")]
mod seal;
mod sealed;
mod selector;
mod tag;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod url;

pub use kind::TokenKind;
pub use pepper::{MIN_PEPPER_BYTES, Pepper, PepperError, PepperId, PepperRing, Verification};
#[cfg(feature = "seal")]
pub use seal::{OpenError, SEAL_KEY_BYTES, SealError, SealKey, SealRing};
pub use sealed::{SEALED_BYTES, SealKeyId, SealedToken};
pub use selector::Selector;
pub use tag::{Binding, TokenTag};
pub use token::{CODE_BYTES, GenerateError, InviteToken, TOKEN_BYTES, TokenError};
pub use url::{
    JoinUrl, JoinUrlError, MAX_BASE_URL_BYTES, MAX_URL_BYTES, SecretUrl, UrlStyle, token_from_url,
};

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    /// Does not compile when what holds the secret is left in memory.
    pub(crate) const fn assert_wiped_when_dropped<T: ZeroizeOnDrop>(_: &T) {}

    /// Does not compile when the type has the trait: then `_` has two solutions.
    macro_rules! assert_lacks {
        ($type:ty: $($bound:path),+) => {$({
            trait Ambiguous<A> {
                fn item() {}
            }
            struct Has;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $bound> Ambiguous<Has> for T {}
            <$type as Ambiguous<_>>::item();
        })+};
    }

    macro_rules! assert_secret {
        ($($type:ty),+) => {$(
            assert_lacks!(
                $type: Clone, core::fmt::Display, serde::Serialize, PartialEq, core::hash::Hash,
                AsRef<str>, AsRef<[u8]>, core::borrow::Borrow<str>, core::ops::Deref, Into<String>
            );
        )+};
    }

    #[test]
    fn secrets_are_not_copied_printed_or_compared() {
        assert_secret!(InviteToken, SecretUrl, Pepper, PepperRing);
        #[cfg(feature = "seal")]
        assert_secret!(SealKey, SealRing);
    }

    #[test]
    fn secrets_can_be_shared_between_threads() {
        const fn check<T: Send + Sync>() {}
        check::<InviteToken>();
        check::<SecretUrl>();
        check::<PepperRing>();
        check::<SealedToken>();
        #[cfg(feature = "seal")]
        check::<SealRing>();
    }
}
