use std::collections::BTreeSet;

use guestlist_types::{Key, OrgId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::book::{AccessChange, AccessHead, Audience, PresetGrant};
use crate::decide::{actions, decide};
use crate::event::evolve;
use crate::principal::Episodes;
use crate::role::Role;
use crate::testing::{
    NOW, arb_action_set, arb_book, arb_command, arb_group_id, arb_member_principal, arb_pattern,
    arb_sharing, universe,
};

fn user(id: &str) -> Member {
    Member::User(UserId::parse(id).unwrap())
}

fn org(id: &str) -> Member {
    Member::Org(OrgId::parse(id).unwrap())
}

fn live(member: Member, episode: u32) -> MemberPrincipal {
    MemberPrincipal::new(member, Episodes::only(Episode::new(episode)))
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn g(number: u8) -> GroupId {
    GroupId::from_bytes([number; 16])
}

fn r(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

fn create(number: u8) -> AccessCommand {
    AccessCommand::CreateGroup {
        id: g(number),
        name: GroupName::parse(&format!("group {number}")).unwrap(),
        internal: false,
    }
}

fn grant(number: u8, to: Grantee, actions: &[Action], text: &str) -> AccessCommand {
    AccessCommand::Grant {
        id: r(number),
        to,
        actions: ActionSet::of(actions),
        pattern: pattern(text),
        expires_at: None,
    }
}

fn add(group: u8, member: &Member) -> AccessCommand {
    AccessCommand::AddToGroup {
        group: g(group),
        member: member.clone(),
    }
}

fn remove(group: u8, member: &Member) -> AccessCommand {
    AccessCommand::RemoveFromGroup {
        group: g(group),
        member: member.clone(),
    }
}

fn nest(outer: u8, inner: u8) -> AccessCommand {
    AccessCommand::NestGroup {
        outer: g(outer),
        inner: g(inner),
    }
}

fn unnest(outer: u8, inner: u8) -> AccessCommand {
    AccessCommand::UnnestGroup {
        outer: g(outer),
        inner: g(inner),
    }
}

fn mark(group: u8, internal: bool) -> AccessCommand {
    AccessCommand::MarkInternal {
        group: g(group),
        internal,
    }
}

/// A user with this role who carries these grants.
struct Person {
    user: UserId,
    role: RoleName,
    principal: Principal,
}

impl Person {
    fn new(role: &str, grants: &[(&[Action], Option<&str>)]) -> Self {
        let user_id = UserId::parse("hand").unwrap();
        let mut principal = live(Member::User(user_id.clone()), 0);
        principal.grants = grants
            .iter()
            .map(|(actions, text)| PresetGrant {
                actions: ActionSet::of(actions),
                pattern: text.map_or_else(Pattern::all, pattern),
            })
            .collect();
        Self {
            user: user_id,
            role: RoleName::parse(role).unwrap(),
            principal: Principal::Member(principal),
        }
    }

    /// An owner who holds everything.
    fn owner() -> Self {
        Self::new("owner", &[(&Action::ALL, None)])
    }

    fn hand(&self) -> Hand<'_> {
        Hand {
            user: Some(&self.user),
            role: Some(&self.role),
            principal: &self.principal,
        }
    }

    fn asks(
        &self,
        book: &AccessBook,
        command: &AccessCommand,
        target: Option<Target<'_>>,
    ) -> Result<Vec<AccessEvent>, AccessError> {
        let roles = RoleCatalog::owner_admin_member();
        decide_change(book, command, &self.hand(), target, &roles, NOW)
    }

    fn code(&self, book: &AccessBook, command: &AccessCommand) -> &'static str {
        code(&self.asks(book, command, None))
    }

    fn code_with(
        &self,
        book: &AccessBook,
        command: &AccessCommand,
        target: &MemberPrincipal,
    ) -> &'static str {
        code(&self.asks(book, command, Some(of(target))))
    }
}

fn of(live: &MemberPrincipal) -> Target<'_> {
    Target {
        member: &live.member,
        live: Some(live),
    }
}

/// "done", "unchanged", or the error's code.
fn code(result: &Result<Vec<AccessEvent>, AccessError>) -> &'static str {
    match result {
        Ok(events) if events.is_empty() => "unchanged",
        Ok(_) => "done",
        Err(error) => error.code(),
    }
}

/// A book in which an owner who holds everything did all this.
fn book_after(steps: &[(AccessCommand, Option<&MemberPrincipal>)]) -> AccessBook {
    let mut book = AccessBook::new();
    for (command, target) in steps {
        let events = Person::owner().asks(&book, command, target.map(of));
        for event in events.unwrap() {
            evolve(&mut book, &event);
        }
    }
    book
}

