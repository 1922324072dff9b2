use core::convert::Infallible;
use std::collections::BTreeSet;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use proptest::prelude::*;
use rand_core::{CryptoRng, TryRng};

use super::*;
use crate::testing::{arb_token, arb_token_kind};
use crate::tests::assert_wiped_when_dropped;

const TOKEN: &str = "glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C";

/// A generator that does what a test says: called with the number of the call and the bytes.
struct Scripted<F>(usize, F);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken")]
struct Broken;

impl<F: FnMut(usize, &mut [u8]) -> Result<(), Broken>> TryRng for Scripted<F> {
    type Error = Broken;
    fn try_next_u32(&mut self) -> Result<u32, Broken> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Broken> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Broken> {
        let call = self.0;
        self.0 += 1;
        self.1(call, bytes)
    }
}

impl<F: FnMut(usize, &mut [u8]) -> Result<(), Broken>> TryCryptoRng for Scripted<F> {}

/// Byte `n` of the output is what `byte(n)` says, whatever the sizes of the calls.
fn stream(
    byte: impl Fn(usize) -> u8,
) -> Scripted<impl FnMut(usize, &mut [u8]) -> Result<(), Broken>> {
    let mut at = 0;
    Scripted(0, move |_, bytes: &mut [u8]| {
        for slot in bytes {
            *slot = byte(at);
            at += 1;
        }
        Ok(())
    })
}

fn counting() -> Scripted<impl FnMut(usize, &mut [u8]) -> Result<(), Broken>> {
    stream(|at| u8::try_from((7 * at + 200) % 256).unwrap())
}

fn link(text: &str) -> Result<InviteToken, TokenError> {
    InviteToken::parse_kind(TokenKind::Link, text)
}

fn generate(
    rng: &mut dyn TryCryptoRng<Error = Broken>,
) -> Result<InviteToken, GenerateError<Broken>> {
    InviteToken::generate(TokenKind::Link, Bucket::new(3162).unwrap(), rng)
}

#[test]
fn drawn_tokens_are_pinned() {
    // Computed apart from this crate. Issued tokens depend on all but the drawing.
    for (kind, bucket, text) in [
        (TokenKind::Link, 3162, TOKEN),
        (
            TokenKind::EmailInvite,
            0,
            "gle_00ELSZgnu07ELSZgnu18FMTahov29GNU1D6fPP",
        ),
        (
            TokenKind::Link,
            3843,
            "glj_zzELSZgnu07ELSZgnu18FMTahov29GNU2WDYgf",
        ),
    ] {
        let bucket = Bucket::new(bucket).unwrap();
        let token = InviteToken::generate(kind, bucket, &mut counting()).unwrap();
        assert_eq!(token.expose_secret(), text);
        assert_eq!((token.kind(), token.bucket()), (kind, bucket));
        let parsed: InviteToken = text.parse().unwrap();
        assert_eq!((parsed.kind(), parsed.bucket()), (kind, bucket));
        assert_eq!(parsed.selector(), token.selector());
        assert_eq!(token.selector().to_string(), text[4..14]);
        assert_eq!(token.code(), &text.as_bytes()[4..36]);
    }
}

#[test]
fn generators_are_taken_as_trait_objects() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let rng: &mut dyn CryptoRng = &mut rng;
    let bucket = Bucket::new(1).unwrap();
    let token: Result<_, GenerateError<Infallible>> =
        InviteToken::generate(TokenKind::Link, bucket, rng);
    assert_eq!(token.unwrap().bucket(), bucket);
}

#[test]
fn every_character_is_as_likely_as_the_others_and_no_selector_comes_twice() {
    const TOKENS: usize = 20_000;
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let mut counts = vec![[0_u32; 128]; TOKEN_BYTES];
    let mut selectors = BTreeSet::new();
    for _ in 0..TOKENS {
        let token =
            InviteToken::generate(TokenKind::Link, Bucket::new(0).unwrap(), &mut rng).unwrap();
        for (at, byte) in token.expose_secret().bytes().enumerate() {
            counts[at][usize::from(byte)] += 1;
        }
        selectors.insert(token.selector());
    }
    assert_eq!(selectors.len(), TOKENS);
    for (at, counts) in counts.iter().enumerate().take(CHECKSUM_AT).skip(6) {
        let expected = f64::from(u32::try_from(TOKENS).unwrap()) / 62.0;
        let chi_squared: f64 = (0..=127_u8)
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| (f64::from(counts[usize::from(byte)]) - expected).powi(2) / expected)
            .sum();
        // 61 degrees of freedom: above 140 with a probability below one in ten million. Without
        // rejection eight characters come 25% more often, which gives about 190.
        assert!(chi_squared < 140.0, "position {at}: {chi_squared}");
    }
}

