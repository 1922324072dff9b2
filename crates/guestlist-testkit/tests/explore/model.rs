//! The machine: what may happen next in a small world of three members, two links and two clients
//! whose commands are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use guestlist_access::RoleCatalog;
use guestlist_membership::link::{
    Expiry, Generation, Lasting, LinkCommand, LinkDraft, NewToken, Uses,
};
use guestlist_membership::member::{Changes, MemberCommand, Profile};
use guestlist_membership::organization::Settings;
use guestlist_membership::testing::{
    START, World, founder, link_id, org, org_member, presented, user_member,
};
use guestlist_membership::{
    Actor, AfterRejection, By, Command, CommandError, Env, Home, RowKey, Seats, Stamp, Stated,
    decide, evolve,
};
use guestlist_store::conformance::block_on;
use guestlist_store::{
    Check, CommandDigest, Commit, Committed, Draft, Load, MemoryStore, Receipt, Revision, Store,
    Write,
};
use guestlist_token::{PepperId, Selector, TokenTag};
use guestlist_types::{Bucket, CommitId, LinkId, Member, ProxyUserId, Timestamp};
use stateright::{Model, Property};

use crate::judge::{self, Fault, REACHED, Reached};
use crate::shelf::{Defect, Outcome, Press, Shelf};

pub(crate) const LINKS: [u8; 2] = [1, 2];

/// So many tokens of each link.
const GENERATIONS: u32 = 2;

/// The clock stands at one of these steps of an hour each.
const STEPS: u8 = 3;
pub(crate) const STEP: Duration = Duration::from_secs(3600);

/// Two clients whose commands are under way. A third one is always in between: its commands are
/// decided and committed in one step.
const CLIENTS: usize = 2;

/// The time at a step of the clock.
pub(crate) fn at(step: u8) -> Timestamp {
    START + STEP * (u32::from(step) + 1)
}

/// What the small world is like.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) members: [Member; 3],
    /// How many uses each link has.
    uses: [u64; 2],
    /// Whether each link expires at the third step.
    expires: [bool; 2],
    /// Whether who was rejected waits a step before coming back.
    pub(crate) cools_down: bool,
    pub(crate) seats: Option<Seats>,
    /// Whether the old token works for another step after a refresh.
    overlaps: bool,
}

impl Variant {
    /// One of 288, by its number.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rest = seed.wrapping_sub(1);
        let mut pick = |of: u64| {
            let picked = rest % of;
            rest /= of;
            picked
        };
        let seats = |limit, count_pending| {
            let limit = NonZeroU64::new(limit).expect("there are seats");
            Some(Seats {
                limit,
                count_pending,
            })
        };
        Self {
            members: match pick(3) {
                0 => [user_member(4), user_member(5), org_member(1)],
                1 => [user_member(4), org_member(1), org_member(2)],
                _ => [user_member(4), user_member(5), user_member(6)],
            },
            // The founder has one of the seats.
            seats: match pick(3) {
                0 => None,
                1 => seats(3, false),
                _ => seats(3, true),
            },
            uses: [2 - pick(2), 1 + pick(2)],
            // Not both, or nobody could come back whose time has run out.
            expires: if pick(2) == 0 {
                [true, false]
            } else {
                [false, true]
            },
            cools_down: pick(2) == 1,
            overlaps: pick(2) == 1,
        }
    }

    /// Whether so many may get past the links that one is left without a seat.
    pub(crate) fn seats_can_fill(&self) -> bool {
        self.seats.is_some() && self.uses.iter().sum::<u64>() > 2
    }

    fn world(&self) -> World {
        let mut world = World::new();
        let cool_down = AfterRejection::CoolDown(STEP);
        let settings = Settings {
            request_ttl: Some(STEP),
            seats: self.seats,
            after_rejection: if self.cools_down {
                cool_down
            } else {
                AfterRejection::Again
            },
            ..Settings::default()
        };
        world.register(0, settings);
        for number in [1, 2] {
            world.register(number, Settings::default());
        }
        for (index, number) in LINKS.into_iter().enumerate() {
            let draft = match number {
                1 => LinkDraft::review(),
                _ => LinkDraft::auto().membership_ttl(Lasting::For(STEP)),
            };
            let expiry = if self.expires[index] {
                Expiry::At(at(2))
            } else {
                Expiry::Never
            };
            let draft = draft
                .max_uses(Uses::AtMost(self.uses[index]))
                .expiry(expiry);
            world
                .create(0, &founder(0), number, draft)
                .expect("founders make links");
        }
        world
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Claim(Member, Selector),
    Approve(Member),
    /// A member approves itself, which nobody may.
    Intrude(Member),
    Reject(Member),
    Remove(Member),
    Cancel(Member),
    Leave(Member),
    Expire(Member),
    Refresh(LinkId),
    Disable(LinkId),
    Enable(LinkId),
    Delete(LinkId),
    Close(LinkId),
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Decided and committed at once.
    Do(Request),
    /// A client decides, and its commit is under way.
    Begin(Request),
    /// The other client sends the same command under the same id, and decides it now.
    Repeat(usize),
    /// The commit of a client arrives, for the first time or again.
    Commit(usize),
    /// It never does: the client is gone.
    Crash(usize),
    /// A client whose commit was lost or refused decides again, under the same id.
    Retry(usize),
    /// A client asks no more.
    Forget(usize),
    Forward,
    Back,
}

