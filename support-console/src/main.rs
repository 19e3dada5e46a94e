use std::process::ExitCode;

fn main() -> ExitCode {
    match support_console::cli::run() {
        Some(code) => code,
        None => common::service::serve(support_console::ABOUT, support_console::run),
    }
}
