//! Lists: the right rows, in order, each once.

use core::time::Duration;

use guestlist_membership::invite::{InviteCommand, InviteDraft, InvitePhase};
use guestlist_membership::link::{Expiry, LinkCommand, LinkDraft, LinkStatus};
use guestlist_membership::member::{MemberCommand, Profile, Status};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::{Actor, Command, Row, RowKey};
use guestlist_types::{EmailAddress, InviteId, LinkId, Member, OrgId, Timestamp};

use crate::conformance::harness::{company, email, must, name, neighbour, org, person, user};
use crate::conformance::observe::{
    assert_consistent, assert_items, expected, filtered_queries, folded, plain_queries,
};
use crate::conformance::world::{build, display_name, limited};
use crate::conformance::{Fixture, Harness, Order};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::query::{InviteFilter, Listed, MemberFilter, Page, Query};
use crate::store::Store;

/// Every list, with every filter, has the rows that it describes, in its order.
pub async fn every_list_has_its_rows_in_order<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    let records = folded(fixture, &h).await;
    let mut queries = plain_queries(&records);
    queries.extend(filtered_queries(&records));
    let mut some = 0;
    for query in queries {
        let wanted = expected(&query, &records, h.now());
        some += usize::from(!wanted.is_empty());
        let found = h.list(&query, 1000).await;
        assert_items(&wanted, &found, &format!("{query:?}"));
    }
    assert!(some > 50, "lists with rows in them are tried");
}

/// Pages of any size, put together, are the list.
pub async fn pages_make_the_list<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    let records = folded(fixture, &h).await;
    let mut queries = plain_queries(&records);
    let filtered = filtered_queries(&records).into_iter();
    queries.extend(filtered.filter(|query| expected(query, &records, h.now()).len() > 2));
    let mut longest = 0;
    for query in queries {
        let whole = h.list(&query, 1000).await;
        longest = longest.max(whole.len());
        for page in [1, 2, 3] {
            let paged = h.list(&query, page).await;
            assert_items(&whole, &paged, &format!("{query:?} in pages of {page}"));
        }
    }
    assert!(longest > 9, "lists of several pages are tried");
}

/// A list that is longer than the largest page, of which a filter leaves out most.
pub async fn long_lists_are_complete<F: Fixture>(fixture: &F) {
    const MEMBERS: usize = 1003;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let rare = h.new_link(&host, LinkDraft::review()).await;
    let mut members: Vec<_> = (0..MEMBERS).map(|n| person(&format!("user_{n}"))).collect();
    for (number, some) in members.chunks(100).enumerate() {
        let claims: Vec<_> = some
            .iter()
            .enumerate()
            .map(|(n, member)| {
                let is_rare = number % 5 == 4 && n == 50;
                h.claim(if is_rare { rare.token } else { issued.token }, member)
            })
            .collect();
        let commits = h.prepared_all(&claims).await;
        for outcome in h.commit_all(&commits).await {
            assert_eq!(outcome, crate::Committed::Applied);
        }
        h.advance(Duration::from_millis(1));
    }
    members.sort();
    let all = Query::Members {
        host: host.clone(),
        filter: MemberFilter::default(),
    };
    for page in [1000, 999, 256, 100] {
        let found: Vec<_> = members_of(h.list(&all, page).await);
        assert_items(&members, &found, &format!("members in pages of {page}"));
    }
    let few = Query::Pending {
        host: host.clone(),
        link: Some(rare.link),
    };
    for page in [1, 1000] {
        assert_eq!(h.list(&few, page).await.len(), 2, "those of the rare link");
    }
    let few = Query::Members {
        host: host.clone(),
        filter: MemberFilter {
            link: Some(rare.link),
            ..MemberFilter::default()
        },
    };
    assert_eq!(h.list(&few, 1).await.len(), 2, "those of the rare link");
    let waiting = Query::Pending { host, link: None };
    assert_eq!(h.list(&waiting, 300).await.len(), MEMBERS);
}

fn members_of(rows: Vec<(RowKey, Row)>) -> Vec<Member> {
    let member = |key| match key {
        RowKey::Membership(_, member) => Some(member),
        _ => None,
    };
    rows.into_iter()
        .filter_map(|(key, _)| member(key))
        .collect()
}

