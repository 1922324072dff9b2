//! The secret that a link or an e-mail invite is opened with.

use core::fmt;
use core::str::FromStr;

use guestlist_types::Bucket;
use rand_core::TryCryptoRng;
use zeroize::Zeroizing;

use crate::base62;
use crate::kind::TokenKind;
use crate::selector::{SELECTOR_BYTES, Selector};

/// How many bytes a token has.
pub const TOKEN_BYTES: usize = 42;

/// How many bytes the code of a token has: its selector and its verifier.
pub const CODE_BYTES: usize = 32;

/// How many bytes of a code are secret.
pub(crate) const VERIFIER_BYTES: usize = CODE_BYTES - SELECTOR_BYTES;

const PREFIX_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 6;
const CHECKSUM_AT: usize = PREFIX_BYTES + CODE_BYTES;
const RANDOM_SELECTOR_CHARACTERS: usize = 8;
const RANDOM_CHARACTERS: usize = VERIFIER_BYTES + RANDOM_SELECTOR_CHARACTERS;

/// How many bytes are drawn at once. One byte in 32 is rejected; the spare ten make a second call
/// to the operating system rarer than one in a million.
const REFILL_BYTES: usize = RANDOM_CHARACTERS + 10;

/// A working generator needs more refills than this with a probability below 2^-300.
const MAX_REFILLS: usize = 8;

/// Why a text is no token. What the caller is told never depends on the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this invite is not valid")]
#[non_exhaustive]
pub enum TokenError {
    /// Not 42 bytes, or a URL of more than [`MAX_URL_BYTES`](crate::MAX_URL_BYTES).
    Length,
    /// Begins like no token.
    Prefix,
    /// A token of another kind than the one that was asked for.
    Kind,
    /// A character outside `0-9A-Za-z` after the prefix.
    Alphabet,
    /// The checksum is that of another token.
    Checksum,
    /// A URL without a `token` parameter, or with more than one.
    Parameter,
}

impl TokenError {
    /// The stable code of this error, the same for every variant: who probes tokens learns nothing.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid-token"
    }

    /// What is wrong, for logs and not for the caller.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Length => "token-length",
            Self::Prefix => "token-prefix",
            Self::Kind => "token-kind",
            Self::Alphabet => "token-alphabet",
            Self::Checksum => "token-checksum",
            Self::Parameter => "token-parameter",
        }
    }
}

/// Why no token was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError<E> {
    /// The generator reported an error.
    #[error("the random number generator failed")]
    Rng(#[source] E),
    /// The generator's output repeats itself or is of no use.
    #[error("the random number generator is stuck")]
    Stuck,
}

impl<E> GenerateError<E> {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rng(_) => "rng-failed",
            Self::Stuck => "rng-stuck",
        }
    }
}

/// The secret that a link or an e-mail invite is opened with.
///
/// It is wiped from memory when dropped, and [`expose_secret`](Self::expose_secret) and
/// [`expose_code`](Self::expose_code) are the only ways to read it: `Debug` shows the prefix and the
/// selector, and nothing else that could copy, print or compare it exists.
///
/// ```
/// # use guestlist_token::InviteToken;
/// let token = InviteToken::parse("glj_0100000000abcdefghijklmnopqrstuv34hM8J")?;
/// assert_eq!(format!("{token:?}"), "InviteToken(glj_0100000000..)");
/// # Ok::<(), guestlist_token::TokenError>(())
/// ```
///
/// ```compile_fail,E0599
/// fn copy(token: guestlist_token::InviteToken) -> guestlist_token::InviteToken { token.clone() }
/// ```
///
/// ```compile_fail,E0277
/// fn print(token: &guestlist_token::InviteToken) -> String { format!("{token}") }
/// ```
///
/// ```compile_fail,E0277
/// fn send(token: &guestlist_token::InviteToken) -> String { serde_json::to_string(token).unwrap() }
/// ```
///
/// ```compile_fail,E0369
/// fn same(a: guestlist_token::InviteToken, b: guestlist_token::InviteToken) -> bool { a == b }
/// ```
pub struct InviteToken {
    kind: TokenKind,
    selector: Selector,
    // On the heap, so that moving the token leaves no copy behind. Always `TOKEN_BYTES` of ASCII.
    text: Zeroizing<Box<str>>,
}

