//! Applying commits: which of those that wait go into one statement, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use guestlist_store::StoreError;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::error::{During, connect_error, is_lost, is_overtaken, store_error};
use crate::options::Dialect;
use crate::plan::{Outcome, Plan};
use crate::rows::NO_SUCH_EVENT;
use crate::sql::{Names, Sql};
use crate::statement::{self, Verdict};
use crate::value::Value;
use crate::{delegated, lone};

/// How often a statement that was overtaken by another transaction is run again. Each time some
/// other one was applied.
const MAX_RUNS: usize = 16;

/// Connections for what is few and always the same, so that its statements are planned once and
/// not on each connection of the pool.
pub(crate) struct Kept {
    pool: PgPool,
    connections: Mutex<Vec<PgConnection>>,
    most: usize,
    settings: &'static str,
}

/// Applies on connections of a pool, each statement a transaction of its own.
pub(crate) struct Engine {
    pub(crate) pool: PgPool,
    pub(crate) names: Names,
    kept: Kept,
}

/// A commit that waits: of which call, and which of it.
struct Waiting {
    call: usize,
    place: usize,
    plan: Plan,
}

pub(crate) type Answers<T> = Vec<Result<Vec<T>, StoreError>>;

impl Kept {
    /// At most so many, and what is set on each.
    pub(crate) const fn new(pool: PgPool, most: usize, settings: &'static str) -> Self {
        Self {
            pool,
            connections: Mutex::new(Vec::new()),
            most,
            settings,
        }
    }

