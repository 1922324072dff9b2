//! What is read from the log and done to it: consumers, notices, the hash chain, erasure.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use async_trait::async_trait;
use common::postbox::Postbox;
use common::{builder, link, org, org_member, over, owner, register, user, user_member};
use guestlist::membership::{Records, evolve};
use guestlist::{
    Addressee, Claim, Directory, EmailAddress, EventFilter, Guestlist, Invitations, LinkDraft,
    MemoryStore, NoticeKind, Page, Store,
};
use guestlist_membership::Stated;
use guestlist_sqlite::SqliteStore;

type Failure = Box<dyn core::error::Error + Send + Sync>;

/// Knows two reviewers, and whom to write to at a member organization.
struct Known;

#[async_trait]
impl Directory for Known {
    async fn standing(
        &self,
        _: &guestlist::OrgId,
        _: &guestlist::UserId,
    ) -> Result<Stated, Failure> {
        Ok(Stated::NOBODY)
    }

    async fn addressees(&self, addressee: &Addressee<'_>) -> Result<Vec<EmailAddress>, Failure> {
        let at = |name: &str| EmailAddress::parse(&format!("{name}@example.com")).unwrap();
        Ok(match addressee {
            Addressee::Reviewers(_) => vec![at("rita"), at("rob")],
            Addressee::Organization(_) => vec![at("bravo")],
            Addressee::User(user) => vec![at(user.as_str())],
        })
    }
}

async fn people_are_told<S: Store>(store: S) {
    let clock = common::clock();
    let postbox = Postbox::default();
    let guestlist = builder(store, &clock, 7)
        .mailer(postbox.clone())
        .directory(Known)
        .build();
    register(&guestlist, &["host", "bravo"]).await;
    let (host, alice, bravo) = (org("host"), owner("host"), org_member("bravo"));
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    guestlist.deliver_notices(100).await.unwrap();
    assert_eq!(postbox.take(), [], "what was before is nobody's news");
    let asker = owner("bravo");
    let claim = |actor| guestlist.claim(actor, &token, Claim::for_organization());
    claim(&asker).await.unwrap();
    // One of the two reviewers can't be reached for now: the other is told once.
    postbox.close_for("rob@example.com");
    guestlist.deliver_notices(100).await.unwrap();
    let received = NoticeKind::RequestReceived;
    assert_eq!(postbox.take(), [(received, "rita@example.com".to_owned())]);
    assert_eq!(guestlist.unsent_notices().await.unwrap().len(), 1);
    postbox.open();
    clock.advance(core::time::Duration::from_secs(3600));
    guestlist.deliver_notices(100).await.unwrap();
    assert_eq!(postbox.take(), [(received, "rob@example.com".to_owned())]);
    guestlist
        .reject(&alice, &host, &bravo, Some("not now".parse().unwrap()))
        .await
        .unwrap();
    claim(&asker).await.unwrap();
    guestlist.approve(&alice, &host, &bravo).await.unwrap();
    // A user is written to at the verified address that it joined with.
    let ann = user("ann").with_verified_email("ann@corp.example".parse().unwrap());
    guestlist
        .claim(&ann, &token, Claim::for_myself())
        .await
        .unwrap();
    guestlist
        .approve(&alice, &host, &user_member("ann"))
        .await
        .unwrap();
    guestlist
        .remove(&alice, &host, &user_member("ann"), None)
        .await
        .unwrap();
    guestlist.deliver_notices(100).await.unwrap();
    let told: Vec<String> = postbox
        .take()
        .into_iter()
        .filter(|(kind, _)| *kind != received)
        .map(|(kind, to)| format!("{} {to}", kind.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            "request-rejected bravo@example.com",
            "request-approved bravo@example.com",
            "request-approved ann@corp.example",
            "membership-removed ann@corp.example",
        ]
    );
    guestlist.deliver_notices(100).await.unwrap();
    assert_eq!(postbox.take(), [], "nobody is told twice");
}

#[tokio::test]
async fn people_are_told_over_memory() {
    people_are_told(MemoryStore::default()).await;
}

