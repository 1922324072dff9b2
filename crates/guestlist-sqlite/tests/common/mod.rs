//! Rows and commits by hand, below every rule.
#![allow(
    dead_code,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    unreachable_pub,
    reason = "each test uses some of it"
)]

use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use guestlist_access::Episode;
use guestlist_membership::invite::{
    Closed, Closing, Delivery, EmailInvite, InviteConfig, InviteStatus,
};
use guestlist_membership::link::{
    Generation, Link, LinkConfig, LinkStatus, LinkUse, TokenRecord, TokenSubject, UseState,
};
use guestlist_membership::member::{
    Cause, Door, Ended, MemberEvent, Membership, ProxyUser, Status,
};
use guestlist_membership::{By, Event, Home, Row, RowKey, Stamp};
use guestlist_store::{Check, CommandDigest, Commit, Receipt, Revision, Write};
use guestlist_token::{PepperId, Selector, TokenTag};
use guestlist_types::{
    CommitId, InviteId, LinkId, Member, OrgId, OrgName, ProxyUserId, Timestamp, UserId,
};

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

/// So many, or as many as `GUESTLIST_ROUNDS` says.
pub fn rounds(usual: u64) -> u64 {
    std::env::var("GUESTLIST_ROUNDS").map_or(usual, |text| text.parse().unwrap())
}

/// Where chance begins: `GUESTLIST_SEED`, or anywhere. To be told by what fails.
pub fn seed() -> u64 {
    std::env::var("GUESTLIST_SEED").map_or_else(
        |_| RandomState::new().hash_one(0_u8),
        |text| text.parse().unwrap(),
    )
}

/// A number below `end`, other ones for other steps.
pub fn chance(seed: u64, step: u64, end: u64) -> u64 {
    let mut x = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % end.max(1)
}

pub fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

pub fn user(text: &str) -> Member {
    Member::User(UserId::parse(text).unwrap())
}

pub fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Sixteen bytes that sort as the number does.
pub fn bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub fn link_id(number: u64) -> LinkId {
    LinkId::from_bytes(bytes(number))
}

pub fn membership(host: &OrgId, member: &Member, status: Status) -> Membership {
    let mut row = Membership::blank(host.clone(), member.clone(), time(1_000));
    row.status = Some(status);
    row.episode = Episode::new(1);
    row.access_since = Episode::new(1);
    if status == Status::Approved {
        row.approved_at = Some(time(1_000));
        row.approved_by = Some(By::Policy);
        if let Member::Org(id) = member {
            row.proxy = Some(ProxyUser {
                id: ProxyUserId::from_bytes([7; 16]),
                user_name: OrgName::parse(id.as_str()).unwrap(),
            });
        }
    }
    let cause = match status {
        Status::Pending | Status::Approved => None,
        Status::Rejected => Some(Cause::Rejected),
        Status::Removed => Some(Cause::Removed),
        Status::Cancelled => Some(Cause::Left),
    };
    row.ended = cause.map(|cause| Ended {
        cause,
        by: By::System,
        at: time(2_000),
        reason: None,
    });
    row
}

pub fn link(host: &OrgId, number: u64, status: LinkStatus) -> Link {
    let selector = Selector::from_i64(i64::try_from(number).unwrap());
    Link {
        id: link_id(number),
        host: host.clone(),
        config: LinkConfig::default(),
        status,
        generation: Generation::FIRST,
        token: selector.filter(|_| status == LinkStatus::Active),
        overlapping: Vec::new(),
        creator: Some(UserId::parse("ada").unwrap()),
        created_at: time(1),
        updated_at: time(1),
        deleted_at: None,
        expired_at: None,
    }
}

pub fn token(host: &OrgId, selector: i64, pepper: Option<u16>) -> TokenRecord {
    TokenRecord {
        selector: Selector::from_i64(selector).unwrap(),
        host: host.clone(),
        subject: TokenSubject::Link(link_id(1)),
        generation: Generation::FIRST,
        issued_at: time(5),
        valid_until: None,
        tag: pepper.map(|pepper| TokenTag::new(PepperId::new(pepper), [9; 32])),
        sealed: None,
    }
}

