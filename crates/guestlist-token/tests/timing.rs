//! Whether the time that something takes tells what it was about: the method of dudect (Reparaz,
//! Balasch and Verbauwhede, 2017). Two kinds of input are timed in an order that is drawn, and
//! Welch's t-test says whether their times differ, over all of them and over those below each of a
//! hundred percentiles. |t| grows with the square root of the number of samples where they do.
//!
//! `GUESTLIST_ROUNDS` is the number of samples, `GUESTLIST_SEED` what their order is drawn from.
//! Only what is optimised has a timing that counts, so a run of all tests leaves these out:
//! `cargo test --release -p guestlist-token --test timing`.

#![expect(
    clippy::print_stdout,
    reason = "what was measured, for whoever asks for it"
)]

use core::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use guestlist_token::{
    Binding, InviteToken, Pepper, PepperId, PepperRing, TokenKind, TokenTag, Verification,
};
use guestlist_types::{Bucket, OrgId};

/// From here on times differ.
const DIFFER: f64 = 4.5;

/// Two ways through the code are never the same to a fraction of a cycle, which is what |t| sees
/// after a million samples. Where that is what is compared, the times may differ by this share.
const SHARE: f64 = 0.05;

/// A difference that can't be overlooked.
const PLAIN: f64 = 100.0;

/// Before anything counts: for the percentiles, and until the machine is warm.
const WARM_UP: u32 = 20_000;

/// One at a time: another test beside it would be noise.
static ALONE: Mutex<()> = Mutex::new(());

/// Mean and variance of a stream of times.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// The times of both kinds that are below a bound.
struct Test {
    below: f64,
    kinds: [Moments; 2],
}

impl Test {
    fn t(&self) -> f64 {
        let [one, other] = &self.kinds;
        // With fewer, t says nothing.
        if one.count < 1000.0 || other.count < 1000.0 {
            return 0.0;
        }
        // A clock that ticks slowly can show the same time again and again.
        let error = (one.error() + other.error()).sqrt().max(f64::EPSILON);
        (one.mean - other.mean) / error
    }
}

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => usual,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long something takes is what is tested"
)]
fn now() -> Instant {
    Instant::now()
}

/// What was found of two kinds of input.
struct Found {
    /// The largest |t|.
    t: f64,
    /// By which share of it the mean time of the faster half differs.
    share: f64,
}

/// Times are told apart up to so many nanoseconds.
const LONGEST: usize = 100_000;

/// The mean of the faster half of some times, which what else the machine does slows least. `times`
/// is how often each number of nanoseconds was measured.
fn faster_half(times: &[u32]) -> f64 {
    let half = times.iter().map(|count| u64::from(*count)).sum::<u64>() / 2;
    let (mut left, mut sum) = (half, 0.0);
    for (took, count) in (0_u32..).zip(times) {
        let taken = left.min(u64::from(*count));
        sum += f64::from(took) * f64::from(u32::try_from(taken).unwrap_or(u32::MAX));
        left -= taken;
    }
    sum / f64::from(u32::try_from(half).unwrap_or(u32::MAX))
}

/// Times what `run` takes for two kinds of input. `draw` makes an input of a kind, not
/// counted; it is to do the same work for both.
fn timed<I, R>(
    what: &str,
    mut draw: impl FnMut(usize, &mut ChaCha20Rng) -> I,
    run: impl Fn(&I) -> R,
) -> Found {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let samples = number("GUESTLIST_ROUNDS", 1_000_000);
    let seed = number("GUESTLIST_SEED", 1);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut sample = || {
        let kind = usize::from(rng.next_u32() & 1 == 1);
        let input = black_box(draw(kind, &mut rng));
        let began = now();
        let result = run(&input);
        let took = began.elapsed();
        black_box(result);
        (kind, f64::from(took.subsec_nanos()))
    };
    let mut first: Vec<f64> = (0..WARM_UP).map(|_| sample().1).collect();
    first.sort_by(f64::total_cmp);
    let mut tests: Vec<Test> = (1..=100)
        .map(|step| {
            // Closer together towards the top, where few samples are cut off.
            let share = 1.0 - 0.5_f64.powf(f64::from(step) / 10.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a small number is one"
            )]
            let place = (share * f64::from(WARM_UP)) as usize;
            first[place.min(first.len() - 1)]
        })
        .chain([f64::INFINITY])
        .map(|below| Test {
            below,
            kinds: Default::default(),
        })
        .collect();
    let mut halves = [(); 2].map(|()| vec![0; LONGEST]);
    for _ in 0..samples {
        let (kind, took) = sample();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was a whole number of nanoseconds"
        )]
        let place = took as usize;
        halves[kind][place.min(LONGEST - 1)] += 1;
        for test in &mut tests {
            if took < test.below {
                test.kinds[kind].add(took);
            }
        }
    }
    let largest = tests.iter().map(|test| test.t().abs()).fold(0.0, f64::max);
    let [one, other] = halves.map(|times| faster_half(&times));
    println!(
        "{what}: largest |t| {largest:.2} over {samples} samples with seed {seed}; means of the \
         faster half {one:.1} and {other:.1} ns"
    );
    Found {
        t: largest,
        share: (one - other).abs() / one.max(other),
    }
}

