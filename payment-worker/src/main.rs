use std::process::ExitCode;

fn main() -> ExitCode {
    common::service::main(payment_worker::ABOUT, payment_worker::run)
}
