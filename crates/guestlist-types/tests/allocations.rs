//! What is far too long is refused before anything is made of it.

use guestlist_types::{
    Address, ConsumerName, DisplayName, EmailAddress, EmailDomain, EndpointUrl, GroupName, Key,
    Label, LinkId, Message, OrgId, OrgName, ProxyUserId, Reason, RoleName, UserId,
};

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
    for beginning in [
        "",
        "@",
        "@a/",
        "a/",
        "a@",
        "https://a.example/",
        "proxy_",
        " ",
    ] {
        let text = [beginning, &zeros].concat();
        refused(&text, Address::parse);
        refused(&text, Key::parse);
        refused(&text, Key::parse_strict);
        refused(&text, EmailAddress::parse);
        refused(&text, EmailDomain::parse);
        refused(&text, EmailDomain::parse_any_case);
        refused(&text, EndpointUrl::parse);
        refused(&text, OrgId::parse);
        refused(&text, UserId::parse);
        refused(&text, LinkId::parse);
        refused(&text, ProxyUserId::parse);
        refused(&text, OrgName::parse);
        refused(&text, RoleName::parse);
        refused(&text, ConsumerName::parse);
        refused(&text, DisplayName::parse);
        refused(&text, GroupName::parse);
        refused(&text, Label::parse);
        refused(&text, Reason::parse);
        refused(&text, Message::parse);
    }
}
