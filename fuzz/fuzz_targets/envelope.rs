//! `cargo fuzz run --features libfuzzer envelope`; what it checks is in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durward_fuzz::envelope(data));