/// To one of three addresses, in one of the states.
pub fn invite(host: &OrgId, number: u64, expires_at: i64) -> EmailInvite {
    let statuses = [
        InviteStatus::Pending,
        InviteStatus::Accepted,
        InviteStatus::Pending,
        InviteStatus::Declined,
        InviteStatus::Pending,
        InviteStatus::Revoked,
    ];
    let status = statuses[usize::try_from(number).unwrap() % statuses.len()];
    let closing = match status {
        InviteStatus::Pending => None,
        InviteStatus::Accepted => Some(Closing::Accepted),
        InviteStatus::Declined => Some(Closing::Declined),
        InviteStatus::Revoked => Some(Closing::Replaced),
    };
    EmailInvite {
        id: InviteId::from_bytes(bytes(100 - number)),
        host: host.clone(),
        address: format!("user_{}@example.com", number % 3).parse().unwrap(),
        config: InviteConfig::default(),
        status,
        generation: Generation::FIRST,
        token: Selector::from_i64(i64::try_from(number).unwrap())
            .filter(|_| status == InviteStatus::Pending),
        creator: number
            .is_multiple_of(2)
            .then(|| UserId::parse("ada").unwrap()),
        delivery: Delivery::Unknown,
        expires_at: (!number.is_multiple_of(5)).then(|| time(expires_at)),
        expired_at: None,
        closed: closing.map(|closing| Closed {
            closing,
            by: By::System,
            at: time(2_000),
            member: None,
        }),
        created_at: time(1),
        sent_at: time(1),
        updated_at: time(1),
    }
}

pub fn link_use(state: UseState) -> LinkUse {
    LinkUse {
        generation: Generation::FIRST,
        state,
        at: time(3),
        released_for: None,
    }
}

pub fn membership_key(host: &OrgId, member: &Member) -> RowKey {
    RowKey::Membership(host.clone(), member.clone())
}

pub fn put(key: RowKey, row: Row, revision: u64) -> Write {
    Write::Put {
        key,
        row,
        revision: Revision::new(revision),
        before: None,
    }
}

/// As [`put`], for stores that keep indexes themselves.
pub fn replace(key: RowKey, row: Row, revision: u64, before: Option<Row>) -> Write {
    Write::Put {
        key,
        row,
        revision: Revision::new(revision),
        before: before.map(Box::new),
    }
}

pub fn put_membership(row: Membership, revision: u64) -> Write {
    let key = membership_key(&row.host, &row.member);
    put(key, Row::Membership(Box::new(row)), revision)
}

pub fn is_at(key: RowKey, revision: u64) -> Check {
    Check::Revision {
        key,
        revision: Revision::new(revision),
    }
}

pub fn blocked(member: &Member) -> Event {
    Event::Member(MemberEvent::Unblocked {
        member: member.clone(),
    })
}

pub fn commit(id: u64, host: &OrgId, checks: Vec<Check>, writes: Vec<Write>) -> Commit {
    Commit {
        id: CommitId::from_bytes(bytes(id)),
        home: Home::Organization(host.clone()),
        checks,
        writes,
        stamp: Stamp {
            at: time(10_000),
            by: By::User {
                user: UserId::parse("ada").unwrap(),
                organization: None,
            },
        },
        events: Vec::new(),
        receipt: Some(Receipt {
            digest: CommandDigest([3; 32]),
            reply: format!("reply {id}"),
        }),
    }
}

/// A new member with its event.
pub fn joining(id: u64, host: &OrgId, member: &Member) -> Commit {
    let key = membership_key(host, member);
    let mut joining = commit(
        id,
        host,
        vec![is_at(key, 0)],
        vec![put_membership(
            membership(host, member, Status::Approved),
            1,
        )],
    );
    joining.events = vec![blocked(member)];
    joining
}

pub fn door(number: u64) -> Door {
    Door::Link {
        link: link_id(number),
        generation: Generation::FIRST,
    }
}