#[test]
fn codes_are_pinned() {
    let (group, outer, inner, grant) = (g(1), g(1), g(1), r(1));
    let actions = ActionSet::EMPTY;
    let pattern = Pattern::all();
    for (error, code) in [
        (AccessError::Outsider, "outsider"),
        (
            AccessError::MissingCapability {
                capability: Capability::GroupsManage,
            },
            "missing-capability",
        ),
        (AccessError::OwnersOnly, "owners-only"),
        (
            AccessError::ShareNotHeld {
                pattern: pattern.clone(),
            },
            "share-not-held",
        ),
        (
            AccessError::ActionNotHeld {
                action: Action::Read,
                pattern,
            },
            "action-not-held",
        ),
        (AccessError::GroupNotFound { group }, "group-not-found"),
        (AccessError::GroupExists { group }, "group-exists"),
        (
            AccessError::GroupNameTaken {
                name: GroupName::parse("a").unwrap(),
            },
            "group-name-taken",
        ),
        (AccessError::GroupCycle { outer, inner }, "group-cycle"),
        (AccessError::InternalGroup { group }, "internal-group"),
        (AccessError::OutsiderInGroup { group }, "outsider-in-group"),
        (AccessError::HeldOtherwise { group }, "group-held-otherwise"),
        (
            AccessError::MemberNotLive {
                member: user("ada"),
            },
            "member-not-live",
        ),
        (AccessError::GrantNotFound { grant }, "grant-not-found"),
        (AccessError::GrantExists { grant }, "grant-exists"),
        (AccessError::NoActions, "grant-without-actions"),
        (AccessError::AlreadyExpired, "grant-already-expired"),
        (AccessError::OutsiderCeiling { actions }, "outsider-ceiling"),
    ] {
        assert_eq!(error.code(), code);
        let message = error.to_string();
        assert!(!message.ends_with('.') && !message.is_empty());
    }
}

#[test]
fn each_command_needs_its_capability() {
    let member = Person::new("member", &[(&Action::ALL, None)]);
    let admin = Person::new("admin", &[(&Action::ALL, None)]);
    let book = book_after(&[(create(1), None), (create(2), None), (nest(1, 2), None)]);
    let ada = live(user("ada"), 0);
    let name = GroupName::parse("other").unwrap();
    for command in [
        create(3),
        AccessCommand::RenameGroup { group: g(1), name },
        AccessCommand::DeleteGroup { group: g(1) },
        mark(1, true),
        add(1, &ada.member),
        remove(1, &ada.member),
        nest(1, 2),
        unnest(1, 2),
    ] {
        assert_eq!(
            member.asks(&book, &command, Some(of(&ada))),
            Err(AccessError::MissingCapability {
                capability: Capability::GroupsManage
            })
        );
        assert!(
            admin.asks(&book, &command, Some(of(&ada))).is_ok(),
            "{command:?}"
        );
    }
    for command in [
        AccessCommand::SetExternalGroup(Some(g(1))),
        AccessCommand::SetSharing(Sharing::OwnersOnly),
    ] {
        assert_eq!(
            admin.asks(&book, &command, None),
            Err(AccessError::MissingCapability {
                capability: Capability::SettingsManage
            })
        );
        assert_eq!(Person::owner().code(&book, &command), "done");
    }
    // Sharing is the authority to grant, whatever the role.
    let to = Grantee::Organization(Audience::Everyone);
    assert_eq!(
        member.code(&book, &grant(1, to, &[Action::Read], "k")),
        "done"
    );
}

#[test]
fn ids_that_are_not_there_are_told_to_those_who_may_ask_only() {
    let (owner, member) = (Person::owner(), Person::new("member", &[]));
    let book = AccessBook::new();
    let ada = live(user("ada"), 0);
    let name = GroupName::parse("other").unwrap();
    for command in [
        AccessCommand::RenameGroup { group: g(1), name },
        AccessCommand::DeleteGroup { group: g(1) },
        mark(1, true),
        add(1, &ada.member),
        remove(1, &ada.member),
        nest(1, 2),
        unnest(1, 2),
        AccessCommand::SetExternalGroup(Some(g(1))),
    ] {
        assert_eq!(owner.code_with(&book, &command, &ada), "group-not-found");
        assert_eq!(
            member.code_with(&book, &command, &ada),
            "missing-capability"
        );
    }
    let book = book_after(&[(create(1), None)]);
    assert_eq!(owner.code(&book, &nest(1, 2)), "group-not-found");
    assert_eq!(owner.code(&book, &unnest(1, 2)), "group-not-found");
    let to_group = grant(1, Grantee::Group(g(2)), &[Action::Read], "k");
    assert_eq!(owner.code(&book, &to_group), "group-not-found");
    let revoke = AccessCommand::Revoke { grant: r(1) };
    assert_eq!(owner.code(&book, &revoke), "grant-not-found");
}

