alter table guestlist_organizations
    add column discoverable integer not null default 0 check (discoverable in (0, 1));

-- Found by those who don't belong to them.
create index guestlist_organizations_discoverable
    on guestlist_organizations (name)
    where discoverable = 1 and status = 'active';

alter table guestlist_links add column expired_at integer;

create index guestlist_links_run_out
    on guestlist_links (expires_at, host, link)
    where expires_at is not null and expired_at is null and deleted_at is null;

create table guestlist_preview_tallies (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    link blob not null check (length(link) = 16),
    generation integer not null check (generation >= 1),
    previews integer not null check (previews >= 0),
    primary key (bucket, host, link, generation)
) strict, without rowid;

-- A token opens a link or an e-mail invite.
alter table guestlist_tokens rename column link to subject;
alter table guestlist_tokens
    add column subject_kind text not null default 'link'
    check (subject_kind in ('link', 'invite'));
update guestlist_tokens
    set body = json_remove(
        json_set(body, '$.subject', json_object('link', json_extract(body, '$.link'))),
        '$.link'
    );

create table guestlist_invites (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    invite blob not null check (length(invite) = 16),
    address text not null check (address <> ''),
    status text not null check (status in ('pending', 'accepted', 'declined', 'revoked')),
    generation integer not null check (generation >= 1),
    token integer check (token >= 0),
    creator text check (creator <> ''),
    delivery text not null check (delivery in ('unknown', 'sent', 'undelivered')),
    expires_at integer,
    expired_at integer,
    created_at integer not null,
    updated_at integer not null,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, invite),
    check ((status = 'pending') = (token is not null))
) strict, without rowid;

-- The other question that crosses hosts: who has invited this address?
create index guestlist_invites_to_address on guestlist_invites (address, host, invite);

create index guestlist_invites_run_out
    on guestlist_invites (expires_at, host, invite)
    where expires_at is not null and expired_at is null and status = 'pending';

-- What a host knows of an address: never two live invites for one.
create table guestlist_addresses (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    address text not null check (address <> ''),
    invite blob check (length(invite) = 16),
    member text check (member <> ''),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, address),
    check (invite is not null or member is not null)
) strict, without rowid;

-- Those who are members already; of two with one address, who came last.
insert into guestlist_addresses (bucket, host, address, invite, member, revision, body)
select bucket, host, address, null, member_id, 1, json_object('invite', null, 'member', member_id)
from (
    select bucket, host, json_extract(body, '$.profile.email') as address, member_id,
        max(approved_at)
    from guestlist_memberships
    where status = 'approved' and member_kind = 'user'
        and json_extract(body, '$.profile.email') is not null
    group by bucket, host, address
);

create table guestlist_consumers (
    bucket integer not null check (bucket between 0 and 3843),
    consumer text not null check (consumer <> ''),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, consumer)
) strict, without rowid;

create table guestlist_parked (
    bucket integer not null check (bucket between 0 and 3843),
    consumer text not null check (consumer <> ''),
    position integer not null check (position >= 1),
    ordinal integer not null check (ordinal >= 0),
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, consumer, position, ordinal)
) strict, without rowid;

alter table guestlist_events add column invite blob check (length(invite) = 16);

-- What is left of the personal part of an event that was erased: its keyed digest.
alter table guestlist_events add column erased blob check (length(erased) = 32);

create table guestlist_endpoints (
    bucket integer not null check (bucket between 0 and 3843),
    host text not null check (host <> ''),
    endpoint blob not null check (length(endpoint) = 16),
    created_at integer not null,
    deleted_at integer,
    revision integer not null check (revision >= 1),
    body text not null check (json_valid(body)),
    primary key (bucket, host, endpoint)
) strict, without rowid;

-- Whoever sends webhooks asks for all of them.
create index guestlist_endpoints_all
    on guestlist_endpoints (host, endpoint)
    where deleted_at is null;