/// A command that was decided.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) request: Request,
    pub(crate) commit: Commit,
    /// Of what it asks for and what it would do, without revisions and id.
    digest: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Progress {
    Decided,
    Crashed,
    Refused,
    Applied,
}

#[derive(Debug, Clone)]
struct Slot {
    flight: Arc<Flight>,
    id: u32,
    progress: Progress,
}

/// One state of the small world.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) step: u8,
    slots: [Option<Slot>; CLIENTS],
    /// The ids under way of which there is a receipt.
    receipts: BTreeSet<u32>,
    next_id: u32,
    /// What the last step did that no step may do.
    pub(crate) fault: Option<Fault>,
    digest: u64,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl State {
    /// States are the same if they go on in the same way. So revisions don't count, but whether
    /// the commits under way still find what they rely on; a check that holds no more never holds
    /// again, since nothing is deleted. And ids don't count, but whether they are on record and
    /// whether both clients use the same.
    fn sealed(mut self) -> Self {
        let under_way: BTreeSet<u32> = self.slots.iter().flatten().map(|slot| slot.id).collect();
        self.receipts.retain(|id| under_way.contains(id));
        let mut hasher = DefaultHasher::new();
        for kept in self.shelf.iter() {
            kept.digest.hash(&mut hasher);
        }
        (self.step, self.fault, under_way.len()).hash(&mut hasher);
        for slot in &self.slots {
            match slot {
                None => hasher.write_u8(0),
                Some(slot) => {
                    let receipt = self.receipts.contains(&slot.id);
                    (slot.flight.digest, slot.progress, receipt).hash(&mut hasher);
                    if slot.progress == Progress::Decided {
                        self.shelf.standing(&slot.flight.commit, &mut hasher);
                    }
                }
            }
        }
        self.digest = hasher.finish();
        self
    }

    fn free(&self) -> Option<usize> {
        self.slots.iter().position(Option::is_none)
    }
}

