use std::process::ExitCode;

fn main() -> ExitCode {
    common::service::main(inventory_worker::ABOUT, inventory_worker::run)
}
