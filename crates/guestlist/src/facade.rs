//! The facade itself, and the one flow that every command takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use guestlist_access::RoleCatalog;
use guestlist_membership::link::TokenRecord;
use guestlist_membership::member::Presented;
use guestlist_membership::{
    Actor, Command, CommandError, Env, Fact, Home, Records, Row, RowKey, Scope, Stated,
    TokenProblem, decide, evolve,
};
use guestlist_store::{
    CommandDigest, Committed, Draft, FoundBook, KnownBooks, Load, Receipt, Revision, Snapshot,
    Store, TokenSecret, Write,
};
#[cfg(feature = "seal")]
use guestlist_token::SealRing;
use guestlist_token::{
    Binding, GenerateError, InviteToken, JoinUrl, PepperRing, TokenKind, UrlStyle, Verification,
};
use guestlist_types::{Bucket, CommitId, OrgId, Timestamp, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use crate::chain::AuditKey;
use crate::clock::{Clock, SystemClock, Ticks};
use crate::entropy::{Entropy, EntropyError, Rng};
use crate::error::Error;
use crate::idempotency::{IdempotencyKey, digest};
use crate::mail::Mailer;
use crate::ports::{CommandRecord, Directory, NoDirectory, NoObserver, Observer};
use crate::rate::{Attempt, ClientAddress, InProcessRateLimit, Rate, RateLimit, tried};
use crate::rules::{DEFAULT_BUDGET, Rules, Shelf};
use crate::webhooks::Webhooks;
use guestlist_webhooks::{RetrySchedule, WebhookKeyRing, WebhookTransport};

/// How often a command starts over when what it was decided on has changed meanwhile.
const MAX_TRIES: u32 = 64;

/// How often access rules are read as what is new in them, before they are read whole.
const MAX_KNOWING: u32 = 3;

/// How often a commit is sent again when its outcome is not known.
const MAX_RESENDS: u32 = 3;

/// What all handles on one configuration share.
pub(crate) struct Config {
    pub(crate) peppers: PepperRing,
    pub(crate) roles: RoleCatalog,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) directory: Box<dyn Directory>,
    pub(crate) observer: Box<dyn Observer>,
    #[cfg(feature = "seal")]
    pub(crate) seals: Option<SealRing>,
    pub(crate) webhooks: Option<Webhooks>,
    pub(crate) audit_key: Option<AuditKey>,
    pub(crate) mailer: Option<Box<dyn Mailer>>,
    pub(crate) rate_limit: Box<dyn RateLimit>,
    pub(crate) count_previews: bool,
    rules_budget: u64,
    pub(crate) join_url: Option<(JoinUrl, UrlStyle)>,
    ticks: Ticks,
}

impl Config {
    pub(crate) fn now(&self) -> Timestamp {
        self.ticks.now(&*self.clock)
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
    rules: Arc<Shelf>,
    key: Option<IdempotencyKey>,
    address: Option<ClientAddress>,
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
            rules: Arc::clone(&self.rules),
            key: self.key.clone(),
            address: self.address,
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

    /// Who sends the mail. Without one, e-mail invites are handed to the caller to deliver, and
    /// nobody is notified.
    #[must_use]
    pub fn mailer(mut self, mailer: impl Mailer + 'static) -> Self {
        self.config.mailer = Some(Box::new(mailer));
        self
    }

    /// The keys that tokens of links are sealed with, so that managers can see them again. Keep
    /// them outside of the store. Without them there is nothing to reveal.
    #[cfg(feature = "seal")]
    #[must_use]
    pub fn seals(mut self, seals: SealRing) -> Self {
        self.config.seals = Some(seals);
        self
    }

    /// Sends webhooks: the master keys that endpoints' secrets are derived from, and what carries
    /// the messages. Call [`Guestlist::deliver_webhooks`] again and again.
    #[must_use]
    pub fn webhooks(
        mut self,
        keys: WebhookKeyRing,
        transport: impl WebhookTransport + 'static,
    ) -> Self {
        self.config.webhooks = Some(Webhooks::new(keys, transport));
        self
    }

    /// When webhooks that did not arrive are sent again. The default is that of the Standard
    /// Webhooks specification. Call it after [`Builder::webhooks`].
    #[must_use]
    pub fn webhook_schedule(mut self, schedule: RetrySchedule) -> Self {
        if let Some(webhooks) = &mut self.config.webhooks {
            webhooks.set_schedule(schedule);
        }
        self
    }

    /// The key that the hash chain over the audit trail is made with. Keep it outside of the
    /// store: who has only one of the two can't forge the chain.
    #[must_use]
    pub fn audit_key(mut self, key: AuditKey) -> Self {
        self.config.audit_key = Some(key);
        self
    }

    /// How often somebody may try to get in. The default is [`InProcessRateLimit::default`].
    #[must_use]
    pub fn rate_limit(mut self, limit: impl RateLimit + 'static) -> Self {
        self.config.rate_limit = Box::new(limit);
        self
    }

    /// Whether previews of links are counted, for the funnel. Counting is a write for each preview,
    /// and scanners preview, too; so it is off unless somebody wants it.
    #[must_use]
    pub const fn count_previews(mut self, count: bool) -> Self {
        self.config.count_previews = count;
        self
    }

    /// Who is shown every decision and every command.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.config.observer = Box::new(observer);
        self
    }