async fn page<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    query: &Query,
    limit: u32,
    after: Option<Cursor>,
) -> Listed {
    let page = must(Page::first(limit), "a page's size");
    let page = match after {
        Some(cursor) => page.after(cursor),
        None => page,
    };
    must(h.store().list(query, &page, h.now()).await, "listing")
}

/// Rows that come before the cursor while a list is read are not shown, those that come behind it
/// are, and none is shown twice or left out; a row that goes is not missed.
pub async fn lists_are_stable_while_rows_come_and_go<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    for id in ["b", "d", "f", "h", "k"] {
        h.advance(Duration::from_millis(1));
        h.done(&h.claim(issued.token, &person(id))).await;
    }
    let members = Query::Members {
        host: host.clone(),
        filter: MemberFilter::default(),
    };
    let pending = Query::Pending {
        host: host.clone(),
        link: None,
    };
    let uses = Query::Uses {
        host: host.clone(),
        link: issued.link,
    };
    let mut first = Vec::new();
    for query in [&members, &pending, &uses] {
        let listed = page(&h, query, 2, None).await;
        assert_eq!(listed.rows.len(), 2, "{query:?}");
        let next = listed
            .next
            .unwrap_or_else(|| panic!("{query:?}: three more"));
        first.push((query, next));
    }
    h.advance(Duration::from_millis(1));
    for id in ["a", "c", "e", "z"] {
        h.done(&h.claim(issued.token, &person(id))).await;
    }
    // "d" is where the cursors stand, "f" is behind them.
    h.done(&Order::cancel(&host, &person("d"))).await;
    h.done(&Order::cancel(&host, &person("f"))).await;
    fixture.settle(&store).await;
    for (query, cursor) in first {
        let listed = page(&h, query, 1000, Some(cursor)).await;
        let ids: Vec<String> = listed
            .rows
            .iter()
            .map(|(key, _)| match key {
                RowKey::Membership(_, member) | RowKey::LinkUse(_, _, member) => {
                    member.id().to_owned()
                }
                key => panic!("{query:?} lists {key:?}"),
            })
            .collect();
        let wanted: &[&str] = match query {
            Query::Pending { .. } => &["h", "k", "a", "c", "e", "z"],
            _ => &["e", "f", "h", "k", "z"],
        };
        assert_eq!(ids, wanted, "{query:?}");
        assert_eq!(listed.next, None, "{query:?}: that was the last page");
    }
    // New links come last, new groups as well.
    let links = Query::Links {
        host: host.clone(),
        status: None,
        creator: None,
    };
    let groups = Query::Groups {
        organization: host.clone(),
    };
    for number in 0..3 {
        h.new_group(&host, &format!("group {number}"), false).await;
        h.new_link(&host, LinkDraft::review()).await;
    }
    for (late, query) in [("late 1", &links), ("late 2", &groups)] {
        let listed = page(&h, query, 2, None).await;
        let next = listed.next.unwrap_or_else(|| panic!("{query:?}: more"));
        let group = h.new_group(&host, late, false).await;
        let link = h.new_link(&host, LinkDraft::review()).await.link;
        let rest = page(&h, query, 1000, Some(next)).await.rows;
        let last = rest.last().map(|(key, _)| key.clone());
        let wanted = match query {
            Query::Links { .. } => RowKey::Link(host.clone(), link),
            _ => RowKey::Group(host.clone(), group),
        };
        assert_eq!(last, Some(wanted), "{query:?}: the newest is last");
    }
}

/// A cursor leads on in its own list only.
pub async fn a_cursor_belongs_to_its_list<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    let records = folded(fixture, &h).await;
    let mut queries = plain_queries(&records);
    queries.extend(filtered_queries(&records));
    let mut cursors: Vec<(Query, Cursor)> = Vec::new();
    for query in &queries {
        let kind = core::mem::discriminant(query);
        let known = cursors
            .iter()
            .filter(|(of, _)| core::mem::discriminant(of) == kind);
        if known.count() < 2
            && let Some(next) = page(&h, query, 1, None).await.next
        {
            cursors.push((query.clone(), next));
        }
    }
    assert!(cursors.len() > 8, "cursors of most lists are tried");
    for (of, cursor) in &cursors {
        for query in cursors
            .iter()
            .map(|(query, _)| query)
            .filter(|query| *query != of)
        {
            let wanted = must(Page::first(10), "a page's size").after(cursor.clone());
            let refused = store.list(query, &wanted, h.now()).await;
            assert!(
                matches!(refused, Err(StoreError::Malformed { .. })),
                "a cursor of {of:?} was taken for {query:?}: {refused:?}"
            );
        }
        let own = must(Page::first(10), "a page's size").after(cursor.clone());
        assert!(
            store.list(of, &own, h.now()).await.is_ok(),
            "its own is taken: {of:?}"
        );
    }
}

