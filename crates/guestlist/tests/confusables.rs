//! Texts that look alike, or become alike when somebody folds, composes or maps them: none passes
//! for another one, in no parser and on no store.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::collections::BTreeSet;

use common::pg::Settle;
use common::{clock, org, over, owner, register, to_all};
use guestlist::types::{GroupName, OrgName, RoleName, UserId};
use guestlist::{
    EmailAddress, InviteFilter, InviteOutcome, Key, MemoryStore, OrgId, Page, Pattern,
};
use guestlist_sqlite::SqliteStore;
use guestlist_testkit::corpora::confusables;

#[test]
fn handles_and_ids_are_ascii() {
    let mut refused = 0;
    for text in confusables() {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_handle = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        assert_eq!(OrgName::parse(&text).is_ok(), is_handle, "{text:?}");
        assert_eq!(RoleName::parse(&text).is_ok(), is_handle, "{text:?}");
        assert_eq!(OrgId::parse(&text).is_ok(), is_plain, "{text:?}");
        assert_eq!(UserId::parse(&text).is_ok(), is_plain, "{text:?}");
        refused += usize::from(!is_plain);
    }
    assert!(refused > 5_000, "{refused}");
}

#[test]
fn a_pattern_covers_its_own_spelling_and_no_other() {
    let corpus = confusables();
    let keys: Vec<Key> = corpus
        .iter()
        .filter_map(|text| Key::parse(text).ok())
        .collect();
    assert!(keys.len() > 5_000, "all but those with a control character");
    for (place, key) in keys.iter().enumerate() {
        let exact = Pattern::parse(key.as_str()).unwrap();
        let below = Pattern::parse(&format!("{key}/")).unwrap();
        // Neighbours in order, and some from everywhere.
        let near = keys
            .iter()
            .enumerate()
            .skip(place.saturating_sub(40))
            .take(80);
        let far = keys.iter().enumerate().skip(place % 61).step_by(61);
        for (other_place, other) in near.chain(far) {
            assert_eq!(
                exact.covers(other),
                other_place == place,
                "{key:?} {other:?}"
            );
            let inner = Key::parse(&format!("{other}/x")).unwrap();
            assert_eq!(
                below.covers(&inner),
                other_place == place,
                "{key:?} {other:?}"
            );
        }
    }
}

/// An address gets an invite if and only if no other one is the same once it is written as it is
/// compared; and each is found by its own spelling, alone.
async fn addresses_are_told_apart<S: Settle>(store: S) {
    let guestlist = over(store, &clock(), 3);
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let texts: Vec<String> = confusables()
        .iter()
        .map(|text| format!("{text}@corp.example"))
        .collect();
    let (mut known, mut invited) = (BTreeSet::new(), Vec::new());
    for texts in texts.chunks(1_000) {
        let mut here = BTreeSet::new();
        let outcomes = guestlist
            .invite(&alice, &host, to_all(texts.to_vec()))
            .await
            .unwrap();
        for (text, outcome) in texts.iter().zip(outcomes) {
            let parsed = EmailAddress::parse(text);
            // Nothing else becomes what can be typed on any keyboard.
            let is_typed = |address: &EmailAddress| address.as_str().is_ascii();
            assert!(
                !parsed.as_ref().is_ok_and(is_typed) || text.is_ascii(),
                "{text:?}"
            );
            let fits = match (parsed, &outcome) {
                (Err(_), InviteOutcome::Invalid { .. }) => true,
                (Ok(address), InviteOutcome::Invited(new)) => {
                    here.insert(address.clone());
                    let is_first = known.insert(address.clone());
                    invited.push((address.clone(), new.invite.id));
                    is_first && new.invite.address == address
                }
                (Ok(address), InviteOutcome::Duplicate { .. }) => here.contains(&address),
                (Ok(address), InviteOutcome::AlreadyInvited) => {
                    here.insert(address.clone());
                    known.contains(&address)
                }
                _ => false,
            };
            assert!(fits, "{text:?}: {outcome:?}");
        }
    }
    assert!(invited.len() > 1_000, "{}", invited.len());
    for (address, id) in invited.iter().step_by(25) {
        let filter = InviteFilter {
            address: Some(address.clone()),
            ..InviteFilter::default()
        };
        let page = guestlist
            .invites(&alice, &host, filter, &Page::default())
            .await
            .unwrap();
        let found: Vec<_> = page.invites.iter().map(|found| found.id).collect();
        assert_eq!(found, [*id], "{address}");
    }
}

/// Names of groups are told apart by their bytes, and the same one is taken.
async fn names_are_told_apart<S: Settle>(store: S) {
    let guestlist = over(store, &clock(), 4);
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let names: Vec<GroupName> = confusables()
        .iter()
        .step_by(60)
        .filter_map(|text| GroupName::parse(text).ok())
        .collect();
    assert!(names.len() > 50, "{}", names.len());
    for name in &names {
        let made = guestlist.create_group(&alice, &host, name.clone(), false);
        assert_eq!(made.await.unwrap().name, *name);
    }
    for name in names {
        let again = guestlist.create_group(&alice, &host, name, false).await;
        assert_eq!(again.unwrap_err().code(), "group-name-taken");
    }
}

#[tokio::test]
async fn nothing_passes_for_another_in_memory() {
    addresses_are_told_apart(MemoryStore::default()).await;
    names_are_told_apart(MemoryStore::default()).await;
}

#[tokio::test]
async fn nothing_passes_for_another_on_sqlite() {
    let open = || SqliteStore::builder().in_memory().open().unwrap();
    addresses_are_told_apart(open()).await;
    names_are_told_apart(open()).await;
}

#[tokio::test]
async fn nothing_passes_for_another_on_postgres() {
    addresses_are_told_apart(common::pg::store().await).await;
    names_are_told_apart(common::pg::store().await).await;
}