#[tokio::test]
async fn people_are_told_over_sqlite() {
    people_are_told(SqliteStore::builder().in_memory().open().unwrap()).await;
}

async fn a_consumer_goes_on_where_it_acknowledged<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = over(store, &clock, 7);
    register(&guestlist, &["host", "bravo"]).await;
    let consumer = || guestlist.consumer("billing".parse().unwrap(), EventFilter::default());
    let batch = consumer().next(3).await.unwrap();
    assert_eq!(batch.events.len(), 3);
    // Read and not acknowledged comes again.
    assert_eq!(consumer().next(3).await.unwrap(), batch);
    consumer().acknowledge(batch.end).await.unwrap();
    let behind = consumer().next(1000).await.unwrap();
    assert!(behind.events[0].sequence > batch.end);
    let all = guestlist.feed(None, 1000).await.unwrap().events;
    let read: Vec<_> = batch.events.iter().chain(&behind.events).cloned().collect();
    assert_eq!(read, all, "nothing is missed and nothing is repeated");
    consumer().acknowledge(behind.end).await.unwrap();
    // It goes forward only; back only if that is asked for.
    consumer().acknowledge(batch.end).await.unwrap();
    assert!(consumer().next(10).await.unwrap().events.is_empty());
    consumer().rewind(batch.end).await.unwrap();
    assert_eq!(consumer().next(1000).await.unwrap().events, behind.events);
    // Others read for themselves.
    let other = guestlist.consumer("search".parse().unwrap(), EventFilter::of(org("bravo")));
    let own = other.next(1000).await.unwrap();
    assert!(
        own.events
            .iter()
            .all(|event| event.organization == org("bravo"))
    );
    assert!(!own.events.is_empty());
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_acknowledged_over_memory() {
    a_consumer_goes_on_where_it_acknowledged(MemoryStore::default()).await;
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_acknowledged_over_sqlite() {
    let store = SqliteStore::builder().in_memory().open().unwrap();
    a_consumer_goes_on_where_it_acknowledged(store).await;
}

/// A user with a name, an address, a message and answers, who was in, was removed with a reason,
/// and came back.
async fn somebody_with_a_past<S: Store>(guestlist: &Guestlist<S>) {
    register(guestlist, &["host"]).await;
    let (host, alice, zoe) = (org("host"), owner("host"), user_member("u1"));
    let person = user("u1")
        .with_verified_email("zoe.personal@corp.example".parse().unwrap())
        .with_display_name("Zoe Personal".parse().unwrap());
    let draft = LinkDraft::review().question("Who are you?");
    let (_, token) = link(guestlist, "host", draft).await;
    let claim = Claim::for_myself().answer("Zoe Personal of Corp");
    let key = "z1".parse().unwrap();
    guestlist
        .with_key(key)
        .claim(&person, &token, claim)
        .await
        .unwrap();
    guestlist.approve(&alice, &host, &zoe).await.unwrap();
    let reason = "Zoe Personal was rude".parse().unwrap();
    guestlist
        .remove(&alice, &host, &zoe, Some(reason))
        .await
        .unwrap();
    let invited = guestlist
        .invite(
            &alice,
            &host,
            Invitations::new().to("Zoe.Personal@corp.example"),
        )
        .await
        .unwrap();
    let token = invited[0].invited().unwrap().token.as_ref().unwrap();
    guestlist
        .accept(&person, token, Claim::for_myself())
        .await
        .unwrap();
    guestlist.approve(&alice, &host, &zoe).await.unwrap();
}

async fn fold<S: Store>(guestlist: &Guestlist<S>) -> Records {
    let mut records = Records::new();
    for recorded in guestlist.feed(None, 10_000).await.unwrap().events {
        evolve(
            &mut records,
            &recorded.organization,
            &recorded.stamp,
            &recorded.event,
        );
    }
    records
}

async fn erasing_leaves_no_word_and_breaks_nothing<S: Store>(store: S) -> Guestlist<S> {
    let clock = common::clock();
    let guestlist = over(store, &clock, 7);
    somebody_with_a_past(&guestlist).await;
    let (host, alice, zoe) = (org("host"), owner("host"), user_member("u1"));
    let head = guestlist.seal_audit(10_000).await.unwrap();
    assert!(guestlist.verify_audit(None).await.unwrap().intact);
    let events = guestlist.feed(None, 10_000).await.unwrap().events.len();
    let erased = guestlist.erase(&alice, &host, &zoe).await.unwrap();
    assert!(erased.events >= 4, "{erased:?}");
    // Everything is as it was, but for the words.
    let membership = guestlist.membership(&alice, &host, &zoe).await.unwrap();
    assert_eq!(
        membership.status_at(common::START),
        Some(guestlist::Status::Approved)
    );
    assert_eq!(
        membership.profile,
        guestlist::membership::member::Profile::default()
    );
    let folded = fold(&guestlist).await;
    assert_eq!(folded.membership(&host, &zoe), Some(&membership));
    let log = guestlist.feed(None, 10_000).await.unwrap().events;
    assert!(log.len() > events, "that it was erased is on record");
    let page = Page::first(100).unwrap();
    let shown = format!(
        "{log:?}{membership:?}{:?}",
        guestlist
            .invites(&alice, &host, guestlist::InviteFilter::default(), &page)
            .await
            .unwrap()
    );
    assert!(!shown.to_lowercase().contains("personal"), "{shown}");
    assert!(!shown.contains("rude"));
    // The chain holds, from the head of before as from the one of now.
    assert!(guestlist.verify_audit(Some(&head)).await.unwrap().intact);
    guestlist.seal_audit(10_000).await.unwrap();
    assert!(guestlist.verify_audit(None).await.unwrap().intact);
    // The answer that was kept with a key is gone, and the command is not done again.
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let again = guestlist
        .with_key("z1".parse().unwrap())
        .claim(&user("u1"), &token, Claim::for_myself())
        .await;
    assert!(again.is_err());
    // Once more there is nothing to do.
    let twice = guestlist.erase(&alice, &host, &zoe).await.unwrap();
    assert_eq!(twice.events, 0);
    guestlist
}

#[tokio::test]
async fn erasing_leaves_no_word_and_breaks_nothing_over_memory() {
    let guestlist = erasing_leaves_no_word_and_breaks_nothing(MemoryStore::default()).await;
    for (_, value) in guestlist.store().kv().dump() {
        let text = String::from_utf8_lossy(&value).to_lowercase();
        assert!(!text.contains("personal"), "{text}");
    }
}

#[tokio::test]
async fn erasing_leaves_no_word_and_breaks_nothing_over_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("erase.db");
    let store = SqliteStore::open(&path).unwrap();
    drop(erasing_leaves_no_word_and_breaks_nothing(store).await);
    // In the tables; what SQLite leaves in free pages goes with its own `secure_delete` or VACUUM.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("vacuum").unwrap();
    drop(connection);
    let bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    assert!(!text.contains("personal"));
}

#[tokio::test]
async fn a_change_in_the_middle_of_the_log_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    for (number, tampering) in [
        "update guestlist_events set body = replace(body, 'Corp', 'Evil') where body like '%Corp%'",
        "update guestlist_events set at = at + 1 where position = 3",
        "update guestlist_events set by = '\"system\"' where position = 6",
        "delete from guestlist_events where position = 5",
        "delete from guestlist_events where position >= 7",
        "update guestlist_events set position = position + 1000 where position = 4",
        "update guestlist_events set erased = zeroblob(32) where position = 5",
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{number}.db"));
        let guestlist = over(SqliteStore::open(&path).unwrap(), &common::clock(), 7);
        somebody_with_a_past(&guestlist).await;
        guestlist.seal_audit(10_000).await.unwrap();
        assert!(guestlist.verify_audit(None).await.unwrap().intact);
        let connection = rusqlite::Connection::open(&path).unwrap();
        let changed = connection.execute(tampering, []).unwrap();
        assert!(changed > 0, "{tampering}");
        let found = guestlist.verify_audit(None).await.unwrap();
        // A mark on an event that nothing was erased from says nothing.
        let harmless = tampering.contains("zeroblob");
        assert_eq!(found.intact, harmless, "{tampering}");
    }
}
