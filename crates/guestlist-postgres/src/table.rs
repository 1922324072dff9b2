//! The tables: what their keys and columns are.

use guestlist_membership::RowKey;

use crate::value::{Column, Kind};

/// One table. Its first column behind the key is the number of a row: its revision, or the count
/// of a counter.
#[derive(Debug)]
pub(crate) struct Table {
    /// Behind `guestlist_`.
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Column],
    pub(crate) columns: &'static [Column],
}

impl Table {
    pub(crate) const fn number(&self) -> &'static str {
        self.columns[0].name
    }

    /// Whether its rows have a body; the others are all key.
    pub(crate) const fn has_body(&self) -> bool {
        self.columns.len() > 1
    }

    /// Key and columns, in the order in which values are given.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.key.iter().chain(self.columns)
    }
}

macro_rules! table {
    ($constant:ident, $name:literal, [$($key:ident: $key_kind:ident),*], [$($column:ident: $kind:ident),*]) => {
        pub(crate) static $constant: Table = Table {
            name: $name,
            key: &[$(Column { name: stringify!($key), kind: Kind::$key_kind }),*],
            columns: &[$(Column { name: stringify!($column), kind: Kind::$kind }),*],
        };
    };
}

table!(NAMES, "names", [bucket: Int, name: Text], [revision: Big, body: Json, organization: Text, organization_bucket: Int]);
table!(ORGANIZATIONS, "organizations", [bucket: Int, host: Text], [revision: Big, body: Json, name: Text, status: Text, default_link: Uuid, discoverable: Bool, created_at: Big, updated_at: Big]);
table!(OWNERS, "owners", [bucket: Int, host: Text], [revision: Big, body: Json]);
table!(SEAT_TALLIES, "seat_tallies", [bucket: Int, host: Text], [taken: Big]);
table!(ACCESS_HEADS, "access_heads", [bucket: Int, host: Text], [revision: Big, body: Json, external_group: Uuid]);
table!(LINKS, "links", [bucket: Int, host: Text, link: Uuid], [revision: Big, body: Json, status: Text, generation: Big, token: Big, creator: Text, expires_at: Big, expired_at: Big, created_at: Big, updated_at: Big, deleted_at: Big, tokens: Bigs]);
table!(LINK_TALLIES, "link_tallies", [bucket: Int, host: Text, link: Uuid], [uses: Big]);
table!(PREVIEW_TALLIES, "preview_tallies", [bucket: Int, host: Text, link: Uuid, generation: Big], [previews: Big]);
table!(LINK_USES, "link_uses", [bucket: Int, host: Text, link: Uuid, member_kind: Text, member_id: Text], [revision: Big, body: Json, generation: Big, state: Text, at: Big]);
table!(TOKENS, "tokens", [bucket: Int, selector: Big], [revision: Big, body: Json, host: Text, subject_kind: Text, subject: Uuid, generation: Big, issued_at: Big, valid_until: Big, pepper: Int]);
table!(MEMBERSHIPS, "memberships", [bucket: Int, host: Text, member_kind: Text, member_id: Text], [revision: Big, body: Json, status: Text, episode: Big, door_link: Uuid, door_generation: Big, role: Text, opened_at: Big, approved_at: Big, expires_at: Big, ended_cause: Text, ended_at: Big, proxy_id: Uuid, proxy_name: Text, updated_at: Big, door_invite: Uuid, email: Text]);
table!(ACTING, "acting", [bucket: Int, host: Text, target: Text], [revision: Big, body: Json]);
table!(GROUPS, "groups", [bucket: Int, host: Text, group_id: Uuid], [revision: Big, body: Json, name: Text, internal: Bool, created_at: Big]);
table!(GROUP_MEMBERS, "group_members", [bucket: Int, host: Text, group_id: Uuid, kind: Text, member: Text, episode: Big], [revision: Big]);
table!(GRANTS, "grants", [bucket: Int, host: Text, grant_id: Uuid], [revision: Big, body: Json, at: Big, expires_at: Big]);
table!(INVITES, "invites", [bucket: Int, host: Text, invite: Uuid], [revision: Big, body: Json, address: Text, status: Text, generation: Big, token: Big, creator: Text, delivery: Text, expires_at: Big, expired_at: Big, created_at: Big, updated_at: Big]);
table!(ADDRESSES, "addresses", [bucket: Int, host: Text, address: Text], [revision: Big, body: Json, invite: Uuid, member: Text]);
table!(ENDPOINTS, "endpoints", [bucket: Int, host: Text, endpoint: Uuid], [revision: Big, body: Json, created_at: Big, deleted_at: Big]);
table!(CONSUMERS, "consumers", [bucket: Int, consumer: Text], [revision: Big, body: Json]);
table!(PARKED, "parked", [bucket: Int, consumer: Text, position: Big, ordinal: Big], [revision: Big, body: Json]);
table!(JOINED, "joined", [member_bucket: Int, member_kind: Text, member_id: Text, host: Text], [revision: Big, body: Json]);
table!(COMMITS, "commits", [bucket: Int, home_kind: Text, home: Text, commit_id: Uuid], [at: Big, by: Text, digest: Bytes, reply: Text]);

/// In the order in which their rows are locked and written, which is what keeps two commits from
/// waiting for each other.
pub(crate) static ORDER: &[&Table] = &[
    &ORGANIZATIONS,
    &NAMES,
    &OWNERS,
    &ACCESS_HEADS,
    &ADDRESSES,
    &MEMBERSHIPS,
    &LINKS,
    &INVITES,
    &TOKENS,
    &LINK_USES,
    &ACTING,
    &GROUPS,
    &GROUP_MEMBERS,
    &GRANTS,
    &ENDPOINTS,
    &CONSUMERS,
    &PARKED,
    &JOINED,
    &COMMITS,
];

/// Those of counters, behind all others: they are what many wait for.
pub(crate) static COUNTERS: &[&Table] = &[&LINK_TALLIES, &PREVIEW_TALLIES, &SEAT_TALLIES];

/// Where a row is kept; `None` for what is counted.
pub(crate) const fn table_of(key: &RowKey) -> Option<&'static Table> {
    Some(match key {
        RowKey::Name(_) => &NAMES,
        RowKey::Organization(_) => &ORGANIZATIONS,
        RowKey::Owners(_) => &OWNERS,
        RowKey::SeatTally(_) => &SEAT_TALLIES,
        RowKey::AccessHead(_) => &ACCESS_HEADS,
        RowKey::Link(..) => &LINKS,
        RowKey::LinkTally(..) => &LINK_TALLIES,
        RowKey::LinkUse(..) => &LINK_USES,
        RowKey::PreviewTally(..) => &PREVIEW_TALLIES,
        RowKey::Invite(..) => &INVITES,
        RowKey::Address(..) => &ADDRESSES,
        RowKey::Endpoint(..) => &ENDPOINTS,
        RowKey::Consumer(_) => &CONSUMERS,
        RowKey::Parked(..) => &PARKED,
        RowKey::Token(_) => &TOKENS,
        RowKey::Membership(..) => &MEMBERSHIPS,
        RowKey::Acting(..) => &ACTING,
        RowKey::Group(..) => &GROUPS,
        RowKey::GroupMember(..) => &GROUP_MEMBERS,
        RowKey::Grant(..) => &GRANTS,
        RowKey::UseCount(..) | RowKey::SeatCount(_) => return None,
    })
}
