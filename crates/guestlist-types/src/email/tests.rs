use proptest::prelude::*;

use super::*;
use crate::testing::arb_email;

fn parsed(text: &str) -> String {
    EmailAddress::parse(text)
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
        .as_str()
        .to_owned()
}

#[test]
fn addresses_are_compared_in_one_form() {
    for (text, expected) in [
        ("a@example.com", "a@example.com"),
        ("  A.B+c@Example.Com\t", "a.b+c@example.com"),
        ("\u{a0}a@example.com\u{3000}\r\n", "a@example.com"),
        ("o'hara@mail.example.co.uk", "o'hara@mail.example.co.uk"),
        ("a@r3---x.example.com", "a@r3---x.example.com"),
        // The part before the `@`: composed, lower-cased.
        ("\u{e9}va@example.com", "\u{e9}va@example.com"),
        ("e\u{301}va@example.com", "\u{e9}va@example.com"),
        ("E\u{301}VA@example.com", "\u{e9}va@example.com"),
        ("\u{212b}@example.com", "\u{e5}@example.com"),
        ("a\u{327}\u{301}@example.com", "\u{e1}\u{327}@example.com"),
        ("a\u{301}\u{327}@example.com", "\u{e1}\u{327}@example.com"),
        ("\u{1100}\u{1161}@example.com", "\u{ac00}@example.com"),
        ("\u{418}\u{306}@example.com", "\u{439}@example.com"),
        (
            "\u{6f22}\u{5b57}@example.com",
            "\u{6f22}\u{5b57}@example.com",
        ),
        ("\u{e04}\u{e33}@example.com", "\u{e04}\u{e33}@example.com"),
        ("\u{1f389}@example.com", "\u{1f389}@example.com"),
        // One character at a time: every capital sigma is the same small one.
        ("\u{39f}\u{3a3}@example.com", "\u{3bf}\u{3c3}@example.com"),
        ("\u{1e9e}@example.com", "\u{df}@example.com"),
        // Composed in lower case only.
        ("J\u{30c}@example.com", "\u{1f0}@example.com"),
        ("\u{3aa}\u{301}@example.com", "\u{390}@example.com"),
        // The domain: UTS #46, non-transitional.
        ("a@B\u{fc}cher.example", "a@xn--bcher-kva.example"),
        ("a@bu\u{308}cher.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@fa\u{df}.de", "a@xn--fa-hia.de"),
        ("a@FASS.de", "a@fass.de"),
        (
            "a@\u{ff45}\u{ff58}\u{ff41}\u{ff4d}\u{ff50}\u{ff4c}\u{ff45}\u{ff0e}com",
            "a@example.com",
        ),
        ("a@example\u{3002}com", "a@example.com"),
        ("a@\u{4f8b}\u{3048}.jp", "a@xn--r8jz45g.jp"),
        (
            "a@\u{646}\u{627}\u{645}\u{647}\u{200c}\u{627}\u{6cc}.com",
            "a@xn--mgba3gch31f060k.com",
        ),
    ] {
        assert_eq!(parsed(text), expected, "{text:?}");
    }
}

