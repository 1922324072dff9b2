//! A private PostgreSQL server for tests.
//!
//! ```
//! use guestlist_testkit::postgres;
//!
//! let database = postgres::shared().create_database()?;
//! database.psql("create table seats (n int); insert into seats values (7)")?;
//! assert_eq!(database.psql("select n from seats")?, "7");
//! # Ok::<(), postgres::ServerError>(())
//! ```
//!
//! A [`Server`] has a folder of its own under the folder for temporary files: data, log and Unix
//! socket. It also listens on a loopback port. Foreign servers are not supported, and a missing
//! installation is an error: a test that needs a server never passes without one.
//!
//! Most tests want [`shared`], one server for all tests of a process, and a [`Database`] each. A
//! test that kills the server or changes its settings starts one for itself.
//!
//! # What it costs
//!
//! Measured with PostgreSQL 15 on two cores that others use too; on busy ones it is several times as
//! much. Strategies of `create database`, and not filling segments of the log with zeros, make no
//! difference that can be told from noise.
//!
//! | | `fsync` on | `fsync` off |
//! |---|---|---|
//! | start, most of it `initdb` | 1.0 s | 1.0 s |
//! | create a database, one after the other | 40 to 190 ms | 70 to 200 ms |
//! | create and drop one, each of 40 by 8 threads | 26 ms | 36 ms |
//! | drop a database | 12 to 72 ms | 8 to 17 ms |
//! | kill | 27 ms | 28 ms |
//! | start again after a kill | 480 ms | 60 ms |
//! | drop the server | 600 ms | 120 ms |
//!
//! # What is left behind
//!
//! Nothing: dropping a [`Server`] stops it and removes its folder, also while a test panics. Where
//! no destructor runs (the end of the process for [`shared`], or `kill -9`), a watchdog notices
//! that the process is gone and does the same.

mod binaries;
mod process;
mod watchdog;
mod wire;

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read, Seek, SeekFrom},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::chown,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use binaries::Binaries;
use process::poll;
use watchdog::Watchdog;

/// The server that all tests of this process share, started by the first call.
///
/// It runs with `fsync` off, for nobody can kill it: that takes a `&mut Server`. It goes when the
/// process ends, however it ends.
///
/// # Panics
///
/// When the server can't be started; the message says what to do.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match Server::builder().fsync(false).start() {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    })
}

/// How to start a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    settings: Vec<(String, String)>,
}

impl ServerBuilder {
    fn new() -> Self {
        let builder = Self {
            settings: Vec::new(),
        };
        builder
            .max_connections(200)
            .setting("shared_buffers", "64MB")
            .setting("timezone", "UTC")
            .setting("log_timezone", "UTC")
            // In the data folder instead of /dev/shm, so that it goes with the folder.
            .setting("dynamic_shared_memory_type", "mmap")
    }

    /// Whether writes are flushed to the disk before they count; on unless turned off.
    ///
    /// Off is faster, and right where the machine outlives the test: a killed server loses nothing
    /// that the operating system has.
    #[must_use]
    pub fn fsync(self, on: bool) -> Self {
        let value = if on { "on" } else { "off" };
        self.setting("fsync", value)
            .setting("full_page_writes", value)
    }

    /// How many connections the server takes; 200 unless set.
    #[must_use]
    pub fn max_connections(self, connections: u32) -> Self {
        self.setting("max_connections", connections.to_string())
    }

    /// Any other setting of `postgresql.conf`; the last value for a name counts.
    ///
    /// Where the server listens can't be set.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Makes a new cluster and starts a server on it; answers when it takes connections.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL on this machine, or it doesn't start.
    pub fn start(self) -> Result<Server, ServerError> {
        let binaries = Binaries::find()?;
        let user = binaries::user()?;
        let folder = folder().map_err(|source| ServerError::Folder {
            folder: std::env::temp_dir(),
            source,
        })?;
        let unusable = |source| ServerError::Folder {
            folder: folder.path().to_owned(),
            source,
        };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(unusable)?;
        }
        let watchdog = Watchdog::start(folder.path()).map_err(unusable)?;
        let mut server = Server {
            binaries,
            user,
            port: 0,
            postmaster: None,
            databases: AtomicU64::new(0),
            folder,
            watchdog,
        };
        server.init(&self.settings)?;
        server.start_on_free_port()?;
        Ok(server)
    }
}

/// A running PostgreSQL server, or one that was killed or stopped and can be started again.
///
/// The superuser is `postgres`, without a password. Dropping the server shuts it down at once and
/// removes its folder.
#[derive(Debug)]
pub struct Server {
    binaries: Binaries,
    user: Option<(u32, u32)>,
    port: u16,
    postmaster: Option<Child>,
    databases: AtomicU64,
    // Dropped in this order: the watchdog removes what is still there.
    folder: TempDir,
    watchdog: Watchdog,
}

