//! Ledgers: files with one flat JSON object a line, so that those of two branches merge by lines
//! (`.gitattributes`).

use std::{fs, io, path::Path, process::Command};

/// A field of a line. Values hold no comma and nothing that needs an escape.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let inner = line.strip_prefix('{')?.strip_suffix('}')?;
    inner.split(',').find_map(|pair| {
        let (key, value) = pair.split_once(':')?;
        (key.trim().trim_matches('"') == name).then(|| value.trim().trim_matches('"'))
    })
}

/// Reads a ledger; one that is not there yet is empty.
pub(crate) fn read<T>(
    root: &Path,
    ledger: &str,
    line: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    let text = match fs::read_to_string(root.join(ledger)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{ledger}: {error}")),
    };
    parse(&text, ledger, line)
}

pub(crate) fn parse<T>(
    text: &str,
    ledger: &str,
    line: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    text.lines()
        .enumerate()
        .map(|(number, text)| {
            line(text).ok_or_else(|| format!("{ledger}:{}: this is no entry", number + 1))
        })
        .collect()
}

/// The commit that is checked out, and whether there are changes to it beside what the ledgers
/// themselves change.
pub(crate) fn commit(root: &Path, except: &[&str]) -> Result<String, String> {
    let git = |args: &[String]| {
        let output = Command::new("git")
            .current_dir(root)
            .args(args)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            return Err(format!("git: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut commit = git(&words("rev-parse --short=12 HEAD"))?;
    let mut status = words("status --porcelain -- .");
    status.extend(except.iter().map(|file| format!(":(exclude){file}")));
    if !git(&status)?.is_empty() {
        commit.push_str("+changes");
    }
    Ok(commit)
}
