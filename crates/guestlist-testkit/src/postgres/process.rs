//! Processes, by their ids.

use std::{fs, io, thread, time::Duration};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Asks until there is an answer, for about so long.
pub(super) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if waited >= limit {
            return None;
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// Whether a child of ours has ended; its pid stays taken until somebody waits for it.
pub(super) fn has_exited(child: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(child), options), Ok(Some(_)))
}

/// Kills a child of ours and its children, and waits until they run no more.
pub(super) fn kill_family(parent: Pid) -> io::Result<()> {
    const LIMIT: Duration = Duration::from_secs(30);
    let stuck = |what: &str| io::Error::new(io::ErrorKind::TimedOut, what);

    // A parent that is stopped has no more children, and frees no pid of those that it has: so
    // nobody is missed, and nobody else is hit.
    kill_process(parent, Signal::STOP)?;
    let stopped = || match status(parent) {
        Some(status) => "TtZX".contains(status.state).then_some(()),
        None => Some(()),
    };
    poll(LIMIT, stopped).ok_or_else(|| stuck("the server can't be stopped"))?;
    let children = children(parent)?;
    for child in &children {
        ignore_gone(kill_process(*child, Signal::KILL))?;
    }
    ignore_gone(kill_process(parent, Signal::KILL))?;

    let gone = |pid: &Pid| status(*pid).is_none_or(|status| "ZX".contains(status.state));
    poll(LIMIT, || {
        (gone(&parent) && children.iter().all(gone)).then_some(())
    })
    .ok_or_else(|| stuck("a killed process is still there"))
}

fn ignore_gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Status {
    state: char,
    parent: i32,
}

fn status(pid: Pid) -> Option<Status> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state parent ...`, where the name may hold anything.
fn parse(stat: &str) -> Option<Status> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some(Status {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
    })
}

fn children(parent: Pid) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        if status(pid).is_some_and(|status| status.parent == parent.as_raw_pid()) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest() {
        let status = Status {
            state: 'T',
            parent: 7,
        };
        assert_eq!(parse("12 (a) S 1 (b) T 7 12 12 0"), Some(status));
        assert_eq!(parse("12 (postgres"), None);
    }

    #[test]
    fn polling_ends() {
        let mut asked = 0;
        let answer: Option<()> = poll(Duration::from_millis(20), || {
            asked += 1;
            None
        });
        assert_eq!((answer, asked), (None, 5));
    }
}
