#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support_console::fuzzing::edit(bytes));
