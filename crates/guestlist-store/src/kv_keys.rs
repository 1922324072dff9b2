//! How rows are named in a key-value engine: the bucket, the kind of row, the organization, the
//! rest. Stored data depends on every byte here.

use guestlist_access::GroupMember;
use guestlist_membership::{Home, RowKey};
use guestlist_types::{BUCKETS, Bucket, CommitId, Member, OrgId, Timestamp};

use crate::kv::KvRange;

const NAME: u8 = 1;
const ORGANIZATION: u8 = 2;
const OWNERS: u8 = 3;
const SEAT_TALLY: u8 = 4;
const ACCESS_HEAD: u8 = 5;
const LINK: u8 = 6;
const LINK_TALLY: u8 = 7;
const LINK_USE: u8 = 8;
const TOKEN: u8 = 9;
const MEMBERSHIP: u8 = 10;
const ACTING: u8 = 11;
const GROUP: u8 = 12;
const GROUP_MEMBER: u8 = 13;
const GRANT: u8 = 14;
const USE_COUNT: u8 = 15;
const SEAT_COUNT: u8 = 16;
const RECEIPT: u8 = 17;
const PENDING_INDEX: u8 = 18;
const HOSTS_INDEX: u8 = 19;
const RUN_OUT_INDEX: u8 = 20;

/// The log stands behind all buckets.
const LOG: [u8; 2] = [0xff, 0xff];

/// A key as it grows.
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(bucket: Bucket, kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(bucket.get().to_be_bytes());
        bytes.push(kind);
        Self(bytes)
    }

    fn in_org(org: &OrgId, kind: u8) -> Self {
        Self::of(Bucket::of(org), kind).text(org.as_str())
    }

    /// Ids are printable ASCII, so a zero byte ends them and keeps their order.
    fn text(mut self, text: &str) -> Self {
        self.0.extend(text.as_bytes());
        self.0.push(0);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn member(self, member: &Member) -> Self {
        let kind = match member {
            Member::Org(_) => 0,
            Member::User(_) => 1,
        };
        self.raw(&[kind]).text(member.id())
    }

    /// Times before 1970 come before those after.
    #[expect(clippy::cast_sign_loss, reason = "the bits are wanted")]
    fn time(self, time: Timestamp) -> Self {
        self.raw(&((time.as_micros() as u64) ^ (1 << 63)).to_be_bytes())
    }

    fn range(self) -> KvRange {
        let end = successor(&self.0);
        KvRange { start: self.0, end }
    }
}

/// The first byte string behind all that begin with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; 16]
}

/// A range without what comes up to `key`.
pub(crate) fn behind(range: KvRange, mut key: Vec<u8>) -> KvRange {
    key.push(0);
    KvRange {
        start: key.max(range.start),
        end: range.end,
    }
}

pub(crate) fn row(key: &RowKey) -> Vec<u8> {
    match key {
        RowKey::Name(name) => {
            Bytes::of(Home::Name(name.clone()).bucket(), NAME).text(name.as_str())
        }
        RowKey::Organization(org) => Bytes::in_org(org, ORGANIZATION),
        RowKey::Owners(org) => Bytes::in_org(org, OWNERS),
        RowKey::SeatTally(org) => Bytes::in_org(org, SEAT_TALLY),
        RowKey::AccessHead(org) => Bytes::in_org(org, ACCESS_HEAD),
        RowKey::Link(org, link) => Bytes::in_org(org, LINK).raw(link.as_bytes()),
        RowKey::LinkTally(org, link) => Bytes::in_org(org, LINK_TALLY).raw(link.as_bytes()),
        RowKey::LinkUse(org, link, member) => Bytes::in_org(org, LINK_USE)
            .raw(link.as_bytes())
            .member(member),
        RowKey::Token(selector) => {
            Bytes::of(selector.bucket(), TOKEN).raw(&selector.as_i64().to_be_bytes())
        }
        RowKey::Membership(org, member) => Bytes::in_org(org, MEMBERSHIP).member(member),
        RowKey::Acting(org, host) => Bytes::in_org(org, ACTING).text(host.as_str()),
        RowKey::Group(org, group) => Bytes::in_org(org, GROUP).raw(group.as_bytes()),
        RowKey::GroupMember(org, group, member) => {
            let bytes = Bytes::in_org(org, GROUP_MEMBER).raw(group.as_bytes());
            match member {
                GroupMember::Group(inner) => bytes.raw(&[0]).raw(inner.as_bytes()),
                GroupMember::Member { member, episode } => bytes
                    .raw(&[1])
                    .member(member)
                    .raw(&episode.get().to_be_bytes()),
            }
        }
        RowKey::Grant(org, grant) => Bytes::in_org(org, GRANT).raw(grant.as_bytes()),
        RowKey::UseCount(org, link) => Bytes::in_org(org, USE_COUNT).raw(link.as_bytes()),
        RowKey::SeatCount(org) => Bytes::in_org(org, SEAT_COUNT),
    }
    .0
}

