//! Another organization's ids are like ids of nothing: for every command and each id in it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use std::collections::BTreeSet;

use guestlist_access::{AccessCommand, ActionSet, Audience, Grantee, Pattern};
use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::LinkDraft;
use guestlist_membership::member::MemberCommand;
use guestlist_membership::organization::Settings;
use guestlist_membership::testing::{
    Stepped, World, address, arb_settings, arb_step, founder, grant_id, group_id, link_id, org,
};
use guestlist_membership::webhook::{SecretVersion, WebhookCommand};
use guestlist_membership::{Command, CommandError, Event};
use guestlist_types::{EndpointId, EndpointUrl, GroupName, OrgId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// The number in every id of the organization 1; its rows are of every kind that a command names.
const FOREIGN: u8 = 101;
/// The number in ids of nothing.
const UNKNOWN: u8 = 150;

/// How many worlds every run has.
const USUAL: u32 = 100;

/// So many, or as many as `GUESTLIST_ROUNDS` says.
fn rounds(usual: u32) -> u32 {
    std::env::var("GUESTLIST_ROUNDS").map_or(usual, |rounds| rounds.parse().unwrap())
}

/// An id of this number, of whatever kind: they are all printed alike.
fn printed(number: u8) -> String {
    let text = link_id(number).to_string();
    let (_, id) = text.split_at(text.len() - 36);
    id.to_owned()
}

fn world(settings: Settings) -> World {
    let mut world = World::populated();
    founder_says(&mut world, settings);
    let alice = founder(1);
    world
        .create(1, &alice, FOREIGN, LinkDraft::review())
        .unwrap();
    let invite = InviteDraft::default();
    world.send(1, &alice, FOREIGN, address(7), invite).unwrap();
    for command in [
        AccessCommand::CreateGroup {
            id: group_id(FOREIGN),
            name: GroupName::parse("foreign").unwrap(),
            internal: false,
        },
        AccessCommand::Grant {
            id: grant_id(FOREIGN),
            to: Grantee::Organization(Audience::Everyone),
            actions: ActionSet::ALL,
            pattern: Pattern::all(),
            expires_at: None,
        },
    ] {
        world.access(1, &alice, command).unwrap();
    }
    let endpoint = WebhookCommand::Create {
        endpoint: EndpointId::from_bytes([FOREIGN; 16]),
        url: EndpointUrl::parse("https://foreign.example/in").unwrap(),
        label: None,
        events: BTreeSet::new(),
        secret: SecretVersion {
            key: 1,
            generation: 1,
        },
    };
    world
        .run(&org(1), &alice, &Command::Webhook(endpoint))
        .unwrap();
    world
}

/// Settings that the world's limits refuse are left as they are.
fn founder_says(world: &mut World, settings: Settings) {
    use guestlist_membership::organization::OrganizationCommand::ChangeSettings;
    let settings = Box::new(settings);
    let _ = world.organization(0, &founder(0), ChangeSettings { settings });
}

type Outcome = Result<(OrgId, Vec<Event>, Vec<Result<(), CommandError>>), CommandError>;

fn decided(world: &World, step: &Stepped, command: &Command) -> Outcome {
    let (host, _, decided) = world.decide(&step.host, &step.actor, command)?;
    Ok((host, decided.events, decided.items))
}

/// The same command with another id in the place of this one, if it is there.
fn swapped(command: &Command, from: u8, to: u8) -> Option<Command> {
    let text = serde_json::to_string(command).unwrap();
    let other = text.replace(&printed(from), &printed(to));
    (other != text).then(|| serde_json::from_str(&other).unwrap())
}

/// Which command it is, by its names in JSON.
fn kind(command: &Command) -> String {
    let text = serde_json::to_string(command).unwrap();
    let names: Vec<&str> = text.split('"').skip(1).step_by(2).take(2).collect();
    names.join(" ")
}

/// What came of it, with the ids of nothing in the place of the foreign ones.
fn shown(outcome: &Outcome) -> String {
    format!("{outcome:?}").replace(&printed(FOREIGN), &printed(UNKNOWN))
}

/// The doors, and what a member does about its own membership, name another organization on
/// purpose.
fn is_from_outside(command: &Command) -> bool {
    use guestlist_membership::invite::InviteCommand;
    matches!(
        command,
        Command::Member(
            MemberCommand::Claim { .. }
                | MemberCommand::Accept { .. }
                | MemberCommand::Request { .. }
                | MemberCommand::Cancel { .. }
                | MemberCommand::Leave { .. }
                | MemberCommand::Expire { .. }
        ) | Command::Invite(InviteCommand::Decline { .. })
    )
}

#[test]
fn ids_of_another_organization_are_like_ids_of_nothing() {
    let config = ProptestConfig {
        cases: rounds(USUAL),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let kinds = std::cell::RefCell::new(BTreeSet::new());
    let steps = (arb_settings(), proptest::collection::vec(arb_step(), 1..40));
    TestRunner::new(config)
        .run(&steps, |(settings, steps)| {
            let mut world = world(settings);
            for step in &steps {
                let before = world.clone();
                let stepped = world.step(step);
                if stepped.host != org(0) {
                    continue;
                }
                // The clock may have moved with the step.
                let mut before = before;
                before.now = world.now;
                for number in (1..=12).chain([200]) {
                    let swap = |to| swapped(&stepped.command, number, to);
                    let (Some(foreign), Some(unknown)) = (swap(FOREIGN), swap(UNKNOWN)) else {
                        continue;
                    };
                    kinds.borrow_mut().insert(kind(&stepped.command));
                    let foreign = decided(&before, &stepped, &foreign);
                    let unknown = decided(&before, &stepped, &unknown);
                    prop_assert_eq!(shown(&foreign), shown(&unknown), "{:?}", stepped.command);
                }
                // The same in an organization that the actor has nothing to do with.
                let is_stranger = stepped.actor.user_id().is_some_and(|user| {
                    let member = guestlist_types::Member::User(user.clone());
                    before.records().membership(&org(1), &member).is_none()
                }) && stepped.actor.organization() != Some(&org(1));
                if is_stranger && !is_from_outside(&stepped.command) {
                    let elsewhere = |host| {
                        let refused = before.decide(&host, &stepped.actor, &stepped.command);
                        refused.map(|(_, _, decided)| decided.events)
                    };
                    let (foreign, unknown) = (elsewhere(org(1)), elsewhere(org(9)));
                    let tells_nothing = matches!(
                        foreign,
                        Err(CommandError::NotFound { .. } | CommandError::SystemOnly)
                    );
                    prop_assert!(tells_nothing, "{:?}: {foreign:?}", stepped.command);
                    prop_assert_eq!(foreign, unknown, "{:?}", stepped.command);
                }
            }
            Ok(())
        })
        .unwrap();
    let kinds = kinds.into_inner();
    let are_few = rounds(USUAL) < USUAL;
    assert!(
        are_few || kinds.len() > 20,
        "too few commands name an id: {kinds:?}"
    );
}
