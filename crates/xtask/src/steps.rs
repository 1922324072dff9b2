//! The steps of `cargo xtask test`, in the order in which they run.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
};

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What `--list` says that it runs.
    pub(crate) runs: &'static str,
    /// Takes the root of the workspace; an error says what went wrong.
    pub(crate) run: fn(&Path) -> Result<Outcome, String>,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// A tool that this step needs, and that no checkout can bring, isn't there.
    LeftOut(&'static str),
}

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        runs: "cargo fmt --all -- --check",
        run: |root| Cargo::new(root, "fmt --all -- --check").run(),
    },
    Step {
        name: "clippy",
        runs: "cargo clippy --workspace --all-targets --all-features -- -D warnings",
        run: |root| {
            Cargo::new(root, "clippy --workspace --all-targets --all-features")
                .args("-- -D warnings")
                .run()
        },
    },
    Step {
        name: "doc",
        runs: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features",
        run: |root| {
            Cargo::new(root, "doc --workspace --no-deps --all-features")
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()
        },
    },
    Step {
        name: "postgres",
        runs: "looks for a PostgreSQL server; as root with apt-get, installs one that is missing",
        run: |_| postgres(),
    },
    Step {
        name: "clients",
        runs: "looks for Node.js, Python and Chromium, which the example service is tested with; as root \
            with apt-get, installs those that are missing",
        run: |_| clients(),
    },
    Step {
        name: "test",
        runs: "cargo test --workspace --all-features",
        run: |root| Cargo::new(root, "test --workspace --all-features").run(),
    },
    Step {
        name: "quickstart",
        runs: "cargo run -p quickstart, twice on one database file, and its last line",
        run: quickstart,
    },
    Step {
        name: "features",
        runs: "cargo check of each feature combination that somebody may pick",
        run: features,
    },
    Step {
        name: "fuzz",
        runs: "cargo +nightly fuzz: every target built and run for some seconds",
        run: fuzz,
    },
    Step {
        name: "deny",
        runs: "cargo deny check licenses bans sources",
        run: deny,
    },
];

/// Combinations that `--all-features` hides: package, and the features on top of none.
const FEATURES: &[(&str, &[&str])] = &[
    ("guestlist", &[]),
    ("guestlist", &["sqlite"]),
    ("guestlist", &["postgres"]),
    ("guestlist", &["seal"]),
    ("guestlist", &["http"]),
    ("guestlist-store", &["sql"]),
    ("guestlist-token", &[]),
    ("guestlist-webhooks", &[]),
    ("guestlist-webhooks", &["http"]),
];

pub(crate) const FUZZ_SECONDS: u32 = 5;

/// What the tests start servers with.
const POSTGRES: [&str; 3] = ["initdb", "postgres", "psql"];

