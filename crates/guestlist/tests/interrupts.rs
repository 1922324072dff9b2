//! Callers that go away: a command that is dropped wherever it waits has left everything or nothing
//! of each of its commits, and called again with its key it ends as it would have.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use common::{
    builder, clock, link, org, over, owner, register, scope_of, to_all, user, user_member,
};
use guestlist::membership::{Records, Row, RowKey, evolve};
use guestlist::store::{
    Capabilities, Kv, KvCheck, KvCommitted, KvOp, KvRange, KvStore, Load, MemoryKv, StoreError,
};
use guestlist::{
    Claim, Guestlist, InviteOutcome, InviteToken, LinkDraft, ManualClock, MemoryStore,
    NewOrganization, OrgId, Store, Uses,
};
use guestlist_testkit::invariants::{State, check};

/// Whoever polls has to come again.
async fn wait() {
    let mut waited = false;
    poll_fn(|_| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        Poll::Pending
    })
    .await;
}

/// What a future comes to that is polled so often at most, and then dropped.
fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

/// More than anything here takes.
const MOST_POLLS: usize = 10_000;

fn finished<T>(future: impl Future<Output = T>) -> T {
    polled(MOST_POLLS, future).expect("nothing here waits for anybody")
}

type Kept = Vec<(Vec<u8>, Vec<u8>)>;

/// The engine of `MemoryStore`, where everybody waits before and after each operation: so an answer
/// can be lost, too.
struct Waits {
    kv: MemoryKv,
    commits: Mutex<Vec<Kept>>,
}

#[async_trait]
impl Kv for Waits {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        wait().await;
        let found = self.kv.get(keys).await;
        wait().await;
        found
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        wait().await;
        let found = self.kv.scan(range, limit).await;
        wait().await;
        found
    }

    async fn commit(&self, checks: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError> {
        wait().await;
        let done = self.kv.commit(checks, ops).await?;
        if done == KvCommitted::Applied {
            self.commits.lock().unwrap().push(self.kv.dump());
        }
        wait().await;
        Ok(done)
    }
}

