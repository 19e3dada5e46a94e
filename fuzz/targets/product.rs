#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| order_api::fuzzing::product(bytes));
