//! What must hold in every state and of every step, and what must happen somewhere.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use guestlist_membership::link::{Generation, Link, LinkEvent, LinkStatus, UseState};
use guestlist_membership::member::{Cause, Door, MemberEvent, Membership, Opening, Status};
use guestlist_membership::testing::org;
use guestlist_membership::{
    CommandError, Event, Records, Row, RowKey, Stamp, TokenProblem, evolve,
};
use guestlist_types::{LinkId, Member, MemberKind};
use stateright::Property;

use crate::model::{Flight, Request, STEP, Small, State};
use crate::shelf::Shelf;

/// What no step may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A status changed in a way that is not in the table, or by a command that doesn't do that.
    Transition,
    /// An episode counter went another way than up by one with an opening.
    Episode,
    /// Somebody came by a token, a link or a time that was over.
    DeadToken,
    /// A member came back by a token from before its removal, or sooner than the host wants.
    CameBackEarly,
    /// A member that was removed came in without review.
    Unreviewed,
    /// A token's end was moved later or taken back.
    Revived,
    /// A command about a link changed something else, or one about a member another one.
    Frame,
    /// A refresh changed more than the token.
    Refresh,
    /// The events folded give other rows than were written.
    Fold,
    /// A revision went another way than up by one.
    Revision,
    /// A record's time went back.
    Time,
    /// A proxy user's id changed.
    Proxy,
    /// Somebody did what they may not.
    WrongActor,
    /// A commit was applied, and its receipt was there.
    AppliedTwice,
    /// A commit was refused, and something changed.
    RefusedAndChanged,
    /// A commit was refused on the very rows that it was decided on.
    FreshRefused,
}

/// What must happen somewhere, or nothing is proved of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reached {
    NobodyToPending,
    NobodyToApproved,
    PendingToApproved,
    PendingToApprovedByClaim,
    PendingToRejected,
    PendingToWithdrawn,
    PendingToExpired,
    ApprovedToRemoved,
    ApprovedToLeft,
    ApprovedToExpired,
    RejectedToPending,
    RejectedToApproved,
    RemovedToPending,
    CancelledToPending,
    CancelledToApproved,
    RunOutComesBack,
    Refreshed,
    Disabled,
    Enabled,
    Deleted,
    LinkExpired,
    LastUseTaken,
    UseGivenBack,
    UseTakenAgain,
    LinkExhausted,
    SeatsFull,
    RetiredTokenRefused,
    TokenFromBeforeRemovalRefused,
    IntruderRefused,
    StaleRefused,
    DuplicateRecognised,
    SentTwiceAtOnce,
    Crashed,
    Retried,
    SteppedBack,
}

pub(crate) const REACHED: usize = Reached::SteppedBack as usize + 1;

/// A refusal by the rules.
pub(crate) fn refused(small: &Small, request: &Request, error: &CommandError) {
    match error {
        CommandError::InvalidToken(refusal) => match refusal.problem() {
            TokenProblem::Exhausted => small.reach(Reached::LinkExhausted),
            TokenProblem::Retired => small.reach(Reached::RetiredTokenRefused),
            TokenProblem::BeforeRemoval => small.reach(Reached::TokenFromBeforeRemovalRefused),
            _ => {}
        },
        CommandError::SeatsFull => small.reach(Reached::SeatsFull),
        CommandError::NotAllowed { .. } | CommandError::NotFound { .. } => {
            if let Request::Intrude(_) = request {
                small.reach(Reached::IntruderRefused);
            }
        }
        _ => {}
    }
}

/// What is wrong with a commit that was applied, if anything is. Its events are folded one by one,
/// as in a log.
pub(crate) fn applied(
    small: &Small,
    before: &Shelf,
    after: &Shelf,
    flight: &Flight,
) -> Option<Fault> {
    let host = org(0);
    let commit = &flight.commit;
    let mut records = before.to_records();
    for event in &commit.events {
        let happening = Happening {
            small,
            records: &records,
            request: &flight.request,
            stamp: &commit.stamp,
        };
        let fault = match event {
            Event::Member(event) => happening.member(event),
            Event::Link(event) => happening.link(event),
            _ => Err(Fault::Frame),
        };
        if let Err(fault) = fault {
            return Some(fault);
        }
        evolve(&mut records, &host, &commit.stamp, event);
    }
    let folded = records.iter().count() == after.iter().count()
        && after
            .iter()
            .all(|kept| records.get(&kept.key) == Some(&kept.row));
    if !folded {
        return Some(Fault::Fold);
    }
    rows(before, after, &flight.request).err()
}

