//! A generator that gives the bytes it was told to, then zeros.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// `spake2` reduces 64 little-endian bytes to its scalar; a nonce is 24 bytes as they are.
pub(crate) struct Given(pub(crate) Vec<u8>);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.fill(0);
        dest.iter_mut().zip(&self.0).for_each(|(slot, byte)| *slot = *byte);
        Ok(())
    }
}

impl TryCryptoRng for Given {}