#[test]
fn sharing_rules_say_what_a_giver_must_hold() {
    let rs = [Action::Read, Action::Share];
    let everyone = || Grantee::Organization(Audience::Everyone);
    let nothing: &[(&[Action], Option<&str>)] = &[];
    for (sharing, role, held, action, text, expected) in [
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs[..], Some("a/"))][..],
            Action::Read,
            "a/b/",
            "done",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs, Some("a/"))],
            Action::Read,
            "a/",
            "done",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs, Some("a/"))],
            Action::Read,
            "a",
            "share-not-held",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs, Some("a/"))],
            Action::Read,
            "ab/",
            "share-not-held",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs, Some("a/b/"))],
            Action::Read,
            "a/",
            "share-not-held",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&rs, Some("a/"))],
            Action::Update,
            "a/b",
            "action-not-held",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&[Action::Read], None), (&[Action::Share], Some("a/"))],
            Action::Read,
            "a/b",
            "done",
        ),
        (
            Sharing::WithinOwn,
            "member",
            &[(&[Action::Read], None)],
            Action::Read,
            "a",
            "share-not-held",
        ),
        (
            Sharing::WithinOwn,
            "owner",
            nothing,
            Action::Read,
            "a",
            "share-not-held",
        ),
        (
            Sharing::WithinNamespace,
            "member",
            &[(&rs, Some("a/"))],
            Action::Update,
            "a/b",
            "done",
        ),
        (
            Sharing::WithinNamespace,
            "member",
            &[(&rs, Some("a/"))],
            Action::Read,
            "b",
            "share-not-held",
        ),
        (
            Sharing::WithinNamespace,
            "owner",
            nothing,
            Action::Read,
            "b",
            "share-not-held",
        ),
        (
            Sharing::OwnersOnly,
            "owner",
            nothing,
            Action::Update,
            "b",
            "done",
        ),
        (
            Sharing::OwnersOnly,
            "admin",
            &[(&Action::ALL, None)],
            Action::Read,
            "b",
            "owners-only",
        ),
        (
            Sharing::OwnersOnly,
            "root",
            &[(&Action::ALL, None)],
            Action::Read,
            "b",
            "owners-only",
        ),
    ] {
        let mut book = AccessBook::new();
        evolve(&mut book, &AccessEvent::SharingSet(sharing));
        let person = Person::new(role, held);
        let found = person.code(&book, &grant(1, everyone(), &[action], text));
        assert_eq!(found, expected, "{sharing:?} {role} {action} {text}");
        let roles = RoleCatalog::owner_admin_member();
        let door = may_give_grant(
            &book,
            &person.hand(),
            &roles,
            action.into(),
            &pattern(text),
            MemberKind::User,
            NOW,
        );
        assert_eq!(
            door.map_or_else(|error| error.code(), |()| "done"),
            expected
        );
    }
}

#[test]
fn what_has_expired_is_not_held() {
    let person = Person::new("member", &[]);
    let mut book = AccessBook::new();
    for (number, action, ends) in [(1, Action::Read, 6), (2, Action::Share, 5)] {
        evolve(
            &mut book,
            &AccessEvent::GrantMade(Grant {
                id: r(number),
                giver: Giver::System,
                at: NOW,
                expires_at: Some(Timestamp::from_micros(ends)),
                subject: Subject::Member {
                    member: user("hand"),
                    episode: Episode::NONE,
                },
                actions: action.into(),
                pattern: Pattern::all(),
            }),
        );
    }
    let command = grant(
        3,
        Grantee::Organization(Audience::Everyone),
        &[Action::Read],
        "k",
    );
    assert_eq!(person.code(&book, &command), "share-not-held");
}

#[test]
fn revoking_needs_share_over_the_pattern_or_an_owner() {
    let to = Grantee::Organization(Audience::Everyone);
    let mut book = book_after(&[(grant(1, to, &[Action::Read], "a/b/"), None)]);
    let revoke = AccessCommand::Revoke { grant: r(1) };
    let share = [Action::Share];
    for sharing in [Sharing::WithinOwn, Sharing::WithinNamespace] {
        evolve(&mut book, &AccessEvent::SharingSet(sharing));
        for (role, text, expected) in [
            ("member", "a/", "done"),
            ("admin", "a/b/c/", "share-not-held"),
            ("owner", "x", "done"),
        ] {
            let person = Person::new(role, &[(&share, Some(text))]);
            assert_eq!(person.code(&book, &revoke), expected, "{role} {text}");
        }
    }
    evolve(&mut book, &AccessEvent::SharingSet(Sharing::OwnersOnly));
    let admin = Person::new("admin", &[(&Action::ALL, None)]);
    assert_eq!(admin.code(&book, &revoke), "owners-only");
    assert_eq!(Person::new("owner", &[]).code(&book, &revoke), "done");
}

#[test]
fn a_grant_says_what_to_whom_and_until_when() {
    let owner = Person::owner();
    let book = book_after(&[(create(1), None)]);
    let everyone = || Grantee::Organization(Audience::Everyone);
    assert_eq!(
        owner.code(&book, &grant(1, everyone(), &[], "k")),
        "grant-without-actions"
    );
    for (micros, expected) in [
        (4, "grant-already-expired"),
        (5, "grant-already-expired"),
        (6, "done"),
    ] {
        let command = AccessCommand::Grant {
            id: r(1),
            to: everyone(),
            actions: Action::Read.into(),
            pattern: Pattern::all(),
            expires_at: Some(Timestamp::from_micros(micros)),
        };
        assert_eq!(owner.code(&book, &command), expected, "{micros}");
    }
    let ada = live(user("ada"), 7);
    let command = grant(1, Grantee::Member(user("ada")), &[Action::Read], "k");
    let expected = Grant {
        id: r(1),
        giver: Giver::User(UserId::parse("hand").unwrap()),
        at: NOW,
        expires_at: None,
        subject: Subject::Member {
            member: user("ada"),
            episode: Episode::new(7),
        },
        actions: Action::Read.into(),
        pattern: pattern("k"),
    };
    assert_eq!(
        owner.asks(&book, &command, Some(of(&ada))),
        Ok(vec![AccessEvent::GrantMade(expected)])
    );
    let hand = Hand {
        user: None,
        ..owner.hand()
    };
    let roles = RoleCatalog::owner_admin_member();
    let events = decide_change(&book, &command, &hand, Some(of(&ada)), &roles, NOW).unwrap();
    assert!(matches!(
        &events[..],
        [AccessEvent::GrantMade(Grant {
            giver: Giver::System,
            ..
        })]
    ));
}

