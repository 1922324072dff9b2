//! The transition table of `src/machine.md`, derived from `decide`: every command on the machine,
//! on a membership in every phase. `UPDATE_TABLE=1` writes the file anew.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use core::fmt::Write;
use core::time::Duration;

use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::{JoinedBy, LinkCommand, LinkDraft, Preset};
use guestlist_membership::member::{Changes, MemberCommand, Phase, Profile};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{
    address, founder, link_id, org, org_member, presented, user_member,
};
use guestlist_membership::{Actor, CommandError, Event, Requests, SecondInvite};
use guestlist_membership::{link::Lasting, testing::World};
use guestlist_types::Member;

/// How a membership gets into a phase.
struct Way {
    name: &'static str,
    phase: Phase,
    steps: &'static [&'static str],
}

const WAYS: &[Way] = &[
    way("no record", Phase::Never, &[]),
    way("never joined", Phase::Never, &["block", "unblock"]),
    way("pending", Phase::Pending, &["claim review"]),
    way("approved", Phase::Approved, &["claim auto"]),
    way("rejected", Phase::Rejected, &["claim review", "reject"]),
    way("removed", Phase::Removed, &["claim auto", "remove"]),
    way(
        "cancelled (withdrew)",
        Phase::Cancelled,
        &["claim review", "cancel"],
    ),
    way(
        "cancelled (left)",
        Phase::Cancelled,
        &["claim auto", "leave"],
    ),
    way(
        "cancelled (expired)",
        Phase::Cancelled,
        &["claim short", "wait", "expire"],
    ),
    way(
        "request expired",
        Phase::RequestExpired,
        &["claim review", "wait"],
    ),
    way("expired", Phase::Expired, &["claim short", "wait"]),
    way("never joined, blocked", Phase::Never, &["block"]),
    way(
        "pending, blocked",
        Phase::Pending,
        &["claim review", "block"],
    ),
    way(
        "approved, blocked",
        Phase::Approved,
        &["claim auto", "block"],
    ),
];

