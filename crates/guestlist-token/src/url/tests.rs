use proptest::prelude::*;

use super::*;
use crate::testing::arb_token;
use crate::tests::assert_wiped_when_dropped;

const TOKEN: &str = "glj_0100000000abcdefghijklmnopqrstuv34hM8J";

fn secret_url(base: &str, style: UrlStyle) -> String {
    let token = InviteToken::parse(TOKEN).unwrap();
    let url = SecretUrl::new(base, &token, style).unwrap();
    url.expose_secret().to_owned()
}

#[test]
fn the_token_is_added_to_what_is_there() {
    for (base, query, fragment) in [
        ("https://app.example/join", "?token=", "#token="),
        ("https://app.example", "?token=", "#token="),
        ("https://app.example/join?", "token=", "#token="),
        ("https://app.example/join?lang=en", "&token=", "#token="),
        ("https://app.example/join?lang=en&", "token=", "#token="),
        ("http://localhost:8080/join", "?token=", "#token="),
        ("https://[::1]/join?mytoken=1", "&token=", "#token="),
    ] {
        assert_eq!(
            secret_url(base, UrlStyle::Query),
            format!("{base}{query}{TOKEN}")
        );
        assert_eq!(
            secret_url(base, UrlStyle::Fragment),
            format!("{base}{fragment}{TOKEN}")
        );
    }
    assert_eq!(UrlStyle::default(), UrlStyle::Query);
}

#[test]
fn bases_that_would_lose_the_token_are_refused() {
    for (base, error) in [
        ("", JoinUrlError::NotAbsolute),
        ("/join", JoinUrlError::NotAbsolute),
        ("app.example/join", JoinUrlError::NotAbsolute),
        ("javascript:alert(1)", JoinUrlError::NotAbsolute),
        ("HTTPS://app.example", JoinUrlError::NotAbsolute),
        ("https://", JoinUrlError::NotAbsolute),
        ("https:///join", JoinUrlError::NotAbsolute),
        ("https://?a=b", JoinUrlError::NotAbsolute),
        ("https://:80/", JoinUrlError::NotAbsolute),
        ("https://app.example/a b", JoinUrlError::Character),
        ("https://app.example/\r\nx: y", JoinUrlError::Character),
        ("https://app.example/\"><script>", JoinUrlError::Character),
        ("https://app.example/'", JoinUrlError::Character),
        ("https://caf\u{e9}.example/", JoinUrlError::Character),
        ("https://app.example/#", JoinUrlError::Fragment),
        ("https://app.example/#/join", JoinUrlError::Fragment),
        ("https://app.example/?token=x", JoinUrlError::Parameter),
        ("https://app.example/?a=b&token=", JoinUrlError::Parameter),
    ] {
        assert_eq!(JoinUrl::parse(base), Err(error), "{base:?}");
    }
    let longest = format!("https://{}", "a".repeat(MAX_BASE_URL_BYTES - 8));
    assert!(JoinUrl::parse(&longest).is_ok());
    assert!(token_from_url(&secret_url(&longest, UrlStyle::Query)).is_ok());
    assert_eq!(
        JoinUrl::parse(&format!("{longest}a")),
        Err(JoinUrlError::TooLong)
    );
}

#[test]
fn codes_are_pinned() {
    let codes = [
        JoinUrlError::TooLong,
        JoinUrlError::NotAbsolute,
        JoinUrlError::Character,
        JoinUrlError::Fragment,
        JoinUrlError::Parameter,
    ]
    .map(JoinUrlError::code);
    assert_eq!(
        codes,
        [
            "join-url-too-long",
            "join-url-not-absolute",
            "join-url-character",
            "join-url-fragment",
            "join-url-parameter",
        ]
    );
}

#[test]
fn tokens_are_found_in_what_people_paste() {
    for text in [
        TOKEN.to_owned(),
        format!("https://app.example/join?token={TOKEN}"),
        format!("https://app.example/join#token={TOKEN}"),
        format!("https://app.example/join?lang=en&token={TOKEN}&utm=mail#top"),
        format!("https://app.example/#/join?token={TOKEN}"),
        format!("/join?token={TOKEN}"),
        format!("?token={TOKEN}"),
    ] {
        let token = token_from_url(&text).unwrap();
        assert_eq!(token.expose_secret(), TOKEN, "{text}");
    }
}

