//! Starts the service as its users do, and gets the clients that nobody here wrote.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of this"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that fails panics, and shows the log"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running service, ended when this is dropped.
pub(crate) struct Service {
    child: Child,
    folder: tempfile::TempDir,
    /// What `--demo-file` says.
    pub(crate) fixture: Value,
}

impl Service {
    /// `service --demo`, with these arguments, too.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("demo.json");
        let log = File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_service"))
            .args(["--demo", "--listen", "127.0.0.1:0", "--demo-file"])
            .arg(&file)
            .args(arguments)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut looked = 0;
        while !file.exists() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the service ended: {}",
                log_of(&folder)
            );
            assert!(looked < 6_000, "no demo file: {}", log_of(&folder));
            looked += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        let fixture = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        Self {
            child,
            folder,
            fixture,
        }
    }

    /// Where it is, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.text("/http/base_url")
    }

    /// A text of the fixture, by its JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.fixture
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap()
    }

    /// The file that `--demo-file` wrote.
    pub(crate) fn demo_file(&self) -> PathBuf {
        self.folder.path().join("demo.json")
    }

    /// Everything that was logged until now.
    pub(crate) fn log(&self) -> String {
        log_of(&self.folder)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            eprintln!("the end of the log:\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

fn log_of(folder: &tempfile::TempDir) -> String {
    fs::read_to_string(folder.path().join("log")).unwrap()
}

/// The folder of a client's files in the source tree.
pub(crate) fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

/// A folder with the Node packages that `tests/clients/NAME/package.json` asks for.
///
/// Scripts are run there: copy them beside `node_modules`, or set `NODE_PATH`.
pub(crate) fn node(name: &str) -> PathBuf {
    installed(
        name,
        &["package.json", "package-lock.json", ".npmrc"],
        |folder| {
            vec![command(
                "npm",
                &["ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                folder,
            )]
        },
    )
}

/// A Python virtual environment with what `tests/clients/NAME/requirements.txt` asks for.
pub(crate) fn python(name: &str) -> PathBuf {
    installed(name, &["requirements.txt"], |folder| {
        vec![
            command("python3", &["-m", "venv", "venv"], folder),
            command(
                // Not `pip`, which names its interpreter by an absolute path.
                "venv/bin/python",
                &[
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                    "requirements.txt",
                ],
                folder,
            ),
        ]
    })
    .join("venv")
}

fn command(program: &str, arguments: &[&str], folder: &Path) -> Command {
    let program = if program.contains('/') {
        folder.join(program)
    } else {
        program.into()
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

/// Installs once: a folder in the target directory, named by what is in the client's files.
fn installed(name: &str, files: &[&str], commands: impl FnOnce(&Path) -> Vec<Command>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("clients")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let wanted: Vec<Vec<u8>> = files
        .iter()
        .map(|file| fs::read(clients(name).join(file)).unwrap_or_default())
        .collect();
    let done = folder.join("installed");
    let want = wanted.concat();
    if fs::read(&done).is_ok_and(|have| have == want) {
        return folder;
    }
    for (file, text) in files.iter().zip(&wanted) {
        fs::write(folder.join(file), text).unwrap();
    }
    for mut command in commands(&folder) {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} is needed by this test: {error}"));
        assert!(
            output.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::write(done, want).unwrap();
    folder
}
