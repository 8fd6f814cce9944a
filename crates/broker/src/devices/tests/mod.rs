//! The device domain against itself.

mod asked;
mod hostile;
mod pairing;
mod support;
mod sync;
