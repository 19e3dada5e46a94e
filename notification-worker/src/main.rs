use std::process::ExitCode;

fn main() -> ExitCode {
    common::service::main(notification_worker::ABOUT, notification_worker::run)
}