/// An event as it is about to be folded.
struct Happening<'a> {
    small: &'a Small,
    records: &'a Records,
    request: &'a Request,
    stamp: &'a Stamp,
}

impl Happening<'_> {
    fn record(&self, member: &Member) -> Option<&Membership> {
        self.records.membership(&org(0), member)
    }

    fn member(&self, event: &MemberEvent) -> Result<(), Fault> {
        if let Request::Intrude(_) = self.request {
            return Err(Fault::WrongActor);
        }
        match event {
            MemberEvent::Requested(opening) => self.opened(opening, false),
            MemberEvent::Joined { opening, .. } => self.opened(opening, true),
            MemberEvent::Approved { member, door, .. } => {
                let record = self.record(member).ok_or(Fault::Transition)?;
                if record.status != Some(Status::Pending) {
                    return Err(Fault::Transition);
                }
                match (door, self.request) {
                    (None, Request::Approve(_)) => self.small.reach(Reached::PendingToApproved),
                    (Some(door), Request::Claim(..)) => {
                        if record.review_required {
                            return Err(Fault::Unreviewed);
                        }
                        self.came_by(door, member)?;
                        self.small.reach(Reached::PendingToApprovedByClaim);
                    }
                    _ => return Err(Fault::Transition),
                }
                Ok(())
            }
            MemberEvent::Ended {
                member,
                cause,
                link_use,
                ..
            } => {
                let record = self.record(member).ok_or(Fault::Transition)?;
                let reached = match (record.status, cause, self.request) {
                    (Some(Status::Pending), Cause::Rejected, Request::Reject(_)) => {
                        Reached::PendingToRejected
                    }
                    (
                        Some(Status::Pending),
                        Cause::Withdrew,
                        Request::Cancel(_) | Request::Leave(_),
                    ) => Reached::PendingToWithdrawn,
                    (Some(Status::Approved), Cause::Removed, Request::Remove(_)) => {
                        Reached::ApprovedToRemoved
                    }
                    (Some(Status::Approved), Cause::Left, Request::Leave(_)) => {
                        Reached::ApprovedToLeft
                    }
                    (Some(status), Cause::Expired, Request::Expire(_) | Request::Claim(..)) => {
                        if self.stamp.at.is_before_end(record.expires_at) {
                            return Err(Fault::Transition);
                        }
                        match status {
                            Status::Pending => Reached::PendingToExpired,
                            Status::Approved => Reached::ApprovedToExpired,
                            Status::Rejected | Status::Removed | Status::Cancelled => {
                                return Err(Fault::Transition);
                            }
                        }
                    }
                    _ => return Err(Fault::Transition),
                };
                self.small.reach(reached);
                if link_use.is_some_and(|change| change.state == UseState::Released) {
                    self.small.reach(Reached::UseGivenBack);
                }
                Ok(())
            }
            _ => Err(Fault::Transition),
        }
    }

    fn opened(&self, opening: &Opening, joined: bool) -> Result<(), Fault> {
        let Request::Claim(..) = self.request else {
            return Err(Fault::Transition);
        };
        let record = self.record(&opening.member);
        self.came_by(&opening.door, &opening.member)?;
        if joined && record.is_some_and(|record| record.review_required) {
            return Err(Fault::Unreviewed);
        }
        let reached = match (record.and_then(|record| record.status), joined) {
            (None, false) => Reached::NobodyToPending,
            (None, true) => Reached::NobodyToApproved,
            (Some(Status::Rejected), false) => Reached::RejectedToPending,
            (Some(Status::Rejected), true) => Reached::RejectedToApproved,
            (Some(Status::Removed), false) => Reached::RemovedToPending,
            (Some(Status::Cancelled), false) => Reached::CancelledToPending,
            (Some(Status::Cancelled), true) => Reached::CancelledToApproved,
            (Some(Status::Pending | Status::Approved), _) | (Some(Status::Removed), true) => {
                return Err(Fault::Transition);
            }
        };
        self.small.reach(reached);
        let ended_now = record
            .and_then(|record| record.ended.as_ref())
            .is_some_and(|ended| ended.cause == Cause::Expired && ended.at == self.stamp.at);
        if ended_now {
            self.small.reach(Reached::RunOutComesBack);
        }
        let again = opening.link_use.is_some_and(|change| {
            let held = self.records.link_use(&org(0), change.link, &opening.member);
            change.counted == 1 && held.is_some()
        });
        if again {
            self.small.reach(Reached::UseTakenAgain);
        }
        Ok(())
    }

    /// "Somebody comes by a token that is not over, of a link that is not over": as the rows are
    /// where the commit stands in the log, and not as they were when it was decided.
    fn came_by(&self, door: &Door, member: &Member) -> Result<(), Fault> {
        let Door::Link { link, generation } = door else {
            return Err(Fault::DeadToken);
        };
        let (token, link) = self.opens(*link, *generation).ok_or(Fault::DeadToken)?;
        let over = link.status != LinkStatus::Active
            || link.deleted_at.is_some()
            || !self.stamp.at.is_before_end(link.config.expires_at)
            || !self.stamp.at.is_before_end(token.valid_until)
            || link.updated_at.is_after(self.stamp.at);
        if over {
            return Err(Fault::DeadToken);
        }
        let Some(record) = self.record(member) else {
            return Ok(());
        };
        let older = record
            .removed_at
            .is_some_and(|removed| !token.issued_at.is_after(removed));
        let cooling = self.small.variant.cools_down
            && record
                .rejected_at
                .is_some_and(|rejected| self.stamp.at.is_before_end(Some(rejected + STEP)));
        if older || cooling {
            Err(Fault::CameBackEarly)
        } else {
            Ok(())
        }
    }

    fn opens(
        &self,
        id: LinkId,
        generation: Generation,
    ) -> Option<(&guestlist_membership::link::TokenRecord, &Link)> {
        let link = self.records.link(&org(0), id)?;
        let token = self.records.iter().find_map(|(_, row)| match row {
            Row::Token(token)
                if token.subject.link() == Some(id) && token.generation == generation =>
            {
                Some(token)
            }
            _ => None,
        })?;
        Some((token, link))
    }

    fn link(&self, event: &LinkEvent) -> Result<(), Fault> {
        let reached = match (event, self.request) {
            (LinkEvent::Refreshed { .. }, Request::Refresh(_)) => Reached::Refreshed,
            (LinkEvent::Disabled { .. }, Request::Disable(_)) => Reached::Disabled,
            (LinkEvent::Enabled { .. }, Request::Enable(_)) => Reached::Enabled,
            (LinkEvent::Deleted { .. }, Request::Delete(_)) => Reached::Deleted,
            (LinkEvent::Expired { .. }, Request::Close(_)) => Reached::LinkExpired,
            (LinkEvent::Exhausted { .. }, Request::Claim(..)) => Reached::LastUseTaken,
            _ => return Err(Fault::Transition),
        };
        self.small.reach(reached);
        Ok(())
    }
}

