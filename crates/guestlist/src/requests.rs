//! Requests without an invite, and finding whom to ask.

use guestlist_membership::member::MemberCommand;
use guestlist_membership::{Actor, Command, Row};
use guestlist_store::{Cursor, Listed, Page, Query, Store};
use guestlist_types::{DisplayName, Message, OrgId, OrgName, ProxyUserId};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, rows_of};
use crate::idempotency::digest;
use crate::members::{Changed, Claim, member_of, membership_in, profile_of};
use crate::rate::Attempt;

/// An organization as those see it who don't belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovered {
    /// Its id, to ask it with.
    pub id: OrgId,
    /// Its handle.
    pub name: OrgName,
    /// What people are shown for it.
    pub display_name: Option<DisplayName>,
    /// Whether it can be asked without an invite.
    pub takes_requests: bool,
    /// What it asks of whoever asks.
    pub questions: Vec<String>,
}

/// A page of organizations that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverPage {
    /// The organizations, by name.
    pub organizations: Vec<Discovered>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<S: Store> Guestlist<S> {
    /// Asks an organization to join it, without any invite. It must be discoverable and open to
    /// requests.
    ///
    /// Somebody who is invited at a verified address and asks is answered with the invite: the
    /// membership opens with what it gives. Asking again while a request waits changes nothing.
    ///
    /// # Errors
    ///
    /// `not-found` for an organization that can't be found, the same as for an unknown one;
    /// `requests-closed`, `answers-missing`, `wrong-kind-of-member`, `blocked`, `cooling-down`,
    /// `invite-only`, `seats-full`, `own-organization`, `already-member`, `not-the-member`,
    /// `not-allowed`, `rate-limited`.
    pub async fn request(
        &self,
        actor: &Actor,
        host: &OrgId,
        claim: Claim,
        message: Option<Message>,
    ) -> Result<Changed, Error> {
        self.limit("request", Attempt::Request, actor, Some(host))
            .await?;
        let member = member_of(actor, &claim)?;
        let digest = digest("request", &(host, &member, claim.answers(), &message));
        let command = MemberCommand::Request {
            member: member.clone(),
            profile: profile_of(actor),
            message,
            answers: claim.into_answers(),
            proxy: self.draw(ProxyUserId::generate)?,
        };
        let ask = Ask {
            host,
            actor,
            command: Command::Member(command),
            digest,
            secrets: &[],
            erasures: &[],
            presented: None,
            operation: "request",
        };
        self.execute(ask, |outcome| membership_in(outcome, &member))
            .await
    }

    /// Organizations that can be found by those who don't belong to them, by name; `text` is
    /// matched literally in handle and display name. It asks nobody: who may search is the host
    /// application's business.
    ///
    /// # Errors
    ///
    /// `cursor-invalid`.
    pub async fn discover(&self, text: Option<&str>, page: &Page) -> Result<DiscoverPage, Error> {
        let query = Query::Discover {
            text: text.map(ToOwned::to_owned),
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let organizations = rows_of(rows, |_, row| match row {
            Row::Organization(organization) => {
                let requests = &organization.settings.requests;
                Some(Discovered {
                    takes_requests: requests.open,
                    questions: if requests.open {
                        requests.questions.clone()
                    } else {
                        Vec::new()
                    },
                    id: organization.id,
                    name: organization.name,
                    display_name: organization.display_name,
                })
            }
            _ => None,
        });
        Ok(DiscoverPage {
            organizations,
            next,
        })
    }
}