fn shown<S: Store + ?Sized>(h: &Harness<'_, S>, host: &OrgId, id: &str, shown: &str) -> Order {
    let mut order = h.add(host, &person(id), None);
    if let Command::Member(MemberCommand::Add { profile, .. }) = &mut order.command {
        *profile = Profile {
            name: None,
            display_name: Some(display_name(shown)),
            email: Some(must(
                EmailAddress::parse(&format!("{id}@mail.example")),
                "an address",
            )),
        };
    }
    order
}

/// Text is searched as it is: no character stands for another one, and only ASCII letters are the
/// same in both cases.
pub async fn text_is_searched_literally<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    h.register(&org("org_2"), &name("two_b-c")).await;
    let names = [
        ("u1", "100% sure"),
        ("u2", "100 % sure"),
        ("u3", "snake_case"),
        ("u4", "snakeXcase"),
        ("u5", "back\\slash"),
        ("u6", "it's; -- \"quoted\" ?1 :a $1 @p #"),
        ("u7", "\u{c4}rger"),
        ("u8", "\u{e4}rger STRASSE"),
        ("u9", "stra\u{df}e [a-z]* {x} ^$"),
        ("u10", "\u{130}stanbul \u{6f22}\u{5b57} \u{1f389}"),
        ("u11", "\u{c4}pfel"),
        ("U1", "e\u{301}t\u{e9}"),
    ];
    for (id, text) in names {
        h.done(&shown(&h, &host, id, text)).await;
    }
    h.done(&h.add(&host, &company("org_2"), None)).await;
    let records = folded(fixture, &h).await;
    for (text, count) in [
        ("", 13),
        ("%", 2),
        ("100%", 1),
        ("_", 2),
        ("e_c", 1),
        ("\\", 1),
        ("\\_", 0),
        ("'", 1),
        ("\"", 1),
        ("' OR '1'='1", 0),
        ("?1", 1),
        ("$1", 1),
        ("*", 1),
        ("[a-z]", 1),
        ("\u{e4}", 1),
        ("\u{c4}", 2),
        ("\u{e4}rger", 1),
        ("\u{c4}RGER", 1),
        ("STRASSE", 1),
        ("strasse", 1),
        ("Stra\u{df}e", 1),
        ("istanbul", 0),
        ("STANBUL", 1),
        ("\u{5b57}", 1),
        ("\u{1f389}", 1),
        ("\u{e9}", 1),
        ("SNAKE", 2),
        ("u1", 4),
        ("U10", 1),
        ("@MAIL.example", 12),
        ("two_B", 1),
        ("twoXb", 0),
        ("Org_2", 1),
        ("\u{0}", 0),
        (" ", 6),
    ] {
        let query = Query::Members {
            host: host.clone(),
            filter: MemberFilter {
                text: Some(text.to_owned()),
                ..MemberFilter::default()
            },
        };
        let wanted = expected(&query, &records, h.now());
        assert_eq!(wanted.len(), count, "this suite's own count of {text:?}");
        let found = h.list(&query, 1000).await;
        assert_items(&wanted, &found, &format!("members with the text {text:?}"));
        let found = h.list(&query, 1).await;
        assert_items(
            &wanted,
            &found,
            &format!("members with the text {text:?}, one by one"),
        );
    }
}

