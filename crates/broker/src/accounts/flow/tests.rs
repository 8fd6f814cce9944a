//! The documented examples and the attacks, against a store in memory that applies writes as the module head asks.

mod attacks;
mod examples;
mod memory;
mod opaque;
