use guestlist_types::OrgId;
use proptest::prelude::*;

use super::*;
use crate::TokenKind;
use crate::testing::{arb_token, arb_token_of};
use crate::tests::assert_wiped_when_dropped;
use crate::token::CODE_BYTES;

fn pepper(byte: u8) -> Pepper {
    Pepper::from_bytes(&[byte; 32]).unwrap()
}

fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

fn ring() -> PepperRing {
    PepperRing::new(PepperId::new(2), pepper(2))
        .with_older(PepperId::new(1), pepper(1))
        .unwrap()
}

fn counting<const N: usize>() -> [u8; N] {
    core::array::from_fn(|at| u8::try_from(at).unwrap())
}

/// The token with one character of its code replaced, at `at` of 32.
fn altered(token: &InviteToken, at: usize) -> InviteToken {
    let mut code = token.expose_secret()[4..36].to_owned();
    let other = if code.as_bytes()[at] == b'x' {
        "y"
    } else {
        "x"
    };
    code.replace_range(at..=at, other);
    InviteToken::parse_code(token.kind(), &code).unwrap()
}

#[test]
fn digests_are_pinned() {
    // Computed apart from this crate. Every stored tag depends on these bytes for ever.
    let link = "glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C";
    let invite = "gle_00ELSZgnu07ELSZgnu18FMTahov29GNU1D6fPP";
    let long_host = "o".repeat(64);
    for (key, token, host, subject, mac) in [
        (
            &counting::<32>()[..],
            link,
            "org_1",
            [3; 16],
            "2403fb21c6e91664ed0c611b998085c5796727dcb6faf35bb501cf20571f9d2f",
        ),
        (
            &counting::<64>(),
            link,
            "org_1",
            [3; 16],
            "ffb0f8f998790ef2b61e57098a48e409a043ee3c422dc5353365d415d919aac7",
        ),
        (
            &counting::<65>(),
            invite,
            &long_host,
            counting(),
            "c2ca3cd99450a493516a57cfe3043ac1a9f971404895254d4267b8ce69c2f597",
        ),
    ] {
        let ring = PepperRing::new(PepperId::new(9), Pepper::from_bytes(key).unwrap());
        let token = InviteToken::parse(token).unwrap();
        let host = org(host);
        let binding = Binding {
            host: &host,
            subject,
        };
        let tag = ring.tag(&token, &binding);
        let json = format!(r#"{{"pepper":9,"mac":"{mac}"}}"#);
        assert_eq!(serde_json::to_string(&tag).unwrap(), json);
        assert_eq!(ring.verify(&token, &binding, &tag), Verification::Valid);
    }
}

#[test]
fn short_peppers_are_refused() {
    for length in 0..MIN_PEPPER_BYTES {
        let refused = Pepper::from_bytes(&vec![1; length]).unwrap_err();
        assert_eq!(refused, PepperError::TooShort);
    }
    for length in [32, 63, 64, 65, 1 << 20] {
        assert!(Pepper::from_bytes(&vec![1; length]).is_ok(), "{length}");
    }
}

#[test]
fn a_ring_has_every_id_and_every_secret_once() {
    for (id, secret, error) in [
        (
            1,
            3,
            PepperError::DuplicateId {
                id: PepperId::new(1),
            },
        ),
        (
            2,
            3,
            PepperError::DuplicateId {
                id: PepperId::new(2),
            },
        ),
        (
            3,
            1,
            PepperError::DuplicateSecret {
                id: PepperId::new(1),
            },
        ),
        (
            3,
            2,
            PepperError::DuplicateSecret {
                id: PepperId::new(2),
            },
        ),
    ] {
        let refused = ring()
            .with_older(PepperId::new(id), pepper(secret))
            .unwrap_err();
        assert_eq!(refused, error);
    }
    // HMAC pads its key with zeros, so these two are one key.
    let mut padded = [1; 33];
    padded[32] = 0;
    let refused = ring().with_older(PepperId::new(3), Pepper::from_bytes(&padded).unwrap());
    assert_eq!(refused.unwrap_err().code(), "pepper-duplicate-secret");
    let ids: Vec<_> = ring().ids().map(PepperId::get).collect();
    assert_eq!(ids, [2, 1]);
}

#[test]
fn codes_are_pinned() {
    let id = PepperId::new(7);
    let codes = [
        PepperError::TooShort,
        PepperError::DuplicateId { id },
        PepperError::DuplicateSecret { id },
    ]
    .map(PepperError::code);
    assert_eq!(
        codes,
        [
            "pepper-too-short",
            "pepper-duplicate-id",
            "pepper-duplicate-secret"
        ]
    );
    assert_eq!(
        PepperError::DuplicateId { id }.to_string(),
        "this ring has a pepper with the id 7 already"
    );
    assert_eq!(format!("{id:>3}"), "  7");
}

#[test]
fn peppers_are_not_shown_and_not_kept() {
    assert_eq!(format!("{:?}", pepper(0xab)), "Pepper(..)");
    assert_eq!(
        format!("{:?}", ring()),
        "PepperRing([PepperId(2), PepperId(1)])"
    );
    assert_wiped_when_dropped(&*pepper(0xab).block);
}

#[test]
fn hosts_are_not_confused_by_their_lengths() {
    let token = InviteToken::parse("glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C").unwrap();
    let ring = ring();
    let hosts = ["a", "aa", "aaa", &"a".repeat(63), &"a".repeat(64)].map(org);
    for (at, host) in hosts.iter().enumerate() {
        let tag = ring.tag(
            &token,
            &Binding {
                host,
                subject: [b'a'; 16],
            },
        );
        for (other_at, other) in hosts.iter().enumerate() {
            let binding = Binding {
                host: other,
                subject: [b'a'; 16],
            };
            let verified = ring.verify(&token, &binding, &tag);
            assert_eq!(verified.is_valid(), at == other_at);
        }
    }
}

proptest! {
    #[test]
    fn a_tag_verifies_for_its_token_and_binding(token in arb_token(), subject: [u8; 16]) {
        let (ring, host) = (ring(), org("org_1"));
        let binding = Binding { host: &host, subject };
        let tag = ring.tag(&token, &binding);
        prop_assert_eq!(tag.pepper(), ring.current_id());
        prop_assert_eq!(ring.verify(&token, &binding, &tag), Verification::Valid);
        prop_assert_eq!(ring.tag(&token, &binding), tag);
    }

    #[test]
    fn changing_any_one_part_makes_it_invalid(
        token in arb_token_of(TokenKind::Link),
        subject: [u8; 16],
        subject_bit in 0_usize..128,
        mac_bit in 0_usize..256,
    ) {
        let (ring, host) = (ring(), org("org_1"));
        let binding = Binding { host: &host, subject };
        let tag = ring.tag(&token, &binding);

        let code = &token.expose_secret()[4..36];
        let other_kind = InviteToken::parse_code(TokenKind::EmailInvite, code).unwrap();
        prop_assert_eq!(ring.verify(&other_kind, &binding, &tag), Verification::Invalid);

        for host in [org("org_2"), org("org_"), org("org_11"), org("Org_1")] {
            let binding = Binding { host: &host, subject };
            prop_assert_eq!(ring.verify(&token, &binding, &tag), Verification::Invalid);
        }

        let mut other_subject = subject;
        other_subject[subject_bit / 8] ^= 1 << (subject_bit % 8);
        let other_binding = Binding { host: &host, subject: other_subject };
        prop_assert_eq!(ring.verify(&token, &other_binding, &tag), Verification::Invalid);

        // 10 characters of the selector, 22 of the verifier.
        for at in 0..CODE_BYTES {
            let other = altered(&token, at);
            prop_assert_eq!(ring.verify(&other, &binding, &tag), Verification::Invalid);
        }

        // A pepper that the ring has, and one that it has not.
        for id in [1, 3] {
            let other = TokenTag::new(PepperId::new(id), *tag.mac());
            prop_assert_eq!(ring.verify(&token, &binding, &other), Verification::Invalid);
        }

        let mut mac = *tag.mac();
        mac[mac_bit / 8] ^= 1 << (mac_bit % 8);
        let other = TokenTag::new(tag.pepper(), mac);
        prop_assert_eq!(ring.verify(&token, &binding, &other), Verification::Invalid);

        prop_assert_eq!(ring.verify(&token, &binding, &tag), Verification::Valid);
    }

    #[test]
    fn an_absent_token_is_never_valid(token in arb_token()) {
        prop_assert_eq!(ring().verify_absent(&token), Verification::Invalid);
    }

    #[test]
    fn tags_outlive_a_rotation_and_not_their_pepper(token in arb_token(), subject: [u8; 16]) {
        let host = org("org_1");
        let binding = Binding { host: &host, subject };
        let (first, second) = (PepperId::new(1), PepperId::new(2));

        let before = PepperRing::new(first, pepper(1));
        let old = before.tag(&token, &binding);
        prop_assert_eq!(before.verify(&token, &binding, &old), Verification::Valid);

        let rotated = PepperRing::new(second, pepper(2)).with_older(first, pepper(1)).unwrap();
        prop_assert_eq!(rotated.verify(&token, &binding, &old), Verification::ValidOlder);
        let new = rotated.tag(&token, &binding);
        prop_assert_eq!(new.pepper(), second);
        prop_assert_eq!(rotated.verify(&token, &binding, &new), Verification::Valid);

        // A process that has not been told of the new pepper yet refuses, and so does one that has
        // dropped the old one, or been given another secret under the old id.
        prop_assert_eq!(before.verify(&token, &binding, &new), Verification::Invalid);
        let dropped = PepperRing::new(second, pepper(2));
        prop_assert_eq!(dropped.verify(&token, &binding, &old), Verification::Invalid);
        prop_assert_eq!(dropped.verify(&token, &binding, &new), Verification::Valid);
        let reused = dropped.with_older(first, pepper(3)).unwrap();
        prop_assert_eq!(reused.verify(&token, &binding, &old), Verification::Invalid);
    }
}
