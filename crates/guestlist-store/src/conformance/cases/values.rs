//! Values at the edges: long ids, every character, names that look like SQL, all of time.

use core::time::Duration;

use guestlist_access::{Audience, Grantee};
use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::{Expiry, LinkDraft};
use guestlist_membership::member::{ActingRule, MemberCommand};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::{Actor, Fact, LinkRef, Metadata, Row, Scope};
use guestlist_token::SealedToken;
use guestlist_types::{DisplayName, Label, Member, Message, OrgId, Timestamp};

use crate::commit::Write;
use crate::conformance::harness::{company, email, must, name, org, person, user};
use crate::conformance::observe::{assert_consistent, expected, folded, plain_queries};
use crate::conformance::world::{display_name, grant, large_metadata, limited};
use crate::conformance::{Fixture, Harness, Order};
use crate::event::EventFilter;
use crate::query::Query;

/// Does with these ids what ids are used for, and looks at all of it.
async fn lives<F: Fixture>(fixture: &F, hosts: &[OrgId], members: &[Member]) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    for (number, host) in hosts.iter().enumerate() {
        let founder = user(&format!("founder_{number}"));
        let name = name(&format!("host-{number}"));
        h.register_with(host, &name, Some(founder), Settings::default())
            .await;
    }
    for host in hosts {
        let issued = h
            .new_link(host, LinkDraft::auto().max_uses(limited(100)))
            .await;
        let review = h.new_link(host, LinkDraft::review()).await;
        let group = h.new_group(host, "Group", false).await;
        for (number, member) in members.iter().enumerate() {
            if *member == Member::Org(host.clone()) {
                continue;
            }
            if let Member::Org(id) = member
                && !hosts.contains(id)
            {
                continue;
            }
            let token = if number % 2 == 0 {
                issued.token
            } else {
                review.token
            };
            h.done(&h.claim(token, member)).await;
            if number % 2 == 0 {
                let member = member.clone();
                let add = guestlist_access::AccessCommand::AddToGroup {
                    group,
                    member: member.clone(),
                };
                h.done(&Order::access(host, add)).await;
                h.done(&grant(&h, host, Grantee::Member(member), "a/"))
                    .await;
            }
        }
    }
    for pair in hosts.windows(2) {
        let [one, two] = pair else { continue };
        let rule = ActingRule {
            users: members
                .iter()
                .filter_map(|member| match member {
                    Member::User(user) => Some(user.clone()),
                    Member::Org(_) => None,
                })
                .collect(),
            ..ActingRule::default()
        };
        let command = MemberCommand::RestrictActing {
            host: two.clone(),
            rule: Some(rule),
        };
        h.done(&Order::member(one, command)).await;
    }
    assert_consistent(fixture, &h).await;
    let records = folded(fixture, &h).await;
    for query in plain_queries(&records) {
        let paged = h.list(&query, 1).await;
        assert_eq!(paged, expected(&query, &records, h.now()), "{query:?}");
    }
    for host in hosts {
        let filter = EventFilter::of(host.clone());
        let found = h.events(&filter, 1000).await;
        assert!(
            found.iter().all(|recorded| recorded.organization == *host),
            "{filter:?}"
        );
        assert!(found.len() > members.len(), "{filter:?}");
    }
    for member in members {
        let filter = EventFilter {
            member: Some(member.clone()),
            ..EventFilter::default()
        };
        let found = h.events(&filter, 1000).await;
        assert!(
            found
                .iter()
                .all(|recorded| recorded.event.member() == Some(member))
        );
    }
}

/// Ids of the longest length, and ids that together have every printable character.
pub async fn ids_may_have_every_printable_character<F: Fixture>(fixture: &F) {
    let printable: String = ('!'..='~').collect();
    let (first, second) = printable.split_at(printable.len() / 2);
    let backwards: String = printable.chars().rev().take(64).collect();
    let long = "~".repeat(64);
    let hosts = [first, second, &backwards, &long].map(org);
    let users = [first, second, &backwards, &long, "!", "~"].map(person);
    let members: Vec<_> = users
        .into_iter()
        .chain(hosts.clone().map(Member::Org))
        .collect();
    lives(fixture, &hosts, &members).await;
}

/// Ids are the same only if every byte is: case, prefixes and repeated characters tell them apart,
/// and a user is not the organization of the same id.
pub async fn ids_are_told_apart_by_every_byte<F: Fixture>(fixture: &F) {
    let ids = [
        "a", "A", "aa", "aA", "a!", "a0", "a~", "0", "00", "-1", "1e0", "1", "null", "NULL",
    ];
    let hosts = ids.map(org);
    let members: Vec<_> = ids
        .into_iter()
        .flat_map(|id| [person(id), company(id)])
        .collect();
    lives(fixture, &hosts, &members).await;
}

