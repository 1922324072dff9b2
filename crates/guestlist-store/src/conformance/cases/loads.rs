//! Loading: what a snapshot holds.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guestlist_access::{AccessBook, AccessCommand, Sharing};
use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::{Generation, LinkDraft, Preset};
use guestlist_membership::member::{ActingRule, MemberCommand};
use guestlist_membership::organization::Settings;
use guestlist_membership::{
    Actor, Event, Fact, Home, InviteRef, LinkRef, Root, RowKey, Scope, Sequence,
};
use guestlist_types::{LinkId, Member, OrgId};

use crate::conformance::harness::{company, consumer, email, must, name, org, person, user};
use crate::conformance::observe::{assert_consistent, assert_folds};
use crate::conformance::world::{CONSUMER, build, limited};
use crate::conformance::{Fixture, Harness, Order};
use crate::event::EventFilter;
use crate::snapshot::{FoundBook, KnownBooks, Load, Revision};
use crate::store::Store;

fn knowing(organization: &OrgId, revision: Revision) -> Arc<dyn KnownBooks> {
    Arc::new(BTreeMap::from([(organization.clone(), revision)]))
}

/// Every fact there is, about things that are named directly.
fn every_fact(host: &OrgId, member: &Member, link: LinkId) -> Vec<Fact> {
    let id = || LinkRef::Id(link);
    vec![
        Fact::Name(name("widgets")),
        Fact::Organization,
        Fact::OrganizationOf(org("org_2")),
        Fact::Owners,
        Fact::Seats,
        Fact::SeatCount,
        Fact::Link(id()),
        Fact::Link(LinkRef::Default),
        Fact::Link(LinkRef::OfToken),
        Fact::Link(LinkRef::OfMembership(member.clone())),
        Fact::Tokens(id()),
        Fact::Tokens(LinkRef::OfToken),
        Fact::Tally(id()),
        Fact::Use(id(), member.clone()),
        Fact::UseCount(id()),
        Fact::Creator(id()),
        Fact::Membership(member.clone()),
        Fact::Membership(Member::Org(host.clone())),
        Fact::Membership(company("org_2")),
        Fact::MembershipIn(org("org_2"), member.clone()),
        Fact::Acting(org("org_2")),
        Fact::ActingIn(org("org_2")),
        Fact::BookForActing(org("org_2")),
        Fact::Book,
        Fact::BookForLink(id()),
        Fact::BookForLink(LinkRef::OfToken),
        Fact::Invite(InviteRef::Id(guestlist_types::InviteId::from_bytes(
            *link.as_bytes(),
        ))),
        Fact::Invite(InviteRef::OfToken),
        Fact::Invite(InviteRef::OfMembership(member.clone())),
        Fact::Invite(InviteRef::OfAddress(email("ann@example.com"))),
        Fact::InviteToken(InviteRef::OfToken),
        Fact::InviteCreator(InviteRef::OfToken),
        Fact::Address(email("ann@example.com")),
        Fact::AddressOf(member.clone()),
        Fact::Known(email("bob@example.com")),
        Fact::KnownOf(InviteRef::OfToken),
        Fact::BookForInvite(InviteRef::OfToken),
        Fact::BookForRequests,
        Fact::PreviewTally(link, Generation::FIRST),
        Fact::Consumer(consumer("reader")),
        Fact::Parked(consumer("reader"), Sequence::default()),
    ]
}

/// Every kind of row that is not there is entered as absent, and counts of nothing are zero.
pub async fn absent_rows_read_as_absent<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    let link = h.link_id();
    let mut facts = every_fact(&host, &person("ann"), link);
    facts.push(Fact::Token(h.draw(&host, link).selector));
    let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
    for (key, revision) in snapshot.revisions() {
        assert_eq!(revision, Revision::ABSENT, "{key:?} is in an empty store");
        let row = snapshot.records().get(key);
        assert_eq!(
            row.is_some(),
            key.is_counted(),
            "{key:?} is {row:?} in an empty store"
        );
    }
    let counted = snapshot.records();
    assert_eq!(counted.use_count(&host, link), Some(0));
    assert_eq!(
        counted.seat_count(&host),
        Some(guestlist_membership::SeatCount::default())
    );
    assert_eq!(
        *h.book(&host).await,
        AccessBook::new(),
        "no access rules, at revision 0"
    );
}

