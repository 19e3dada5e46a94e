//! What the parts under test have to say, shown with the output of a test that fails.

/// Shows the logs of what runs inside the test itself: `info` and up, or what `CONVEYOR_TEST_LOG` says.
pub fn show_logs() {
    let filter = std::env::var("CONVEYOR_TEST_LOG").unwrap_or_else(|_| "info,lapin=error".to_owned());
    // Another test of this process may have been first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}
