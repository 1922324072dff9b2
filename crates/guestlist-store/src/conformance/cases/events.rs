//! The log: complete, in order, and readable from anywhere on.

use guestlist_membership::link::{LinkCommand, LinkDraft};
use guestlist_membership::organization::Settings;
use guestlist_membership::{Actor, By};
use guestlist_types::Timestamp;

use crate::conformance::harness::{company, must, name, org, person, user};
use crate::conformance::observe::assert_items;
use crate::conformance::world::build;
use crate::conformance::{Fixture, Harness, Order};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::event::{EventFilter, Recorded, Sequence};
use crate::query::{Page, Query};
use crate::store::Store;

/// The whole log has every event of every commit, once, in the order of the commits and within
/// them, however large the pages are.
pub async fn the_log_is_complete_and_in_order<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    fixture.settle(&store).await;
    let mut expected = Vec::new();
    for commit in h.applied() {
        let organization = match &commit.home {
            guestlist_membership::Home::Organization(org) => Some(org.clone()),
            guestlist_membership::Home::Name(_) | guestlist_membership::Home::Consumer(_) => None,
        };
        let (id, stamp) = (commit.id, commit.stamp);
        let events = commit.events.into_iter();
        expected.extend(events.map(|event| (id, organization.clone(), stamp.clone(), event)));
    }
    let all = h.events(&EventFilter::default(), 1000).await;
    let found: Vec<_> = all
        .iter()
        .map(|recorded| {
            let reserved = recorded.event.name() == "name-reserved";
            let organization = (!reserved).then(|| recorded.organization.clone());
            let (stamp, event) = (recorded.stamp.clone(), recorded.event.clone());
            (recorded.commit, organization, stamp, event)
        })
        .collect();
    assert_items(&expected, &found, "the log");
    for pair in all.windows(2) {
        let [first, second] = pair else { continue };
        assert!(first.sequence < second.sequence, "out of order: {pair:?}");
        let together = first.commit == second.commit;
        assert_eq!(
            together,
            first.sequence.commit == second.sequence.commit,
            "events of a commit stand together: {pair:?}"
        );
    }
    for page in [1, 2, 3, 7, 1000] {
        let paged = h.events(&EventFilter::default(), page).await;
        assert_items(&all, &paged, &format!("the log in pages of {page}"));
    }
}

/// What an empty log, and a filter that nothing matches, answer.
pub async fn an_empty_log_is_no_error<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let everything = EventFilter::default();
    let (events, end) = h.events_after(&everything, None, 10).await;
    assert_eq!(events, [], "nothing has happened");
    h.register(&org("org_1"), &name("one")).await;
    fixture.settle(&store).await;
    let (events, _) = h.events_after(&everything, end, 10).await;
    assert_eq!(events.len(), 2, "a name and an organization");
    let nobody = EventFilter::of(org("nobody"));
    let (events, end) = h.events_after(&nobody, None, 10).await;
    assert_eq!(events, []);
    assert!(
        end.is_some(),
        "the log is not empty, so there is a place to go on from"
    );
}

/// Reading on behind the last cursor gives what came since, and nothing else.
pub async fn new_events_come_behind_the_last_cursor<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    fixture.settle(&store).await;
    let filters = [
        EventFilter::default(),
        EventFilter::of(host.clone()),
        EventFilter {
            name: Some("membership-requested".to_owned()),
            ..EventFilter::default()
        },
    ];
    let mut ends: Vec<Option<Cursor>> = Vec::new();
    for filter in &filters {
        ends.push(h.events_after(filter, None, 2).await.1);
    }
    for number in 0..3 {
        let member = person(&format!("user_{number}"));
        let commit = h.prepared(&h.claim(issued.token, &member)).await;
        h.applies(&commit).await;
        fixture.settle(&store).await;
        for (filter, end) in filters.iter().zip(&mut ends) {
            let (events, next) = h.events_after(filter, end.take(), 1).await;
            let events: Vec<_> = events.into_iter().map(|recorded| recorded.event).collect();
            assert_items(&commit.events, &events, &format!("{filter:?}: new events"));
            let (events, same) = h.events_after(filter, next, 1).await;
            assert_eq!(events, [], "{filter:?}: nothing new");
            *end = same;
        }
    }
}

