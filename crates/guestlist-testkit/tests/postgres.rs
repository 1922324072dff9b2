//! The private server: what it survives, and that nothing of it stays.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use guestlist_testkit::postgres::{self, Server, ServerError};

/// Asks every now and then, and gives up after about a minute.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited too long until {what}");
}

/// Whether a process runs; one that has ended and was not reaped does not.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ")?.1.chars().next())
        .is_some_and(|state| !"ZX".contains(state))
}

/// The processes of a server are those that work in its folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let works_in = fs::read_link(process.join("cwd")).ok()?;
            works_in.starts_with(folder).then_some(process)
        })
        .collect()
}

/// The System V segments of those that were killed without cleaning up.
fn segment_of(server: &Server) -> String {
    let pid_file = server.socket_dir().join("data/postmaster.pid");
    let text = fs::read_to_string(pid_file).unwrap();
    let line = text.lines().nth(6).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn segment_exists(segment: &str) -> bool {
    fs::read_to_string("/proc/sysvipc/shm")
        .unwrap()
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(segment))
}

#[test]
fn every_database_is_empty_and_separate() {
    let server = postgres::shared();
    let names: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn(move || {
                    let database = server.create_database().unwrap();
                    // Fails if somebody else's table is there.
                    database
                        .psql(&format!(
                            "create table seats (n int); insert into seats values ({number})"
                        ))
                        .unwrap();
                    let seats = database.psql("select n, current_database() from seats");
                    let name = database.name().to_owned();
                    assert_eq!(seats.unwrap(), format!("{number}|{name}"));
                    name
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 8);
    let left = server.create_database().unwrap();
    let list = "select count(*) from pg_database where datname in";
    let list = format!("{list} ('{}')", names.join("', '"));
    assert_eq!(left.psql(&list).unwrap(), "0", "the guards are gone");
}

#[test]
fn a_database_goes_with_its_guard_whoever_is_connected() {
    let server = postgres::shared();
    let database = server.create_database().unwrap();
    let mut session = session(server, &database.socket_url());
    let name = database.name().to_owned();
    drop(database);
    let list = format!("select count(*) from pg_database where datname = '{name}'");
    let other = server.create_database().unwrap();
    assert_eq!(other.psql(&list).unwrap(), "0");
    assert!(!session.wait().unwrap().success(), "it was cut off");
}

/// A `psql` that is connected, and waits for a lock that nobody gives up.
fn session(server: &Server, url: &str) -> Child {
    let mut session = Command::new(server.bin_dir().join("psql"))
        .args(["-X", "-A", "-t", "-q", "-d", url])
        .args(["-c", "select 'here'", "-c", "select pg_sleep(600)"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(session.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line.trim(), "here");
    session
}

#[test]
fn both_urls_lead_to_the_same_server() {
    let server = postgres::shared();
    let database = server.create_database().unwrap();
    let asked = |url: &str, sql: &str| {
        let output = Command::new(server.bin_dir().join("psql"))
            .args(["-X", "-A", "-t", "-d", url, "-c", sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let sql = "select inet_server_port(), current_database(), current_user";
    let name = database.name();
    let tcp = format!("{}|{name}|postgres", server.port());
    assert_eq!(asked(&database.url(), sql), tcp);
    assert_eq!(asked(&server.url(name), sql), tcp);
    let socket = format!("|{name}|postgres");
    assert_eq!(asked(&database.socket_url(), sql), socket);
    assert_eq!(asked(&server.socket_url(name), sql), socket);
}

#[test]
fn settings_are_those_asked_for() {
    let server = Server::builder()
        .fsync(false)
        .max_connections(17)
        .setting("application_name", r"it's \ here")
        .setting("max_prepared_transactions", "3")
        .start()
        .unwrap();
    let database = server.create_database().unwrap();
    for (name, value) in [
        ("fsync", "off"),
        ("max_connections", "17"),
        ("max_prepared_transactions", "3"),
        ("shared_buffers", "64MB"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("timezone", "UTC"),
        ("listen_addresses", "127.0.0.1"),
    ] {
        assert_eq!(database.psql(&format!("show {name}")).unwrap(), value);
    }
    let conf = fs::read_to_string(server.socket_dir().join("data/postgresql.conf")).unwrap();
    assert!(
        conf.contains(r"application_name = 'it''s \\ here'"),
        "{conf}"
    );
}

#[test]
fn a_failing_statement_is_an_error_with_what_the_server_says() {
    let database = postgres::shared().create_database().unwrap();
    let error = database.psql("select 1; select nothing_here").unwrap_err();
    assert!(matches!(error, ServerError::Query { .. }), "{error:?}");
    assert!(error.to_string().contains("nothing_here"), "{error}");
}

#[test]
fn what_was_committed_outlives_a_kill() {
    let mut server = Server::start().unwrap();
    let database = server.create_database().unwrap();
    database.psql("create table t (n int)").unwrap();
    for round in 1..=3 {
        database
            .psql(&format!("insert into t values ({round})"))
            .unwrap();
        let mut open = Command::new(server.bin_dir().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-d", &database.socket_url()])
            .args(["-c", "begin; insert into t values (99); select 'in'"])
            .args(["-c", "select pg_sleep(600)"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(open.stdout.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said.trim(), "in");

        let (port, pid) = (server.port(), server.pid().unwrap());
        assert!(processes_in(server.socket_dir()).len() > 4);
        server.kill().unwrap();
        assert_eq!(processes_in(server.socket_dir()), [] as [PathBuf; 0]);
        assert!(!runs(pid));
        assert_eq!(server.pid(), None);
        assert!(!open.wait().unwrap().success());
        let error = database.psql("select 1").unwrap_err();
        assert!(matches!(error, ServerError::Query { .. }), "{error:?}");
        let error = server.create_database().unwrap_err();
        assert!(matches!(error, ServerError::Unreachable(_)), "{error:?}");

        server.start_again().unwrap();
        assert_eq!(server.port(), port);
        let log = fs::read_to_string(server.socket_dir().join("log")).unwrap();
        let recoveries = log.matches("automatic recovery in progress").count();
        assert_eq!(recoveries, round);
        let rows = database.psql("select count(*), max(n) from t").unwrap();
        assert_eq!(rows, format!("{round}|{round}"));
    }
}

#[test]
fn a_server_in_order_needs_no_recovery() {
    let mut server = Server::builder().fsync(false).start().unwrap();
    let database = server.create_database().unwrap();
    database.psql("create table t as select 1 as n").unwrap();
    let first = server.pid().unwrap();
    server.restart().unwrap();
    assert_ne!(server.pid().unwrap(), first);
    assert!(!runs(first));
    assert_eq!(database.psql("select n from t").unwrap(), "1");
    let second = server.pid();
    server.start_again().unwrap();
    assert_eq!(server.pid(), second, "it ran already");
    server.stop().unwrap();
    server.stop().unwrap();
    server.kill().unwrap();
    let log = fs::read_to_string(server.socket_dir().join("log")).unwrap();
    assert!(!log.contains("automatic recovery"), "{log}");
}

#[test]
fn a_server_that_somebody_else_killed_starts_again() {
    let mut server = Server::start().unwrap();
    let database = server.create_database().unwrap();
    let pid = server.pid().unwrap();
    let killed = Command::new("/bin/sh")
        .args(["-c", &format!("kill -KILL {pid}")])
        .status();
    assert!(killed.unwrap().success());
    wait_for("its processes have noticed", || {
        !runs(pid) && processes_in(server.socket_dir()).is_empty()
    });
    server.start_again().unwrap();
    assert_eq!(database.psql("select 1").unwrap(), "1");
}

#[test]
fn two_servers_know_nothing_of_each_other() {
    let one = Server::builder().fsync(false).start().unwrap();
    let two = Server::builder().fsync(false).start().unwrap();
    assert_ne!(one.port(), two.port());
    assert_ne!(one.socket_dir(), two.socket_dir());
    let (in_one, in_two) = (
        one.create_database().unwrap(),
        two.create_database().unwrap(),
    );
    in_one.psql("create table t as select 1 as n").unwrap();
    let error = in_two.psql("select n from t").unwrap_err();
    assert!(matches!(error, ServerError::Query { .. }), "{error:?}");
    drop(one);
    assert_eq!(in_two.psql("select 1").unwrap(), "1");
}

#[test]
fn nothing_stays_after_a_drop() {
    let mut server = Server::builder().fsync(false).start().unwrap();
    let (folder, pid) = (server.socket_dir().to_owned(), server.pid().unwrap());
    let segment = segment_of(&server);
    assert!(folder.exists() && runs(pid) && segment_exists(&segment));
    let mut open = session(&server, &server.socket_url("postgres"));
    drop(server);
    assert!(!folder.exists() && !runs(pid) && !segment_exists(&segment));
    assert_eq!(processes_in(&folder), [] as [PathBuf; 0]);
    assert!(!open.wait().unwrap().success());

    server = Server::builder().fsync(false).start().unwrap();
    let (folder, segment) = (server.socket_dir().to_owned(), segment_of(&server));
    server.kill().unwrap();
    assert!(segment_exists(&segment), "else nothing is shown here");
    drop(server);
    assert!(!folder.exists() && !segment_exists(&segment));
}

#[test]
fn nothing_stays_after_a_panic() {
    let mut seen = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let server = Server::builder().fsync(false).start().unwrap();
        let _database = server.create_database().unwrap();
        seen = Some((server.socket_dir().to_owned(), server.pid().unwrap()));
        assert!(seen.is_none(), "as a test that fails");
    }));
    assert!(outcome.is_err());
    let (folder, pid) = seen.unwrap();
    assert!(!folder.exists() && !runs(pid));
}

const CHILD: &str = "GUESTLIST_TESTKIT_CHILD";

/// Runs one of the tests below as a process of its own, in which it takes its other branch.
fn as_child(test: &str, kind: &str) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    child
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn show(server: &Server) {
    let (pid, folder) = (server.pid().unwrap(), server.socket_dir());
    println!("\nserver {pid} {} {}", segment_of(server), folder.display());
}

fn shown(child: &mut Child) -> (u32, String, PathBuf) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = lines
        .find_map(|line| Some(line.unwrap().strip_prefix("server ")?.to_owned()))
        .unwrap();
    let mut fields = line.splitn(3, ' ');
    let mut field = || fields.next().unwrap().to_owned();
    (field().parse().unwrap(), field(), field().into())
}

#[test]
fn a_server_ends_with_its_process() {
    let name = "a_server_ends_with_its_process";
    match env::var(CHILD).as_deref() {
        Ok("killed") => {
            let server = Server::start().unwrap();
            show(&server);
            // Until nobody holds the other end: not before we are killed.
            let _ = std::io::stdin().read(&mut [0]);
            return;
        }
        Ok("exits") => {
            show(postgres::shared());
            return;
        }
        Ok(other) => panic!("`{other}` is no child"),
        Err(_) => {}
    }
    for kind in ["killed", "exits"] {
        let mut child = as_child(name, kind).spawn().unwrap();
        let (pid, segment, folder) = shown(&mut child);
        if kind == "killed" {
            assert!(runs(pid) && folder.exists() && segment_exists(&segment));
            child.kill().unwrap();
            assert!(!child.wait().unwrap().success());
        } else {
            assert!(child.wait().unwrap().success());
        }
        wait_for("the server is gone", || !runs(pid));
        wait_for("its folder is gone", || !folder.exists());
        wait_for("its processes are gone", || {
            processes_in(&folder).is_empty()
        });
        assert!(!segment_exists(&segment), "{kind}");
    }
}

#[test]
fn without_a_server_the_error_says_what_to_do() {
    let name = "without_a_server_the_error_says_what_to_do";
    match env::var(CHILD).as_deref() {
        Ok("empty folder") => {
            let error = Server::start().unwrap_err();
            assert!(matches!(error, ServerError::NotInFolder { .. }));
            println!("\nsays {error}");
            return;
        }
        Ok(other) => panic!("`{other}` is no child"),
        Err(_) => {}
    }
    let empty = tempfile::tempdir().unwrap();
    let output = as_child(name, "empty folder")
        .env("GUESTLIST_PG_BIN", empty.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let says = format!(
        "says there is no PostgreSQL server in `{}`: set GUESTLIST_PG_BIN to the folder that \
         holds `initdb`, or unset it\n",
        empty.path().display()
    );
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains(&says), "{output}");
}

#[test]
fn a_server_that_does_not_start_shows_its_log() {
    let error = Server::builder()
        .setting("shared_buffers", "a lot")
        .start()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the PostgreSQL server ended with exit code 1; its log ends with:\n"),
        "{text}"
    );
    assert!(text.contains("shared_buffers"), "{text}");
}
