//! Invite links.

use core::time::Duration;

use guestlist_membership::link::{
    Link, LinkCommand, LinkCondition, LinkDraft, LinkPreview, LinkStatus, NewToken, TokenRecord,
    preview,
};
use guestlist_membership::member::Presented;
use guestlist_membership::{
    Actor, By, Command, Fact, Home, LinkRef, Reading, Root, RowKey, Scope, Stamp, Stated,
    TokenProblem,
};
use guestlist_store::{Commit, Listed, Page, Query, Store, Write};
use guestlist_token::{Binding, InviteToken, PepperId, SecretUrl, TokenKind};
#[cfg(feature = "seal")]
use guestlist_token::{SealedToken, Selector};
use guestlist_types::{CommitId, LinkId, OrgId, UserId};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, Outcome};
use crate::idempotency::digest;
use crate::organizations::not_found;

/// A link whose token has just been made: the only place where it appears.
#[derive(Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The link.
    pub link: Link,
    /// The token. `None` if this call made none: a [default link](Guestlist::default_link) that
    /// was there already, or a call repeated with its idempotency key. Refresh the link for
    /// another one.
    pub token: Option<InviteToken>,
    /// The token as a join link, if [`Builder::join_url`](crate::Builder::join_url) was set.
    pub url: Option<SecretUrl>,
}

/// A link in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkListing {
    /// The link.
    pub link: Link,
    /// How many uses it has had; counted for links with a limit.
    pub uses: Option<u64>,
    /// Whether it takes claims now.
    pub condition: LinkCondition,
}

/// A page of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPage {
    /// The links, oldest first.
    pub links: Vec<LinkListing>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<guestlist_store::Cursor>,
}

/// Which links are wanted. All conditions combine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkFilter {
    /// Those with this status.
    pub status: Option<LinkStatus>,
    /// Those that this user created.
    pub creator: Option<UserId>,
}

/// What a manager is told about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenReport {
    /// The link that the token belongs or belonged to.
    pub link: Link,
    /// Why it opens nothing; `None`: it opens its link.
    pub problem: Option<TokenProblem>,
}

/// What a keyed call remembers of a link: everything but the secret.
#[derive(Serialize, Deserialize)]
struct IssuedReply {
    link: Link,
    fresh: bool,
}

