//! The facade itself, and the one flow that every command takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guestlist_access::{AccessBook, RoleCatalog};
use guestlist_membership::member::{MemberCommand, Presented};
use guestlist_membership::{
    Actor, Command, CommandError, Env, Fact, Home, Records, Row, RowKey, Scope, Stated,
    TokenProblem, decide, evolve,
};
use guestlist_store::{
    CommandDigest, Committed, Draft, KnownBook, Load, Receipt, Revision, Snapshot, Store,
};
use guestlist_token::{
    Binding, GenerateError, InviteToken, JoinUrl, PepperRing, Selector, TokenKind, TokenTag,
    UrlStyle, Verification,
};
use guestlist_types::{Bucket, CommitId, OrgId, Timestamp, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{Clock, SystemClock, Ticks};
use crate::entropy::{Entropy, EntropyError, Rng};
use crate::error::Error;
use crate::idempotency::{IdempotencyKey, digest};
use crate::ports::{Directory, NoDirectory, NoObserver, Observer};

/// How often a command starts over when what it was decided on has changed meanwhile.
const MAX_TRIES: u32 = 64;

/// How often a commit is sent again when its outcome is not known.
const MAX_RESENDS: u32 = 3;

/// How many organizations' access rules are kept in memory.
const MAX_BOOKS: usize = 1024;

/// What all handles on one configuration share.
pub(crate) struct Config {
    pub(crate) peppers: PepperRing,
    pub(crate) roles: RoleCatalog,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) directory: Box<dyn Directory>,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) join_url: Option<(JoinUrl, UrlStyle)>,
    ticks: Ticks,
}

/// Access rules in memory, each with the revision that it was read at. A decision reads the
/// current revision first, so an entry is never used beyond it.
#[derive(Default)]
struct Books(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    books: BTreeMap<OrgId, (Revision, Arc<AccessBook>)>,
    /// What is on the shelf, as stores want to be told: made anew when that changes, not with
    /// every decision.
    known: Arc<Vec<KnownBook>>,
}

impl Books {
    fn known(&self) -> Arc<Vec<KnownBook>> {
        Arc::clone(&self.lock().known)
    }

    fn get(&self, organization: &OrgId, revision: Revision) -> Option<Arc<AccessBook>> {
        self.lock()
            .books
            .get(organization)
            .filter(|(held, _)| *held == revision)
            .map(|(_, book)| Arc::clone(book))
    }

    fn put(&self, organization: &OrgId, revision: Revision, book: &Arc<AccessBook>) {
        let mut held = self.lock();
        if held.books.len() >= MAX_BOOKS && !held.books.contains_key(organization) {
            held.books.pop_first();
        }
        held.books
            .insert(organization.clone(), (revision, Arc::clone(book)));
        let known = held
            .books
            .iter()
            .map(|(organization, (revision, _))| KnownBook {
                organization: organization.clone(),
                revision: *revision,
            });
        held.known = Arc::new(known.collect());
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Invite links, memberships, groups, grants and `@org/key` over a [`Store`].
///
/// A handle is cheap to clone and to share. Every method loads what it needs, decides, and
/// commits under the condition that what it read still holds; if it doesn't, it starts over, a
/// bounded number of times. Nothing is held between calls, so several processes can work on the
/// same store.
///
/// **Cancellation.** Dropping the future of a method leaves everything or nothing of what it was
/// doing. Call again with the same [idempotency key](Guestlist::with_key) to learn which.
pub struct Guestlist<S> {
    pub(crate) store: S,
    pub(crate) config: Arc<Config>,
    books: Arc<Books>,
    key: Option<IdempotencyKey>,
    /// Whether the store is somebody else's open transaction, which only they can start over.
    borrowed: bool,
}

impl<S> core::fmt::Debug for Guestlist<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Guestlist")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl<S: Clone> Clone for Guestlist<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            config: Arc::clone(&self.config),
            books: Arc::clone(&self.books),
            key: self.key.clone(),
            borrowed: self.borrowed,
        }
    }
}

/// Puts a [`Guestlist`] together.
pub struct Builder<S> {
    store: S,
    config: Config,
}