/// A request that has expired waits no more, to the microsecond, and is in the list of what has run
/// out until its ending is written; so is a membership.
pub async fn what_has_run_out_is_listed_as_such<F: Fixture>(fixture: &F) {
    const TTL: Duration = Duration::from_secs(60);
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    let other = neighbour(&host);
    let settings = Settings {
        request_ttl: Some(TTL),
        ..Settings::default()
    };
    h.register_with(&host, &name("one"), None, settings).await;
    h.register(&other, &name("two")).await;
    let review = h
        .new_link(&host, LinkDraft::review().max_uses(limited(5)))
        .await;
    let lasting = guestlist_membership::link::Lasting::For(TTL);
    let auto = h
        .new_link(&other, LinkDraft::auto().membership_ttl(lasting))
        .await;
    let (ann, bob) = (person("ann"), person("bob"));
    let pending = || Query::Pending {
        host: host.clone(),
        link: None,
    };
    let of_host = || Query::RunOut {
        host: Some(host.clone()),
    };
    let of_all = Query::RunOut { host: None };
    let cancelled = |member: &Member| Query::MembershipsOf {
        member: member.clone(),
        status: Some(Status::Cancelled),
    };
    h.done(&h.claim(auto.token, &ann)).await;
    h.advance(Duration::from_micros(1));
    h.done(&h.claim(review.token, &ann)).await;
    h.advance(Duration::from_micros(1));
    h.done(&h.claim(review.token, &bob)).await;
    let start = h.now();
    let counts = async |h: &Harness<'_, F::Store>| {
        fixture.settle(h.store()).await;
        [
            h.list(&pending(), 10).await.len(),
            h.list(&of_host(), 1).await.len(),
            h.list(&of_all, 1).await.len(),
            h.list(&cancelled(&ann), 10).await.len(),
            h.list(&cancelled(&bob), 10).await.len(),
        ]
    };
    for (before_end, wanted) in [
        (3, [2, 0, 0, 0, 0]),
        (2, [2, 0, 1, 1, 0]),
        (1, [1, 1, 2, 2, 0]),
        (0, [0, 2, 3, 2, 1]),
    ] {
        h.set_now(Timestamp::from_micros(
            (start + TTL).as_micros() - before_end,
        ));
        assert_eq!(
            counts(&h).await,
            wanted,
            "{before_end} microseconds before the last end"
        );
        assert_consistent(fixture, &h).await;
    }
    let longest_first: Vec<_> = h
        .list(&of_all, 2)
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let wanted = [
        RowKey::Membership(other.clone(), ann.clone()),
        RowKey::Membership(host.clone(), ann.clone()),
        RowKey::Membership(host.clone(), bob.clone()),
    ];
    assert_eq!(longest_first, wanted, "longest first");
    for (host, member) in [(&host, &ann), (&other, &ann)] {
        let member = member.clone();
        h.done(&Order::member(host, MemberCommand::Expire { member }))
            .await;
    }
    assert_eq!(counts(&h).await, [0, 1, 1, 2, 1], "two endings are written");
    h.done(&h.claim(review.token, &bob)).await;
    assert_eq!(counts(&h).await, [1, 0, 0, 2, 0], "and one came back");
    assert_consistent(fixture, &h).await;
}

/// A request that is opened again waits from then on, in its new place and nowhere else.
pub async fn a_request_opened_again_waits_at_the_end<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    for id in ["a", "b", "c"] {
        h.advance(Duration::from_millis(1));
        h.done(&h.claim(issued.token, &person(id))).await;
    }
    let pending = Query::Pending {
        host: host.clone(),
        link: None,
    };
    h.done(&Order::cancel(&host, &person("a"))).await;
    h.done(&Order::reject(&host, &person("b"))).await;
    h.advance(Duration::from_millis(1));
    h.done(&h.claim(issued.token, &person("b"))).await;
    h.advance(Duration::from_millis(1));
    h.done(&h.claim(issued.token, &person("a"))).await;
    for page in [1, 10] {
        let waiting = members_of(h.list(&pending, page).await);
        assert_eq!(waiting, [person("c"), person("b"), person("a")]);
    }
    assert_consistent(fixture, &h).await;
}

/// Deleted links are in no list, and disabled ones in theirs; their uses stay.
pub async fn deleted_links_are_not_listed<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let kept = h.new_link(&host, LinkDraft::review()).await;
    let gone = h.new_link(&host, LinkDraft::review()).await;
    let resting = h.new_link(&host, LinkDraft::review()).await;
    h.done(&h.claim(gone.token, &person("ann"))).await;
    let (link, rests) = (gone.link, resting.link);
    h.done(&Order::link(&host, LinkCommand::Delete { link }))
        .await;
    h.done(&Order::link(&host, LinkCommand::Disable { link: rests }))
        .await;
    let links = |status| Query::Links {
        host: host.clone(),
        status,
        creator: None,
    };
    let listed = async |status| {
        let rows = h.list(&links(status), 1).await;
        rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let key = |link| RowKey::Link(host.clone(), link);
    assert_eq!(listed(None).await, [key(kept.link), key(resting.link)]);
    assert_eq!(listed(Some(LinkStatus::Active)).await, [key(kept.link)]);
    assert_eq!(
        listed(Some(LinkStatus::Disabled)).await,
        [key(resting.link)]
    );
    let uses = Query::Uses {
        host: host.clone(),
        link,
    };
    assert_eq!(h.list(&uses, 10).await.len(), 1, "attribution stays");
    assert_consistent(fixture, &h).await;
}