/// From where a world is explored: what was done before.
pub(crate) type Start = fn(Walk<'_>) -> Walk<'_>;

/// The small world, as something that can be explored.
pub(crate) struct Small {
    pub(crate) variant: Variant,
    defect: Defect,
    starts: Vec<Start>,
    roles: RoleCatalog,
    press: Press,
    /// The real store, which every load and every commit of one walk also goes to.
    mirror: Option<MemoryStore>,
    /// So many states are reached before no further steps are taken; those that wait are still
    /// looked at.
    limit: AtomicU64,
    /// How many were, with repeats.
    steps: AtomicU64,
    /// How often each thing that must happen did.
    pub(crate) reached: Arc<[AtomicU64; REACHED]>,
}

impl Small {
    pub(crate) fn new(seed: u64, limit: u64, defect: Defect, starts: &[Start]) -> Self {
        Self {
            variant: Variant::of(seed),
            defect,
            starts: starts.to_vec(),
            roles: RoleCatalog::owner_admin_member(),
            press: Press::default(),
            mirror: None,
            limit: AtomicU64::new(limit),
            steps: AtomicU64::new(0),
            reached: Arc::new(core::array::from_fn(|_| AtomicU64::new(0))),
        }
    }

    /// The same over `MemoryStore`, too, which has to answer alike: for one walk.
    pub(crate) fn mirrored(seed: u64) -> Self {
        let mut small = Self::new(seed, u64::MAX, Defect::None, &[|fresh| fresh]);
        let store = MemoryStore::default();
        let mut homes: BTreeMap<Home, Vec<Write>> = BTreeMap::new();
        for (key, row) in small.variant.world().records().iter() {
            let home = match key {
                RowKey::Name(name) => Home::Name(name.clone()),
                // The tokens here are those of the host.
                key => Home::Organization(key.organization().cloned().unwrap_or(org(0))),
            };
            homes.entry(home).or_default().push(Write::Put {
                key: key.clone(),
                row: row.clone(),
                revision: Revision::new(1),
                before: None,
            });
        }
        for (home, writes) in homes {
            let commit = Commit {
                id: CommitId::from_bytes([0; 16]),
                home,
                checks: Vec::new(),
                writes,
                stamp: Stamp {
                    at: START,
                    by: By::System,
                },
                events: Vec::new(),
                receipt: None,
            };
            let done = block_on(store.commit(&[commit])).expect("memory is there");
            assert_eq!(done, [Committed::Applied]);
        }
        small.mirror = Some(store);
        small
    }

    /// Lets the way to a state be found again, when all is done.
    pub(crate) fn lift_limit(&self) {
        self.limit.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn reach(&self, what: Reached) {
        self.reached[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Who asks, and for what. What the asking side draws differs by client, so that two who do
    /// the same draw different tokens and ids.
    fn command(&self, request: &Request, client: usize, rows: &Shelf) -> (Actor, Command) {
        let drawn_by = u8::try_from(client).expect("there are few clients");
        let own = |member: &Member| match member {
            Member::User(user) => Actor::user(user.clone()),
            Member::Org(id) => [1, 2]
                .into_iter()
                .find(|number| org(*number) == *id)
                .map(founder)
                .expect("one of the organizations"),
        };
        let proxy = |member: &Member| {
            let episode = rows
                .memberships()
                .find(|(other, _)| *other == member)
                .map_or(0, |(_, row)| row.episode.get());
            let number = self.variant.members.iter().position(|own| own == member);
            let number = number.and_then(|number| u8::try_from(number).ok());
            let mut bytes = [0xbb; 16];
            bytes[0] = number.expect("one of the members");
            bytes[1] = drawn_by;
            bytes[12..].copy_from_slice(&episode.to_be_bytes());
            ProxyUserId::from_bytes(bytes)
        };
        let token = |link: &LinkId| {
            let generation = rows
                .links()
                .find(|other| other.id == *link)
                .map_or(Generation::FIRST, |link| link.generation.next());
            let number = (u64::from(link.as_bytes()[0]) * 16 + u64::from(generation.get())) * 16
                + u64::from(drawn_by)
                + 1000;
            let bucket = u64::from(Bucket::of(&org(0)).get());
            let number = i64::try_from(bucket * 62_u64.pow(8) + number).ok();
            NewToken {
                selector: number
                    .and_then(Selector::from_i64)
                    .expect("a small number in the bucket of its host"),
                tag: TokenTag::new(PepperId::new(1), [0xa5; 32]),
            }
        };
        let host = founder(0);
        let link = |command| Command::Link(command);
        let (actor, command) = match request {
            Request::Claim(member, selector) => (
                own(member),
                MemberCommand::Claim {
                    token: presented(*selector),
                    member: member.clone(),
                    profile: Profile::default(),
                    answers: Vec::new(),
                    proxy: proxy(member),
                },
            ),
            Request::Approve(member) | Request::Intrude(member) => (
                if let Request::Approve(_) = request {
                    host
                } else {
                    own(member)
                },
                MemberCommand::Approve {
                    member: member.clone(),
                    changes: Box::new(Changes::default()),
                    proxy: proxy(member),
                },
            ),
            Request::Reject(member) => (
                host,
                MemberCommand::Reject {
                    member: member.clone(),
                    reason: None,
                },
            ),
            Request::Remove(member) => (
                host,
                MemberCommand::Remove {
                    member: member.clone(),
                    reason: None,
                },
            ),
            Request::Cancel(member) => (
                own(member),
                MemberCommand::Cancel {
                    member: member.clone(),
                },
            ),
            Request::Leave(member) => (
                own(member),
                MemberCommand::Leave {
                    member: member.clone(),
                },
            ),
            Request::Expire(member) => (
                Actor::system(),
                MemberCommand::Expire {
                    member: member.clone(),
                },
            ),
            Request::Refresh(id) => {
                let overlap = if self.variant.overlaps {
                    STEP
                } else {
                    Duration::ZERO
                };
                return (
                    host,
                    link(LinkCommand::Refresh {
                        link: *id,
                        token: token(id),
                        overlap,
                    }),
                );
            }
            Request::Disable(id) => return (host, link(LinkCommand::Disable { link: *id })),
            Request::Enable(id) => {
                return (
                    host,
                    link(LinkCommand::Enable {
                        link: *id,
                        token: token(id),
                    }),
                );
            }
            Request::Delete(id) => return (host, link(LinkCommand::Delete { link: *id })),
            Request::Close(id) => {
                return (Actor::system(), link(LinkCommand::Expire { link: *id }));
            }
        };
        (actor, Command::Member(command))
    }

    /// Decides on the rows as they are, as the facade does: load, decide, fold, draft. `None` if
    /// that is refused or changes nothing.
    fn decided(&self, request: &Request, client: usize, id: u32, state: &State) -> Option<Flight> {
        let (actor, command) = self.command(request, client, &state.shelf);
        let host = org(0);
        let scope = command.scope(&host, &actor);
        let snapshot = state.shelf.load(&scope);
        if let Some(store) = &self.mirror {
            let real = block_on(store.load(&Load::of(&scope))).expect("memory is there");
            assert!(real.revisions().eq(snapshot.revisions()), "{request:?}");
            assert!(real.records().iter().eq(snapshot.records().iter()));
            assert_eq!(real.records().host(), snapshot.records().host());
        }
        let now = at(state.step);
        // Whoever made the links is a member of the host.
        let stated = Stated::NOBODY;
        let env = Env {
            now,
            roles: &self.roles,
            creator: &stated,
        };
        let decided = match decide(snapshot.records(), &host, &actor, &command, &env) {
            Ok(decided) => decided,
            Err(CommandError::FactMissing { fact }) => {
                panic!("{command:?} leaves `{fact}` out of its scope")
            }
            Err(error) => {
                judge::refused(self, request, &error);
                return None;
            }
        };
        if decided.events.is_empty() {
            return None;
        }
        let mut after = snapshot.to_records();
        for event in &decided.events {
            evolve(&mut after, &host, &decided.stamp, event);
        }
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&id.to_be_bytes());
        let commit = Draft {
            id: CommitId::from_bytes(bytes),
            home: Home::Organization(host),
            snapshot: &snapshot,
            after: &after,
            stamp: decided.stamp,
            events: decided.events,
            secrets: &[],
            receipt: Receipt {
                digest: CommandDigest([0; 32]),
                reply: String::new(),
            },
            erasures: Vec::new(),
        }
        .into_commit();
        Some(Flight {
            digest: flight_digest(request, &commit),
            request: request.clone(),
            commit,
        })
    }

    /// A commit arrives.
    fn arrive(&self, state: &mut State, flight: &Flight, id: u32) -> Outcome {
        let before = Arc::clone(&state.shelf);
        let had = state.receipts.contains(&id);
        let mut after = (*before).clone();
        let outcome = after.apply(&flight.commit, had, self.defect, &self.press);
        if let Some(store) = &self.mirror {
            let commit = core::slice::from_ref(&flight.commit);
            let real = block_on(store.commit(commit)).expect("memory is there");
            let real = match real.as_slice() {
                [Committed::Applied] => Outcome::Applied,
                [Committed::AlreadyApplied(receipt)] => {
                    assert_eq!(Some(receipt), flight.commit.receipt.as_ref());
                    Outcome::AlreadyApplied
                }
                [Committed::Conflict { .. }] => Outcome::Conflict,
                other => panic!("one commit has one outcome: {other:?}"),
            };
            assert_eq!(outcome, real, "{:?}", flight.request);
        }
        state.fault = match outcome {
            Outcome::Applied => {
                let fault = judge::applied(self, &before, &after, flight);
                state.receipts.insert(id);
                if had {
                    Some(Fault::AppliedTwice)
                } else {
                    fault
                }
            }
            Outcome::AlreadyApplied => {
                self.reach(Reached::DuplicateRecognised);
                None
            }
            Outcome::Conflict => {
                self.reach(Reached::StaleRefused);
                let same = before
                    .iter()
                    .map(|kept| kept.digest)
                    .eq(after.iter().map(|kept| kept.digest));
                (!same).then_some(Fault::RefusedAndChanged)
            }
        };
        state.shelf = Arc::new(after);
        outcome
    }
}

fn flight_digest(request: &Request, commit: &Commit) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.hash(&mut hasher);
    for write in &commit.writes {
        write.key().hash(&mut hasher);
        match write {
            Write::Put { row, .. } => {
                let bytes = postcard::to_stdvec(row).expect("a row is encoded");
                bytes.hash(&mut hasher);
            }
            Write::Take { below, .. } => below.hash(&mut hasher),
            Write::Give { .. } => hasher.write_u8(1),
            Write::Delete { .. } | Write::Erase { .. } => panic!("nothing here is deleted"),
        }
    }
    for check in &commit.checks {
        check.key().hash(&mut hasher);
        if let Check::Revision { key, revision } = check
            && key.is_counter()
        {
            revision.hash(&mut hasher);
        }
    }
    let events = postcard::to_stdvec(&(&commit.stamp, &commit.events));
    events.expect("events are encoded").hash(&mut hasher);
    hasher.finish()
}

/// A way through a small world, one step after the other.
pub(crate) struct Walk<'a> {
    small: &'a Small,
    state: State,
}

impl Walk<'_> {
    pub(crate) fn step(self, step: Step) -> Self {
        let shown = format!("{step:?}");
        let next = self.small.next_state(&self.state, step);
        let state = next.unwrap_or_else(|| panic!("{shown} leads nowhere"));
        Self { state, ..self }
    }

    pub(crate) fn does(self, request: impl FnOnce(Member) -> Request, member: usize) -> Self {
        let request = request(self.member(member));
        self.step(Step::Do(request))
    }

    pub(crate) fn claims(self, member: usize, link: u8) -> Self {
        let request = self.claim(member, link);
        self.step(Step::Do(request))
    }

    pub(crate) fn begins(self, request: impl FnOnce(Member) -> Request, member: usize) -> Self {
        let request = request(self.member(member));
        self.step(Step::Begin(request))
    }

    pub(crate) fn begins_to_claim(self, member: usize, link: u8) -> Self {
        let request = self.claim(member, link);
        self.step(Step::Begin(request))
    }

    fn member(&self, member: usize) -> Member {
        self.small.variant.members[member].clone()
    }

    /// With the link's newest token.
    fn claim(&self, member: usize, link: u8) -> Request {
        let mut links = self.state.shelf.links();
        let link = links.find(|other| other.id == link_id(link));
        let token = link.and_then(|link| link.token).expect("an active link");
        Request::Claim(self.member(member), token)
    }
}

