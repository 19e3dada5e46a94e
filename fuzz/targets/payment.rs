#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| payment_worker::fuzzing::payment(bytes));
