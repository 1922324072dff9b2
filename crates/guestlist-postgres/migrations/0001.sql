-- What a column may hold is said by its type: a check of a table is read from its text and planned
-- again by each statement that writes a row, and a type's is not. So tables have checks of several
-- columns only, at most one each, and that of memberships is in a function.

create domain @guestlist_bucket as integer check (value between 0 and 3843);

create domain @guestlist_word as text collate "C" check (value <> '');

create domain @guestlist_ordinal as bigint check (value >= 1);

create domain @guestlist_count as bigint check (value >= 0);

create domain @guestlist_digest as bytea check (octet_length(value) = 32);

create domain @guestlist_member_kind as text collate "C" check (value in ('org', 'user'));

create domain @guestlist_member_status as text collate "C"
    check (value in ('pending', 'approved', 'rejected', 'removed', 'cancelled'));

create domain @guestlist_member_end as text collate "C"
    check (value in ('withdrew', 'left', 'rejected', 'removed', 'expired'));

create domain @guestlist_link_use_state as text collate "C"
    check (value in ('reserved', 'settled', 'released'));

create domain @guestlist_home_kind as text collate "C" check (value in ('organization', 'name'));

create function @guestlist_membership_fits(
    host text, member_kind text, member_id text, status text,
    door_link uuid, door_generation bigint, door_invite uuid,
    ended_cause text, ended_at bigint, proxy_id uuid, proxy_name text
) returns boolean
    language plpgsql immutable parallel safe
as $$
begin
    return not (member_kind = 'org' and member_id = host) and
        (door_link is null) = (door_generation is null) and
        (door_link is null or door_invite is null) and
        (ended_cause is null) = (ended_at is null) and
        (ended_at is null or coalesce(status in ('rejected', 'removed', 'cancelled'), false)) and
        (proxy_id is null) = (proxy_name is null) and
        (proxy_id is null or member_kind = 'org') and
        (status is distinct from 'approved' or member_kind = 'user' or proxy_id is not null);
end
$$;

create table @guestlist_names (
    bucket @guestlist_bucket not null,
    name @guestlist_word not null,
    organization @guestlist_word not null,
    organization_bucket @guestlist_bucket not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, name)
)@partitioned;

create table @guestlist_organizations (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    name @guestlist_word not null,
    status text collate "C" not null,
    default_link uuid,
    discoverable boolean not null,
    created_at bigint not null,
    updated_at bigint not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host),
    check (
        status in ('active', 'suspended', 'deleted')
    )
)@partitioned;

-- Found by those who don't belong to them.
create index guestlist_organizations_discoverable
    on @guestlist_organizations (name)
    where discoverable and status = 'active';

create table @guestlist_owners (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host)
)@partitioned;

create table @guestlist_seat_tallies (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    taken @guestlist_count not null,
    primary key (bucket, host)
)@partitioned;

create table @guestlist_access_heads (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    external_group uuid,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host)
)@partitioned;

create table @guestlist_links (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    link uuid not null,
    status text collate "C" not null,
    generation @guestlist_ordinal not null,
    token @guestlist_count,
    tokens bigint[] not null,
    creator @guestlist_word,
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, link),
    check (
        status in ('active', 'disabled') and
        (deleted_at is not null or (status = 'disabled') = (token is null)) and
        (deleted_at is null or token is null) and
        (token is null or token = any (tokens))
    )
)@partitioned;

create index guestlist_links_run_out
    on @guestlist_links (expires_at, host, link)
    where expires_at is not null and expired_at is null and deleted_at is null;

create table @guestlist_link_tallies (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    link uuid not null,
    uses @guestlist_count not null,
    primary key (bucket, host, link)
)@partitioned;

create table @guestlist_preview_tallies (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    link uuid not null,
    generation @guestlist_ordinal not null,
    previews @guestlist_count not null,
    primary key (bucket, host, link, generation)
)@partitioned;

create table @guestlist_link_uses (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    link uuid not null,
    member_kind @guestlist_member_kind not null,
    member_id @guestlist_word not null,
    generation @guestlist_ordinal not null,
    state @guestlist_link_use_state not null,
    at bigint not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, link, member_kind, member_id),
    check (
        (not (member_kind = 'org' and member_id = host))
    )
)@partitioned;

-- A selector's leading digits are its bucket: a claim, which knows nothing but the token, touches
-- one partition.
create table @guestlist_tokens (
    bucket integer not null,
    selector @guestlist_count not null,
    host @guestlist_word not null,
    subject_kind text collate "C" not null,
    subject uuid not null,
    generation @guestlist_ordinal not null,
    issued_at bigint not null,
    valid_until bigint,
    pepper integer,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, selector),
    check (
        (bucket = selector / 218340105584896 and bucket <= 3843) and
        subject_kind in ('link', 'invite') and
        pepper >= 0
    )
)@partitioned;