    pub(crate) async fn take(&self) -> Result<PgConnection, sqlx::Error> {
        if self.pool.is_closed() {
            self.lock().clear();
            return Err(sqlx::Error::PoolClosed);
        }
        if let Some(connection) = self.lock().pop() {
            return Ok(connection);
        }
        // Those of the pool may all have gone, when the server was restarted.
        let mut lost = self.pool.options().get_max_connections();
        loop {
            // By the pool, so that whatever the application has set up for its connections holds.
            let mut connection = self.pool.acquire().await?.detach();
            match connection.execute(self.settings).await {
                Ok(_) => return Ok(connection),
                Err(error) if lost > 0 && is_lost(&error) => lost -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn put(&self, connection: PgConnection) {
        let mut kept = self.lock();
        if kept.len() < self.most {
            kept.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Keeps at most so many connections for itself.
    pub(crate) fn new(pool: PgPool, names: Names, keeps: usize) -> Self {
        Self {
            // A plan for whatever comes is as good as one for what has come, and is made once.
            kept: Kept::new(
                pool.clone(),
                keeps,
                names.settings("set plan_cache_mode = force_generic_plan; set jit = off"),
            ),
            pool,
            names,
        }
    }

    /// One answer for each call.
    pub(crate) async fn flush(&self, batch: Vec<Vec<Plan>>) -> Answers<Outcome> {
        let mut open = Open::new(&batch);
        let waiting: Vec<Waiting> = batch
            .into_iter()
            .enumerate()
            .flat_map(|(call, plans)| {
                plans
                    .into_iter()
                    .enumerate()
                    .map(move |(place, plan)| Waiting { call, place, plan })
            })
            .collect();
        if waiting.is_empty() {
            return open.answers();
        }
        if self.kept.most == 0 {
            match self.pool.acquire().await {
                Ok(mut connection) => {
                    self.rounds(&mut connection, waiting, &mut open).await;
                }
                Err(error) => open.fail_all(&connect_error(error)),
            }
        } else {
            match self.kept.take().await {
                Ok(mut connection) => {
                    self.rounds(&mut connection, waiting, &mut open).await;
                    // An error may have been the end of the connection, whatever it was called.
                    if !open.has_errors() || connection.ping().await.is_ok() {
                        self.kept.put(connection);
                    }
                }
                Err(error) => open.fail_all(&connect_error(error)),
            }
        }
        open.answers()
    }

    /// Applies all that waits.
    async fn rounds(
        &self,
        connection: &mut PgConnection,
        mut waiting: Vec<Waiting>,
        open: &mut Open,
    ) {
        while !waiting.is_empty() {
            let (round, rest) = self.round(waiting);
            waiting = rest;
            let again = self.run(connection, round, open).await;
            // Before those that were not looked at: they came first.
            waiting.splice(0..0, again);
            waiting.retain(|commit| !open.has_failed(commit.call));
        }
    }

    /// The first that waits, and all that go with it.
    fn round(&self, waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
        let mut keys = Keys::default();
        let mut first: Option<&Plan> = None;
        let fits: Vec<bool> = waiting
            .iter()
            .map(|commit| {
                let plan = &commit.plan;
                let fits = first.is_none_or(|first| {
                    self.names.dialect != Dialect::Citus
                        && !first.is_alone()
                        && !plan.is_alone()
                        && (!self.names.one_bucket || first.bucket == plan.bucket)
                });
                first = first.or(Some(plan));
                fits && keys.admit(plan)
            })
            .collect();
        let mut fits = fits.into_iter();
        waiting
            .into_iter()
            .partition(|_| fits.next().unwrap_or(false))
    }

    /// Runs a round; gives back what has to be looked at again.
    async fn run(
        &self,
        connection: &mut PgConnection,
        round: Vec<Waiting>,
        open: &mut Open,
    ) -> Vec<Waiting> {
        let plans: Vec<&Plan> = round.iter().map(|commit| &commit.plan).collect();
        match apply(connection, &self.names, &plans).await {
            Ok(verdicts) => {
                let mut again = Vec::new();
                for (commit, verdict) in round.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Is(outcome) => open.answer(commit.call, commit.place, outcome),
                        Verdict::Again => again.push(commit),
                    }
                }
                again
            }
            Err(error) if round.len() == 1 || !concerns_one(&error) => {
                let mut round = round.into_iter();
                let first = round.next();
                for commit in round {
                    open.fail(commit.call, another(&error));
                }
                if let Some(first) = first {
                    open.fail(first.call, error);
                }
                Vec::new()
            }
            // One of them is at fault, and takes no other one down: each on its own.
            Err(_) => {
                for commit in round {
                    match apply(connection, &self.names, &[&commit.plan]).await {
                        Ok(verdicts) => {
                            for verdict in verdicts {
                                if let Verdict::Is(outcome) = verdict {
                                    open.answer(commit.call, commit.place, outcome);
                                }
                            }
                        }
                        Err(error) => open.fail(commit.call, error),
                    }
                }
                Vec::new()
            }
        }
    }
}

/// Applies commits that go together, in a transaction of their own.
async fn apply(
    connection: &mut PgConnection,
    names: &Names,
    plans: &[&Plan],
) -> Result<Vec<Verdict>, StoreError> {
    for turn in 0..MAX_RUNS {
        let careful = turn > 0;
        let done = match plans {
            [plan] if plan.is_alone() => apply_alone(connection, names, plan, careful).await,
            plans => run(connection, names, plans, careful).await,
        };
        match done {
            Ok(verdicts) => return Ok(verdicts),
            Err(Failed::Sql(error) | Failed::Before(error))
                if is_overtaken(&error) || is_to_be_repeated(&error) => {}
            Err(failed) => return Err(failed.into_error(During::Committing)),
        }
    }
    Err(StoreError::Retryable(
        "other transactions were faster again and again".into(),
    ))
}

/// Runs the statement of commits that go together.
async fn run(
    connection: &mut PgConnection,
    names: &Names,
    plans: &[&Plan],
    careful: bool,
) -> Result<Vec<Verdict>, Failed> {
    if let ([plan], Dialect::Citus) = (plans, names.dialect) {
        let call = delegated::commit(names, plan).map_err(Failed::Store)?;
        let rows = fetch(connection, call).await.map_err(Failed::Sql)?;
        let outcome = delegated::outcome(&rows).map_err(Failed::Store)?;
        return Ok(vec![Verdict::Is(outcome)]);
    }
    if let [plan] = plans
        && let Some((sql, wanted)) = lone::commit(names, plan, careful)
    {
        let rows = fetch(connection, sql).await.map_err(Failed::Sql)?;
        let mut outcome = wanted.outcome(plan, &rows).map_err(Failed::Store)?;
        if !careful && plan.kept.is_some() && matches!(outcome, Outcome::Missed(_)) {
            // Maybe because it was applied before.
            let rows = fetch(connection, lone::receipt(names, plan))
                .await
                .map_err(Failed::Before)?;
            if let Some(receipt) = lone::kept(&rows).map_err(Failed::Store)? {
                outcome = Outcome::Already(receipt);
            }
        }
        return Ok(vec![Verdict::Is(outcome)]);
    }
    let sql = statement::commit(names, plans, common_bucket(plans));
    let rows = fetch(connection, sql).await.map_err(Failed::Sql)?;
    statement::verdicts(plans, &rows).map_err(Failed::Store)
}

/// A commit that counts rows or erases: its rows are locked first, so that a statement that begins
/// afterwards counts what stays.
async fn apply_alone(
    connection: &mut PgConnection,
    names: &Names,
    plan: &Plan,
    careful: bool,
) -> Result<Vec<Verdict>, Failed> {
    // Whatever the default is: see `apply_within`.
    let mut transaction = connection
        .begin_with("begin isolation level read committed")
        .await
        .map_err(before_commit)?;
    let applied = apply_within(&mut transaction, names, plan, careful).await;
    match applied {
        Ok(verdicts) => {
            transaction.commit().await.map_err(Failed::Sql)?;
            Ok(verdicts)
        }
        Err(failed) => {
            // If this fails, too, the connection is gone, and with it the transaction.
            let _ = transaction.rollback().await;
            Err(failed)
        }
    }
}

async fn apply_within(
    connection: &mut PgConnection,
    names: &Names,
    plan: &Plan,
    careful: bool,
) -> Result<Vec<Verdict>, Failed> {
    let plans = [plan];
    let counts_what_stays = if names.dialect == Dialect::Citus {
        // The function that is called locks before it counts.
        plan.counted.is_empty() || is_read_committed(connection).await.map_err(before_commit)?
    } else {
        let locked = fetch(connection, statement::lock(names, plan, plan.bucket))
            .await
            .map_err(before_commit)?;
        statement::counts_what_stays(names, &locked).map_err(before_commit)?
    };
    // Else the statement that counts sees what the one that locks has seen, and not what was
    // committed while that one waited.
    if !plan.counted.is_empty() && !counts_what_stays {
        return Err(Failed::Store(StoreError::Misuse {
            what: "what is counted needs a `read committed` transaction",
        }));
    }
    let verdicts = run(connection, names, &plans, careful)
        .await
        .map_err(Failed::before_commit)?;
    if let [Verdict::Is(Outcome::Applied)] = verdicts.as_slice() {
        for erasure in &plan.erasures {
            let [reply, event] = statement::erase(names, erasure);
            fetch(connection, reply).await.map_err(before_commit)?;
            let erased = fetch(connection, event).await.map_err(before_commit)?;
            if erased.len() != 1 {
                return Err(Failed::Store(NO_SUCH_EVENT));
            }
        }
    }
    Ok(verdicts)
}

/// Applies commits one by one inside somebody else's transaction, each call all or nothing.
pub(crate) async fn apply_borrowed(
    connection: &mut PgConnection,
    names: &Names,
    plans: &[Plan],
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::with_capacity(plans.len());
    for plan in plans {
        outcomes.push(apply_in_savepoint(connection, names, plan).await?);
    }
    Ok(outcomes)
}

/// What fails is undone up to a savepoint, so that the transaction around it can go on.
async fn apply_in_savepoint(
    connection: &mut PgConnection,
    names: &Names,
    plan: &Plan,
) -> Result<Outcome, StoreError> {
    let failure = |error| store_error(error, During::Reading);
    for turn in 0..MAX_RUNS {
        let careful = turn > 0;
        connection
            .execute("savepoint guestlist_commit")
            .await
            .map_err(failure)?;
        match apply_within(connection, names, plan, careful).await {
            Ok(verdicts) => {
                connection
                    .execute("release guestlist_commit")
                    .await
                    .map_err(failure)?;
                return match verdicts.into_iter().next() {
                    Some(Verdict::Is(outcome)) => Ok(outcome),
                    _ => Err(StoreError::corrupt("a commit without an answer")),
                };
            }
            Err(failed) => {
                let undone = connection
                    .execute("rollback to guestlist_commit; release guestlist_commit")
                    .await;
                match failed {
                    Failed::Before(error) if is_overtaken(&error) && undone.is_ok() => {
                        if careful && !is_read_committed(connection).await.map_err(failure)? {
                            // It would see again what it has seen.
                            return Err(StoreError::Retryable(Box::new(error)));
                        }
                    }
                    failed => return Err(failed.into_error(During::Reading)),
                }
            }
        }
    }
    Err(StoreError::Retryable(
        "other transactions were faster again and again".into(),
    ))
}

/// Whether the next statement sees what was committed before it begins.
async fn is_read_committed(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection
        .fetch_one("select 1, current_setting('transaction_isolation')")
        .await?;
    statement::sees_anew(&[row])
}

/// Runs a statement to its end: what it answers is only good once the server has said that it is
/// ready for the next.
pub(crate) async fn fetch(
    connection: &mut PgConnection,
    sql: Sql<'_>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let arguments = sql.parameters.finish()?;
    sqlx::query_with(AssertSqlSafe(sql.text), arguments)
        .fetch_all(connection)
        .await
}

/// Why commits were not applied.
enum Failed {
    Sql(sqlx::Error),
    /// Before the end of the transaction, which can't have been committed.
    Before(sqlx::Error),
    Store(StoreError),
}

impl Failed {
    /// What failed was not the end of the transaction.
    fn before_commit(self) -> Self {
        match self {
            Self::Sql(error) => Self::Before(error),
            failed => failed,
        }
    }

    fn into_error(self, during: During) -> StoreError {
        match self {
            Self::Sql(error) => store_error(error, during),
            Self::Before(error) => store_error(error, During::Reading),
            Self::Store(error) => error,
        }
    }
}

const fn before_commit(error: sqlx::Error) -> Failed {
    Failed::Before(error)
}

/// Whether the same is to be sent again: of two that were in each other's way, it is the one that was
/// broken off.
pub(crate) fn is_to_be_repeated(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "40P01" || code == "40001")
}

fn common_bucket(plans: &[&Plan]) -> Option<i64> {
    let mut buckets = plans.iter().map(|plan| plan.bucket);
    let first = buckets.next().flatten()?;
    buckets.all(|bucket| bucket == Some(first)).then_some(first)
}

/// Whether an error may be about one commit of several only.
const fn concerns_one(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Malformed { .. } | StoreError::Corrupt { .. } | StoreError::Fatal(_)
    )
}

/// The same error, for another one that it concerns.
pub(crate) fn another(error: &StoreError) -> StoreError {
    let text = || {
        core::error::Error::source(error)
            .map_or_else(|| error.to_string(), ToString::to_string)
            .into()
    };
    match error {
        StoreError::Retryable(_) => StoreError::Retryable(text()),
        StoreError::Unknown(_) => StoreError::Unknown(text()),
        StoreError::Unavailable(_) => StoreError::Unavailable(text()),
        StoreError::Full(_) => StoreError::Full(text()),
        StoreError::ReadOnly(_) => StoreError::ReadOnly(text()),
        StoreError::Denied(_) => StoreError::Denied(text()),
        StoreError::Corrupt { what } => StoreError::corrupt(what.clone()),
        StoreError::Foreign { what } => StoreError::Foreign { what: what.clone() },
        StoreError::Malformed { what } => StoreError::Malformed { what },
        StoreError::Misuse { what } => StoreError::Misuse { what },
        _ => StoreError::Fatal(text()),
    }
}

/// What becomes of the calls of a batch.
struct Open {
    calls: Vec<Call>,
}

struct Call {
    outcomes: Vec<Option<Outcome>>,
    error: Option<StoreError>,
}

impl Open {
    fn new(batch: &[Vec<Plan>]) -> Self {
        let call = |plans: &Vec<Plan>| Call {
            outcomes: plans.iter().map(|_| None).collect(),
            error: None,
        };
        Self {
            calls: batch.iter().map(call).collect(),
        }
    }