#[test]
fn nothing_is_given_to_a_member_who_is_not_live() {
    let owner = Person::owner();
    let book = book_after(&[(create(1), None)]);
    let (acme, other) = (org("acme"), live(org("other"), 1));
    let ended = Target {
        member: &acme,
        live: None,
    };
    // A standing that is somebody else's is none.
    let mixed = Target {
        member: &acme,
        live: Some(&other),
    };
    let right = live(acme.clone(), 2);
    let mislabelled = Target {
        member: &other.member,
        live: Some(&right),
    };
    for command in [
        grant(1, Grantee::Member(acme.clone()), &[Action::Read], "k"),
        add(1, &acme),
    ] {
        for target in [
            None,
            Some(ended),
            Some(mixed),
            Some(mislabelled),
            Some(of(&other)),
        ] {
            let refused = owner.asks(&book, &command, target);
            assert_eq!(
                refused,
                Err(AccessError::MemberNotLive {
                    member: acme.clone()
                })
            );
        }
        assert_eq!(owner.code_with(&book, &command, &right), "done");
    }
}

#[test]
fn share_and_public_read_never_go_to_an_outsider() {
    let owner = Person::owner();
    let acme = live(org("acme"), 1);
    let book = AccessBook::new();
    for (given, expected) in [
        (&[Action::Read, Action::Update][..], "done"),
        (&[Action::Share], "outsider-ceiling"),
        (&[Action::Read, Action::PublicRead], "outsider-ceiling"),
    ] {
        let command = grant(1, Grantee::Member(org("acme")), given, "k");
        assert_eq!(owner.code_with(&book, &command, &acme), expected);
        let roles = RoleCatalog::owner_admin_member();
        let given = ActionSet::of(given);
        for (kind, expected) in [(MemberKind::Org, expected), (MemberKind::User, "done")] {
            let door = may_give_grant(
                &book,
                &owner.hand(),
                &roles,
                given,
                &pattern("k"),
                kind,
                NOW,
            );
            assert_eq!(
                door.map_or_else(|error| error.code(), |()| "done"),
                expected
            );
        }
    }
}

#[test]
fn repeating_changes_nothing() {
    let owner = Person::owner();
    let ada = live(user("ada"), 1);
    let to_ada = Grantee::Member(user("ada"));
    let book = book_after(&[
        (create(1), None),
        (create(2), None),
        (add(1, &ada.member), Some(&ada)),
        (nest(2, 1), None),
        (mark(2, true), None),
        (grant(1, to_ada.clone(), &[Action::Read], "k"), Some(&ada)),
        (AccessCommand::SetSharing(Sharing::WithinNamespace), None),
    ]);
    let bob = user("bob");
    for command in [
        create(1),
        AccessCommand::RenameGroup {
            group: g(1),
            name: GroupName::parse("group 1").unwrap(),
        },
        mark(2, true),
        mark(1, false),
        add(1, &ada.member),
        remove(2, &ada.member),
        remove(1, &bob),
        nest(2, 1),
        unnest(1, 2),
        AccessCommand::SetExternalGroup(None),
        AccessCommand::SetSharing(Sharing::WithinNamespace),
        grant(1, to_ada.clone(), &[Action::Read], "k"),
    ] {
        assert_eq!(
            owner.code_with(&book, &command, &ada),
            "unchanged",
            "{command:?}"
        );
    }
    let again = grant(1, to_ada.clone(), &[Action::Read], "k");
    let (roles, later) = (RoleCatalog::owner_admin_member(), Timestamp::from_micros(9));
    let answer = decide_change(&book, &again, &owner.hand(), Some(of(&ada)), &roles, later);
    assert_eq!(
        code(&answer),
        "unchanged",
        "and a grant is as old as it was"
    );
    let other = AccessCommand::CreateGroup {
        id: g(1),
        name: GroupName::parse("other").unwrap(),
        internal: false,
    };
    assert_eq!(owner.code(&book, &other), "group-exists");
    let other = grant(1, to_ada, &[Action::Update], "k");
    assert_eq!(owner.code_with(&book, &other, &ada), "grant-exists");
}

#[test]
fn names_are_unique_among_the_groups_that_exist() {
    let owner = Person::owner();
    let mut book = book_after(&[(create(1), None), (create(2), None)]);
    let name = GroupName::parse("group 1").unwrap();
    let again = AccessCommand::CreateGroup {
        id: g(3),
        name: name.clone(),
        internal: false,
    };
    let rename = AccessCommand::RenameGroup { group: g(2), name };
    assert_eq!(owner.code(&book, &again), "group-name-taken");
    assert_eq!(owner.code(&book, &rename), "group-name-taken");
    for event in owner
        .asks(&book, &AccessCommand::DeleteGroup { group: g(1) }, None)
        .unwrap()
    {
        evolve(&mut book, &event);
    }
    assert_eq!(owner.code(&book, &again), "done");
    assert_eq!(owner.code(&book, &rename), "done");
}

