//! Pages of lists that are sorted here.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::Failure;

const USUAL: usize = 50;
const MOST: usize = 1000;

/// How many hexadecimal digits of a checksum a page's name begins with.
const CHECK: usize = 16;

/// Where a row is in its list: what is sorted by, then an id that no other row has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place(pub(super) String, pub(super) String);

impl Place {
    /// The place of a number that is never negative.
    pub(super) fn numbered(number: i64, id: impl Into<String>) -> Self {
        Self(format!("{number:020}"), id.into())
    }
}

/// Which page is asked for.
pub(super) struct Paging {
    limit: usize,
    after: Option<Place>,
    list: String,
    descending: bool,
}

/// A list on the wire.
#[derive(Debug, Serialize)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
    count: usize,
}

#[derive(Debug, Serialize)]
struct Next {
    page: String,
}

impl Paging {
    /// `list` says which list it is, with its order and filters: a page of another one is none of
    /// this.
    pub(super) fn parse(
        list: impl Serialize,
        descending: bool,
        limit: Option<&str>,
        page: Option<&str>,
    ) -> Result<Self, Failure> {
        let limit = limit.map_or(Ok(USUAL), |text| {
            text.parse()
                .ok()
                .filter(|limit| *limit <= MOST && text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| Failure::bad("`limit` is a whole number from 0 to 1000"))
        })?;
        let list = serde_json::to_string(&list).unwrap_or_default();
        let mut paging = Self {
            limit,
            after: None,
            list,
            descending,
        };
        if let Some(page) = page {
            let after = paging.place_of(page);
            paging.after = Some(after.ok_or_else(|| Failure::bad("there is no such `page`"))?);
        }
        Ok(paging)
    }

    /// The rows of this page.
    pub(super) fn cut<T>(&self, mut rows: Vec<(Place, T)>) -> Listed<T> {
        let count = rows.len();
        rows.sort_by(|(one, _), (other, _)| self.compare(one, other));
        if let Some(after) = &self.after {
            rows.retain(|(place, _)| self.compare(place, after).is_gt());
        }
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        // A page of nothing leads nowhere.
        let last = rows.last().filter(|_| more).map(|(place, _)| place);
        let next = last.map(|place| Next {
            page: self.page_after(place),
        });
        Listed {
            items: rows.into_iter().map(|(_, row)| row).collect(),
            next,
            count,
        }
    }

    fn compare(&self, one: &Place, other: &Place) -> std::cmp::Ordering {
        if self.descending {
            other.cmp(one)
        } else {
            one.cmp(other)
        }
    }

    fn page_after(&self, place: &Place) -> String {
        let text = serde_json::to_string(place).unwrap_or_default();
        let check = self.check(&text);
        BASE64URL_NOPAD.encode(format!("{check}{text}").as_bytes())
    }

    fn place_of(&self, page: &str) -> Option<Place> {
        let text = String::from_utf8(BASE64URL_NOPAD.decode(page.as_bytes()).ok()?).ok()?;
        let (check, text) = text.split_at_checked(CHECK)?;
        if check != self.check(text) {
            return None;
        }
        serde_json::from_str(text).ok()
    }

    /// Notices a page that is made up or of another list. Nothing is hidden by it: what a page
    /// shows is decided anew each time.
    fn check(&self, text: &str) -> String {
        let mut sum = HEXLOWER.encode(&Sha256::digest(format!("{}\n{text}", self.list)));
        sum.truncate(CHECK);
        sum
    }
}

impl<T> Listed<T> {
    /// The same page, with these for its rows.
    pub(super) fn with<U>(self, items: Vec<U>) -> Listed<U> {
        Listed {
            items,
            next: self.next,
            count: self.count,
        }
    }
}
