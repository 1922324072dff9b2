//! Schemas that one case after the other has to itself, with the connections to them: making them
//! takes longer than most cases.

use core::mem;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;

use guestlist_postgres::{Dialect, PgOptions, PgStore, migrate};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::sync::OnceCell;

/// Those that nobody has, the one that was given back last in front.
static FREE: Mutex<VecDeque<Schema>> = Mutex::new(VecDeque::new());

/// How many are kept: their connections count against what the server takes.
const MAX_FREE: usize = 8;

#[derive(Debug)]
struct Schema {
    name: String,
    /// What it was made with, without its name.
    made_as: PgOptions,
    options: PgOptions,
    pool: PgPool,
}

/// Lends stores, and takes their schemas back when it is dropped; after a panic it doesn't, for
/// nobody knows then what is in them or still on its way into them.
#[derive(Debug)]
pub struct Lender {
    options: PgOptions,
    on_citus: bool,
    lent: Mutex<Vec<Schema>>,
}

impl Lender {
    pub fn new(options: PgOptions) -> Self {
        Self {
            options,
            on_citus: false,
            lent: Mutex::default(),
        }
    }

    /// Of stores that commit as on Citus.
    pub fn on_citus() -> Self {
        let mut lender = Self::new(PgOptions::new().dialect(Dialect::Citus));
        lender.on_citus = true;
        lender
    }

    /// A store with nothing in it.
    pub async fn store(&self) -> PgStore {
        let free = {
            let mut free = FREE.lock().unwrap();
            let place = free.iter().position(|free| free.made_as == self.options);
            place.and_then(|place| free.remove(place))
        };
        let schema = match free {
            Some(schema) => schema,
            None => self.make().await,
        };
        let (pool, options) = (schema.pool.clone(), schema.options.clone());
        self.lent.lock().unwrap().push(schema);
        PgStore::open(pool, options).await.unwrap()
    }

    async fn make(&self) -> Schema {
        let name = super::schema();
        let options = self.options.clone().schema(&name);
        let pool = connect(&name).await;
        if self.on_citus {
            super::citus::set_up(&pool, &options, &name).await;
        } else {
            migrate(&mut pool.acquire().await.unwrap(), &options)
                .await
                .unwrap();
        }
        run(&KEEP.replace('@', &name)).await;
        Schema {
            name,
            made_as: self.options.clone(),
            options,
            pool,
        }
    }

    /// The same records again, through other connections.
    pub async fn reopen(&self, store: PgStore) -> PgStore {
        store.pool().close().await;
        let options = store.options().clone();
        let name = {
            let lent = self.lent.lock().unwrap();
            let schema = lent.iter().find(|schema| schema.options == options);
            schema.expect("it was lent here").name.clone()
        };
        let pool = connect(&name).await;
        for schema in &mut *self.lent.lock().unwrap() {
            if schema.name == name {
                schema.pool = pool.clone();
            }
        }
        PgStore::open(pool, options).await.unwrap()
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let lent = mem::take(&mut *self.lent.lock().unwrap());
        super::runtime().block_on(async {
            for schema in lent {
                schema.empty().await;
                let too_many = {
                    let mut free = FREE.lock().unwrap();
                    free.push_front(schema);
                    let first = free.len().min(MAX_FREE);
                    free.split_off(first)
                };
                for schema in too_many {
                    schema.pool.close().await;
                }
            }
        });
    }
}

impl Schema {
    /// Leaves what was there when it was new.
    async fn empty(&self) {
        // All of its connections, so that nobody else has one; whoever still does gives it back.
        let mut held = Vec::new();
        while held.len() < usize::try_from(self.pool.size()).unwrap() {
            held.push(self.pool.acquire().await.unwrap());
        }
        // A statement whose caller was dropped is still run, on a connection that was, too.
        let idle = format!(
            "select not exists (select from pg_stat_activity \
            where application_name = '{}' and state <> 'idle')",
            self.name
        );
        super::until(side().await, &idle).await;
        run(&EMPTY.replace('@', &self.name)).await;
    }
}

async fn connect(name: &str) -> PgPool {
    let options: PgConnectOptions = super::database().socket_url().parse().unwrap();
    super::pool_of(options.application_name(name), 6).await
}

/// Puts what a new schema holds aside.
const KEEP: &str = "do $$
declare
    name text;
    is_filled boolean;
begin
    for name in select relname from pg_class
        where relnamespace = '@'::regnamespace and relkind in ('r', 'p') and not relispartition
    loop
        execute format('select exists (select from @.%I)', name) into is_filled;
        if is_filled then
            execute format('create table @.%I as table @.%I', 'kept_' || name, name);
        end if;
    end loop;
end $$";

/// Leaves what was there when it was new.
const EMPTY: &str = "do $$
declare
    name text;
    kept regclass;
begin
    for name in select relname from pg_class
        where relnamespace = '@'::regnamespace and relkind in ('r', 'p') and not relispartition
        and relname not like 'kept\\_%'
    loop
        execute format('delete from @.%I', name);
        kept := to_regclass(format('@.%I', 'kept_' || name));
        if kept is not null then
            execute format('insert into @.%I select * from %s', name, kept);
        end if;
    end loop;
end $$";

/// Beside those of the stores.
async fn side() -> &'static PgPool {
    static SIDE: OnceCell<PgPool> = OnceCell::const_new();
    SIDE.get_or_init(|| super::pool(2)).await
}

async fn run(sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(side().await)
        .await
        .unwrap();
}
