use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use guestlist_types::OrgId;
use proptest::prelude::*;
use rand_core::TryRng;

use super::*;
use crate::testing::{arb_sealed, arb_selector, arb_token};
use crate::tests::assert_wiped_when_dropped;

fn key(byte: u8) -> SealKey {
    SealKey::from_bytes(&[byte; 32]).unwrap()
}

fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

fn ring() -> SealRing {
    SealRing::new(SealKeyId::new(2), key(2))
        .with_older(SealKeyId::new(1), key(1))
        .unwrap()
}

fn counting<const N: usize>() -> [u8; N] {
    core::array::from_fn(|at| u8::try_from(at).unwrap())
}

/// A generator that reports an error, after it has written something.
struct Failing;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken")]
struct Failed;

impl TryRng for Failing {
    type Error = Failed;
    fn try_next_u32(&mut self) -> Result<u32, Failed> {
        Err(Failed)
    }
    fn try_next_u64(&mut self) -> Result<u64, Failed> {
        Err(Failed)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Failed> {
        bytes.fill(1);
        Err(Failed)
    }
}

impl TryCryptoRng for Failing {}

#[test]
fn seals_are_pinned() {
    // Computed apart from this crate. Every sealed token depends on these bytes for ever.
    let link = "glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C";
    let invite = "gle_00ELSZgnu07ELSZgnu18FMTahov29GNU1D6fPP";
    let long_host = "o".repeat(64);
    for (token, host, subject, id, key, sealed) in [
        (
            link,
            "org_1",
            [3; 16],
            9,
            counting(),
            "0009000102030405060708090a0b0c0d0e0f1011121314151617\
             a987432ccab5e3db027c60839f33c0873d7511e2b383\
             6b63b8ca585d3687b28d2055db8250db",
        ),
        (
            invite,
            &long_host,
            counting(),
            0x1234,
            [0xab; 32],
            "1234000102030405060708090a0b0c0d0e0f1011121314151617\
             2379a835ac0ffc2457cb8725e5e270c8c58981a00f36\
             c57073467a2a2a1131dc7bf59afe1991",
        ),
    ] {
        let ring = SealRing::new(SealKeyId::new(id), SealKey::from_bytes(&key).unwrap());
        let token = InviteToken::parse(token).unwrap();
        let host = org(host);
        let binding = Binding {
            host: &host,
            subject,
        };
        let made = ring.seal_with(&token, &binding, counting());
        assert_eq!(
            serde_json::to_string(&made).unwrap(),
            format!(r#""{sealed}""#)
        );
        let opened = ring
            .open(&made, token.kind(), token.selector(), &binding)
            .unwrap();
        assert_eq!(opened.expose_secret(), token.expose_secret());
    }
}

#[test]
fn keys_have_exactly_32_bytes() {
    for length in [0, 1, 16, 31, 33, 64] {
        let refused = SealKey::from_bytes(&vec![7; length]).unwrap_err();
        assert_eq!(refused, SealError::KeyLength, "{length}");
    }
    assert!(SealKey::from_bytes(&[7; SEAL_KEY_BYTES]).is_ok());
}

#[test]
fn a_ring_has_every_id_and_every_key_once() {
    let add = |id, byte| ring().with_older(SealKeyId::new(id), key(byte)).err();
    for id in [1, 2] {
        let id = SealKeyId::new(id);
        assert_eq!(add(id.get(), 3), Some(SealError::DuplicateId { id }));
    }
    for byte in [1, 2] {
        let id = SealKeyId::new(byte.into());
        assert_eq!(add(3, byte), Some(SealError::DuplicateKey { id }));
    }
    let ring = ring().with_older(SealKeyId::new(3), key(3)).unwrap();
    assert_eq!(ring.current_id(), SealKeyId::new(2));
    assert_eq!(
        ring.ids().map(SealKeyId::get).collect::<Vec<_>>(),
        [2, 1, 3]
    );
}

#[test]
fn codes_are_pinned() {
    let id = SealKeyId::new(1);
    let codes = [
        SealError::KeyLength,
        SealError::DuplicateId { id },
        SealError::DuplicateKey { id },
    ]
    .map(SealError::code);
    assert_eq!(
        codes,
        [
            "seal-key-length",
            "seal-key-duplicate-id",
            "seal-key-duplicate"
        ]
    );
    let errors = [OpenError::UnknownKey, OpenError::Broken];
    assert_eq!(
        errors.map(OpenError::code),
        ["seal-key-unknown", "seal-broken"]
    );
    for error in errors {
        assert_eq!(error.to_string(), "this sealed token can't be opened");
    }
}

#[test]
fn keys_are_not_shown_and_not_kept() {
    assert_eq!(format!("{:?}", key(0xab)), "SealKey(..)");
    assert_eq!(
        format!("{:?}", ring()),
        "SealRing([SealKeyId(2), SealKeyId(1)])"
    );
    assert_wiped_when_dropped(&*key(0xab).bytes);
}

#[test]
fn a_failing_generator_is_passed_on() {
    let token = InviteToken::parse("glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C").unwrap();
    let host = org("org_1");
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let failing: &mut dyn TryCryptoRng<Error = Failed> = &mut Failing;
    assert_eq!(ring().seal(&token, &binding, failing), Err(Failed));
}

#[test]
fn what_is_no_verifier_does_not_open() {
    // Sealed under the right key, by something else than this crate.
    let (ring, host) = (ring(), org("org_1"));
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let selector = Selector::parse("0100000000").unwrap();
    let mut bytes = [0xff; SEALED_BYTES];
    bytes[..TEXT_AT].fill(0);
    bytes[1] = 2;
    let data = associated_data(SealKeyId::new(2), TokenKind::Link, selector, &binding);
    let mac = key(2)
        .cipher()
        .encrypt_inout_detached(
            (&[0; NONCE_BYTES]).into(),
            &data,
            (&mut bytes[TEXT_AT..MAC_AT]).into(),
        )
        .unwrap();
    bytes[MAC_AT..].copy_from_slice(&mac);
    let sealed = SealedToken::from_bytes(bytes);
    let opened = ring.open(&sealed, TokenKind::Link, selector, &binding);
    assert_eq!(opened.unwrap_err(), OpenError::Broken);
}

proptest! {
    #[test]
    fn what_was_sealed_opens(token in arb_token(), subject: [u8; 16], seed: [u8; 32]) {
        let (ring, host) = (ring(), org("org_1"));
        let binding = Binding { host: &host, subject };
        let mut rng = ChaCha20Rng::from_seed(seed);
        let sealed = ring.seal(&token, &binding, &mut rng).unwrap();
        prop_assert_eq!(sealed.key(), ring.current_id());
        let opened = ring.open(&sealed, token.kind(), token.selector(), &binding).unwrap();
        prop_assert_eq!(opened.expose_secret(), token.expose_secret());
        prop_assert_eq!(opened.kind(), token.kind());
        prop_assert_eq!(opened.selector(), token.selector());

        let again = ring.seal(&token, &binding, &mut rng).unwrap();
        prop_assert_ne!(again, sealed);
        let json = serde_json::to_string(&sealed).unwrap() + &format!("{sealed:?}");
        prop_assert!(!json.contains(&token.expose_secret()[14..36]));
    }

    #[test]
    fn changing_any_one_part_breaks_it(
        token in arb_token(),
        subject: [u8; 16],
        subject_bit in 0_usize..128,
        flip in 1_u8..,
        other_selector in arb_selector(),
        seed: [u8; 32],
    ) {
        let (ring, host) = (ring(), org("org_1"));
        let binding = Binding { host: &host, subject };
        let (kind, selector) = (token.kind(), token.selector());
        let mut rng = ChaCha20Rng::from_seed(seed);
        let sealed = ring.seal(&token, &binding, &mut rng).unwrap();
        let open = |sealed: &SealedToken, kind, selector, binding: &Binding<'_>| {
            ring.open(sealed, kind, selector, binding).map(drop)
        };

        for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
            prop_assert_eq!(open(&sealed, other, selector, &binding), Err(OpenError::Broken));
        }
        if other_selector != selector {
            let opened = open(&sealed, kind, other_selector, &binding);
            prop_assert_eq!(opened, Err(OpenError::Broken));
        }
        for host in [org("org_2"), org("org_"), org("org_11"), org("Org_1")] {
            let binding = Binding { host: &host, subject };
            prop_assert_eq!(open(&sealed, kind, selector, &binding), Err(OpenError::Broken));
        }
        let mut other_subject = subject;
        other_subject[subject_bit / 8] ^= 1 << (subject_bit % 8);
        let other_binding = Binding { host: &host, subject: other_subject };
        prop_assert_eq!(open(&sealed, kind, selector, &other_binding), Err(OpenError::Broken));

        // Every byte of what is stored; the second can become the id of the other key.
        for at in 0..SEALED_BYTES {
            let mut bytes = *sealed.as_bytes();
            bytes[at] ^= flip;
            let other = SealedToken::from_bytes(bytes);
            let known = ring.ids().any(|id| id == other.key());
            let error = if known { OpenError::Broken } else { OpenError::UnknownKey };
            prop_assert_eq!(open(&other, kind, selector, &binding), Err(error));
        }
        let mut bytes = *sealed.as_bytes();
        bytes[1] = 1;
        let older = SealedToken::from_bytes(bytes);
        prop_assert_eq!(open(&older, kind, selector, &binding), Err(OpenError::Broken));

        prop_assert_eq!(open(&sealed, kind, selector, &binding), Ok(()));
    }

