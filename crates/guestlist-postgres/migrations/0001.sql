-- Each table has one check: every one of them costs as much again, with each statement that writes a
-- row.

create table @guestlist_names (
    bucket integer not null,
    name text collate "C" not null,
    organization text collate "C" not null,
    organization_bucket integer not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, name),
    check (
        (bucket between 0 and 3843) and
        name <> '' and
        organization <> '' and
        (organization_bucket between 0 and 3843) and
        revision >= 1
    )
)@partitioned;

create table @guestlist_organizations (
    bucket integer not null,
    host text collate "C" not null,
    name text collate "C" not null,
    status text collate "C" not null,
    default_link uuid,
    discoverable boolean not null,
    created_at bigint not null,
    updated_at bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        name <> '' and
        status in ('active', 'suspended', 'deleted') and
        revision >= 1
    )
)@partitioned;

-- Found by those who don't belong to them.
create index guestlist_organizations_discoverable
    on @guestlist_organizations (name)
    where discoverable and status = 'active';

create table @guestlist_owners (
    bucket integer not null,
    host text collate "C" not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        revision >= 1
    )
)@partitioned;

create table @guestlist_seat_tallies (
    bucket integer not null,
    host text collate "C" not null,
    taken bigint not null,
    primary key (bucket, host),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        taken >= 0
    )
)@partitioned;

create table @guestlist_access_heads (
    bucket integer not null,
    host text collate "C" not null,
    external_group uuid,
    revision bigint not null,
    body json not null,
    primary key (bucket, host),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        revision >= 1
    )
)@partitioned;

create table @guestlist_links (
    bucket integer not null,
    host text collate "C" not null,
    link uuid not null,
    status text collate "C" not null,
    generation bigint not null,
    token bigint,
    tokens bigint[] not null,
    creator text collate "C",
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, link),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        status in ('active', 'disabled') and
        generation >= 1 and
        token >= 0 and
        creator <> '' and
        revision >= 1 and
        (deleted_at is not null or (status = 'disabled') = (token is null)) and
        (deleted_at is null or token is null) and
        (token is null or token = any (tokens))
    )
)@partitioned;

create index guestlist_links_run_out
    on @guestlist_links (expires_at, host, link)
    where expires_at is not null and expired_at is null and deleted_at is null;

create table @guestlist_link_tallies (
    bucket integer not null,
    host text collate "C" not null,
    link uuid not null,
    uses bigint not null,
    primary key (bucket, host, link),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        uses >= 0
    )
)@partitioned;

create table @guestlist_preview_tallies (
    bucket integer not null,
    host text collate "C" not null,
    link uuid not null,
    generation bigint not null,
    previews bigint not null,
    primary key (bucket, host, link, generation),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        generation >= 1 and
        previews >= 0
    )
)@partitioned;

create table @guestlist_link_uses (
    bucket integer not null,
    host text collate "C" not null,
    link uuid not null,
    member_kind text collate "C" not null,
    member_id text collate "C" not null,
    generation bigint not null,
    state text collate "C" not null,
    at bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, link, member_kind, member_id),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        member_kind in ('org', 'user') and
        member_id <> '' and
        generation >= 1 and
        state in ('reserved', 'settled', 'released') and
        revision >= 1 and
        (not (member_kind = 'org' and member_id = host))
    )
)@partitioned;

-- A selector's leading digits are its bucket: a claim, which knows nothing but the token, touches
-- one partition.
create table @guestlist_tokens (
    bucket integer not null,
    selector bigint not null,
    host text collate "C" not null,
    subject_kind text collate "C" not null,
    subject uuid not null,
    generation bigint not null,
    issued_at bigint not null,
    valid_until bigint,
    pepper integer,
    revision bigint not null,
    body json not null,
    primary key (bucket, selector),
    check (
        (bucket = selector / 218340105584896 and bucket <= 3843) and
        selector >= 0 and
        host <> '' and
        subject_kind in ('link', 'invite') and
        generation >= 1 and
        pepper >= 0 and
        revision >= 1
    )
)@partitioned;

create table @guestlist_memberships (
    bucket integer not null,
    host text collate "C" not null,
    member_kind text collate "C" not null,
    member_id text collate "C" not null,
    status text collate "C",
    episode bigint not null,
    door_link uuid,
    door_generation bigint,
    door_invite uuid,
    role text collate "C",
    email text collate "C",
    opened_at bigint not null,
    approved_at bigint,
    expires_at bigint,
    ended_cause text collate "C",
    ended_at bigint,
    proxy_id uuid,
    proxy_name text collate "C",
    updated_at bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, member_kind, member_id),
    unique (proxy_id, host, bucket),
    unique (proxy_name, host, bucket),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        member_kind in ('org', 'user') and
        member_id <> '' and
        status in ('pending', 'approved', 'rejected', 'removed', 'cancelled') and
        episode >= 0 and
        door_generation >= 1 and
        role <> '' and
        email <> '' and
        ended_cause in ('withdrew', 'left', 'rejected', 'removed', 'expired') and
        proxy_name <> '' and
        revision >= 1 and
        (not (member_kind = 'org' and member_id = host)) and
        (door_link is null) = (door_generation is null) and
        (door_link is null or door_invite is null) and
        (ended_cause is null) = (ended_at is null) and
        (ended_at is null or coalesce(status in ('rejected', 'removed', 'cancelled'), false)) and
        (proxy_id is null) = (proxy_name is null) and
        (proxy_id is null or member_kind = 'org') and
        (status is distinct from 'approved' or member_kind = 'user' or proxy_id is not null)
    )
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
    member_bucket integer not null,
    member_kind text collate "C" not null,
    member_id text collate "C" not null,
    host text collate "C" not null,
    revision bigint not null,
    body json not null,
    primary key (member_bucket, member_kind, member_id, host),
    check (
        (member_bucket between 0 and 3843) and
        member_kind in ('org', 'user') and
        member_id <> '' and
        host <> '' and
        revision >= 1
    )
)@partitioned_by_member;

