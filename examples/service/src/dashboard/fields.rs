//! What a form or a query says: names and texts, whatever was sent.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;
use guestlist::{Action, ActionSet, Timestamp};

use super::problem::Problem;
use crate::app::App;
use crate::host::now;

pub(super) const DAY: Duration = Duration::from_hours(24);

/// Pairs in the order in which they were sent. Unknown ones are ignored, missing ones are empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl FromRequest<App> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        match Form::<Vec<(String, String)>>::from_request(request, app).await {
            Ok(Form(pairs)) => Ok(Self(pairs)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(
                Problem::new(rejection.status(), "this is more than a form can hold"),
            ),
            Err(rejection) => Err(Problem::new(
                rejection.status(),
                "this form could not be read",
            )),
        }
    }
}

impl Fields {
    /// The first field of this name, without spaces around it.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.trim())
    }

    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|text| text == value)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.has(name, "on")
    }

    /// The field as what it should be; `None` if it is empty. `label` names it for whoever filled
    /// it in.
    pub(super) fn optional<T>(&self, name: &str, label: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        match self.text(name) {
            "" => Ok(None),
            text => parse(text, label).map(Some),
        }
    }

    pub(super) fn required<T>(&self, name: &str, label: &str) -> Result<T, Problem>
    where
        T: FromStr<Err: Display>,
    {
        self.optional(name, label)?
            .ok_or_else(|| Problem::field(label, "this is needed"))
    }

    /// Lines or parts between commas, without empty ones.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(|text| text.split(['\n', ',', ';']))
            .map(str::trim)
            .filter(|part| !part.is_empty())
    }

    pub(super) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|part| !part.is_empty())
    }

    /// A number of days.
    pub(super) fn days(&self, name: &str, label: &str) -> Result<Option<Duration>, Problem> {
        let days: Option<u32> = self.optional(name, label)?;
        Ok(days.map(|days| DAY * days))
    }

    /// So many days from now.
    pub(super) fn in_days(&self, name: &str, label: &str) -> Result<Option<Timestamp>, Problem> {
        Ok(self.days(name, label)?.map(|days| now() + days))
    }

    /// The first moment of a date.
    pub(super) fn date(&self, name: &str, label: &str) -> Result<Option<Timestamp>, Problem> {
        match self.text(name) {
            "" => Ok(None),
            text => parse(&format!("{text}T00:00:00Z"), label).map(Some),
        }
    }

    /// The actions that are ticked.
    pub(super) fn actions(&self, name: &str) -> Result<ActionSet, Problem> {
        let mut set = ActionSet::EMPTY;
        for text in self.all(name) {
            let action: Action = parse(text, "Actions")?;
            set = set.union(ActionSet::of(&[action]));
        }
        Ok(set)
    }
}

pub(super) fn parse<T>(text: &str, label: &str) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    text.parse()
        .map_err(|error: T::Err| Problem::field(label, &error.to_string()))
}
