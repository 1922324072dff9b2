//! A small measuring harness: things that are compared are run side by side, in turns, in one
//! process, and the ratio is taken within each turn.
//!
//! What else the machine does while it measures moves the times; it moves both sides of a ratio
//! alike. So ratios are the result, and times say what kind of machine it was. Nothing here decides
//! a test: what misses its target is printed like everything else.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod plot;

use core::fmt::Write as _;
use core::hint::black_box;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::time::Instant;
use std::{env, fs, thread};

use rustix::time::{ClockId, clock_gettime};

/// One run of a benchmark, from its heading to its last line.
#[derive(Debug)]
pub struct Run {
    name: &'static str,
    quick: bool,
    missed: Vec<String>,
    reached: usize,
}

impl Run {
    /// Prints what is about to be measured and on what.
    ///
    /// It is a full run under `cargo bench`, and a quick one with `--quick` or when the program is
    /// started by anything else, such as `cargo test --benches`.
    #[must_use]
    pub fn start(name: &'static str) -> Self {
        let arguments: Vec<String> = env::args().collect();
        let given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
        let quick = given("--quick") || !given("--bench");
        let cores = thread::available_parallelism().map_or(0, core::num::NonZero::get);
        let mode = if quick { "quick" } else { "full" };
        println!("== {name} ({mode} run)");
        println!(
            "guestlist {}, rust-version {}, {} build, {} on {}",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_RUST_VERSION"),
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "optimized"
            },
            env::consts::OS,
            env::consts::ARCH,
        );
        println!("cores {cores}, load at start {}", load());
        if cfg!(debug_assertions) {
            println!("this build is not optimized: its numbers say nothing");
        }
        Self {
            name,
            quick,
            missed: Vec::new(),
            reached: 0,
        }
    }

    /// `quick` in a quick run, `full` in a full one.
    #[must_use]
    pub fn size(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Prints whether a number is what it was to be.
    pub fn target(&mut self, what: &str, found: f64, wanted: Target) {
        let (is_reached, sign, bound) = match wanted {
            Target::AtMost(bound) => (found <= bound, "<=", bound),
            Target::AtLeast(bound) => (found >= bound, ">=", bound),
        };
        let verdict = if is_reached { "reached" } else { "NOT reached" };
        println!(
            "  target: {what}: {} {sign} {}: {verdict}",
            number(found),
            number(bound)
        );
        if is_reached {
            self.reached += 1;
        } else {
            self.missed.push(what.to_owned());
        }
    }

    /// Prints how it ended.
    pub fn finish(self) {
        println!("load at end {}", load());
        println!(
            "== {}: {} of {} targets reached",
            self.name,
            self.reached,
            self.reached + self.missed.len()
        );
        for missed in self.missed {
            println!("   not reached: {missed}");
        }
        println!();
    }
}

/// What a number is to be.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// One way of doing something: returns what one operation cost or how many were done, in the unit
/// of the comparison.
pub struct Case<'a> {
    name: &'static str,
    measure: Box<dyn FnMut() -> f64 + 'a>,
}

impl core::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

impl<'a> Case<'a> {
    /// With the name that its row gets.
    pub fn new(name: &'static str, measure: impl FnMut() -> f64 + 'a) -> Self {
        let measure = Box::new(measure);
        Self { name, measure }
    }

    /// The CPU time of one of `count` calls, in nanoseconds.
    pub fn nanos<T>(name: &'static str, count: usize, mut call: impl FnMut() -> T + 'a) -> Self {
        Self::new(name, move || {
            cpu_nanos(count, || {
                black_box(call());
            })
        })
    }
}

/// What was measured: for each case one number per repeat.
#[derive(Debug)]
pub struct Measured {
    names: Vec<&'static str>,
    values: Vec<Vec<f64>>,
}

