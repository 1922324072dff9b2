//! The suite fails where it should: stores that break the contract in one way each, and the cases
//! that find out.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that fails fails its test"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use guestlist_membership::link::Generation;
use guestlist_membership::{Event, Fact, Home, LinkRef, Row, RowKey, Scope};
use guestlist_store::conformance::{Fixture, block_on, cases};
use guestlist_store::{
    Capabilities, Check, Commit, Committed, Cursor, EventFilter, EventPage, FoundBook, Listed,
    Load, MemoryStore, Page, Query, Revision, Snapshot, Store, StoreError, Write,
};
use guestlist_types::{CommitId, Timestamp};

/// One way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The control: nothing is wrong.
    None,
    IgnoresChecks,
    ChecksOnlyWhatItWrites,
    WritesOverWhatIsThere,
    IgnoresCounts,
    IgnoresBounds,
    MovesLinksWithUses,
    AppliesTwice,
    ForgetsEmptyCommits,
    KeepsPartsOfConflicts,
    RefusesTogether,
    ForgetsEvents,
    ForgetsLaterEvents,
    ReversesEvents,
    RepeatsEvents,
    IncludesTheEnd,
    ForgetsDeletions,
    ForgetsDigests,
    ForgetsSeals,
    ForgetsErasures,
    ForgetsMarks,
    ErasesInConflicts,
    RoundsTimes,
    TakesForeignCursors,
    SkipsBetweenPages,
    ReversesLists,
    SearchesPatterns,
    FoldsCase,
    ShowsExpiredRequests,
    IgnoresKnownBooks,
    KnowsOldBooks,
    LeavesOutChanges,
    LoadsOldFacts,
    LoadsInPieces,
    FindsReceiptsAnywhere,
    KeepsEveryReceipt,
    IgnoresChecksWithoutReceipt,
    IgnoresChecksOfConsumers,
    TakesAnythingOfConsumers,
    ForgetsWhatConsumersPark,
    CountsGenerationsTogether,
    ForgetsPreviews,
    ChecksNoAddresses,
    ChecksNoInvites,
    ForgetsAddresses,
    ForgetsInviteTokens,
    LoadsInvitesInPieces,
    ReadsNoBookOfGifts,
    IgnoresInvitesOfEvents,
    ShowsExpiredInvites,
    ListsInvitesOfOneHost,
    ForgetsWrittenExpiry,
    ShowsHiddenOrganizations,
    ForgetsOnReopening,
    CanNotBeReopened,
    SharesRecords,
}

/// Ids that no store has seen.
static DRAWN: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Broken {
    fault: Fault,
    inner: MemoryStore,
    old: Mutex<BTreeMap<String, Snapshot>>,
    receipts: Mutex<BTreeMap<CommitId, guestlist_store::Receipt>>,
}

impl Broken {
    fn new(fault: Fault, inner: MemoryStore) -> Self {
        Self {
            fault,
            inner,
            old: Mutex::default(),
            receipts: Mutex::default(),
        }
    }

    fn fresh_id() -> CommitId {
        let mut bytes = [0xee; 16];
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        bytes[..8].copy_from_slice(&drawn.to_be_bytes());
        CommitId::from_bytes(bytes)
    }

    async fn one(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let outcome = self.inner.commit(std::slice::from_ref(commit)).await?;
        Ok(outcome.into_iter().next().unwrap())
    }

