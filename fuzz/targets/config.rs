#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    order_api::fuzzing::config(bytes);
    inventory_worker::fuzzing::config(bytes);
    payment_worker::fuzzing::config(bytes);
    notification_worker::fuzzing::config(bytes);
    support_console::fuzzing::config(bytes);
});