/// A token or a name that nobody has finds no organization, and that is no error.
pub async fn an_unknown_token_or_name_finds_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("widgets-inc")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let unknown = h.draw(&host, issued.link).selector;
    for root in [Root::Token(unknown), Root::Name(name("unknown"))] {
        let scope = Scope {
            root,
            facts: every_fact(&host, &person("ann"), issued.link),
        };
        let known_books = knowing(&host, Revision::ABSENT);
        let load = Load {
            scope: &scope,
            receipt: Some(h.commit_id()),
            known_books: Some(&known_books),
        };
        let snapshot = must(store.load(&load).await, "loading by an unknown root");
        assert_eq!(
            snapshot.records().host(),
            None,
            "the host of {:?}",
            scope.root
        );
        assert_eq!(
            snapshot.records().iter().count(),
            0,
            "rows by {:?}",
            scope.root
        );
        assert_eq!(
            snapshot.books().count(),
            0,
            "access rules by {:?}",
            scope.root
        );
        assert_eq!(snapshot.receipt(), None);
        assert!(
            scope.missing(&snapshot).is_empty(),
            "the root was looked for"
        );
    }
}

/// A scope finds its organization by a token or a name, and rows through others: the link of a
/// token or a membership, its creator, the default link.
pub async fn rows_are_found_through_others<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ann) = (org("org_1"), user("ann"));
    h.register_with(&host, &name("one"), Some(ann.clone()), Settings::default())
        .await;
    let (order, issued) = h.create_link(&host, LinkDraft::review());
    h.done(&order.by(Actor::user(ann.clone()).in_organization(host.clone())))
        .await;
    let bob = person("bob");
    h.done(&h.claim(issued.token, &bob)).await;
    h.done(&h.refresh(&host, issued.link, Duration::from_secs(60)))
        .await;
    for root in [
        Root::Organization(host.clone()),
        Root::Name(name("one")),
        Root::Token(issued.token),
    ] {
        let by_token = matches!(root, Root::Token(_));
        let link = if by_token {
            LinkRef::OfToken
        } else {
            LinkRef::OfMembership(bob.clone())
        };
        let scope = Scope {
            root,
            facts: vec![
                Fact::Membership(bob.clone()),
                Fact::Link(link.clone()),
                Fact::Tokens(link.clone()),
                Fact::Use(link.clone(), bob.clone()),
                Fact::Creator(link),
                Fact::Organization,
            ],
        };
        let snapshot = h.load(&scope).await;
        let records = snapshot.records();
        let what = format!("by {:?}", scope.root);
        assert_eq!(records.host(), Some(&host), "{what}");
        assert!(records.organization(&host).is_some(), "{what}");
        assert!(records.membership(&host, &bob).is_some(), "{what}");
        let creator = Member::User(ann.clone());
        assert!(
            records.membership(&host, &creator).is_some(),
            "{what}: the creator"
        );
        assert!(
            records.link_use(&host, issued.link, &bob).is_some(),
            "{what}"
        );
        let found = records.link(&host, issued.link);
        let found = found.unwrap_or_else(|| panic!("{what}: no link"));
        assert_eq!(found.overlapping, [issued.token], "{what}");
        for selector in found.token.iter().chain(&found.overlapping) {
            let token = records.token(*selector);
            assert!(
                token.is_some_and(|token| token.tag.is_some()),
                "{what}: {token:?}"
            );
        }
    }
}

/// Rows of every kind come back as they were written, by load and in lists; the log folded gives
/// the stored rows; and each revision counts the writes of its row.
pub async fn rows_of_every_kind_come_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    assert_consistent(fixture, &h).await;
}

