use proptest::prelude::*;

use super::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const PAYLOAD: &[u8] = br#"{"test": 2432232314}"#;
const SENT: i64 = 1_614_265_330;
/// Well-formed signatures of nothing, from the specification's own tests.
const STRANGER: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::parse(text).unwrap()
}

fn published() -> WebhookSecret {
    secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * MICROS_PER_SECOND)
}

fn signed() -> SignedHeaders {
    sign(&[&published()], ID, at(SENT), PAYLOAD).unwrap()
}

fn check(headers: ReceivedHeaders<'_>, now: Timestamp) -> Result<(), VerifyError> {
    verify(&[&published()], headers, PAYLOAD, now, TOLERANCE)
}

#[test]
fn published_vectors_hold() {
    for (key, id, seconds, payload, signature) in [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            ID,
            SENT,
            PAYLOAD,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            br#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ] {
        let key = secret(key);
        let headers = sign(&[&key], id, at(seconds), payload).unwrap();
        assert_eq!(headers.signature(), signature);
        assert_eq!(headers.id(), id);
        assert_eq!(headers.timestamp(), seconds.to_string());
        assert_eq!(
            verify(&[&key], &headers, payload, at(seconds), TOLERANCE),
            Ok(())
        );
    }
}

#[test]
fn published_refusals_hold() {
    let good = signed();
    let headers = ReceivedHeaders::from(&good);
    for (signature, error) in [
        (
            "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
            "mismatch",
        ),
        ("v1,dawfeoifkpqwoekfpqoekf", "malformed"),
        ("v1,g0hM9", "malformed"),
        ("v1,", "malformed"),
        ("v1", "malformed"),
        ("", "missing"),
        (
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "malformed",
        ),
        ("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "malformed"),
    ] {
        let headers = ReceivedHeaders {
            signature: Some(signature),
            ..headers
        };
        let code = check(headers, at(SENT)).unwrap_err().code();
        assert_eq!(code, format!("webhook-signature-{error}"), "{signature:?}");
    }
    let one_of_many = format!(
        "{STRANGER} v2,{} {} {STRANGER}",
        &STRANGER[3..],
        good.signature()
    );
    let none_of_many = format!("{STRANGER} v1a,hnO3f9T8 {STRANGER}");
    let many = |signature| ReceivedHeaders {
        signature: Some(signature),
        ..headers
    };
    assert_eq!(check(many(&one_of_many), at(SENT)), Ok(()));
    assert_eq!(
        check(many(&none_of_many), at(SENT)),
        Err(VerifyError::Mismatch)
    );
}

#[test]
fn missing_headers_are_named() {
    let good = signed();
    let headers = ReceivedHeaders::from(&good);
    for (headers, header) in [
        (
            ReceivedHeaders {
                id: None,
                ..headers
            },
            ID_HEADER,
        ),
        (
            ReceivedHeaders {
                timestamp: None,
                ..headers
            },
            TIMESTAMP_HEADER,
        ),
        (
            ReceivedHeaders {
                signature: None,
                ..headers
            },
            SIGNATURE_HEADER,
        ),
        (
            ReceivedHeaders {
                id: Some(""),
                ..headers
            },
            ID_HEADER,
        ),
    ] {
        assert_eq!(
            check(headers, at(SENT)),
            Err(VerifyError::Missing { header })
        );
    }
}

#[test]
fn ids_and_timestamps_have_one_spelling() {
    let good = signed();
    let headers = ReceivedHeaders::from(&good);
    let long = "x".repeat(MAX_MESSAGE_ID_BYTES + 1);
    for id in ["msg.1", "msg 1", "msg\n1", "é", &long] {
        let refused = check(
            ReceivedHeaders {
                id: Some(id),
                ..headers
            },
            at(SENT),
        );
        assert_eq!(
            refused,
            Err(VerifyError::Malformed { header: ID_HEADER }),
            "{id:?}"
        );
        let refused = sign(&[&published()], id, at(SENT), PAYLOAD);
        assert_eq!(refused, Err(SignError::MessageId), "{id:?}");
    }
    for timestamp in [
        "hello",
        "+1614265330",
        "-1614265330",
        "01614265330",
        "1614265330.0",
        " 1614265330",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        let headers = ReceivedHeaders {
            timestamp: Some(timestamp),
            ..headers
        };
        let header = TIMESTAMP_HEADER;
        assert_eq!(
            check(headers, at(SENT)),
            Err(VerifyError::Malformed { header }),
            "{timestamp:?}"
        );
    }
}

#[test]
fn webhooks_are_valid_for_five_minutes() {
    let good = signed();
    let micro = Timestamp::from_micros;
    let sent = SENT * MICROS_PER_SECOND;
    let five = 300 * MICROS_PER_SECOND;
    for (now, expected) in [
        (sent, Ok(())),
        (sent + five - 1, Ok(())),
        (sent + five, Err(VerifyError::TooOld)),
        (sent - five, Ok(())),
        (sent - five - 1, Err(VerifyError::TooNew)),
        (i64::MAX, Err(VerifyError::TooOld)),
        (i64::MIN, Err(VerifyError::TooNew)),
    ] {
        assert_eq!(check((&good).into(), micro(now)), expected, "{now}");
    }
    let ever = verify(&[&published()], &good, PAYLOAD, at(0), Duration::MAX);
    assert_eq!(ever, Ok(()));
}

#[test]
fn seconds_are_rounded_down() {
    let headers = sign(
        &[&published()],
        ID,
        Timestamp::from_micros(1_999_999),
        PAYLOAD,
    )
    .unwrap();
    assert_eq!(headers.timestamp(), "1");
}

#[test]
fn what_nobody_could_verify_is_not_signed() {
    let key = published();
    assert_eq!(sign(&[], ID, at(SENT), PAYLOAD), Err(SignError::NoSecret));
    assert_eq!(
        sign(&[&key], "", at(SENT), PAYLOAD),
        Err(SignError::MessageId)
    );
    let early = Timestamp::from_micros(-1);
    assert_eq!(sign(&[&key], ID, early, PAYLOAD), Err(SignError::Time));
    let unknown = verify(&[], &signed(), PAYLOAD, at(SENT), TOLERANCE);
    assert_eq!(unknown, Err(VerifyError::Mismatch));
}

#[test]
fn both_secrets_sign_during_a_rotation() {
    let (old, new) = (published(), WebhookSecret::from_bytes(&[9; 32]).unwrap());
    let other = WebhookSecret::from_bytes(&[8; 32]).unwrap();
    let overlap = sign(&[&new, &old], ID, at(SENT), PAYLOAD).unwrap();
    let check = |secrets: &[&WebhookSecret], headers: &SignedHeaders| {
        verify(secrets, headers, PAYLOAD, at(SENT), TOLERANCE)
    };
    assert_eq!(overlap.signature().split(' ').count(), 2);
    assert_eq!(check(&[&old], &overlap), Ok(()));
    assert_eq!(check(&[&new], &overlap), Ok(()));
    assert_eq!(check(&[&other, &new], &overlap), Ok(()));
    assert_eq!(check(&[&other], &overlap), Err(VerifyError::Mismatch));
    let after = sign(&[&new], ID, at(SENT), PAYLOAD).unwrap();
    assert_eq!(check(&[&old], &after), Err(VerifyError::Mismatch));
}

#[test]
fn headers_are_found_by_name() {
    let good = signed();
    let pairs = good.pairs();
    let found = ReceivedHeaders::find(|name| {
        pairs
            .iter()
            .find_map(|(known, value)| (*known == name).then_some(*value))
    });
    assert_eq!(found, ReceivedHeaders::from(&good));
}

#[test]
fn codes_are_pinned() {
    for (error, code) in [
        (SignError::NoSecret, "webhook-no-secret"),
        (SignError::MessageId, "webhook-message-id"),
        (SignError::Time, "webhook-time"),
    ] {
        assert_eq!(error.code(), code);
    }
    let header = ID_HEADER;
    for (error, code) in [
        (VerifyError::Missing { header }, "webhook-signature-missing"),
        (
            VerifyError::Malformed { header },
            "webhook-signature-malformed",
        ),
        (VerifyError::Mismatch, "webhook-signature-mismatch"),
        (VerifyError::TooOld, "webhook-timestamp-too-old"),
        (VerifyError::TooNew, "webhook-timestamp-too-new"),
    ] {
        assert_eq!(error.code(), code);
    }
}

fn arb_secret() -> impl Strategy<Value = WebhookSecret> {
    proptest::collection::vec(any::<u8>(), 24..=64)
        .prop_map(|bytes| WebhookSecret::from_bytes(&bytes).unwrap())
}

/// The text with one bit of one byte flipped, if that is text still.
fn flipped(text: &str, at: prop::sample::Index, bit: u32) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    bytes[at] ^= 1 << bit;
    String::from_utf8(bytes).ok()
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        secrets in proptest::collection::vec(arb_secret(), 1..4),
        which: prop::sample::Index,
        id in "[!-\\-/-~]{1,40}",
        seconds in 0_i64..4_000_000_000,
        payload: Vec<u8>,
    ) {
        let all: Vec<&WebhookSecret> = secrets.iter().collect();
        let headers = sign(&all, &id, at(seconds), &payload).unwrap();
        let one = [all[which.index(all.len())]];
        prop_assert_eq!(verify(&one, &headers, &payload, at(seconds), TOLERANCE), Ok(()));
    }

    #[test]
    fn no_changed_byte_verifies(
        key in arb_secret(),
        payload in proptest::collection::vec(any::<u8>(), 1..100),
        place: prop::sample::Index,
        bit in 0_u32..8,
    ) {
        let good = sign(&[&key], ID, at(SENT), &payload).unwrap();
        let headers = ReceivedHeaders::from(&good);
        // Whatever the timestamp says, so that it is the signature that refuses it.
        let check = |headers: ReceivedHeaders<'_>, payload: &[u8]| {
            verify(&[&key], headers, payload, at(SENT), Duration::MAX)
        };
        prop_assert_eq!(check(headers, &payload), Ok(()));

        let mut changed = payload.clone();
        changed[place.index(payload.len())] ^= 1 << bit;
        prop_assert_eq!(check(headers, &changed), Err(VerifyError::Mismatch));
        if let Some(id) = flipped(good.id(), place, bit) {
            let refused = check(ReceivedHeaders { id: Some(&id), ..headers }, &payload);
            prop_assert!(refused.is_err());
        }
        if let Some(timestamp) = flipped(good.timestamp(), place, bit) {
            let timestamp = Some(&*timestamp);
            let refused = check(ReceivedHeaders { timestamp, ..headers }, &payload);
            prop_assert!(refused.is_err());
        }
        if let Some(signature) = flipped(good.signature(), place, bit) {
            let signature = Some(&*signature);
            let refused = check(ReceivedHeaders { signature, ..headers }, &payload);
            prop_assert!(refused.is_err());
        }
    }

    #[test]
    fn another_secret_does_not_verify(a in arb_secret(), b in arb_secret()) {
        prop_assume!(a.key() != b.key());
        let headers = sign(&[&a], ID, at(SENT), PAYLOAD).unwrap();
        let refused = verify(&[&b], &headers, PAYLOAD, at(SENT), TOLERANCE);
        prop_assert_eq!(refused, Err(VerifyError::Mismatch));
    }

    #[test]
    fn no_headers_panic(id: String, timestamp in "[0-9+-]{0,25}", signature in "(v1,)?[A-Za-z0-9+/= ]{0,99}") {
        let headers = ReceivedHeaders {
            id: Some(&id),
            timestamp: Some(&timestamp),
            signature: Some(&signature),
        };
        let _ = check(headers, at(SENT));
    }
}
