//! A text is a token exactly if an independent reading of the format says so; it then prints as it
//! was parsed, and no text that differs in one character is a token as well.

#![no_main]

use guestlist_fuzz::format::{self, is_token};
use guestlist_token::{
    Binding, InviteToken, Pepper, PepperId, PepperRing, Selector, TokenKind, Verification,
};
use guestlist_types::OrgId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = core::str::from_utf8(data) {
        check(text);
        for kind in TokenKind::ALL {
            let code = InviteToken::parse_code(kind, text);
            let expected = text.len() == 32 && text.bytes().all(|b| b.is_ascii_alphanumeric());
            assert_eq!(code.is_ok(), expected, "a code is 32 characters");
            if let Ok(token) = code {
                let whole = token.expose_secret();
                assert_eq!(&whole[4..36], text);
                check(whole);
            }
        }
    }
    if let Some((code, rest)) = data.split_first_chunk::<32>() {
        let code: String = code.iter().map(|byte| format::digit(*byte)).collect();
        one_character_off(&code, rest);
    }
});

fn check(text: &str) {
    match InviteToken::parse(text) {
        Ok(token) => {
            assert!(is_token(text), "not a token");
            assert_eq!(token.expose_secret(), text, "prints as it was parsed");
            assert!(text.starts_with(token.kind().prefix()));
            assert_eq!(token.selector().to_string(), &text[4..14]);
            assert_eq!(Selector::parse(&text[4..14]), Some(token.selector()));
            assert_eq!(token.bucket(), token.selector().bucket());
            let shown = format!("{token:?}");
            assert!(!shown.contains(&text[14..36]), "Debug shows the verifier");
            for kind in TokenKind::ALL {
                let of_kind = InviteToken::parse_kind(kind, text);
                assert_eq!(of_kind.is_ok(), kind == token.kind());
            }
        }
        Err(error) => {
            assert!(!is_token(text), "a token was refused: {error:?}");
            assert_eq!(error.code(), "invalid-token");
            assert_eq!(error.to_string(), "this invite is not valid");
        }
    }
}

fn one_character_off(code: &str, rest: &[u8]) {
    let [kind, at, with, ..] = rest else { return };
    let kind = TokenKind::ALL[usize::from(*kind) % 2];
    let token = InviteToken::parse_code(kind, code).expect("32 base-62 digits");
    let text = token.expose_secret();
    check(text);

    let ring = PepperRing::new(
        PepperId::new(1),
        Pepper::from_bytes(&[7; 32]).expect("long enough"),
    );
    let host = OrgId::parse("org_1").expect("plain");
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let tag = ring.tag(&token, &binding);
    assert_eq!(ring.verify(&token, &binding, &tag), Verification::Valid);

    let mut other = text.as_bytes().to_vec();
    let at = usize::from(*at) % other.len();
    if other[at] == *with || !with.is_ascii() {
        return;
    }
    other[at] = *with;
    let other = String::from_utf8(other).expect("ASCII");
    check(&other);
    // A checksum of 32 bits sees every change of one byte.
    assert!(InviteToken::parse(&other).is_err(), "one character off");
    // Without the checksum in the way: another token never verifies.
    if let Some(code) = other.get(4..36)
        && let Ok(forged) = InviteToken::parse_code(kind, code)
        && forged.expose_secret() != text
    {
        assert_eq!(ring.verify(&forged, &binding, &tag), Verification::Invalid);
    }
}
