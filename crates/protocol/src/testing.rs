//! Generators for this crate's own tests.

use std::convert::Infallible;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_core::{TryCryptoRng, TryRng};

pub(crate) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Makes `spake2` choose a known scalar: it reduces 64 bytes, given here as the number and zeros.
pub(crate) struct FixedScalar(u8);

impl FixedScalar {
    pub(crate) fn new(scalar: u8) -> Self {
        Self(scalar)
    }
}

impl TryRng for FixedScalar {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from(self.0))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0))
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.fill(0);
        dest[0] = self.0;
        Ok(())
    }
}

impl TryCryptoRng for FixedScalar {}