#[test]
fn deleting_a_group_ends_all_that_hangs_on_it() {
    let owner = Person::owner();
    let (ada, acme) = (live(user("ada"), 1), live(org("acme"), 1));
    let before = book_after(&[(create(1), None), (create(3), None)]);
    let mut book = before.clone();
    for (command, target) in [
        (create(2), None),
        (nest(1, 2), None),
        (nest(2, 3), None),
        (add(2, &ada.member), Some(&ada)),
        (add(2, &acme.member), Some(&acme)),
        (grant(1, Grantee::Group(g(2)), &[Action::Read], "k"), None),
        (AccessCommand::SetExternalGroup(Some(g(2))), None),
    ] {
        for event in owner.asks(&book, &command, target.map(of)).unwrap() {
            evolve(&mut book, &event);
        }
    }
    let events = owner
        .asks(&book, &AccessCommand::DeleteGroup { group: g(2) }, None)
        .unwrap();
    let member = |member: &Member| GroupMember::Member {
        member: member.clone(),
        episode: Episode::new(1),
    };
    assert_eq!(
        events,
        [AccessEvent::GroupDeleted {
            group: g(2),
            members: vec![
                GroupMember::Group(g(3)),
                member(&acme.member),
                member(&ada.member)
            ],
            outer: vec![g(1)],
            grants: vec![r(1)],
            was_external: true,
        }]
    );
    evolve(&mut book, &events[0]);
    assert_eq!(book, before, "no row is left");
}

#[test]
fn rows_that_are_left_keep_an_id_from_being_used_again() {
    let owner = Person::owner();
    let external = AccessHead {
        external_group: Some(g(1)),
        ..AccessHead::default()
    };
    for row in [
        AccessChange::Head(external),
        AccessChange::PutGroupMember {
            group: g(1),
            member: GroupMember::Group(g(2)),
        },
        AccessChange::PutGroupMember {
            group: g(2),
            member: GroupMember::Group(g(1)),
        },
        AccessChange::PutGrant(Grant {
            id: r(1),
            giver: Giver::System,
            at: NOW,
            expires_at: None,
            subject: Subject::Group(g(1)),
            actions: ActionSet::ALL,
            pattern: Pattern::all(),
        }),
    ] {
        let mut book = AccessBook::new();
        book.apply(&row);
        assert_eq!(owner.code(&book, &create(1)), "group-exists", "{row:?}");
    }
}

#[test]
fn cycles_are_refused() {
    let owner = Person::owner();
    let book = book_after(&[
        (create(1), None),
        (create(2), None),
        (create(3), None),
        (nest(2, 1), None),
        (nest(3, 2), None),
    ]);
    for (outer, inner) in [(1, 1), (1, 2), (1, 3), (2, 3)] {
        assert_eq!(owner.code(&book, &nest(outer, inner)), "group-cycle");
    }
    assert_eq!(
        owner.code(&book, &nest(3, 1)),
        "done",
        "a second path is no cycle"
    );
}

#[test]
fn no_outsider_comes_into_an_internal_group_by_any_path() {
    let owner = Person::owner();
    let (ada, acme) = (live(user("ada"), 1), live(org("acme"), 1));
    // 2 contains 1 and is internal; 4 has an outsider; 5 contains the external group 6.
    let book = book_after(&[
        (create(1), None),
        (create(2), None),
        (nest(2, 1), None),
        (mark(2, true), None),
        (create(4), None),
        (add(4, &acme.member), Some(&acme)),
        (create(5), None),
        (create(6), None),
        (nest(5, 6), None),
        (AccessCommand::SetExternalGroup(Some(g(6))), None),
        (create(7), None),
        (nest(7, 4), None),
    ]);
    for (command, target, expected) in [
        (add(1, &acme.member), &acme, "internal-group"),
        (add(2, &acme.member), &acme, "internal-group"),
        (add(1, &ada.member), &ada, "done"),
        (nest(1, 4), &acme, "internal-group"),
        (nest(2, 5), &acme, "internal-group"),
        (nest(1, 7), &acme, "internal-group"),
        (
            AccessCommand::SetExternalGroup(Some(g(1))),
            &acme,
            "internal-group",
        ),
        (AccessCommand::SetExternalGroup(Some(g(4))), &acme, "done"),
        (mark(4, true), &acme, "outsider-in-group"),
        (mark(5, true), &acme, "outsider-in-group"),
        (mark(6, true), &acme, "outsider-in-group"),
        (mark(7, true), &acme, "outsider-in-group"),
        (mark(1, true), &acme, "done"),
    ] {
        assert_eq!(
            owner.code_with(&book, &command, target),
            expected,
            "{command:?}"
        );
    }
    let roles = RoleCatalog::owner_admin_member();
    for (kind, expected) in [
        (MemberKind::Org, Err("internal-group")),
        (MemberKind::User, Ok(())),
    ] {
        let door = may_give_group(&book, &owner.hand(), &roles, g(1), kind, NOW);
        assert_eq!(door.map_err(|error| error.code()), expected);
    }
}

