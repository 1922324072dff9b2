//! How rows are named in a key-value engine: the bucket, the kind of row, the organization, the
//! rest. Stored data depends on every byte here.

use guestlist_access::GroupMember;
use guestlist_membership::{Home, RowKey};
use guestlist_types::{
    BUCKETS, Bucket, CommitId, ConsumerName, EmailAddress, EndpointId, InviteId, LinkId, Member,
    OrgId, OrgName, Timestamp,
};

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
const INVITE: u8 = 21;
const ADDRESS: u8 = 22;
const PREVIEW_TALLY: u8 = 23;
const CONSUMER: u8 = 24;
const PARKED: u8 = 25;
const INVITES_TO_INDEX: u8 = 26;
const RUN_OUT_LINK_INDEX: u8 = 27;
const RUN_OUT_INVITE_INDEX: u8 = 28;
const ENDPOINT: u8 = 29;

/// Organizations that can be found stand behind all buckets, by name.
const DISCOVER: [u8; 2] = [0xff, 0xfe];

/// So do webhook endpoints: they are few, and whoever sends to them asks for all of them.
const ENDPOINTS: [u8; 2] = [0xff, 0xfd];

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
        RowKey::PreviewTally(org, link, generation) => Bytes::in_org(org, PREVIEW_TALLY)
            .raw(link.as_bytes())
            .raw(&generation.get().to_be_bytes()),
        RowKey::Invite(org, invite) => Bytes::in_org(org, INVITE).raw(invite.as_bytes()),
        RowKey::Address(org, address) => Bytes::in_org(org, ADDRESS).text(address.as_str()),
        RowKey::Endpoint(org, endpoint) => Bytes::in_org(org, ENDPOINT).raw(endpoint.as_bytes()),
        RowKey::Consumer(name) => of_consumer(name, CONSUMER),
        RowKey::Parked(name, sequence) => of_consumer(name, PARKED)
            .raw(&sequence.commit.to_be_bytes())
            .raw(&sequence.ordinal.to_be_bytes()),
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

fn of_consumer(name: &ConsumerName, kind: u8) -> Bytes {
    Bytes::of(Home::Consumer(name.clone()).bucket(), kind).text(name.as_str())
}

/// The counter of one half of a [`RowKey::SeatCount`].
pub(crate) fn seat_count(org: &OrgId, approved: bool) -> Vec<u8> {
    Bytes::in_org(org, SEAT_COUNT).raw(&[u8::from(approved)]).0
}

