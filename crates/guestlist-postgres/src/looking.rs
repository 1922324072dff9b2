//! Rows that are asked for at the same time, looked up together.

use core::mem;

use guestlist_store::{Flush, StoreError, Together};
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection as _, Row as _};

use crate::error::{During, connect_error, is_lost, store_error};
use crate::flush::{Answers, Kept, another, fetch};
use crate::lookup::Request;
use crate::read::Ask;
use crate::sql::Names;

/// All of these are looked up by their keys, however few rows their tables had when it was planned.
const SETTINGS: &str = "set plan_cache_mode = force_generic_plan; set jit = off; \
    set enable_hashjoin = off; set enable_mergejoin = off; set enable_nestloop = on; \
    set enable_material = off; set enable_memoize = off; set enable_seqscan = off; \
    set enable_bitmapscan = off; set enable_indexscan = on";

/// Looks up what waits.
pub(crate) struct Looking {
    kept: Kept,
    names: Names,
}

impl Looking {
    pub(crate) fn new(pool: PgPool, names: Names, most: usize) -> Self {
        Self {
            kept: Kept::new(pool, most, names.settings(SETTINGS)),
            names,
        }
    }
}

impl Flush for Looking {
    type Item = Request;
    type Outcome = Option<PgRow>;

    async fn flush(&self, batch: Vec<Vec<Request>>) -> Answers<Option<PgRow>> {
        // Each call brings one.
        let mut waiting: Vec<(usize, Request)> = batch.into_iter().flatten().enumerate().collect();
        let mut answers: Answers<Option<PgRow>> = waiting
            .iter()
            .map(|_| Err(StoreError::Retryable("rows were not looked up".into())))
            .collect();
        while let Some((_, first)) = waiting.first().cloned() {
            let (group, rest): (Vec<_>, Vec<_>) = mem::take(&mut waiting)
                .into_iter()
                .partition(|(_, request)| request.is_like(&first));
            waiting = rest;
            let requests: Vec<&Request> = group.iter().map(|(_, request)| request).collect();
            let rows = self.look_up(&requests).await;
            for ((call, _), rows) in group.iter().zip(rows) {
                if let Some(answer) = answers.get_mut(*call) {
                    *answer = rows.map(|row| vec![row]);
                }
            }
        }
        answers
    }
}

impl Looking {
    async fn look_up(&self, requests: &[&Request]) -> Vec<Result<Option<PgRow>, StoreError>> {
        let mut connection = match self.kept.take().await {
            Ok(connection) => connection,
            Err(error) => return fail(requests, &connect_error(error)),
        };
        match run(&mut connection, &self.names, requests).await {
            Ok(rows) => {
                self.kept.put(connection);
                rows.into_iter().map(Ok).collect()
            }
            Err(error) if is_lost(&error) => fail(requests, &store_error(error, During::Reading)),
            // One of them is at fault, and takes no other one down: each on its own.
            Err(_) => {
                let mut rows = Vec::with_capacity(requests.len());
                for request in requests {
                    let row = run(&mut connection, &self.names, &[*request]).await;
                    rows.push(
                        row.map(|rows| rows.into_iter().next().flatten())
                            .map_err(|error| store_error(error, During::Reading)),
                    );
                }
                // An error may have been the end of the connection, whatever it was called.
                if connection.ping().await.is_ok() {
                    self.kept.put(connection);
                }
                rows
            }
        }
    }
}

fn fail<T>(requests: &[&Request], error: &StoreError) -> Vec<Result<T, StoreError>> {
    requests.iter().map(|_| Err(another(error))).collect()
}

async fn run(
    connection: &mut PgConnection,
    names: &Names,
    requests: &[&Request],
) -> Result<Vec<Option<PgRow>>, sqlx::Error> {
    let Some(first) = requests.first() else {
        return Ok(Vec::new());
    };
    if requests.len() == 1 {
        let rows = fetch(connection, first.statement(names)).await?;
        return Ok(vec![rows.into_iter().next()]);
    }
    let rows = fetch(connection, first.statement_for_all(names, requests)).await?;
    let at = first.number_at();
    let mut found: Vec<Option<PgRow>> = requests.iter().map(|_| None).collect();
    for row in rows {
        let number: i64 = row.try_get(at)?;
        let place = usize::try_from(number - 1).ok();
        if let Some(place) = place.and_then(|place| found.get_mut(place)) {
            *place = Some(row);
        }
    }
    Ok(found)
}

/// Together with all others that ask at the same time.
pub(crate) struct WithOthers<'a>(pub(crate) &'a Together<Looking>);

impl Ask for WithOthers<'_> {
    async fn ask(&mut self, request: Request) -> Result<Option<PgRow>, StoreError> {
        match self.0.commit(vec![request]).await {
            Ok(rows) => Ok(rows.into_iter().next().flatten()),
            // Nothing was to be changed.
            Err(StoreError::Unknown(error)) => Err(StoreError::Retryable(error)),
            Err(error) => Err(error),
        }
    }
}