    /// How many bytes of access rules are kept in memory, roughly: 256 MiB if nothing is said.
    ///
    /// Those of organizations that are asked about most stay. What is not there is read from the
    /// store with the decision that needs it, so a budget that is too small costs time and changes
    /// no answer. Each group, each member of a group and each grant is counted as 600 bytes.
    #[must_use]
    pub const fn rules_in_memory(mut self, bytes: u64) -> Self {
        self.config.rules_budget = bytes;
        self
    }

    /// Ready to use.
    #[must_use]
    pub fn build(self) -> Guestlist<S> {
        Guestlist {
            store: self.store,
            rules: Arc::new(Shelf::new(self.config.rules_budget)),
            config: Arc::new(self.config),
            key: None,
            address: None,
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
                #[cfg(feature = "seal")]
                seals: None,
                webhooks: None,
                audit_key: None,
                mailer: None,
                rate_limit: Box::new(InProcessRateLimit::default()),
                count_previews: false,
                rules_budget: DEFAULT_BUDGET,
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
            rules: Arc::new(Shelf::new(self.config.rules_budget)),
            key: self.key.clone(),
            address: self.address,
            borrowed: true,
        }
    }

    /// The same guestlist, whose next command carries this idempotency key.
    #[must_use]
    pub fn with_key(&self, key: IdempotencyKey) -> Guestlist<&S> {
        Guestlist {
            key: Some(key),
            ..self.by_reference()
        }
    }

    /// The same guestlist for somebody who comes from this network address, as the host application
    /// sees it. Only the [rate limit](Builder::rate_limit) looks at it.
    #[must_use]
    pub fn from_address(&self, address: impl Into<ClientAddress>) -> Guestlist<&S> {
        Guestlist {
            address: Some(address.into()),
            ..self.by_reference()
        }
    }

    fn by_reference(&self) -> Guestlist<&S> {
        Guestlist {
            store: &self.store,
            config: Arc::clone(&self.config),
            rules: Arc::clone(&self.rules),
            key: self.key.clone(),
            address: self.address,
            borrowed: self.borrowed,
        }
    }

    /// The same guestlist for one of several commands that its key stands for.
    pub(crate) fn part(&self, part: u32) -> Guestlist<&S> {
        Guestlist {
            key: self.key.as_ref().map(|key| key.part(part)),
            ..self.by_reference()
        }
    }

    /// Whether the store is somebody else's open transaction.
    pub(crate) const fn borrowed(&self) -> bool {
        self.borrowed
    }

    /// Refuses whoever tries too often. The host application itself may.
    pub(crate) async fn limit(
        &self,
        operation: &'static str,
        attempt: Attempt,
        actor: &Actor,
        host: Option<&OrgId>,
    ) -> Result<(), Error> {
        let tried = tried(attempt, actor, self.address, host);
        let began = self.config.clock.now();
        let error = match self.config.rate_limit.check(&tried, self.now()).await {
            Ok(Rate::Allowed) => return Ok(()),
            Ok(Rate::Wait(wait)) => Error::RateLimited { wait },
            Err(error) => Error::RateLimit(error),
        };
        let outcome = error.code();
        tracing::debug!(
            operation,
            outcome,
            "an attempt was refused before it was looked at"
        );
        self.config.observer.commanded(&CommandRecord {
            operation,
            host,
            outcome,
            tries: 0,
            took: self.config.clock.now().since(began),
        });
        Err(error)
    }