fn host() -> OrgId {
    OrgId::parse("0198c3f2-7a51-7c7e-9d1b-5f2a6be0c1d4").expect("a plain id")
}

fn ring() -> PepperRing {
    let pepper = Pepper::from_bytes(&[7; 64]).expect("64 bytes are enough");
    PepperRing::new(PepperId::new(1), pepper)
}

fn token(rng: &mut ChaCha20Rng) -> InviteToken {
    InviteToken::generate(TokenKind::Link, Bucket::of(&host()), rng).expect("it has randomness")
}

/// The tag of a token with one byte changed.
fn changed(tag: &TokenTag, at: usize) -> TokenTag {
    let mut mac = *tag.mac();
    mac[at] ^= 1;
    TokenTag::new(tag.pepper(), mac)
}

#[test]
#[cfg_attr(debug_assertions, ignore = "only what is optimised has its timing")]
fn where_a_tag_differs_takes_no_time() {
    let (ring, host) = (ring(), host());
    let token = token(&mut ChaCha20Rng::seed_from_u64(1));
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let right = ring.tag(&token, &binding);
    let tags = [changed(&right, 0), changed(&right, 31)];
    let found = timed(
        "a tag that differs in its first or its last byte",
        |kind, _| tags[kind],
        |tag| ring.verify(&token, &binding, tag),
    );
    assert!(found.t < DIFFER, "|t| is {}", found.t);
}

/// As the facade does it: parse, then compare with the row of the selector, if there is one. Gives
/// the times of both, where `absent` is what is done without a row.
fn known_or_not(what: &str, absent: impl Fn(&PepperRing, &InviteToken) -> Verification) -> Found {
    let (peppers, host) = (ring(), host());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let texts: Vec<String> = (0..256)
        .map(|_| token(&mut rng).expose_secret().to_owned())
        .collect();
    // That of another token: whoever guesses has a selector and not its verifier.
    let tag = peppers.tag(&token(&mut rng), &binding);
    let rows = [Some(&tag), None];
    timed(
        what,
        |kind, rng| {
            let text = &texts[rng.next_u32() as usize % texts.len()];
            (text.as_str(), rows[kind])
        },
        |(text, row)| {
            let token = InviteToken::parse(text).expect("it is well-formed");
            match row {
                Some(tag) => peppers.verify(&token, &binding, tag),
                None => absent(&peppers, &token),
            }
        },
    )
}

#[test]
#[cfg_attr(debug_assertions, ignore = "only what is optimised has its timing")]
fn an_unknown_selector_takes_as_long_as_a_known_one() {
    let what = "a token whose selector is known or not";
    let found = known_or_not(what, PepperRing::verify_absent);
    assert!(found.share < SHARE, "they differ by {}", found.share);
}

/// What an unknown selector looks like to this test if nothing is done about it.
#[test]
#[cfg_attr(debug_assertions, ignore = "only what is optimised has its timing")]
fn an_unknown_selector_without_a_digest_is_noticed() {
    let what = "a token whose selector is known, or not and nothing done";
    let found = known_or_not(what, |_, _| Verification::Invalid);
    assert!(found.t > PLAIN, "|t| is {}", found.t);
    assert!(found.share > 10.0 * SHARE, "they differ by {}", found.share);
}

/// What a comparison that stops at the first difference looks like to this test.
#[test]
#[cfg_attr(debug_assertions, ignore = "only what is optimised has its timing")]
fn a_comparison_that_stops_early_is_noticed() {
    let naive = |one: &[u8; 32], other: &[u8; 32]| -> Verification {
        for (one, other) in one.iter().zip(other) {
            if black_box(one) != black_box(other) {
                return Verification::Invalid;
            }
        }
        Verification::Valid
    };
    let (ring, host) = (ring(), host());
    let token = token(&mut ChaCha20Rng::seed_from_u64(1));
    let binding = Binding {
        host: &host,
        subject: [3; 16],
    };
    let right = ring.tag(&token, &binding);
    let tags = [changed(&right, 0), changed(&right, 31)];
    let found = timed(
        "a comparison that stops early",
        |kind, _| *tags[kind].mac(),
        |mac| naive(mac, right.mac()),
    );
    assert!(found.t > PLAIN, "|t| is {}", found.t);
}