/// Many rows that are alike, as those of a page are, come as each of them comes alone: those that
/// are there, those that aren't, and one that is asked for twice.
pub async fn many_come_as_each_alone<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("widgets-inc")).await;
    let draft = || LinkDraft::review().max_uses(limited(3));
    let links = [
        h.new_link(&host, draft()).await,
        h.new_link(&host, draft()).await,
    ];
    h.done(&h.claim(links[0].token, &person("ann"))).await;
    let texts: Vec<String> = (0..9)
        .map(|number| format!("user_{number}@example.com"))
        .collect();
    let addresses: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (send, invited) = h.invite_all(&host, &addresses[..6], &InviteDraft::new());
    h.done(&send).await;
    for number in [1, 4] {
        let token = invited[number].token;
        h.done(&h.accept_as(token, &format!("user_{number}"), addresses[number]))
            .await;
    }
    let nowhere = h.create_link(&host, draft()).1;
    // Whether a link is limited tells whether its uses are looked for.
    let links = links.into_iter().chain([nowhere]).flat_map(|issued| {
        let id = || LinkRef::Id(issued.link);
        let link = vec![Fact::Link(id()), Fact::Tally(id())];
        [link, vec![Fact::Token(issued.token)]]
    });
    let mails = invited.iter().flat_map(|invited| {
        let invite = Fact::Invite(InviteRef::Id(invited.invite));
        [vec![invite], vec![Fact::Token(invited.token)]]
    });
    let people = (0..9).map(|number| vec![Fact::Membership(person(&format!("user_{number}")))]);
    let known = addresses
        .iter()
        .map(|address| vec![Fact::Known(email(address))]);
    let mut parts: Vec<_> = links.chain(mails).chain(people).chain(known).collect();
    parts.extend([
        vec![Fact::Organization, Fact::Membership(person("ann"))],
        parts[0].clone(),
    ]);
    let all = h.load(&Scope::of(host.clone(), parts.concat())).await;
    let mut found = 0;
    let mut looked_for = BTreeSet::new();
    for part in parts {
        let alone = h.load(&Scope::of(host.clone(), part)).await;
        for (key, revision) in alone.revisions() {
            assert_eq!(all.revision(key), Some(revision), "{key:?}");
            assert_eq!(all.records().get(key), alone.records().get(key));
            found += usize::from(revision != Revision::ABSENT);
            looked_for.insert(key.clone());
        }
    }
    assert!(found > 30, "{found} rows are there");
    let of_all: BTreeSet<_> = all.revisions().map(|(key, _)| key.clone()).collect();
    assert_eq!(of_all, looked_for, "nothing else was looked for");
}

/// Access rules that the caller has are not read again, and of those that have changed at least
/// what has changed is. Their revision moves with every change, and they are the events folded.
pub async fn access_rules_are_read_when_they_have_changed<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let host = world.acme;
    let scope = Scope::of(host.clone(), vec![Fact::Book]);
    let load_knowing = async |organization: OrgId, revision: u64| {
        let known_books = knowing(&organization, Revision::new(revision));
        let load = Load {
            scope: &scope,
            receipt: None,
            known_books: Some(&known_books),
        };
        let snapshot = must(store.load(&load).await, "loading with known access rules");
        let books: Vec<_> = snapshot
            .books()
            .map(|(organization, book)| (organization.clone(), book.clone()))
            .collect();
        match <[(OrgId, FoundBook); 1]>::try_from(books) {
            Ok([(organization, book)]) if organization == host => book,
            books => panic!("the access rules of {host} are wanted, and these came: {books:?}"),
        }
    };
    let load_with = async |revision: u64| load_knowing(host.clone(), revision).await;
    let first = h.book(&host).await;
    let others = load_knowing(org("org_other"), first.revision()).await;
    assert_eq!(
        others,
        FoundBook::Whole(first.clone()),
        "another organization's are no help"
    );
    assert_eq!(
        load_with(first.revision()).await,
        FoundBook::Known,
        "known ones are not read again"
    );
    let group = h.new_group(&host, "Another", false).await;
    let second = brought_up(&first, load_with(first.revision()).await);
    assert_eq!(*h.book(&host).await, second, "what has changed makes all");
    assert_eq!(
        second.revision(),
        first.revision() + 1,
        "the revision moves with each change"
    );
    assert!(second.group(group).is_some());
    assert_eq!(
        load_with(second.revision() + 1).await,
        FoundBook::Whole(second.clone().into()),
        "not those of another time"
    );
    for command in [
        AccessCommand::SetSharing(Sharing::OwnersOnly),
        AccessCommand::NestGroup {
            outer: group,
            inner: world.design,
        },
        AccessCommand::DeleteGroup {
            group: world.design,
        },
    ] {
        let before = h.book(&host).await.revision();
        h.done(&Order::access(&host, command)).await;
        assert_eq!(h.book(&host).await.revision(), before + 1);
    }
    let last = h.book(&host).await;
    for known in [&AccessBook::new(), &first, &second] {
        let found = load_with(known.revision()).await;
        assert_eq!(*last, brought_up(known, found), "over several changes");
    }
    fixture.settle(&store).await;
    let mut folded = AccessBook::new();
    for recorded in h.events(&EventFilter::of(host.clone()), 1000).await {
        if let Event::Access(event) = recorded.event {
            guestlist_access::evolve(&mut folded, &event);
        }
    }
    let book = h.book(&host).await;
    folded.set_revision(book.revision());
    assert_eq!(
        *book, folded,
        "the access rules (left) are their events folded (right)"
    );
    assert_consistent(fixture, &h).await;
}