    fn answer(&mut self, call: usize, place: usize, outcome: Outcome) {
        if let Some(open) = self
            .calls
            .get_mut(call)
            .and_then(|call| call.outcomes.get_mut(place))
        {
            *open = Some(outcome);
        }
    }

    fn fail(&mut self, call: usize, error: StoreError) {
        if let Some(call) = self.calls.get_mut(call) {
            call.error.get_or_insert(error);
        }
    }

    fn fail_all(&mut self, error: &StoreError) {
        for call in &mut self.calls {
            call.error.get_or_insert_with(|| another(error));
        }
    }

    fn has_errors(&self) -> bool {
        self.calls.iter().any(|call| call.error.is_some())
    }

    fn has_failed(&self, call: usize) -> bool {
        self.calls
            .get(call)
            .is_some_and(|call| call.error.is_some())
    }

    fn answers(self) -> Answers<Outcome> {
        self.calls.into_iter().map(Call::answer).collect()
    }
}

impl Call {
    fn answer(self) -> Result<Vec<Outcome>, StoreError> {
        let applied = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Applied));
        match self.error {
            // Some of the call's commits are applied already, and stay so.
            Some(error) if self.outcomes.iter().any(applied) => {
                Err(StoreError::Unknown(Box::new(error)))
            }
            Some(error) => Err(error),
            None => self
                .outcomes
                .into_iter()
                .map(|outcome| {
                    outcome.ok_or_else(|| StoreError::corrupt("a commit without an answer"))
                })
                .collect(),
        }
    }
}

