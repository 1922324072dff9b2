//! What tokens cost: drawing, parsing, refusing, verifying.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use core::hint::black_box;

use getrandom::SysRng;
use guestlist::rand_core::TryRng as _;
use guestlist::token::{Binding, TokenKind, Verification};
use guestlist::types::Bucket;
use guestlist::{InviteToken, OrgId, Pepper, PepperId, PepperRing};
use guestlist_benches::{Case, Run, Target, side_by_side};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a tag is made over: domain, prefix, length of the host, host, subject, code.
const TAG_INPUT_BYTES: usize = 24 + 4 + 8 + 64 + 16 + 32;

const KEY: [u8; 64] = [7; 64];

fn hmac_of(bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new((&KEY).into());
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn bare_draw<const N: usize>() -> [u8; 32] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes[..42])
        .expect("the operating system has randomness");
    hmac_of(&bytes)
}

fn main() {
    let mut run = Run::start("token");
    let (repeats, calls) = (run.size(3, 15), run.size(200, 20_000));
    println!("getrandom 0.4, hmac 0.13, sha2 0.11; {calls} calls per repeat");

    let pepper = Pepper::from_bytes(&KEY).expect("64 bytes are enough");
    let ring = PepperRing::new(PepperId::new(1), pepper);
    let host = OrgId::parse("org_2f9c").expect("a plain id");
    let (bucket, subject) = (Bucket::of(&host), [3; 16]);
    let binding = Binding {
        host: &host,
        subject,
    };
    let mint = || {
        let token = InviteToken::generate(TokenKind::Link, bucket, &mut SysRng)
            .expect("the operating system has randomness");
        let tag = ring.tag(&token, &binding);
        (token, tag)
    };

    let bare = "bare: 42 random bytes, HMAC over 42 bytes";
    let bare_long = "bare: 42 random bytes, HMAC over 148 bytes";
    let minting = "mint: draw, format, checksum, tag";
    let measured = side_by_side(
        "Minting",
        "ns of CPU",
        repeats,
        vec![
            Case::nanos(bare, calls, bare_draw::<42>),
            Case::nanos(bare_long, calls, bare_draw::<TAG_INPUT_BYTES>),
            Case::nanos(minting, calls, mint),
        ],
    );
    let long = measured.ratio(minting, bare_long);
    println!("  a tag covers 148 bytes; beside an HMAC over as many, minting is x {long:.2}");
    run.target(
        "mint, times the bare cost (HMAC over 42 bytes)",
        measured.ratio(minting, bare),
        Target::AtMost(1.2),
    );

    let (token, tag) = mint();
    let valid = token.expose_secret().to_owned();
    let swap = |at: usize, with: &str| {
        let mut text = valid.clone();
        text.replace_range(at..=at, with);
        text
    };
    let other = |at: usize| if &valid[at..=at] == "0" { "1" } else { "0" };
    let malformed = [
        ("reject: a character short", valid[..41].to_owned()),
        ("reject: 64 KiB", "g".repeat(65_536)),
        ("reject: prefix", swap(2, "x")),
        ("reject: first character", swap(4, "-")),
        ("reject: last character", swap(41, "-")),
        ("reject: checksum", swap(41, other(41))),
        ("reject: mistyped in the middle", swap(20, other(20))),
    ];
    for (name, text) in &malformed {
        assert!(InviteToken::parse(text).is_err(), "{name}");
    }
    assert!(InviteToken::parse(&valid).is_ok());
    let parse_calls = calls * 10;
    let mut cases = vec![Case::nanos("parse: valid", parse_calls, || {
        InviteToken::parse(black_box(&valid))
    })];
    for (name, text) in &malformed {
        cases.push(Case::nanos(name, parse_calls, || {
            InviteToken::parse(black_box(text))
        }));
    }
    let measured = side_by_side("Parsing", "ns of CPU", repeats, cases);
    for (name, _) in &malformed {
        let name = format!("{name} [ns]");
        let found = measured.median(name.trim_end_matches(" [ns]"));
        run.target(&name, found, Target::AtMost(50.0));
    }

    let absent = InviteToken::parse(&valid).expect("it is valid");
    assert_eq!(ring.verify(&token, &binding, &tag), Verification::Valid);
    assert_eq!(ring.verify_absent(&absent), Verification::Invalid);
    let bare = "bare: one HMAC over 148 bytes";
    let input = [5; TAG_INPUT_BYTES];
    side_by_side(
        "Verifying",
        "ns of CPU",
        repeats,
        vec![
            Case::nanos(bare, calls, || hmac_of(black_box(&input))),
            Case::nanos("verify: the right token", calls, || {
                ring.verify(black_box(&token), &binding, &tag)
            }),
            Case::nanos("verify: an unknown token", calls, || {
                ring.verify_absent(black_box(&absent))
            }),
            Case::nanos("a forged token: parse and verify", calls, || {
                let token = InviteToken::parse(black_box(&valid)).expect("it is well-formed");
                ring.verify_absent(&token)
            }),
        ],
    );
    run.finish();
}
