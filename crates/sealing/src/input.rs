//! What comes in to be opened: age files, binary or ASCII-armoured, from anybody.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};

use age::armor::ArmoredReader;

use crate::{Error, header};

/// Longest header that is read: about 500 recipients. The library reads a header of any length, in time that
/// grows with its square.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

const MAGIC: &[u8] = b"age-encryption.org/";
const VERSION_LINE: &[u8] = b"age-encryption.org/v1\n";
const ARMOUR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const STEP: u64 = 4096;
const BUFFER: usize = 128 * 1024;

/// The file without its armour, known to begin with a whole header of tolerable length.
pub(crate) fn prepare(mut input: impl Read) -> Result<impl BufRead, Error> {
    let mut first = Vec::new();
    (&mut input).take(STEP).read_to_end(&mut first).map_err(Error::Read)?;
    if !first.starts_with(MAGIC) && !first.trim_ascii_start().starts_with(ARMOUR) {
        return Err(Error::NotSealed);
    }
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(input));
    let mut rest = ArmoredReader::new(whole);
    let mut head = Vec::new();
    while !header::is_whole(&head) {
        let read = (&mut rest).take(STEP).read_to_end(&mut head).map_err(unreadable)?;
        if head.len() > VERSION_LINE.len() && !head.starts_with(VERSION_LINE) {
            return Err(if head.starts_with(MAGIC) { Error::UnknownVersion } else { Error::NotSealed });
        }
        if read == 0 || head.len() as u64 > MAX_HEADER_BYTES {
            return Err(Error::Damaged);
        }
    }
    Ok(BufReader::with_capacity(BUFFER, Cursor::new(head).chain(rest)))
}

/// What the library says by the kind of an I/O error.
pub(crate) fn unreadable(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Error::Damaged,
        _ => Error::Read(error),
    }
}