/// What a step may do to each row.
fn rows(before: &Shelf, after: &Shelf, request: &Request) -> Result<(), Fault> {
    for kept in after.iter() {
        let earlier = before.get(&kept.key);
        let unchanged = earlier.is_some_and(|earlier| earlier.revision == kept.revision);
        if unchanged {
            if earlier.is_some_and(|earlier| earlier.digest != kept.digest) {
                return Err(Fault::Revision);
            }
            continue;
        }
        let revision = earlier.map_or(0, |earlier| earlier.revision);
        if !kept.key.is_counter() && kept.revision != revision + 1 {
            return Err(Fault::Revision);
        }
        if !may_change(request, &kept.key) {
            return Err(Fault::Frame);
        }
        match (earlier.map(|earlier| &earlier.row), &kept.row) {
            (Some(Row::Membership(old)), Row::Membership(new)) => membership(old, new)?,
            (None, Row::Membership(new)) if new.episode.get() != 1 => return Err(Fault::Episode),
            (Some(Row::Link(old)), Row::Link(new)) => link(old, new, request)?,
            (Some(Row::Token(old)), Row::Token(new)) => {
                let earlier = match (old.valid_until, new.valid_until) {
                    (None, Some(_)) => true,
                    (Some(old), Some(new)) => !new.is_after(old),
                    (_, None) => false,
                };
                if !earlier || old.issued_at != new.issued_at {
                    return Err(Fault::Revived);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// "Refresh, disable, enable, expire and delete change no membership", and a command about a member
/// changes no other one.
fn may_change(request: &Request, key: &RowKey) -> bool {
    match request {
        Request::Claim(member, _)
        | Request::Approve(member)
        | Request::Intrude(member)
        | Request::Reject(member)
        | Request::Remove(member)
        | Request::Cancel(member)
        | Request::Leave(member)
        | Request::Expire(member) => match key {
            RowKey::Membership(_, of) | RowKey::LinkUse(_, _, of) => of == member,
            RowKey::LinkTally(..) | RowKey::SeatTally(_) => true,
            // That its last use is taken is noted with the link.
            RowKey::Link(..) => matches!(request, Request::Claim(..)),
            _ => false,
        },
        Request::Refresh(id)
        | Request::Disable(id)
        | Request::Enable(id)
        | Request::Delete(id)
        | Request::Close(id) => match key {
            RowKey::Link(_, of) => of == id,
            RowKey::Token(_) => true,
            _ => false,
        },
    }
}

fn membership(old: &Membership, new: &Membership) -> Result<(), Fault> {
    let opens = new.episode != old.episode;
    let live = matches!(new.status, Some(Status::Pending | Status::Approved));
    if opens && (new.episode != old.episode.next() || !live) {
        return Err(Fault::Episode);
    }
    if old.proxy.is_some() && old.proxy != new.proxy {
        return Err(Fault::Proxy);
    }
    if old.updated_at.is_after(new.updated_at) {
        return Err(Fault::Time);
    }
    Ok(())
}

fn link(old: &Link, new: &Link, request: &Request) -> Result<(), Fault> {
    if old.updated_at.is_after(new.updated_at) {
        return Err(Fault::Time);
    }
    let same_but_token = Link {
        generation: old.generation,
        token: old.token,
        overlapping: old.overlapping.clone(),
        updated_at: old.updated_at,
        ..new.clone()
    } == *old;
    match request {
        Request::Refresh(_) if !same_but_token || new.generation != old.generation.next() => {
            Err(Fault::Refresh)
        }
        Request::Claim(..) if !same_but_token || new.token != old.token => Err(Fault::Frame),
        _ => Ok(()),
    }
}

fn one_active_token(_: &Small, state: &State) -> bool {
    state.shelf.links().all(|link| {
        let active: Vec<_> = state
            .shelf
            .tokens()
            .filter(|token| token.subject.link() == Some(link.id) && token.valid_until.is_none())
            .map(|token| token.selector)
            .collect();
        let works = link.status == LinkStatus::Active && link.deleted_at.is_none();
        let expected: Vec<_> = link.token.into_iter().collect();
        active == expected && works == link.token.is_some()
    })
}

fn uses_are_counted(_: &Small, state: &State) -> bool {
    state.shelf.links().all(|link| {
        let counted = state.shelf.iter().filter(|kept| {
            matches!((&kept.key, &kept.row), (RowKey::LinkUse(_, id, _), Row::LinkUse(held))
                if *id == link.id && held.state.counts())
        });
        let counted = counted.count() as u64;
        let tally = state.shelf.count(&RowKey::LinkTally(org(0), link.id));
        tally == counted
            && link
                .config
                .max_uses
                .is_some_and(|limit| counted <= limit.get())
    })
}

fn uses_are_held(_: &Small, state: &State) -> bool {
    state.shelf.iter().all(|kept| {
        let (RowKey::LinkUse(_, link, member), Row::LinkUse(held)) = (&kept.key, &kept.row) else {
            return true;
        };
        let waits = state.shelf.memberships().any(|(other, record)| {
            other == member
                && record.status == Some(Status::Pending)
                && record.door.link() == Some(*link)
        });
        match held.state {
            UseState::Reserved => waits,
            UseState::Released => !waits,
            // Whoever was let in once by this link takes no use when it asks again.
            UseState::Settled => true,
        }
    })
}

fn hosted(state: &State) -> impl Iterator<Item = (&Member, &Membership)> {
    let host = org(0);
    state
        .shelf
        .memberships()
        .filter(move |(_, record)| record.host == host)
}

fn seats_are_counted(small: &Small, state: &State) -> bool {
    let Some(seats) = small.variant.seats else {
        return true;
    };
    let held = hosted(state).filter(|(_, record)| match record.status {
        Some(Status::Approved) => true,
        Some(Status::Pending) => seats.count_pending,
        _ => false,
    });
    let held = held.count() as u64;
    held == state.shelf.count(&RowKey::SeatTally(org(0))) && held <= seats.limit.get()
}

fn records_agree(_: &Small, state: &State) -> bool {
    hosted(state).all(|(member, record)| {
        let ended = match &record.ended {
            Some(ended) => Some(ended.cause.status()) == record.status,
            None => matches!(record.status, Some(Status::Pending | Status::Approved)),
        };
        let approved = record.status != Some(Status::Approved) || record.approved_at.is_some();
        *member == record.member && *member != Member::Org(org(0)) && ended && approved
    })
}

fn proxies_stand_for_one(_: &Small, state: &State) -> bool {
    let mut ids = BTreeSet::new();
    hosted(state).all(|(member, record)| match (&record.proxy, member.kind()) {
        (Some(proxy), MemberKind::Org) => ids.insert(proxy.id),
        (None, MemberKind::Org) => record.status != Some(Status::Approved),
        (proxy, MemberKind::User) => proxy.is_none(),
    })
}

macro_rules! never {
    ($($name:literal: $($fault:ident)|+),* $(,)?) => {
        vec![$(Property::always($name, |_, state: &State| {
            !matches!(state.fault, Some($(Fault::$fault)|+))
        })),*]
    };
}

macro_rules! somewhere {
    ($($name:literal: $reached:ident),* $(,)?) => {
        [$(Property::sometimes($name, |small: &Small, _: &State| {
            small.reached[Reached::$reached as usize].load(Ordering::Relaxed) > 0
        })),*]
    };
}

pub(crate) fn properties() -> Vec<Property<Small>> {
    let mut all = never![
        "M1 memberships move as in the table": Transition,
        "M2 an episode opens with a door": Episode,
        "T5 T8 nobody comes by what is over": DeadToken,
        "M7 nobody comes back too early": CameBackEarly,
        "M6 who was removed is reviewed": Unreviewed,
        "T3 T6 a retired token stays retired": Revived,
        "T7 a command changes what it is about": Frame,
        "T4 a refresh changes the token": Refresh,
        "D3 the log folds to the rows": Fold,
        "M14 revisions go up by one": Revision,
        "D12 times don't go back": Time,
        "M5 a proxy user's id stays": Proxy,
        "M9 a member approves nobody": WrongActor,
        "M15 a command is applied once": AppliedTwice,
        "T11 what is refused changes nothing": RefusedAndChanged,
        "what is decided on the rows as they are is applied": FreshRefused,
    ];
    all.extend([
        Property::always("T2 a link has one active token", one_active_token),
        Property::always("T9 uses are counted and limited", uses_are_counted),
        Property::always("T10 who waits holds a use", uses_are_held),
        Property::always("M18 seats are counted and limited", seats_are_counted),
        Property::always("M2 M3 records are what they say", records_agree),
        Property::always("M4 M5 a proxy user stands for one", proxies_stand_for_one),
    ]);
    all.extend(somewhere![
        "nobody to pending": NobodyToPending,
        "nobody to approved": NobodyToApproved,
        "pending to approved": PendingToApproved,
        "pending to approved, by a claim": PendingToApprovedByClaim,
        "pending to rejected": PendingToRejected,
        "pending to cancelled, withdrawn": PendingToWithdrawn,
        "pending to cancelled, expired": PendingToExpired,
        "approved to removed": ApprovedToRemoved,
        "approved to cancelled, left": ApprovedToLeft,
        "approved to cancelled, expired": ApprovedToExpired,
        "rejected to pending": RejectedToPending,
        "rejected to approved": RejectedToApproved,
        "removed to pending": RemovedToPending,
        "cancelled to pending": CancelledToPending,
        "cancelled to approved": CancelledToApproved,
        "who has run out comes back": RunOutComesBack,
        "a token is replaced": Refreshed,
        "a link is disabled": Disabled,
        "a link is enabled": Enabled,
        "a link is deleted": Deleted,
        "a link's end is noted": LinkExpired,
        "a link's last use is taken": LastUseTaken,
        "a use is given back": UseGivenBack,
        "a use that was given back is taken again": UseTakenAgain,
        "a limit is reached": LinkExhausted,
        "a retired token is refused": RetiredTokenRefused,
        "a token from before a removal is refused": TokenFromBeforeRemovalRefused,
        "a member that approves itself is refused": IntruderRefused,
        "a stale commit is refused": StaleRefused,
        "a duplicate is recognised": DuplicateRecognised,
        "a command is under way twice": SentTwiceAtOnce,
        "a commit is lost": Crashed,
        "a lost or refused command is decided again": Retried,
        "the clock steps back": SteppedBack,
    ]);
    all.push(Property::sometimes("seats are full", |small, _| {
        !small.variant.seats_can_fill()
            || small.reached[Reached::SeatsFull as usize].load(Ordering::Relaxed) > 0
    }));
    all
}