    /// The same guestlist for what a command does besides what its key stands for.
    ///
    /// Its store has no type, because such a command is run by one of the same kind.
    pub(crate) fn without_key(&self) -> Guestlist<&dyn Store> {
        Guestlist {
            store: &self.store,
            config: Arc::clone(&self.config),
            rules: Arc::clone(&self.rules),
            key: None,
            address: self.address,
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
        self.config.now()
    }

    /// Draws an id.
    pub(crate) fn draw<'a, T>(
        &'a self,
        make: impl FnOnce(Timestamp, &mut Rng<'a>) -> Result<T, EntropyError>,
    ) -> Result<T, Error> {
        Ok(make(self.now(), &mut Rng(&*self.config.entropy))?)
    }

    /// Draws a token for a link or an e-mail invite of this host.
    pub(crate) fn draw_token(&self, kind: TokenKind, host: &OrgId) -> Result<InviteToken, Error> {
        let mut rng = Rng(&*self.config.entropy);
        InviteToken::generate(kind, Bucket::of(host), &mut rng).map_err(|error| match error {
            GenerateError::Rng(error) => Error::Entropy(error),
            _ => Error::Entropy(EntropyError),
        })
    }

    /// What is kept of a new token.
    #[cfg_attr(
        not(feature = "seal"),
        expect(clippy::unnecessary_wraps, reason = "sealing draws randomness")
    )]
    pub(crate) fn secret_of(
        &self,
        token: &InviteToken,
        binding: &Binding<'_>,
    ) -> Result<TokenSecret, Error> {
        #[cfg(feature = "seal")]
        let sealed = match &self.config.seals {
            Some(seals) => {
                let mut rng = Rng(&*self.config.entropy);
                Some(seals.seal(token, binding, &mut rng)?)
            }
            None => None,
        };
        #[cfg(not(feature = "seal"))]
        let sealed = None;
        Ok(TokenSecret {
            selector: token.selector(),
            tag: self.config.peppers.tag(token, binding),
            sealed,
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
        let in_memory: Arc<dyn KnownBooks> = Arc::clone(&self.rules) as _;
        let needs_books = needs_books(scope);
        let mut turns = 0;
        loop {
            let knows = needs_books && turns < MAX_KNOWING;
            let load = Load {
                scope,
                receipt,
                known_books: knows.then_some(&in_memory),
            };
            let snapshot = self.store.load(&load).await?;
            let mut rules = BTreeMap::new();
            let mut missing = false;
            for (organization, book) in snapshot.books() {
                let key = RowKey::AccessHead(organization.clone());
                let revision = snapshot.revision(&key).unwrap_or(Revision::ABSENT);
                let found = match book {
                    FoundBook::Whole(book) => Some(self.rules.put(organization, revision, book)),
                    FoundBook::Known => self.rules.get(organization, revision),
                    FoundBook::Changed { since, events } => {
                        self.rules.change(organization, *since, revision, events)
                    }
                };
                match found {
                    Some(found) => {
                        rules.insert(organization.clone(), found);
                    }
                    // They have been changed or dropped meanwhile: read them again.
                    None => missing = true,
                }
            }
            if missing {
                turns += 1;
                continue;
            }
            let mut snapshot = snapshot;
            let own = snapshot.records().host().and_then(|host| rules.get(host));
            if let Some(own) = own {
                snapshot.set_book(Arc::clone(own.book()));
            }
            return Ok(Loaded { snapshot, rules });
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
                    let binding = binding_of(record);
                    self.config.peppers.verify(token, &binding, tag)
                }
                None => self.config.peppers.verify_absent(token),
            },
            None => self.config.peppers.verify_absent(token),
        }
    }

    /// The one flow, as it is traced and shown to the observer.
    pub(crate) async fn execute<R: Reply>(
        &self,
        ask: Ask<'_>,
        reply: impl FnMut(&Outcome<'_>) -> Result<R, Error> + Send,
    ) -> Result<R, Error> {
        let operation = ask.operation;
        let span = tracing::debug_span!(
            "guestlist.command",
            operation,
            host = tracing::field::Empty,
            outcome = tracing::field::Empty,
            tries = tracing::field::Empty,
        );
        let mut course = Course::default();
        let began = self.config.clock.now();
        let result = self
            .run(ask, reply, &mut course)
            .instrument(span.clone())
            .await;
        let outcome = match &result {
            Ok(_) => course.outcome,
            Err(error) => error.code(),
        };
        if let Some(host) = &course.host {
            span.record("host", host.as_str());
        }
        span.record("outcome", outcome);
        span.record("tries", course.tries);
        self.config.observer.commanded(&CommandRecord {
            operation,
            host: course.host.as_ref(),
            outcome,
            tries: course.tries,
            took: self.config.clock.now().since(began),
        });
        result
    }

    /// The one flow: load, decide, fold, commit; and on a conflict from the beginning.
    async fn run<R: Reply>(
        &self,
        ask: Ask<'_>,
        mut reply: impl FnMut(&Outcome<'_>) -> Result<R, Error> + Send,
        course: &mut Course,
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
            course.tries += 1;
            if let Some(receipt) = loaded.snapshot.receipt() {
                course.outcome = "replayed";
                return replay(receipt, ask.digest);
            }
            let mut secrets = ask.secrets.to_vec();
            if let (Some(token), Some(presented)) = (ask.presented, command.presented_mut()) {
                secrets.extend(self.present(loaded.records(), token, presented));
            }
            let host = loaded
                .records()
                .host()
                .cloned()
                .unwrap_or_else(|| ask.host.clone());
            course.host = loaded.records().host().cloned();
            let now = self.now();
            let creator = command.creator(loaded.records(), &host, ask.actor, now);
            let stated = self
                .stated(loaded.records(), &host, creator.as_ref())
                .await?;
            let env = self.env(now, &stated);
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
                items: &decided.items,
            };
            let answer = reply(&outcome)?;
            course.outcome = if changed { "changed" } else { "unchanged" };
            if !changed && secrets.is_empty() && self.key.is_none() {
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
                secrets: if changed { &secrets } else { &[] },
                receipt: Receipt {
                    digest: ask.digest,
                    reply: stored,
                },
                erasures: if changed {
                    ask.erasures.to_vec()
                } else {
                    Vec::new()
                },
            }
            .into_commit();
            // An event goes on record also where it leaves every row as it was.
            if commit.writes.is_empty() && commit.events.is_empty() && self.key.is_none() {
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
    ) -> Option<TokenSecret> {
        let verification = self.verify(records, token);
        presented.genuine = verification.is_valid();
        let record = records.token(token.selector())?;
        (verification == Verification::ValidOlder).then(|| {
            let tag = self.config.peppers.tag(token, &binding_of(record));
            TokenSecret {
                selector: token.selector(),
                tag,
                sealed: None,
            }
        })
    }
}

/// What was loaded, with access rules put in their places.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) rules: BTreeMap<OrgId, Arc<Rules>>,
}