/// Ids and names that look like commands to a database are ids and names.
pub async fn what_looks_like_sql_is_only_text<F: Fixture>(fixture: &F) {
    let texts = [
        "x');DROP/**/TABLE/**/link;--",
        "'OR''='",
        "\";DELETE/**/FROM/**/member;--",
        "$1",
        "?1",
        ":id",
        "%s",
        "\\",
        "{id}",
        "`id`",
        "E'\\000'",
    ];
    let hosts = texts.map(org);
    let members: Vec<_> = texts.into_iter().map(person).collect();
    lives(fixture, &hosts, &members).await;

    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let text = "Robert'); DROP TABLE membership; -- \\' \" ` $1 ?1 :a %s";
    let draft = LinkDraft::review()
        .label(must(Label::parse(text), "a label"))
        .question(text)
        .question("")
        .question("\u{0}\u{1}\u{7f}\u{fffd}\r\n\t")
        .metadata(must(
            Metadata::from_json(r#"{"a":"'; --","b":"\u0000\\"}"#),
            "metadata",
        ));
    h.new_link(&host, draft).await;
    h.new_group(&host, text, false).await;
    let display_name = Some(display_name(text));
    let command = OrganizationCommand::SetDisplayName { display_name };
    h.done(&Order::organization(&host, command)).await;
    assert_consistent(fixture, &h).await;
}

/// 4 KiB of metadata, the longest names in four-byte characters, and long lists inside of a row.
pub async fn large_rows_come_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org(&"o".repeat(64));
    h.register(&host, &name(&"n".repeat(63))).await;
    let longest = "\u{1f389}".repeat(120);
    let mut draft = LinkDraft::review()
        .label(must(Label::parse(&longest), "a label"))
        .metadata(large_metadata());
    for number in 0..900 {
        let id = format!("{number:064}");
        draft = draft
            .allow_member(person(&id))
            .allow_member(company("org_x"));
    }
    for _ in 0..20 {
        draft = draft.question("\u{1f914}".repeat(500));
    }
    let issued = h.new_link(&host, draft).await;
    let shown = Some(must(DisplayName::parse(&longest), "a display name"));
    let command = OrganizationCommand::SetDisplayName {
        display_name: shown,
    };
    h.done(&Order::organization(&host, command)).await;
    let member = person(&format!("{:064}", 7));
    let mut claim = h.claim(issued.token, &member);
    if let guestlist_membership::Command::Member(MemberCommand::Claim { answers, .. }) =
        &mut claim.command
    {
        *answers = vec!["\u{1f937}".repeat(2000); 20];
    }
    h.done(&claim).await;
    let found = h.membership(&host, &member).await;
    let found = found.unwrap_or_else(|| panic!("no membership"));
    assert_eq!(
        found.metadata,
        large_metadata(),
        "metadata travels to the membership"
    );
    assert_consistent(fixture, &h).await;
}

/// Times from the earliest to the latest that can be told are kept to the microsecond and in order.
pub async fn all_of_time_is_kept<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    h.set_now(Timestamp::MIN);
    let (early, late) = (org("org_early"), org("org_late"));
    h.register(&early, &name("early")).await;
    let first = LinkDraft::review().expiry(Expiry::At(Timestamp::MAX));
    let first = h.new_link(&early, first).await;
    let times = [
        i64::MIN,
        i64::MIN + 1,
        -62_135_596_800_000_001,
        -1,
        0,
        1,
        253_402_300_800_000_000,
        i64::MAX - 2,
        i64::MAX - 1,
    ];
    for (number, time) in times.into_iter().enumerate() {
        h.set_now(Timestamp::from_micros(time));
        h.done(&h.claim(first.token, &person(&format!("user_{}", 9 - number))))
            .await;
    }
    let pending = Query::Pending {
        host: early.clone(),
        link: None,
    };
    for page in [1, 100] {
        let opened: Vec<i64> = h
            .list(&pending, page)
            .await
            .into_iter()
            .filter_map(|(_, row)| match row {
                Row::Membership(row) => Some(row.opened_at.as_micros()),
                _ => None,
            })
            .collect();
        assert_eq!(opened, times, "in the order of time");
    }
    fixture.settle(h.store()).await;
    let filter = |from, until| EventFilter {
        name: Some("membership-requested".to_owned()),
        from: Some(Timestamp::from_micros(from)),
        until: Some(Timestamp::from_micros(until)),
        ..EventFilter::default()
    };
    for (from, until, count) in [
        (i64::MIN, i64::MAX, 9),
        (i64::MIN, i64::MIN, 0),
        (i64::MIN, i64::MIN + 1, 1),
        (-1, 1, 2),
        (i64::MAX - 1, i64::MAX, 1),
    ] {
        let found = h.events(&filter(from, until), 2).await;
        assert_eq!(found.len(), count, "from {from} until {until}");
    }
    // What ends at the last moment there is, has ended then.
    let settings = Settings {
        request_ttl: Some(Duration::MAX),
        ..Settings::default()
    };
    h.register_with(&late, &name("late"), None, settings).await;
    let issued = h.new_link(&late, LinkDraft::review()).await;
    h.done(&h.claim(issued.token, &person("ann"))).await;
    let run_out = [
        Query::RunOut { host: None },
        Query::RunOut {
            host: Some(late.clone()),
        },
    ];
    for query in &run_out {
        assert_eq!(h.list(query, 10).await, [], "{query:?}: not yet");
    }
    h.set_now(Timestamp::MAX);
    for query in &run_out {
        assert_eq!(
            h.list(query, 10).await.len(),
            1,
            "{query:?}: at the end of time"
        );
    }
    assert_consistent(fixture, &h).await;
}

