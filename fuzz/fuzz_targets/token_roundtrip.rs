//! Whatever a generator gives, what is made of it is a token that is parsed, pasted, digested and
//! verified as what it was made as, and as nothing else; or it is refused.

#![no_main]

use core::convert::Infallible;

use arbitrary::Arbitrary;
use guestlist_fuzz::format::is_token;
use guestlist_token::{
    Binding, GenerateError, InviteToken, JoinUrl, Pepper, PepperId, PepperRing, TokenKind,
    UrlStyle, Verification, token_from_url,
};
use guestlist_types::{BUCKETS, Bucket, OrgId};
use libfuzzer_sys::fuzz_target;
use rand_core::{TryCryptoRng, TryRng};

#[derive(Arbitrary, Debug)]
struct Draw {
    kind: bool,
    bucket: u16,
    subject: [u8; 16],
    pepper: [u8; 32],
    other_bit: u16,
    random: Vec<u8>,
}

/// These bytes again and again, each time with another last one.
struct Given<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for byte in into {
            let at = self.taken % self.bytes.len().max(1);
            *byte = self.bytes.get(at).copied().unwrap_or_default();
            self.taken += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

fuzz_target!(|draw: Draw| {
    let kind = TokenKind::ALL[usize::from(draw.kind)];
    let bucket = Bucket::new(draw.bucket % BUCKETS).expect("in range");
    let mut given = Given {
        bytes: &draw.random,
        taken: 0,
    };
    let token = match InviteToken::generate(kind, bucket, &mut given) {
        Ok(token) => token,
        Err(GenerateError::Stuck) => return,
        Err(error) => panic!("{error:?}"),
    };
    let text = token.expose_secret();
    assert!(is_token(text));
    assert_eq!((token.kind(), token.bucket()), (kind, bucket));
    let parsed = InviteToken::parse(text).expect("what was made is a token");
    let pasted = InviteToken::parse_code(kind, &text[4..36]).expect("and so is its code");
    let base = JoinUrl::parse("https://app.example/join").expect("a base");
    let url = base.with_token(&token, UrlStyle::Query);
    let clicked = token_from_url(url.expose_secret()).expect("and what a link holds");

    let Ok(pepper) = Pepper::from_bytes(&draw.pepper) else {
        return;
    };
    let ring = PepperRing::new(PepperId::new(1), pepper);
    let host = OrgId::parse("org_1").expect("plain");
    let binding = Binding {
        host: &host,
        subject: draw.subject,
    };
    let tag = ring.tag(&token, &binding);
    for same in [&parsed, &pasted, &clicked] {
        assert_eq!(same.expose_secret(), text);
        assert_eq!(same.selector(), token.selector());
        assert_eq!(ring.verify(same, &binding, &tag), Verification::Valid);
    }
    assert_eq!(ring.verify_absent(&token), Verification::Invalid);

    // One bit of what it is for.
    let mut subject = draw.subject;
    subject[usize::from(draw.other_bit) / 8 % 16] ^= 1 << (draw.other_bit % 8);
    let other = Binding {
        host: &host,
        subject,
    };
    assert_eq!(ring.verify(&token, &other, &tag), Verification::Invalid);
});