/// What the commits of a round read and write.
#[derive(Default)]
struct Keys<'a> {
    held: BTreeMap<Key<'a>, Hold>,
}

/// A row: its table, and its key there.
type Key<'a> = (&'static str, &'a [Value]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Reads,
    Writes,
    /// Adds one to a counter that may be at most this.
    Counts(i64),
}

impl<'a> Keys<'a> {
    /// Adds a commit, unless it reads or writes what one before it writes.
    fn admit(&mut self, plan: &'a Plan) -> bool {
        let wanted = Self::of(plan);
        let fits = wanted.iter().all(|(key, hold)| {
            self.held
                .get(key)
                .is_none_or(|held| held == hold && *hold != Hold::Writes)
        });
        if fits {
            self.held.extend(wanted);
        }
        fits
    }

    fn of(plan: &'a Plan) -> BTreeMap<Key<'a>, Hold> {
        let mut keys: BTreeMap<Key<'a>, Hold> = BTreeMap::new();
        if plan.kept.is_some() {
            keys.insert(("commits", &plan.receipt), Hold::Writes);
        }
        for fact in &plan.facts {
            keys.insert((fact.table.name, &fact.key), Hold::Reads);
        }
        for counter in &plan.counters {
            let hold = if counter.is_simple() {
                Hold::Counts(counter.most)
            } else {
                Hold::Writes
            };
            keys.insert((counter.table.name, &counter.key), hold);
        }
        for put in &plan.puts {
            let key = put.values.get(..put.table.key.len()).unwrap_or(&put.values);
            keys.insert((put.table.name, key), Hold::Writes);
        }
        for (table, key) in &plan.deletes {
            keys.insert((table.name, key), Hold::Writes);
        }
        keys
    }
}
