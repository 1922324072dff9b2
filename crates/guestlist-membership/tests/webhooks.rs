//! The rules about webhook endpoints: who may have them, what they may be, and what becomes of
//! them. The organization 0 is the host, user 0 its founder.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

#[path = "common/outcome.rs"]
mod outcome;

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_membership::link::Preset;
use guestlist_membership::member::{MemberCommand, Profile};
use guestlist_membership::organization::OrganizationCommand;
use guestlist_membership::testing::{START, World, founder, org, role, user, user_member};
use guestlist_membership::webhook::{
    DisabledFor, Endpoint, EndpointStatus, MAX_EVENT_NAMES, MAX_SECRET_OVERLAP, SecretVersion,
    WebhookCommand,
};
use guestlist_membership::{Actor, Command};
use guestlist_types::{EndpointId, EndpointUrl, Label};

use outcome::{Outcome, done, refused};

const HOUR: Duration = Duration::from_secs(3600);
const MICRO: Duration = Duration::from_micros(1);
const ALMOST_AN_HOUR: Duration = Duration::from_micros(3_599_999_999);

const ENDPOINT: EndpointId = EndpointId::from_bytes([1; 16]);

const fn secret(generation: u32) -> SecretVersion {
    SecretVersion { key: 1, generation }
}

fn url(text: &str) -> EndpointUrl {
    EndpointUrl::parse_insecure(text).unwrap()
}

fn run(world: &mut World, actor: &Actor, command: WebhookCommand) -> Outcome {
    world.run(&org(0), actor, &Command::Webhook(command))
}

fn create_with(
    world: &mut World,
    actor: &Actor,
    to: &str,
    events: impl IntoIterator<Item = String>,
) -> Outcome {
    let command = WebhookCommand::Create {
        endpoint: ENDPOINT,
        url: url(to),
        label: None,
        events: events.into_iter().collect(),
        secret: secret(1),
    };
    run(world, actor, command)
}

const HTTPS: &str = "https://hooks.example/in";
const PLAIN: &str = "http://hooks.example/in";

/// A world with one endpoint, which gets everything.
fn with_endpoint() -> World {
    let mut world = World::populated();
    create_with(&mut world, &founder(0), HTTPS, []).unwrap();
    world
}

fn edit(world: &mut World, actor: &Actor, to: &str, events: &[&str]) -> Outcome {
    let command = WebhookCommand::Edit {
        endpoint: ENDPOINT,
        url: url(to),
        label: None,
        events: events.iter().map(ToString::to_string).collect(),
    };
    run(world, actor, command)
}

fn rotate(world: &mut World, generation: u32, overlap: Duration) -> Outcome {
    let command = WebhookCommand::Rotate {
        endpoint: ENDPOINT,
        secret: secret(generation),
        overlap,
    };
    run(world, &founder(0), command)
}

fn disable(world: &mut World, reason: DisabledFor) -> Outcome {
    let endpoint = ENDPOINT;
    let command = WebhookCommand::Disable { endpoint, reason };
    run(world, &founder(0), command)
}

fn enable(world: &mut World) -> Outcome {
    let endpoint = ENDPOINT;
    run(world, &founder(0), WebhookCommand::Enable { endpoint })
}

fn delete(world: &mut World) -> Outcome {
    let endpoint = ENDPOINT;
    run(world, &founder(0), WebhookCommand::Delete { endpoint })
}

fn endpoint(world: &World) -> Endpoint {
    let row = world.records().endpoint(&org(0), ENDPOINT);
    row.expect("an endpoint").clone()
}

fn signing(world: &World) -> Vec<u32> {
    let secrets = endpoint(world);
    let generations = secrets.secrets(world.now).map(|secret| secret.generation);
    generations.collect()
}

#[track_caller]
fn unchanged(outcome: &Outcome) {
    refused(outcome, "unchanged");
}