#[test]
fn bytes_that_would_favour_some_digits_are_passed_over() {
    for byte in 248..=u8::MAX {
        // Every other byte is one of those; what is left is what `counting` gives.
        let mut mixed = stream(|at| {
            if at.is_multiple_of(2) {
                byte
            } else {
                u8::try_from((7 * (at / 2) + 200) % 256).unwrap()
            }
        });
        assert_eq!(generate(&mut mixed).unwrap().expose_secret(), TOKEN);
    }
}

#[test]
fn a_failing_generator_is_an_error_at_any_call() {
    for fails_at in 0..MAX_REFILLS + 2 {
        // Bytes that are all rejected, so that every call is made.
        let mut rng = Scripted(0, |call: usize, bytes: &mut [u8]| {
            bytes.fill(0xff);
            if call == fails_at {
                Err(Broken)
            } else {
                Ok(())
            }
        });
        let expected = if fails_at < MAX_REFILLS {
            GenerateError::Rng(Broken)
        } else {
            GenerateError::Stuck
        };
        assert_eq!(generate(&mut rng).unwrap_err(), expected);
        assert_eq!(rng.0, (fails_at + 1).min(MAX_REFILLS));
    }
}

#[test]
fn a_constant_generator_is_stuck() {
    for byte in 0..=u8::MAX {
        let refused = generate(&mut stream(|_| byte)).unwrap_err();
        assert_eq!(refused, GenerateError::Stuck, "{byte}");
        assert_eq!(refused.code(), "rng-stuck");
    }
}

#[test]
fn a_generator_of_short_period_is_stuck() {
    for period in 1..=RANDOM_CHARACTERS / 2 {
        let scattered = |at: usize| u8::try_from((at % period * 37 + 11) % 256).unwrap();
        let refused = generate(&mut stream(scattered)).unwrap_err();
        assert_eq!(refused, GenerateError::Stuck, "{period}");
        // Two values that are the same digit: the bytes have twice the period of the digits.
        let aliased = |at: usize| if at.is_multiple_of(2) { 5 } else { 5 + 62 };
        assert!(generate(&mut stream(aliased)).is_err());
    }
}

#[test]
fn a_generator_that_mostly_gives_bytes_of_no_use_still_ends() {
    // One usable byte in eight: 40 usable bytes in eight calls, of which 30 are needed.
    let sparse = |at: usize| {
        if at.is_multiple_of(8) {
            u8::try_from(at * 5 % 248).unwrap()
        } else {
            0xff
        }
    };
    assert!(generate(&mut stream(sparse)).is_ok());
    // One in sixteen is not enough.
    let sparser = |at: usize| {
        if at.is_multiple_of(16) {
            sparse(at)
        } else {
            0xff
        }
    };
    assert_eq!(
        generate(&mut stream(sparser)).unwrap_err(),
        GenerateError::Stuck
    );
}

#[test]
fn only_one_length_is_read() {
    for length in 0..=128 {
        for text in [
            "0".repeat(length),
            TOKEN.chars().cycle().take(length).collect(),
            "\u{e9}".repeat(length),
        ] {
            let parsed = InviteToken::parse(&text);
            if text == TOKEN {
                assert!(parsed.is_ok());
            } else if text.len() == TOKEN_BYTES {
                assert!(matches!(parsed, Err(TokenError::Prefix)), "{text}");
            } else {
                assert!(matches!(parsed, Err(TokenError::Length)), "{text}");
            }
        }
    }
    for text in [
        "glj_".repeat(16 << 20),
        format!("{TOKEN}{}", " ".repeat(64 << 20)),
    ] {
        assert!(matches!(InviteToken::parse(&text), Err(TokenError::Length)));
        assert!(matches!(
            InviteToken::parse_code(TokenKind::Link, &text),
            Err(TokenError::Length)
        ));
    }
}

