//! What a decision on a key costs: the index, beside its plain definition, the limit written by
//! hand, and what a service writes first. Other libraries are measured by `benches/peers`.
//!
//! ```text
//! --million            a world of 1,000,000 users instead; it takes some 12 GiB of memory
//! --while-writing      checks through the facade beside a writer, instead
//! --checks USERS       builds the world of so many users and makes each of 20,000 checks once, for
//!                      valgrind --tool=callgrind --toggle-collect='*index_checks*'
//! ```

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(
    unreachable_pub,
    reason = "these files are shared with the package that measures other libraries"
)]

use core::hint::black_box;
use std::env;

use guestlist_access::{
    AccessBook, AccessChange, AccessIndex, Action, Compiled, Pattern, Resolved, decide, readable,
};
use guestlist_benches as harness;
use harness::{Case, Measured, Run, Target, count, cpu_nanos, number, side_by_side};

mod engines;
mod while_writing;
mod world;

use engines::{HashedLimit, Limit, Naive};
use world::{NOW, Question, World};

struct Engines {
    world: World,
    book: AccessBook,
    index: AccessIndex,
    naive: Naive,
    limit: Limit,
    hashed: HashedLimit,
}

impl Engines {
    fn name(&self, question: &Question) -> &str {
        &self.world.names[question.user]
    }

    fn plain(&self, question: &Question) -> bool {
        let principal = &self.world.principals[question.user];
        decide(&self.book, principal, question.action, &question.key, NOW).is_allowed()
    }

    fn by_name(&self, question: &Question) -> bool {
        let principal = self.index.principal(&self.world.principals[question.user]);
        principal.allows(question.action, &question.key, NOW)
    }

    fn naive(&self, question: &Question) -> bool {
        let key = question.key.as_str();
        self.naive.check(self.name(question), question.action, key)
    }

    fn limit(&self, question: &Question) -> bool {
        let key = question.key.as_str();
        self.limit.check(question.user, question.action, key)
    }

    fn hashed(&self, question: &Question) -> bool {
        let key = question.key.as_str();
        self.hashed.check(question.user, question.action, key)
    }

    /// Compares all answers and gives the part that is allowed.
    fn compare(&self, listed: usize) -> f64 {
        let mut allowed = 0;
        for question in &self.world.questions {
            let answer = self.by_name(question);
            let (action, key) = (question.action, &question.key);
            assert_eq!(answer, self.plain(question), "{key}");
            assert_eq!(answer, self.naive(question), "{key}");
            assert_eq!(answer, self.limit(question), "{key}");
            assert_eq!(answer, self.hashed(question), "{key}");
            let principal = &self.world.principals[question.user];
            let resolved = self.index.principal(principal);
            assert_eq!(answer, resolved.compile().allows(action, key, NOW), "{key}");
            let decision = decide(&self.book, principal, action, key, NOW);
            assert_eq!(resolved.decide(action, key, NOW), decision, "{key}");
            allowed += usize::from(answer);
        }
        for (user, name) in self.world.names.iter().enumerate().take(listed) {
            let principal = &self.world.principals[user];
            let coverage = self.index.principal(principal).readable(Action::Read, NOW);
            let plain = readable(&self.book, principal, Action::Read, NOW);
            assert_eq!(coverage, plain);
            let ours: Vec<&str> = coverage.as_patterns().iter().map(Pattern::as_str).collect();
            assert_eq!(ours, self.naive.readable(name, Action::Read));
        }
        count(allowed) / count(self.world.questions.len())
    }
}

/// The CPU time of one call, over all items in order.
fn each<T, A>(items: &[T], mut call: impl FnMut(&T) -> A) -> f64 {
    let all = cpu_nanos(1, || {
        for item in items {
            black_box(call(black_box(item)));
        }
    });
    all / count(items.len())
}