/// What every command begins with.
struct World {
    kept: Kept,
    /// Of a link with one use left.
    open: InviteToken,
    /// Of an e-mail invite.
    invited: InviteToken,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::default();
        let (open, invited) = finished(async {
            let guestlist = over(store.clone(), &clock(), 41);
            register(&guestlist, &["host"]).await;
            let draft = LinkDraft::auto().max_uses(Uses::AtMost(2));
            let (_, open) = link(&guestlist, "host", draft).await;
            let (_, review) = link(&guestlist, "host", LinkDraft::review()).await;
            let ben = user("ben")
                .with_verified_email("ben@example.com".parse().unwrap())
                .with_display_name("Ben Personal".parse().unwrap());
            for (actor, token) in [(ben, &open), (user("ann"), &review)] {
                let claim = Claim::for_myself();
                guestlist.claim(&actor, token, claim).await.unwrap();
            }
            let invitations = to_all(["dan@example.com"]);
            let mut outcomes = guestlist
                .invite(&owner("host"), &org("host"), invitations)
                .await
                .unwrap();
            let Some(InviteOutcome::Invited(mut invited)) = outcomes.pop() else {
                panic!("nobody was invited");
            };
            // The rest is left for later.
            guestlist.seal_audit(3).await.unwrap();
            (open, invited.token.take().unwrap())
        });
        Self {
            kept: store.kv().dump(),
            open,
            invited,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    CreateLink,
    Claim,
    Approve,
    Remove,
    Accept,
    Rename,
    Register,
    Delete,
    Erase,
    SealAudit,
}

/// Each with the number of its commits: a name is taken before it is used, and the chain is taken,
/// written and given back.
const COMMANDS: [(Command, usize); 10] = [
    (Command::CreateLink, 1),
    (Command::Claim, 1),
    (Command::Approve, 1),
    (Command::Remove, 1),
    (Command::Accept, 1),
    (Command::Rename, 2),
    (Command::Register, 2),
    (Command::Delete, 1),
    (Command::Erase, 1),
    (Command::SealAudit, 3),
];

/// Performs a command with its key, and tells the answer.
async fn perform<S: Store>(guestlist: &Guestlist<S>, world: &World, command: Command) -> String {
    let g = guestlist.with_key("once".parse().unwrap());
    let (alice, host) = (owner("host"), org("host"));
    let (ann, ben) = (user_member("ann"), user_member("ben"));
    match command {
        Command::CreateLink => {
            let draft = LinkDraft::review().max_uses(Uses::AtMost(3));
            let issued = g.create_link(&alice, &host, draft).await.unwrap();
            // Its token is shown once.
            format!("{:?}", issued.link)
        }
        Command::Claim => {
            let claim = Claim::for_myself();
            let claimed = g.claim(&user("cat"), &world.open, claim).await;
            format!("{:?}", claimed.unwrap())
        }
        Command::Approve => format!("{:?}", g.approve(&alice, &host, &ann).await.unwrap()),
        Command::Remove => {
            let removed = g.remove(&alice, &host, &ben, None).await;
            format!("{:?}", removed.unwrap())
        }
        Command::Accept => {
            let dan = user("dan").with_verified_email("dan@example.com".parse().unwrap());
            let accepted = g.accept(&dan, &world.invited, Claim::for_myself()).await;
            format!("{:?}", accepted.unwrap())
        }
        Command::Rename => {
            let name = "renamed".parse().unwrap();
            format!("{:?}", g.rename(&alice, &host, name).await.unwrap())
        }
        Command::Register => {
            let new = NewOrganization::new(org("new"), "new".parse().unwrap());
            let new = new.founder("new-owner".parse().unwrap());
            format!("{:?}", g.register(new).await.unwrap())
        }
        Command::Delete => format!("{:?}", g.delete(&alice, &host).await.unwrap()),
        Command::Erase => {
            // It counts what this very call has erased.
            g.erase(&alice, &host, &ben).await.unwrap();
            String::new()
        }
        Command::SealAudit => format!("{:?}", g.seal_audit(1000).await.unwrap()),
    }
}

/// What has happened, in order; and that all that is stored is sound, and is what the log and its
/// chain say.
async fn sound<S: Store>(guestlist: &Guestlist<S>) -> Vec<(OrgId, &'static str)> {
    let page = guestlist.feed(None, 1000).await.unwrap();
    let log: Vec<_> = page
        .events
        .into_iter()
        .map(|recorded| (recorded.organization, recorded.stamp, recorded.event))
        .collect();
    let mut folded = Records::new();
    for (host, stamp, event) in &log {
        evolve(&mut folded, host, stamp, event);
    }
    let mut stored = Records::new();
    for (key, _, _) in folded.changes() {
        let scope = scope_of(key);
        let snapshot = guestlist.store().load(&Load::of(&scope)).await.unwrap();
        for (key, row) in snapshot.records().iter() {
            stored.insert(key.clone(), row.clone());
        }
        for (host, book) in snapshot.books() {
            let book = book.whole().unwrap();
            for group in book.groups() {
                let key = RowKey::Group(host.clone(), group.id);
                stored.insert(key, Row::Group(group.clone()));
                for member in book.members_of(group.id) {
                    let key = RowKey::GroupMember(host.clone(), group.id, member.clone());
                    stored.insert(key, Row::GroupMember);
                }
            }
            for grant in book.grants() {
                let key = RowKey::Grant(host.clone(), grant.id);
                stored.insert(key, Row::Grant(Box::new(grant.clone())));
            }
        }
    }
    let state = State::of_rows(&stored, guestlist.roles()).with_log(&log);
    assert_eq!(check(&state), []);
    assert!(guestlist.verify_audit(None).await.unwrap().intact);
    log.into_iter()
        .map(|(host, _, event)| (host, event.name()))
        .collect()
}

fn dice(number: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([number; 32])
}

const MINUTE: Duration = Duration::from_secs(60);

/// A process on a copy of the world.
struct Process {
    guestlist: Guestlist<KvStore<Waits>>,
    clock: Arc<ManualClock>,
    dice: Arc<Mutex<ChaCha20Rng>>,
}

impl Process {
    fn on(world: &World) -> Self {
        let kv = MemoryKv::default();
        let puts: Vec<_> = world
            .kept
            .iter()
            .map(|(key, value)| KvOp::Put {
                key: key.clone(),
                value: value.clone(),
            })
            .collect();
        let done = finished(kv.commit(&[], &puts)).unwrap();
        assert_eq!(done, KvCommitted::Applied);
        let commits = Mutex::default();
        let capabilities = Capabilities::immediate(false, false);
        let store = KvStore::new(Waits { kv, commits }, capabilities);
        let (clock, dice) = (clock(), Arc::new(Mutex::new(dice(1))));
        clock.advance(MINUTE);
        let guestlist = builder(store, &clock, 0).entropy(Arc::clone(&dice));
        Self {
            guestlist: guestlist.build(),
            clock,
            dice,
        }
    }