fn invites_of(rows: Vec<(RowKey, Row)>) -> Vec<InviteId> {
    let id = |key| match key {
        RowKey::Invite(_, id) => id,
        key => panic!("{key:?} among invites"),
    };
    rows.into_iter().map(|(key, _)| id(key)).collect()
}

/// Invites are listed oldest first, by what they are at the time of the question, to the
/// microsecond; by address; and by sender.
pub async fn invites_are_listed_by_what_they_are_now<F: Fixture>(fixture: &F) {
    const TTL: Duration = Duration::from_secs(60);
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register_with(&host, &name("one"), Some(user("ann")), Settings::default())
        .await;
    let draft = InviteDraft::new().expiry(Expiry::After(TTL));
    let mut sent = Vec::new();
    for (number, id) in ["z", "m", "a", "k", "b"].into_iter().enumerate() {
        let address = format!("{id}@example.com");
        let (order, all) = h.invite_all(&host, &[address.as_str()], &draft);
        let order = if number == 3 {
            order.by(Actor::user(user("ann")).in_organization(host.clone()))
        } else {
            order
        };
        h.done(&order).await;
        sent.push(all[0]);
    }
    let ids: Vec<_> = sent.iter().map(|invited| invited.invite).collect();
    h.done(&h.accept_as(sent[0].token, "zoe", "z@example.com"))
        .await;
    h.done(&h.decline(&host, sent[1].token)).await;
    h.done(&Order::revoke(&host, ids[2])).await;
    let list = |filter| Query::Invites {
        host: host.clone(),
        filter,
    };
    let in_phase = async |phase| {
        fixture.settle(&store).await;
        let phase = Some(phase);
        let filter = InviteFilter {
            phase,
            ..InviteFilter::default()
        };
        invites_of(h.list(&list(filter), 1).await)
    };
    assert_eq!(
        invites_of(h.list(&list(InviteFilter::default()), 2).await),
        ids,
        "oldest first"
    );
    assert_eq!(in_phase(InvitePhase::Accepted).await, ids[..1]);
    assert_eq!(in_phase(InvitePhase::Declined).await, ids[1..2]);
    assert_eq!(in_phase(InvitePhase::Revoked).await, ids[2..3]);
    let end = h.now() + TTL;
    h.set_now(Timestamp::from_micros(end.as_micros() - 1));
    assert_eq!(in_phase(InvitePhase::Pending).await, ids[3..]);
    assert_eq!(in_phase(InvitePhase::Expired).await, []);
    h.set_now(end);
    assert_eq!(in_phase(InvitePhase::Pending).await, []);
    assert_eq!(in_phase(InvitePhase::Expired).await, ids[3..]);
    h.done(&h.resend(&host, ids[4]).0).await;
    assert_eq!(in_phase(InvitePhase::Pending).await, ids[4..]);
    assert_eq!(in_phase(InvitePhase::Expired).await, ids[3..4]);
    let by_ann = InviteFilter {
        creator: Some(user("ann")),
        ..InviteFilter::default()
    };
    assert_eq!(invites_of(h.list(&list(by_ann), 10).await), ids[3..4]);
    let to = |address: &str| InviteFilter {
        address: Some(email(address)),
        ..InviteFilter::default()
    };
    assert_eq!(
        invites_of(h.list(&list(to("a@example.com")), 10).await),
        ids[2..3]
    );
    for address in ["%@example.com", "_@example.com", "aa@example.com"] {
        assert_eq!(h.list(&list(to(address)), 10).await, [], "{address}");
    }
    assert_consistent(fixture, &h).await;
}