#[test]
fn any_other_byte_anywhere_is_refused() {
    let mut tried = 0;
    for at in 0..TOKEN_BYTES {
        for byte in 0..=u8::MAX {
            let mut bytes = TOKEN.as_bytes().to_vec();
            bytes[at] = byte;
            // Bytes above 127 are no UTF-8 alone: once as what a lenient decoder makes of them, and
            // once as a two-byte character that keeps the length.
            let lossy = String::from_utf8_lossy(&bytes).into_owned();
            let mut same_length = TOKEN.to_owned();
            let character = char::from(byte).to_string();
            let from = at.min(TOKEN_BYTES - character.len());
            same_length.replace_range(from..from + character.len(), &character);
            assert_eq!(same_length.len(), TOKEN_BYTES);
            for text in [lossy, same_length] {
                let parsed = InviteToken::parse(&text);
                assert_eq!(parsed.is_ok(), text == TOKEN, "{text:?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 2 * 256 * TOKEN_BYTES);
}

#[test]
fn each_part_is_refused_for_its_own_reason() {
    let swapped: String = TOKEN[4..]
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    for (text, error) in [
        (String::new(), TokenError::Length),
        (TOKEN[4..].to_owned(), TokenError::Length),
        (format!("{TOKEN}\n"), TokenError::Length),
        (format!(" {}", &TOKEN[..41]), TokenError::Prefix),
        (TOKEN.replace("glj_", "GLJ_"), TokenError::Prefix),
        (TOKEN.replace("glj_", "glk_"), TokenError::Prefix),
        (TOKEN.replace("glj_", "glj-"), TokenError::Prefix),
        (TOKEN.replace("glj_", "gle_"), TokenError::Checksum),
        (TOKEN.replace('E', "_"), TokenError::Alphabet),
        (TOKEN.replace('0', "\0"), TokenError::Alphabet),
        // A look-alike that has as many bytes as what it replaces: Cyrillic o.
        (TOKEN.replace("ov", "\u{43e}"), TokenError::Alphabet),
        // Percent-encoded `0E`, cut to the length of a token.
        (format!("{}%30%45", &TOKEN[..36]), TokenError::Alphabet),
        (format!("glj_{swapped}"), TokenError::Checksum),
        (TOKEN.replace("11E88C", "11e88c"), TokenError::Checksum),
        (TOKEN.replace("11E88C", "000000"), TokenError::Checksum),
        (TOKEN.replace("11E88C", "zzzzzz"), TokenError::Checksum),
    ] {
        assert_eq!(InviteToken::parse(&text).unwrap_err(), error, "{text:?}");
    }
}

#[test]
fn the_checksum_has_one_spelling() {
    // The same number modulo 2^32, in as many characters.
    let number = base62::decode(b"11E88C").unwrap();
    assert!(number < 1 << 32);
    for wraps in 1..=12 {
        let checksum = base62::encode::<CHECKSUM_BYTES>(number + (wraps << 32));
        let text = format!(
            "{}{}",
            &TOKEN[..CHECKSUM_AT],
            str::from_utf8(&checksum).unwrap()
        );
        assert_eq!(InviteToken::parse(&text).unwrap_err(), TokenError::Checksum);
    }
}

#[test]
fn swapping_the_case_of_any_letter_is_refused() {
    for (at, character) in TOKEN.char_indices() {
        let swapped = if character.is_ascii_lowercase() {
            character.to_ascii_uppercase()
        } else {
            character.to_ascii_lowercase()
        };
        let mut text = TOKEN.to_owned();
        text.replace_range(at..=at, &swapped.to_string());
        assert_eq!(
            InviteToken::parse(&text).is_ok(),
            !character.is_ascii_alphabetic()
        );
    }
}

#[test]
fn kinds_are_kept_apart() {
    let code = &TOKEN[4..36];
    let invite = InviteToken::parse_code(TokenKind::EmailInvite, code).unwrap();
    assert_eq!(link(invite.expose_secret()).unwrap_err(), TokenError::Kind);
    assert_eq!(
        InviteToken::parse_kind(TokenKind::EmailInvite, TOKEN).unwrap_err(),
        TokenError::Kind
    );
    assert!(link(TOKEN).is_ok());
    assert_eq!(
        invite.of_kind(TokenKind::Link).unwrap_err(),
        TokenError::Kind
    );
}

#[test]
fn codes_are_the_middle_of_a_token() {
    let code = &TOKEN[4..36];
    let token = InviteToken::parse_code(TokenKind::Link, code).unwrap();
    assert_eq!(token.expose_secret(), TOKEN);
    assert_eq!(token.expose_code(), code);
    for (text, error) in [
        ("", TokenError::Length),
        (TOKEN, TokenError::Length),
        (&code[1..], TokenError::Length),
        (&code.replace('E', "-"), TokenError::Alphabet),
        (&code.replace("ov", "\u{43e}"), TokenError::Alphabet),
    ] {
        let refused = InviteToken::parse_code(TokenKind::Link, text).unwrap_err();
        assert_eq!(refused, error, "{text:?}");
    }
}

#[test]
fn callers_learn_nothing_from_the_variant() {
    let all = [
        (TokenError::Length, "token-length"),
        (TokenError::Prefix, "token-prefix"),
        (TokenError::Kind, "token-kind"),
        (TokenError::Alphabet, "token-alphabet"),
        (TokenError::Checksum, "token-checksum"),
        (TokenError::Parameter, "token-parameter"),
    ];
    for (error, reason) in all {
        assert_eq!(error.code(), "invalid-token");
        assert_eq!(error.to_string(), "this invite is not valid");
        assert_eq!(error.reason(), reason);
    }
    assert_eq!(GenerateError::Rng(Broken).code(), "rng-failed");
    let source = core::error::Error::source(&GenerateError::Rng(Broken)).map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("broken"));
}

#[test]
fn tokens_are_wiped() {
    assert_wiped_when_dropped(&InviteToken::parse(TOKEN).unwrap().text);
}

proptest! {
    #[test]
    fn printed_tokens_parse_back(seed: [u8; 32], kind in arb_token_kind(), bucket in 0..3844_u16) {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let bucket = Bucket::new(bucket).unwrap();
        let token = InviteToken::generate(kind, bucket, &mut rng).unwrap();
        prop_assert_eq!(token.bucket(), bucket);
        let parsed = InviteToken::parse_kind(kind, token.expose_secret()).unwrap();
        prop_assert_eq!(parsed.expose_secret(), token.expose_secret());
        prop_assert_eq!(parsed.selector(), token.selector());
    }

    #[test]
    fn what_parses_prints_the_same(text in "gl[je]_[0-9A-Za-z]{36,40}|.{0,60}|[ -~]{42}") {
        if let Ok(token) = InviteToken::parse(&text) {
            prop_assert_eq!(token.expose_secret(), text);
        }
    }

    #[test]
    fn two_texts_never_are_one_token(
        token in arb_token(),
        at in 0..TOKEN_BYTES,
        other in "[0-9A-Za-z_]",
    ) {
        let mut text = token.expose_secret().to_owned();
        text.replace_range(at..=at, &other);
        prop_assert_eq!(InviteToken::parse(&text).is_ok(), text == token.expose_secret());
    }

    #[test]
    fn debug_shows_prefix_and_selector(token in arb_token()) {
        let shown = format!("{token:?} {token:#?}");
        let line = format!("InviteToken({}..)", &token.expose_secret()[..14]);
        prop_assert_eq!(shown, format!("{line} {line}"));
    }

    #[test]
    fn any_generator_gives_a_token_or_an_error(
        calls in proptest::collection::vec(any::<Option<[u8; 8]>>(), 1..12),
    ) {
        let mut rng = Scripted(0, |call: usize, bytes: &mut [u8]| {
            let block = calls[call % calls.len()].ok_or(Broken)?;
            for (slot, byte) in bytes.iter_mut().zip(block.iter().cycle()) {
                *slot = *byte;
            }
            Ok(())
        });
        if let Ok(token) = generate(&mut rng) {
            prop_assert!(InviteToken::parse(token.expose_secret()).is_ok());
        }
        prop_assert!(rng.0 <= MAX_REFILLS);
    }
}