/// The counter of one half of a [`RowKey::SeatCount`].
pub(crate) fn seat_count(org: &OrgId, approved: bool) -> Vec<u8> {
    Bytes::in_org(org, SEAT_COUNT).raw(&[u8::from(approved)]).0
}

pub(crate) fn receipt(home: &Home, id: CommitId) -> Vec<u8> {
    let text = match home {
        Home::Organization(org) => org.as_str(),
        Home::Name(name) => name.as_str(),
    };
    let kind = match home {
        Home::Organization(_) => 0,
        Home::Name(_) => 1,
    };
    Bytes::of(home.bucket(), RECEIPT)
        .raw(&[kind])
        .text(text)
        .raw(id.as_bytes())
        .0
}

pub(crate) fn pending_index(host: &OrgId, opened_at: Timestamp, member: &Member) -> Vec<u8> {
    Bytes::in_org(host, PENDING_INDEX)
        .time(opened_at)
        .member(member)
        .0
}

/// The bucket of a member's own list is that of the member.
fn bucket_of_member(member: &Member) -> Bucket {
    Bucket::of_bytes(member.id().as_bytes())
}

pub(crate) fn hosts_index(member: &Member, host: &OrgId) -> Vec<u8> {
    Bytes::of(bucket_of_member(member), HOSTS_INDEX)
        .member(member)
        .text(host.as_str())
        .0
}

pub(crate) fn run_out_index(host: &OrgId, at: Timestamp, member: &Member) -> Vec<u8> {
    Bytes::of(Bucket::of(host), RUN_OUT_INDEX)
        .time(at)
        .text(host.as_str())
        .member(member)
        .0
}

pub(crate) fn links(host: &OrgId) -> KvRange {
    Bytes::in_org(host, LINK).range()
}

pub(crate) fn pending(host: &OrgId) -> KvRange {
    Bytes::in_org(host, PENDING_INDEX).range()
}

pub(crate) fn members(host: &OrgId) -> KvRange {
    Bytes::in_org(host, MEMBERSHIP).range()
}

pub(crate) fn hosts(member: &Member) -> KvRange {
    Bytes::of(bucket_of_member(member), HOSTS_INDEX)
        .member(member)
        .range()
}

pub(crate) fn uses(host: &OrgId, link: guestlist_types::LinkId) -> KvRange {
    Bytes::in_org(host, LINK_USE).raw(link.as_bytes()).range()
}

pub(crate) fn groups(org: &OrgId) -> KvRange {
    Bytes::in_org(org, GROUP).range()
}

pub(crate) fn group_members(org: &OrgId) -> KvRange {
    Bytes::in_org(org, GROUP_MEMBER).range()
}

pub(crate) fn grants(org: &OrgId) -> KvRange {
    Bytes::in_org(org, GRANT).range()
}

pub(crate) fn tokens(bucket: Bucket) -> KvRange {
    Bytes::of(bucket, TOKEN).range()
}

/// Episodes of one bucket that end up to and including `until`.
pub(crate) fn run_out(bucket: Bucket, until: Timestamp) -> KvRange {
    KvRange {
        start: Bytes::of(bucket, RUN_OUT_INDEX).0,
        end: successor(&Bytes::of(bucket, RUN_OUT_INDEX).time(until).0),
    }
}

pub(crate) fn buckets() -> impl Iterator<Item = Bucket> {
    (0..BUCKETS).filter_map(Bucket::new)
}

pub(crate) fn log() -> Vec<u8> {
    LOG.to_vec()
}

pub(crate) fn log_from(commit: u64) -> KvRange {
    let mut start = LOG.to_vec();
    start.extend(commit.to_be_bytes());
    KvRange {
        start,
        end: successor(&LOG),
    }
}

/// The number at the end of a log's key.
pub(crate) fn log_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>()
        .map(|number| u64::from_be_bytes(*number))
}
