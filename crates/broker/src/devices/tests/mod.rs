//! The device domain against itself.

mod pairing;
mod support;
mod sync;