create table @guestlist_memberships (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    member_kind @guestlist_member_kind not null,
    member_id @guestlist_word not null,
    status @guestlist_member_status,
    episode @guestlist_count not null,
    door_link uuid,
    door_generation @guestlist_ordinal,
    door_invite uuid,
    role @guestlist_word,
    email @guestlist_word,
    opened_at bigint not null,
    approved_at bigint,
    expires_at bigint,
    ended_cause @guestlist_member_end,
    ended_at bigint,
    proxy_id uuid,
    proxy_name @guestlist_word,
    updated_at bigint not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, member_kind, member_id),
    unique (proxy_id, host, bucket),
    unique (proxy_name, host, bucket),
    check (
        @guestlist_membership_fits(
            host, member_kind, member_id, status, door_link, door_generation, door_invite,
            ended_cause, ended_at, proxy_id, proxy_name
        )
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
    member_bucket @guestlist_bucket not null,
    member_kind @guestlist_member_kind not null,
    member_id @guestlist_word not null,
    host @guestlist_word not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (member_bucket, member_kind, member_id, host)
)@partitioned_by_member;

create table @guestlist_acting (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    target @guestlist_word not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, target),
    check (
        host <> target
    )
)@partitioned;

create table @guestlist_groups (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    group_id uuid not null,
    name @guestlist_word not null,
    internal boolean not null,
    created_at bigint not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, group_id)
)@partitioned;

create table @guestlist_group_members (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    group_id uuid not null,
    kind text collate "C" not null,
    member @guestlist_word not null,
    episode @guestlist_count not null,
    revision @guestlist_ordinal not null,
    primary key (bucket, host, group_id, kind, member, episode),
    check (
        kind in ('group', 'org', 'user') and
        (kind <> 'group' or (length(member) = 36 and episode = 0)) and
        (not (kind = 'org' and member = host))
    )
)@partitioned;

create table @guestlist_grants (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    grant_id uuid not null,
    at bigint not null,
    expires_at bigint,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, grant_id)
)@partitioned;

create table @guestlist_invites (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    invite uuid not null,
    address @guestlist_word not null,
    status text collate "C" not null,
    generation @guestlist_ordinal not null,
    token @guestlist_count,
    creator @guestlist_word,
    delivery text collate "C" not null,
    expires_at bigint,
    expired_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, invite),
    check (
        status in ('pending', 'accepted', 'declined', 'revoked') and
        delivery in ('unknown', 'sent', 'undelivered') and
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
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    address @guestlist_word not null,
    invite uuid,
    member @guestlist_word,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, address),
    check (
        (invite is not null or member is not null)
    )
)@partitioned;

create table @guestlist_endpoints (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    endpoint uuid not null,
    created_at bigint not null,
    deleted_at bigint,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, host, endpoint)
)@partitioned;

-- Whoever sends webhooks asks for all of them.
create index guestlist_endpoints_all
    on @guestlist_endpoints (host, endpoint)
    where deleted_at is null;

create table @guestlist_consumers (
    bucket @guestlist_bucket not null,
    consumer @guestlist_word not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, consumer)
)@partitioned;

create table @guestlist_parked (
    bucket @guestlist_bucket not null,
    consumer @guestlist_word not null,
    position @guestlist_ordinal not null,
    ordinal @guestlist_count not null,
    revision @guestlist_ordinal not null,
    body json not null,
    primary key (bucket, consumer, position, ordinal)
)@partitioned;

-- Every commit that was applied: what is answered when it is sent again.
create table @guestlist_commits (
    bucket @guestlist_bucket not null,
    home_kind @guestlist_home_kind not null,
    home @guestlist_word not null,
    commit_id uuid not null,
    at bigint not null,
    by text not null,
    digest @guestlist_digest not null,
    reply text not null,
    primary key (bucket, home_kind, home, commit_id)
)@partitioned;

-- The log. A position is a number of transactions that is at least that of its own, so that the
-- feed can be read up to the oldest that is under way. There is no counter that all would have to
-- wait for.
create table @guestlist_events (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    position @guestlist_ordinal not null,
    ordinal @guestlist_count not null,
    commit_id uuid not null,
    name @guestlist_word not null,
    member_kind @guestlist_member_kind,
    member_id @guestlist_word,
    link uuid,
    invite uuid,
    at bigint not null,
    by_user @guestlist_word,
    by text not null,
    body json not null,
    erased @guestlist_digest,
    primary key (bucket, host, position, ordinal),
    check (
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