/// A clock that steps back takes no stored time back.
pub async fn a_clock_may_step_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register_with(&host, &name("one"), Some(user("ann")), Settings::default())
        .await;
    let (create, issued) = h.create_link(&host, LinkDraft::review().max_uses(limited(2)));
    h.done(&create.by(Actor::user(user("ann")).in_organization(host.clone())))
        .await;
    let start = h.now();
    h.done(&grant(
        &h,
        &host,
        Grantee::Organization(Audience::Everyone),
        "a/",
    ))
    .await;
    for (number, id) in ["bob", "cid"].into_iter().enumerate() {
        h.set_now(Timestamp::from_micros(-1));
        h.done(&h.claim(issued.token, &person(id))).await;
        let scope = Scope::of(host.clone(), vec![Fact::Link(LinkRef::Id(issued.link))]);
        let snapshot = h.load(&scope).await;
        let link = snapshot.records().link(&host, issued.link);
        assert!(
            link.is_some_and(|link| link.updated_at >= start),
            "claim {number}"
        );
    }
    fixture.settle(&store).await;
    let events = h.events(&EventFilter::of(host.clone()), 1000).await;
    let times: Vec<_> = events.iter().map(|recorded| recorded.stamp.at).collect();
    assert!(
        times.is_sorted(),
        "the events of one link are in order: {times:?}"
    );
    assert_consistent(fixture, &h).await;
}

/// Addresses with every character that they may have, the longest ones and those that differ in
/// little are told apart; what an inviter says comes back with line breaks, markup and letters of
/// many scripts.
pub async fn addresses_and_messages_come_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("~'%_\\\"");
    h.register(&host, &name("one")).await;
    let long_local = format!("{}@{}.example", "l".repeat(64), "d".repeat(60));
    let long = format!("a@{}.example", ["d".repeat(60).as_str(); 4].join("."));
    let texts = [
        "!#$%&'*+/=?^_`{|}~.-@example.com",
        "'or''='--@example.com",
        "a.b@example.com",
        "ab@example.com",
        "a+b@example.com",
        "a%@example.com",
        "a_@example.com",
        "a@b.c",
        "a@b.cd",
        "aa@b.c",
        &long_local,
        &long,
    ];
    let message = "\u{6f22}\n\n\t\\n'; --%_ <b>\u{1f389}</b> ".repeat(60);
    let message: String = message.chars().take(2000).collect();
    let draft = InviteDraft::new()
        .message(must(Message::parse(&message), "a message"))
        .metadata(large_metadata());
    let (send, all) = h.invite_all(&host, &texts, &draft);
    h.done(&send).await;
    assert_consistent(fixture, &h).await;
    for (number, (text, invited)) in texts.iter().zip(&all).enumerate() {
        let query = Query::InvitesTo {
            address: email(text),
            phase: None,
        };
        let found = h.list(&query, 10).await;
        let [(_, Row::Invite(invite))] = &found[..] else {
            panic!("one invite for {text}, and {found:?}");
        };
        assert_eq!(
            (invite.id, invite.address.as_str()),
            (invited.invite, *text)
        );
        assert_eq!(
            invite.config.message.as_ref().map(Message::as_str),
            Some(message.as_str())
        );
        h.done(&h.accept_as(invited.token, &format!("user_{number}"), text))
            .await;
    }
    for (number, text) in texts.iter().enumerate() {
        let fact = Fact::Known(email(text));
        let snapshot = h.load(&Scope::of(host.clone(), vec![fact])).await;
        let known = snapshot.records().address(&host, &email(text));
        let members = known.map(|known| known.members.clone());
        assert_eq!(
            members,
            Some([user(&format!("user_{number}"))].into()),
            "{text}"
        );
    }
    assert_consistent(fixture, &h).await;
}

/// A token that is kept encrypted comes back byte for byte, and one without has none.
pub async fn a_sealed_token_comes_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let sealed = SealedToken::from_bytes(core::array::from_fn(|at| {
        u8::try_from(255 - at).unwrap_or(0)
    }));
    for expected in [Some(sealed), None] {
        let (order, issued) = h.create_link(&host, LinkDraft::review());
        let mut commit = h.prepared(&order).await;
        for write in &mut commit.writes {
            if let Write::Put {
                row: Row::Token(token),
                ..
            } = write
            {
                token.sealed = expected;
            }
        }
        h.applies(&commit).await;
        let scope = Scope::of(host.clone(), vec![Fact::Token(issued.token)]);
        let snapshot = h.load(&scope).await;
        let found = snapshot.records().token(issued.token);
        assert_eq!(found.and_then(|token| token.sealed), expected);
    }
}