#[test]
fn an_outsider_in_an_internal_group_can_be_taken_out() {
    let acme = org("acme");
    let mut book = book_after(&[(create(1), None), (mark(1, true), None)]);
    book.apply(&AccessChange::PutGroupMember {
        group: g(1),
        member: GroupMember::Member {
            member: acme.clone(),
            episode: Episode::new(1),
        },
    });
    assert_eq!(Person::owner().code(&book, &remove(1, &acme)), "done");
}

#[test]
fn adding_is_per_episode_and_removing_takes_them_all() {
    let owner = Person::owner();
    let acme = org("acme");
    let (first, second) = (live(acme.clone(), 1), live(acme.clone(), 2));
    let mut book = book_after(&[
        (create(1), None),
        (add(1, &acme), Some(&first)),
        (add(1, &acme), Some(&second)),
    ]);
    assert_eq!(book.members_of(g(1)).count(), 2);
    // Also when the membership has ended, and nothing is known of it.
    for event in owner.asks(&book, &remove(1, &acme), None).unwrap() {
        evolve(&mut book, &event);
    }
    assert_eq!(book.members_of(g(1)).count(), 0);
    assert_eq!(owner.code(&book, &remove(1, &acme)), "unchanged");
}

#[test]
fn removing_does_not_pretend_to_end_what_it_can_not() {
    let owner = Person::owner();
    let book = book_after(&[
        (create(1), None),
        (create(2), None),
        (AccessCommand::SetExternalGroup(Some(g(2))), None),
    ]);
    let mut acme = live(org("acme"), 1);
    acme.groups.push(g(1));
    for group in [1, 2] {
        let command = remove(group, &acme.member);
        assert_eq!(
            owner.code_with(&book, &command, &acme),
            "group-held-otherwise"
        );
    }
    assert_eq!(
        owner.code_with(&book, &add(1, &acme.member), &acme),
        "unchanged"
    );
    let bob = live(user("bob"), 1);
    assert_eq!(
        owner.code_with(&book, &remove(2, &bob.member), &bob),
        "unchanged"
    );
}

#[test]
fn a_group_is_a_gift_of_all_that_it_reaches() {
    // 3 contains 2 contains 1; only 3 has a grant.
    let book = book_after(&[
        (create(1), None),
        (create(2), None),
        (create(3), None),
        (create(4), None),
        (nest(2, 1), None),
        (nest(3, 2), None),
        (
            grant(1, Grantee::Group(g(3)), &[Action::Update], "a/"),
            None,
        ),
    ]);
    let ada = live(user("ada"), 1);
    let settings = RoleCatalog::new(vec![
        Role::new(
            RoleName::parse("keeper").unwrap(),
            [Capability::GroupsManage, Capability::SettingsManage],
        ),
        Role::new(RoleName::parse("owner").unwrap(), Capability::ALL),
    ])
    .unwrap();
    for (held, expected) in [
        (&[][..], Err("share-not-held")),
        (
            &[(&[Action::Share][..], Some("a/"))],
            Err("action-not-held"),
        ),
        (
            &[(&[Action::Share, Action::Update], Some("a/b/"))],
            Err("share-not-held"),
        ),
        (&[(&[Action::Share, Action::Update], Some("a/"))], Ok(())),
    ] {
        let keeper = Person::new("keeper", held);
        for command in [
            add(1, &ada.member),
            add(3, &ada.member),
            remove(1, &ada.member),
            nest(1, 4),
            nest(3, 4),
            unnest(2, 1),
            unnest(3, 2),
            AccessCommand::SetExternalGroup(Some(g(1))),
            AccessCommand::DeleteGroup { group: g(1) },
        ] {
            let result = decide_change(
                &book,
                &command,
                &keeper.hand(),
                Some(of(&ada)),
                &settings,
                NOW,
            );
            let found = result.map(|_| ()).map_err(|error| error.code());
            assert_eq!(found, expected, "{command:?}");
        }
        let door = may_give_group(&book, &keeper.hand(), &settings, g(1), MemberKind::Org, NOW);
        assert_eq!(door.map_err(|error| error.code()), expected);
        // What reaches nothing can be given by whoever keeps groups.
        let free = add(4, &ada.member);
        let result = decide_change(&book, &free, &keeper.hand(), Some(of(&ada)), &settings, NOW);
        assert_eq!(code(&result), "done");
    }
    // Unsetting takes from every outsider what setting gave.
    let set = AccessCommand::SetExternalGroup(Some(g(1)));
    let unset = AccessCommand::SetExternalGroup(None);
    let mut book = book;
    for event in Person::owner().asks(&book, &set, None).unwrap() {
        evolve(&mut book, &event);
    }
    let keeper = Person::new("keeper", &[]);
    let result = decide_change(&book, &unset, &keeper.hand(), None, &settings, NOW);
    assert_eq!(code(&result), "share-not-held");
    assert_eq!(Person::owner().code(&book, &unset), "done");
}

#[test]
fn a_grant_that_has_ended_is_no_part_of_the_gift() {
    let mut book = book_after(&[(create(1), None)]);
    let ada = live(user("ada"), 1);
    let admin = Person::new("admin", &[]);
    for (number, micros, expected) in [(1, 5, "done"), (2, 6, "share-not-held")] {
        book.apply(&AccessChange::PutGrant(Grant {
            id: r(number),
            giver: Giver::System,
            at: NOW,
            expires_at: Some(Timestamp::from_micros(micros)),
            subject: Subject::Group(g(1)),
            actions: Action::Read.into(),
            pattern: Pattern::all(),
        }));
        assert_eq!(admin.code_with(&book, &add(1, &ada.member), &ada), expected);
    }
}

