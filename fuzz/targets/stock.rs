#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inventory_worker::fuzzing::stock(bytes));