/// Invites to one address are found in all hosts, in the order of the hosts and then oldest first,
/// whatever has become of them.
pub async fn invites_to_an_address_are_of_all_hosts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let hosts = ["b", "a", "aa", "B", "~"].map(org);
    let mut wanted = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        h.register(host, &name(&format!("host-{number}"))).await;
        for round in 0..2 {
            let invited = h.new_invite(host, "ann@example.com").await;
            wanted.push((host.clone(), invited.invite));
            if round == 0 {
                h.done(&Order::revoke(host, invited.invite)).await;
            }
        }
        h.new_invite(host, "ann@example.co").await;
        h.new_invite(host, "nann@example.com").await;
    }
    wanted.sort();
    let list = |phase| Query::InvitesTo {
        address: email("Ann@Example.com"),
        phase,
    };
    let keys = |rows: Vec<(RowKey, Row)>| {
        let key = |(key, _)| match key {
            RowKey::Invite(host, id) => (host, id),
            key => panic!("{key:?} among invites"),
        };
        rows.into_iter().map(key).collect::<Vec<_>>()
    };
    fixture.settle(&store).await;
    for page in [1, 3, 1000] {
        let found = keys(h.list(&list(None), page).await);
        assert_items(&wanted, &found, &format!("in pages of {page}"));
    }
    let pending = keys(h.list(&list(Some(InvitePhase::Pending)), 2).await);
    let newest: Vec<_> = wanted.chunks(2).map(|pair| pair[1].clone()).collect();
    assert_eq!(pending, newest);
    assert_consistent(fixture, &h).await;
}

/// Links and invites whose time is over are listed, longest first, until that is written or they
/// get more time; of one host and of all.
pub async fn links_and_invites_that_have_run_out_are_listed<F: Fixture>(fixture: &F) {
    const TTL: Duration = Duration::from_secs(60);
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let one = org("org_1");
    let two = neighbour(&one);
    h.register(&one, &name("one")).await;
    h.register(&two, &name("two")).await;
    let mut links: Vec<(OrgId, LinkId)> = Vec::new();
    let mut invites: Vec<(OrgId, InviteId)> = Vec::new();
    for (number, host) in [&two, &one, &one, &two].into_iter().enumerate() {
        h.advance(Duration::from_micros(1));
        let draft = LinkDraft::review().expiry(Expiry::After(TTL));
        links.push((host.clone(), h.new_link(host, draft).await.link));
        let draft = InviteDraft::new().expiry(Expiry::After(TTL));
        let address = format!("user_{number}@example.com");
        let (send, all) = h.invite_all(host, &[address.as_str()], &draft);
        h.done(&send).await;
        invites.push((host.clone(), all[0].invite));
    }
    h.new_link(&one, LinkDraft::review()).await;
    let draft = InviteDraft::new().expiry(Expiry::Never);
    h.done(&h.invite_all(&one, &["ever@example.com"], &draft).0)
        .await;
    let keys = async |query: Query| {
        fixture.settle(&store).await;
        let whole = h.list(&query, 1000).await;
        let paged = h.list(&query, 1).await;
        assert_items(&whole, &paged, &format!("{query:?}, one by one"));
        let keys = whole.into_iter().map(|(key, _)| key);
        keys.collect::<Vec<_>>()
    };
    let link = |at: &usize| RowKey::Link(links[*at].0.clone(), links[*at].1);
    let invite = |at: &usize| RowKey::Invite(invites[*at].0.clone(), invites[*at].1);
    let look = async |all: &[usize], of_one: &[usize]| {
        let hosts = [(None, all), (Some(one.clone()), of_one)];
        for (host, wanted) in hosts {
            let found = keys(Query::RunOutLinks { host: host.clone() }).await;
            let expected: Vec<_> = wanted.iter().map(link).collect();
            assert_eq!(found, expected, "links of {host:?}");
            let found = keys(Query::RunOutInvites { host: host.clone() }).await;
            let expected: Vec<_> = wanted.iter().map(invite).collect();
            assert_eq!(found, expected, "invites of {host:?}");
        }
    };
    let end = (h.now() + TTL).as_micros();
    h.set_now(Timestamp::from_micros(end - 4));
    look(&[], &[]).await;
    h.set_now(Timestamp::from_micros(end - 2));
    look(&[0, 1], &[1]).await;
    h.set_now(Timestamp::from_micros(end));
    look(&[0, 1, 2, 3], &[1, 2]).await;
    assert_consistent(fixture, &h).await;
    // Written, it is out of the list.
    let expire = |at: usize| {
        let ((host, link), (_, invite)) = (&links[at], &invites[at]);
        [
            Order::link(host, LinkCommand::Expire { link: *link }),
            Order::invite(host, InviteCommand::Expire { invite: *invite }),
        ]
    };
    h.all_done(&expire(1)).await;
    look(&[0, 2, 3], &[2]).await;
    h.all_done(&expire(1)).await;
    // With more time as well, and it comes back when that is over.
    let draft = Box::new(LinkDraft::default().expiry(Expiry::After(TTL)));
    for at in [1, 2] {
        let link = links[at].1;
        let draft = draft.clone();
        h.done(&Order::link(&one, LinkCommand::Edit { link, draft }))
            .await;
        h.done(&h.resend(&one, invites[at].1).0).await;
    }
    look(&[0, 3], &[]).await;
    h.advance(TTL);
    look(&[0, 3, 1, 2], &[1, 2]).await;
    // What has come to another end is no matter of time any more.
    let link_id = links[0].1;
    h.done(&Order::link(&two, LinkCommand::Delete { link: link_id }))
        .await;
    h.done(&Order::revoke(&two, invites[0].1)).await;
    look(&[3, 1, 2], &[1, 2]).await;
    assert_consistent(fixture, &h).await;
}

