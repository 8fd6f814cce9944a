//! Lends a generator of today's `rand_core` to a library that still asks for 0.6: `spake2` and `opaque-ke`.

use rand_core::CryptoRng;

/// A `rand_core` 0.10 generator seen through the traits of 0.6. It adds nothing and cannot fail.
pub struct Rng06<'a, R: CryptoRng + ?Sized>(
    /// The generator that is lent.
    pub &'a mut R,
);

impl<R: CryptoRng + ?Sized> rand_core_06::RngCore for Rng06<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl<R: CryptoRng + ?Sized> rand_core_06::CryptoRng for Rng06<'_, R> {}