/// Every filter, alone and with others, gives the events that it describes.
pub async fn filters_choose_events<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    // Some by a person in its own right, about a link.
    let by = Actor::user(user("ann")).in_organization(world.acme.clone());
    let link = world.open.link;
    h.done(&Order::link(&world.acme, LinkCommand::Disable { link }).by(by))
        .await;
    fixture.settle(&store).await;
    let all = h.events(&EventFilter::default(), 1000).await;
    let middle = all[all.len() / 2].stamp.at;
    let next = Timestamp::from_micros(middle.as_micros() + 1);
    let none = EventFilter::default;
    let mut parts = vec![
        EventFilter::of(world.acme.clone()),
        EventFilter::of(world.beta.clone()),
        EventFilter::of(org("nobody")),
    ];
    for id in ["ann", "user_4", "nobody"] {
        let by = Some(user(id));
        parts.push(EventFilter { by, ..none() });
    }
    for event in [
        "membership-requested",
        "link-created",
        "MEMBERSHIP-REQUESTED",
        "%",
        "",
    ] {
        let name = Some(event.to_owned());
        parts.push(EventFilter { name, ..none() });
    }
    for member in [person("user_4"), company("org_beta"), person("org_beta")] {
        let member = Some(member);
        parts.push(EventFilter { member, ..none() });
    }
    for link in [world.open.link, world.full.link, h.link_id()] {
        let link = Some(link);
        parts.push(EventFilter { link, ..none() });
    }
    for invite in [world.waiting.invite, world.accepted.invite, h.invite_id()] {
        let invite = Some(invite);
        parts.push(EventFilter { invite, ..none() });
    }
    for (from, until) in [
        (Some(middle), None),
        (None, Some(middle)),
        (Some(middle), Some(next)),
        (Some(middle), Some(middle)),
        (Some(Timestamp::MIN), Some(Timestamp::MAX)),
        (Some(Timestamp::MAX), None),
    ] {
        parts.push(EventFilter {
            from,
            until,
            ..none()
        });
    }
    let mut some = 0;
    for first in &parts {
        for second in &parts {
            let filter = EventFilter {
                organization: first.organization.clone().or(second.organization.clone()),
                by: first.by.clone().or(second.by.clone()),
                name: first.name.clone().or(second.name.clone()),
                member: first.member.clone().or(second.member.clone()),
                link: first.link.or(second.link),
                invite: first.invite.or(second.invite),
                from: first.from.or(second.from),
                until: first.until.or(second.until),
            };
            let expected: Vec<Recorded> = all
                .iter()
                .filter(|recorded| filter.matches(recorded))
                .cloned()
                .collect();
            some += usize::from(!expected.is_empty());
            let found = h.events(&filter, 1000).await;
            assert_items(&expected, &found, &format!("{filter:?}"));
            if first == second {
                let found = h.events(&filter, 2).await;
                assert_items(&expected, &found, &format!("{filter:?}, in pages of 2"));
            }
        }
    }
    assert!(some > parts.len(), "filters that match something are tried");
    let names = async |invite| {
        let invite = Some(invite);
        let found = h.events(&EventFilter { invite, ..none() }, 2).await;
        let names = found.iter().map(|recorded| recorded.event.name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(world.waiting.invite).await, ["invite-sent"]);
    assert_eq!(
        names(world.accepted.invite).await,
        [
            "invite-sent",
            "invite-delivered",
            "invite-accepted",
            "membership-joined"
        ]
    );
    let people = all
        .iter()
        .filter(|recorded| matches!(recorded.stamp.by, By::User { .. }));
    assert!(people.count() > 1, "events by people are tried");
}

/// A cursor leads on in its own log only.
pub async fn a_cursor_belongs_to_its_events<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (one, two) = (org("org_1"), org("org_2"));
    h.register_with(&one, &name("one"), Some(user("ann")), Settings::default())
        .await;
    h.register(&two, &name("two")).await;
    for _ in 0..3 {
        h.new_link(&one, LinkDraft::review()).await;
    }
    fixture.settle(&store).await;
    let filter = EventFilter::of(one.clone());
    let page = must(store.events(&filter, None, 1).await, "reading events");
    let cursor = page.next.unwrap_or_else(|| panic!("there is more"));
    let links = Query::Links {
        host: one.clone(),
        status: None,
        creator: None,
    };
    let first = must(Page::first(1), "a page's size");
    let listed = must(store.list(&links, &first, h.now()).await, "listing");
    let of_list = listed
        .next
        .unwrap_or_else(|| panic!("there are more links"));
    let other_filter = EventFilter {
        name: Some("link-created".to_owned()),
        ..filter.clone()
    };
    let forged = Cursor::new(
        !filter.fingerprint(),
        &crate::cursor::Position::Event(Sequence::default()),
    );
    for (filter, cursor) in [
        (&EventFilter::default(), &cursor),
        (&EventFilter::of(two), &cursor),
        (&other_filter, &cursor),
        (&filter, &of_list),
        (&filter, &forged),
    ] {
        let refused = store.events(filter, Some(cursor), 10).await;
        assert!(
            matches!(refused, Err(StoreError::Malformed { .. })),
            "a cursor of another list was taken for {filter:?}: {refused:?}"
        );
    }
    assert!(
        store.events(&filter, Some(&cursor), 10).await.is_ok(),
        "its own is taken"
    );
}
