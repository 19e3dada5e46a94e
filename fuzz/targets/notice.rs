#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| notification_worker::fuzzing::notice(bytes));
