use std::process::ExitCode;

fn main() -> ExitCode {
    common::service::main(order_api::ABOUT, order_api::run)
}