create table @guestlist_acting (
    bucket integer not null,
    host text collate "C" not null,
    target text collate "C" not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, target),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        target <> '' and
        revision >= 1 and
        host <> target
    )
)@partitioned;

create table @guestlist_groups (
    bucket integer not null,
    host text collate "C" not null,
    group_id uuid not null,
    name text collate "C" not null,
    internal boolean not null,
    created_at bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, group_id),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        name <> '' and
        revision >= 1
    )
)@partitioned;

create table @guestlist_group_members (
    bucket integer not null,
    host text collate "C" not null,
    group_id uuid not null,
    kind text collate "C" not null,
    member text collate "C" not null,
    episode bigint not null,
    revision bigint not null,
    primary key (bucket, host, group_id, kind, member, episode),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        kind in ('group', 'org', 'user') and
        member <> '' and
        episode >= 0 and
        revision >= 1 and
        (kind <> 'group' or (length(member) = 36 and episode = 0)) and
        (not (kind = 'org' and member = host))
    )
)@partitioned;

create table @guestlist_grants (
    bucket integer not null,
    host text collate "C" not null,
    grant_id uuid not null,
    at bigint not null,
    expires_at bigint,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, grant_id),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        revision >= 1
    )
)@partitioned;

create table @guestlist_invites (
    bucket integer not null,
    host text collate "C" not null,
    invite uuid not null,
    address text collate "C" not null,
    status text collate "C" not null,
    generation bigint not null,
    token bigint,
    creator text collate "C",
    delivery text collate "C" not null,
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, invite),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        address <> '' and
        status in ('pending', 'accepted', 'declined', 'revoked') and
        generation >= 1 and
        token >= 0 and
        creator <> '' and
        delivery in ('unknown', 'sent', 'undelivered') and
        revision >= 1 and
        (status = 'pending') = (token is not null)
    )
)@partitioned;

-- The other question that crosses hosts: who has invited this address?
create index guestlist_invites_to_address on @guestlist_invites (address, host, invite);

create index guestlist_invites_run_out
    on @guestlist_invites (expires_at, host, invite)
    where expires_at is not null and expired_at is null and status = 'pending';

-- What a host knows of an address: never two live invites for one.
create table @guestlist_addresses (
    bucket integer not null,
    host text collate "C" not null,
    address text collate "C" not null,
    invite uuid,
    member text collate "C",
    revision bigint not null,
    body json not null,
    primary key (bucket, host, address),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        address <> '' and
        member <> '' and
        revision >= 1 and
        (invite is not null or member is not null)
    )
)@partitioned;

create table @guestlist_endpoints (
    bucket integer not null,
    host text collate "C" not null,
    endpoint uuid not null,
    created_at bigint not null,
    deleted_at bigint,
    revision bigint not null,
    body json not null,
    primary key (bucket, host, endpoint),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        revision >= 1
    )
)@partitioned;

-- Whoever sends webhooks asks for all of them.
create index guestlist_endpoints_all
    on @guestlist_endpoints (host, endpoint)
    where deleted_at is null;

create table @guestlist_consumers (
    bucket integer not null,
    consumer text collate "C" not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, consumer),
    check (
        (bucket between 0 and 3843) and
        consumer <> '' and
        revision >= 1
    )
)@partitioned;

create table @guestlist_parked (
    bucket integer not null,
    consumer text collate "C" not null,
    position bigint not null,
    ordinal bigint not null,
    revision bigint not null,
    body json not null,
    primary key (bucket, consumer, position, ordinal),
    check (
        (bucket between 0 and 3843) and
        consumer <> '' and
        position >= 1 and
        ordinal >= 0 and
        revision >= 1
    )
)@partitioned;

-- Every commit that was applied: what is answered when it is sent again.
create table @guestlist_commits (
    bucket integer not null,
    home_kind text collate "C" not null,
    home text collate "C" not null,
    commit_id uuid not null,
    at bigint not null,
    by text not null,
    digest bytea not null,
    reply text not null,
    primary key (bucket, home_kind, home, commit_id),
    check (
        (bucket between 0 and 3843) and
        home_kind in ('organization', 'name') and
        home <> '' and
        octet_length(digest) = 32
    )
)@partitioned;

-- The log. A position is a number of transactions that is at least that of its own, so that the
-- feed can be read up to the oldest that is under way. There is no counter that all would have to
-- wait for.
create table @guestlist_events (
    bucket integer not null,
    host text collate "C" not null,
    position bigint not null,
    ordinal bigint not null,
    commit_id uuid not null,
    name text collate "C" not null,
    member_kind text collate "C",
    member_id text collate "C",
    link uuid,
    invite uuid,
    at bigint not null,
    by_user text collate "C",
    by text not null,
    body json not null,
    erased bytea,
    primary key (bucket, host, position, ordinal),
    check (
        (bucket between 0 and 3843) and
        host <> '' and
        position >= 1 and
        ordinal >= 0 and
        name <> '' and
        member_kind in ('org', 'user') and
        member_id <> '' and
        by_user <> '' and
        octet_length(erased) = 32 and
        (member_kind is null) = (member_id is null)
    )
)@partitioned;

create index guestlist_events_in_order on @guestlist_events (position, ordinal);

-- What is added to the numbers of transactions: they begin anew when the records are restored in
-- another cluster, and positions must not.
create table @guestlist_epoch (
    id integer primary key,
    added bigint not null,
    check (
        id = 1 and
        added >= 0
    )
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
