//! What is far too long is refused before anything is made of it.

use guestlist_token::{InviteToken, JoinUrl, Selector, TokenKind, token_from_url};

#[track_caller]
fn refused<T, E>(text: &str, parse: impl FnOnce(&str) -> Result<T, E>) {
    let mut is_refused = false;
    let counted = allocation_counter::measure(|| is_refused = parse(text).is_err());
    assert!(is_refused);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn what_is_far_too_long_is_refused_without_a_copy() {
    let zeros = "0".repeat(64 << 20);
    for beginning in ["", "glj_", "https://a.example/join?token=glj_", "#"] {
        let text = [beginning, &zeros].concat();
        refused(&text, InviteToken::parse);
        refused(&text, |text| InviteToken::parse_kind(TokenKind::Link, text));
        refused(&text, |text| InviteToken::parse_code(TokenKind::Link, text));
        refused(&text, token_from_url);
        refused(&text, JoinUrl::parse);
        refused(&text, |text| Selector::parse(text).ok_or(()));
    }
}