/// Runs all cases once per repeat, every second time in the opposite order, after one repeat that
/// doesn't count. Prints minimum, median and maximum of each case, and of its ratio to the first one
/// with the ratio of each repeat.
///
/// # Panics
///
/// Without cases.
#[expect(clippy::must_use_candidate, reason = "what it prints may be enough")]
pub fn side_by_side(title: &str, unit: &str, repeats: usize, mut cases: Vec<Case<'_>>) -> Measured {
    println!("\n{title} [{unit}; {repeats} repeats]");
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for repeat in 0..=repeats {
        let mut order: Vec<usize> = (0..cases.len()).collect();
        if repeat % 2 == 1 {
            order.reverse();
        }
        for case in order {
            let value = (cases[case].measure)();
            if repeat > 0 {
                values[case].push(value);
            }
        }
    }
    let measured = Measured {
        names: cases.iter().map(|case| case.name).collect(),
        values,
    };
    measured.print();
    if let Some(folder) = plot::folder() {
        match plot::draw(&folder, title, unit, &measured) {
            Ok(file) => println!("  drawn: {}", file.display()),
            Err(error) => println!("  not drawn: {error}"),
        }
    }
    measured
}

impl Measured {
    /// The median of a case.
    ///
    /// # Panics
    ///
    /// If there is no such case.
    #[must_use]
    pub fn median(&self, case: &str) -> f64 {
        spread(self.of(case)).median
    }

    /// The median over all repeats of one case divided by another.
    ///
    /// # Panics
    ///
    /// If there is no such case.
    #[must_use]
    pub fn ratio(&self, case: &str, to: &str) -> f64 {
        spread(&self.ratios(case, to)).median
    }

    fn of(&self, case: &str) -> &[f64] {
        let found = self.names.iter().position(|name| *name == case);
        &self.values[found.expect("the case was measured")]
    }

    fn ratios(&self, case: &str, to: &str) -> Vec<f64> {
        let pairs = self.of(case).iter().zip(self.of(to));
        pairs.map(|(one, other)| one / other).collect()
    }

    fn print(&self) {
        let base = *self.names.first().expect("there is a first case");
        let width = self.names.iter().map(|name| name.len()).max().unwrap_or(0);
        for name in &self.names {
            let mut line = format!("  {name:width$}  {}", spread(self.of(name)));
            if *name != base {
                let ratios = self.ratios(name, base);
                let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
                let _ = write!(line, "  ratio {}  [{}]", spread(&ratios), each.join(" "));
            }
            println!("{line}");
        }
    }
}

/// Minimum, median and maximum.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl core::fmt::Display for Spread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [min, median, max] = [self.min, self.median, self.max].map(number);
        write!(f, "{min} / {median} / {max}")
    }
}

/// The spread of some values.
///
/// # Panics
///
/// Without values.
#[must_use]
pub fn spread(values: &[f64]) -> Spread {
    Spread {
        min: quantile(values, 0.0),
        median: quantile(values, 0.5),
        max: quantile(values, 1.0),
    }
}

/// The value that this part of the values is at most.
///
/// # Panics
///
/// Without values.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into a list that fits in memory"
)]
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1).expect("there are values");
    sorted[(last as f64 * part).round() as usize]
}

/// A number with three digits that mean something.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A number of things as a factor.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "nothing is counted up to 2^53 here"
)]
pub const fn count(things: usize) -> f64 {
    things as f64
}

/// The CPU time of this thread for one of `calls` calls, in nanoseconds. Other threads and other
/// programs don't count.
#[expect(
    clippy::cast_precision_loss,
    reason = "differences of nanoseconds are far below 2^53"
)]
pub fn cpu_nanos(calls: usize, mut call: impl FnMut()) -> f64 {
    let cpu = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    let start = cpu();
    for _ in 0..calls {
        call();
    }
    (cpu() - start) as f64 / count(calls)
}

/// The time now, by the wall.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that measures time"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds by the wall.
pub fn micros<T>(call: impl FnOnce() -> T) -> (f64, T) {
    let start = now();
    let value = call();
    (start.elapsed().as_secs_f64() * 1e6, value)
}

/// Runs a future that never waits, as all of a memory store are.
///
/// # Panics
///
/// If it waits.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("this future was never to wait"),
    }
}

/// A generator of numbers that are the same in every run.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// With this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// If `bound` is zero.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below a usize"
    )]
    pub const fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One of several.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub const fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The load of the machine over the last minute.
fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().unwrap_or_default().to_owned()
}