#[test]
fn an_owner_can_delete_a_group_whose_grants_nobody_may_give() {
    let book = book_after(&[
        (create(1), None),
        (
            grant(1, Grantee::Group(g(1)), &[Action::Update], "a/"),
            None,
        ),
    ]);
    let delete = AccessCommand::DeleteGroup { group: g(1) };
    assert_eq!(
        Person::new("admin", &[]).code(&book, &delete),
        "share-not-held"
    );
    assert_eq!(Person::new("owner", &[]).code(&book, &delete), "done");
}

/// Whether groups contain each other in a circle, by depth-first search over the rows.
fn has_cycle(book: &AccessBook) -> bool {
    book.groups().any(|start| {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<GroupId> = book.outer_groups(start.id).collect();
        while let Some(group) = todo.pop() {
            if group == start.id {
                return true;
            }
            if seen.insert(group) {
                todo.extend(book.outer_groups(group));
            }
        }
        false
    })
}

fn target_of<'a>(command: &'a AccessCommand, members: &'a [MemberPrincipal]) -> Option<Target<'a>> {
    let member = match command {
        AccessCommand::AddToGroup { member, .. }
        | AccessCommand::RemoveFromGroup { member, .. }
        | AccessCommand::Grant {
            to: Grantee::Member(member),
            ..
        } => member,
        AccessCommand::CreateGroup { .. }
        | AccessCommand::RenameGroup { .. }
        | AccessCommand::DeleteGroup { .. }
        | AccessCommand::MarkInternal { .. }
        | AccessCommand::NestGroup { .. }
        | AccessCommand::UnnestGroup { .. }
        | AccessCommand::SetExternalGroup(_)
        | AccessCommand::SetSharing(_)
        | AccessCommand::Grant {
            to: Grantee::Organization(_) | Grantee::Group(_),
            ..
        }
        | AccessCommand::Revoke { .. } => return None,
    };
    Some(Target {
        member,
        live: members.iter().find(|live| live.member == *member),
    })
}

/// Everything that somebody may do, in the small world.
fn held(book: &AccessBook, principal: &Principal) -> Vec<(Key, ActionSet)> {
    universe()
        .into_iter()
        .map(|key| {
            let set = actions(book, principal, &key, NOW);
            (key, set)
        })
        .collect()
}

