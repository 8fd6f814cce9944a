//! Content on its way through, with its SHA-256.

use std::io::Read;
use std::panic::resume_unwind;
use std::sync::mpsc::{channel, sync_channel};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Error;

/// Bytes that are read at once.
const BLOCK: usize = 256 * 1024;

/// Blocks under way when there are two threads.
const BLOCKS: usize = 4;

/// Length and SHA-256 of what went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digested {
    pub(crate) length: u64,
    pub(crate) sha256: [u8; 32],
}

/// Reads `input` to its end, hands each block to `sink`, and hashes it.
///
/// Content of more than one block is hashed in a second thread while the next block is encrypted: hashing takes
/// about as long as encrypting, and one after the other would halve the speed. Blocks are wiped.
pub(crate) fn pump(
    mut input: impl Read,
    read_failed: impl Fn(std::io::Error) -> Error,
    mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Digested, Error> {
    let mut first = Zeroizing::new(vec![0; BLOCK]);
    let mut length = 0;
    let mut next = |block: &mut [u8], length: &mut u64| -> Result<usize, Error> {
        let filled = fill(&mut input, block).map_err(&read_failed)?;
        *length += filled as u64;
        sink(block.get(..filled).unwrap_or_default())?;
        Ok(filled)
    };
    let filled = next(&mut first, &mut length)?;
    if filled < BLOCK {
        let sha256 = Sha256::digest(first.get(..filled).unwrap_or_default());
        return Ok(Digested { length, sha256: sha256.into() });
    }
    let sha256 = std::thread::scope(|scope| {
        let (full, to_hash) = sync_channel::<(Zeroizing<Vec<u8>>, usize)>(BLOCKS);
        let (done, free) = channel::<Zeroizing<Vec<u8>>>();
        for _ in 1..BLOCKS {
            let _ = done.send(Zeroizing::new(vec![0; BLOCK])); // both ends are here
        }
        let hashing = scope.spawn(move || {
            let mut hash = Sha256::new();
            for (block, filled) in to_hash {
                hash.update(block.get(..filled).unwrap_or_default());
                let _ = done.send(block); // nobody waits for it any more
            }
            hash.finalize()
        });
        let mut block = (first, filled);
        // A thread that went away panicked, and joining it says so.
        while full.send(block).is_ok() {
            let Ok(mut empty) = free.recv() else { break };
            let filled = next(&mut empty, &mut length)?;
            if filled == 0 {
                break;
            }
            block = (empty, filled);
        }
        drop(full);
        Ok(hashing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    Ok(Digested { length, sha256: sha256.into() })
}

/// Fills the block as far as there is input.
fn fill(input: &mut impl Read, block: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_hashed_and_handed_on_whole() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 9 * BLOCK + 77] {
            let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut seen = Vec::new();
            let digested = pump(content.as_slice(), Error::Read, |block| {
                seen.extend_from_slice(block);
                Ok(())
            });
            let sha256 = Sha256::digest(&content).into();
            assert_eq!(digested.unwrap(), Digested { length: length as u64, sha256 }, "{length}");
            assert!(seen == content, "{length}");
        }
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        let content = vec![7; 20 * BLOCK];
        let mut calls = 0;
        let failed = pump(content.as_slice(), Error::Read, |_| {
            calls += 1;
            if calls == 7 { Err(Error::Damaged) } else { Ok(()) }
        });
        assert!(matches!(failed, Err(Error::Damaged)));
        assert_eq!(calls, 7);
    }

    #[test]
    fn a_source_that_fails_ends_it() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                if self.0 > 9 { Err(std::io::Error::other("gone")) } else { Ok(buffer.len()) }
            }
        }
        assert!(matches!(pump(Broken(0), Error::Read, |_| Ok(())), Err(Error::Read(_))));
    }
}
