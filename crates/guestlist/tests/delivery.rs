//! Calls with a key that arrive several times, late and in another order, as over a network that
//! repeats them: each happens once, and gives its first answer again.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use common::pg::rounds;
use common::{START, builder, org, owner, register, user, user_member};
use guestlist::{
    Claim, Entropy, EntropyError, Error, Guestlist, IdempotencyKey, Issued, LinkDraft, ManualClock,
    MemoryStore, Preset, Uses,
};
use guestlist::{InviteToken, LinkId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const WORLDS: usize = 150;

/// What a caller wants. Links are named by the call that made them, tokens by the one that gave
/// them.
#[derive(Debug, Clone)]
enum Call {
    Create { auto: bool, uses: u64 },
    Refresh(usize),
    Disable(usize),
    Enable(usize),
    Delete(usize),
    Claim(u8, usize),
    Approve(u8),
    Reject(u8),
    Remove(u8),
    Leave(u8),
    Add(u8),
}

/// When a call arrives: some time after those before it were sent, or not at all.
type Copies = Vec<u16>;

fn arb_call() -> impl Strategy<Value = Call> {
    let who = || 0_u8..4;
    let earlier = || 0_usize..30;
    prop_oneof![
        4 => (any::<bool>(), 0_u64..4).prop_map(|(auto, uses)| Call::Create { auto, uses }),
        2 => earlier().prop_map(Call::Refresh),
        1 => earlier().prop_map(Call::Disable),
        2 => earlier().prop_map(Call::Enable),
        1 => earlier().prop_map(Call::Delete),
        10 => (who(), earlier()).prop_map(|(who, token)| Call::Claim(who, token)),
        3 => who().prop_map(Call::Approve),
        2 => who().prop_map(Call::Reject),
        2 => who().prop_map(Call::Remove),
        2 => who().prop_map(Call::Leave),
        1 => who().prop_map(Call::Add),
    ]
}

/// Most soon, some long after everything else.
fn arb_copies() -> impl Strategy<Value = Copies> {
    let delay = prop_oneof![4 => 0_u16..6, 2 => 0_u16..40, 1 => 1_000_u16..2_000];
    proptest::collection::vec(delay, 0..=5)
}

/// Draws the same for the same arrival, whatever came before it.
struct OfArrival(Mutex<ChaCha20Rng>);

impl OfArrival {
    fn begin(&self, arrival: usize) {
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&(arrival as u64).to_le_bytes());
        *self.0.lock().unwrap() = ChaCha20Rng::from_seed(seed);
    }
}

impl Entropy for OfArrival {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.0.lock().unwrap().fill_bytes(bytes);
        Ok(())
    }
}

struct Service {
    guestlist: Guestlist<MemoryStore>,
    clock: Arc<ManualClock>,
    entropy: Arc<OfArrival>,
    links: BTreeMap<usize, LinkId>,
    tokens: BTreeMap<usize, InviteToken>,
}

