//! A base of join URLs gives back every token that was put into it; a pasted text gives the value
//! of its one `token` parameter and nothing else.

#![no_main]

use guestlist_fuzz::format::{digit, is_token};
use guestlist_token::{
    InviteToken, JoinUrl, SecretUrl, TokenError, TokenKind, UrlStyle, token_from_url,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    pasted(text);
    let code: String = (0..32)
        .map(|at| digit(data.get(at).copied().unwrap_or(b'a')))
        .collect();
    let kind = TokenKind::ALL[data.len() % 2];
    let token = InviteToken::parse_code(kind, &code).expect("32 base-62 digits");
    match JoinUrl::parse(text) {
        Ok(base) => {
            assert!(is_base(text), "no base");
            assert_eq!(base.as_str(), text);
            assert_eq!(base.to_string(), text);
            for style in [UrlStyle::Query, UrlStyle::Fragment] {
                let url = base.with_token(&token, style);
                let whole = url.expose_secret();
                assert!(whole.starts_with(text));
                assert!(whole.len() <= text.len() + 1 + 6 + 42);
                let read = token_from_url(whole).expect("what was put in comes out");
                assert_eq!(read.expose_secret(), token.expose_secret());
                assert!(!format!("{url:?}").contains(&token.expose_secret()[14..36]));
                let fragment = whole.split_once('#').is_some();
                assert_eq!(fragment, style == UrlStyle::Fragment);
                pasted(whole);
            }
        }
        Err(error) => {
            assert!(!is_base(text), "a base was refused: {error:?}");
            assert!(error.code().starts_with("join-url-"));
            assert!(SecretUrl::new(text, &token, UrlStyle::Query).is_err());
        }
    }
});

/// By the documentation of [`token_from_url`], one byte after the other.
fn pasted(text: &str) {
    let mut values: Vec<&str> = Vec::new();
    let mut has_separator = false;
    for (at, byte) in text.bytes().enumerate() {
        if matches!(byte, b'?' | b'#' | b'&') {
            has_separator = true;
            let rest = &text[at + 1..];
            let end = rest.find(['?', '#', '&']).unwrap_or(rest.len());
            values.extend(rest[..end].strip_prefix("token="));
        }
    }
    let expected = match (&values[..], has_separator) {
        _ if text.len() > 2048 => None,
        (_, false) => Some(text),
        ([one], true) => Some(*one),
        _ => None,
    };
    let expected = expected.filter(|text| is_token(text));
    match token_from_url(text) {
        Ok(token) => assert_eq!(Some(token.expose_secret()), expected),
        Err(error) => {
            assert_eq!(expected, None, "a token was not found: {error:?}");
            assert_eq!(error.code(), TokenError::Checksum.code());
        }
    }
}

fn is_base(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    let hosted = !matches!(
        rest.bytes().next(),
        None | Some(b'/' | b'?' | b'#' | b'&' | b':')
    );
    let plain = text.bytes().all(|byte| {
        matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
            || "-._~:/?#[]@!$&()*+,;=%".contains(char::from(byte))
    });
    let names_a_token = ["?token=", "&token="]
        .iter()
        .any(|name| text.contains(name));
    text.len() <= 1024 && hosted && plain && !text.contains('#') && !names_a_token
}
