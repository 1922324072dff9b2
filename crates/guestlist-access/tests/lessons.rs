//! What other products got wrong about prefixes and groups, asked of the index. Names and numbers
//! are those of public reports.

#![cfg(test)]

use guestlist_access::{
    AccessChange, AccessIndex, Action, ActionSet, Audience, Coverage, Episode, Episodes, Giver,
    Grant, Group, GroupMember, MemberPrincipal, Pattern, PatternError, Principal, Subject,
};
use guestlist_types::{GrantId, GroupId, GroupName, Key, KeyError, Member, Timestamp, UserId};

const NOW: Timestamp = Timestamp::from_micros(5);

fn user(name: &str) -> Member {
    Member::User(UserId::parse(name).unwrap())
}

fn principal(name: &str) -> Principal {
    MemberPrincipal::new(user(name), Episodes::none()).into()
}

fn to(name: &str) -> Subject {
    Subject::Member {
        member: user(name),
        episode: Episode::NONE,
    }
}

fn group(number: u8) -> GroupId {
    GroupId::from_bytes([number; 16])
}

fn put_group(number: u8, name: &str) -> AccessChange {
    AccessChange::PutGroup(Group {
        id: group(number),
        name: GroupName::parse(name).unwrap(),
        internal: false,
        created_at: NOW,
    })
}

fn inside(outer: u8, name: &str) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group(outer),
        member: GroupMember::Member {
            member: user(name),
            episode: Episode::NONE,
        },
    }
}

