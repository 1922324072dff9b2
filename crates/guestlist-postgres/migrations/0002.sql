-- The revision that an organization's access rules got by an event. Whoever has them at an earlier
-- one in memory reads what has happened since, not all of them.
alter table @guestlist_events add column access_revision bigint;

create index guestlist_events_of_access
    on @guestlist_events (bucket, host, access_revision, ordinal)
    where access_revision is not null;