pub(crate) fn receipt(home: &Home, id: CommitId) -> Vec<u8> {
    let text = match home {
        Home::Organization(org) => org.as_str(),
        Home::Name(name) => name.as_str(),
        Home::Consumer(name) => name.as_str(),
    };
    let kind = match home {
        Home::Organization(_) => 0,
        Home::Name(_) => 1,
        Home::Consumer(_) => 2,
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

pub(crate) fn invites(host: &OrgId) -> KvRange {
    Bytes::in_org(host, INVITE).range()
}

/// The bucket of an address's own list is that of the address.
fn of_address(address: &EmailAddress) -> Bytes {
    let bucket = Bucket::of_bytes(address.as_str().as_bytes());
    Bytes::of(bucket, INVITES_TO_INDEX).text(address.as_str())
}

pub(crate) fn invites_to_index(address: &EmailAddress, host: &OrgId, invite: InviteId) -> Vec<u8> {
    of_address(address)
        .text(host.as_str())
        .raw(invite.as_bytes())
        .0
}

pub(crate) fn invites_to(address: &EmailAddress) -> KvRange {
    of_address(address).range()
}

pub(crate) fn discover_index(name: &OrgName) -> Vec<u8> {
    Bytes(DISCOVER.to_vec()).text(name.as_str()).0
}

pub(crate) fn discover() -> KvRange {
    Bytes(DISCOVER.to_vec()).range()
}

pub(crate) fn endpoint_index(organization: &OrgId, endpoint: EndpointId) -> Vec<u8> {
    Bytes(ENDPOINTS.to_vec())
        .text(organization.as_str())
        .raw(endpoint.as_bytes())
        .0
}

pub(crate) fn endpoints(organization: Option<&OrgId>) -> KvRange {
    let all = Bytes(ENDPOINTS.to_vec());
    match organization {
        Some(organization) => all.text(organization.as_str()).range(),
        None => all.range(),
    }
}

pub(crate) fn parked(name: &ConsumerName) -> KvRange {
    of_consumer(name, PARKED).range()
}

pub(crate) fn run_out_link_index(host: &OrgId, at: Timestamp, link: LinkId) -> Vec<u8> {
    Bytes::of(Bucket::of(host), RUN_OUT_LINK_INDEX)
        .time(at)
        .text(host.as_str())
        .raw(link.as_bytes())
        .0
}

pub(crate) fn run_out_invite_index(host: &OrgId, at: Timestamp, invite: InviteId) -> Vec<u8> {
    Bytes::of(Bucket::of(host), RUN_OUT_INVITE_INDEX)
        .time(at)
        .text(host.as_str())
        .raw(invite.as_bytes())
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

pub(crate) fn uses(host: &OrgId, link: LinkId) -> KvRange {
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

/// What can run out, each in an index of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RunOut {
    Episodes,
    Links,
    Invites,
}

/// What of one bucket ends up to and including `until`.
pub(crate) fn run_out(what: RunOut, bucket: Bucket, until: Timestamp) -> KvRange {
    let index = match what {
        RunOut::Episodes => RUN_OUT_INDEX,
        RunOut::Links => RUN_OUT_LINK_INDEX,
        RunOut::Invites => RUN_OUT_INVITE_INDEX,
    };
    KvRange {
        start: Bytes::of(bucket, index).0,
        end: successor(&Bytes::of(bucket, index).time(until).0),
    }
}

pub(crate) fn buckets() -> impl Iterator<Item = Bucket> {
    (0..BUCKETS).filter_map(Bucket::new)
}

pub(crate) fn log() -> Vec<u8> {
    LOG.to_vec()
}

/// Where an entry of the log stands.
pub(crate) fn log_entry(commit: u64) -> Vec<u8> {
    let mut key = LOG.to_vec();
    key.extend(commit.to_be_bytes());
    key
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

#[cfg(test)]
mod tests {
    use guestlist_access::Episode;
    use guestlist_membership::Sequence;
    use guestlist_membership::link::Generation;
    use guestlist_token::Selector;
    use guestlist_types::{GrantId, GroupId, UserId};
    use proptest::prelude::*;

    use super::*;

    /// Short ids of few characters, so that one is often a prefix of another, and long ones.
    fn arb_id() -> impl Strategy<Value = String> {
        prop_oneof!["[!a~]{1,3}", "[!-~]{1,64}"]
    }

    fn arb_org() -> impl Strategy<Value = OrgId> {
        arb_id().prop_map(|id| OrgId::parse(&id).unwrap())
    }

    fn arb_member() -> impl Strategy<Value = Member> {
        prop_oneof![
            arb_org().prop_map(Member::Org),
            arb_id()
                .prop_filter_map("a user id", |id| UserId::parse(&id).ok())
                .prop_map(Member::User),
        ]
    }

    fn arb_time() -> impl Strategy<Value = Timestamp> {
        prop_oneof![any::<i64>(), -2_i64..3, Just(i64::MIN), Just(i64::MAX)]
            .prop_map(Timestamp::from_micros)
    }

    /// Few bytes, so that ids meet.
    fn arb_bytes() -> impl Strategy<Value = [u8; 16]> {
        prop_oneof![any::<[u8; 16]>(), (0_u8..2).prop_map(|byte| [byte; 16])]
    }

    fn arb_selector() -> impl Strategy<Value = Selector> {
        (0..839_299_365_868_340_224_i64).prop_filter_map("in range", Selector::from_i64)
    }

    fn arb_sequence() -> impl Strategy<Value = Sequence> {
        let near = (0..3_u64, 0..3_u64);
        prop_oneof![near, any::<(u64, u64)>()]
            .prop_map(|(commit, ordinal)| Sequence { commit, ordinal })
    }

    fn arb_key() -> impl Strategy<Value = RowKey> {
        let group_member = prop_oneof![
            arb_bytes().prop_map(|id| GroupMember::Group(GroupId::from_bytes(id))),
            (arb_member(), 0_u32..3).prop_map(|(member, episode)| GroupMember::Member {
                member,
                episode: Episode::new(episode),
            }),
        ];
        prop_oneof![
            "[a-z0-9]{1,3}".prop_map(|name| RowKey::Name(OrgName::parse(&name).unwrap())),
            arb_org().prop_map(RowKey::Organization),
            arb_org().prop_map(RowKey::Owners),
            arb_org().prop_map(RowKey::SeatTally),
            arb_org().prop_map(RowKey::AccessHead),
            arb_org().prop_map(RowKey::SeatCount),
            (arb_org(), arb_bytes(), 0..5_u8).prop_map(|(org, id, kind)| match kind {
                0 => RowKey::Link(org, LinkId::from_bytes(id)),
                1 => RowKey::LinkTally(org, LinkId::from_bytes(id)),
                2 => RowKey::UseCount(org, LinkId::from_bytes(id)),
                3 => RowKey::Group(org, GroupId::from_bytes(id)),
                _ => RowKey::Grant(org, GrantId::from_bytes(id)),
            }),
            (arb_org(), arb_bytes(), arb_member()).prop_map(|(org, id, member)| RowKey::LinkUse(
                org,
                LinkId::from_bytes(id),
                member
            )),
            arb_selector().prop_map(RowKey::Token),
            (arb_org(), arb_member()).prop_map(|(org, member)| RowKey::Membership(org, member)),
            (arb_org(), arb_org()).prop_map(|(org, host)| RowKey::Acting(org, host)),
            (arb_org(), arb_bytes(), 0..2_u32).prop_map(|(org, id, generation)| {
                RowKey::PreviewTally(org, LinkId::from_bytes(id), Generation::new(generation))
            }),
            (arb_org(), arb_bytes())
                .prop_map(|(org, id)| RowKey::Endpoint(org, EndpointId::from_bytes(id))),
            (arb_org(), arb_bytes())
                .prop_map(|(org, id)| RowKey::Invite(org, InviteId::from_bytes(id))),
            (arb_org(), "[ab]{1,2}@a\\.[ab]{1,2}").prop_map(|(org, address)| {
                RowKey::Address(org, EmailAddress::parse(&address).unwrap())
            }),
            "[a-c./]{1,3}".prop_map(|name| RowKey::Consumer(ConsumerName::parse(&name).unwrap())),
            ("[a-c./]{1,3}", arb_sequence()).prop_map(|(name, sequence)| {
                RowKey::Parked(ConsumerName::parse(&name).unwrap(), sequence)
            }),
            (arb_org(), arb_bytes(), group_member).prop_map(|(org, group, member)| {
                RowKey::GroupMember(org, GroupId::from_bytes(group), member)
            }),
        ]
    }

    fn holds(range: &KvRange, key: &[u8]) -> bool {
        range.start.as_slice() <= key && key < range.end.as_slice()
    }

    #[test]
    fn ranges_end_behind_their_prefix() {
        assert_eq!(successor(b"a"), b"b");
        assert_eq!(successor(&[1, 0xff, 0xff]), [2]);
        assert!(successor(&[0xff, 0xff]).as_slice() > &[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(buckets().count(), usize::from(BUCKETS));
        assert_eq!(log_number(&[1, 2]), None);
    }

    /// Stored data depends on these bytes for ever.
    #[test]
    fn keys_are_pinned() {
        let hex = |bytes: Vec<u8>| -> String {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .concat()
        };
        let org = OrgId::parse("a").unwrap();
        let link = LinkId::from_bytes([7; 16]);
        let user = Member::User(UserId::parse("u").unwrap());
        let invite = InviteId::from_bytes([7; 16]);
        let address = EmailAddress::parse("a@b.c").unwrap();
        let reader = ConsumerName::parse("a").unwrap();
        let sequence = Sequence {
            commit: 1,
            ordinal: 2,
        };
        let sevens = "07".repeat(16);
        let time = Timestamp::from_micros(-1);
        for (key, pinned) in [
            (
                row(&RowKey::Organization(org.clone())),
                "04ef026100".to_owned(),
            ),
            (
                row(&RowKey::Link(org.clone(), link)),
                format!("04ef066100{sevens}"),
            ),
            (
                row(&RowKey::LinkUse(org.clone(), link, user.clone())),
                format!("04ef086100{sevens}017500"),
            ),
            (
                row(&RowKey::Membership(org.clone(), user.clone())),
                "04ef0a6100017500".to_owned(),
            ),
            (seat_count(&org, true), "04ef10610001".to_owned()),
            (
                pending_index(&org, time, &user),
                "04ef1261007fffffffffffffff017500".to_owned(),
            ),
            (
                run_out_index(&org, time, &user),
                "04ef147fffffffffffffff6100017500".to_owned(),
            ),
            (
                receipt(
                    &Home::Organization(org.clone()),
                    CommitId::from_bytes([7; 16]),
                ),
                format!("04ef11006100{sevens}"),
            ),
            (
                row(&RowKey::PreviewTally(org.clone(), link, Generation::FIRST)),
                format!("04ef176100{sevens}00000001"),
            ),
            (
                row(&RowKey::Invite(org.clone(), invite)),
                format!("04ef156100{sevens}"),
            ),
            (
                row(&RowKey::Address(org.clone(), address.clone())),
                "04ef1661006140622e6300".to_owned(),
            ),
            (
                row(&RowKey::Consumer(reader.clone())),
                "04ef186100".to_owned(),
            ),
            (
                row(&RowKey::Parked(reader.clone(), sequence)),
                "04ef19610000000000000000010000000000000002".to_owned(),
            ),
            (
                invites_to_index(&address, &org, invite),
                format!("0ccd1a6140622e63006100{sevens}"),
            ),
            (
                run_out_link_index(&org, time, link),
                format!("04ef1b7fffffffffffffff6100{sevens}"),
            ),
            (
                run_out_invite_index(&org, time, invite),
                format!("04ef1c7fffffffffffffff6100{sevens}"),
            ),
            (
                discover_index(&OrgName::parse("a").unwrap()),
                "fffe6100".to_owned(),
            ),
            (
                receipt(&Home::Consumer(reader), CommitId::from_bytes([7; 16])),
                format!("04ef11026100{sevens}"),
            ),
            (log(), "ffff".to_owned()),
        ] {
            assert_eq!(hex(key), pinned);
        }
        let bucket = Bucket::of(&org).get().to_be_bytes();
        assert_eq!(bucket, [0x04, 0xef], "every key begins with the bucket");
    }

    proptest! {
        #[test]
        fn no_two_rows_share_a_key(a in arb_key(), b in arb_key(), org in arb_org()) {
            prop_assert_eq!(a == b, row(&a) == row(&b), "{:?} and {:?}", a, b);
            let log = log();
            prop_assert!(row(&a) < endpoint_index(&org, EndpointId::from_bytes([0; 16])));
            prop_assert!(!row(&a).starts_with(&log) && row(&a) < log);
        }

        #[test]
        fn derived_keys_are_told_apart(
            a in (arb_org(), arb_time(), arb_member()),
            b in (arb_org(), arb_time(), arb_member()),
            key in arb_key(),
        ) {
            let pending = |(org, time, member): &(OrgId, Timestamp, Member)| {
                pending_index(org, *time, member)
            };
            let run_out = |(org, time, member): &(OrgId, Timestamp, Member)| {
                run_out_index(org, *time, member)
            };
            let hosts = |(org, _, member): &(OrgId, Timestamp, Member)| hosts_index(member, org);
            let link = |(org, time, _): &(OrgId, Timestamp, Member)| {
                run_out_link_index(org, *time, LinkId::from_bytes([0; 16]))
            };
            let invite = |(org, time, _): &(OrgId, Timestamp, Member)| {
                run_out_invite_index(org, *time, InviteId::from_bytes([0; 16]))
            };
            let address = EmailAddress::parse("a@a.a").unwrap();
            let invites_to = |(org, _, _): &(OrgId, Timestamp, Member)| {
                invites_to_index(&address, org, InviteId::from_bytes([0; 16]))
            };
            prop_assert_eq!(a == b, pending(&a) == pending(&b));
            prop_assert_eq!(a == b, run_out(&a) == run_out(&b));
            prop_assert_eq!((&a.0, &a.2) == (&b.0, &b.2), hosts(&a) == hosts(&b));
            prop_assert_eq!((&a.0, a.1) == (&b.0, b.1), link(&a) == link(&b));
            prop_assert_eq!((&a.0, a.1) == (&b.0, b.1), invite(&a) == invite(&b));
            prop_assert_eq!(a.0 == b.0, invites_to(&a) == invites_to(&b));
            let keys = [
                row(&key),
                pending(&a),
                run_out(&a),
                hosts(&a),
                link(&a),
                invite(&a),
                invites_to(&a),
                discover_index(&OrgName::parse("a").unwrap()),
                seat_count(&a.0, true),
                seat_count(&a.0, false),
                receipt(&Home::Organization(a.0.clone()), CommitId::from_bytes([0; 16])),
            ];
            let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
            prop_assert_eq!(distinct.len(), keys.len());
        }

        #[test]
        fn keys_of_a_list_sort_like_what_they_name(
            org in arb_org(),
            a in (arb_time(), arb_member(), arb_org(), arb_bytes()),
            b in (arb_time(), arb_member(), arb_org(), arb_bytes()),
            selectors in (arb_selector(), arb_selector()),
            sequences in (arb_sequence(), arb_sequence()),
        ) {
            let membership = |member: &Member| row(&RowKey::Membership(org.clone(), member.clone()));
            prop_assert_eq!(a.1.cmp(&b.1), membership(&a.1).cmp(&membership(&b.1)));
            let pending = |(time, member): (Timestamp, &Member)| pending_index(&org, time, member);
            prop_assert_eq!(
                (a.0, &a.1).cmp(&(b.0, &b.1)),
                pending((a.0, &a.1)).cmp(&pending((b.0, &b.1)))
            );
            prop_assert_eq!(a.2.cmp(&b.2), hosts_index(&a.1, &a.2).cmp(&hosts_index(&a.1, &b.2)));
            let link = |id| row(&RowKey::Link(org.clone(), LinkId::from_bytes(id)));
            prop_assert_eq!(a.3.cmp(&b.3), link(a.3).cmp(&link(b.3)));
            let invite = |id| row(&RowKey::Invite(org.clone(), InviteId::from_bytes(id)));
            prop_assert_eq!(a.3.cmp(&b.3), invite(a.3).cmp(&invite(b.3)));
            let address = EmailAddress::parse("a@a.a").unwrap();
            let to = |org, id| invites_to_index(&address, org, InviteId::from_bytes(id));
            prop_assert_eq!((&a.2, a.3).cmp(&(&b.2, b.3)), to(&a.2, a.3).cmp(&to(&b.2, b.3)));
            let reader = ConsumerName::parse("a").unwrap();
            let parked = |sequence| row(&RowKey::Parked(reader.clone(), sequence));
            prop_assert_eq!(
                sequences.0.cmp(&sequences.1),
                parked(sequences.0).cmp(&parked(sequences.1))
            );
            let (one, two) = selectors;
            prop_assert_eq!(one.cmp(&two), row(&RowKey::Token(one)).cmp(&row(&RowKey::Token(two))));
        }

        #[test]
        fn a_range_holds_its_own_rows_and_no_others(
            org in arb_org(),
            key in arb_key(),
            member in arb_member(),
            time in arb_time(),
            until in arb_time(),
        ) {
            let bytes = row(&key);
            let of = key.organization() == Some(&org);
            let is = |kind: fn(&RowKey) -> bool| of && kind(&key);
            prop_assert_eq!(holds(&links(&org), &bytes), is(|key| matches!(key, RowKey::Link(..))));
            prop_assert_eq!(
                holds(&members(&org), &bytes),
                is(|key| matches!(key, RowKey::Membership(..)))
            );
            prop_assert_eq!(holds(&groups(&org), &bytes), is(|key| matches!(key, RowKey::Group(..))));
            prop_assert_eq!(
                holds(&group_members(&org), &bytes),
                is(|key| matches!(key, RowKey::GroupMember(..)))
            );
            prop_assert_eq!(holds(&grants(&org), &bytes), is(|key| matches!(key, RowKey::Grant(..))));
            prop_assert_eq!(
                holds(&invites(&org), &bytes),
                is(|key| matches!(key, RowKey::Invite(..)))
            );
            let reader = ConsumerName::parse("a").unwrap();
            let of_reader = matches!(&key, RowKey::Parked(name, _) if *name == reader);
            prop_assert_eq!(holds(&parked(&reader), &bytes), of_reader);
            prop_assert!(!holds(&discover(), &bytes));
            prop_assert!(holds(&discover(), &discover_index(&OrgName::parse("a").unwrap())));
            let address = EmailAddress::parse("a@a.a").unwrap();
            let to = invites_to_index(&address, &org, InviteId::from_bytes([0; 16]));
            prop_assert!(holds(&invites_to(&address), &to));
            if let RowKey::LinkUse(host, link, _) = &key {
                prop_assert!(holds(&uses(host, *link), &bytes));
            }
            prop_assert!(holds(&pending(&org), &pending_index(&org, time, &member)));
            prop_assert!(holds(&hosts(&member), &hosts_index(&member, &org)));
            let ended = run_out(RunOut::Episodes, Bucket::of(&org), until);
            prop_assert_eq!(holds(&ended, &run_out_index(&org, time, &member)), time <= until);
            let ended = run_out(RunOut::Links, Bucket::of(&org), until);
            let link = run_out_link_index(&org, time, LinkId::from_bytes([0; 16]));
            prop_assert_eq!(holds(&ended, &link), time <= until);
            let ended = run_out(RunOut::Invites, Bucket::of(&org), until);
            let invite = run_out_invite_index(&org, time, InviteId::from_bytes([0; 16]));
            prop_assert_eq!(holds(&ended, &invite), time <= until);
            let rest = behind(links(&org), bytes.clone());
            prop_assert!(!holds(&rest, &bytes));
        }
    }
}