    async fn broken(&self, mut commit: Commit) -> Result<Committed, StoreError> {
        match self.fault {
            Fault::IgnoresChecks => commit.checks.clear(),
            Fault::ChecksOnlyWhatItWrites => {
                let written: Vec<_> = commit.writes.iter().map(|w| w.key().clone()).collect();
                commit.checks.retain(|check| written.contains(check.key()));
            }
            Fault::WritesOverWhatIsThere => commit.checks.retain(|check| match check {
                Check::Revision { revision, .. } => *revision != Revision::ABSENT,
                _ => true,
            }),
            Fault::IgnoresCounts => commit
                .checks
                .retain(|check| matches!(check, Check::Revision { .. })),
            Fault::IgnoresBounds => {
                for write in &mut commit.writes {
                    if let Write::Take { below, .. } = write {
                        *below = u64::MAX;
                    }
                }
            }
            Fault::MovesLinksWithUses => self.move_links(&mut commit).await?,
            Fault::AppliesTwice => commit.id = Self::fresh_id(),
            Fault::KeepsEveryReceipt if matches!(commit.home, Home::Organization(_)) => {
                commit
                    .receipt
                    .get_or_insert_with(|| guestlist_store::Receipt {
                        digest: guestlist_store::CommandDigest([0; 32]),
                        reply: String::new(),
                    });
            }
            Fault::IgnoresChecksWithoutReceipt if commit.receipt.is_none() => {
                commit.checks.clear();
            }
            Fault::IgnoresChecksOfConsumers if matches!(commit.home, Home::Consumer(_)) => {
                commit.checks.clear();
            }
            Fault::TakesAnythingOfConsumers if matches!(commit.home, Home::Consumer(_)) => {
                commit.events.clear();
                commit.receipt = None;
            }
            Fault::ForgetsWhatConsumersPark => commit
                .writes
                .retain(|write| !matches!(write.key(), RowKey::Parked(..))),
            Fault::CountsGenerationsTogether => {
                for write in &mut commit.writes {
                    if let Write::Take {
                        key: RowKey::PreviewTally(_, _, generation),
                        ..
                    } = write
                    {
                        *generation = Generation::FIRST;
                    }
                }
            }
            Fault::ForgetsPreviews => {
                let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
                if drawn % 2 == 1 {
                    commit
                        .writes
                        .retain(|write| !matches!(write.key(), RowKey::PreviewTally(..)));
                }
            }
            Fault::ChecksNoAddresses => commit
                .checks
                .retain(|check| !matches!(check.key(), RowKey::Address(..))),
            Fault::ChecksNoInvites => commit.checks.retain(|check| {
                !matches!(
                    check.key(),
                    RowKey::Invite(..) | RowKey::Address(..) | RowKey::Token(_)
                )
            }),
            Fault::ForgetsAddresses => commit
                .writes
                .retain(|write| !matches!(write.key(), RowKey::Address(..))),
            Fault::ForgetsInviteTokens
            | Fault::ForgetsWrittenExpiry
            | Fault::ShowsHiddenOrganizations => {
                for write in &mut commit.writes {
                    let Write::Put { row, .. } = write else {
                        continue;
                    };
                    match row {
                        Row::Invite(invite) if self.fault == Fault::ForgetsInviteTokens => {
                            invite.token = None;
                        }
                        Row::Invite(invite) if self.fault == Fault::ForgetsWrittenExpiry => {
                            invite.expired_at = None;
                        }
                        Row::Link(link) if self.fault == Fault::ForgetsWrittenExpiry => {
                            link.expired_at = None;
                        }
                        Row::Organization(row) if self.fault == Fault::ShowsHiddenOrganizations => {
                            row.settings.discoverable = true;
                        }
                        _ => {}
                    }
                }
            }
            Fault::ForgetsEmptyCommits if commit.events.is_empty() => {
                return Ok(Committed::Applied);
            }
            Fault::ForgetsEvents => commit.events.clear(),
            Fault::ForgetsLaterEvents => commit.events.truncate(1),
            Fault::ForgetsDeletions => commit
                .writes
                .retain(|write| !matches!(write, Write::Delete { .. })),
            Fault::ForgetsErasures => commit
                .writes
                .retain(|write| !matches!(write, Write::Erase { .. })),
            Fault::ForgetsMarks => {
                for write in &mut commit.writes {
                    if let Write::Erase { mark, .. } = write {
                        *mark = [0; 32];
                    }
                }
            }
            Fault::ForgetsDigests | Fault::ForgetsSeals | Fault::RoundsTimes => {
                for write in &mut commit.writes {
                    match write {
                        Write::Put {
                            row: Row::Token(token),
                            ..
                        } if self.fault == Fault::ForgetsDigests => {
                            token.tag = None;
                        }
                        Write::Put {
                            row: Row::Token(token),
                            ..
                        } if self.fault == Fault::ForgetsSeals => {
                            token.sealed = None;
                        }
                        Write::Put {
                            row: Row::Membership(row),
                            ..
                        } if self.fault == Fault::RoundsTimes => {
                            let micros = row.opened_at.as_micros();
                            row.opened_at = Timestamp::from_micros(micros / 1000 * 1000);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        let outcome = self.one(&commit).await?;
        if outcome == Committed::Applied {
            let mut receipts = self.receipts.lock().unwrap();
            receipts.extend(commit.receipt.clone().map(|receipt| (commit.id, receipt)));
        }
        if self.fault == Fault::ErasesInConflicts && matches!(outcome, Committed::Conflict { .. }) {
            let erases = |write: &&Write| matches!(write, Write::Erase { .. });
            let part = Commit {
                id: Self::fresh_id(),
                checks: Vec::new(),
                writes: commit.writes.iter().filter(erases).cloned().collect(),
                events: Vec::new(),
                ..commit.clone()
            };
            let _ = self.one(&part).await?;
        }
        if self.fault == Fault::KeepsPartsOfConflicts
            && matches!(outcome, Committed::Conflict { .. })
        {
            let mut rows = commit.writes.iter();
            let part = rows.find(|write| !matches!(write, Write::Take { .. }));
            let part = Commit {
                id: Self::fresh_id(),
                checks: Vec::new(),
                writes: part.into_iter().cloned().collect(),
                events: Vec::new(),
                ..commit
            };
            let _ = self.one(&part).await?;
        }
        Ok(outcome)
    }

    async fn move_links(&self, commit: &mut Commit) -> Result<(), StoreError> {
        for write in commit.writes.clone() {
            let RowKey::LinkUse(host, link, _) = write.key() else {
                continue;
            };
            let key = RowKey::Link(host.clone(), *link);
            if commit.writes.iter().any(|write| *write.key() == key) {
                continue;
            }
            let scope = Scope::of(host.clone(), vec![Fact::Link(LinkRef::Id(*link))]);
            let snapshot = self.inner.load(&Load::of(&scope)).await?;
            if let (Some(row), Some(revision)) =
                (snapshot.records().get(&key), snapshot.revision(&key))
            {
                commit.writes.push(Write::Put {
                    key,
                    row: row.clone(),
                    revision: revision.next(),
                    before: Some(Box::new(row.clone())),
                });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Broken {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        let mut load = load.clone();
        match self.fault {
            Fault::IgnoresKnownBooks => load.known_books = None,
            Fault::KnowsOldBooks | Fault::LeavesOutChanges => {
                let mut snapshot = self.inner.load(&load).await?;
                let changed: Vec<_> = snapshot
                    .books()
                    .filter(|(_, book)| book.whole().is_some())
                    .filter_map(|(of, _)| Some((of.clone(), load.known(of)?)))
                    .collect();
                for (organization, since) in changed {
                    let found = if self.fault == Fault::KnowsOldBooks {
                        FoundBook::Known
                    } else {
                        let filter = EventFilter::of(organization.clone());
                        let page = self.inner.events(&filter, None, 1000).await?;
                        let events = page.events.into_iter();
                        let mut events: Vec<_> = events
                            .filter_map(|recorded| match recorded.event {
                                Event::Access(event) => Some(event),
                                _ => None,
                            })
                            .skip(usize::try_from(since.get()).unwrap_or(usize::MAX))
                            .collect();
                        events.pop();
                        FoundBook::Changed { since, events }
                    };
                    snapshot.insert_book(organization, found);
                }
                return Ok(snapshot);
            }
            Fault::LoadsOldFacts => {
                let scope = format!("{:?}", load.scope);
                if let Some(old) = self.old.lock().unwrap().get(&scope) {
                    return Ok(old.clone());
                }
                let snapshot = self.inner.load(&load).await?;
                self.old.lock().unwrap().insert(scope, snapshot.clone());
                return Ok(snapshot);
            }
            Fault::LoadsInPieces => {
                let first = self.inner.load(&load).await?;
                std::thread::yield_now();
                let second = self.inner.load(&load).await?;
                let mut mixed = second.clone();
                for (key, revision) in first.revisions() {
                    if let (RowKey::Link(..), Some(row)) = (key, first.records().get(key)) {
                        mixed.insert(key.clone(), Some((revision, row.clone())));
                    }
                }
                return Ok(mixed);
            }
            Fault::LoadsInvitesInPieces => {
                let first = self.inner.load(&load).await?;
                std::thread::yield_now();
                let second = self.inner.load(&load).await?;
                let mut mixed = second.clone();
                for (key, revision) in first.revisions() {
                    if let (RowKey::Invite(..), Some(row)) = (key, first.records().get(key)) {
                        mixed.insert(key.clone(), Some((revision, row.clone())));
                    }
                }
                return Ok(mixed);
            }
            Fault::ReadsNoBookOfGifts => {
                let gives =
                    |fact: &Fact| matches!(fact, Fact::BookForInvite(_) | Fact::BookForRequests);
                let mut scope = load.scope.clone();
                scope.facts.retain(|fact| !gives(fact));
                load.scope = &scope;
                return self.inner.load(&load).await;
            }
            Fault::FindsReceiptsAnywhere => {
                let mut snapshot = self.inner.load(&load).await?;
                let id = load.receipt;
                let receipt = id.and_then(|id| self.receipts.lock().unwrap().get(&id).cloned());
                snapshot.set_receipt(receipt);
                return Ok(snapshot);
            }
            _ => {}
        }
        self.inner.load(&load).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let mut outcomes: Vec<Committed> = Vec::new();
        for commit in commits {
            let refused = outcomes
                .iter()
                .find(|outcome| matches!(outcome, Committed::Conflict { .. }));
            let outcome = match refused {
                Some(_) if self.fault == Fault::RefusesTogether => Committed::Conflict {
                    key: commit.checks[0].key().clone(),
                },
                _ => self.broken(commit.clone()).await?,
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let mut query = query.clone();
        let mut now = now;
        match (self.fault, &mut query) {
            (Fault::SearchesPatterns, Query::Members { filter, .. })
                if filter
                    .text
                    .as_ref()
                    .is_some_and(|text| text.contains(['%', '_'])) =>
            {
                filter.text = Some(String::new());
            }
            (Fault::FoldsCase, Query::Members { filter, .. }) => {
                filter.text = filter.text.as_ref().map(|text| text.to_uppercase());
            }
            (Fault::SearchesPatterns, Query::Discover { text })
                if text.as_ref().is_some_and(|text| text.contains(['%', '_'])) =>
            {
                *text = Some(String::new());
            }
            (Fault::FoldsCase, Query::Discover { text }) => {
                *text = text.as_ref().map(|text| text.to_uppercase());
            }
            (Fault::ShowsExpiredRequests, Query::Pending { .. })
            | (Fault::ShowsExpiredInvites, Query::Invites { .. }) => now = Timestamp::MIN,
            _ => {}
        }
        let mut listed = match self.inner.list(&query, page, now).await {
            Err(StoreError::Malformed { .. }) if self.fault == Fault::TakesForeignCursors => {
                let first = Page::first(u32::try_from(page.limit()).unwrap()).unwrap();
                self.inner.list(&query, &first, now).await?
            }
            listed => listed?,
        };
        if self.fault == Fault::SkipsBetweenPages && page.cursor().is_some() {
            let skipped = listed.rows.len().min(1);
            listed.rows.drain(..skipped);
            listed.next = None;
        }
        if self.fault == Fault::ReversesLists {
            listed.rows.reverse();
        }
        if let (Fault::ListsInvitesOfOneHost, Query::InvitesTo { .. }) = (self.fault, &query) {
            let first = listed.rows.first().map(|(key, _)| key.clone());
            let first = first.as_ref().and_then(RowKey::organization);
            listed.rows.retain(|(key, _)| key.organization() == first);
        }
        Ok(listed)
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let (mut filter, mut after) = (filter.clone(), after);
        match self.fault {
            Fault::IncludesTheEnd => {
                let inclusive = |end: Timestamp| end.as_micros().saturating_add(1);
                filter.until = filter.until.map(inclusive).map(Timestamp::from_micros);
                if filter.until.is_some() {
                    after = None;
                }
            }
            Fault::RepeatsEvents => after = None,
            Fault::IgnoresInvitesOfEvents if filter.invite.is_some() => {
                filter.invite = None;
                after = None;
            }
            _ => {}
        }
        let mut page = match self.inner.events(&filter, after, limit).await {
            Err(StoreError::Malformed { .. }) if self.fault == Fault::TakesForeignCursors => {
                self.inner.events(&filter, None, limit).await?
            }
            page => page?,
        };
        if self.fault == Fault::ReversesEvents {
            page.events.reverse();
        }
        Ok(page)
    }

    fn capabilities(&self) -> Capabilities {
        match self.fault {
            Fault::ForgetsOnReopening | Fault::CanNotBeReopened => {
                Capabilities::immediate(true, false)
            }
            _ => self.inner.capabilities(),
        }
    }
}

/// Stores with one fault.
struct Faulty {
    fault: Fault,
    shared: MemoryStore,
}

#[async_trait]
impl Fixture for Faulty {
    type Store = Broken;

    async fn store(&self) -> Broken {
        match self.fault {
            Fault::SharesRecords => Broken::new(self.fault, self.shared.clone()),
            fault => Broken::new(fault, MemoryStore::in_memory()),
        }
    }

    async fn reopen(&self, store: Broken) -> Option<Broken> {
        match self.fault {
            Fault::ForgetsOnReopening => Some(Broken::new(self.fault, MemoryStore::in_memory())),
            Fault::CanNotBeReopened => None,
            fault => Some(Broken::new(fault, store.inner)),
        }
    }
}

/// Whether a case panics on stores with this fault.
fn fails(fault: Fault, case: impl Fn(&Faulty)) -> bool {
    let fixture = Faulty {
        fault,
        shared: MemoryStore::in_memory(),
    };
    catch_unwind(AssertUnwindSafe(|| case(&fixture))).is_err()
}

macro_rules! faults_are_found {
    ($($test:ident: $fault:ident => $($module:ident::$case:ident),+;)*) => {$(
        #[test]
        fn $test() {
            $(
                let case = |fixture: &Faulty| block_on(cases::$module::$case(fixture));
                assert!(!fails(Fault::None, case), "{} without a fault", stringify!($case));
                // Where threads are needed to find a fault, they may have to try again.
                let found = (0..50).any(|_| fails(Fault::$fault, case));
                assert!(found, "{} does not find {:?}", stringify!($case), Fault::$fault);
            )+
        }
    )*};
}

faults_are_found! {
    ignored_checks: IgnoresChecks =>
        conflicts::the_second_refresh_conflicts, conflicts::the_second_approval_conflicts,
        conflicts::approval_and_rejection_conflict, conflicts::approval_and_withdrawal_conflict,
        conflicts::a_claim_with_a_refreshed_token_conflicts, conflicts::two_owners_can_not_both_leave,
        conflicts::the_second_reservation_of_a_name_conflicts,
        conflicts::the_second_registration_conflicts, conflicts::the_second_acting_rule_conflicts,
        conflicts::removal_and_leaving_conflict, conflicts::the_second_default_link_conflicts,
        conflicts::the_second_claim_of_a_member_conflicts,
        conflicts::a_claim_of_a_member_blocked_meanwhile_conflicts,
        conflicts::the_second_change_of_access_rules_conflicts,
        conflicts::the_second_invite_to_an_address_conflicts,
        conflicts::the_second_acceptance_conflicts, conflicts::acceptance_and_revocation_conflict,
        conflicts::acceptance_and_resending_conflict, conflicts::acceptance_and_refusal_conflict,
        conflicts::acceptances_of_one_persons_invites_conflict,
        conflicts::the_end_of_an_expiry_conflicts, races::one_answer_to_an_invite_wins,
        consumers::an_acknowledgement_is_stored_where_it_begins,
        consumers::reading_and_parking_are_one_commit, races::one_of_many_acknowledges,
        commits::commits_in_one_call_have_their_own_outcomes;
    checks_of_written_rows_only: ChecksOnlyWhatItWrites =>
        conflicts::a_claim_through_a_link_that_ended_conflicts,
        conflicts::a_claim_conflicts_with_a_change_of_its_host,
        conflicts::a_claim_conflicts_with_a_change_of_the_links_creator,
        conflicts::a_command_conflicts_with_the_removal_of_its_actor,
        conflicts::a_gift_conflicts_with_a_change_of_access_rules,
        conflicts::an_acceptance_conflicts_with_a_change_of_its_sender,
        counters::uses_counted_before_a_claim_conflict;
    upserts: WritesOverWhatIsThere =>
        conflicts::the_second_token_of_a_selector_conflicts,
        conflicts::the_second_reservation_of_a_name_conflicts,
        conflicts::the_second_registration_conflicts;
    ignored_counts: IgnoresCounts =>
        counters::uses_counted_before_a_claim_conflict,
        counters::seats_counted_before_a_change_conflict;
    ignored_bounds: IgnoresBounds =>
        counters::a_limit_is_never_passed, counters::a_take_is_refused_at_its_bound,
        counters::seats_are_never_overbooked, counters::previews_are_counted_one_by_one,
        commits::a_commit_without_receipt_keeps_its_checks, races::previews_race,
        races::claims_race_for_the_uses_of_a_link,
        races::claims_race_for_seats;
    moved_links: MovesLinksWithUses => counters::claims_do_not_collide;
    applied_twice: AppliesTwice =>
        commits::a_commit_is_applied_once, commits::a_reservation_is_applied_once,
        commits::a_commit_twice_in_one_call_is_applied_once,
        commits::a_receipt_is_found_by_its_commit, durability::opening_again_keeps_everything;
    forgotten_empty_commits: ForgetsEmptyCommits =>
        commits::a_commit_without_events_has_a_receipt, commits::a_reservation_is_applied_once;
    parts_of_conflicts: KeepsPartsOfConflicts =>
        conflicts::the_second_refresh_conflicts, counters::a_take_is_refused_at_its_bound;
    refused_together: RefusesTogether => commits::commits_in_one_call_have_their_own_outcomes;
    forgotten_events: ForgetsEvents =>
        events::the_log_is_complete_and_in_order, events::new_events_come_behind_the_last_cursor,
        loads::access_rules_are_read_when_they_have_changed;
    forgotten_later_events: ForgetsLaterEvents =>
        events::the_log_is_complete_and_in_order, loads::rows_of_every_kind_come_back;
    reversed_events: ReversesEvents => events::the_log_is_complete_and_in_order;
    repeated_events: RepeatsEvents => events::the_log_is_complete_and_in_order;
    ends_included: IncludesTheEnd => events::filters_choose_events;
    forgotten_deletions: ForgetsDeletions =>
        commits::deleting_a_group_deletes_all_of_its_rows, loads::rows_of_every_kind_come_back;
    forgotten_digests: ForgetsDigests =>
        loads::rows_are_found_through_others, counters::a_claim_renews_the_digest_of_its_token,
        loads::invites_are_found_through_others,
        counters::an_acceptance_renews_the_digest_of_its_token;
    forgotten_seals: ForgetsSeals => values::a_sealed_token_comes_back;
    forgotten_erasures: ForgetsErasures =>
        erasures::an_erasure_replaces_events_in_their_places,
        erasures::an_erasure_empties_the_answers_of_its_commits;
    forgotten_marks: ForgetsMarks => erasures::an_erasure_replaces_events_in_their_places;
    erasing_conflicts: ErasesInConflicts => erasures::an_erasure_that_conflicts_erases_nothing;
    rounded_times: RoundsTimes =>
        values::all_of_time_is_kept, lists::what_has_run_out_is_listed_as_such;
    foreign_cursors: TakesForeignCursors =>
        lists::a_cursor_belongs_to_its_list, events::a_cursor_belongs_to_its_events;
    skipped_rows: SkipsBetweenPages =>
        lists::pages_make_the_list, lists::lists_are_stable_while_rows_come_and_go,
        lists::long_lists_are_complete, lists::new_lists_are_stable_while_rows_come_and_go,
        consumers::parked_events_are_listed_in_the_order_of_the_log;
    reversed_lists: ReversesLists =>
        lists::every_list_has_its_rows_in_order, lists::a_request_opened_again_waits_at_the_end,
        lists::invites_are_listed_by_what_they_are_now,
        lists::invites_to_an_address_are_of_all_hosts,
        lists::links_and_invites_that_have_run_out_are_listed,
        lists::organizations_are_found_while_they_can_be,
        consumers::parked_events_are_listed_in_the_order_of_the_log;
    patterns: SearchesPatterns =>
        lists::text_is_searched_literally, lists::organizations_are_searched_literally;
    folded_case: FoldsCase =>
        lists::text_is_searched_literally, lists::organizations_are_searched_literally;
    expired_requests: ShowsExpiredRequests => lists::what_has_run_out_is_listed_as_such;
    books_read_again: IgnoresKnownBooks => loads::access_rules_are_read_when_they_have_changed;
    books_of_before: KnowsOldBooks => loads::access_rules_are_read_when_they_have_changed;
    books_with_a_gap: LeavesOutChanges => loads::access_rules_are_read_when_they_have_changed;
    old_facts: LoadsOldFacts => commits::revisions_grow_by_one;
    facts_in_pieces: LoadsInPieces => races::loads_are_of_one_instant;
    receipts_of_others: FindsReceiptsAnywhere => commits::a_receipt_is_found_by_its_commit;
    receipts_of_everything: KeepsEveryReceipt =>
        commits::a_commit_without_receipt_is_applied_each_time,
        commits::a_commit_without_receipt_keeps_its_checks;
    checks_with_receipts_only: IgnoresChecksWithoutReceipt =>
        commits::a_commit_without_receipt_keeps_its_checks,
        counters::previews_are_counted_one_by_one;
    unchecked_consumers: IgnoresChecksOfConsumers =>
        consumers::an_acknowledgement_is_stored_where_it_begins,
        consumers::parked_events_are_listed_in_the_order_of_the_log,
        consumers::reading_and_parking_are_one_commit, races::one_of_many_acknowledges;
    consumers_that_act: TakesAnythingOfConsumers => consumers::consumers_have_no_events;
    forgotten_parked_events: ForgetsWhatConsumersPark =>
        loads::what_is_beside_the_log_is_loaded, consumers::reading_and_parking_are_one_commit,
        consumers::parked_events_are_listed_in_the_order_of_the_log;
    mixed_generations: CountsGenerationsTogether =>
        counters::previews_are_counted_one_by_one, races::previews_race;
    forgotten_previews: ForgetsPreviews =>
        loads::what_is_beside_the_log_is_loaded, counters::previews_are_counted_one_by_one,
        commits::a_commit_without_receipt_is_applied_each_time, races::previews_race;
    unchecked_addresses: ChecksNoAddresses =>
        conflicts::the_second_invite_to_an_address_conflicts,
        conflicts::a_request_conflicts_with_an_invite_sent_meanwhile;
    unchecked_invites: ChecksNoInvites =>
        conflicts::acceptance_and_revocation_conflict,
        conflicts::acceptance_and_resending_conflict, conflicts::acceptance_and_refusal_conflict,
        conflicts::the_second_acceptance_conflicts, conflicts::the_end_of_an_expiry_conflicts,
        races::one_answer_to_an_invite_wins;
    forgotten_addresses: ForgetsAddresses =>
        loads::rows_of_every_kind_come_back, loads::invites_are_found_through_others,
        values::addresses_and_messages_come_back;
    forgotten_invite_tokens: ForgetsInviteTokens =>
        loads::rows_of_every_kind_come_back, loads::invites_are_found_through_others,
        races::invites_are_loaded_with_their_own_token;
    invites_in_pieces: LoadsInvitesInPieces => races::invites_are_loaded_with_their_own_token;
    books_left_out: ReadsNoBookOfGifts => loads::access_rules_come_with_what_gives_them;
    events_of_all_invites: IgnoresInvitesOfEvents => events::filters_choose_events;
    expired_invites: ShowsExpiredInvites =>
        lists::invites_are_listed_by_what_they_are_now, lists::every_list_has_its_rows_in_order;
    invites_of_one_host: ListsInvitesOfOneHost =>
        lists::invites_to_an_address_are_of_all_hosts, lists::every_list_has_its_rows_in_order;
    unwritten_expiry: ForgetsWrittenExpiry =>
        lists::links_and_invites_that_have_run_out_are_listed,
        conflicts::the_end_of_an_expiry_conflicts;
    hidden_organizations: ShowsHiddenOrganizations =>
        lists::organizations_are_found_while_they_can_be;
    forgotten_on_reopening: ForgetsOnReopening => durability::opening_again_keeps_everything;
    never_reopened: CanNotBeReopened => durability::opening_again_keeps_everything;
    shared_records: SharesRecords => durability::stores_are_apart;
}
