//! How commits that wait at the same time are committed together.

use core::error::Error;
use core::fmt;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::error::StoreError;
use crate::sync::{Mutex, MutexGuard};

/// How a store applies what several calls have sent, in one go.
///
/// This is what a store brings to [`Together`]: one transaction, or one statement, for the commits
/// of many calls.
pub trait Flush: Send + Sync + 'static {
    /// A commit as the store prepares it, before anybody waits for the database.
    type Item: Send + 'static;
    /// What became of one.
    type Outcome: Send + 'static;

    /// Applies the commits of some calls and answers with one entry per call, in order.
    ///
    /// Each commit is applied all or nothing. Each call has its own answer, with one outcome per
    /// item, in order; one that fails takes no other down. What is answered as applied is durable.
    /// No call is without items.
    ///
    /// A call without an entry is answered with [`StoreError::Unknown`], and so are all of them if
    /// this panics; then what it used must be as usable as before. If the future is dropped,
    /// each commit is applied or not, as with any store.
    ///
    /// # Errors
    ///
    /// An entry is an error about all of its call: [`StoreError::Unknown`] if some of it may have
    /// been applied, anything else if nothing was.
    fn flush(
        &self,
        batch: Vec<Vec<Self::Item>>,
    ) -> impl Future<Output = Vec<Result<Vec<Self::Outcome>, StoreError>>> + Send;
}

/// Commits together what waits at the same time. Clones share it.
///
/// Who comes while a worker is free is flushed at once, and nobody waits for others to come. What
/// comes while all are busy goes together into the next flush, in the order in which it came.
///
/// ```
/// use std::sync::Mutex;
/// use std::thread;
///
/// use guestlist_store::{Flush, StoreError, Together};
/// # use guestlist_store::conformance::block_on;
///
/// /// A table of numbers. Gives back where each of them stands.
/// struct Numbers(Mutex<Vec<u32>>);
///
/// impl Flush for Numbers {
///     type Item = u32;
///     type Outcome = usize;
///
///     async fn flush(&self, batch: Vec<Vec<u32>>) -> Vec<Result<Vec<usize>, StoreError>> {
///         let mut table = self.0.lock().unwrap();
///         let mut put = |number| {
///             table.push(number);
///             table.len() - 1
///         };
///         batch.into_iter().map(|call| Ok(call.into_iter().map(&mut put).collect())).collect()
///     }
/// }
///
/// let numbers = Numbers(Mutex::new(Vec::new()));
/// // On a runtime this is its `spawn`.
/// let together = Together::new(numbers, 1, 256, |worker| {
///     thread::spawn(move || block_on(worker));
///     Ok(())
/// });
/// assert_eq!(block_on(together.commit(vec![7, 8]))?, [0, 1]);
/// # Ok::<(), StoreError>(())
/// ```
pub struct Together<F: Flush> {
    shared: Arc<Shared<F>>,
}

/// Flushes until nothing waits, then ends.
///
/// It waits where the flush waits and nowhere else: over one that never does, a single poll is all
/// of it.
///
/// Dropping it leaves nobody waiting: what it was flushing is answered with
/// [`StoreError::Unknown`]. What waits goes to another worker that is running; if there is none, it
/// is answered with [`StoreError::Retryable`]. The next call starts a new worker.
#[must_use = "what waits is committed by running this"]
pub struct Worker {
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

type Cause = Box<dyn Error + Send + Sync>;
type Start = dyn Fn(Worker) -> Result<(), Cause> + Send + Sync;
type Answer<F> = Result<Vec<<F as Flush>::Outcome>, StoreError>;

struct Shared<F: Flush> {
    flush: F,
    workers: usize,
    limit: usize,
    start: Box<Start>,
    state: Mutex<State<F>>,
}

struct State<F: Flush> {
    waiting: VecDeque<Call<F>>,
    /// Workers that have been made and have not ended. Less than allowed only if nothing waits,
    /// or while one can't be started.
    running: usize,
    /// How many are inside `start` just now: they see to what waits if no worker comes of it.
    starting: usize,
}

/// What one caller sent, and where its answer goes.
struct Call<F: Flush> {
    items: Vec<F::Item>,
    answer: Sender<Answer<F>>,
}

impl<F: Flush> Together<F> {
    /// Nothing waits and no worker runs yet.
    ///
    /// `workers`: how many flushes may be under way at the same time, at least one. `limit`: how
    /// many commits go into a flush at most; a call is never split, and one with more goes alone.
    ///
    /// `start` has a worker run to its end: on a runtime, or on a thread of the store. It is called
    /// where a [`commit`](Self::commit) is polled that comes while fewer workers run than may. If
    /// it fails and no other worker runs, everybody who waits is answered with
    /// [`StoreError::Unavailable`] and its error as the source; the next call tries again.
    pub fn new(
        flush: F,
        workers: usize,
        limit: usize,
        start: impl Fn(Worker) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                flush,
                workers: workers.max(1),
                limit,
                start: Box::new(start),
                state: Mutex::new(State {
                    waiting: VecDeque::new(),
                    running: 0,
                    starting: 0,
                }),
            }),
        }
    }

    /// Applies what one call brings: each item all or nothing, with one outcome per item, in order.
    ///
    /// It is sent with the first poll. Dropping the future afterwards drops only the answer: what
    /// was sent is applied all the same, also when all of the clones are gone.
    ///
    /// # Errors
    ///
    /// What [`Flush::flush`] answers this call with. [`StoreError::Unknown`] if its flush panicked
    /// or the worker was lost during it; [`StoreError::Retryable`] if the worker was lost before
    /// it, and [`StoreError::Unavailable`] if none could be started.
    pub async fn commit(&self, items: Vec<F::Item>) -> Result<Vec<F::Outcome>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = channel();
        self.shared.send(Call { items, answer });
        answered.await.unwrap_or_else(|| {
            let what = "the commit was begun and its end was not seen";
            Err(StoreError::Unknown(what.into()))
        })
    }
}