/// Organizations that can be found are listed by name; one that is renamed moves, and one that is
/// hidden, suspended or deleted leaves the list.
pub async fn organizations_are_found_while_they_can_be<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let settings = |discoverable| Settings {
        discoverable,
        ..Settings::default()
    };
    for (id, shown) in [("1", "m"), ("2", "c"), ("3", "x")] {
        h.register_with(&org(id), &name(shown), None, settings(true))
            .await;
    }
    h.register_with(&org("4"), &name("hidden"), None, settings(false))
        .await;
    let names = async || {
        fixture.settle(&store).await;
        let whole = h.list(&Query::Discover { text: None }, 1000).await;
        let paged = h.list(&Query::Discover { text: None }, 1).await;
        assert_items(&whole, &paged, "organizations, one by one");
        let shown = |(key, row)| match (key, row) {
            (RowKey::Organization(id), Row::Organization(row)) if row.id == id => {
                row.name.as_str().to_owned()
            }
            other => panic!("{other:?} among organizations"),
        };
        whole.into_iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["c", "m", "x"]);
    let rename = |id: &str, to: &str| {
        let name = name(to);
        Order::organization(&org(id), OrganizationCommand::Rename { name })
    };
    h.done(&Order::reserve_name(&org("1"), &name("z"))).await;
    h.done(&rename("1", "z")).await;
    assert_eq!(names().await, ["c", "x", "z"], "renamed");
    h.done(&Order::settings(&org("2"), settings(false))).await;
    assert_eq!(names().await, ["x", "z"], "hidden");
    h.done(&Order::settings(&org("4"), settings(true))).await;
    assert_eq!(names().await, ["hidden", "x", "z"], "shown");
    let suspend = |id| Order::organization(&org(id), OrganizationCommand::Suspend);
    let resume = |id| Order::organization(&org(id), OrganizationCommand::Resume);
    h.done(&suspend("3")).await;
    assert_eq!(names().await, ["hidden", "z"], "suspended");
    // Renamed out of sight.
    h.done(&Order::reserve_name(&org("3"), &name("a"))).await;
    h.done(&rename("3", "a")).await;
    assert_eq!(names().await, ["hidden", "z"], "suspended");
    h.done(&resume("3")).await;
    assert_eq!(names().await, ["a", "hidden", "z"], "resumed");
    h.done(&Order::organization(&org("4"), OrganizationCommand::Delete))
        .await;
    assert_eq!(names().await, ["a", "z"], "deleted");
    assert_consistent(fixture, &h).await;
}

