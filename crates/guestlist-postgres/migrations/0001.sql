create table @guestlist_names (
    bucket integer not null check (bucket between 0 and 3843),
    name text collate "C" not null check (name <> ''),
    organization text collate "C" not null check (organization <> ''),
    organization_bucket integer not null check (organization_bucket between 0 and 3843),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, name)
)@partitioned;

create table @guestlist_organizations (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    name text collate "C" not null check (name <> ''),
    status text collate "C" not null check (status in ('active', 'suspended', 'deleted')),
    default_link uuid,
    discoverable boolean not null,
    created_at bigint not null,
    updated_at bigint not null,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host)
)@partitioned;

-- Found by those who don't belong to them.
create index guestlist_organizations_discoverable
    on @guestlist_organizations (name)
    where discoverable and status = 'active';

create table @guestlist_owners (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host)
)@partitioned;

create table @guestlist_seat_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    taken bigint not null check (taken >= 0),
    primary key (bucket, host)
)@partitioned;

create table @guestlist_access_heads (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    external_group uuid,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host)
)@partitioned;

create table @guestlist_links (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    link uuid not null,
    status text collate "C" not null check (status in ('active', 'disabled')),
    generation bigint not null check (generation >= 1),
    token bigint check (token >= 0),
    tokens bigint[] not null,
    creator text collate "C" check (creator <> ''),
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, link),
    check (deleted_at is not null or (status = 'disabled') = (token is null)),
    check (deleted_at is null or token is null),
    check (token is null or token = any (tokens))
)@partitioned;

create index guestlist_links_run_out
    on @guestlist_links (expires_at, host, link)
    where expires_at is not null and expired_at is null and deleted_at is null;

create table @guestlist_link_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    link uuid not null,
    uses bigint not null check (uses >= 0),
    primary key (bucket, host, link)
)@partitioned;

create table @guestlist_preview_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    link uuid not null,
    generation bigint not null check (generation >= 1),
    previews bigint not null check (previews >= 0),
    primary key (bucket, host, link, generation)
)@partitioned;

create table @guestlist_link_uses (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    link uuid not null,
    member_kind text collate "C" not null check (member_kind in ('org', 'user')),
    member_id text collate "C" not null check (member_id <> ''),
    generation bigint not null check (generation >= 1),
    state text collate "C" not null check (state in ('reserved', 'settled', 'released')),
    at bigint not null,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, link, member_kind, member_id),
    check (not (member_kind = 'org' and member_id = host))
)@partitioned;

-- A selector's leading digits are its bucket: a claim, which knows nothing but the token, touches
-- one partition.
create table @guestlist_tokens (
    bucket integer not null check (bucket = selector / 218340105584896 and bucket <= 3843),
    selector bigint not null check (selector >= 0),
    host text collate "C" not null check (host <> ''),
    subject_kind text collate "C" not null check (subject_kind in ('link', 'invite')),
    subject uuid not null,
    generation bigint not null check (generation >= 1),
    issued_at bigint not null,
    valid_until bigint,
    pepper integer check (pepper >= 0),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, selector)
)@partitioned;

create table @guestlist_memberships (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    member_kind text collate "C" not null check (member_kind in ('org', 'user')),
    member_id text collate "C" not null check (member_id <> ''),
    status text collate "C"
        check (status in ('pending', 'approved', 'rejected', 'removed', 'cancelled')),
    episode bigint not null check (episode >= 0),
    door_link uuid,
    door_generation bigint check (door_generation >= 1),
    door_invite uuid,
    role text collate "C" check (role <> ''),
    email text collate "C" check (email <> ''),
    opened_at bigint not null,
    approved_at bigint,
    expires_at bigint,
    ended_cause text collate "C"
        check (ended_cause in ('withdrew', 'left', 'rejected', 'removed', 'expired')),
    ended_at bigint,
    proxy_id uuid,
    proxy_name text collate "C" check (proxy_name <> ''),
    updated_at bigint not null,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, member_kind, member_id),
    unique (proxy_id, host, bucket),
    unique (proxy_name, host, bucket),
    check (not (member_kind = 'org' and member_id = host)),
    check ((door_link is null) = (door_generation is null)),
    check (door_link is null or door_invite is null),
    check ((ended_cause is null) = (ended_at is null)),
    check (ended_at is null or coalesce(status in ('rejected', 'removed', 'cancelled'), false)),
    check ((proxy_id is null) = (proxy_name is null)),
    check (proxy_id is null or member_kind = 'org'),
    check (status is distinct from 'approved' or member_kind = 'user' or proxy_id is not null)
)@partitioned;

-- Of those that wait only, and no unique key above begins with the bucket: while there are no
-- statistics, an index that begins like the primary key can be taken for as good as that.
create index guestlist_memberships_pending
    on @guestlist_memberships (bucket, host, opened_at, member_kind, member_id)
    where status = 'pending';

create index guestlist_memberships_run_out
    on @guestlist_memberships (expires_at, host, member_kind, member_id)
    where expires_at is not null;

-- The one question that crosses hosts: which of them has this member joined? In the bucket of the
-- member.
create table @guestlist_joined (
    member_bucket integer not null check (member_bucket between 0 and 3843),
    member_kind text collate "C" not null check (member_kind in ('org', 'user')),
    member_id text collate "C" not null check (member_id <> ''),
    host text collate "C" not null check (host <> ''),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (member_bucket, member_kind, member_id, host)
)@partitioned_by_member;

