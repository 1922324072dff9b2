//! A shell that outlives us, to clean up when we can't.

use std::{
    io::{self, Write as _},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

/// Reads pids, the last of which counts and may be none, until nobody can write any more: then we
/// are gone. Ends that process, in order if it can, and removes the folder.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
pid=
while read -r line; do pid=$line; done

runs() { kill -0 "$pid" && ! grep -q '^State:.*Z' "/proc/$pid/status"; }
tries=0
if [ -n "$pid" ] && kill -QUIT "$pid"; then
    while runs; do
        tries=$((tries + 1))
        if [ "$tries" = 100 ]; then kill -KILL "$pid"; break; fi
        sleep 0.1
    done
fi

tries=0
while rm -rf "$1"; [ -e "$1" ] && [ "$tries" -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    pids: Option<ChildStdin>,
}

impl Watchdog {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guestlist-watchdog"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pids = shell.stdin.take();
        Ok(Self { shell, pids })
    }

    pub(super) fn watch(&mut self, pid: u32) {
        self.tell(&pid.to_string());
    }

    pub(super) fn forget(&mut self) {
        self.tell("");
    }

    fn tell(&mut self, line: &str) {
        if let Some(pids) = &mut self.pids {
            // If the shell was killed, there is nobody to tell.
            let _ = pids.write_all(format!("{line}\n").as_bytes());
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pids.take());
        let _ = self.shell.wait();
    }
}
