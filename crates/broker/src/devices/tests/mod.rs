//! The device domain against itself.

mod asked;
mod pairing;
mod support;
mod sync;