impl InviteToken {
    /// Draws a new token whose routing hint is `bucket`.
    ///
    /// # Errors
    ///
    /// [`GenerateError::Rng`] with what the generator reports, and [`GenerateError::Stuck`] when
    /// its output can't be random. Nothing is made then. A generator that gives the same long
    /// output on every call is not noticed here: the store refuses the second selector.
    pub fn generate<R: TryCryptoRng + ?Sized>(
        kind: TokenKind,
        bucket: Bucket,
        rng: &mut R,
    ) -> Result<Self, GenerateError<R::Error>> {
        let mut digits = Zeroizing::new([0; RANDOM_CHARACTERS]);
        draw(rng, &mut digits)?;
        let (selector, verifier) = digits.split_at(RANDOM_SELECTOR_CHARACTERS);
        let tail = selector
            .iter()
            .fold(0, |number, digit| number * 62 + u64::from(*digit));
        let selector = Selector::new(bucket, tail);

        let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES));
        text.push_str(kind.prefix());
        text.extend(base62::encode::<SELECTOR_BYTES>(selector.as_u64()).map(char::from));
        text.extend(verifier.iter().copied().map(base62::character));
        Ok(Self::finish(kind, selector, &mut text))
    }

    /// Parses the one spelling of a token of any kind.
    ///
    /// # Errors
    ///
    /// Says what is wrong to logs ([`TokenError::reason`]), and the same to every caller. A text of
    /// another length is not read at all.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() != TOKEN_BYTES {
            return Err(TokenError::Length);
        }
        let kind = TokenKind::ALL
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))
            .ok_or(TokenError::Prefix)?;
        let bytes = text.as_bytes();
        if !bytes[PREFIX_BYTES..].iter().all(u8::is_ascii_alphanumeric) {
            return Err(TokenError::Alphabet);
        }
        let (body, checksum) = bytes.split_at(CHECKSUM_AT);
        // Comparing the text and not the number leaves one spelling of the checksum.
        if checksum != checksum_of(body) {
            return Err(TokenError::Checksum);
        }
        let selector =
            Selector::from_characters(&body[PREFIX_BYTES..PREFIX_BYTES + SELECTOR_BYTES])
                .ok_or(TokenError::Alphabet)?;
        Ok(Self {
            kind,
            selector,
            text: Zeroizing::new(text.into()),
        })
    }

    /// Parses the one spelling of a token of this kind, so that a token of another kind is refused
    /// before anything is looked up.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`TokenError::Kind`].
    pub fn parse_kind(kind: TokenKind, text: &str) -> Result<Self, TokenError> {
        Self::parse(text)?.of_kind(kind)
    }

    /// Parses a code: the 32 characters of a token between its prefix and its checksum.
    ///
    /// A code has no checksum, so a mistyped one is only noticed when it is looked up.
    ///
    /// # Errors
    ///
    /// [`TokenError::Length`] and [`TokenError::Alphabet`].
    pub fn parse_code(kind: TokenKind, code: &str) -> Result<Self, TokenError> {
        if code.len() != CODE_BYTES {
            return Err(TokenError::Length);
        }
        if !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenError::Alphabet);
        }
        let selector = Selector::from_characters(&code.as_bytes()[..SELECTOR_BYTES])
            .ok_or(TokenError::Alphabet)?;
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES));
        text.push_str(kind.prefix());
        text.push_str(code);
        Ok(Self::finish(kind, selector, &mut text))
    }

    /// The token with these parts; `None` when the verifier is none.
    #[cfg(feature = "seal")]
    pub(crate) fn from_parts(
        kind: TokenKind,
        selector: Selector,
        verifier: &[u8; VERIFIER_BYTES],
    ) -> Option<Self> {
        let mut code = Zeroizing::new([0; CODE_BYTES]);
        code[..SELECTOR_BYTES]
            .copy_from_slice(&base62::encode::<SELECTOR_BYTES>(selector.as_u64()));
        code[SELECTOR_BYTES..].copy_from_slice(verifier);
        Self::parse_code(kind, core::str::from_utf8(&*code).ok()?).ok()
    }

    /// This token, if it is of this kind.
    ///
    /// # Errors
    ///
    /// [`TokenError::Kind`] if it isn't; the token is wiped then.
    pub fn of_kind(self, kind: TokenKind) -> Result<Self, TokenError> {
        if self.kind == kind {
            Ok(self)
        } else {
            Err(TokenError::Kind)
        }
    }

    /// What this token opens.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// What this token's row is found by.
    #[must_use]
    pub const fn selector(&self) -> Selector {
        self.selector
    }

    /// The routing hint: the bucket that this token's row lives in.
    #[must_use]
    pub const fn bucket(&self) -> Bucket {
        self.selector.bucket()
    }

    /// The whole token. Whoever reads it can use the invite: show it once, and log it never.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    /// The code of this token, for links that end in one: what [`parse_code`](Self::parse_code)
    /// reads. As secret as the whole token.
    #[must_use]
    pub fn expose_code(&self) -> &str {
        &self.text[PREFIX_BYTES..CHECKSUM_AT]
    }

    /// Selector and verifier: what a tag is made over, besides prefix and binding.
    pub(crate) fn code(&self) -> &[u8] {
        self.expose_code().as_bytes()
    }

    /// The secret part of the code.
    #[cfg(feature = "seal")]
    pub(crate) fn verifier(&self) -> &[u8] {
        &self.code()[SELECTOR_BYTES..]
    }

    /// Finishes a token whose checksum is still missing. `text` has room for it, so that no
    /// reallocation leaves a copy behind.
    fn finish(kind: TokenKind, selector: Selector, text: &mut String) -> Self {
        let checksum = checksum_of(text.as_bytes());
        text.extend(checksum.map(char::from));
        Self {
            kind,
            selector,
            text: Zeroizing::new(text.as_str().into()),
        }
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteToken({}{}..)", self.kind.prefix(), self.selector)
    }
}

