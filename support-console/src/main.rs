use std::process::ExitCode;

fn main() -> ExitCode {
    common::service::main(support_console::ABOUT, support_console::run)
}