impl<S: Store> Guestlist<S> {
    /// Creates a link. Needs `links.create`; a link that approves by itself also
    /// `links.auto_approve`; and nobody promises more than they may give.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `role-above-own`, the code of a group or grant that may not be given, or
    /// what is wrong with the draft (`zero-uses`, `in-the-past`, `lifetime-too-long`, ...).
    pub async fn create_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        draft: LinkDraft,
    ) -> Result<Issued, Error> {
        self.create(actor, host, draft, false).await
    }

    /// The organization's persistent link: made on first use, the same link afterwards. Its token
    /// is shown when it is made.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::create_link`].
    pub async fn default_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        draft: LinkDraft,
    ) -> Result<Issued, Error> {
        self.create(actor, host, draft, true).await
    }

    async fn create(
        &self,
        actor: &Actor,
        host: &OrgId,
        draft: LinkDraft,
        as_default: bool,
    ) -> Result<Issued, Error> {
        let arguments = (as_default, draft.clone());
        let link = self.draw(LinkId::generate)?;
        self.issue(actor, host, link, ("create-link", &arguments), |token| {
            LinkCommand::Create {
                link,
                draft: Box::new(draft),
                token,
                as_default,
            }
        })
        .await
    }

    /// Gives a link a new token. Configuration and counters stay; the old token is dead in the
    /// same commit, or `overlap` later (at most 24 hours; later calls can only shorten it).
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `wrong-link-state` (it is disabled), `overlap-too-long`, and
    /// whatever of its gift the actor may not give.
    pub async fn refresh_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
        overlap: Duration,
    ) -> Result<Issued, Error> {
        let arguments = (link, overlap);
        self.issue(actor, host, link, ("refresh-link", &arguments), |token| {
            LinkCommand::Refresh {
                link,
                token,
                overlap,
            }
        })
        .await
    }

    /// Takes no more claims through a link. Who is approved keeps access, who is pending stays
    /// pending.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn disable_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<Link, Error> {
        self.link_command(actor, host, LinkCommand::Disable { link }, "disable-link")
            .await
    }

    /// Takes claims again, with a new token: no earlier one ever works again.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::refresh_link`].
    pub async fn enable_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<Issued, Error> {
        self.issue(actor, host, link, ("enable-link", &link), |token| {
            LinkCommand::Enable { link, token }
        })
        .await
    }

    /// Changes the configuration of a link, never its token. What the draft leaves out stays.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::create_link`]; editing somebody else's link is bounded by both ceilings.
    pub async fn edit_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
        draft: LinkDraft,
    ) -> Result<Link, Error> {
        let command = LinkCommand::Edit {
            link,
            draft: Box::new(draft),
        };
        self.link_command(actor, host, command, "edit-link").await
    }

    /// Deletes a link: gone from lists, refused everywhere. Attribution and history stay.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn delete_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<Link, Error> {
        self.link_command(actor, host, LinkCommand::Delete { link }, "delete-link")
            .await
    }

    async fn link_command(
        &self,
        actor: &Actor,
        host: &OrgId,
        command: LinkCommand,
        operation: &'static str,
    ) -> Result<Link, Error> {
        let link = command.link();
        let command = Command::Link(command);
        let arguments = command.clone();
        let ask = Ask::new(host, actor, command, operation, &arguments);
        self.execute(ask, |outcome| link_in(outcome, link)).await
    }

    /// Draws a token, runs the command that issues it, and shows it if it was really issued.
    async fn issue(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
        (operation, arguments): (&'static str, &(impl Serialize + Sync)),
        command: impl FnOnce(NewToken) -> LinkCommand,
    ) -> Result<Issued, Error> {
        let token = self.draw_token(TokenKind::Link, host)?;
        let binding = Binding {
            host,
            subject: *link.as_bytes(),
        };
        let secrets = [self.secret_of(&token, &binding)?];
        let (selector, tag) = (secrets[0].selector, secrets[0].tag);
        let ask = Ask {
            host,
            actor,
            command: Command::Link(command(NewToken { selector, tag })),
            digest: digest(operation, &(host, arguments)),
            secrets: &secrets,
            erasures: &[],
            presented: None,
            operation,
        };
        let reply: IssuedReply = self
            .execute(ask, |outcome| {
                let made = outcome
                    .records
                    .token(selector)
                    .and_then(|record| record.subject.link());
                let default = outcome
                    .records
                    .organization(outcome.host)
                    .and_then(|organization| organization.default_link);
                let shown = made.or_else(|| {
                    outcome
                        .records
                        .link(outcome.host, link)
                        .map(|link| link.id)
                        .or(default)
                });
                let link = link_in(outcome, shown.unwrap_or(link))?;
                Ok(IssuedReply {
                    fresh: link.token == Some(selector),
                    link,
                })
            })
            .await?;
        // A call repeated with its key gets the answer of the first, whose token was shown then.
        let fresh = reply.fresh && reply.link.token == Some(selector);
        let token = fresh.then_some(token);
        let url = token.as_ref().zip(self.config.join_url.as_ref());
        let url = url.map(|(token, (base, style))| base.with_token(token, *style));
        Ok(Issued {
            link: reply.link,
            token,
            url,
        })
    }

    /// Shows what a token opens, before anybody signs in. Changes nothing and uses nothing up.
    ///
    /// # Errors
    ///
    /// `invalid-token`, the same for every reason.
    pub async fn preview(&self, token: &InviteToken) -> Result<LinkPreview, Error> {
        let loaded = self.load(&token_scope(token, [])).await?;
        let records = loaded.records();
        let genuine = self.verify(records, token).is_valid() && token.kind() == TokenKind::Link;
        let creator = records
            .token(token.selector())
            .and_then(|record| records.link(&record.host, record.subject.link()?))
            .and_then(|link| Some((link.host.clone(), link.creator.clone()?)));
        let stated = match &creator {
            Some((host, user)) => self.stated(records, host, Some(user)).await?,
            None => Stated::NOBODY,
        };
        let presented = Presented {
            selector: token.selector(),
            genuine,
        };
        let shown = preview(records, &presented, &self.env(self.now(), &stated))?;
        if self.config.count_previews
            && let Some(record) = records.token(token.selector())
        {
            self.count_preview(record).await;
        }
        Ok(shown)
    }

    /// Counts a preview, which is shown whether that works or not. It is no event and changes
    /// nothing that anybody decides on.
    async fn count_preview(&self, token: &TokenRecord) {
        let Some(link) = token.subject.link() else {
            return;
        };
        let Ok(id) = self.draw(CommitId::generate) else {
            return;
        };
        let commit = Commit {
            id,
            home: Home::Organization(token.host.clone()),
            checks: Vec::new(),
            writes: vec![Write::Take {
                key: RowKey::PreviewTally(token.host.clone(), link, token.generation),
                below: u64::MAX,
            }],
            stamp: Stamp {
                at: self.now(),
                by: By::System,
            },
            events: Vec::new(),
            receipt: None,
        };
        if let Err(error) = self.store.commit(core::slice::from_ref(&commit)).await {
            tracing::warn!(code = error.code(), "a preview was not counted");
        }
    }

    /// Shows the current token of an active link again. Needs the right to manage it, and that
    /// it was sealed; who looked and when is on record.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `wrong-link-state` (it is disabled), `token-not-sealed`.
    #[cfg(feature = "seal")]
    pub async fn reveal_link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<Issued, Error> {
        let seals = self.config.seals.as_ref().ok_or(Error::NotSealed)?;
        let facts = vec![
            Fact::Link(LinkRef::Id(link)),
            Fact::Tokens(LinkRef::Id(link)),
        ];
        // Nothing is put on record that then can't be shown. Who may is decided by the command.
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        let seal_of = |records: &guestlist_membership::Records| {
            let selector = records.link(host, link)?.token?;
            Some((selector, records.token(selector)?.sealed))
        };
        let open = |(selector, sealed): (Selector, Option<SealedToken>)| {
            let binding = Binding {
                host,
                subject: *link.as_bytes(),
            };
            let sealed = sealed.ok_or(Error::NotSealed)?;
            seals
                .open(&sealed, TokenKind::Link, selector, &binding)
                .map_err(|error| {
                    tracing::warn!(%link, code = error.code(), "a token could not be opened");
                    Error::NotSealed
                })
        };
        if let Some(held) = seal_of(&records) {
            self.check_read(actor, host, &Reading::Links).await?;
            open(held)?;
        }
        let command = Command::Link(LinkCommand::Reveal { link });
        let ask = Ask::new(host, actor, command, "reveal-link", &link);
        let (shown, held) = self
            .without_key()
            .execute(ask, |outcome| {
                Ok((link_in(outcome, link)?, seal_of(outcome.records)))
            })
            .await?;
        let token = open(held.ok_or(Error::NotSealed)?)?;
        let url = self.config.join_url.as_ref();
        let url = url.map(|(base, style)| base.with_token(&token, *style));
        Ok(Issued {
            link: shown,
            token: Some(token),
            url,
        })
    }

    /// Tells a manager of the host precisely what is the matter with a token.
    ///
    /// # Errors
    ///
    /// `not-found` for tokens of other organizations and for unknown ones; `not-allowed`.
    pub async fn inspect(
        &self,
        actor: &Actor,
        host: &OrgId,
        token: &InviteToken,
    ) -> Result<TokenReport, Error> {
        self.check_read(actor, host, &Reading::Links).await?;
        let loaded = self.load(&token_scope(token, [])).await?;
        let records = loaded.records();
        let genuine = self.verify(records, token).is_valid();
        let link = records
            .token(token.selector())
            .filter(|record| genuine && record.host == *host)
            .and_then(|record| records.link(host, record.subject.link()?))
            .ok_or_else(|| not_found("token"))?;
        let stated = self.stated(records, host, link.creator.as_ref()).await?;
        let presented = Presented {
            selector: token.selector(),
            genuine,
        };
        let env = self.env(self.now(), &stated);
        Ok(TokenReport {
            link: link.clone(),
            problem: guestlist_membership::link::problem(records, &presented, &env),
        })
    }

    /// One link, with its uses. Needs `links.manage` or `links.create`.
    ///
    /// # Errors
    ///
    /// `not-allowed`; `not-found`, also for a deleted one.
    pub async fn link(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<LinkListing, Error> {
        self.check_read(actor, host, &Reading::Links).await?;
        let mut listings = self.listings(host, [link]).await?;
        listings
            .pop()
            .filter(|listing| listing.link.deleted_at.is_none())
            .ok_or_else(|| not_found("link"))
    }

    /// Links of an organization, oldest first, without deleted ones. Needs `links.manage` or
    /// `links.create`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn links(
        &self,
        actor: &Actor,
        host: &OrgId,
        filter: LinkFilter,
        page: &Page,
    ) -> Result<LinkPage, Error> {
        self.check_read(actor, host, &Reading::Links).await?;
        let LinkFilter { status, creator } = filter;
        let query = Query::Links {
            host: host.clone(),
            status,
            creator,
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let ids = rows.iter().filter_map(|(key, _)| match key {
            RowKey::Link(_, link) => Some(*link),
            _ => None,
        });
        let links = self.listings(host, ids).await?;
        Ok(LinkPage { links, next })
    }

    /// These links and their counts, of one instant.
    async fn listings(
        &self,
        host: &OrgId,
        links: impl IntoIterator<Item = LinkId>,
    ) -> Result<Vec<LinkListing>, Error> {
        let ids: Vec<LinkId> = links.into_iter().collect();
        let mut facts = vec![Fact::Organization];
        for id in &ids {
            facts.extend([Fact::Link(LinkRef::Id(*id)), Fact::Tally(LinkRef::Id(*id))]);
        }
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        let now = self.now();
        let organization = records
            .organization(host)
            .ok_or_else(|| not_found("organization"))?;
        let listing = |link: &Link| {
            let uses = records.link_tally(host, link.id);
            LinkListing {
                condition: link.condition(uses, organization, now),
                uses,
                link: link.clone(),
            }
        };
        let found = ids.into_iter().filter_map(|id| records.link(host, id));
        Ok(found.map(listing).collect())
    }

    /// How many tokens are digested with each pepper: one that is used no more can be dropped from
    /// the ring. Reads all tokens; for operators.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn pepper_usage(&self) -> Result<std::collections::BTreeMap<PepperId, u64>, Error> {
        let mut usage = std::collections::BTreeMap::new();
        let mut page = Page::first(1000)?;
        loop {
            let listed = self.list(&Query::Tokens { pepper: None }, &page).await?;
            for (_, row) in &listed.rows {
                if let guestlist_membership::Row::Token(token) = row
                    && let Some(tag) = &token.tag
                {
                    *usage.entry(tag.pepper()).or_default() += 1;
                }
            }
            match listed.next {
                Some(next) => page = page.after(next),
                None => return Ok(usage),
            }
        }
    }
}

/// What a token leads to.
pub(crate) fn token_scope<const N: usize>(token: &InviteToken, more: [Fact; N]) -> Scope {
    let mut facts = vec![
        Fact::Organization,
        Fact::Link(LinkRef::OfToken),
        Fact::Tally(LinkRef::OfToken),
        Fact::Creator(LinkRef::OfToken),
    ];
    facts.extend(more);
    Scope {
        root: Root::Token(token.selector()),
        facts,
    }
}

fn link_in(outcome: &Outcome<'_>, link: LinkId) -> Result<Link, Error> {
    outcome
        .records
        .link(outcome.host, link)
        .cloned()
        .ok_or_else(|| not_found("link"))
}