fn check(engines: &Engines, label: &str, repeats: usize) -> Measured {
    let questions = &engines.world.questions;
    let resolved: Vec<Resolved<'_>> = engines
        .world
        .principals
        .iter()
        .map(|principal| engines.index.principal(principal))
        .collect();
    let compiled: Vec<Compiled<'_>> = resolved.iter().map(Resolved::compile).collect();
    let bytes: usize = compiled.iter().map(Compiled::memory).sum();
    println!("\n  compiled: {} B a user", bytes / compiled.len());
    let asked =
        |question: &Question| resolved[question.user].allows(question.action, &question.key, NOW);
    side_by_side(
        &format!("A check, {label}"),
        "ns of CPU",
        repeats,
        vec![
            Case::new("limit, hashed", || {
                each(questions, |question| engines.hashed(question))
            }),
            Case::new("limit, sorted", || {
                each(questions, |question| engines.limit(question))
            }),
            Case::new("index, compiled", || {
                each(questions, |question| {
                    compiled[question.user].allows(question.action, &question.key, NOW)
                })
            }),
            Case::new("index", || each(questions, asked)),
            Case::new("index, by name", || {
                each(questions, |question| engines.by_name(question))
            }),
            Case::new("compiling", || {
                each(&resolved[..resolved.len().min(2_000)], Resolved::compile)
            }),
            Case::new("index, with witness", || {
                each(questions, |question| {
                    let principal = &resolved[question.user];
                    principal.decide(question.action, &question.key, NOW)
                })
            }),
            Case::new("naive", || {
                each(questions, |question| engines.naive(question))
            }),
            Case::new("plain", || {
                each(questions, |question| engines.plain(question))
            }),
        ],
    )
}

fn targets(run: &mut Run, measured: &Measured, users: usize, per_subject: usize, label: &str) {
    let bound = match (users, per_subject) {
        (10, 4) => 40.0,
        (1_000, 4) => 80.0,
        (1_000, 64) => 250.0,
        (100_000, 4) => 400.0,
        _ => return,
    };
    let median = measured.median("index");
    let times = if users < 100_000 { 1.5 } else { 2.0 };
    let faster = |one, other| {
        if measured.median(one) < measured.median(other) {
            one
        } else {
            other
        }
    };
    let limit = faster("limit, hashed", "limit, sorted");
    for form in ["index", "index, compiled"] {
        run.target(
            &format!("{form}: a check, {label} [ns]"),
            measured.median(form),
            Target::AtMost(bound),
        );
        run.target(
            &format!("{form}: a check, {label}, times the {limit}"),
            measured.ratio(form, limit),
            Target::AtMost(times),
        );
    }
    run.target(
        &format!("a check, {label}, times as fast as naive"),
        1.0 / measured.ratio("index", "naive"),
        Target::AtLeast(5.0),
    );
    if users <= 1_000 {
        run.target(
            &format!("a user by name, {label}, more than by handle [ns]"),
            measured.median("index, by name") - median,
            Target::AtMost(11.0),
        );
    }
}

fn lists(run: &mut Run, engines: &Engines, label: &str, repeats: usize) {
    let listed = engines.world.users.len().min(200);
    let ours = |user: usize| {
        let principal = engines.index.principal(&engines.world.principals[user]);
        principal.readable(Action::Read, NOW)
    };
    let patterns: usize = (0..listed).map(|user| ours(user).as_patterns().len()).sum();
    let patterns = count(patterns) / count(listed);
    let asked: Vec<usize> = (0..run.size(50, 2_000)).map(|turn| turn % listed).collect();
    let measured = side_by_side(
        &format!(
            "readable(), {label}, {} patterns on average",
            number(patterns)
        ),
        "ns of CPU",
        repeats,
        vec![
            Case::new("naive", || {
                each(&asked, |user| {
                    engines
                        .naive
                        .readable(&engines.world.names[*user], Action::Read)
                })
            }),
            Case::new("index", || each(&asked, |user| ours(*user))),
            Case::new("plain", || {
                each(&asked, |user| {
                    let principal = &engines.world.principals[*user];
                    readable(&engines.book, principal, Action::Read, NOW)
                })
            }),
        ],
    );
    if patterns < 40.0 {
        run.target(
            &format!("readable(), {label}, {} patterns [ns]", number(patterns)),
            measured.median("index"),
            Target::AtMost(200.0),
        );
    }
}

fn changes(run: &mut Run, engines: &Engines, label: &str) {
    let mut changed = engines.index.clone();
    let rows: Vec<&AccessChange> = engines
        .world
        .rows
        .iter()
        .filter(|row| matches!(row, AccessChange::PutGrant(_)))
        .collect();
    // From all over the world, not the first, which are the organization's.
    let step = (rows.len() / 2_000).max(1);
    let some: Vec<&AccessChange> = rows.into_iter().step_by(step).collect();
    let replace = |index: &mut AccessIndex, row: &AccessChange| {
        if let AccessChange::PutGrant(grant) = row {
            index.apply(&AccessChange::DeleteGrant(grant.id));
        }
        index.apply(row);
    };
    let alone = each(&some, |row| replace(&mut changed, row)) / 2e3;
    run.target(
        &format!("a grant or a removal, {label} [us]"),
        alone,
        Target::AtMost(10.0),
    );
    let mut questions = engines.world.questions.iter().cycle();
    let with_check = each(&some, |row| {
        replace(&mut changed, row);
        let question = questions.next().expect("they go round");
        let principal = changed.principal(&engines.world.principals[question.user]);
        principal.allows(question.action, &question.key, NOW)
    }) / 1e3;
    run.target(
        &format!("a removal, a grant and the next check, {label} [us]"),
        with_check,
        Target::AtMost(25.0),
    );
}