impl Service {
    async fn new() -> Self {
        let clock = common::clock();
        let entropy = Arc::new(OfArrival(Mutex::new(ChaCha20Rng::from_seed([1; 32]))));
        let guestlist = builder(MemoryStore::default(), &clock, 0)
            .entropy(Arc::clone(&entropy))
            .build();
        register(&guestlist, &["host"]).await;
        Self {
            guestlist,
            clock,
            entropy,
            links: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// A call arrives. Its answer, without a token, or the code of an error; `None` if it names
    /// something that nobody made.
    async fn receive(
        &mut self,
        number: usize,
        call: &Call,
        at: usize,
    ) -> Option<Result<String, String>> {
        self.clock
            .set(START + Duration::from_secs(10 * (at as u64 + 1)));
        self.entropy.begin(at);
        let key = IdempotencyKey::parse(&format!("call {number}")).unwrap();
        let g = self.guestlist.with_key(key);
        let (alice, host) = (owner("host"), org("host"));
        let (name, member) = match call {
            Call::Claim(who, _)
            | Call::Approve(who)
            | Call::Reject(who)
            | Call::Remove(who)
            | Call::Leave(who)
            | Call::Add(who) => (user(&format!("u{who}")), user_member(&format!("u{who}"))),
            _ => (user("nobody"), user_member("nobody")),
        };
        let issued = |result: Result<Issued, Error>| match result {
            Ok(issued) => {
                let text = format!("{:?}", issued.link);
                Ok((text, Some((issued.link.id, issued.token))))
            }
            Err(error) => Err(error),
        };
        let shown = |text: Result<String, Error>| text.map(|text| (text, None));
        let result = match call {
            Call::Create { auto, uses } => {
                let draft = if *auto {
                    LinkDraft::auto()
                } else {
                    LinkDraft::review()
                };
                let draft = match uses {
                    0 => draft,
                    uses => draft.max_uses(Uses::AtMost(*uses)),
                };
                issued(g.create_link(&alice, &host, draft).await)
            }
            Call::Refresh(link) => {
                let link = *self.links.get(link)?;
                issued(g.refresh_link(&alice, &host, link, Duration::ZERO).await)
            }
            Call::Enable(link) => {
                let link = *self.links.get(link)?;
                issued(g.enable_link(&alice, &host, link).await)
            }
            Call::Disable(link) => {
                let link = *self.links.get(link)?;
                let done = g.disable_link(&alice, &host, link).await;
                shown(done.map(|link| format!("{link:?}")))
            }
            Call::Delete(link) => {
                let link = *self.links.get(link)?;
                let done = g.delete_link(&alice, &host, link).await;
                shown(done.map(|link| format!("{link:?}")))
            }
            Call::Claim(_, token) => {
                let token = self.tokens.get(token)?;
                let done = g.claim(&name, token, Claim::for_myself()).await;
                shown(done.map(|done| format!("{done:?}")))
            }
            Call::Approve(_) => {
                let done = g.approve(&alice, &host, &member).await;
                shown(done.map(|done| format!("{done:?}")))
            }
            Call::Reject(_) => {
                let done = g.reject(&alice, &host, &member, None).await;
                shown(done.map(|done| format!("{done:?}")))
            }
            Call::Remove(_) => {
                let done = g.remove(&alice, &host, &member, None).await;
                shown(done.map(|done| format!("{done:?}")))
            }
            Call::Leave(_) => {
                let done = g.leave(&name, &host, &member).await;
                shown(done.map(|done| format!("{done:?}")))
            }
            Call::Add(_) => {
                let done = g
                    .add_member(&alice, &host, &member, Preset::default(), None)
                    .await;
                shown(done.map(|done| format!("{done:?}")))
            }
        };
        Some(match result {
            Ok((text, made)) => {
                if let Some((link, token)) = made {
                    let is_first = self.links.insert(number, link).is_none();
                    assert!(is_first || token.is_none(), "a token is shown once");
                    if let Some(token) = token {
                        self.tokens.insert(number, token);
                    }
                }
                Ok(text)
            }
            Err(error) => Err(error.code().to_owned()),
        })
    }

    /// The key of a call with something else that it never stood for.
    async fn abuse(&self, number: usize) -> String {
        let key = IdempotencyKey::parse(&format!("call {number}")).unwrap();
        let name = "something else".parse().unwrap();
        let g = self.guestlist.with_key(key);
        let result = g
            .create_group(&owner("host"), &org("host"), name, true)
            .await;
        result.unwrap_err().code().to_owned()
    }
}

async fn play(calls: &[(Call, Copies)]) {
    let mut arrivals: Vec<(usize, usize)> = Vec::new();
    for (number, (_, copies)) in calls.iter().enumerate() {
        arrivals.extend(
            copies
                .iter()
                .map(|delay| (number * 3 + usize::from(*delay), number)),
        );
    }
    arrivals.sort_unstable();
    let mut service = Service::new().await;
    let mut first: BTreeMap<usize, String> = BTreeMap::new();
    let mut once = Vec::new();
    for (at, (_, number)) in arrivals.iter().enumerate() {
        let call = &calls[*number].0;
        let Some(answer) = service.receive(*number, call, at).await else {
            continue;
        };
        if let Some(first) = first.get(number) {
            assert_eq!(answer.as_ref(), Ok(first), "{call:?} again");
            continue;
        }
        once.push((at, *number, answer.clone()));
        if let Ok(answer) = answer {
            first.insert(*number, answer);
            let by_owner = !matches!(call, Call::Claim(..) | Call::Leave(_));
            if by_owner {
                assert_eq!(service.abuse(*number).await, "idempotency-key-reused");
            }
        }
    }
    // Had nothing been repeated that had happened, everything would be as it is, to the byte.
    let mut other = Service::new().await;
    for (at, number, answer) in once {
        let again = other.receive(number, &calls[number].0, at).await;
        assert_eq!(again, Some(answer), "{:?}", calls[number].0);
    }
    let kept = |service: &Service| service.guestlist.store().kv().dump();
    assert!(
        kept(&service) == kept(&other),
        "a repeated call left something"
    );
}

#[test]
fn calls_that_arrive_again_change_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: u32::try_from(rounds(WORLDS)).unwrap(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let calls = proptest::collection::vec((arb_call(), arb_copies()), 1..30);
    TestRunner::new(config)
        .run(&calls, |calls| {
            runtime.block_on(play(&calls));
            Ok(())
        })
        .unwrap();
}