/// Access rules as a caller has them after a load.
fn brought_up(known: &AccessBook, found: FoundBook) -> AccessBook {
    match found {
        FoundBook::Known => panic!("these access rules have changed"),
        FoundBook::Whole(book) => (*book).clone(),
        FoundBook::Changed { since, events } => {
            assert_eq!(since.get(), known.revision(), "changes of other rules");
            assert!(!events.is_empty(), "changes without any");
            let mut book = known.clone();
            for event in &events {
                guestlist_access::evolve(&mut book, event);
            }
            // How many commits that were is for the store to know.
            book.set_revision(known.revision() + events.len() as u64);
            book
        }
    }
}

/// The access rules of two organizations come with one load.
pub async fn access_rules_of_two_organizations_come_together<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, member) = (org("org_1"), org("org_2"));
    h.register(&host, &name("one")).await;
    h.register(&member, &name("two")).await;
    let group = h.new_group(&member, "Buyers", false).await;
    h.new_group(&host, "Sellers", false).await;
    let rule = ActingRule {
        groups: [group].into(),
        ..ActingRule::default()
    };
    let command = MemberCommand::RestrictActing {
        host: host.clone(),
        rule: Some(rule),
    };
    h.done(&Order::member(&member, command)).await;
    let facts = vec![
        Fact::Book,
        Fact::Acting(member.clone()),
        Fact::BookForActing(member.clone()),
    ];
    let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
    for (organization, group_name) in [(&host, "Sellers"), (&member, "Buyers")] {
        let book = snapshot.books().find(|(of, _)| *of == organization);
        let book = book.and_then(|(_, book)| book.whole());
        let names: Vec<_> = book.into_iter().flat_map(|book| book.groups()).collect();
        assert_eq!(names.len(), 1, "groups of {organization}");
        assert_eq!(names[0].name.as_str(), group_name);
    }
    let head = RowKey::AccessHead(member);
    assert_eq!(snapshot.revision(&head), Some(Revision::new(1)));
    assert_folds(fixture, &h).await;
}

/// An e-mail invite is found by its token, by its address and by the membership that came through
/// it, and leads to its own token, its sender, and what is known of its address.
pub async fn invites_are_found_through_others<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, address) = (org("org_1"), email("bob@example.com"));
    h.register_with(&host, &name("one"), Some(user("ann")), Settings::default())
        .await;
    let ann = || Actor::user(user("ann")).in_organization(host.clone());
    let (send, invited) = h.invite_order(&host, "bob@example.com");
    h.done(&send.by(ann())).await;
    let id = RowKey::Invite(host.clone(), invited.invite);
    let found = |reference: InviteRef| {
        vec![
            Fact::Known(address.clone()),
            Fact::Invite(reference.clone()),
            Fact::InviteToken(reference.clone()),
            Fact::InviteCreator(reference.clone()),
            Fact::KnownOf(reference),
        ]
    };
    let roots = || {
        [
            (
                Root::Organization(host.clone()),
                InviteRef::Id(invited.invite),
            ),
            (
                Root::Name(name("one")),
                InviteRef::OfAddress(address.clone()),
            ),
            (Root::Token(invited.token), InviteRef::OfToken),
        ]
    };
    for (root, reference) in roots() {
        let facts = found(reference);
        let scope = Scope { root, facts };
        let snapshot = h.load(&scope).await;
        let (records, what) = (snapshot.records(), format!("by {:?}", scope.root));
        assert_eq!(records.host(), Some(&host), "{what}");
        let invite = records.invite(&host, invited.invite);
        assert_eq!(
            invite.and_then(|invite| invite.token),
            Some(invited.token),
            "{what}"
        );
        let token = records.token(invited.token);
        assert!(
            token.is_some_and(|token| token.tag.is_some()
                && token.subject.invite() == Some(invited.invite)
                && token.subject.link().is_none()),
            "{what}: {token:?}"
        );
        let record = records.address(&host, &address);
        let record = record.map(|record| (record.invite, record.members.clone()));
        assert_eq!(record, Some((Some(invited.invite), [].into())), "{what}");
        assert!(
            records.membership(&host, &person("ann")).is_some(),
            "{what}: the sender"
        );
        assert_eq!(snapshot.revision(&id), Some(Revision::new(1)), "{what}");
    }
    // Sent again, it leads to the new token; accepted, its address leads to the member.
    let (resend, again) = h.resend(&host, invited.invite);
    h.done(&resend).await;
    for (root, reference) in roots() {
        let scope = Scope {
            root,
            facts: found(reference),
        };
        let snapshot = h.load(&scope).await;
        let records = snapshot.records();
        let token = records.token(again.token);
        assert!(
            token.is_some_and(|token| token.valid_until.is_none()),
            "by {:?}: {token:?}",
            scope.root
        );
    }
    h.done(&h.accept_as(again.token, "bob", "bob@example.com"))
        .await;
    let bob = person("bob");
    let mut facts = found(InviteRef::OfMembership(bob.clone()));
    facts.extend([
        Fact::Membership(bob.clone()),
        Fact::AddressOf(bob.clone()),
        Fact::Known(email("nobody@example.com")),
    ]);
    let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
    let records = snapshot.records();
    assert!(records.invite(&host, invited.invite).is_some());
    assert_eq!(records.token(again.token), None, "a closed one has none");
    let record = records.address(&host, &address);
    let record = record.map(|record| (record.invite, record.members.clone()));
    assert_eq!(record, Some((None, [user("bob")].into())));
    let unknown = RowKey::Address(host.clone(), email("nobody@example.com"));
    assert_eq!(snapshot.revision(&unknown), Some(Revision::ABSENT));
    assert_consistent(fixture, &h).await;
}