#[test]
fn only_who_manages_settings_has_endpoints() {
    let mut world = World::populated();
    for (number, name) in [(4, "member"), (5, "admin")] {
        let command = MemberCommand::Add {
            member: user_member(number),
            profile: Profile::default(),
            gift: Box::new(Preset {
                role: Some(role(name)),
                ..Preset::default()
            }),
            expires_at: None,
            proxy: world.draw_proxy(),
        };
        world.member(0, &founder(0), command).unwrap();
        let actor = Actor::user(user(number)).in_organization(org(0));
        refused(&create_with(&mut world, &actor, HTTPS, []), "not-allowed");
    }
    // Whoever is no member learns nothing, not even that there is none.
    for outsider in [founder(1), Actor::user(user(9))] {
        refused(&create_with(&mut world, &outsider, HTTPS, []), "not-found");
    }
    done(&create_with(&mut world, &founder(0), HTTPS, []));
    refused(&edit(&mut world, &founder(1), HTTPS, &[]), "not-found");
    let row = endpoint(&world);
    assert_eq!((row.created_at, row.organization), (START, org(0)));
    assert_eq!(row.status, EndpointStatus::Enabled);
    refused(
        &create_with(&mut world, &founder(0), HTTPS, []),
        "already-registered",
    );
}

#[test]
fn nothing_is_done_with_the_endpoints_of_a_deleted_organization() {
    let mut world = with_endpoint();
    world
        .organization(0, &founder(0), OrganizationCommand::Delete)
        .unwrap();
    refused(&rotate(&mut world, 2, HOUR), "organization-not-active");
}

#[test]
fn what_is_sent_is_encrypted_unless_the_host_application_says_otherwise() {
    let mut world = World::populated();
    refused(
        &create_with(&mut world, &founder(0), PLAIN, []),
        "endpoint-not-encrypted",
    );
    done(&create_with(&mut world, &Actor::system(), PLAIN, []));
    refused(
        &edit(&mut world, &founder(0), PLAIN, &["claimed"]),
        "endpoint-not-encrypted",
    );
    done(&edit(&mut world, &Actor::system(), PLAIN, &["claimed"]));
    done(&edit(&mut world, &founder(0), HTTPS, &["claimed"]));
}

