create table guestlist_names (
    bucket integer not null check (bucket between 0 and 3843),
    name text not null check (name <> ''),
    organization text not null check (organization <> ''),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, name)
) strict, without rowid;

create table guestlist_organizations (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    name text not null check (name <> ''),
    status text not null check (status in ('active', 'suspended', 'deleted')),
    default_link blob check (length(default_link) = 16),
    created_at integer not null,
    updated_at integer not null,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host)
) strict, without rowid;

create table guestlist_owners (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host)
) strict, without rowid;

create table guestlist_seat_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    taken integer not null check (taken >= 0),
    primary key (bucket, host)
) strict, without rowid;

create table guestlist_access_heads (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    external_group blob check (length(external_group) = 16),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host)
) strict, without rowid;

create table guestlist_links (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    link blob not null check (length(link) = 16),
    status text not null check (status in ('active', 'disabled')),
    generation integer not null check (generation >= 1),
    token integer check (token >= 0),
    creator text check (creator <> ''),
    expires_at integer,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, link),
    check (deleted_at is not null or (status = 'disabled') = (token is null)),
    check (deleted_at is null or token is null)
) strict, without rowid;

create table guestlist_link_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    link blob not null check (length(link) = 16),
    uses integer not null check (uses >= 0),
    primary key (bucket, host, link)
) strict, without rowid;

create table guestlist_link_uses (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    link blob not null check (length(link) = 16),
    member_kind text not null check (member_kind in ('org', 'user')),
    member_id text not null check (member_id <> ''),
    generation integer not null check (generation >= 1),
    state text not null check (state in ('reserved', 'settled', 'released')),
    at integer not null,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, link, member_kind, member_id),
    check (not (member_kind = 'org' and member_id = host))
) strict, without rowid;

-- A selector's leading digits are its bucket.
create table guestlist_tokens (
    selector integer primary key check (selector >= 0),
    bucket integer not null check (bucket = selector / 218340105584896 and bucket <= 3843),
    host text not null check (host <> ''),
    link blob not null check (length(link) = 16),
    generation integer not null check (generation >= 1),
    issued_at integer not null,
    valid_until integer,
    pepper integer check (pepper >= 0),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body))
) strict;

create table guestlist_memberships (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    member_kind text not null check (member_kind in ('org', 'user')),
    member_id text not null check (member_id <> ''),
    status text check (status in ('pending', 'approved', 'rejected', 'removed', 'cancelled')),
    episode integer not null check (episode >= 0),
    door_link blob check (length(door_link) = 16),
    door_generation integer check (door_generation >= 1),
    role text check (role <> ''),
    opened_at integer not null,
    approved_at integer,
    expires_at integer,
    ended_cause text
        check (ended_cause in ('withdrew', 'left', 'rejected', 'removed', 'expired')),
    ended_at integer,
    proxy_id blob check (length(proxy_id) = 16),
    proxy_name text check (proxy_name <> ''),
    updated_at integer not null,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, member_kind, member_id),
    unique (bucket, host, proxy_id),
    unique (bucket, host, proxy_name),
    check (not (member_kind = 'org' and member_id = host)),
    check ((door_link is null) = (door_generation is null)),
    check ((ended_cause is null) = (ended_at is null)),
    check (ended_at is null or coalesce(status in ('rejected', 'removed', 'cancelled'), false)),
    check ((proxy_id is null) = (proxy_name is null)),
    check (proxy_id is null or member_kind = 'org'),
    check (status is not 'approved' or member_kind = 'user' or proxy_id is not null)
) strict, without rowid;

create index guestlist_memberships_by_status
    on guestlist_memberships (bucket, host, status, opened_at, member_kind, member_id);

-- The one question that crosses hosts: which of them has this member joined?
create index guestlist_memberships_of_member
    on guestlist_memberships (member_kind, member_id, host);

create index guestlist_memberships_run_out
    on guestlist_memberships (expires_at, host, member_kind, member_id)
    where expires_at is not null;

create table guestlist_acting (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    target text not null check (target <> ''),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, target),
    check (host <> target)
) strict, without rowid;

create table guestlist_groups (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    group_id blob not null check (length(group_id) = 16),
    name text not null check (name <> ''),
    internal integer not null check (internal in (0, 1)),
    created_at integer not null,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, group_id)
) strict, without rowid;

create table guestlist_group_members (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    group_id blob not null check (length(group_id) = 16),
    kind text not null check (kind in ('group', 'org', 'user')),
    member text not null check (member <> ''),
    episode integer not null check (episode >= 0),
    revision integer not null check (revision >= 1),
    primary key (bucket, host, group_id, kind, member, episode),
    check (kind <> 'group' or (length(member) = 36 and episode = 0)),
    check (not (kind = 'org' and member = host))
) strict, without rowid;

create table guestlist_grants (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    grant_id blob not null check (length(grant_id) = 16),
    at integer not null,
    expires_at integer,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, grant_id)
) strict, without rowid;

-- Every commit that was applied: what is answered when it is sent again. Its events are at
-- `position` of the log; a commit without events has no place there.
create table guestlist_commits (
    bucket integer not null check (bucket between 0 and 3843),
    home_kind text not null check (home_kind in ('organization', 'name')),
    home text not null check (home <> ''),
    commit_id blob not null check (length(commit_id) = 16),
    position integer check (position >= 1),
    at integer not null,
    by text not null,
    digest blob not null check (length(digest) = 32),
    reply text not null,
    primary key (bucket, home_kind, home, commit_id)
) strict, without rowid;

-- The log. One writer at a time, so that positions are in the order of commits, without gaps.
create table guestlist_events (
    position integer not null check (position >= 1),
    ordinal integer not null check (ordinal >= 0),
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    commit_id blob not null check (length(commit_id) = 16),
    name text not null check (name <> ''),
    member_kind text check (member_kind in ('org', 'user')),
    member_id text check (member_id <> ''),
    link blob check (length(link) = 16),
    at integer not null,
    by_user text check (by_user <> ''),
    by text not null,
    body text not null check (json_valid(body)),
    primary key (position, ordinal),
    check ((member_kind is null) = (member_id is null))
) strict, without rowid;

create index guestlist_events_by_host on guestlist_events (bucket, host, position, ordinal);
