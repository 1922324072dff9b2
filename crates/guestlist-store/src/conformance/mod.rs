//! The store contract as tests, for any store (feature `conformance`).
//!
//! Say how to make a store, and let [`conformance_tests!`](crate::conformance_tests) make a test of
//! every case:
//!
//! ```
//! use async_trait::async_trait;
//! use guestlist_store::MemoryStore;
//! use guestlist_store::conformance::Fixture;
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl Fixture for Memory {
//!     type Store = MemoryStore;
//!
//!     async fn store(&self) -> MemoryStore {
//!         MemoryStore::in_memory()
//!     }
//!
//!     async fn reopen(&self, _: MemoryStore) -> Option<MemoryStore> {
//!         None // gone with its last clone
//!     }
//! }
//!
//! mod conformance {
//!     guestlist_store::conformance_tests!(super::Memory);
//! }
//! # use guestlist_store::conformance::{block_on, cases};
//! # block_on(cases::loads::absent_rows_read_as_absent(&Memory));
//! ```
//!
//! Each case gets a store of its own from the fixture and panics where that store breaks the
//! contract. Cases are plain functions in [`cases`]; [`run_all`] runs them one after the other, for
//! test runners of another kind. The suite drives stores with real commands through a [`Harness`],
//! which is there for an adapter's own tests, too. It needs no async runtime and never sleeps.
//!
//! A race over a store that never yields proves nothing, so every race is first told as two
//! decisions on one snapshot and two commits, of which the second has to be refused; threads come
//! after that.

#![expect(
    clippy::missing_panics_doc,
    reason = "panicking where a store breaks the contract is what all of this is for"
)]

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};

use async_trait::async_trait;

use crate::store::Store;

pub mod cases;
mod harness;
mod observe;
mod world;

pub use harness::{Harness, Invited, Issued, Order};

/// A future of a case.
pub type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// How to make a store for the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The store.
    type Store: Store;

    /// A fresh store, empty and apart from all others.
    async fn store(&self) -> Self::Store;

    /// The same records again after the end of a process; `None` if they are gone by then, as
    /// those of a store that is not [`durable`](crate::Capabilities::durable) are.
    async fn reopen(&self, store: Self::Store) -> Option<Self::Store>;

    /// Waits until feed and lists show all that was committed. Nothing to do, unless they may be
    /// late ([`Capabilities::feed_lag`](crate::Capabilities::feed_lag)).
    async fn settle(&self, store: &Self::Store) {
        let _ = store;
    }

    /// Runs a future to its end, on this thread. For stores that need a runtime of their own: it
    /// has to make progress on other threads while this one is blocked, and this is called from
    /// several threads at once.
    fn block_on(&self, future: CaseFuture<'_>) {
        block_on(future);
    }
}

/// Runs a future to its end on this thread, which sleeps while there is nothing to do.
///
/// ```
/// # use guestlist_store::conformance::block_on;
/// assert_eq!(block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        thread::park();
    }
}

/// One case, for runners of another kind.
struct Case<'a> {
    name: &'static str,
    future: AssertUnwindSafe<CaseFuture<'a>>,
}

/// A case that panics, panics with its name.
impl Future for Case<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let name = self.name;
        let future = &mut self.future.0;
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("it panicked");
            panic!("conformance case `{name}`: {said}")
        })
    }
}

/// Makes a `#[test]` of every case, in the module where it is called.
///
/// The argument is an expression that makes a [`Fixture`]; every test evaluates it. See the
/// [module](crate::conformance) for an example.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::__conformance_cases!(tests $fixture);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_expand {
    (tests ($fixture:expr) $($module:ident { $($case:ident)* })*) => {$($(
        #[test]
        fn $case() {
            let fixture = $fixture;
            let case = $crate::conformance::cases::$module::$case(&fixture);
            $crate::conformance::Fixture::block_on(&fixture, ::std::boxed::Box::pin(case));
        }
    )*)*};
    (run ($fixture:expr) $($module:ident { $($case:ident)* })*) => {$($(
        Case {
            name: stringify!($case),
            future: AssertUnwindSafe(Box::pin(cases::$module::$case($fixture))),
        }
        .await;
    )*)*};
    (names ($fixture:expr) $($module:ident { $($case:ident)* })*) => {
        &[$($(stringify!($case)),*),*]
    };
}

