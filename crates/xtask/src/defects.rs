//! Seeded defects: each is put into a copy of the sources, and a test has to notice it.
//!
//! That says of the tests what passing them can't: that they would fail. A defect is a text in one
//! file that is found there once, and what is put in its place; see ADR 23 for why.

mod table;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::assurance;
use crate::ledger;
use crate::now;
use crate::steps::Cargo;
pub(crate) use table::DEFECTS;

/// What became of each defect when it was last tried: a line each, by name.
pub(crate) const LEDGER: &str = "docs/defects-ledger.jsonl";

/// The test that has to notice a defect. `cargo xtask test` runs it as well, among all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) package: &'static str,
    /// A file of the package's tests, or `lib`: its unit tests.
    pub(crate) target: &'static str,
    /// A part of the names of those tests that are run.
    pub(crate) filter: &'static str,
}

#[derive(Debug)]
pub(crate) struct Defect {
    pub(crate) name: &'static str,
    /// The invariant that it breaks.
    pub(crate) breaks: &'static str,
    pub(crate) file: &'static str,
    /// What stands in the file, once.
    pub(crate) text: &'static str,
    pub(crate) replacement: &'static str,
    pub(crate) job: Job,
}

impl Defect {
    /// The file with this defect.
    fn put_into(&self, source: &str) -> Result<String, String> {
        match source.matches(self.text).count() {
            1 => Ok(source.replacen(self.text, self.replacement, 1)),
            found => Err(format!(
                "{}: its text is {found} times in {}, and not once",
                self.name, self.file
            )),
        }
    }

    /// Tells this defect from one that has its name and is another one (FNV-1a).
    fn mark(&self) -> String {
        let Job {
            package,
            target,
            filter,
        } = self.job;
        let parts = [
            self.file,
            self.text,
            self.replacement,
            package,
            target,
            filter,
        ];
        let hash = parts
            .join("\0")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{hash:016x}")
    }
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tried {
    pub(crate) defect: String,
    mark: String,
    /// The first test that failed; empty if none did.
    pub(crate) caught_by: String,
    pub(crate) failed: usize,
    /// Seconds that compiling took, and running the tests.
    pub(crate) build: f64,
    pub(crate) seconds: f64,
}

impl Tried {
    fn line(&self) -> String {
        format!(
            r#"{{"defect":"{}","mark":"{}","caught_by":"{}","failed":{},"build":{:.1},"seconds":{:.1}}}"#,
            self.defect, self.mark, self.caught_by, self.failed, self.build, self.seconds
        )
    }

    fn read(line: &str) -> Option<Self> {
        let field = |name| ledger::field(line, name);
        Some(Self {
            defect: field("defect")?.to_owned(),
            mark: field("mark")?.to_owned(),
            caught_by: field("caught_by")?.to_owned(),
            failed: field("failed")?.parse().ok()?,
            build: field("build")?.parse().ok()?,
            seconds: field("seconds")?.parse().ok()?,
        })
    }

