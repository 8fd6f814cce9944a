//! `cargo fuzz run --features libfuzzer enc_string`; what it checks is in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| durward_fuzz::enc_string(data));
