//! How things are shown: times, states, words.

use std::fmt;

use askama::filters::HtmlSafe;
use guestlist::membership::By;
use guestlist::membership::invite::InvitePhase;
use guestlist::membership::link::LinkCondition;
use guestlist::{Action, ActionSet, Pattern, Status, Timestamp};

use crate::host::now;

/// A time, in words where it is near.
#[derive(Debug, Clone, Copy)]
pub(super) struct When(pub(super) Timestamp);

impl When {
    pub(super) fn words(self) -> String {
        let (then, now) = (self.0.as_micros(), now().as_micros());
        let seconds = now.abs_diff(then) / 1_000_000;
        let count = |number: u64, unit: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{number} {unit}{plural}")
        };
        let distance = match seconds {
            0..60 => {
                return if then <= now {
                    "just now"
                } else {
                    "in a moment"
                }
                .to_owned();
            }
            60..3_600 => count(seconds / 60, "minute"),
            3_600..86_400 => count(seconds / 3_600, "hour"),
            86_400..2_592_000 => count(seconds / 86_400, "day"),
            _ => return self.date(),
        };
        if then <= now {
            format!("{distance} ago")
        } else {
            format!("in {distance}")
        }
    }

    /// As in `12 Nov 2026`.
    pub(super) fn date(self) -> String {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let iso = self.iso();
        let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default().to_owned();
        let month = part(5, 7).parse::<usize>().unwrap_or(1);
        let month = MONTHS
            .get(month.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        format!(
            "{} {month} {}",
            part(8, 10).trim_start_matches('0'),
            part(0, 4)
        )
    }

    /// As in `2026-11-12`.
    pub(super) fn day(self) -> String {
        self.iso().get(..10).unwrap_or_default().to_owned()
    }

    pub(super) fn exact(self) -> String {
        let iso = self.iso();
        iso.get(..19).unwrap_or(&iso).replace('T', " ")
    }

    fn iso(self) -> String {
        let text = self.0.to_string();
        match text.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => text,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<time datetime=\"{}\" title=\"{} UTC\">{}</time>",
            self.iso(),
            self.exact(),
            self.words()
        )
    }
}

/// Digits and fixed words only.
impl HtmlSafe for When {}

/// A state, with a color that only repeats what the words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    tone: &'static str,
    text: &'static str,
}

impl Badge {
    pub(super) const fn new(tone: &'static str, text: &'static str) -> Self {
        Self { tone, text }
    }
}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"badge {}\">{}</span>",
            self.tone, self.text
        )
    }
}

/// Both texts are this program's.
impl HtmlSafe for Badge {}

impl From<Status> for Badge {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::new("wait", "Pending"),
            Status::Approved => Self::new("good", "Approved"),
            Status::Rejected => Self::new("bad", "Rejected"),
            Status::Removed => Self::new("bad", "Removed"),
            Status::Cancelled => Self::new("off", "Cancelled"),
        }
    }
}

impl From<LinkCondition> for Badge {
    fn from(condition: LinkCondition) -> Self {
        match condition {
            LinkCondition::Open => Self::new("good", "Active"),
            LinkCondition::Disabled => Self::new("off", "Disabled"),
            LinkCondition::Expired => Self::new("bad", "Expired"),
            LinkCondition::Exhausted => Self::new("bad", "Used up"),
            LinkCondition::Paused => Self::new("wait", "Paused"),
        }
    }
}

impl From<InvitePhase> for Badge {
    fn from(phase: InvitePhase) -> Self {
        match phase {
            InvitePhase::Pending => Self::new("wait", "Pending"),
            InvitePhase::Expired => Self::new("bad", "Expired"),
            InvitePhase::Accepted => Self::new("good", "Accepted"),
            InvitePhase::Declined => Self::new("off", "Declined"),
            InvitePhase::Revoked => Self::new("off", "Revoked"),
        }
    }
}

pub(super) fn status(status: Option<Status>) -> Badge {
    status.map_or(Badge::new("off", "Never joined"), Badge::from)
}

/// As in `read, create`.
pub(super) fn actions(set: ActionSet) -> String {
    let names: Vec<&str> = set.iter().map(Action::as_str).collect();
    names.join(", ")
}

pub(super) fn pattern(pattern: &Pattern) -> String {
    match pattern.as_str() {
        "" => "every key".to_owned(),
        text => text.to_owned(),
    }
}

/// A name of an event or a code, for people: `link-created` is "Link created".
pub(super) fn words(name: &str) -> String {
    let text = name.replace(['-', '_'], " ");
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Who did something, where it was not a person.
pub(super) const fn by(by: &By) -> Option<&'static str> {
    match by {
        By::User { .. } => None,
        By::Policy => Some("by itself"),
        By::Clock => Some("time ran out"),
        By::System => Some("the service"),
    }
}

pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let at = |seconds: i64| {
            When(Timestamp::from_micros(
                now().as_micros() + seconds * 1_000_000,
            ))
        };
        assert_eq!(at(-5).words(), "just now");
        assert_eq!(at(-61).words(), "1 minute ago");
        assert_eq!(at(-2 * 3_600 - 5).words(), "2 hours ago");
        assert_eq!(at(3 * 86_400 + 60).words(), "in 3 days");
        let date = When(Timestamp::from_micros(1_772_359_200_000_000));
        assert_eq!(
            (date.words(), date.day()),
            ("1 Mar 2026".into(), "2026-03-01".into())
        );
        assert_eq!(date.exact(), "2026-03-01 10:00:00");
        for odd in [i64::MIN, i64::MAX] {
            assert!(!When(Timestamp::from_micros(odd)).words().is_empty());
        }
    }
}
