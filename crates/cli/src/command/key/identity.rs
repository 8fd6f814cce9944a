//! By what a server knows this machine again, so that a second key takes the place of the first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use durward_broker::accounts::Fingerprint;
use durward_files::{create_private_dir, write_private};
use getrandom::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use sha2::{Digest as _, Sha256};

use super::other;
use crate::exit::CliError;

const SEED_BYTES: usize = 32;

/// The fingerprint of the key that lies at `file`: the same for the same file of the same data folder, and nobody
/// else's. Two files are two devices, so that one program's key does not end another's. The device's name is no part
/// of it: under another name it is the same device.
pub(super) fn fingerprint(folder: &Path, file: &Path) -> Result<Fingerprint, CliError> {
    let seed = seed(folder)?;
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut hash = Sha256::new();
    hash.update(b"durward/1 device of a key");
    hash.update(seed);
    hash.update(file.as_os_str().as_encoded_bytes());
    let tail: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("key-{tail}")
        .parse()
        .map_err(|_| other("bad_fingerprint", "the file makes no fingerprint".into()))
}

/// Random, made once.
fn seed(folder: &Path) -> Result<Vec<u8>, CliError> {
    let path: PathBuf = folder.join("machine.seed");
    let failed =
        |error: std::io::Error| other("unwritable", format!("cannot use {}: {error}", path.display()));
    match std::fs::read(&path) {
        Ok(seed) if seed.len() == SEED_BYTES => return Ok(seed),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut seed = vec![0; SEED_BYTES];
    UnwrapErr(SysRng).fill_bytes(&mut seed);
    create_private_dir(folder).map_err(failed)?;
    write_private(&path, &seed).map_err(failed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_one_device() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |folder: &Path, file: &str| fingerprint(folder, Path::new(file)).unwrap();
        let first = of(here.path(), "/a.key");
        assert_eq!(first, of(here.path(), "/a.key"));
        assert_ne!(first, of(here.path(), "/b.key"));
        assert_ne!(first, of(there.path(), "/a.key"));
    }
}