impl Server {
    /// Starts a server with the settings that tests want.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL on this machine, or it doesn't start.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Starts with the settings that tests want, to change some.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// The folder of the Unix socket; also that of the data and of the log.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The port, on loopback and in the socket's name. It stays when the server is started again.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The process that all others of the server descend from, if the server runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Child::id)
    }

    /// The folder of the programs, `psql` among them.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        self.binaries.dir()
    }

    /// The URL of a database, over TCP.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.place().url(database)
    }

    /// The URL of a database, over the Unix socket, as libpq and sqlx read it.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        self.place().socket_url(database)
    }

    /// Makes an empty database that nobody else has. Any number of threads may do so at once.
    ///
    /// # Errors
    ///
    /// When the server doesn't run, or refuses.
    pub fn create_database(&self) -> Result<Database, ServerError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("test_{number}");
        let place = self.place();
        place.execute(&format!("create database {name}"))?;
        Ok(Database { name, place })
    }

    /// The last lines that the server wrote to its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log_path(), 0)
    }

    /// Kills the server and every process of it with `SIGKILL`, as if the machine went.
    /// Needs `/proc`.
    ///
    /// Answers when the last of them is gone, so that [`start_again`](Self::start_again) can
    /// recover what was committed. Does nothing when the server doesn't run.
    ///
    /// # Errors
    ///
    /// When the processes can't be found or killed.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        let Some(child) = &mut self.postmaster else {
            return Ok(());
        };
        let pid = Pid::from_child(child);
        process::kill_family(pid).map_err(ServerError::Kill)?;
        self.watchdog.forget();
        child.wait().map_err(ServerError::Kill)?;
        self.postmaster = None;
        Ok(())
    }

    /// Starts a server that was killed or stopped, on the same data and the same port.
    ///
    /// After [`kill`](Self::kill) it recovers first. Does nothing when the server runs.
    ///
    /// # Errors
    ///
    /// When it doesn't start; the text holds the end of the log.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        self.look_after()?;
        if self.postmaster.is_some() {
            return Ok(());
        }
        // Somebody else may hold the port for a moment.
        for _ in 0..PORT_TRIES {
            if self.launch()? == Launched::Running {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(ServerError::NoPort)
    }

    /// Stops the server in order: connections are closed, everything is written down.
    ///
    /// Does nothing when the server doesn't run.
    ///
    /// # Errors
    ///
    /// When it doesn't stop within a minute; then it is killed.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.shut_down(Signal::INT, Duration::from_secs(60))
    }

    /// Stops the server in order and starts it again.
    ///
    /// # Errors
    ///
    /// When it doesn't stop, or doesn't start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.start_again()
    }

    fn place(&self) -> Place {
        Place {
            socket_dir: self.folder.path().into(),
            psql: self.binaries.path("psql").into(),
            port: self.port,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(&self.binaries.path(program));
        command
            .current_dir(self.folder.path())
            // Ctrl-C goes to the tests alone: the watchdog does the rest.
            .process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn init(&mut self, settings: &[(String, String)]) -> Result<(), ServerError> {
        let child = self
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--no-instructions", "--pgdata"])
            .arg(self.data())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| self.unusable("initdb", source))?;
        self.watchdog.watch(child.id());
        let output = child.wait_with_output();
        self.watchdog.forget();
        let output = output.map_err(|source| self.unusable("initdb", source))?;
        if !output.status.success() {
            return Err(ServerError::Init {
                output: said(&output),
            });
        }
        let mut conf = String::new();
        for (name, value) in settings {
            setting(&mut conf, name, value);
        }
        setting(&mut conf, "listen_addresses", "127.0.0.1");
        let socket_dir = self.folder.path().to_string_lossy();
        setting(&mut conf, "unix_socket_directories", &socket_dir);
        let path = self.data().join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, conf.as_bytes()))
            .map_err(|source| ServerError::Folder {
                folder: path,
                source,
            })
    }

    fn start_on_free_port(&mut self) -> Result<(), ServerError> {
        for _ in 0..PORT_TRIES {
            self.port = free_port().ok_or(ServerError::NoPort)?;
            if self.launch()? == Launched::Running {
                return Ok(());
            }
        }
        Err(ServerError::NoPort)
    }

    fn launch(&mut self) -> Result<Launched, ServerError> {
        let path = self.log_path();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|log| Ok((log.metadata()?.len(), log.try_clone()?, log)));
        let (before, stdout, stderr) = log.map_err(|source| ServerError::Folder {
            folder: path.clone(),
            source,
        })?;
        let mut child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(|source| self.unusable("postgres", source))?;
        self.watchdog.watch(child.id());

        let pid_file = self.data().join("postmaster.pid");
        let pid = Pid::from_child(&child);
        let found = poll(START_LIMIT, || {
            if process::has_exited(pid) {
                Some(false)
            } else {
                is_ready(&pid_file, child.id()).then_some(true)
            }
        });
        match found {
            Some(true) => {
                self.postmaster = Some(child);
                Ok(Launched::Running)
            }
            Some(false) => {
                self.watchdog.forget();
                let status = child.wait().ok();
                let log = log_tail(&path, before);
                if log.contains("could not create any TCP/IP sockets") {
                    return Ok(Launched::PortTaken);
                }
                Err(ServerError::Start {
                    what: ended(status),
                    log,
                })
            }
            None => {
                self.postmaster = Some(child);
                self.kill()?;
                Err(ServerError::Start {
                    what: format!("was not ready after {} s", START_LIMIT.as_secs()),
                    log: log_tail(&path, before),
                })
            }
        }
    }

    fn shut_down(&mut self, signal: Signal, limit: Duration) -> Result<(), ServerError> {
        self.look_after()?;
        let Some(child) = &mut self.postmaster else {
            return Ok(());
        };
        let pid = Pid::from_child(child);
        rustix::process::kill_process(pid, signal)
            .map_err(|errno| ServerError::Kill(errno.into()))?;
        let gone = poll(limit, || process::has_exited(pid).then_some(()));
        if gone.is_none() {
            self.kill()?;
            return Err(ServerError::Stop {
                seconds: limit.as_secs(),
            });
        }
        self.look_after()
    }

    /// Notices that the server has ended by itself.
    fn look_after(&mut self) -> Result<(), ServerError> {
        let Some(child) = &mut self.postmaster else {
            return Ok(());
        };
        // The pid is free for others only after the wait, and nobody is watching it by then.
        if process::has_exited(Pid::from_child(child)) {
            self.watchdog.forget();
            child.wait().map_err(ServerError::Kill)?;
            self.postmaster = None;
        }
        Ok(())
    }

    fn unusable(&self, program: &str, source: io::Error) -> ServerError {
        ServerError::Program {
            program: self.binaries.path(program),
            source,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to tell it to; a server that doesn't stop was killed by now.
        let _ = self.shut_down(Signal::QUIT, Duration::from_secs(20));
        // What a server that was killed leaves outside of its folder.
        if let Some(segment) = shared_memory(&self.data().join("postmaster.pid")) {
            let _ = command(Path::new("ipcrm"))
                .args(["-m", &segment])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A database of its own on a [`Server`], dropped with this guard, whoever is connected to it.
#[derive(Debug)]
pub struct Database {
    name: String,
    place: Place,
}

impl Database {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, over TCP.
    #[must_use]
    pub fn url(&self) -> String {
        self.place.url(&self.name)
    }

    /// Its URL, over the Unix socket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        self.place.socket_url(&self.name)
    }

    /// Runs statements through `psql`, and answers the rows: fields parted by `|`, a row a line.
    ///
    /// # Errors
    ///
    /// When the server doesn't run, or a statement fails; those after it don't run.
    pub fn psql(&self, sql: &str) -> Result<String, ServerError> {
        let output = command(&self.place.psql)
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", &self.socket_url(), "-c", sql])
            .output()
            .map_err(|source| ServerError::Program {
                program: self.place.psql.to_path_buf(),
                source,
            })?;
        if !output.status.success() {
            return Err(ServerError::Query {
                message: said(&output),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that is gone takes its databases with it.
        let name = &self.name;
        let _ = self
            .place
            .execute(&format!("drop database if exists {name} with (force)"));
    }
}

/// Where a server is found.
#[derive(Clone, Debug)]
struct Place {
    socket_dir: Arc<Path>,
    psql: Arc<Path>,
    port: u16,
}

impl Place {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn socket_url(&self, database: &str) -> String {
        let mut host = String::new();
        for byte in self.socket_dir.as_os_str().as_encoded_bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                host.push(char::from(*byte));
            } else {
                write!(host, "%{byte:02X}").expect("a string takes everything");
            }
        }
        format!(
            "postgres://postgres@localhost:{}/{database}?host={host}",
            self.port
        )
    }

    fn execute(&self, sql: &str) -> Result<(), ServerError> {
        let socket = self.socket_dir.join(format!(".s.PGSQL.{}", self.port));
        wire::execute(&socket, sql)
    }
}

/// Why there is no server, or why it doesn't do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is no PostgreSQL on this machine.
    #[error(
        "no PostgreSQL server found: install Debian's package `postgresql`, or set \
         GUESTLIST_PG_BIN to the folder that holds `initdb`"
    )]
    NotInstalled,
    /// `GUESTLIST_PG_BIN` names a folder without the programs of a server.
    #[error(
        "there is no PostgreSQL server in `{}`: set GUESTLIST_PG_BIN to the folder that holds \
         `initdb`, or unset it",
        folder.display()
    )]
    NotInFolder {
        /// What the variable says.
        folder: PathBuf,
    },
    /// The tests run as root, which PostgreSQL refuses, and there is nobody to run it as.
    #[error(
        "PostgreSQL doesn't run as root, and there is no user `postgres`: install Debian's \
         package `postgresql`, or run the tests as another user"
    )]
    NoUser,
    /// A folder or a file can't be made, read or written.
    #[error("`{}` can't be used, make room or set TMPDIR to another folder", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program can't be run.
    #[error("`{}` can't be run, install PostgreSQL again: {source}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("no cluster could be made, `initdb` says: {output}")]
    Init {
        /// What it says.
        output: String,
    },
    /// The server didn't start.
    #[error("the PostgreSQL server {what}; its log ends with:\n{log}")]
    Start {
        /// What happened instead.
        what: String,
        /// The last lines of the log.
        log: String,
    },
    /// Every port that was tried is taken, or the server's own port is.
    #[error("no free port on 127.0.0.1: stop what listens there, or run fewer tests at once")]
    NoPort,
    /// The server didn't stop, and was killed.
    #[error("the PostgreSQL server did not stop within {seconds} s and was killed")]
    Stop {
        /// How long it was given.
        seconds: u64,
    },
    /// The processes of the server can't be found or killed.
    #[error("the processes of the PostgreSQL server can't be killed: {0}")]
    Kill(#[source] io::Error),
    /// The server can't be reached.
    #[error("the PostgreSQL server can't be reached, does it run? {0}")]
    Unreachable(#[source] io::Error),
    /// A statement failed.
    #[error("the PostgreSQL server refuses: {message}")]
    Query {
        /// What the server says.
        message: String,
    },
}

const START_LIMIT: Duration = Duration::from_secs(120);
const PORT_TRIES: usize = 20;

#[derive(Debug, PartialEq, Eq)]
enum Launched {
    Running,
    PortTaken,
}

/// A folder whose name is short enough for a Unix socket in it: such a path has some 100 bytes.
fn folder() -> io::Result<TempDir> {
    let usual = std::env::temp_dir();
    let base = if usual.as_os_str().len() > 60 {
        Path::new("/tmp")
    } else {
        &usual
    };
    tempfile::Builder::new()
        .prefix("guestlist-")
        .tempdir_in(base)
}

/// A program, without what the environment says about servers.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(&name);
        }
    }
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// A port that nobody listens on, below those that the system gives to connections.
///
/// A port out of that range can be lost to any connection while the server is down, and a client
/// that tries to reconnect meanwhile can even be connected to itself.
fn free_port() -> Option<u16> {
    const FIRST: u16 = 15_000;
    const LAST: u16 = 32_000;
    let random = RandomState::new().build_hasher().finish();
    let start = u16::try_from(random % u64::from(LAST - FIRST)).ok()?;
    (0..200)
        .map(|step| FIRST + (start + step) % (LAST - FIRST))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

fn setting(conf: &mut String, name: &str, value: &str) {
    let value = value.replace('\\', "\\\\").replace('\'', "''");
    writeln!(conf, "{name} = '{value}'").expect("a string takes everything");
}

/// The server writes its state into the file that holds its pid, as `pg_ctl` reads it.
fn is_ready(pid_file: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(pid_file) else {
        return false;
    };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

/// The System V segment that a server keeps as proof that it runs.
fn shared_memory(pid_file: &Path) -> Option<String> {
    let text = fs::read_to_string(pid_file).ok()?;
    let segment = text.lines().nth(6)?.split_whitespace().nth(1)?;
    segment.parse::<u32>().ok()?;
    Some(segment.to_owned())
}

fn log_tail(path: &Path, from: u64) -> String {
    const BYTES: u64 = 64 * 1024;
    const LINES: usize = 30;
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(`{}` can't be read: {error})", path.display()),
    }
}

fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.trim().is_empty() {
        ended(Some(output.status))
    } else {
        stderr.trim().to_owned()
    }
}

fn ended(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        None => "ended".to_owned(),
    }
}
