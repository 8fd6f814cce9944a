//! Looking for a program as a shell does.

use std::path::Path;

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A program.
    Runnable,
    /// Something that nobody may run.
    NotRunnable,
    /// Nothing.
    Missing,
}

/// Looks for a program: where its path leads, else in the folders of `PATH`.
pub(crate) fn find(program: &str) -> Found {
    if program.contains(std::path::MAIN_SEPARATOR) {
        return look_at(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    in_folders(program, std::env::split_paths(&path))
}

/// The first that can be run counts, as for a shell.
fn in_folders(program: &str, folders: impl Iterator<Item = std::path::PathBuf>) -> Found {
    let mut found = Found::Missing;
    for folder in folders {
        match look_at(&folder.join(program)) {
            Found::Runnable => return Found::Runnable,
            Found::NotRunnable => found = Found::NotRunnable,
            Found::Missing => {}
        }
    }
    found
}

fn look_at(path: &Path) -> Found {
    match std::fs::metadata(path) {
        Err(_) => Found::Missing,
        Ok(metadata) if metadata.is_file() && may_run(&metadata) => Found::Runnable,
        Ok(_) => Found::NotRunnable,
    }
}

#[cfg(unix)]
fn may_run(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_that_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            durward_files::write_private(&path, b"").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        file("one/tool", 0o600);
        file("two/tool", 0o755);
        file("one/text", 0o644);
        std::fs::create_dir(folder.path().join("one/folder")).unwrap();
        let find =
            |name: &str| in_folders(name, ["one", "two"].map(|part| folder.path().join(part)).into_iter());
        assert_eq!(find("tool"), Found::Runnable);
        assert_eq!(find("text"), Found::NotRunnable);
        assert_eq!(find("folder"), Found::NotRunnable);
        assert_eq!(find("nothing"), Found::Missing);
    }
}