const fn way(name: &'static str, phase: Phase, steps: &'static [&'static str]) -> Way {
    Way { name, phase, steps }
}

const COMMANDS: &[&str] = &[
    "claim review",
    "claim auto",
    "accept",
    "ask",
    "add",
    "approve",
    "reject",
    "remove",
    "cancel",
    "leave",
    "expire",
];

const HEADS: &[&str] = &[
    "claim, reviewed",
    "claim, approves itself",
    "accept",
    "request",
    "add",
    "approve",
    "reject",
    "remove",
    "cancel",
    "leave",
    "expire",
];

const TTL: Duration = Duration::from_secs(60);

fn world() -> World {
    let mut world = World::populated();
    let settings = Settings {
        request_ttl: Some(TTL),
        discoverable: true,
        requests: Requests {
            open: true,
            ..Requests::default()
        },
        second_invite: SecondInvite::Replace,
        ..Settings::default()
    };
    world
        .organization(
            0,
            &founder(0),
            OrganizationCommand::ChangeSettings {
                settings: Box::new(settings),
            },
        )
        .unwrap();
    let short = LinkDraft::auto().membership_ttl(Lasting::For(TTL));
    world.create(0, &founder(0), 3, short).unwrap();
    world
}

fn act(world: &mut World, member: &Member, what: &str) -> Result<Vec<Event>, CommandError> {
    let host = founder(0);
    let own = match member {
        Member::Org(_) => founder(1),
        Member::User(user) => Actor::user(user.clone()),
    };
    let member = member.clone();
    let proxy = world.draw_proxy();
    let (actor, command) = match what {
        "wait" => {
            world.pass(TTL);
            return Ok(Vec::new());
        }
        "claim review" | "claim auto" | "claim short" => {
            let link = match what {
                "claim review" => link_id(1),
                "claim auto" => link_id(2),
                _ => link_id(3),
            };
            // A token that no removal is later than.
            world.pass(Duration::from_micros(1));
            let token = world.draw(&org(0));
            let selector = token.selector;
            let overlap = Duration::ZERO;
            world
                .link(
                    0,
                    &host,
                    LinkCommand::Refresh {
                        link,
                        token,
                        overlap,
                    },
                )
                .unwrap();
            let command = MemberCommand::Claim {
                token: presented(selector),
                member,
                profile: Profile::default(),
                answers: Vec::new(),
                proxy,
            };
            (own, command)
        }
        "accept" => {
            // An invite that no removal is later than.
            world.pass(Duration::from_micros(1));
            let invite = u8::try_from(world.log().len() % 200).unwrap();
            let draft = InviteDraft::new().joined_by(JoinedBy::Both);
            let selector = world
                .send(0, &host, invite, address(invite), draft)
                .unwrap();
            let command = MemberCommand::Accept {
                token: presented(selector),
                member,
                profile: Profile::default(),
                proxy,
            };
            (own.with_verified_email(address(invite)), command)
        }
        "ask" => {
            let command = MemberCommand::Request {
                member,
                profile: Profile::default(),
                message: None,
                answers: Vec::new(),
                proxy,
            };
            (own, command)
        }
        "add" => {
            let command = MemberCommand::Add {
                member,
                profile: Profile::default(),
                gift: Box::new(Preset::default()),
                expires_at: None,
                proxy,
            };
            (host, command)
        }
        "approve" => {
            let changes = Box::new(Changes::default());
            let command = MemberCommand::Approve {
                member,
                changes,
                proxy,
            };
            (host, command)
        }
        "reject" => (
            host,
            MemberCommand::Reject {
                member,
                reason: None,
            },
        ),
        "remove" => (
            host,
            MemberCommand::Remove {
                member,
                reason: None,
            },
        ),
        "cancel" => (own, MemberCommand::Cancel { member }),
        "leave" => (own, MemberCommand::Leave { member }),
        "expire" => (Actor::system(), MemberCommand::Expire { member }),
        "block" => (
            host,
            MemberCommand::Block {
                member,
                reason: None,
            },
        ),
        "unblock" => (host, MemberCommand::Unblock { member }),
        other => panic!("{other}"),
    };
    world.member(0, &actor, command)
}

fn cell(way: &Way, member: &Member, command: &str) -> String {
    let mut world = world();
    for step in way.steps {
        act(&mut world, member, step).unwrap();
    }
    assert_eq!(world.phase(0, member), way.phase, "{}", way.name);
    let episode = |world: &World| {
        world
            .records()
            .membership(&org(0), member)
            .map_or(0, |record| record.episode.get())
    };
    let before = episode(&world);
    let outcome = act(&mut world, member, command);
    match outcome {
        // An invite that is used up changes itself and not a membership that is as it wants.
        Ok(events) if events.iter().all(|event| matches!(event, Event::Invite(_))) => {
            assert_eq!(world.phase(0, member), way.phase);
            "=".to_owned()
        }
        Ok(_) => {
            let record = world.records().membership(&org(0), member).unwrap();
            let status = record.status.unwrap().as_str();
            let opens = !matches!(way.phase, Phase::Pending | Phase::Approved)
                && !matches!(command, "expire");
            assert_eq!(
                episode(&world),
                before + u32::from(opens),
                "{}: a door opens an episode where nothing is live",
                way.name
            );
            // The same command on the state that it made is unchanged.
            let again = act(&mut world, member, command);
            let unchanged = again
                .as_ref()
                .is_ok_and(|events| events.iter().all(|event| matches!(event, Event::Invite(_))));
            assert!(unchanged, "{} {command}: {again:?}", way.name);
            format!("`{status}`")
        }
        Err(CommandError::WrongState { found, .. }) => {
            assert_eq!(found, way.phase, "the state that was found is named");
            "-".to_owned()
        }
        Err(CommandError::NotFound { what: "membership" }) => {
            assert_eq!(before, 0);
            assert_eq!(way.steps.len(), 0);
            "-".to_owned()
        }
        Err(CommandError::Blocked) => {
            assert!(way.name.ends_with("blocked"));
            "-".to_owned()
        }
        Err(other) => panic!("{} {command}: {other:?}", way.name),
    }
}

fn table() -> String {
    let mut text = format!("| | {} |\n", HEADS.join(" | "));
    writeln!(text, "|{}", "---|".repeat(HEADS.len() + 1)).unwrap();
    for way in WAYS {
        write!(text, "| {} |", way.name).unwrap();
        for command in COMMANDS {
            let cells = [user_member(4), org_member(1)].map(|member| cell(way, &member, command));
            assert_eq!(cells[0], cells[1], "{} {command}: both kinds", way.name);
            write!(text, " {} |", cells[0]).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_in_the_docs_is_what_decide_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/machine.md");
    let table = table();
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, table, "run once with UPDATE_TABLE=1 and read it");
}

/// A phase that no way leads to would be missing from the table.
#[test]
fn every_phase_is_in_the_table() {
    for phase in [
        Phase::Never,
        Phase::Pending,
        Phase::Approved,
        Phase::Rejected,
        Phase::Removed,
        Phase::Cancelled,
        Phase::RequestExpired,
        Phase::Expired,
    ] {
        // Breaks when there is another one.
        match phase {
            Phase::Never
            | Phase::Pending
            | Phase::Approved
            | Phase::Rejected
            | Phase::Removed
            | Phase::Cancelled
            | Phase::RequestExpired
            | Phase::Expired => {}
        }
        assert!(WAYS.iter().any(|way| way.phase == phase), "{phase}");
    }
}
