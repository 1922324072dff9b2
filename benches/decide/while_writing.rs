//! Checks through the facade while somebody else changes the rules all the time.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use guestlist::sqlite::SqliteStore;
use guestlist::{
    Action, ActionSet, Actor, Audience, Grantee, Guestlist, Key, Member, NewOrganization, OrgId,
    Pattern, Pepper, PepperId, PepperRing, Preset, UserId,
};
use tokio::runtime;

use guestlist_access::Grant;

use crate::harness::{Case, Run, Target, count, now, side_by_side};

const WINDOW: Duration = Duration::from_millis(500);
/// How many rows a request decides on.
const ROWS: usize = 1_000;

type Library = Arc<Guestlist<SqliteStore>>;

struct Host {
    guestlist: Library,
    id: OrgId,
    founder: Actor,
    /// Somebody who holds what everybody does.
    ann: Actor,
    keys: Vec<Key>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

impl Host {
    async fn new(store: SqliteStore, grants: usize) -> Self {
        let pepper = Pepper::from_bytes(&[7; 32]).expect("32 bytes are enough");
        let ring = PepperRing::new(PepperId::new(1), pepper);
        let user = UserId::parse("founder").expect("a plain id");
        let ann = UserId::parse("ann").expect("a plain id");
        let id = OrgId::parse("host").expect("a plain id");
        let host = Self {
            guestlist: Arc::new(Guestlist::new(store, ring)),
            founder: Actor::user(user.clone()).in_organization(id.clone()),
            ann: Actor::user(ann.clone()).in_organization(id.clone()),
            id: id.clone(),
            keys: (0..ROWS)
                .map(|row| format!("folder{:05}/file", row % grants))
                .map(|key| Key::parse(&key).expect("a plain key"))
                .collect(),
        };
        let new = NewOrganization::new(id, "host".parse().expect("a plain name"));
        let registered = host.guestlist.register(new.founder(user)).await;
        registered.expect("the name is free");
        let (ann, gift) = (Member::User(ann), Preset::default());
        let (by, to) = (&host.founder, &host.id);
        let added = host.guestlist.add_member(by, to, &ann, gift, None).await;
        added.expect("founders add members");
        for number in 0..grants {
            host.grant(number).await;
        }
        host
    }

    async fn grant(&self, number: usize) -> Grant {
        let pattern = Pattern::parse(&format!("folder{number:05}/")).expect("a prefix");
        let (to, read) = (
            Grantee::Organization(Audience::Everyone),
            ActionSet::of(&[Action::Read]),
        );
        let given = self
            .guestlist
            .grant(&self.founder, &self.id, to, read, pattern, None);
        given.await.expect("founders hold everything")
    }

    /// How many checks are made in a second, with one read for as many as a request has rows.
    fn checks(&self) -> f64 {
        block_on(async {
            let begin = now();
            let mut checks = 0;
            while begin.elapsed() < WINDOW {
                let rights = self.guestlist.rights(&self.ann, None).await;
                let rights = rights.expect("the store answers");
                let allowed = self
                    .keys
                    .iter()
                    .filter(|key| rights.allows(Action::Read, key));
                assert_eq!(allowed.count(), ROWS, "all of them are granted");
                checks += ROWS;
            }
            count(checks) / begin.elapsed().as_secs_f64()
        })
    }

    /// The same while grants come and go.
    fn beside_a_writer(&self, changes: &AtomicU64) -> f64 {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                block_on(async {
                    while !is_over.load(Ordering::Relaxed) {
                        let grant = self.grant(99_999).await;
                        let gone = self.guestlist.revoke(&self.founder, &self.id, grant.id);
                        gone.await.expect("it is there");
                        changes.fetch_add(2, Ordering::Relaxed);
                    }
                });
            });
            let checks = self.checks();
            is_over.store(true, Ordering::Relaxed);
            checks
        })
    }
}

pub fn measure(run: &mut Run) {
    for grants in [run.size(100, 1_000), run.size(200, 20_000)] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::builder().path(folder.path().join("guestlist.db"));
        let store = store.open().expect("a new database");
        let host = block_on(Host::new(store, grants));
        let changes = AtomicU64::new(0);
        let repeats = run.size(1, 9);
        let label = format!("Checks, {grants} grants, {ROWS} for each read");
        let measured = side_by_side(
            &label,
            "per second",
            repeats,
            vec![
                Case::new("alone", || host.checks()),
                Case::new("beside a writer", || host.beside_a_writer(&changes)),
            ],
        );
        let seconds = count(repeats + 1) * WINDOW.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "there are less than 2^53 of them"
        )]
        let changes = changes.into_inner() as f64 / seconds;
        println!("  {changes:.0} changes per second meanwhile");
        run.target(
            &format!("checks beside a writer, {grants} grants, of those without"),
            measured.ratio("beside a writer", "alone"),
            Target::AtLeast(0.9),
        );
    }
}
