-- One commit on Citus: what the statement of a commit does elsewhere, as statements of one row each,
-- which Citus sends to the worker that has the row. The call itself is sent there by the bucket, so
-- that all of them are run where their rows are. What is to be looked at and written is said by the
-- plan, in JSON: the lists in their order, names of tables without their `guestlist_`, all values as
-- text. There is no rule in here, and nothing but tables of guestlist's can be named.
--
-- It answers 'applied'; or 'done', a digest in hexadecimal and a reply, if the commit was applied
-- before; or 'missed' and the number of a check. Only when it is 'applied' something was written.
--
-- Names are found in the schema that is set here, because no search path is sent to a worker. The
-- number in its name goes up with each change: processes of two versions run side by side.
create or replace function @guestlist_commit_1(bucket integer, plan text) returns text[]
    language plpgsql volatile
    set search_path @search_path
as $$
declare
    asked constant json := plan;
    step json;
    steps json[];
    place text;
    wanted text;
    keys text;
    key_values text;
    names text;
    literals text;
    changes text;
    number bigint;
    missed bigint;
    digest bytea;
    reply text;
begin
    -- Rows are locked until the transaction ends. Each statement sees what was committed before it
    -- begins, so what is counted behind these is counted while nobody can change it.
    for step in select value from json_array_elements(asked -> 'facts') loop
        select string_agg(format('%I = %L', key, value), ' and ') into wanted
            from json_each_text(step -> 'key');
        execute format(
            'select revision from %I where %s%s', 'guestlist_' || (step ->> 'table'), wanted,
            case (step ->> 'written')::boolean
                when true then ' for no key update'
                when false then ' for share'
                else ''
            end
        ) into number;
        if number is distinct from (step ->> 'revision')::bigint then
            missed := least(missed, (step ->> 'n')::bigint);
        end if;
    end loop;

    -- Behind the locks: who has waited for the same commit finds its receipt.
    if asked -> 'receipt' is not null then
        select string_agg(format('%I = %L', key, value), ' and ') into wanted
            from json_each_text(asked -> 'receipt');
        execute format('select digest, reply from guestlist_commits where %s', wanted)
            into digest, reply;
        if digest is not null then
            return array['done', encode(digest, 'hex'), reply];
        end if;
    end if;

    for step in select value from json_array_elements(asked -> 'counted') loop
        select string_agg(format('%I = %L', key, value), ' and ') into wanted
            from json_each_text(step -> 'key');
        select string_agg(quote_literal(value), ', ') into literals
            from json_array_elements_text(step -> 'in');
        execute format(
            'select count(*) from %I where %s and %I in (%s)', 'guestlist_' || (step ->> 'table'),
            wanted, step ->> 'column', literals
        ) into number;
        if number <> (step ->> 'are')::bigint then
            missed := least(missed, (step ->> 'n')::bigint);
        end if;
    end loop;
    if missed is not null then
        return array['missed', missed::text];
    end if;

    steps := array(select value from json_array_elements(asked -> 'writes'));

    -- Counters last: they are what many wait for.
    for step in select value from json_array_elements(asked -> 'counters') loop
        select string_agg(format('%I = %L', key, value), ' and ') into wanted
            from json_each_text(step -> 'key');
        execute format(
            'select %I from %I where %s for no key update', step ->> 'column',
            'guestlist_' || (step ->> 'table'), wanted
        ) into number;
        if coalesce(number, 0) > (step ->> 'most')::bigint
            or coalesce(number, 0) <> (step ->> 'same')::bigint
        then
            missed := least(missed, (step ->> 'n')::bigint);
        elsif (step ->> 'written')::boolean then
            steps := steps || json_build_object(
                -- One that was not there was not locked.
                'how', case when number is null then 'new' else 'change' end,
                'table', step -> 'table',
                'key', step -> 'key',
                'row', json_build_object(
                    step ->> 'column',
                    greatest(
                        coalesce(number, 0) + (step ->> 'add')::bigint, (step ->> 'least')::bigint
                    )
                )
            );
        end if;
    end loop;
    if missed is not null then
        return array['missed', missed::text];
    end if;

    foreach step in array steps loop
        place := 'guestlist_' || (step ->> 'table');
        select
            string_agg(format('%I = %L', key, value), ' and '), string_agg(quote_ident(key), ', '),
            string_agg(quote_nullable(value), ', ')
            into wanted, keys, key_values from json_each_text(step -> 'key');
        select
            string_agg(format('%I = %L', key, value), ', '), string_agg(quote_ident(key), ', '),
            string_agg(quote_nullable(value), ', ')
            into changes, names, literals from json_each_text(step -> 'row');
        case step ->> 'how'
            when 'new' then
                execute format(
                    'insert into %I (%s, %s) values (%s, %s) on conflict (%s) do nothing',
                    place, keys, names, key_values, literals, keys
                );
            when 'change' then
                execute format('update %I set %s where %s', place, changes, wanted);
            when 'blind' then
                execute format(
                    'insert into %I (%s, %s) values (%s, %s) on conflict (%s) do update set %s',
                    place, keys, names, key_values, literals, keys, changes
                );
            when 'delete' then
                execute format('delete from %I where %s', place, wanted);
        end case;
        get diagnostics number = row_count;
        -- All that was to be new was not there a moment before, and what is changed is locked.
        if number = 0 and step ->> 'how' in ('new', 'change') then
            raise exception 'guestlist: overtaken' using errcode = 'serialization_failure';
        end if;
    end loop;

    -- What is to be put in the log: the clock is looked at when every row is locked.
    number := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
    for step in select value from json_array_elements(asked -> 'events') loop
        select string_agg(quote_ident(key), ', '), string_agg(quote_nullable(value), ', ')
            into names, literals from json_each_text(step);
        execute format(
            'insert into guestlist_unplaced (tick, %s) values (%s, %s)', names, number, literals
        );
    end loop;

    return array['applied'];
end
$$