/// Organizations are searched by handle and display name, as members are: no character stands for
/// another one, and only ASCII letters are the same in both cases.
pub async fn organizations_are_searched_literally<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let organizations = [
        ("snake_case", Some("100% sure")),
        ("snakexcase", Some("100 % sure")),
        ("a-b", Some("back\\slash [a-z]* ?1 $1")),
        ("plain", Some("it's \u{c4}rger STRASSE")),
        ("plain-2", Some("\u{e4}rger stra\u{df}e \u{1f389}")),
        ("nameless", None),
    ];
    for (number, (handle, shown)) in organizations.into_iter().enumerate() {
        let id = org(&format!("org_{number}"));
        let settings = Settings {
            discoverable: true,
            ..Settings::default()
        };
        h.register_with(&id, &name(handle), None, settings).await;
        let display_name = shown.map(display_name);
        let command = OrganizationCommand::SetDisplayName { display_name };
        h.done(&Order::organization(&id, command)).await;
    }
    let records = folded(fixture, &h).await;
    for (text, count) in [
        ("", 6),
        ("%", 2),
        ("100%", 1),
        ("_", 1),
        ("e_c", 1),
        ("exc", 1),
        ("SNAKE", 2),
        ("\\", 1),
        ("\\_", 0),
        ("*", 1),
        ("[a-z]", 1),
        ("?1", 1),
        ("$1", 1),
        ("'", 1),
        ("' OR '1'='1", 0),
        ("\u{c4}", 1),
        ("\u{e4}rger", 1),
        ("\u{c4}RGER", 1),
        ("strasse", 1),
        ("STRA\u{df}E", 1),
        ("\u{1f389}", 1),
        ("plain", 2),
        ("NameLess", 1),
        ("org_", 0),
        ("\u{0}", 0),
    ] {
        let query = Query::Discover {
            text: Some(text.to_owned()),
        };
        let wanted = expected(&query, &records, h.now());
        assert_eq!(wanted.len(), count, "this suite's own count of {text:?}");
        for page in [1, 1000] {
            let found = h.list(&query, page).await;
            assert_items(&wanted, &found, &format!("with the text {text:?}"));
        }
    }
}

/// What comes before the cursor while invites, organizations and what has run out are read is not
/// shown, what comes behind it is, and what goes is not missed.
pub async fn new_lists_are_stable_while_rows_come_and_go<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let settings = || Settings {
        discoverable: true,
        ..Settings::default()
    };
    let register = async |id: &str| {
        h.register_with(&org(id), &name(id), None, settings()).await;
    };
    let invite = async |id: &str| h.new_invite(&org(id), "ann@example.com").await.invite;
    let mut sent = Vec::new();
    for id in ["b", "d", "f", "h", "k"] {
        register(id).await;
        sent.push((org(id), invite(id).await));
        h.advance(Duration::from_micros(1));
    }
    let to = Query::InvitesTo {
        address: email("ann@example.com"),
        phase: None,
    };
    let run_out = Query::RunOutInvites { host: None };
    let discover = Query::Discover { text: None };
    let of_d = Query::Invites {
        host: org("d"),
        filter: InviteFilter::default(),
    };
    for n in 0..3 {
        h.new_invite(&org("d"), &format!("{n}@example.com")).await;
    }
    h.advance(Duration::from_secs(15 * 24 * 3600));
    fixture.settle(&store).await;
    let mut first = Vec::new();
    for query in [&to, &run_out, &discover, &of_d] {
        let listed = page(&h, query, 2, None).await;
        assert_eq!(listed.rows.len(), 2, "{query:?}");
        let next = listed
            .next
            .unwrap_or_else(|| panic!("{query:?}: there is more"));
        first.push((query, next));
    }
    for id in ["a", "c", "e", "z"] {
        register(id).await;
        invite(id).await;
    }
    let late = h.new_invite(&org("d"), "late@example.com").await.invite;
    // "d" is where the cursors stand, "f" is behind them.
    for at in [1, 2] {
        let (host, invite) = &sent[at];
        let invite = *invite;
        h.done(&Order::invite(host, InviteCommand::Expire { invite }))
            .await;
        h.done(&Order::organization(host, OrganizationCommand::Suspend))
            .await;
    }
    fixture.settle(&store).await;
    for (query, cursor) in first {
        let listed = page(&h, query, 1000, Some(cursor)).await;
        assert_eq!(listed.next, None, "{query:?}: that was the last page");
        let hosts: Vec<_> = listed
            .rows
            .iter()
            .filter_map(|(key, _)| key.organization())
            .map(OrgId::as_str)
            .collect();
        let wanted: &[&str] = match query {
            Query::InvitesTo { .. } => &["e", "f", "h", "k", "z"],
            Query::Discover { .. } => &["e", "h", "k", "z"],
            Query::RunOutInvites { .. } => &["h", "k", "d", "d", "d"],
            _ => &["d", "d", "d"],
        };
        assert_eq!(hosts, wanted, "{query:?}");
        if let Query::Invites { .. } = query {
            let last = invites_of(listed.rows).last().copied();
            assert_eq!(last, Some(late), "the newest is last");
        }
    }
}