fn grant(number: u8, subject: Subject, action: Action, pattern: Pattern) -> AccessChange {
    AccessChange::PutGrant(Grant {
        id: GrantId::from_bytes([number; 16]),
        giver: Giver::System,
        at: NOW,
        expires_at: None,
        subject,
        actions: ActionSet::of(&[action]),
        pattern,
    })
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// Whether a key may be read, which the check, the compiled form and the list all say alike.
fn reads(index: &AccessIndex, principal: &Principal, text: &str) -> bool {
    let key = Key::parse(text).unwrap();
    let resolved = index.principal(principal);
    let allowed = resolved.allows(Action::Read, &key, NOW);
    let compiled = resolved.compile();
    assert_eq!(compiled.allows(Action::Read, &key, NOW), allowed);
    let coverage = resolved.readable(Action::Read, NOW);
    assert_eq!(coverage.contains(&key), allowed);
    allowed
}

/// Rule 51, incident 85. CVE-2026-71433 (langgraphjs 2721), milvus 46707, open-mercato 3916,
/// librefang 5381, openrag 359, agent-code 530: `starts_with` without a boundary.
#[test]
fn rule_51_a_prefix_ends_at_a_segment() {
    for (granted, siblings) in [
        (
            "shared/",
            &[
                "shared",
                "sharedx/y",
                "shared-evil/x",
                "share/d",
                "SHARED/x",
            ][..],
        ),
        ("login/", &["loginhack/x", "login", "logi/n"]),
        ("eight-by/", &["eight-by", "eight-byx/k", "eight-b/yk"]),
        (
            "sixteen/letters-/",
            &["sixteen/letters-", "sixteen/letters-x/k"],
        ),
        ("a/...", &["a/...b", "a/.../b", "a/..b"]),
        ("exact", &["exact/k", "exactly", "exac"]),
    ] {
        let index: AccessIndex = [grant(1, to("ada"), Action::Read, pattern(granted))]
            .iter()
            .collect();
        let inside = if granted.ends_with('/') {
            format!("{granted}k/l")
        } else {
            granted.to_owned()
        };
        assert!(reads(&index, &principal("ada"), &inside), "{granted}");
        for sibling in siblings {
            assert!(
                !reads(&index, &principal("ada"), sibling),
                "{granted} {sibling}"
            );
        }
    }
}

/// Rule 51, second half: the repair of CVE-2026-71433 must not turn the empty prefix into nothing.
/// Here it has no text: it is said, and means every key.
#[test]
fn rule_51_everything_is_said_and_means_everything() {
    assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
    let index: AccessIndex = [grant(1, to("ada"), Action::Read, Pattern::all())]
        .iter()
        .collect();
    for text in ["a", "a/b", "shared-evil/x", "\u{10ffff}", "%", "..."] {
        assert!(reads(&index, &principal("ada"), text), "{text}");
    }
    let ada = principal("ada");
    let coverage = index.principal(&ada).readable(Action::Read, NOW);
    assert_eq!(coverage.byte_ranges(), [(vec![], None)]);
    assert_eq!(coverage.sql_filter("key").unwrap(), "(1=1)");
}

/// Rule 51, third: `%` and `_` are wildcards of SQL's `like`. No filter uses it, and nothing in a
/// pattern is a wildcard anywhere.
#[test]
fn rule_51_nothing_is_a_wildcard_also_in_sql() {
    for (granted, others) in [
        ("100%/", &["100/x", "100x/y"][..]),
        ("a_c/", &["abc/x"]),
        ("*/", &["a/x"]),
        ("a/*", &["a/b"]),
    ] {
        let index: AccessIndex = [grant(1, to("ada"), Action::Read, pattern(granted))]
            .iter()
            .collect();
        for other in others {
            assert!(
                !reads(&index, &principal("ada"), other),
                "{granted} {other}"
            );
        }
        let ada = principal("ada");
        let coverage = index.principal(&ada).readable(Action::Read, NOW);
        let filter = coverage.sql_filter("key").unwrap();
        assert!(!filter.to_lowercase().contains("like"), "{filter}");
    }
}

/// Rule 52, incident 87. hfs 475 and 447, horizon-ui 147: two texts for one prefix, and malformed
/// rules that were cut short and so widened. A text is one pattern or none.
#[test]
fn rule_52_no_two_texts_are_one_prefix() {
    for (text, error) in [
        ("/", PatternError::Key(KeyError::LeadingSlash)),
        ("a//", PatternError::Key(KeyError::EmptySegment)),
        ("/a/", PatternError::Key(KeyError::LeadingSlash)),
        ("a/../", PatternError::Key(KeyError::DotSegment)),
        ("a/./b/", PatternError::Key(KeyError::DotSegment)),
        ("a/\0", PatternError::Key(KeyError::Control)),
        ("@b/", PatternError::Key(KeyError::LeadingAt)),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
    }
    let rows = [
        grant(1, to("ada"), Action::Read, pattern("tenant/a")),
        grant(2, to("bob"), Action::Read, pattern("tenant/a/")),
        grant(3, to("eve"), Action::Read, pattern("tenant/%61/")),
    ];
    let index: AccessIndex = rows.iter().collect();
    let may = |text| ["ada", "bob", "eve"].map(|name| reads(&index, &principal(name), text));
    assert_eq!(may("tenant/a"), [true, false, false]);
    assert_eq!(may("tenant/a/k"), [false, true, false]);
    assert_eq!(may("tenant/%61/k"), [false, false, true]);
}

/// Rule 54: what is listed is what may be read, also where prefixes lie within each other and next
/// to each other in the order of bytes.
#[test]
fn rule_54_lists_and_checks_agree_beside_a_prefix() {
    let granted = ["a/", "a/b/", "a", "a-", "a0/", "ab/c", "\u{ff}/", "a/b/c"];
    let rows: Vec<AccessChange> = granted
        .iter()
        .zip(1..)
        .map(|(text, number)| grant(number, to("ada"), Action::Read, pattern(text)))
        .collect();
    let index: AccessIndex = rows.iter().collect();
    for (text, allowed) in [
        ("a", true),
        ("a-", true),
        ("a-/x", false),
        ("a/x", true),
        ("a/b", true),
        ("a0", false),
        ("a0/x", true),
        ("ab/c", true),
        ("ab/c/d", false),
        ("\u{ff}", false),
        ("\u{ff}/\u{10ffff}", true),
        ("\u{fe}/x", false),
    ] {
        assert_eq!(reads(&index, &principal("ada"), text), allowed, "{text}");
    }
    let ada = principal("ada");
    let kept: Coverage = ["a", "a-", "a/", "a0/", "ab/c", "\u{ff}/"]
        .map(pattern)
        .into_iter()
        .collect();
    assert_eq!(index.principal(&ada).readable(Action::Read, NOW), kept);
}

/// Rule 56: `public_read` gives nobody anything else, is not implied by `read`, and a list for
/// people who are not signed in shows public prefixes only.
#[test]
fn rule_56_what_is_public_is_told_and_nothing_else() {
    let everyone = || Subject::Organization(Audience::Everyone);
    let rows = [
        grant(1, everyone(), Action::PublicRead, pattern("public/")),
        grant(2, everyone(), Action::Read, pattern("staff/")),
        grant(3, to("ada"), Action::PublicRead, pattern("own/")),
    ];
    let index: AccessIndex = rows.iter().collect();
    let anonymous = index.principal(&Principal::Anonymous);
    let shown = anonymous.readable(Action::PublicRead, NOW);
    assert_eq!(shown.as_patterns(), [pattern("public/")]);
    let key = |text| Key::parse(text).unwrap();
    assert_eq!(
        anonymous.actions(&key("public/k"), NOW),
        ActionSet::of(&[Action::PublicRead])
    );
    assert_eq!(anonymous.actions(&key("staff/k"), NOW), ActionSet::EMPTY);
    let ada = principal("ada");
    assert_eq!(
        index.principal(&ada).actions(&key("public/k"), NOW),
        ActionSet::of(&[Action::Read, Action::PublicRead])
    );
    assert!(!reads(&index, &ada, "own/k"));
}

/// Rule 57. thunderid 4679, `LabAPI` 439 (a stack overflow), opensearch security 887: groups in a
/// ring, as stored data may hold.
#[test]
fn rule_57_rings_of_groups_end() {
    let mut index = AccessIndex::new();
    for number in 0..200 {
        index.apply(&put_group(number, &format!("group {number}")));
        let member = GroupMember::Group(group(number));
        let group = group((number + 1) % 200);
        index.apply(&AccessChange::PutGroupMember { group, member });
    }
    index.apply(&AccessChange::PutGroupMember {
        group: group(7),
        member: GroupMember::Group(group(7)),
    });
    index.apply(&inside(100, "ada"));
    index.apply(&grant(
        1,
        Subject::Group(group(99)),
        Action::Read,
        pattern("k"),
    ));
    assert!(reads(&index, &principal("ada"), "k"));
    assert!(!reads(&index, &principal("bob"), "k"));
}

/// Rule 58. pgEdge 51, galaxy 15350, obot 7655: a group of the same name came into what a deleted
/// one had; proxy-monster 132: one reader forgot that it was deleted.
#[test]
fn rule_58_a_deleted_group_gives_nothing_to_the_next_of_its_name() {
    let rows = [
        put_group(1, "Design"),
        inside(1, "ada"),
        grant(1, Subject::Group(group(1)), Action::Read, pattern("k")),
    ];
    let mut index: AccessIndex = rows.iter().collect();
    assert!(reads(&index, &principal("ada"), "k"));
    index.apply(&AccessChange::DeleteGroup(group(1)));
    assert!(!reads(&index, &principal("ada"), "k"));
    index.apply(&put_group(2, "Design"));
    index.apply(&inside(2, "bob"));
    assert!(!reads(&index, &principal("ada"), "k"));
    assert!(!reads(&index, &principal("bob"), "k"));
}