    /// From now on it is later than anything that was taken for a while, and other ids are drawn.
    fn later(&self) {
        self.clock.advance(2 * MINUTE);
        *self.dice.lock().unwrap() = dice(2);
    }

    fn perform(&self, world: &World, command: Command) -> String {
        finished(perform(&self.guestlist, world, command))
    }

    fn kept(&self) -> Kept {
        self.guestlist.store().kv().kv.dump()
    }

    /// What was kept after each commit.
    fn commits(&self) -> Vec<Kept> {
        self.guestlist.store().kv().commits.lock().unwrap().clone()
    }
}

#[test]
fn a_caller_that_goes_away_leaves_everything_or_nothing() {
    let world = World::new();
    for (command, commits) in COMMANDS {
        // Nobody goes away: from the first call, and from a later one.
        let undisturbed = Process::on(&world);
        let first = undisturbed.perform(&world, command);
        let mut states = vec![world.kept.clone()];
        states.extend(undisturbed.commits());
        assert_eq!(states.len(), commits + 1, "{command:?}: commits, and one");
        let undisturbed = Process::on(&world);
        undisturbed.later();
        let second = undisturbed.perform(&world, command);
        let end = undisturbed.kept();
        let told = finished(sound(&undisturbed.guestlist));

        // The chain is taken and given back again with every call.
        let writes_always = command == Command::SealAudit;
        let mut reached = BTreeSet::new();
        let mut is_answer_lost = false;
        for times in 1..MOST_POLLS {
            let process = Process::on(&world);
            let done = polled(times, perform(&process.guestlist, &world, command));
            let left = process.kept();
            let state = states.iter().position(|state| *state == left);
            let state = state
                .unwrap_or_else(|| panic!("{command:?}, polled {times} times, is there in part"));
            let what = format!("{command:?}, polled {times} times, {state} of {commits} commits");
            finished(sound(&process.guestlist));
            reached.insert(state);
            is_answer_lost |= done.is_none() && state == commits;

            process.later();
            let again = process.perform(&world, command);
            let expected = if state == commits { &first } else { &second };
            assert_eq!(again, *expected, "{what}");
            assert!(finished(sound(&process.guestlist)) == told, "{what}");
            let kept = process.kept();
            if state == 0 {
                assert!(kept == end, "{what}: it left something");
            }
            if state == commits && !writes_always {
                assert!(kept == left, "{what}: it was done twice");
            }
            assert_eq!(process.perform(&world, command), again, "{what}");
            assert!(process.kept() == kept || writes_always, "{what}");
            if let Some(answer) = done {
                assert_eq!(answer, first, "{what}");
                assert_eq!(state, commits, "{what}");
                break;
            }
        }
        assert_eq!(reached.len(), commits + 1, "{command:?}");
        assert!(is_answer_lost, "{command:?}");
    }
}
