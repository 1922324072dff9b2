//! The pure core, explored: every state that a small world can get into by so many steps, with
//! `decide`, `evolve` and the preconditions of commits as they are.
//!
//! Three members, two links with at most two uses and two tokens each, a clock that steps forward
//! and back over every end, and two clients whose commits arrive late, twice or never, while
//! others get through at once. `GUESTLIST_ROUNDS` is how many states are reached, and
//! `GUESTLIST_SEED` picks another world: other kinds of members, limits, ends and settings.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what the small world leaves out is one case"
)]

#[path = "explore/judge.rs"]
mod judge;
#[path = "explore/model.rs"]
mod model;
#[path = "explore/shelf.rs"]
mod shelf;

use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use guestlist_membership::testing::link_id;
use model::{Request, Small, Start, Step};
use shelf::{Defect, digest};

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(number) => number.parse().unwrap(),
        Err(_) => usual,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it took is for the reader, nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

/// A fresh world, and what is a few steps on from it, so that the same number of further steps leads
/// to every corner.
const STARTS: &[Start] = &[
    |fresh| fresh,
    // One waits, one is in.
    |fresh| fresh.claims(0, 1).claims(1, 2),
    // One was removed, and there is a newer token.
    |fresh| {
        let removed = fresh.claims(1, 2).does(Request::Remove, 1);
        let refresh = Step::Do(Request::Refresh(link_id(2)));
        removed.step(Step::Forward).step(refresh)
    },
    // One was rejected, one withdrew.
    |fresh| {
        let rejected = fresh.claims(0, 1).does(Request::Reject, 0);
        rejected.claims(2, 1).does(Request::Cancel, 2)
    },
    // One decided too early, and the commit of another was applied.
    |fresh| {
        let stale = fresh.begins_to_claim(0, 2).claims(1, 2);
        stale.begins_to_claim(2, 1).step(Step::Commit(1))
    },
    // The limit of a link is reached, and its time is almost over.
    |fresh| {
        let waiting = fresh.claims(0, 1).claims(1, 2).step(Step::Forward);
        waiting.does(Request::Expire, 0)
    },
];

#[test]
fn every_state_keeps_the_rules() {
    let states = number("GUESTLIST_ROUNDS", 40_000);
    let seed = number("GUESTLIST_SEED", 1);
    let small = Small::new(seed, states, Defect::None, STARTS);
    println!("seed {seed}: {:?}", small.variant);
    let began = now();
    let checker = small
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{} states reached, {} of them different, up to {} steps deep, in {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth() - 1,
        began.elapsed().as_secs_f64()
    );
    checker.model().lift_limit();
    let discoveries = checker.discoveries();
    let mut wrong = Vec::new();
    for property in checker.model().properties() {
        let found = discoveries.get(property.name);
        match property.expectation {
            Expectation::Always => {
                if let Some(path) = found {
                    let steps = path.clone().into_actions();
                    wrong.push(format!("{}: broken by {steps:#?}", property.name));
                }
            }
            Expectation::Sometimes | Expectation::Eventually => {
                if found.is_none() {
                    wrong.push(format!("{}: it never happened", property.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n"));
}

/// What a store does wrong, what that breaks, and a state that is not far from it.
const DEFECTS: [(Defect, &str, Start); 5] = [
    (
        Defect::LinksUnchecked,
        "T5 T8 nobody comes by what is over",
        |fresh| fresh.begins_to_claim(0, 2),
    ),
    (
        Defect::MembershipsUnchecked,
        "M1 memberships move as in the table",
        |fresh| fresh.claims(0, 1).begins(Request::Approve, 0),
    ),
    (
        Defect::Unbounded,
        "T9 uses are counted and limited",
        // Who takes the last use writes that down with the link, which moves its revision, but not
        // where its time is the same already.
        |fresh| {
            let replaced = fresh
                .claims(1, 2)
                .step(Step::Do(Request::Refresh(link_id(2))));
            replaced.begins_to_claim(0, 2)
        },
    ),
    (
        Defect::ReceiptsUnread,
        "M15 a command is applied once",
        |fresh| fresh.begins_to_claim(0, 2),
    ),
    (
        Defect::HalfApplied,
        "T11 what is refused changes nothing",
        |fresh| fresh.begins_to_claim(0, 2),
    ),
];

/// The world in which both links have two uses.
const TWO_USES: u64 = 19;

/// The model can fail: over a store with one thing wrong it finds what that breaks.
#[test]
fn a_store_with_something_wrong_is_found_out() {
    for (defect, broken, start) in DEFECTS {
        let checker = Small::new(TWO_USES, 20_000, defect, &[start])
            .checker()
            .finish_when(HasDiscoveries::AnyOf([broken].into()))
            .spawn_bfs()
            .join();
        checker.model().lift_limit();
        let path = checker.discovery(broken);
        let path = path.unwrap_or_else(|| panic!("{defect:?} leaves `{broken}` as it is"));
        println!(
            "{defect:?}: found among {} states: {:?}",
            checker.unique_state_count(),
            path.into_actions()
        );
    }
}

/// The store of the model is that of the contract: `MemoryStore` loads the same rows with the same
/// revisions, and says the same of every commit.
#[test]
fn the_store_of_the_model_answers_as_the_real_one() {
    const STEPS: u64 = 200;
    let seed = number("GUESTLIST_SEED", 1);
    let mut taken = 0;
    for walk in 0..20 {
        let small = Small::mirrored(seed + walk);
        let mut state = small.init_states().remove(0);
        for step in 0..STEPS {
            let mut steps = Vec::new();
            small.actions(&state, &mut steps);
            let drawn = digest(&(seed, walk, step));
            let number = usize::try_from(drawn % steps.len() as u64).unwrap();
            let next = small.next_state(&state, steps.swap_remove(number));
            taken += usize::from(next.is_some());
            state = next.unwrap_or(state);
        }
    }
    assert!(taken > 200, "only {taken} steps led somewhere");
}
