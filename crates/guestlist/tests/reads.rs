//! What pages are made of: who may do what, groups by name and by member, settings of access.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{clock, on_every_store, org, org_member, over, owner, register, user_member};
use guestlist::{
    ActingRule, Actor, Capability, Error, EventFilter, Group, Guestlist, Member, Page, Preset,
    Sharing, Store,
};

on_every_store! {
    capabilities_are_those_of_the_role,
    groups_are_found_by_name_and_by_member,
    what_was_set_is_read_back,
    an_audit_trail_is_of_its_own_organization_whatever_is_asked_for,
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

fn member_of(name: &str, organization: &str) -> Actor {
    Actor::user(name.parse().unwrap()).in_organization(org(organization))
}

async fn add<S: Store>(guestlist: &Guestlist<S>, member: &Member, gift: Preset) {
    let (alice, host) = (owner("host"), org("host"));
    let added = guestlist.add_member(&alice, &host, member, gift, None);
    added.await.unwrap();
}

async fn group<S: Store>(guestlist: &Guestlist<S>, name: &str, internal: bool) -> Group {
    let name = name.parse().unwrap();
    let (alice, host) = (owner("host"), org("host"));
    let made = guestlist.create_group(&alice, &host, name, internal);
    made.await.unwrap()
}

async fn capabilities_are_those_of_the_role<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host", "guest"]).await;
    add(&guestlist, &user_member("ann"), Preset::default()).await;
    let of = async |actor: &Actor, organization: &str| {
        let held = guestlist.capabilities(actor, &org(organization)).await;
        held.unwrap()
    };
    for all in [&owner("host"), &Actor::system()] {
        assert!(of(all, "host").await.into_iter().eq(Capability::ALL));
    }
    let ann = member_of("ann", "host");
    assert!(!of(&ann, "host").await.contains(&Capability::LinksManage));
    assert!(of(&owner("guest"), "host").await.is_empty(), "an outsider");
    assert!(of(&owner("host"), "nobody").await.is_empty());
    assert!(of(&Actor::system(), "nobody").await.is_empty());
}

async fn groups_are_found_by_name_and_by_member<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host", "guest"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let [staff, guests, writers] = [("Staff", true), ("Guests", false), ("Writers", false)];
    let staff = group(&guestlist, staff.0, staff.1).await;
    let guests = group(&guestlist, guests.0, guests.1).await;
    let writers = group(&guestlist, writers.0, writers.1).await;

    let named = async |name: &str| {
        let name = name.parse().unwrap();
        guestlist.group_named(&alice, &host, &name).await
    };
    assert_eq!(named("Writers").await.unwrap(), writers);
    assert_eq!(code(named("Readers").await), "not-found");

    let gift = Preset {
        groups: [writers.id].into(),
        ..Preset::default()
    };
    let (ann, guest) = (user_member("ann"), org_member("guest"));
    add(&guestlist, &ann, gift).await;
    add(&guestlist, &guest, Preset::default()).await;
    let put = guestlist.add_to_group(&alice, &host, staff.id, &ann);
    put.await.unwrap();
    let of = async |actor: &Actor, member: &Member| {
        let groups = guestlist.groups_of(actor, &host, member).await;
        groups.map(|groups| {
            let mut found: Vec<String> = groups.into_iter().map(|of| of.name.to_string()).collect();
            found.sort();
            found
        })
    };
    assert_eq!(of(&alice, &ann).await.unwrap(), ["Staff", "Writers"]);
    assert_eq!(of(&member_of("ann", "host"), &ann).await.unwrap().len(), 2);
    assert_eq!(of(&alice, &guest).await.unwrap(), Vec::<String>::new());
    let set = guestlist.set_external_group(&alice, &host, Some(guests.id));
    set.await.unwrap();
    assert_eq!(of(&alice, &guest).await.unwrap(), ["Guests"]);
    assert_eq!(of(&owner("guest"), &guest).await.unwrap(), ["Guests"]);

    assert_eq!(
        code(of(&member_of("ann", "host"), &guest).await),
        "not-allowed"
    );
    assert_eq!(code(of(&owner("guest"), &ann).await), "not-found");
    assert_eq!(code(of(&alice, &org_member("nobody")).await), "not-found");
    guestlist.remove(&alice, &host, &ann, None).await.unwrap();
    assert_eq!(
        code(of(&alice, &ann).await),
        "not-found",
        "no member any more"
    );
}

async fn what_was_set_is_read_back<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host", "guest"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (bob, guest) = (owner("guest"), org("guest"));
    let read = guestlist.access_settings(&alice, &host).await.unwrap();
    assert_eq!(
        (read.external_group, read.sharing),
        (None, Sharing::WithinOwn)
    );
    let guests = group(&guestlist, "Guests", false).await;
    let set = guestlist.set_external_group(&alice, &host, Some(guests.id));
    set.await.unwrap();
    let set = guestlist.set_sharing(&alice, &host, Sharing::OwnersOnly);
    set.await.unwrap();
    let read = guestlist.access_settings(&alice, &host).await.unwrap();
    assert_eq!(read.external_group, Some(guests.id));
    assert_eq!(read.sharing, Sharing::OwnersOnly);
    assert_eq!(
        code(guestlist.access_settings(&bob, &host).await),
        "not-found"
    );

    add(&guestlist, &org_member("guest"), Preset::default()).await;
    let rule = async |actor: &Actor| guestlist.acting_rule(actor, &guest, &host).await;
    assert_eq!(rule(&bob).await.unwrap(), None);
    let only = ActingRule {
        users: ["bob".parse().unwrap()].into(),
        ..ActingRule::default()
    };
    let restrict = guestlist.restrict_acting(&bob, &guest, &host, Some(only.clone()));
    restrict.await.unwrap();
    assert_eq!(rule(&bob).await.unwrap(), Some(only));
    assert_eq!(code(rule(&alice).await), "not-the-member");
}

async fn an_audit_trail_is_of_its_own_organization_whatever_is_asked_for<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host", "guest"]).await;
    add(&guestlist, &org_member("guest"), Preset::default()).await;
    let (alice, bob) = (owner("host"), owner("guest"));
    let (host, guest) = (org("host"), org("guest"));
    let first = Page::first(1000).unwrap();
    let own = guestlist.audit(&bob, &guest, EventFilter::default(), &first);
    let own = own.await.unwrap().events;
    assert!(!own.is_empty());
    assert!(own.iter().all(|event| event.organization == guest));
    let named = guestlist.audit(&bob, &guest, EventFilter::of(host.clone()), &first);
    assert_eq!(named.await.unwrap().events, own);

    // What happened in the host alone, about the guest and by the host's founder.
    for filter in [
        EventFilter {
            member: Some(org_member("guest")),
            ..EventFilter::of(host.clone())
        },
        EventFilter {
            by: Some("host-owner".parse().unwrap()),
            ..EventFilter::of(host.clone())
        },
    ] {
        let there = guestlist.audit(&alice, &host, filter.clone(), &first);
        assert!(!there.await.unwrap().events.is_empty());
        let here = guestlist.audit(&bob, &guest, filter, &first);
        assert!(here.await.unwrap().events.is_empty());
    }

    // Nor from a place in the trail of the host.
    let of_host = guestlist.audit(&alice, &host, EventFilter::default(), &first);
    let place = of_host.await.unwrap().next.unwrap();
    let behind = first.after(place);
    let followed = guestlist.audit(&bob, &guest, EventFilter::of(host), &behind);
    assert_eq!(code(followed.await), "cursor-invalid");
}