impl Model for Small {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut rows = Shelf::default();
        for (key, row) in self.variant.world().records().iter() {
            rows.put(self.press.keep(key.clone(), row.clone(), 1));
        }
        let state = State {
            shelf: Arc::new(rows),
            step: 0,
            slots: [None, None],
            receipts: BTreeSet::new(),
            next_id: 1,
            fault: None,
            digest: 0,
        };
        let state = state.sealed();
        self.starts
            .iter()
            .map(|start| {
                let fresh = Walk {
                    small: self,
                    state: state.clone(),
                };
                start(fresh).state
            })
            .collect()
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // A state that no step may lead to is looked at, and not gone on from.
        let enough = self.steps.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed);
        if state.fault.is_some() || enough {
            return;
        }
        let mut requests = Vec::new();
        for member in &self.variant.members {
            for token in state.shelf.tokens() {
                requests.push(Request::Claim(member.clone(), token.selector));
            }
            requests.extend(
                [
                    Request::Approve,
                    Request::Intrude,
                    Request::Reject,
                    Request::Remove,
                    Request::Cancel,
                    Request::Leave,
                    Request::Expire,
                ]
                .map(|request| request(member.clone())),
            );
        }
        for link in state.shelf.links() {
            if link.generation.get() < GENERATIONS {
                requests.extend([Request::Refresh, Request::Enable].map(|r| r(link.id)));
            }
            let others = [Request::Disable, Request::Delete, Request::Close];
            requests.extend(others.map(|request| request(link.id)));
        }
        if state.free().is_some() {
            steps.extend(requests.iter().cloned().map(Step::Begin));
        }
        steps.extend(requests.into_iter().map(Step::Do));
        for (client, slot) in state.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            match slot.progress {
                Progress::Decided => {
                    steps.extend([Step::Commit(client), Step::Crash(client)]);
                }
                Progress::Applied => steps.extend([Step::Commit(client), Step::Forget(client)]),
                Progress::Crashed | Progress::Refused => {
                    steps.extend([Step::Retry(client), Step::Forget(client)]);
                }
            }
            if state.free().is_some() {
                steps.push(Step::Repeat(client));
            }
        }
        if state.step + 1 < STEPS {
            steps.push(Step::Forward);
        }
        if state.step > 0 {
            steps.push(Step::Back);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Do(request) => {
                let id = state.next_id;
                state.next_id += 1;
                let flight = self.decided(&request, CLIENTS, id, before)?;
                if self.arrive(&mut state, &flight, id) != Outcome::Applied {
                    state.fault = Some(Fault::FreshRefused);
                }
            }
            Step::Begin(request) => {
                let client = state.free()?;
                let id = state.next_id;
                state.next_id += 1;
                let flight = Arc::new(self.decided(&request, client, id, before)?);
                state.slots[client] = Some(Slot {
                    flight,
                    id,
                    progress: Progress::Decided,
                });
            }
            Step::Repeat(other) => {
                let client = state.free()?;
                let slot = state.slots[other].as_ref()?;
                let (id, request) = (slot.id, slot.flight.request.clone());
                if state.receipts.contains(&id) {
                    // The receipt is found with the load, and answered.
                    self.reach(Reached::DuplicateRecognised);
                    return None;
                }
                let flight = Arc::new(self.decided(&request, client, id, before)?);
                self.reach(Reached::SentTwiceAtOnce);
                state.slots[client] = Some(Slot {
                    flight,
                    id,
                    progress: Progress::Decided,
                });
            }
            Step::Commit(client) => {
                let slot = state.slots[client].clone()?;
                let outcome = self.arrive(&mut state, &slot.flight, slot.id);
                let again = slot.progress == Progress::Applied;
                if again && outcome != Outcome::AlreadyApplied && state.fault.is_none() {
                    state.fault = Some(Fault::AppliedTwice);
                }
                state.slots[client].as_mut()?.progress = match outcome {
                    Outcome::Applied | Outcome::AlreadyApplied => Progress::Applied,
                    Outcome::Conflict => Progress::Refused,
                };
            }
            Step::Crash(client) => {
                self.reach(Reached::Crashed);
                state.slots[client].as_mut()?.progress = Progress::Crashed;
            }
            Step::Retry(client) => {
                let slot = state.slots[client].clone()?;
                if state.receipts.contains(&slot.id) {
                    self.reach(Reached::DuplicateRecognised);
                    state.slots[client].as_mut()?.progress = Progress::Applied;
                } else {
                    let request = &slot.flight.request;
                    let flight = self.decided(request, client, slot.id, before);
                    if flight.is_some() {
                        self.reach(Reached::Retried);
                    }
                    state.slots[client] = flight.map(|flight| Slot {
                        flight: Arc::new(flight),
                        id: slot.id,
                        progress: Progress::Decided,
                    });
                }
            }
            Step::Forget(client) => state.slots[client] = None,
            Step::Forward => state.step += 1,
            Step::Back => {
                self.reach(Reached::SteppedBack);
                state.step -= 1;
            }
        }
        // What leads back to the same state is no step.
        let state = state.sealed();
        if state == *before {
            return None;
        }
        self.steps.fetch_add(1, Ordering::Relaxed);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        judge::properties()
    }
}