#[test]
fn addresses_that_differ_stay_different() {
    for (one, other) in [
        ("a.b@example.com", "ab@example.com"),
        ("a+c@example.com", "a@example.com"),
        ("\u{e9}@example.com", "e@example.com"),
        ("\u{131}@example.com", "i@example.com"),
        ("\u{df}@example.com", "ss@example.com"),
        ("\u{3c2}@example.com", "\u{3c3}@example.com"),
        ("\u{430}@example.com", "a@example.com"),
        ("a@fa\u{df}.de", "a@fass.de"),
        ("a@\u{430}pple.com", "a@apple.com"),
    ] {
        assert_ne!(parsed(one), parsed(other), "{one:?} {other:?}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for (text, error) in [
        ("", EmailError::Empty),
        (" \t\u{2003}", EmailError::Empty),
        ("a", EmailError::At),
        ("a@b@c.d", EmailError::At),
        ("a\u{ff20}example.com", EmailError::At),
        ("@example.com", EmailError::Local),
        ("a b@example.com", EmailError::Local),
        ("\"a\"@example.com", EmailError::Local),
        ("a\0@example.com", EmailError::Local),
        ("a,b@example.com", EmailError::Local),
        // Normalisation makes ASCII of these: `i` with a dot, `k`, `s`, `a`, `fi`, `2`, `;`.
        ("\u{130}@example.com", EmailError::Local),
        ("I\u{307}@example.com", EmailError::Local),
        ("\u{212a}ate@example.com", EmailError::Local),
        ("\u{17f}@example.com", EmailError::Local),
        ("\u{ff41}@example.com", EmailError::Local),
        ("\u{1d41a}@example.com", EmailError::Local),
        ("\u{fb01}@example.com", EmailError::Local),
        ("\u{b2}@example.com", EmailError::Local),
        ("a\u{37e}@example.com", EmailError::Local),
        ("a\u{1fef}@example.com", EmailError::Local),
        // Not seen: spaces, overrides, joiners, fillers, selectors, tags.
        ("a\u{a0}b@example.com", EmailError::Local),
        ("a\u{3000}b@example.com", EmailError::Local),
        ("a\u{85}b@example.com", EmailError::Local),
        ("a\u{202e}b@example.com", EmailError::Local),
        ("a\u{2066}b@example.com", EmailError::Local),
        ("a\u{200b}@example.com", EmailError::Local),
        ("a\u{200d}b@example.com", EmailError::Local),
        ("a\u{ad}b@example.com", EmailError::Local),
        ("a\u{34f}b@example.com", EmailError::Local),
        ("a\u{3164}@example.com", EmailError::Local),
        ("\u{2764}\u{fe0f}@example.com", EmailError::Local),
        ("a\u{e0061}@example.com", EmailError::Local),
        ("a\u{fffd}@example.com", EmailError::Local),
        // Not assigned, for private use, and a mark with nothing to be on.
        ("a\u{378}@example.com", EmailError::Local),
        ("a\u{e000}@example.com", EmailError::Local),
        ("a\u{fdd0}@example.com", EmailError::Local),
        ("\u{301}a@example.com", EmailError::Local),
        ("a@", EmailError::Domain),
        ("a@localhost", EmailError::Domain),
        ("a@.", EmailError::Domain),
        ("a@[127.0.0.1]", EmailError::Domain),
        ("a@[IPv6:::1]", EmailError::Domain),
        ("a@127.0.0.1", EmailError::Domain),
        ("a@\u{ff11}\u{ff12}\u{ff17}.0.0.1", EmailError::Domain),
        ("a@example..com", EmailError::Domain),
        ("a@example.com.", EmailError::Domain),
        ("a@example.com\u{3002}", EmailError::Domain),
        ("a@.example.com", EmailError::Domain),
        ("a@-example.com", EmailError::Domain),
        ("a@example-.com", EmailError::Domain),
        ("a@exa_mple.com", EmailError::Domain),
        ("a@exa mple.com", EmailError::Domain),
        ("a@example.com/x", EmailError::Domain),
        ("a@example.com:25", EmailError::Domain),
        ("a@ex%61mple.com", EmailError::Domain),
        ("a@exam\u{ad}ple.com", EmailError::Domain),
        ("a@exam\u{200b}ple.com", EmailError::Domain),
        ("a@exam\u{200d}ple.com", EmailError::Domain),
        ("a@exam\u{202e}ple.com", EmailError::Domain),
        ("a@\u{301}x.com", EmailError::Domain),
        ("a@\u{378}.com", EmailError::Domain),
        // Nothing, ASCII, a capital letter, letters that are not composed, and no Punycode.
        ("a@xn--.com", EmailError::Domain),
        ("a@xn--example-.com", EmailError::Domain),
        ("a@xn--bcher-2pa.com", EmailError::Domain),
        ("a@xn--bucher-xyd.com", EmailError::Domain),
        ("a@xn--zzzzzzzz99999.com", EmailError::Domain),
    ] {
        assert_eq!(EmailAddress::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn lengths_are_those_of_the_form() {
    let too_long = Err(EmailError::TooLong);
    let local = |text: &str| EmailAddress::parse(&format!("{text}@example.com"));
    assert!(local(&"a".repeat(64)).is_ok());
    assert_eq!(local(&"a".repeat(65)), too_long);
    // 96 bytes as they are given, 64 when composed.
    assert!(local(&"e\u{301}".repeat(32)).is_ok());
    assert_eq!(local(&"e\u{301}".repeat(33)), too_long);

    let at = |labels: usize, last: usize| {
        let domain = format!(
            "{}{}.com",
            format!("{}.", "b".repeat(49)).repeat(labels),
            "b".repeat(last)
        );
        EmailAddress::parse(&format!("a@{domain}"))
    };
    assert_eq!(at(4, 48).unwrap().as_str().len(), 254);
    assert_eq!(at(4, 49), too_long);
    assert_eq!(at(5, 49), too_long);
    let label = |length: usize| EmailAddress::parse(&format!("a@{}.com", "b".repeat(length)));
    assert!(label(63).is_ok());
    assert_eq!(label(64), Err(EmailError::Domain));

    for text in ["a", "\u{301}", "@", "\u{6f22}", " "] {
        let huge = text.repeat(1 << 20);
        assert_eq!(EmailAddress::parse(&huge), too_long);
        assert_eq!(EmailDomain::parse_any_case(&huge), Err(EmailError::TooLong));
        assert_eq!(EmailDomain::parse(&huge), Err(EmailError::TooLong));
    }
}

#[test]
fn bounds_are_those_that_are_told() {
    // What is read of a text, white space and all.
    let padded = |length: usize| format!("{:length$}", "a@example.com");
    assert!(EmailAddress::parse(&padded(MAX_TEXT_BYTES)).is_ok());
    let refused = EmailAddress::parse(&padded(MAX_TEXT_BYTES + 1));
    assert_eq!(refused, Err(EmailError::TooLong));
    let padded = |length: usize| format!("{:length$}", "example.com");
    assert!(EmailDomain::parse_any_case(&padded(MAX_TEXT_BYTES)).is_ok());
    let refused = EmailDomain::parse_any_case(&padded(MAX_TEXT_BYTES + 1));
    assert_eq!(refused, Err(EmailError::TooLong));

    let domain = |last: usize| format!("{}{}", "b.".repeat(120), "b".repeat(last));
    assert_eq!(domain(13).len(), MAX_DOMAIN_BYTES);
    assert!(EmailDomain::parse(&domain(13)).is_ok());
    let refused = EmailDomain::parse(&domain(14));
    assert_eq!(refused, Err(EmailError::TooLong));
}

#[test]
fn codes_are_pinned() {
    for (error, code) in [
        (EmailError::Empty, "email-empty"),
        (EmailError::TooLong, "email-too-long"),
        (EmailError::At, "email-at"),
        (EmailError::Local, "email-local-part"),
        (EmailError::Domain, "email-domain"),
    ] {
        assert_eq!(error.code(), code);
    }
}

#[test]
fn no_other_character_becomes_an_ascii_one() {
    for character in ('\u{80}'..='\u{32000}').chain('\u{e0000}'..='\u{e1000}') {
        for text in [
            format!("{character}@a.example"),
            format!("x{character}@a.example"),
        ] {
            if let Ok(address) = EmailAddress::parse(&text) {
                assert!(!address.as_str().is_ascii(), "{text:?}");
                assert_eq!(EmailAddress::parse(address.as_str()).as_ref(), Ok(&address));
            }
        }
    }
}

#[test]
fn masks_show_one_whole_character() {
    for (text, expected) in [
        ("ada@example.com", "a***@example.com"),
        ("ab@example.com", "a***@example.com"),
        ("a@example.com", "*@example.com"),
        ("\u{e9}va@example.com", "\u{e9}***@example.com"),
        ("x\u{301}y@example.com", "x\u{301}***@example.com"),
        ("x\u{301}@example.com", "*@example.com"),
        ("\u{6f22}\u{5b57}@example.com", "\u{6f22}***@example.com"),
        ("\u{6f22}@b\u{fc}cher.example", "*@xn--bcher-kva.example"),
    ] {
        assert_eq!(EmailAddress::parse(text).unwrap().masked(), expected);
    }
}

#[test]
fn domains_match_on_labels() {
    let domain = EmailDomain::parse("example.com").unwrap();
    let at = |text| EmailAddress::parse(text).unwrap().is_at(&domain);
    assert!(at("a@example.com"));
    assert!(at("a@eu.example.com"));
    assert!(at("a@b\u{fc}ro.Example.com"));
    assert!(!at("a@attacker-example.com"));
    assert!(!at("a@example.com.evil.org"));
    assert!(!at("a@ex\u{e4}mple.com"));
}

#[test]
fn domains_are_typed_in_any_form_and_stored_in_one() {
    let books = EmailDomain::parse("xn--bcher-kva.example").unwrap();
    for text in [
        "B\u{fc}cher.example",
        " bu\u{308}cher.EXAMPLE ",
        "XN--bcher-kva.example",
    ] {
        assert_eq!(EmailDomain::parse_any_case(text).as_ref(), Ok(&books));
        assert_eq!(
            EmailDomain::parse(text),
            Err(EmailError::Domain),
            "{text:?}"
        );
    }
    assert!(
        EmailAddress::parse("a@b\u{fc}cher.example")
            .unwrap()
            .is_at(&books)
    );
    let label = |length: usize| format!("{}.com", "b".repeat(length));
    for text in ["a.b", "0.a1", "a-1.com", "a--b.com", &label(1), &label(63)] {
        let exact = EmailDomain::parse(text).unwrap();
        assert_eq!(EmailDomain::parse_any_case(text), Ok(exact), "{text:?}");
    }
    for text in [
        "",
        ".",
        "localhost",
        "a..com",
        ".com",
        "a.com.",
        "-a.com",
        "a-.com",
        "a_b.com",
        "a b.com",
        "a.7",
        "10.0.0.1",
        "xn--.com",
        "xn--example-.com",
        "xn--zzzzzzzz99999.com",
        &label(64),
    ] {
        let refused = [EmailDomain::parse(text), EmailDomain::parse_any_case(text)];
        assert_eq!(
            refused,
            [Err(EmailError::Domain), Err(EmailError::Domain)],
            "{text:?}"
        );
    }
}

/// Characters that meet a rule of some kind, and any others.
fn arb_character() -> impl Strategy<Value = char> {
    let telling: Vec<char> = "aAzZ09.+-_@ IiKks\u{e9}\u{c9}\u{df}\u{1e9e}\u{130}\u{131}\u{17f}\
        \u{212a}\u{212b}\u{300}\u{301}\u{307}\u{327}\u{345}\u{3a3}\u{3c2}\u{1f80}\u{1fbc}\u{5d0}\
        \u{627}\u{6cc}\u{915}\u{94d}\u{937}\u{e33}\u{1100}\u{1161}\u{11a8}\u{10a0}\u{13a0}\u{1c4}\
        \u{ff21}\u{ff0e}\u{3002}\u{200b}\u{200c}\u{200d}\u{202e}\u{ad}\u{fe0f}\u{6f22}\u{1f389}"
        .chars()
        .collect();
    prop_oneof![
        6 => proptest::sample::select(telling),
        3 => proptest::char::range('a', 'z'),
        1 => any::<char>(),
    ]
}

fn arb_text(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(arb_character(), 0..most)
        .prop_map(|characters| characters.into_iter().collect())
}

/// Texts that often are addresses.
fn arb_candidate() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (arb_text(4), arb_text(4)).prop_map(|(a, b)| format!("{a}@x{b}.example")),
        1 => arb_text(4).prop_map(|a| format!("{a}@xn--{a}.example")),
        1 => arb_email().prop_map(|address| address.to_string()),
        1 => arb_text(40),
        1 => any::<String>(),
    ]
}

/// An alpha with an iota below it and a grave accent: in pieces and composed.
#[test]
fn a_domain_in_pieces_is_the_composed_one() {
    let pieces = EmailAddress::parse("i@x\u{1f80}\u{300}.example").unwrap();
    let composed = EmailAddress::parse("i@x\u{1f82}.example").unwrap();
    assert_eq!(pieces, composed);
    let domain = EmailDomain::parse_any_case("x\u{1f80}\u{300}.example").unwrap();
    assert!(composed.is_at(&domain));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_printed_address_is_the_same_address(text in arb_candidate()) {
        if let Ok(address) = EmailAddress::parse(&text) {
            let again = EmailAddress::parse(address.as_str());
            prop_assert_eq!(again.as_ref(), Ok(&address));
            prop_assert!(address.as_str().len() <= MAX_BYTES);
            prop_assert!(address.domain().is_ascii());
            let json = serde_json::to_string(&address).unwrap();
            prop_assert_eq!(&serde_json::from_str::<EmailAddress>(&json).unwrap(), &address);
            let domain = EmailDomain::parse(address.domain()).unwrap();
            prop_assert!(address.is_at(&domain));
        }
    }

    #[test]
    fn a_printed_domain_is_the_same_domain(text in arb_text(8), any in any::<String>()) {
        for text in [format!("x{text}.example"), format!("xn--{text}.example"), text, any] {
            if let Ok(domain) = EmailDomain::parse_any_case(&text) {
                let exact = EmailDomain::parse(domain.as_str());
                prop_assert_eq!(exact.as_ref(), Ok(&domain));
                let again = EmailDomain::parse_any_case(domain.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&domain));
            }
        }
    }

    #[test]
    fn the_form_in_which_it_was_typed_does_not_matter(text in arb_candidate()) {
        if let Ok(address) = EmailAddress::parse(&text) {
            for form in [text.nfc().collect::<String>(), text.nfd().collect()] {
                let other = EmailAddress::parse(&form);
                prop_assert_eq!(other.as_ref(), Ok(&address), "{:?}", form);
            }
        }
    }

    #[test]
    fn a_mask_reveals_no_second_character(text in arb_candidate()) {
        if let Ok(address) = EmailAddress::parse(&text) {
            let (local, domain) = address.as_str().split_once('@').unwrap();
            let masked = address.masked();
            let bases = |text: &str| text.chars().filter(|c| !is_combining_mark(*c)).count();
            if let Some(shown) = masked.strip_suffix(&format!("***@{domain}")) {
                prop_assert!(local.starts_with(shown) && shown != local);
                prop_assert_eq!(bases(shown), 1);
            } else {
                prop_assert_eq!(masked, format!("*@{domain}"));
                prop_assert_eq!(bases(local), 1);
            }
        }
    }
}
