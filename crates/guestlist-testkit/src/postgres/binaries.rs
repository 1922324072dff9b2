//! Where the programs are, and whom to run them as.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::ServerError;

#[derive(Debug)]
pub(super) struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    pub(super) fn find() -> Result<Self, ServerError> {
        let named = env::var_os("GUESTLIST_PG_BIN");
        let path = env::var_os("PATH").unwrap_or_default();
        find(named.as_deref(), Path::new("/usr/lib/postgresql"), &path).map(|dir| Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }
}

fn find(named: Option<&OsStr>, installed: &Path, path: &OsStr) -> Result<PathBuf, ServerError> {
    if let Some(named) = named {
        let folder = PathBuf::from(named);
        return if is_complete(&folder) {
            Ok(folder)
        } else {
            Err(ServerError::NotInFolder { folder })
        };
    }
    versions(installed)
        .into_iter()
        .chain(env::split_paths(path).filter_map(|dir| {
            // A link of one program to where all of them are.
            let initdb = dir.join("initdb").canonicalize().ok()?;
            Some(initdb.parent()?.to_owned())
        }))
        .find(|dir| is_complete(dir))
        .ok_or(ServerError::NotInstalled)
}

/// `/usr/lib/postgresql/*/bin`, the newest first.
fn versions(installed: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(installed)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, dir)| dir).collect()
}

fn is_complete(dir: &Path) -> bool {
    ["initdb", "postgres", "psql"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

/// The user and group to run the server as, or nothing if it can run as whoever we are.
pub(super) fn user() -> Result<Option<(u32, u32)>, ServerError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match ids(&users, "postgres") {
        Some(ids) => Ok(Some(ids)),
        None => Err(ServerError::NoUser),
    }
}

fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(dir: &Path, programs: &[&str]) {
        fs::create_dir_all(dir).unwrap();
        for program in programs {
            fs::write(dir.join(program), "").unwrap();
        }
    }

    const ALL: &[&str] = &["initdb", "postgres", "psql"];

    #[test]
    fn the_variable_wins_then_the_newest_version_then_the_path() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let installed = root.join("lib");
        let own = root.join("own");
        let on_path = root.join("path");
        install(&own, ALL);
        install(&on_path, ALL);
        let path = env::join_paths([root.join("nothing"), on_path.clone()]).unwrap();

        assert_eq!(find(None, &installed, &path).unwrap(), on_path);
        for version in ["9", "15", "16"] {
            install(&installed.join(version).join("bin"), ALL);
        }
        install(&installed.join("17/bin"), &["psql"]);
        assert_eq!(
            find(None, &installed, &path).unwrap(),
            installed.join("16/bin")
        );
        let named = find(Some(own.as_os_str()), &installed, &path);
        assert_eq!(named.unwrap(), own);
    }

    #[test]
    fn what_is_missing_is_said() {
        let root = tempfile::tempdir().unwrap();
        let nowhere = root.path().join("nowhere");
        let none = find(None, &nowhere, OsStr::new("")).unwrap_err();
        assert_eq!(
            none.to_string(),
            "no PostgreSQL server found: install Debian's package `postgresql`, or set \
             GUESTLIST_PG_BIN to the folder that holds `initdb`"
        );
        // The variable is an order: nothing else is looked for.
        install(&root.path().join("15/bin"), ALL);
        let error = find(Some(nowhere.as_os_str()), root.path(), OsStr::new("")).unwrap_err();
        assert!(matches!(error, ServerError::NotInFolder { folder } if folder == nowhere));
    }

    #[test]
    fn ids_are_those_of_exactly_this_user() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\
                     postgres2:x:7:8::/:/bin/sh\n\
                     postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids(users, "postgres"), Some((101, 104)));
        assert_eq!(ids(users, "postgre"), None);
        assert_eq!(ids("postgres:x:many:104", "postgres"), None);
    }
}
