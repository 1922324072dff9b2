//! PostgreSQL set up as Citus would be, with functions of its names that only look at what they are
//! told.

use guestlist_postgres::{Dialect, PgOptions, PgStore, citus_statements, migrate};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

/// They refuse what Citus does: a column that is not in every unique key, what is no table or no
/// function, and tables and functions beside a table of another type. All but that is written down.
const STAND_INS: &str = "
create table told (what text, id oid, beside regclass, primary key (what, id));

create function column_type(name regclass, place text) returns oid language sql as $$
    select atttypid from pg_attribute where attrelid = name and attname = place and attnotnull
$$;

create function create_distributed_table(
    name regclass, place text, colocate_with text default null
) returns void language plpgsql as $$
declare
    beside constant regclass := coalesce(colocate_with::regclass, name);
begin
    if exists (select 1 from pg_index i where i.indrelid = name and i.indisunique
        and not exists (select 1 from pg_attribute a where a.attrelid = name
            and a.attname = place and a.attnum = any (i.indkey) and a.attnotnull)) then
        raise 'no unique key of % may be without %', name, place;
    end if;
    if column_type(name, place) is distinct from column_type(beside, 'bucket') then
        raise '% and % are of different types', name, beside;
    end if;
    insert into told values ('table', name, beside);
end $$;

create function create_reference_table(name regclass) returns void language sql as $$
    insert into told values ('table', name, null)
$$;

create function create_distributed_function(
    name regprocedure, argument text, colocate_with text
) returns void language plpgsql as $$
begin
    if (select proargtypes[substr(argument, 2)::integer - 1] from pg_proc where oid = name)
        is distinct from column_type(colocate_with::regclass, 'bucket')
    then
        raise '% of % is of another type', argument, name;
    end if;
    insert into told values ('function', name, colocate_with::regclass);
end $$;
";

/// Makes the tables in this schema and runs what is to be run on the coordinator.
pub async fn set_up(pool: &PgPool, options: &PgOptions, place: &str) {
    let mut connection = pool.acquire().await.unwrap();
    migrate(&mut connection, options).await.unwrap();
    // All at once, which is one transaction: many tests do this.
    let statements = citus_statements(options).unwrap().join(";\n");
    let sql = format!("set local search_path = {place};\n{STAND_INS}\n{statements}");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut *connection)
        .await
        .unwrap();
}

/// A store that commits as on Citus, and the name of its schema.
pub async fn store(options: PgOptions) -> (PgStore, String) {
    let place = super::schema();
    let options = options.schema(&place).dialect(Dialect::Citus);
    let pool = super::pool(6).await;
    set_up(&pool, &options, &place).await;
    (PgStore::open(pool, options).await.unwrap(), place)
}