/// Every case, in the order in which they are best read when many fail.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($mode:ident $fixture:expr) => {
        $crate::__conformance_expand! {
            $mode ($fixture)
            loads {
                absent_rows_read_as_absent
                an_unknown_token_or_name_finds_nothing
                rows_are_found_through_others
                rows_of_every_kind_come_back
                many_come_as_each_alone
                access_rules_are_read_when_they_have_changed
                access_rules_of_two_organizations_come_together
                invites_are_found_through_others
                access_rules_come_with_what_gives_them
                what_is_beside_the_log_is_loaded
            }
            commits {
                a_commit_is_applied_once
                a_reservation_is_applied_once
                a_commit_without_events_has_a_receipt
                a_receipt_is_found_by_its_commit
                commits_in_one_call_have_their_own_outcomes
                a_commit_twice_in_one_call_is_applied_once
                deleting_a_group_deletes_all_of_its_rows
                revisions_grow_by_one
                a_commit_without_receipt_is_applied_each_time
                a_commit_without_receipt_keeps_its_checks
            }
            conflicts {
                the_second_refresh_conflicts
                the_second_approval_conflicts
                approval_and_rejection_conflict
                approval_and_withdrawal_conflict
                removal_and_leaving_conflict
                the_second_claim_of_a_member_conflicts
                a_claim_with_a_refreshed_token_conflicts
                a_claim_through_a_link_that_ended_conflicts
                a_claim_conflicts_with_a_change_of_its_host
                a_claim_of_a_member_blocked_meanwhile_conflicts
                a_claim_conflicts_with_a_change_of_the_links_creator
                a_command_conflicts_with_the_removal_of_its_actor
                two_owners_can_not_both_leave
                a_gift_conflicts_with_a_change_of_access_rules
                the_second_change_of_access_rules_conflicts
                the_second_reservation_of_a_name_conflicts
                the_second_registration_conflicts
                the_second_token_of_a_selector_conflicts
                the_second_default_link_conflicts
                the_second_acting_rule_conflicts
                organizations_do_not_collide
                the_second_invite_to_an_address_conflicts
                invites_to_other_addresses_do_not_collide
                the_second_acceptance_conflicts
                acceptance_and_revocation_conflict
                acceptance_and_resending_conflict
                acceptance_and_refusal_conflict
                acceptances_of_one_persons_invites_conflict
                an_acceptance_conflicts_with_a_change_of_its_sender
                a_request_conflicts_with_an_invite_sent_meanwhile
                the_end_of_an_expiry_conflicts
            }
            counters {
                a_limit_is_never_passed
                a_take_is_refused_at_its_bound
                the_last_use_is_the_last_when_it_is_taken
                claims_do_not_collide
                released_uses_can_be_taken_again
                uses_counted_before_a_claim_conflict
                seats_counted_before_a_change_conflict
                seats_are_never_overbooked
                counting_ends_and_begins_again
                a_claim_renews_the_digest_of_its_token
                an_acceptance_renews_the_digest_of_its_token
                previews_are_counted_one_by_one
            }
            consumers {
                an_acknowledgement_is_stored_where_it_begins
                parked_events_are_listed_in_the_order_of_the_log
                reading_and_parking_are_one_commit
                consumers_have_no_events
            }
            erasures {
                an_erasure_replaces_events_in_their_places
                an_erasure_empties_the_answers_of_its_commits
                an_erasure_that_conflicts_erases_nothing
            }
            events {
                the_log_is_complete_and_in_order
                an_empty_log_is_no_error
                new_events_come_behind_the_last_cursor
                filters_choose_events
                a_cursor_belongs_to_its_events
            }
            lists {
                every_list_has_its_rows_in_order
                pages_make_the_list
                long_lists_are_complete
                lists_are_stable_while_rows_come_and_go
                a_cursor_belongs_to_its_list
                text_is_searched_literally
                what_has_run_out_is_listed_as_such
                a_request_opened_again_waits_at_the_end
                deleted_links_are_not_listed
                invites_are_listed_by_what_they_are_now
                invites_to_an_address_are_of_all_hosts
                links_and_invites_that_have_run_out_are_listed
                organizations_are_found_while_they_can_be
                organizations_are_searched_literally
                new_lists_are_stable_while_rows_come_and_go
            }
            values {
                ids_may_have_every_printable_character
                ids_are_told_apart_by_every_byte
                what_looks_like_sql_is_only_text
                large_rows_come_back
                all_of_time_is_kept
                a_clock_may_step_back
                addresses_and_messages_come_back
                a_sealed_token_comes_back
            }
            durability {
                opening_again_keeps_everything
                stores_are_apart
            }
            races {
                claims_race_for_the_uses_of_a_link
                claims_race_for_seats
                no_claim_follows_the_end_of_its_token
                one_ending_of_a_request_wins
                the_last_owner_stays
                one_of_many_gets_a_name
                the_log_is_read_while_it_grows
                loads_are_of_one_instant
                previews_race
                one_of_many_acknowledges
                one_answer_to_an_invite_wins
                invites_are_loaded_with_their_own_token
            }
        }
    };
}

/// The names of all cases.
pub const CASES: &[&str] = __conformance_cases!(names());

/// Runs every case, each on a store of its own.
pub async fn run_all<F: Fixture>(fixture: &F) {
    __conformance_cases!(run fixture);
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicBool, Ordering};
    use std::collections::BTreeSet;

    use super::*;
    use crate::MemoryStore;

    struct NoStore;

    #[async_trait]
    impl Fixture for NoStore {
        type Store = MemoryStore;

        async fn store(&self) -> MemoryStore {
            panic!("no store")
        }

        async fn reopen(&self, _: MemoryStore) -> Option<MemoryStore> {
            None
        }
    }

    #[test]
    fn a_failing_case_is_named() {
        let panic = catch_unwind(|| block_on(run_all(&NoStore))).unwrap_err();
        let said = panic.downcast_ref::<String>().unwrap();
        assert_eq!(*said, format!("conformance case `{}`: no store", CASES[0]));
    }

    #[test]
    fn cases_have_names_of_their_own() {
        let names: BTreeSet<_> = CASES.iter().collect();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn another_thread_may_wake_a_future() {
        let done = Arc::new(AtomicBool::new(false));
        let mut polls = 0;
        block_on(core::future::poll_fn(|context| {
            polls += 1;
            if done.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let (done, waker) = (Arc::clone(&done), context.waker().clone());
            thread::spawn(move || {
                done.store(true, Ordering::Release);
                waker.wake();
            });
            Poll::Pending
        }));
        assert!(polls >= 2);
    }
}