#[test]
fn what_is_not_one_whole_token_is_refused() {
    let encoded = TOKEN.replace('_', "%5F");
    for (text, error) in [
        (String::new(), TokenError::Length),
        (format!(" {TOKEN}"), TokenError::Length),
        (format!("token={TOKEN}"), TokenError::Length),
        (
            format!("https://app.example/join/{TOKEN}"),
            TokenError::Length,
        ),
        ("?".to_owned(), TokenError::Parameter),
        (
            "https://app.example/join?".to_owned(),
            TokenError::Parameter,
        ),
        (
            format!("https://app.example/join?Token={TOKEN}"),
            TokenError::Parameter,
        ),
        (
            format!("https://app.example/join?xtoken={TOKEN}"),
            TokenError::Parameter,
        ),
        (
            format!("https://app.example/join?code={TOKEN}"),
            TokenError::Parameter,
        ),
        (
            format!("?token={TOKEN}&token={TOKEN}"),
            TokenError::Parameter,
        ),
        (
            format!("?token={TOKEN}#token={TOKEN}"),
            TokenError::Parameter,
        ),
        (format!("?token=&token={TOKEN}"), TokenError::Parameter),
        ("?token=".to_owned(), TokenError::Length),
        (format!("?token={encoded}"), TokenError::Length),
        (format!("?token={TOKEN}/"), TokenError::Length),
        (format!("?token={}x", &TOKEN[..41]), TokenError::Checksum),
        (
            format!("?{}&token={TOKEN}", "a".repeat(MAX_URL_BYTES)),
            TokenError::Length,
        ),
    ] {
        assert_eq!(token_from_url(&text).unwrap_err(), error, "{text:?}");
    }
    let huge = format!("https://app.example/?token={TOKEN}{}", "&".repeat(64 << 20));
    assert_eq!(token_from_url(&huge).unwrap_err(), TokenError::Length);
}

#[test]
fn the_longest_text_that_is_read() {
    let ending = format!("?token={TOKEN}");
    let padded = |length: usize| format!("{}{ending}", "a".repeat(length - ending.len()));
    assert!(token_from_url(&padded(MAX_URL_BYTES)).is_ok());
    let refused = token_from_url(&padded(MAX_URL_BYTES + 1));
    assert_eq!(refused.unwrap_err(), TokenError::Length);
}

#[test]
fn a_base_is_shown_as_it_was_parsed() {
    let text = "https://app.example/join?lang=en";
    let base: JoinUrl = text.parse().unwrap();
    assert_eq!((base.as_str(), &*base.to_string()), (text, text));
    assert_eq!(format!("{base:?}"), format!("JoinUrl({text:?})"));
    assert_eq!("/join".parse::<JoinUrl>(), Err(JoinUrlError::NotAbsolute));
}

#[test]
fn urls_are_wiped() {
    let token = InviteToken::parse(TOKEN).unwrap();
    let url = SecretUrl::new("https://app.example", &token, UrlStyle::Query).unwrap();
    assert_wiped_when_dropped(&url.text);
}

proptest! {
    #[test]
    fn every_url_gives_its_token_back(
        token in arb_token(),
        base in "https?://[a-z.]{1,9}(:[0-9]{1,4})?(/[ -~]{0,9}){0,3}([?][ -~]{0,9})?",
        fragment: bool,
    ) {
        let style = if fragment { UrlStyle::Fragment } else { UrlStyle::Query };
        if let Ok(base) = JoinUrl::parse(&base) {
            let url = base.with_token(&token, style);
            prop_assert!(url.expose_secret().starts_with(base.as_str()));
            let found = token_from_url(url.expose_secret()).unwrap();
            prop_assert_eq!(found.expose_secret(), token.expose_secret());
            let shown = format!("{url:?}");
            prop_assert_eq!(shown, format!("SecretUrl({}..)", &token.expose_secret()[..14]));
        }
    }

    #[test]
    fn no_text_does_harm(text in ".{0,80}|[?#&=a-z]{0,9}token=[ -~]{0,50}") {
        if let Ok(token) = token_from_url(&text) {
            prop_assert!(text.contains(token.expose_secret()));
        }
    }
}