/// So that a profiler can tell it from what comes before.
#[inline(never)]
fn index_checks(resolved: &[Resolved<'_>], questions: &[Question]) -> usize {
    let allows =
        |question: &&Question| resolved[question.user].allows(question.action, &question.key, NOW);
    questions.iter().filter(allows).count()
}

/// Each of the checks once.
fn once(users: usize) {
    let world = World::new(users, 4, 20_000);
    let index: AccessIndex = world.rows.iter().collect();
    let resolved: Vec<Resolved<'_>> = world
        .principals
        .iter()
        .map(|principal| index.principal(principal))
        .collect();
    let allowed = index_checks(black_box(&resolved), black_box(&world.questions));
    println!(
        "{}: {} checks, {allowed} allowed",
        world.describe(4),
        world.questions.len()
    );
}

fn main() {
    let mut arguments = env::args().skip_while(|argument| argument != "--checks");
    if arguments.next().is_some() {
        let users = arguments.next().and_then(|users| users.parse().ok());
        once(users.expect("--checks takes a number of users"));
        return;
    }
    let mut run = Run::start("decide");
    let repeats = run.size(2, 11);
    let given = |wanted: &str| env::args().any(|argument| argument == wanted);
    if given("--while-writing") {
        while_writing::measure(&mut run);
        run.finish();
        return;
    }
    if given("--million") {
        measure(&mut run, 1_000_000, 4, repeats);
        run.finish();
        return;
    }
    let mut worlds = vec![
        (10, 1),
        (10, 4),
        (1_000, 1),
        (1_000, 4),
        (1_000, 16),
        (1_000, 64),
    ];
    worlds.push((run.size(2_000, 100_000), 4));
    for (users, per_subject) in worlds {
        measure(&mut run, users, per_subject, repeats);
    }
    run.finish();
}

fn measure(run: &mut Run, users: usize, per_subject: usize, repeats: usize) {
    let world = World::new(users, per_subject, run.size(500, 20_000));
    println!("\n-- {}", world.describe(per_subject));
    let mut index = AccessIndex::new();
    let building = cpu_nanos(1, || index.extend(&world.rows)) / 1e6;
    let mut book = AccessBook::new();
    let of_book = cpu_nanos(1, || world.rows.iter().for_each(|row| book.apply(row))) / 1e6;
    let (bytes, grants) = (count(index.memory()), count(world.grants));
    println!(
        "  building from rows: index {} ms, plain {} ms; the index has {} MB, {} B a grant",
        number(building),
        number(of_book),
        number(bytes / 1e6),
        number(bytes / grants),
    );
    let engines = Engines {
        naive: Naive::new(&world),
        limit: Limit::new(&world),
        hashed: HashedLimit::new(&world),
        world,
        book,
        index,
    };
    println!(
        "  the limit has {} B a grant, hashed {}",
        number(count(engines.limit.memory()) / grants),
        number(count(engines.hashed.memory()) / grants)
    );
    let allowed = engines.compare(1_000);
    println!(
        "  {} questions, {} % allowed, no answer differs",
        engines.world.questions.len(),
        number(allowed * 100.0)
    );
    let label = format!("{users} users, P = {per_subject}");
    let measured = check(&engines, &label, repeats);
    targets(run, &measured, users, per_subject, &label);
    let most = match (users, per_subject) {
        (100_000.., 4) => Some(100.0),
        (1_000, 64) => Some(35.0),
        _ => None,
    };
    if let Some(most) = most {
        let what = format!("memory, {label} [B a grant]");
        run.target(&what, bytes / grants, Target::AtMost(most));
    }
    if users >= 100_000 {
        let what = format!("building the index, {label} [ms]");
        run.target(&what, building, Target::AtMost(500.0));
    }
    if per_subject != 1 {
        lists(run, &engines, &label, repeats);
        changes(run, &engines, &label);
    }
}