    #[test]
    fn seals_outlive_a_rotation_and_not_their_key(
        token in arb_token(),
        subject: [u8; 16],
        seed: [u8; 32],
    ) {
        let host = org("org_1");
        let binding = Binding { host: &host, subject };
        let (kind, selector) = (token.kind(), token.selector());
        let mut rng = ChaCha20Rng::from_seed(seed);
        let first = SealRing::new(SealKeyId::new(1), key(1));
        let sealed = first.seal(&token, &binding, &mut rng).unwrap();

        let rotated = ring();
        let opened = rotated.open(&sealed, kind, selector, &binding).unwrap();
        prop_assert_ne!(sealed.key(), rotated.current_id());
        let anew = rotated.seal(&opened, &binding, &mut rng).unwrap();
        prop_assert_eq!(anew.key(), rotated.current_id());

        let last = SealRing::new(SealKeyId::new(2), key(2));
        let opened = last.open(&anew, kind, selector, &binding).unwrap();
        prop_assert_eq!(opened.expose_secret(), token.expose_secret());
        let gone = last.open(&sealed, kind, selector, &binding);
        prop_assert_eq!(gone.unwrap_err(), OpenError::UnknownKey);
        // The id was given to another key, against the rule.
        let reused = SealRing::new(SealKeyId::new(1), key(3));
        let refused = reused.open(&sealed, kind, selector, &binding);
        prop_assert_eq!(refused.unwrap_err(), OpenError::Broken);
    }

    #[test]
    fn other_bytes_never_open(sealed in arb_sealed(), selector in arb_selector()) {
        let host = org("org_1");
        let binding = Binding { host: &host, subject: [3; 16] };
        prop_assert!(ring().open(&sealed, TokenKind::Link, selector, &binding).is_err());
    }
}