impl<S> core::fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

/// Has none: every draw fails. What there is without the feature `getrandom`.
#[cfg(not(feature = "getrandom"))]
struct NoEntropy;

#[cfg(not(feature = "getrandom"))]
impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

impl<S: Store> Builder<S> {
    /// The host application's roles. The default is owner, admin and member.
    #[must_use]
    pub fn roles(mut self, roles: RoleCatalog) -> Self {
        self.config.roles = roles;
        self
    }

    /// Where join links lead: with it, every new token also comes as a link.
    #[must_use]
    pub fn join_url(mut self, url: JoinUrl, style: UrlStyle) -> Self {
        self.config.join_url = Some((url, style));
        self
    }

    /// Another clock than that of the operating system.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.config.clock = Box::new(clock);
        self
    }

    /// Another source of randomness than the operating system.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.config.entropy = Box::new(entropy);
        self
    }

    /// What the host application knows of its people.
    #[must_use]
    pub fn directory(mut self, directory: impl Directory + 'static) -> Self {
        self.config.directory = Box::new(directory);
        self
    }

    /// Who is shown every decision.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.config.observer = Box::new(observer);
        self
    }

    /// Ready to use.
    #[must_use]
    pub fn build(self) -> Guestlist<S> {
        Guestlist {
            store: self.store,
            config: Arc::new(self.config),
            books: Arc::default(),
            key: None,
            borrowed: false,
        }
    }
}

impl<S: Store> Guestlist<S> {
    /// A guestlist over this store with the defaults of [`Guestlist::builder`].
    #[must_use]
    pub fn new(store: S, peppers: PepperRing) -> Self {
        Self::builder(store, peppers).build()
    }

    /// Begins with a store, and the peppers that tokens are digested with. Keep these outside of
    /// the store: who has only one of the two can do nothing with it.
    #[must_use]
    pub fn builder(store: S, peppers: PepperRing) -> Builder<S> {
        Builder {
            store,
            config: Config {
                peppers,
                roles: RoleCatalog::owner_admin_member(),
                clock: Box::new(SystemClock),
                #[cfg(feature = "getrandom")]
                entropy: Box::new(crate::entropy::SystemEntropy),
                #[cfg(not(feature = "getrandom"))]
                entropy: Box::new(NoEntropy),
                directory: Box::new(NoDirectory),
                observer: Box::new(NoObserver),
                join_url: None,
                ticks: Ticks::default(),
            },
        }
    }

    /// The same guestlist inside the host application's own transaction: `store` is the borrowed
    /// form of an adapter. Everything done through the returned handle is committed or rolled
    /// back with that transaction, together with the host application's own rows.
    #[must_use]
    pub fn on<T: Store>(&self, store: T) -> Guestlist<T> {
        Guestlist {
            store,
            config: Arc::clone(&self.config),
            // What is read there may be rolled back, so nothing of it is kept.
            books: Arc::default(),
            key: self.key.clone(),
            borrowed: true,
        }
    }

    /// The same guestlist, whose next command carries this idempotency key.
    #[must_use]
    pub fn with_key(&self, key: IdempotencyKey) -> Guestlist<&S> {
        Guestlist {
            store: &self.store,
            config: Arc::clone(&self.config),
            books: Arc::clone(&self.books),
            key: Some(key),
            borrowed: self.borrowed,
        }
    }