create table @guestlist_acting (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    target text collate "C" not null check (target <> ''),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, target),
    check (host <> target)
)@partitioned;

create table @guestlist_groups (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    group_id uuid not null,
    name text collate "C" not null check (name <> ''),
    internal boolean not null,
    created_at bigint not null,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, group_id)
)@partitioned;

create table @guestlist_group_members (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    group_id uuid not null,
    kind text collate "C" not null check (kind in ('group', 'org', 'user')),
    member text collate "C" not null check (member <> ''),
    episode bigint not null check (episode >= 0),
    revision bigint not null check (revision >= 1),
    primary key (bucket, host, group_id, kind, member, episode),
    check (kind <> 'group' or (length(member) = 36 and episode = 0)),
    check (not (kind = 'org' and member = host))
)@partitioned;

create table @guestlist_grants (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    grant_id uuid not null,
    at bigint not null,
    expires_at bigint,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, grant_id)
)@partitioned;

create table @guestlist_invites (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    invite uuid not null,
    address text collate "C" not null check (address <> ''),
    status text collate "C" not null check (status in ('pending', 'accepted', 'declined', 'revoked')),
    generation bigint not null check (generation >= 1),
    token bigint check (token >= 0),
    creator text collate "C" check (creator <> ''),
    delivery text collate "C" not null check (delivery in ('unknown', 'sent', 'undelivered')),
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, invite),
    check ((status = 'pending') = (token is not null))
)@partitioned;

-- The other question that crosses hosts: who has invited this address?
create index guestlist_invites_to_address on @guestlist_invites (address, host, invite);

create index guestlist_invites_run_out
    on @guestlist_invites (expires_at, host, invite)
    where expires_at is not null and expired_at is null and status = 'pending';

-- What a host knows of an address: never two live invites for one.
create table @guestlist_addresses (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    address text collate "C" not null check (address <> ''),
    invite uuid,
    member text collate "C" check (member <> ''),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, address),
    check (invite is not null or member is not null)
)@partitioned;

create table @guestlist_endpoints (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    endpoint uuid not null,
    created_at bigint not null,
    deleted_at bigint,
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, host, endpoint)
)@partitioned;

-- Whoever sends webhooks asks for all of them.
create index guestlist_endpoints_all
    on @guestlist_endpoints (host, endpoint)
    where deleted_at is null;

create table @guestlist_consumers (
    bucket integer not null check (bucket between 0 and 3843),
    consumer text collate "C" not null check (consumer <> ''),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, consumer)
)@partitioned;

create table @guestlist_parked (
    bucket integer not null check (bucket between 0 and 3843),
    consumer text collate "C" not null check (consumer <> ''),
    position bigint not null check (position >= 1),
    ordinal bigint not null check (ordinal >= 0),
    revision bigint not null check (revision >= 1),
    body json not null,
    primary key (bucket, consumer, position, ordinal)
)@partitioned;

-- Every commit that was applied: what is answered when it is sent again.
create table @guestlist_commits (
    bucket integer not null check (bucket between 0 and 3843),
    home_kind text collate "C" not null check (home_kind in ('organization', 'name')),
    home text collate "C" not null check (home <> ''),
    commit_id uuid not null,
    at bigint not null,
    by text not null,
    digest bytea not null check (octet_length(digest) = 32),
    reply text not null,
    primary key (bucket, home_kind, home, commit_id)
)@partitioned;

-- The log. A position is a number of transactions that is at least that of its own, so that the
-- feed can be read up to the oldest that is under way. There is no counter that all would have to
-- wait for.
create table @guestlist_events (
    bucket integer not null check (bucket between 0 and 3843),
    host text collate "C" not null check (host <> ''),
    position bigint not null check (position >= 1),
    ordinal bigint not null check (ordinal >= 0),
    commit_id uuid not null,
    name text collate "C" not null check (name <> ''),
    member_kind text collate "C" check (member_kind in ('org', 'user')),
    member_id text collate "C" check (member_id <> ''),
    link uuid,
    invite uuid,
    at bigint not null,
    by_user text collate "C" check (by_user <> ''),
    by text not null,
    body json not null,
    erased bytea check (octet_length(erased) = 32),
    primary key (bucket, host, position, ordinal),
    check ((member_kind is null) = (member_id is null))
)@partitioned;

create index guestlist_events_in_order on @guestlist_events (position, ordinal);

-- What is added to the numbers of transactions: they begin anew when the records are restored in
-- another cluster, and positions must not.
create table @guestlist_epoch (
    id integer primary key check (id = 1),
    added bigint not null check (added >= 0)
);
insert into @guestlist_epoch (id, added) values (1, 0);

-- Where the events of a commit stand, asked for when it has all of its locks: behind those of every
-- commit that had ended by then. A function, because what it calls is to be new when it is called,
-- not when the statement began. Of commits with one position that come one after the other, the
-- second is further on in the write-ahead log; of those at the same time, each has a stretch of that
-- to itself.
create function @guestlist_place(added bigint, events bigint) returns bigint[]
    language plpgsql volatile
as $$
begin
    return array[
        added + greatest(
            pg_current_xact_id()::text::bigint,
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1
        ),
        (pg_logical_emit_message(false, 'guestlist', repeat('-', (8 * events)::integer)) - '0/0')::bigint
            / 8 - events
    ];
end
$$;
