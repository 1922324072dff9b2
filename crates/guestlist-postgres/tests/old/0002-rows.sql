-- What the second version wrote beside that: the revisions that the access rules got.
insert into @guestlist_schema (version, checksum) values (2, 3428729047);
update @guestlist_events set access_revision = 1 where name = 'group-created';
update @guestlist_events set access_revision = 2 where name = 'added-to-group';
update @guestlist_events set access_revision = 3 where name = 'grant-made';