    /// The same guestlist for what a command does besides what its key stands for.
    ///
    /// Its store has no type, because such a command is run by one of the same kind.
    pub(crate) fn without_key(&self) -> Guestlist<&dyn Store> {
        Guestlist {
            store: &self.store,
            config: Arc::clone(&self.config),
            books: Arc::clone(&self.books),
            key: None,
            borrowed: self.borrowed,
        }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The host application's roles.
    #[must_use]
    pub fn roles(&self) -> &RoleCatalog {
        &self.config.roles
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.config.ticks.now(&*self.config.clock)
    }

    /// Draws an id.
    pub(crate) fn draw<'a, T>(
        &'a self,
        make: impl FnOnce(Timestamp, &mut Rng<'a>) -> Result<T, EntropyError>,
    ) -> Result<T, Error> {
        Ok(make(self.now(), &mut Rng(&*self.config.entropy))?)
    }

    /// Draws a token for a link of this host.
    pub(crate) fn draw_token(&self, host: &OrgId) -> Result<InviteToken, Error> {
        let mut rng = Rng(&*self.config.entropy);
        InviteToken::generate(TokenKind::Link, Bucket::of(host), &mut rng).map_err(|error| {
            match error {
                GenerateError::Rng(error) => Error::Entropy(error),
                _ => Error::Entropy(EntropyError),
            }
        })
    }

    /// Loads a scope, with access rules from memory where those are current.
    pub(crate) async fn load(&self, scope: &Scope) -> Result<Loaded, Error> {
        self.load_with(scope, None).await
    }

    /// The rows of a scope, for reads that need nothing else.
    pub(crate) async fn records(&self, scope: &Scope) -> Result<Records, Error> {
        Ok(self.load(scope).await?.snapshot.into_records())
    }

    async fn load_with(&self, scope: &Scope, receipt: Option<CommitId>) -> Result<Loaded, Error> {
        let known = if needs_books(scope) {
            self.books.known()
        } else {
            Arc::default()
        };
        let mut known = known.as_slice();
        loop {
            let load = Load {
                scope,
                receipt,
                known_books: known,
            };
            let snapshot = self.store.load(&load).await?;
            let mut books = BTreeMap::new();
            let mut missing = false;
            for (organization, book) in snapshot.books() {
                let key = RowKey::AccessHead(organization.clone());
                let revision = snapshot.revision(&key).unwrap_or(Revision::ABSENT);
                let book = match book {
                    Some(book) => {
                        self.books.put(organization, revision, book);
                        Some(Arc::clone(book))
                    }
                    None => self.books.get(organization, revision),
                };
                match book {
                    Some(book) => {
                        books.insert(organization.clone(), book);
                    }
                    // Another task has replaced it meanwhile: read it after all.
                    None => missing = true,
                }
            }
            if missing {
                known = &[];
                continue;
            }
            let mut snapshot = snapshot;
            let own = snapshot.records().host().and_then(|host| books.get(host));
            if let Some(book) = own {
                snapshot.set_book(Arc::clone(book));
            }
            return Ok(Loaded { snapshot, books });
        }
    }

    /// What the core needs to know besides the records.
    pub(crate) fn env<'a>(&'a self, now: Timestamp, creator: &'a Stated) -> Env<'a> {
        Env {
            now,
            roles: &self.config.roles,
            creator,
        }
    }

    /// What the host application says of somebody that guestlist keeps no membership of.
    pub(crate) async fn stated(
        &self,
        records: &Records,
        host: &OrgId,
        user: Option<&UserId>,
    ) -> Result<Stated, Error> {
        let Some(user) = user else {
            return Ok(Stated::NOBODY);
        };
        let member = guestlist_types::Member::User(user.clone());
        if records
            .membership(host, &member)
            .is_some_and(|record| record.status.is_some())
        {
            return Ok(Stated::NOBODY);
        }
        self.config
            .directory
            .standing(host, user)
            .await
            .map_err(Error::Directory)
    }

    /// Compares a presented token with what is kept of it. Costs one digest whether it is known
    /// or not.
    pub(crate) fn verify(&self, records: &Records, token: &InviteToken) -> Verification {
        match records.token(token.selector()) {
            Some(record) => match &record.tag {
                Some(tag) => {
                    let subject = *record.link.as_bytes();
                    let binding = Binding {
                        host: &record.host,
                        subject,
                    };
                    self.config.peppers.verify(token, &binding, tag)
                }
                None => self.config.peppers.verify_absent(token),
            },
            None => self.config.peppers.verify_absent(token),
        }
    }

    /// The one flow: load, decide, fold, commit; and on a conflict from the beginning.
    pub(crate) async fn execute<R: Reply>(
        &self,
        ask: Ask<'_>,
        mut reply: impl FnMut(&Outcome<'_>) -> Result<R, Error> + Send,
    ) -> Result<R, Error> {
        let mut swept = false;
        let id = match &self.key {
            Some(key) => key.commit_id(ask.actor),
            None => self.draw(CommitId::generate)?,
        };
        let mut command = ask.command;
        let mut scope = command.scope(ask.host, ask.actor);
        if self.key.is_some() {
            // A receipt is found in its organization, so that one must be known.
            scope.facts.push(Fact::Organization);
        }
        for _ in 0..MAX_TRIES {
            let receipt = self.key.as_ref().map(|_| id);
            let loaded = self.load_with(&scope, receipt).await?;
            if let Some(receipt) = loaded.snapshot.receipt() {
                return replay(receipt, ask.digest);
            }
            let mut tags = ask.tags.to_vec();
            if let (
                Some(token),
                Command::Member(MemberCommand::Claim {
                    token: presented, ..
                }),
            ) = (ask.presented, &mut command)
            {
                tags.extend(self.present(loaded.records(), token, presented));
            }
            let host = loaded
                .records()
                .host()
                .cloned()
                .unwrap_or_else(|| ask.host.clone());
            let creator = creator_of(&command, loaded.records(), &host);
            let stated = self
                .stated(loaded.records(), &host, creator.as_ref())
                .await?;
            let env = self.env(self.now(), &stated);
            let decided = match decide(loaded.records(), &host, ask.actor, &command, &env) {
                Ok(decided) => decided,
                // What holds the last use or seat may have run out without anybody having
                // written that.
                Err(error) if is_full(&error) && !swept => {
                    swept = true;
                    if self.sweep_host(&host).await? == 0 {
                        return Err(error.into());
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut after = loaded.snapshot.to_records();
            for event in &decided.events {
                evolve(&mut after, &host, &decided.stamp, event);
            }
            let changed = !decided.events.is_empty();
            let outcome = Outcome {
                records: &after,
                host: &host,
                changed,
            };
            let answer = reply(&outcome)?;
            if !changed && tags.is_empty() && self.key.is_none() {
                return Ok(answer);
            }
            let home = home_of(&command, &host);
            let stored = match &self.key {
                Some(_) => encode(&answer)?,
                None => String::new(),
            };
            let commit = Draft {
                id,
                home,
                snapshot: &loaded.snapshot,
                after: &after,
                stamp: decided.stamp.clone(),
                events: decided.events,
                tags: if changed { &tags } else { &[] },
                receipt: Receipt {
                    digest: ask.digest,
                    reply: stored,
                },
            }
            .into_commit();
            if commit.writes.is_empty() && self.key.is_none() {
                return Ok(answer);
            }
            match self.send(&commit).await {
                Ok(Committed::Applied) => return Ok(answer),
                Ok(Committed::AlreadyApplied(receipt)) => {
                    return if self.key.is_some() {
                        replay(&receipt, ask.digest)
                    } else {
                        // This very commit, sent again after its answer was lost.
                        Ok(answer)
                    };
                }
                Ok(Committed::Conflict { .. }) => {}
                Err(Error::Store(error)) if error.is_transient() && !self.borrowed => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended)
    }

    /// Sends a commit, again if its outcome is not known: its id makes that safe.
    async fn send(&self, commit: &guestlist_store::Commit) -> Result<Committed, Error> {
        let mut resends = 0;
        loop {
            match self.store.commit(core::slice::from_ref(commit)).await {
                Ok(outcomes) => {
                    return outcomes.into_iter().next().ok_or_else(|| {
                        let what = "a store answered fewer commits than it was given";
                        Error::Store(guestlist_store::StoreError::Misuse { what })
                    });
                }
                Err(error) if error.is_unknown() && resends < MAX_RESENDS && !self.borrowed => {
                    resends += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says whether the presented token is genuine, and renews its digest if it was made with an
    /// older pepper.
    fn present(
        &self,
        records: &Records,
        token: &InviteToken,
        presented: &mut Presented,
    ) -> Option<(Selector, TokenTag)> {
        let verification = self.verify(records, token);
        presented.genuine = verification.is_valid();
        let record = records.token(token.selector())?;
        (verification == Verification::ValidOlder).then(|| {
            let binding = Binding {
                host: &record.host,
                subject: *record.link.as_bytes(),
            };
            (token.selector(), self.config.peppers.tag(token, &binding))
        })
    }
}

/// What was loaded, with access rules put in their places.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) books: BTreeMap<OrgId, Arc<AccessBook>>,
}

impl Loaded {
    /// The rows.
    pub(crate) const fn records(&self) -> &Records {
        self.snapshot.records()
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self {
            snapshot: Snapshot::new(),
            books: BTreeMap::new(),
        }
    }
}

/// What is asked of the one flow.
pub(crate) struct Ask<'a> {
    pub(crate) host: &'a OrgId,
    pub(crate) actor: &'a Actor,
    pub(crate) command: Command,
    pub(crate) digest: CommandDigest,
    pub(crate) tags: &'a [(Selector, TokenTag)],
    pub(crate) presented: Option<&'a InviteToken>,
}

impl<'a> Ask<'a> {
    /// A command without secrets. `arguments` are what the caller chose.
    pub(crate) fn new(
        host: &'a OrgId,
        actor: &'a Actor,
        command: Command,
        operation: &str,
        arguments: &impl Serialize,
    ) -> Self {
        let digest = digest(operation, &(host, arguments));
        Self {
            host,
            actor,
            command,
            digest,
            tags: &[],
            presented: None,
        }
    }
}

/// The records as they are after a command.
pub(crate) struct Outcome<'a> {
    pub(crate) records: &'a Records,
    pub(crate) host: &'a OrgId,
    pub(crate) changed: bool,
}

/// An answer that can be kept with an idempotency key. Secrets leave no trace in it.
pub(crate) trait Reply: Serialize + DeserializeOwned + Send {}
impl<T: Serialize + DeserializeOwned + Send> Reply for T {}

fn encode(reply: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(reply)
        .map_err(|error| Error::Store(guestlist_store::StoreError::Fatal(Box::new(error))))
}

fn replay<R: Reply>(receipt: &Receipt, digest: CommandDigest) -> Result<R, Error> {
    if receipt.digest != digest {
        return Err(Error::KeyReused);
    }
    serde_json::from_str(&receipt.reply).map_err(|_| {
        Error::Store(guestlist_store::StoreError::corrupt(
            "the answer kept with a receipt",
        ))
    })
}

const fn is_full(error: &CommandError) -> bool {
    match error {
        CommandError::SeatsFull => true,
        CommandError::InvalidToken(refusal) => {
            matches!(refusal.problem(), TokenProblem::Exhausted)
        }
        _ => false,
    }
}

fn needs_books(scope: &Scope) -> bool {
    scope.facts.iter().any(|fact| {
        matches!(
            fact,
            Fact::Book | Fact::BookForActing(_) | Fact::BookForLink(_)
        )
    })
}

/// A name is a home of its own, because it is found without knowing its organization.
fn home_of(command: &Command, host: &OrgId) -> Home {
    use guestlist_membership::organization::OrganizationCommand;
    match command {
        Command::Organization(OrganizationCommand::ReserveName { name }) => {
            Home::Name(name.clone())
        }
        _ => Home::Organization(host.clone()),
    }
}

/// The creator of the link that a command is about.
fn creator_of(command: &Command, records: &Records, host: &OrgId) -> Option<UserId> {
    let link = match command {
        Command::Link(command) => command.link(),
        Command::Member(MemberCommand::Claim { token, .. }) => records.token(token.selector)?.link,
        Command::Member(MemberCommand::Approve { member, .. }) => {
            records.membership(host, member)?.door.link()?
        }
        _ => return None,
    };
    records.link(host, link)?.creator.clone()
}

/// Rows of one kind, from a list.
pub(crate) fn rows_of<T>(
    rows: Vec<(RowKey, Row)>,
    mut take: impl FnMut(RowKey, Row) -> Option<T>,
) -> Vec<T> {
    rows.into_iter()
        .filter_map(|(key, row)| take(key, row))
        .collect()
}
