//! Runs Conveyor on a developer's machine: `cargo xtask --help` says how.
//!
//! Plain and synchronous, quick to compile, and never a part of what is shipped.
#![expect(unreachable_pub, reason = "a program has no outside; `pub` says what a module offers its neighbours")]

mod http;
mod ports;
mod process;
mod project;
mod say;
mod server;
mod servers;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Runs Conveyor on your machine", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Server(server::Arguments),
}

fn main() -> ExitCode {
    say::begin();
    let arguments = Arguments::parse();
    let result = signals::install().and_then(|()| match arguments.command {
        Task::Server(arguments) => server::run(&arguments),
    });
    match (result, signals::received()) {
        (Ok(code), None) => code,
        // As a shell says that a signal ended a program.
        (Ok(_), Some(signal)) => ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)),
        (Err(error), signal) => {
            say::step(format!("error: {error:#}"));
            ExitCode::from(signal.map_or(1, |signal| 128 + u8::try_from(signal).unwrap_or(0)))
        }
    }
}
