//! Who calls, and in which organization: what the layer before the tools has found out.

use guestlist::{Actor, Member, OrgId, OrgName, Page};

use super::error::Refusal;
use crate::app::{App, Guests};

/// How many rows of guestlist's are read at once.
const ROWS: u32 = 500;

#[derive(Clone)]
pub(super) struct Caller {
    pub(super) app: App,
    pub(super) actor: Actor,
    pub(super) organization: OrgId,
}

impl Caller {
    pub(super) const fn guests(&self) -> &Guests {
        &self.app.guests
    }

    /// The caller's organization, where it asks to be let in somewhere.
    pub(super) fn as_member(&self) -> Member {
        Member::Org(self.organization.clone())
    }

    /// The name that an organization has now.
    pub(super) async fn name_of(&self, organization: &OrgId) -> Result<OrgName, Refusal> {
        let found = self
            .guests()
            .organization(&Actor::system(), organization)
            .await?;
        Ok(found.name)
    }

    /// The organization of this name. A name that leads nowhere stands for an organization that
    /// never was: whether the caller is told so is for guestlist to say.
    pub(super) async fn named(&self, name: &str) -> Result<OrgId, Refusal> {
        let nobody = || OrgId::parse("?").map_err(Refusal::invalid);
        let Ok(name) = OrgName::parse(name) else {
            return nobody();
        };
        match self
            .guests()
            .organization_named(&Actor::system(), &name)
            .await
        {
            Ok(found) => Ok(found.id),
            Err(error) if error.code() == "not-found" => nobody(),
            Err(error) => Err(error.into()),
        }
    }
}

/// All rows of a list that guestlist gives in pages.
pub(super) async fn all<T, F>(mut page_of: impl FnMut(Page) -> F) -> Result<Vec<T>, Refusal>
where
    F: Future<Output = Result<(Vec<T>, Option<guestlist::Cursor>), guestlist::Error>>,
{
    let mut page = Page::first(ROWS).map_err(guestlist::Error::from)?;
    let mut rows = Vec::new();
    loop {
        let (found, next) = page_of(page.clone()).await?;
        rows.extend(found);
        match next {
            Some(next) => page = page.after(next),
            None => return Ok(rows),
        }
    }
}
