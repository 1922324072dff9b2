//! Pictures of what was measured: one bar for each case, from the least to the most.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use plotters::prelude::{
    IntoDrawingArea as _, PathElement, RGBColor, Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _};

use super::{Measured, number, spread};

const INK: RGBColor = RGBColor(36, 41, 51);
const FAINT: RGBColor = RGBColor(205, 210, 218);
const OURS: RGBColor = RGBColor(37, 99, 180);
const OTHERS: RGBColor = RGBColor(150, 160, 174);

const ROW: i32 = 28;
const LEFT: i32 = 290;
const BARS: i32 = 430;
const RIGHT: i32 = 90;
const TOP: i32 = 52;

/// Where pictures go: what stands behind `--plots`.
pub(crate) fn folder() -> Option<PathBuf> {
    let mut arguments = env::args().skip_while(|argument| argument != "--plots");
    arguments.next()?;
    arguments.next().map(PathBuf::from)
}

/// Draws it into a file of this folder, named after the title.
///
/// Bars are as long as medians, or as their logarithms where those are far apart. Those of guestlist
/// have a colour; `theirs` tells the others by their names.
pub(crate) fn draw(
    folder: &Path,
    title: &str,
    unit: &str,
    measured: &Measured,
) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}.svg", slug(title)));
    let rows = i32::try_from(measured.names.len())?;
    let size = (LEFT + BARS + RIGHT, TOP + rows * ROW + 14);
    let size = (u32::try_from(size.0)?, u32::try_from(size.1)?);
    let medians: Vec<f64> = measured
        .names
        .iter()
        .map(|name| spread(measured.of(name)).median)
        .collect();
    let most = measured
        .values
        .iter()
        .flatten()
        .copied()
        .fold(0.0, f64::max);
    let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
    let logarithmic = least > 0.0 && most / least > 40.0;
    let floor = if logarithmic { least / 2.0 } else { 0.0 };
    let along = |value: f64| {
        let part = if logarithmic {
            (value / floor).ln() / (most / floor).ln()
        } else {
            value / most
        };
        LEFT + rounded(part.clamp(0.0, 1.0) * f64::from(BARS))
    };

    let area = SVGBackend::new(&file, size).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |points: u32, at: HPos| -> TextStyle<'static> {
        ("sans-serif", points)
            .into_font()
            .color(&INK)
            .pos(Pos::new(at, VPos::Center))
    };
    area.draw(&Text::new(title.to_owned(), (14, 18), text(17, HPos::Left)))?;
    let scale = if logarithmic { ", logarithmic" } else { "" };
    let note = format!("{unit}{scale}; bar: median, line: least to most");
    area.draw(&Text::new(
        note,
        (14, 38),
        text(12, HPos::Left).color(&INK.mix(0.7)),
    ))?;
    area.draw(&PathElement::new(
        [(LEFT, TOP), (LEFT, TOP + rows * ROW)],
        FAINT,
    ))?;
    let mut top = TOP;
    for (name, median) in measured.names.iter().zip(&medians) {
        let middle = top + ROW / 2;
        let values = spread(measured.of(name));
        let colour = if is_ours(name) { OURS } else { OTHERS };
        let bar = [(LEFT, top + 5), (along(*median), top + ROW - 5)];
        area.draw(&Rectangle::new(bar, colour.filled()))?;
        let whisker = [(along(values.min), middle), (along(values.max), middle)];
        area.draw(&PathElement::new(whisker, INK))?;
        let label = (*name).to_owned();
        area.draw(&Text::new(
            label,
            (LEFT - 10, middle),
            text(13, HPos::Right),
        ))?;
        let end = along(values.max.max(*median)) + 8;
        area.draw(&Text::new(
            number(*median),
            (end, middle),
            text(13, HPos::Left),
        ))?;
        top += ROW;
    }
    area.present()?;
    drop(area);
    Ok(file)
}

/// What stands beside guestlist: bare limits, and what others would do.
fn is_ours(name: &str) -> bool {
    const THEIRS: [&str; 12] = [
        "raw",
        "bare",
        "limit",
        "by hand",
        "naive",
        "cedar",
        "casbin",
        "gatehouse",
        "Better Auth",
        "simple-zanzibar",
        "role-system",
        "biscuit",
    ];
    !THEIRS.iter().any(|theirs| name.starts_with(theirs))
}

#[expect(clippy::cast_possible_truncation, reason = "a place in a picture")]
fn rounded(value: f64) -> i32 {
    value.round() as i32
}

/// A title as the name of a file.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}