/// Access rules are read along with an invite or a host that gives groups or grants, and not with
/// one that gives none.
pub async fn access_rules_come_with_what_gives_them<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let group = h.new_group(&host, "Design", false).await;
    let plain = h.new_invite(&host, "ann@example.com").await;
    let draft = InviteDraft::new().group(group);
    let (send, gives) = h.invite_all(&host, &["bob@example.com"], &draft);
    h.done(&send).await;
    let books = async |root: Root, fact: Fact| {
        let facts = match &root {
            Root::Token(_) => vec![Fact::Invite(InviteRef::OfToken), fact],
            Root::Organization(_) | Root::Name(_) => vec![Fact::Organization, fact],
        };
        let snapshot = h.load(&Scope { root, facts }).await;
        let books: Vec<_> = snapshot
            .books()
            .map(|(of, book)| (of.clone(), book.whole().map(|book| book.groups().count())))
            .collect();
        books
    };
    let of_invite = || Fact::BookForInvite(InviteRef::OfToken);
    let whole = [(host.clone(), Some(1))];
    assert_eq!(books(Root::Token(plain.token), of_invite()).await, []);
    assert_eq!(books(Root::Token(gives[0].token), of_invite()).await, whole);
    let by_host = || Root::Organization(host.clone());
    assert_eq!(books(by_host(), Fact::BookForRequests).await, []);
    let mut settings = Settings::default();
    settings.requests.preset = Preset {
        groups: [group].into(),
        ..Preset::default()
    };
    h.done(&Order::settings(&host, settings)).await;
    assert_eq!(books(by_host(), Fact::BookForRequests).await, whole);
}

/// Counters of previews and what consumers keep come back as they were written, beside rows of an
/// organization and by themselves.
pub async fn what_is_beside_the_log_is_loaded<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let mut facts = vec![Fact::Organization];
    let mut written = Vec::new();
    for commit in h.applied() {
        match &commit.home {
            Home::Consumer(_) => written.extend(commit.writes),
            Home::Organization(_) if commit.receipt.is_none() => {
                facts.extend(commit.writes.iter().filter_map(|write| match write.key() {
                    RowKey::PreviewTally(_, link, generation) => {
                        Some(Fact::PreviewTally(*link, *generation))
                    }
                    _ => None,
                }));
            }
            Home::Organization(_) | Home::Name(_) => {}
        }
    }
    assert!(written.len() > 3, "a consumer that has parked events");
    facts.extend(written.iter().filter_map(|write| match write.key() {
        RowKey::Consumer(name) => Some(Fact::Consumer(name.clone())),
        RowKey::Parked(name, sequence) => Some(Fact::Parked(name.clone(), *sequence)),
        _ => None,
    }));
    let snapshot = h.load(&Scope::of(world.acme.clone(), facts)).await;
    for write in written {
        let crate::Write::Put {
            key, row, revision, ..
        } = write
        else {
            panic!("nothing was deleted: {write:?}");
        };
        assert_eq!(snapshot.revision(&key), Some(revision), "{key:?}");
        assert_eq!(snapshot.records().get(&key), Some(&row), "{key:?}");
    }
    let records = snapshot.records();
    assert!(records.consumer(&consumer(CONSUMER)).is_some());
    let counts: Vec<_> = records
        .iter()
        .filter(|(key, _)| matches!(key, RowKey::PreviewTally(..)))
        .map(|(_, row)| row.clone())
        .collect();
    assert_eq!(counts, [guestlist_membership::Row::Tally(3)]);
}