fn postgres() -> Result<Outcome, String> {
    // An order, as it is to the tests: nothing is installed beside it.
    if let Some(named) = env::var_os("GUESTLIST_PG_BIN") {
        let dir = PathBuf::from(named);
        return if has_postgres(&dir) {
            println!("found in {}", dir.display());
            Ok(Outcome::Passed)
        } else {
            Err(format!(
                "there is no PostgreSQL server in `{}`: set GUESTLIST_PG_BIN to the folder that \
                 holds `initdb`, or unset it",
                dir.display()
            ))
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let find = || find_postgres(Path::new("/usr/lib/postgresql"), &path);
    if find().is_none() && is_root() && env::split_paths(&path).any(|d| d.join("apt-get").is_file())
    {
        apt_get("update")?;
        install("postgresql")?;
    }
    let dir = find().ok_or(
        "no PostgreSQL server found: install Debian's package `postgresql`, or set \
         GUESTLIST_PG_BIN to the folder that holds `initdb`",
    )?;
    println!("found in {}", dir.display());
    Ok(Outcome::Passed)
}

/// What the tests of the example service run: how each is asked for, and Debian's packages of it.
const CLIENTS: [(&str, &[&str], &str); 4] = [
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
    (
        "python3",
        &["-c", "import ensurepip, venv"],
        "python3 python3-venv",
    ),
    (
        "/usr/bin/chromium",
        &["--version"],
        "chromium fonts-dejavu-core",
    ),
];

fn clients() -> Result<Outcome, String> {
    let is_there = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let may_install = is_root() && env::split_paths(&path).any(|d| d.join("apt-get").is_file());
    let mut updated = false;
    for (program, arguments, packages) in CLIENTS {
        if !is_there(program, arguments) && may_install {
            if !updated {
                apt_get("update")?;
                updated = true;
            }
            install(packages)?;
        }
        if !is_there(program, arguments) {
            return Err(format!(
                "`{program}` is missing: install Debian's {packages}"
            ));
        }
        println!("{program} is there");
    }
    Ok(Outcome::Passed)
}

fn install(packages: &str) -> Result<(), String> {
    apt_get(&format!("install --yes --no-install-recommends {packages}"))
        .map_err(|error| format!("{error}; install {packages} by hand"))
}

fn find_postgres(installed: &Path, path: &OsStr) -> Option<PathBuf> {
    let versions = fs::read_dir(installed).into_iter().flatten();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    // A link of one program leads to where all of them are.
    let linked = env::split_paths(path).filter_map(|dir| {
        let initdb = dir.join("initdb").canonicalize().ok()?;
        Some(initdb.parent()?.to_owned())
    });
    versions.chain(linked).find(|dir| has_postgres(dir))
}

fn has_postgres(dir: &Path) -> bool {
    POSTGRES.iter().all(|program| dir.join(program).is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt_get(args: &str) -> Result<(), String> {
    println!("$ DEBIAN_FRONTEND=noninteractive apt-get {args}");
    let status = Command::new("apt-get")
        .args(args.split_whitespace())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`apt-get {args}`: {status}")),
        Err(error) => Err(format!("`apt-get {args}`: {error}")),
    }
}

fn quickstart(root: &Path) -> Result<Outcome, String> {
    let dir = root.join(format!("target/xtask-quickstart-{}", process::id()));
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for round in ["on an empty database", "on the database of the first run"] {
        println!("-- {round}");
        let output = Cargo::new(root, "run -p quickstart -- --db")
            .arg(dir.join("quickstart.db"))
            .run_and_read()?;
        let last = output.lines().last().unwrap_or_default();
        if !is_quickstart_verdict(last) {
            return Err(format!(
                "{round}, the last line was `{last}` instead of \
                 `quickstart: N steps, all as expected`"
            ));
        }
    }
    // Only after success: a failed run leaves its database to look at.
    fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(Outcome::Passed)
}

fn is_quickstart_verdict(line: &str) -> bool {
    line.strip_prefix("quickstart: ")
        .and_then(|rest| rest.strip_suffix(" steps, all as expected"))
        .and_then(|steps| steps.parse::<u32>().ok())
        .is_some_and(|steps| steps > 0)
}

fn features(root: &Path) -> Result<Outcome, String> {
    for (package, features) in FEATURES {
        let mut check = Cargo::new(root, "check --no-default-features -p").arg(package);
        if !features.is_empty() {
            check = check.args("--features").arg(features.join(","));
        }
        check.run()?;
    }
    Ok(Outcome::Passed)
}

fn fuzz(root: &Path) -> Result<Outcome, String> {
    let targets = fuzz_targets(&root.join("fuzz/fuzz_targets"))?;
    let Some(fuzzer) = Fuzzer::find(root)? else {
        return Ok(Outcome::LeftOut(
            "fuzz: no nightly toolchain, smoke run left out",
        ));
    };
    fuzzer.cargo("build --fuzz-dir fuzz").run()?;
    for target in targets {
        fuzzer.run(&target, "", &format!("-max_total_time={FUZZ_SECONDS}"))?;
    }
    Ok(Outcome::Passed)
}

/// cargo-fuzz on a nightly toolchain.
pub(crate) struct Fuzzer<'a> {
    root: &'a Path,
    /// Where cargo looks for it.
    path: OsString,
}

impl<'a> Fuzzer<'a> {
    /// `None` without a nightly toolchain. Where cargo-fuzz is missing it is built.
    pub(crate) fn find(root: &'a Path) -> Result<Option<Self>, String> {
        if !Cargo::new(root, "+nightly --version").succeeds() {
            return Ok(None);
        }
        let tools = root.join("target/xtask-tools");
        let mut paths = vec![tools.join("bin")];
        paths.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(paths).map_err(|error| format!("PATH: {error}"))?;
        let fuzzer = Self { root, path };
        if !fuzzer.cargo("--version").succeeds() {
            println!("fuzz: cargo-fuzz is not installed, building it into target/xtask-tools");
            Cargo::new(root, "install --locked cargo-fuzz --root")
                .arg(&tools)
                .run()?;
        }
        Ok(Some(fuzzer))
    }

    fn cargo(&self, args: &str) -> Cargo {
        Cargo::new(self.root, "+nightly fuzz")
            .args(args)
            .path(&self.path)
    }

    /// Runs a target from its seeds and what was found before, built with these options and up to
    /// these limits.
    pub(crate) fn run(&self, target: &OsStr, options: &str, limits: &str) -> Result<(), String> {
        // What is found goes to the first of the two; the seeds are read only.
        let corpus = self.root.join("fuzz/corpus").join(target);
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let seeds = self.root.join("fuzz/seeds").join(target);
        if !seeds.is_dir() {
            return Err(format!("{} has no seeds", target.display()));
        }
        self.cargo("run --fuzz-dir fuzz")
            .args(options)
            .arg(target)
            .arg(&corpus)
            .arg(&seeds)
            .args(&format!("-- {limits} -rss_limit_mb=2048"))
            .run()?;
        Ok(())
    }
}

fn fuzz_targets(dir: &Path) -> Result<Vec<OsString>, String> {
    let unreadable = |error| format!("{} can't be read: {error}", dir.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(file.file_stem().map(OsString::from));
        }
    }
    targets.sort();
    if targets.is_empty() {
        return Err(format!("there is no fuzz target in {}", dir.display()));
    }
    Ok(targets)
}

fn deny(root: &Path) -> Result<Outcome, String> {
    if !Cargo::new(root, "deny --version").succeeds() {
        return Ok(Outcome::LeftOut(
            "deny: cargo-deny is not installed; it would check licences, bans and sources",
        ));
    }
    Cargo::new(root, "deny check licenses bans sources").run()
}

/// One call of cargo, which prints itself before it runs.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    pub(crate) fn new(root: &Path, args: &str) -> Self {
        let mut command = Command::new("cargo");
        command.current_dir(root).stdin(Stdio::null());
        // A probe for a toolchain must not download one.
        command.env("RUSTUP_AUTO_INSTALL", "0");
        // What `cargo run` set for this program is not meant for the next cargo: `CARGO` would
        // override `+nightly`, the rest makes build scripts run again.
        for (key, _) in env::vars_os() {
            let name = key.to_string_lossy();
            if name == "CARGO"
                || name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
            {
                command.env_remove(&key);
            }
        }
        let shown = "cargo".to_owned();
        Self { command, shown }.args(args)
    }

    /// Adds arguments that hold no space.
    pub(crate) fn args(self, args: &str) -> Self {
        args.split_whitespace().fold(self, Self::arg)
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        let arg = arg.into();
        self.shown.push(' ');
        self.shown.push_str(&arg.to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.shown = format!("{name}='{value}' {}", self.shown);
        self.command.env(name, value);
        self
    }

    fn path(mut self, path: &OsString) -> Self {
        self.command.env("PATH", path);
        self
    }

    fn run(mut self) -> Result<Outcome, String> {
        println!("$ {}", self.shown);
        let status = self.command.status();
        self.check(status)?;
        Ok(Outcome::Passed)
    }

    /// Runs, passes standard output on and answers it too.
    pub(crate) fn run_and_read(mut self) -> Result<String, String> {
        println!("$ {}", self.shown);
        let failed = |error| format!("`{}`: {error}", self.shown);
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut output = String::new();
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed)?;
            println!("{line}");
            output.push_str(&line);
            output.push('\n');
        }
        let status = child.wait();
        self.check(status)?;
        Ok(output)
    }

    /// Runs, passes all that is printed on and answers it too. After a failure it is in this file.
    pub(crate) fn run_and_keep(mut self, log: &Path) -> Result<String, String> {
        println!("$ {}", self.shown);
        let failed = |error: io::Error| format!("`{}`: {error}", self.shown);
        let (reader, writer) = io::pipe().map_err(failed)?;
        self.command
            .stdout(writer.try_clone().map_err(failed)?)
            .stderr(writer);
        let mut child = self.command.spawn().map_err(failed)?;
        // What it holds of the pipe's other end would keep the reader waiting.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut output = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line.map_err(failed)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            output.push_str(&line);
            output.push('\n');
        }
        let status = child.wait();
        self.check(status).or_else(|error| {
            let kept = log.parent().map_or(Ok(()), fs::create_dir_all);
            kept.and_then(|()| fs::write(log, &output))
                .map_err(|unkept| format!("{error}\n{}: {unkept}", log.display()))?;
            Err(format!("{error}\nwhat it printed is in {}", log.display()))
        })?;
        Ok(output)
    }

    /// Runs quietly: whether that succeeded, and all that was printed.
    pub(crate) fn output(mut self) -> Result<(bool, String), String> {
        println!("$ {}", self.shown);
        let output = self
            .command
            .output()
            .map_err(|error| format!("`{}`: {error}", self.shown))?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        Ok((output.status.success(), printed))
    }

    pub(crate) fn succeeds(mut self) -> bool {
        self.command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn check(&self, status: io::Result<ExitStatus>) -> Result<(), String> {
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}`: {status}", self.shown)),
            Err(error) => Err(format!("`{}`: {error}", self.shown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agreed_last_line_of_the_quickstart_counts() {
        assert!(is_quickstart_verdict(
            "quickstart: 23 steps, all as expected"
        ));
        for line in [
            "",
            "quickstart: 0 steps, all as expected",
            "quickstart: steps, all as expected",
            "quickstart: 23 steps, 1 not as expected",
            "23 steps, all as expected",
        ] {
            assert!(!is_quickstart_verdict(line), "{line}");
        }
    }

    #[test]
    fn a_server_is_found_where_all_its_programs_are() {
        let root = env::temp_dir().join(format!("xtask-postgres-{}", process::id()));
        let (installed, bin) = (root.join("lib"), root.join("lib/15/bin"));
        let find = |path: &OsStr| find_postgres(&installed, path);
        assert_eq!(find(OsStr::new("")), None);
        fs::create_dir_all(&bin).unwrap();
        for program in POSTGRES {
            assert_eq!(find(bin.as_os_str()), None, "without `{program}`");
            fs::write(bin.join(program), "").unwrap();
        }
        assert_eq!(find(OsStr::new("")), Some(bin.clone()));
        let elsewhere = find_postgres(&root.join("nothing"), bin.as_os_str());
        assert_eq!(elsewhere, bin.canonicalize().ok());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_fails_leaves_what_it_printed() {
        let root = env::temp_dir().join(format!("xtask-kept-{}", process::id()));
        fs::create_dir_all(&root).unwrap();
        let log = root.join("logs/one.log");
        let run = |args| Cargo::new(&root, args).run_and_keep(&log);
        assert!(run("--version").unwrap().starts_with("cargo "));
        assert!(!log.exists());
        let error = run("frobnicate").unwrap_err();
        assert!(error.contains(&*log.to_string_lossy()), "{error}");
        let kept = fs::read_to_string(&log).unwrap();
        assert!(kept.contains("frobnicate"), "standard error too: {kept}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_missing_directory_of_fuzz_targets_is_an_error() {
        let dir = Path::new("no/such/fuzz_targets");
        let error = fuzz_targets(dir).expect_err("there is no such directory");
        assert!(error.starts_with("no/such/fuzz_targets can't be read: "));
    }
}
