//! Password encryption of the vault file: the age format with one scrypt stanza (age-encryption.org/v1).

use std::io::{Read, Write};
use std::iter;
use std::path::Path;

use age::scrypt::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use durward_protocol::SecretString;
use zeroize::Zeroizing;

use super::MAX_VAULT_BYTES;
use crate::Error;

/// scrypt work factor of every file this program writes: log2 of N; r = 8, p = 1, so 128 MiB of memory.
///
/// Fixed and not measured: a vault made on a slow or busy machine must not be easier to guess.
pub const WORK_FACTOR: u8 = 17;

/// Largest work factor that is read. Each step doubles time and memory: a planted file must not take the
/// machine down.
pub const MAX_WORK_FACTOR: u8 = 22;

/// Encrypts `plaintext`. The work factor is 1 to 63.
pub(super) fn seal(plaintext: &[u8], password: &SecretString, work_factor: u8) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Encrypt(error.to_string());
    let mut recipient = Recipient::new(passphrase(password));
    recipient.set_work_factor(work_factor);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(|error| failed(&error))?;
    let mut sealed = Vec::with_capacity(plaintext.len() + 512);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| failed(&error))?;
    writer.write_all(plaintext).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(sealed)
}

/// Decrypts a whole file. `path` is for the error only.
///
/// The header's file key is authenticated under the password: when that fails the password is wrong (or a bit
/// of the key's 60 bytes flipped, which nobody can tell apart). Everything else that fails is damage.
pub(super) fn unseal(
    path: &Path,
    sealed: &[u8],
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(|error| explain(path, &error))?;
    if !decryptor.is_scrypt() {
        return Err(Error::damaged(path, "it is an age file, but not encrypted with a password"));
    }
    let mut identity = Identity::new(passphrase(password));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let mut reader = decryptor
        .decrypt(iter::once(&identity as &dyn age::Identity))
        .map_err(|error| explain(path, &error))?;
    // Plaintext is shorter than its file, so the buffer never grows: no copy is left behind unwiped.
    let mut plaintext = Zeroizing::new(vec![0; sealed.len()]);
    let mut length = 0;
    loop {
        match reader.read(plaintext.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => return Err(Error::damaged(path, "it is cut short or its content was altered")),
        }
    }
    plaintext.truncate(length);
    Ok(plaintext)
}

/// Whether a plaintext of `length` bytes still makes a vault file that is read back.
pub(super) fn fits(length: usize) -> bool {
    // 16 bytes of tag for each 64 KiB, and a header.
    (length as u64).saturating_add(length as u64 / 4096).saturating_add(4096) < MAX_VAULT_BYTES
}

fn explain(path: &Path, error: &DecryptError) -> Error {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
            Error::WrongPassword
        }
        DecryptError::ExcessiveWork { required, .. } => {
            Error::ExcessiveWork { path: path.to_owned(), required: *required }
        }
        DecryptError::InvalidMac => Error::damaged(path, "its header was altered"),
        DecryptError::UnknownFormat => {
            Error::damaged(path, "it has an age version this program does not know")
        }
        _ => Error::damaged(path, "it is not a whole age file, or an ASCII-armoured one"),
    }
}

/// Of exactly the length that is needed, so that no shrinking leaves a copy behind.
fn passphrase(password: &SecretString) -> secrecy::SecretString {
    secrecy::SecretString::from(Box::<str>::from(password.expose_secret()))
}

/// Encrypts anything under a password, as the vault itself is: `age -d` opens it. Takes 128 MiB and a second.
pub fn encrypt_with_password(plaintext: &[u8], password: &SecretString) -> Result<Vec<u8>, Error> {
    seal(plaintext, password, WORK_FACTOR)
}

/// The reverse. `path` is for the error only.
pub fn decrypt_with_password(
    path: &Path,
    sealed: &[u8],
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    unseal(path, sealed, password)
}
