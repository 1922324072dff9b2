//! Commands in a small world, through the real `decide` and `evolve`, beside the reference model
//! of the test kit: equal answers, rows, tokens and decisions after each of them, and every
//! invariant; and what is asked once more has no second effect.

#![no_main]

use std::cell::RefCell;

use arbitrary::Arbitrary;
use guestlist_membership::link::LinkCommand;
use guestlist_membership::organization::OrganizationCommand;
use guestlist_membership::testing::{World, org};
use guestlist_membership::{Actor, Command, CommandError};
use guestlist_testkit::differential::Differential;
use guestlist_testkit::fuzzing::{Choices, Steps};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Play {
    settings: Option<Choices>,
    steps: Steps,
}

/// The whole world is compared after each. Long runs are the model test's; here many worlds are
/// entered by many ways.
const MAX_STEPS: usize = 12;

thread_local! {
    /// Making it costs more than playing in it.
    static POPULATED: RefCell<Option<Differential>> = const { RefCell::new(None) };
}

fuzz_target!(|play: Play| {
    let populated = |both: &mut Option<Differential>| both.get_or_insert_default().clone();
    let mut both = POPULATED.with_borrow_mut(populated);
    if let Some(choices) = &play.settings {
        let settings = Box::new(choices.settings());
        let command = OrganizationCommand::ChangeSettings { settings };
        let command = Command::Organization(command);
        if let Err(failure) = both.command(&org(0), &Actor::system(), &command) {
            panic!("{failure}");
        }
    }
    for step in play.steps.iter().take(MAX_STEPS) {
        let log = both.world().log().len();
        let performed = match both.spell(|world| step.spell(world)) {
            Ok(performed) => performed,
            Err(failure) => panic!("{failure}"),
        };
        match &performed.outcome {
            Err(error) => {
                assert_eq!(both.world().log().len(), log);
                assert!(!matches!(error, CommandError::FactMissing { .. }));
            }
            Ok(decided) => {
                assert_eq!(both.world().log().len(), log + decided.events.len());
                for event in &decided.events {
                    let json = serde_json::to_string(event).expect("events are kept");
                    assert!(!json.contains("a5a5a5"), "a digest in an event");
                }
                // Whoever looks at a token again is on record each time.
                let is_look =
                    matches!(performed.command, Command::Link(LinkCommand::Reveal { .. }));
                if !is_look {
                    let again = both.world().clone();
                    once_more(again, &performed.host, &performed.actor, &performed.command);
                }
            }
        }
    }
    assert_eq!(both.violations(), []);
});

fn once_more(mut world: World, host: &guestlist_types::OrgId, actor: &Actor, command: &Command) {
    if let Ok(second) = world.run(host, actor, command) {
        assert!(
            second.is_empty(),
            "a second effect of {command:?}: {second:?}"
        );
    }
}