impl FromStr for InviteToken {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::parse(text)
    }
}

fn checksum_of(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    base62::encode(u64::from(crc32fast::hash(body)))
}

/// Draws uniform digits below 62: of every byte, what is above the largest multiple of 62 is
/// rejected.
fn draw<R: TryCryptoRng + ?Sized>(
    rng: &mut R,
    digits: &mut [u8; RANDOM_CHARACTERS],
) -> Result<(), GenerateError<R::Error>> {
    const REJECTED_FROM: u8 = u8::MAX / 62 * 62;
    let mut bytes = Zeroizing::new([0; REFILL_BYTES]);
    let mut slots = digits.iter_mut();
    for _ in 0..MAX_REFILLS {
        rng.try_fill_bytes(&mut *bytes)
            .map_err(GenerateError::Rng)?;
        for byte in bytes.iter().filter(|byte| **byte < REJECTED_FROM) {
            let Some(slot) = slots.next() else {
                break;
            };
            *slot = byte % 62;
        }
        if slots.len() == 0 {
            return if repeats(digits) {
                Err(GenerateError::Stuck)
            } else {
                Ok(())
            };
        }
    }
    Err(GenerateError::Stuck)
}

/// Whether the digits are one block of at most half their length, over and over. A working
/// generator draws such digits with a probability below 2^-88.
fn repeats(digits: &[u8; RANDOM_CHARACTERS]) -> bool {
    (1..=RANDOM_CHARACTERS / 2)
        .any(|period| digits[period..] == digits[..RANDOM_CHARACTERS - period])
}

#[cfg(test)]
mod tests;