#[test]
fn an_endpoint_asks_for_so_many_events_and_gets_those() {
    let mut world = World::populated();
    let many = |count: usize| (0..count).map(|number| format!("event-{number}"));
    let try_with = |events: Vec<String>| {
        let mut world = world.clone();
        create_with(&mut world, &founder(0), HTTPS, events)
    };
    done(&try_with(many(MAX_EVENT_NAMES).collect()));
    refused(&try_with(many(MAX_EVENT_NAMES + 1).collect()), "too-many");
    done(&try_with(vec!["x".repeat(64)]));
    refused(&try_with(vec!["x".repeat(65)]), "too-many");

    done(&create_with(
        &mut world,
        &founder(0),
        HTTPS,
        ["claimed".to_owned()],
    ));
    let row = endpoint(&world);
    assert!(row.wants("claimed") && !row.wants("left"));
    done(&edit(&mut world, &founder(0), HTTPS, &[]));
    let row = endpoint(&world);
    assert!(row.wants("claimed") && row.wants("left"), "none named: all");
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_that_is_so_already() {
    let mut world = with_endpoint();
    unchanged(&edit(&mut world, &founder(0), HTTPS, &[]));
    let before = endpoint(&world);
    world.pass(HOUR);
    let to = "https://other.example/in";
    let command = WebhookCommand::Edit {
        endpoint: ENDPOINT,
        url: url(to),
        label: Some(Label::parse("billing").unwrap()),
        events: BTreeSet::from(["left".to_owned()]),
    };
    done(&run(&mut world, &founder(0), command.clone()));
    unchanged(&run(&mut world, &founder(0), command));
    let expected = Endpoint {
        url: url(to),
        label: Some(Label::parse("billing").unwrap()),
        events: BTreeSet::from(["left".to_owned()]),
        updated_at: START + HOUR,
        ..before
    };
    assert_eq!(endpoint(&world), expected);
    // Each of the three alone is a change.
    let label = Some(Label::parse("billing").unwrap());
    let events = BTreeSet::from(["left".to_owned()]);
    for (url, label, events) in [
        (url(HTTPS), label.clone(), events.clone()),
        (url(to), None, events),
        (url(to), label, BTreeSet::new()),
    ] {
        let endpoint = ENDPOINT;
        let command = WebhookCommand::Edit {
            endpoint,
            url,
            label,
            events,
        };
        done(&run(&mut world.clone(), &founder(0), command));
    }
}

#[test]
fn a_new_secret_signs_beside_the_old_one_for_as_long_as_was_said() {
    let mut world = with_endpoint();
    assert_eq!(signing(&world), [1]);
    unchanged(&rotate(&mut world, 1, HOUR));
    assert_eq!(signing(&world), [1], "the same secret is no new one");
    done(&rotate(&mut world, 2, HOUR));
    assert_eq!(signing(&world), [2, 1], "the newest first");
    world.pass(ALMOST_AN_HOUR);
    assert_eq!(signing(&world), [2, 1]);
    world.pass(MICRO);
    assert_eq!(signing(&world), [2]);
    // Only the one before signs, too.
    done(&rotate(&mut world, 3, HOUR));
    done(&rotate(&mut world, 4, HOUR));
    assert_eq!(signing(&world), [4, 3]);
    done(&rotate(&mut world, 5, Duration::ZERO));
    assert_eq!(signing(&world), [5]);
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(MAX_SECRET_OVERLAP, week);
    refused(&rotate(&mut world, 6, week + MICRO), "overlap-too-long");
    done(&rotate(&mut world, 6, week));
}

#[test]
fn an_endpoint_is_disabled_and_enabled_once() {
    use DisabledFor::{Asked, Gone};
    let mut world = with_endpoint();
    unchanged(&enable(&mut world));
    done(&disable(&mut world, Gone));
    assert_eq!(endpoint(&world).status, EndpointStatus::Disabled(Gone));
    unchanged(&disable(&mut world, Gone));
    // Somebody's wish outlasts what the endpoint says of itself, and not the reverse.
    done(&disable(&mut world, Asked));
    assert_eq!(endpoint(&world).status, EndpointStatus::Disabled(Asked));
    unchanged(&disable(&mut world, Asked));
    unchanged(&disable(&mut world, Gone));
    assert_eq!(endpoint(&world).status, EndpointStatus::Disabled(Asked));
    done(&enable(&mut world));
    assert_eq!(endpoint(&world).status, EndpointStatus::Enabled);
    unchanged(&enable(&mut world));
    done(&disable(&mut world, Asked));
}

#[test]
fn a_deleted_endpoint_is_gone_for_every_command() {
    let mut world = with_endpoint();
    world.pass(HOUR);
    done(&delete(&mut world));
    let row = endpoint(&world);
    assert_eq!(row.deleted_at, Some(START + HOUR), "its row tells when");
    refused(&delete(&mut world), "not-found");
    refused(&enable(&mut world), "not-found");
    refused(&disable(&mut world, DisabledFor::Asked), "not-found");
    refused(&rotate(&mut world, 2, HOUR), "not-found");
    refused(&edit(&mut world, &founder(0), HTTPS, &[]), "not-found");
    refused(
        &create_with(&mut world, &founder(0), HTTPS, []),
        "already-registered",
    );
}

#[test]
fn a_clock_that_steps_back_lengthens_no_secret() {
    let mut world = with_endpoint();
    world.pass(HOUR);
    done(&edit(&mut world, &founder(0), HTTPS, &["left"]));
    world.now = START;
    done(&rotate(&mut world, 2, HOUR));
    let row = endpoint(&world);
    assert_eq!(row.older_secret, Some((secret(1), START + HOUR + HOUR)));
    assert_eq!(row.updated_at, START + HOUR);
}