impl Loaded {
    /// The rows.
    pub(crate) const fn records(&self) -> &Records {
        self.snapshot.records()
    }
}

/// How a command went.
struct Course {
    host: Option<OrgId>,
    tries: u32,
    outcome: &'static str,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            host: None,
            tries: 0,
            outcome: "unchanged",
        }
    }
}

/// What is asked of the one flow.
pub(crate) struct Ask<'a> {
    pub(crate) host: &'a OrgId,
    pub(crate) actor: &'a Actor,
    pub(crate) command: Command,
    pub(crate) digest: CommandDigest,
    pub(crate) secrets: &'a [TokenSecret],
    pub(crate) erasures: &'a [Write],
    pub(crate) presented: Option<&'a InviteToken>,
    /// What is asked, for spans and metrics.
    pub(crate) operation: &'static str,
}

impl<'a> Ask<'a> {
    /// A command without secrets. `arguments` are what the caller chose.
    pub(crate) fn new(
        host: &'a OrgId,
        actor: &'a Actor,
        command: Command,
        operation: &'static str,
        arguments: &impl Serialize,
    ) -> Self {
        let digest = digest(operation, &(host, arguments));
        Self {
            host,
            actor,
            command,
            digest,
            secrets: &[],
            erasures: &[],
            presented: None,
            operation,
        }
    }
}

/// The records as they are after a command.
pub(crate) struct Outcome<'a> {
    pub(crate) records: &'a Records,
    pub(crate) host: &'a OrgId,
    pub(crate) changed: bool,
    /// What came of each item of a command about several.
    pub(crate) items: &'a [Result<(), CommandError>],
}

/// What the digest of a stored token is bound to.
pub(crate) const fn binding_of(record: &TokenRecord) -> Binding<'_> {
    Binding {
        host: &record.host,
        subject: *record.subject.as_bytes(),
    }
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
    if receipt.reply.is_empty() {
        return Err(Error::OutcomeErased);
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
            Fact::Book
                | Fact::BookForActing(_)
                | Fact::BookForLink(_)
                | Fact::BookForInvite(_)
                | Fact::BookForRequests
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

/// Rows of one kind, from a list.
pub(crate) fn rows_of<T>(
    rows: Vec<(RowKey, Row)>,
    mut take: impl FnMut(RowKey, Row) -> Option<T>,
) -> Vec<T> {
    rows.into_iter()
        .filter_map(|(key, row)| take(key, row))
        .collect()
}
