-- Events of commits that don't say where in the log they stand, where no number that the engine has
-- is in the order in which commits become visible: those of several machines. They are given a place
-- afterwards, one commit after the other, and moved to the log.
create table @guestlist_unplaced (
    bucket @guestlist_bucket not null,
    host @guestlist_word not null,
    commit_id uuid not null,
    ordinal @guestlist_count not null,
    -- The server's clock when the commit had all of its locks, and the rows that it relied on and has
    -- written, at which revisions: what it comes behind, and before.
    tick bigint not null,
    basis text,
    name @guestlist_word not null,
    member_kind @guestlist_member_kind,
    member_id @guestlist_word,
    link uuid,
    invite uuid,
    at bigint not null,
    by_user @guestlist_word,
    by text not null,
    body json not null,
    access_revision bigint,
    primary key (bucket, host, commit_id, ordinal),
    check (
        (member_kind is null) = (member_id is null) and
        (basis is null) = (ordinal > 0)
    )
)@partitioned;

-- How many places were given, and up to which the log is shown.
create table @guestlist_places (
    id integer primary key,
    given @guestlist_count not null,
    shown @guestlist_count not null,
    check (
        id = 1 and
        shown <= given
    )
);
insert into @guestlist_places (id, given, shown) values (1, 0, 0);
