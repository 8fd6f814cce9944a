//! Keys leave copies on the stack: a cipher's round keys, a value moved out of a function. Wiping types do not
//! reach those, so the unused part of the stack is overwritten once the work is done.

/// Deeper than any call of the cryptographic library, also without optimisation.
const DEPTH: usize = 128 << 10;

/// Overwrites the stack below the caller's frame, on this thread.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is to be overwritten")]
pub(crate) fn wipe_stack() {
    let mut unused = [0_u8; DEPTH];
    // Neither the array nor the writes may be optimised away.
    std::hint::black_box(&mut unused);
}

/// The same on every thread that decrypted in parallel.
pub(crate) fn wipe_worker_stacks() {
    rayon::broadcast(|_| wipe_stack());
}