proptest! {
    #[test]
    fn outsiders_change_nothing_whatever_they_hold(
        book in arb_book(), command in arb_command(), members in vec(arb_member_principal(), 0..3),
        group in arb_group_id(), pattern in arb_pattern(), actions in arb_action_set(),
    ) {
        let owner = Person::owner();
        let mut proxy = live(org("acme"), 1);
        proxy.role_is_owner = true;
        proxy.grants.push(PresetGrant { actions: ActionSet::ALL, pattern: Pattern::all() });
        let roles = RoleCatalog::owner_admin_member();
        for principal in [&Principal::Anonymous, &Principal::Member(proxy)] {
            let hand = Hand { principal, ..owner.hand() };
            let target = target_of(&command, &members);
            let result = decide_change(&book, &command, &hand, target, &roles, NOW);
            prop_assert_eq!(result, Err(AccessError::Outsider));
            for kind in [MemberKind::Org, MemberKind::User] {
                let door = may_give_group(&book, &hand, &roles, group, kind, NOW);
                prop_assert_eq!(door, Err(AccessError::Outsider));
                let door = may_give_grant(&book, &hand, &roles, actions, &pattern, kind, NOW);
                prop_assert_eq!(door, Err(AccessError::Outsider));
            }
        }
    }

    /// What commands write keeps the rules, and the log replayed is the book.
    #[test]
    fn commands_keep_the_rules(
        commands in vec(arb_command(), 0..40), members in vec(arb_member_principal(), 0..5),
    ) {
        let mut book = AccessBook::new();
        let mut log = Vec::new();
        for command in commands {
            let target = target_of(&command, &members);
            let Ok(events) = Person::owner().asks(&book, &command, target) else {
                continue;
            };
            for event in &events {
                evolve(&mut book, event);
            }
            let again = Person::owner().asks(&book, &command, target);
            prop_assert_ne!(code(&again), "done", "{:?}", command);
            prop_assert!(!has_cycle(&book));
            let mut names = BTreeSet::new();
            for group in book.groups() {
                prop_assert!(names.insert(&group.name));
                prop_assert!(!group.internal || !has_outsiders(&book, group.id));
            }
            for grant in book.grants() {
                prop_assert!(!grant.actions.is_empty());
                if let Subject::Group(group) = grant.subject {
                    prop_assert!(book.group(group).is_some());
                }
            }
            log.extend(events);
        }
        let mut replayed = AccessBook::new();
        for event in &log {
            evolve(&mut replayed, event);
        }
        prop_assert_eq!(replayed, book);
    }

    /// M12: whatever somebody gives, by whatever command, nobody ends up with more than they had
    /// or the giver has.
    #[test]
    fn nobody_gives_more_than_they_hold(
        mut book in arb_book(), commands in vec(arb_command(), 1..20),
        members in vec(arb_member_principal(), 1..4),
        pattern in arb_pattern(), actions in arb_action_set(), sharing in arb_sharing(),
        role in prop_oneof![Just("admin"), Just("owner")],
    ) {
        let sharing = match sharing {
            Sharing::OwnersOnly => Sharing::WithinOwn,
            Sharing::WithinOwn | Sharing::WithinNamespace => sharing,
        };
        evolve(&mut book, &AccessEvent::SharingSet(sharing));
        let mut giver = Person::new(role, &[]);
        if let Principal::Member(member) = &mut giver.principal {
            let actions = actions.union(Action::Share.into());
            member.grants.push(PresetGrant { actions, pattern });
        }
        let everybody: Vec<Principal> = members
            .iter()
            .cloned()
            .map(Principal::Member)
            .chain([Principal::Anonymous])
            .collect();
        let own = held(&book, &giver.principal);
        for command in commands {
            // No gift: it lets those in who carry the group already.
            if matches!(command, AccessCommand::MarkInternal { internal: false, .. }) {
                continue;
            }
            let target = target_of(&command, &members);
            let Ok(events) = giver.asks(&book, &command, target) else {
                continue;
            };
            let mut after = book.clone();
            for event in &events {
                evolve(&mut after, event);
            }
            for principal in &everybody {
                let before = held(&book, principal);
                let now = held(&after, principal);
                for (((key, now), (_, before)), (_, own)) in now.iter().zip(&before).zip(&own) {
                    // Whoever may publish lets everybody read.
                    let publishes = own.contains(Action::PublicRead).then_some(Action::Read);
                    let namespace = sharing == Sharing::WithinNamespace && own.contains(Action::Share);
                    let most = if namespace {
                        ActionSet::ALL
                    } else {
                        own.union(publishes.into_iter().collect())
                    };
                    prop_assert!(
                        now.is_subset(before.union(most)),
                        "{key}: {before:?} and {own:?} make {now:?} by {command:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_share_nothing_is_given(
        mut book in arb_book(), mut member in arb_member_principal(), to in arb_pattern(),
        group in arb_group_id(), actions in arb_action_set(), sharing in arb_sharing(),
    ) {
        evolve(&mut book, &AccessEvent::SharingSet(sharing));
        member.member = user("user_0");
        let person = Person { principal: Principal::Member(member), ..Person::new("admin", &[]) };
        let share = readable(&book, &person.principal, Action::Share, NOW);
        let roles = RoleCatalog::owner_admin_member();
        for kind in [MemberKind::Org, MemberKind::User] {
            let door = may_give_grant(&book, &person.hand(), &roles, actions, &to, kind, NOW);
            if door.is_ok() {
                prop_assert!(sharing != Sharing::OwnersOnly && share.includes(&to));
                prop_assert!(!actions.is_empty());
                for key in universe().iter().filter(|key| to.covers(key)) {
                    let share = decide(&book, &person.principal, Action::Share, key, NOW);
                    prop_assert!(share.is_allowed());
                }
            }
            if may_give_group(&book, &person.hand(), &roles, group, kind, NOW).is_ok() {
                let reached = Closure::of_group(&book, group);
                for grant in reached.groups().flat_map(|group| book.grants_to_group(group)) {
                    let live = NOW.is_before_end(grant.expires_at);
                    prop_assert!(!live || share.includes(&grant.pattern));
                    prop_assert!(!live || sharing != Sharing::OwnersOnly);
                }
            }
        }
    }

    /// P15: adding and removing need the same authority.
    #[test]
    fn who_can_add_can_remove_and_the_reverse(
        mut book in arb_book(), mut hand in arb_member_principal(), target in arb_member_principal(),
        group in arb_group_id(), inner in arb_group_id(), sharing in arb_sharing(),
        role in prop_oneof![Just("member"), Just("admin"), Just("owner")],
    ) {
        evolve(&mut book, &AccessEvent::SharingSet(sharing));
        hand.member = user("user_0");
        let person = Person { principal: Principal::Member(hand), ..Person::new(role, &[]) };
        let may = |command: AccessCommand| {
            match person.asks(&book, &command, Some(of(&target))) {
                Ok(_) => true,
                Err(error) => !matches!(
                    error,
                    AccessError::Outsider
                        | AccessError::MissingCapability { .. }
                        | AccessError::OwnersOnly
                        | AccessError::ShareNotHeld { .. }
                        | AccessError::ActionNotHeld { .. }
                ),
            }
        };
        let member = target.member.clone();
        // What no authority would help with says nothing about authority.
        let internal = Closure::of_group(&book, group)
            .groups()
            .any(|group| book.group(group).is_some_and(|group| group.internal));
        if !(internal && target.is_outsider()) {
            prop_assert_eq!(
                may(AccessCommand::AddToGroup { group, member: member.clone() }),
                may(AccessCommand::RemoveFromGroup { group, member })
            );
        }
        prop_assert_eq!(
            may(AccessCommand::NestGroup { outer: group, inner }),
            may(AccessCommand::UnnestGroup { outer: group, inner })
        );
    }
}
