//! `cargo fuzz run --features libfuzzer policy`; what it checks is in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durward_fuzz::policy(data));