impl<F: Flush> Clone for Together<F> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<F: Flush> fmt::Debug for Together<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("Together")
            .field("waiting", &state.waiting.len())
            .field("running", &state.running)
            .finish_non_exhaustive()
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.run.as_mut().poll(context)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl<F: Flush> Shared<F> {
    fn send(self: &Arc<Self>, call: Call<F>) {
        let mut state = lock(&self.state);
        state.waiting.push_back(call);
        if state.running >= self.workers {
            return;
        }
        state.running += 1;
        state.starting += 1;
        drop(state);
        let running = Running {
            shared: Arc::clone(self),
            answers: Vec::new(),
            is_over: false,
        };
        let mut starting = Starting {
            shared: self,
            failed: None,
        };
        let worker = Worker {
            run: Box::pin(running.run()),
        };
        starting.failed = (self.start)(worker).err();
    }
}

impl<F: Flush> State<F> {
    /// What goes into the next flush: what waits longest, as much as the limit allows.
    fn take(&mut self, limit: usize) -> Vec<Call<F>> {
        let mut size = 0_usize;
        let mut calls = 0;
        for call in &self.waiting {
            size = size.saturating_add(call.items.len());
            if calls > 0 && size > limit {
                break;
            }
            calls += 1;
        }
        self.waiting.drain(..calls).collect()
    }

    /// What nobody would flush unless somebody else came.
    fn stranded(&mut self) -> VecDeque<Call<F>> {
        if self.running == 0 && self.starting == 0 {
            core::mem::take(&mut self.waiting)
        } else {
            VecDeque::new()
        }
    }
}

/// A worker, from when it is made until it ends, however it does.
struct Running<F: Flush> {
    shared: Arc<Shared<F>>,
    /// Of what is being flushed. Here, so that whoever is told that this worker was lost finds its
    /// place free.
    answers: Vec<Sender<Answer<F>>>,
    is_over: bool,
}

impl<F: Flush> Running<F> {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            let done = caught(async { self.shared.flush.flush(batch).await }).await;
            let answers = core::mem::take(&mut self.answers);
            // Who gets no answer is told that it is not known.
            for (answer, done) in answers.into_iter().zip(done.unwrap_or_default()) {
                answer.send(done);
            }
        }
    }

    fn next(&mut self) -> Option<Vec<Vec<F::Item>>> {
        let mut state = lock(&self.shared.state);
        let calls = state.take(self.shared.limit);
        if calls.is_empty() {
            // In the same breath, or somebody who comes now would rely on this worker.
            state.running -= 1;
            self.is_over = true;
            return None;
        }
        drop(state);
        let calls = calls.into_iter().map(|call| (call.items, call.answer));
        let (batch, answers) = calls.unzip();
        self.answers = answers;
        Some(batch)
    }
}

impl<F: Flush> Drop for Running<F> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = lock(&self.shared.state);
        state.running -= 1;
        let stranded = state.stranded();
        drop(state);
        refuse(stranded, None);
    }
}

/// A call of `start`, until it returns or panics.
struct Starting<'a, F: Flush> {
    shared: &'a Shared<F>,
    failed: Option<Cause>,
}

impl<F: Flush> Drop for Starting<'_, F> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.starting -= 1;
        let stranded = state.stranded();
        drop(state);
        refuse(stranded, self.failed.take());
    }
}

/// Answers calls of which nothing was applied.
fn refuse<F: Flush>(calls: VecDeque<Call<F>>, failed: Option<Cause>) {
    let failed: Option<Arc<dyn Error + Send + Sync>> = failed.map(Arc::from);
    for call in calls {
        call.answer.send(Err(match &failed {
            Some(cause) => StoreError::Unavailable(Box::new(Arc::clone(cause))),
            None => StoreError::Retryable("what was to commit was lost before it began".into()),
        }));
    }
}

/// The value of a future; `None` if it panics.
async fn caught<T>(future: impl Future<Output = T> + Send) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
            .map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

/// Nothing panics while one of these locks is held, so a poisoned one guards a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One value, once, from a worker to a caller.
struct Sender<T>(Arc<Mutex<Slot<T>>>);

/// Gives the value, or `None` if the sender was dropped without one.
struct Receiver<T>(Arc<Mutex<Slot<T>>>);

enum Slot<T> {
    Open(Option<Waker>),
    Closed(Option<T>),
}

fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Mutex::new(Slot::Open(None)));
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

impl<T> Sender<T> {
    fn send(self, value: T) {
        self.close(Some(value));
    }

    fn close(&self, value: Option<T>) {
        let mut slot = lock(&self.0);
        if let Slot::Open(waker) = &mut *slot {
            let waker = waker.take();
            *slot = Slot::Closed(value);
            drop(slot);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.close(None);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut *lock(&self.0) {
            Slot::Closed(value) => Poll::Ready(value.take()),
            Slot::Open(Some(waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            Slot::Open(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests;
