//! What comes of links, and joins over time: charts that the server draws, each beside its table.

use axum::Router;
use axum::routing::get;
use guestlist::{Funnel, LinkFilter, Page};

use super::desk::{Desk, Shell};
use super::fields::DAY;
use super::links::label_of;
use super::view::{Badge, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::now;

/// How far back the chart goes.
const DAYS: u32 = 30;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/insights", get(page))
}

/// A bar that lies, in units of a picture that is 320 wide.
pub(super) struct Bar {
    pub(super) label: &'static str,
    pub(super) count: u64,
    pub(super) width: u64,
    pub(super) y: usize,
    pub(super) class: &'static str,
}

pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) words: String,
}

/// All generations of a link's token together.
pub(super) fn funnel_bars(funnels: &[Funnel]) -> Bars {
    let sum = |of: fn(&Funnel) -> u64| funnels.iter().map(of).sum::<u64>();
    let counts = [
        ("Came", sum(|one| one.claims), "one"),
        ("Let in", sum(|one| one.approvals), "two"),
        ("Still in", sum(|one| one.still_members), "three"),
        ("Rejected", sum(|one| one.rejections), "four"),
    ];
    let most = counts
        .iter()
        .map(|(_, count, _)| *count)
        .max()
        .unwrap_or(0)
        .max(1);
    let words: Vec<String> = counts
        .iter()
        .map(|(label, count, _)| format!("{label}: {count}"))
        .collect();
    let bars = counts
        .into_iter()
        .enumerate()
        .map(|(place, (label, count, class))| Bar {
            label,
            count,
            width: (count * 200).div_ceil(most),
            y: place * 28,
            class,
        });
    Bars {
        bars: bars.collect(),
        words: words.join(", "),
    }
}

struct LinkFunnel {
    path: String,
    label: String,
    badge: Badge,
    bars: Bars,
    share: String,
}

/// A day of the chart: requests beside those who were let in.
struct Day {
    date: String,
    asked: u64,
    joined: u64,
    x: usize,
    asked_y: u64,
    asked_height: u64,
    joined_x: usize,
    joined_y: u64,
    joined_height: u64,
    tick: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "insights.html")]
struct Insights {
    shell: Shell,
    links: Vec<LinkFunnel>,
    days: Vec<Day>,
    grid: Vec<(u64, u64)>,
    busy: Vec<(String, u64, u64)>,
    asked: u64,
    joined: u64,
    span: u32,
    audit_refused: Option<String>,
}

async fn page(desk: Desk) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let listed = guests
        .links(&actor, host, LinkFilter::default(), &Page::first(50)?)
        .await?;
    let mut links = Vec::new();
    for listing in &listed.links {
        let funnels = guests.funnel(&actor, host, listing.link.id).await?;
        let claims: u64 = funnels.iter().map(|one| one.claims).sum();
        let approvals: u64 = funnels.iter().map(|one| one.approvals).sum();
        links.push(LinkFunnel {
            path: format!("/links/{}", listing.link.id),
            label: label_of(&listing.link),
            badge: listing.condition.into(),
            bars: funnel_bars(&funnels),
            share: (approvals * 100).checked_div(claims).map_or_else(
                || "nobody came yet".to_owned(),
                |share| format!("{share} % let in"),
            ),
        });
    }
    let (days, grid, audit_refused) = match over_time(&desk).await {
        Ok((days, grid)) => (days, grid, None),
        Err(problem) => (Vec::new(), Vec::new(), Some(problem.sentence())),
    };
    let busy = days.iter().rev().filter(|day| day.asked + day.joined > 0);
    show(&Insights {
        shell: desk.shell("Insights", "insights").await,
        links,
        busy: busy
            .map(|day| (day.date.clone(), day.asked, day.joined))
            .collect(),
        asked: days.iter().map(|day| day.asked).sum(),
        joined: days.iter().map(|day| day.joined).sum(),
        days,
        grid,
        span: DAYS,
        audit_refused,
    })
}

type Chart = (Vec<Day>, Vec<(u64, u64)>);

/// From the audit trail, day by day.
async fn over_time(desk: &Desk) -> Result<Chart, super::problem::Problem> {
    let today = now();
    let back = i64::from(DAYS - 1) * 86_400_000_000;
    let first = guestlist::Timestamp::from_micros(
        (today.as_micros() - back).div_euclid(86_400_000_000) * 86_400_000_000,
    );
    let dates: Vec<When> = (0..DAYS).map(|day| When(first + DAY * day)).collect();
    let mut asked = vec![0_u64; dates.len()];
    let mut joined = vec![0_u64; dates.len()];
    for (name, counts) in [
        ("membership-requested", [true, false]),
        ("membership-approved", [false, true]),
        ("membership-joined", [true, true]),
    ] {
        for event in super::audit::since(desk, name, first).await? {
            let day = event.stamp.at.since(first).as_secs() / 86_400;
            let Ok(day) = usize::try_from(day) else {
                continue;
            };
            if let (Some(asked), Some(joined)) = (asked.get_mut(day), joined.get_mut(day)) {
                *asked += u64::from(counts[0]);
                *joined += u64::from(counts[1]);
            }
        }
    }
    let most = asked
        .iter()
        .chain(&joined)
        .copied()
        .max()
        .unwrap_or(0)
        .max(4);
    let most = most.div_ceil(4) * 4;
    let height = |count: u64| count * 140 / most;
    let days = dates.iter().enumerate().map(|(place, date)| {
        let (asked, joined) = (asked[place], joined[place]);
        let x = 34 + place * 20;
        Day {
            date: date.day(),
            asked,
            joined,
            x,
            asked_y: 150 - height(asked),
            asked_height: height(asked),
            joined_x: x + 8,
            joined_y: 150 - height(joined),
            joined_height: height(joined),
            tick: (place % 7 == 1 && place < 28).then(|| {
                let date = date.date();
                date.rsplit_once(' ')
                    .map_or(date.clone(), |(day, _)| day.to_owned())
            }),
        }
    });
    let grid = (0..=4).map(|part| (150 - 35 * part, most / 4 * part));
    Ok((days.collect(), grid.collect()))
}