    pub(crate) fn is_caught(&self) -> bool {
        !self.caught_by.is_empty()
    }
}

pub(crate) fn read_ledger(root: &Path) -> Result<Vec<Tried>, String> {
    ledger::read(root, LEDGER, Tried::read)
}

#[derive(Debug)]
pub(crate) struct Wanted {
    list: bool,
    only: Option<&'static Defect>,
}

/// `None`: help is asked for.
pub(crate) fn parse<'a>(mut args: impl Iterator<Item = &'a str>) -> Result<Option<Wanted>, String> {
    let (mut list, mut only) = (false, None);
    while let Some(arg) = args.next() {
        match arg {
            "--help" | "-h" => return Ok(None),
            "--list" => list = true,
            "--only" if only.is_some() => return Err("`--only` is given twice".to_owned()),
            "--only" => {
                let name = args.next().ok_or("`--only` needs a defect")?;
                let found = DEFECTS.iter().find(|defect| defect.name == name);
                only = Some(found.ok_or(format!("unknown defect `{name}`, see `--list`"))?);
            }
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(Some(Wanted { list, only }))
}

/// Tries the defects that are wanted. An error if one is missed.
pub(crate) fn run(root: &Path, wanted: &Wanted) -> Result<(), String> {
    let defects: Vec<&Defect> = DEFECTS
        .iter()
        .filter(|defect| wanted.only.is_none_or(|only| only.name == defect.name))
        .collect();
    if wanted.list {
        for defect in defects {
            println!("{:<36} {}", defect.name, defect.breaks);
        }
        return Ok(());
    }
    let scratch = Scratch::make(root)?;
    let mut jobs: Vec<Job> = Vec::new();
    for defect in &defects {
        if !jobs.contains(&defect.job) {
            jobs.push(defect.job);
        }
    }
    // Else a test that fails anyhow would pass for one that notices.
    for job in jobs {
        let ran = scratch.run(job)?;
        if ran.passed == 0 || !ran.failed.is_empty() {
            return Err(format!(
                "without any defect, {} tests pass and {} fail of {} {} {}",
                ran.passed,
                ran.failed.len(),
                job.package,
                job.target,
                job.filter
            ));
        }
    }
    let mut missed = Vec::new();
    for defect in &defects {
        match scratch.try_out(defect) {
            Ok(tried) => {
                if tried.is_caught() {
                    println!(
                        "{}: caught by {} after {:.1} s ({:.1} s to compile)",
                        defect.name, tried.caught_by, tried.seconds, tried.build
                    );
                } else {
                    println!("{}: MISSED", defect.name);
                    missed.push(defect.name);
                }
                record(root, tried)?;
                assurance::write(root)?;
            }
            // The others can still be tried.
            Err(why) => {
                println!("{why}");
                missed.push(defect.name);
            }
        }
    }
    if missed.is_empty() {
        println!(
            "xtask defects: {} of {} caught",
            defects.len(),
            defects.len()
        );
        Ok(())
    } else {
        Err(format!("missed: {}", missed.join(", ")))
    }
}

/// Puts a line into the ledger, in the place of the last one about this defect. Lines of defects
/// that are no more go.
fn record(root: &Path, tried: Tried) -> Result<(), String> {
    let mut all = read_ledger(root)?;
    all.retain(|other| {
        other.defect != tried.defect && DEFECTS.iter().any(|defect| defect.name == other.defect)
    });
    all.push(tried);
    all.sort_by(|one, other| one.defect.cmp(&other.defect));
    let lines: String = all.iter().map(|tried| tried.line() + "\n").collect();
    fs::write(root.join(LEDGER), lines).map_err(|error| format!("{LEDGER}: {error}"))
}

/// A copy of the sources, with a target directory of its own that stays for the next time.
struct Scratch {
    tree: PathBuf,
    target: String,
}

/// What a job came to.
struct Ran {
    passed: usize,
    failed: Vec<String>,
    build: f64,
    seconds: f64,
}

impl Scratch {
    fn make(root: &Path) -> Result<Self, String> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        let here = root.join(target).join("defects");
        let scratch = Self {
            tree: here.join("tree"),
            target: here.join("target").to_string_lossy().into_owned(),
        };
        let listed = Command::new("git")
            .current_dir(root)
            .args(["ls-files", "-z"])
            .output()
            .map_err(|error| format!("git: {error}"))?;
        if !listed.status.success() {
            return Err(format!("git: {}", String::from_utf8_lossy(&listed.stderr)));
        }
        let listed = String::from_utf8_lossy(&listed.stdout);
        let files: BTreeSet<PathBuf> = listed
            .split_terminator('\0')
            .filter(|file| root.join(file).is_file())
            .map(|file| scratch.tree.join(file))
            .collect();
        fs::create_dir_all(&scratch.tree).map_err(at(&scratch.tree))?;
        // What is left of earlier times, or what a test has put there.
        remove_others(&scratch.tree, &files)?;
        for file in listed.split_terminator('\0') {
            let (from, to) = (root.join(file), scratch.tree.join(file));
            if !files.contains(&to) {
                continue;
            }
            let bytes = fs::read(&from).map_err(at(&from))?;
            // What is the same keeps its time, so that it isn't compiled again.
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            fs::copy(&from, &to).map_err(at(&to))?;
        }
        Ok(scratch)
    }

    fn try_out(&self, defect: &Defect) -> Result<Tried, String> {
        let file = self.tree.join(defect.file);
        let source = fs::read_to_string(&file).map_err(at(&file))?;
        fs::write(&file, defect.put_into(&source)?).map_err(at(&file))?;
        let ran = self.run(defect.job);
        fs::write(&file, source).map_err(at(&file))?;
        let ran = ran.map_err(|why| format!("{}: {why}", defect.name))?;
        Ok(Tried {
            defect: defect.name.to_owned(),
            mark: defect.mark(),
            caught_by: ran.failed.first().cloned().unwrap_or_default(),
            failed: ran.failed.len(),
            build: ran.build,
            seconds: ran.seconds,
        })
    }

    /// Compiles a job, then runs it. What doesn't compile is an error: nothing was caught by that.
    fn run(&self, job: Job) -> Result<Ran, String> {
        let cargo = |args| {
            let cargo = Cargo::new(&self.tree, args)
                .args("--all-features -p")
                .arg(job.package);
            let cargo = match job.target {
                "lib" => cargo.arg("--lib"),
                file => cargo.arg("--test").arg(file),
            };
            cargo
                .env("CARGO_TARGET_DIR", &self.target)
                // What fails here is no failure to remember.
                .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        };
        let began = now();
        let (compiled, output) = cargo("test --no-run").output()?;
        let build = began.elapsed().as_secs_f64();
        if !compiled {
            return Err(format!("this doesn't compile\n{output}"));
        }
        let began = now();
        let (succeeded, output) = cargo("test").arg("--").arg(job.filter).output()?;
        let (passed, failed) = results(&output);
        if succeeded != failed.is_empty() {
            return Err(format!("a test ended without a result\n{output}"));
        }
        Ok(Ran {
            passed,
            failed,
            build,
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

/// How many tests passed, and the names of those that failed.
fn results(output: &str) -> (usize, Vec<String>) {
    let ends = |line: &str, end: &str| {
        let name = line.strip_prefix("test ")?.strip_suffix(end)?;
        Some(
            name.trim_end()
                .trim_end_matches(" - should panic")
                .to_owned(),
        )
    };
    let passed = output.lines().filter_map(|line| ends(line, " ... ok"));
    let failed = output.lines().filter_map(|line| ends(line, " ... FAILED"));
    (passed.count(), failed.collect())
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

fn remove_others(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() {
            remove_others(&path, files)?;
        } else if !files.contains(&path) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    #[test]
    fn every_defect_still_fits() {
        for defect in DEFECTS {
            let source = fs::read_to_string(root().join(defect.file)).unwrap();
            let changed = defect.put_into(&source).unwrap();
            assert_ne!(changed, source, "{}", defect.name);
        }
    }

    #[test]
    fn a_text_that_is_not_there_once_is_refused() {
        let defect = &DEFECTS[0];
        assert!(defect.put_into("something else").is_err());
        assert!(defect.put_into(&defect.text.repeat(2)).is_err());
        assert_eq!(defect.put_into(defect.text).unwrap(), defect.replacement);
    }

    #[test]
    fn names_are_unique_and_jobs_are_there() {
        for (number, defect) in DEFECTS.iter().enumerate() {
            assert!(
                DEFECTS[..number]
                    .iter()
                    .all(|other| other.name != defect.name)
            );
            let (invariant, meaning) = defect.breaks.split_once(": ").unwrap();
            assert!(
                !invariant.is_empty() && meaning.len() > 20,
                "{}",
                defect.name
            );
            let package = root().join("crates").join(defect.job.package);
            let target = match defect.job.target {
                "lib" => package.join("src/lib"),
                file => package.join("tests").join(file),
            };
            let is_there =
                target.with_extension("rs").is_file() || target.join("main.rs").is_file();
            assert!(is_there, "{}", target.display());
        }
    }

    /// A defect that was added or changed has to be tried, and every one has to be caught.
    #[test]
    fn every_defect_was_tried_as_it_is_and_caught() {
        let ledger = read_ledger(root()).unwrap();
        let tried: Vec<(&str, &str)> = ledger
            .iter()
            .map(|tried| (tried.defect.as_str(), tried.mark.as_str()))
            .collect();
        let marks: Vec<String> = DEFECTS.iter().map(Defect::mark).collect();
        let mut wanted: Vec<(&str, &str)> = DEFECTS
            .iter()
            .zip(&marks)
            .map(|(defect, mark)| (defect.name, mark.as_str()))
            .collect();
        wanted.sort_unstable();
        assert_eq!(tried, wanted, "run `cargo xtask defects`");
        for tried in ledger {
            assert!(tried.is_caught(), "{} is missed", tried.defect);
        }
    }

    #[test]
    fn a_line_is_pinned_and_read_back() {
        let tried = Tried {
            defect: "last-owner-leaves".to_owned(),
            mark: "00000000000000ff".to_owned(),
            caught_by: "decide::tests::one".to_owned(),
            failed: 2,
            build: 10.5,
            seconds: 0.5,
        };
        let line = tried.line();
        assert_eq!(
            line,
            r#"{"defect":"last-owner-leaves","mark":"00000000000000ff","caught_by":"decide::tests::one","failed":2,"build":10.5,"seconds":0.5}"#
        );
        assert_eq!(Tried::read(&line), Some(tried));
        assert_eq!(Tried::read("{}"), None);
    }

    #[test]
    fn results_are_read_from_what_tests_print() {
        let output = "running 3 tests\ntest a::b ... ok\ntest c - should panic ... ok\n\
            test d ... FAILED\n\ntest result: FAILED. 2 passed; 1 failed; 0 ignored";
        assert_eq!(results(output), (2, vec!["d".to_owned()]));
        assert_eq!(results(""), (0, Vec::new()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let parse = |line: &'static str| parse(line.split_whitespace());
        assert!(parse("--help").unwrap().is_none());
        assert!(parse("").unwrap().is_some_and(|wanted| !wanted.list));
        let only = format!("--only {}", DEFECTS[1].name);
        let wanted = super::parse(only.split_whitespace()).unwrap().unwrap();
        assert_eq!(wanted.only.unwrap().name, DEFECTS[1].name);
        for line in ["--only", "--only nothing", "all", "--only"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
