//! Runs Conveyor on a developer's machine: `cargo xtask --help` says how.
//!
//! Plain and synchronous, quick to compile, and never a part of what is shipped.
#![expect(unreachable_pub, reason = "a program has no outside; `pub` says what a module offers its neighbours")]

mod bench;
mod chaos;
mod down;
mod fuzz;
mod fuzz_api;
mod http;
mod order;
mod ports;
mod process;
mod project;
mod say;
mod server;
mod servers;
mod services;
mod sign;
mod signals;
mod site;
mod staff;
mod test;
mod token;
mod up;
mod write_back;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs Conveyor on your machine
///
/// Begin with `cargo xtask up`: it takes a fresh clone to a first paid order. Everything is kept in .local/
/// inside the clone, and listens on 127.0.0.1 only.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", verbatim_doc_comment, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Up(up::Arguments),
    Down(down::Arguments),
    Order(order::Arguments),
    Token(token::Arguments),
    Sign(sign::Arguments),
    Test(test::Arguments),
    Bench(bench::Arguments),
    Chaos(chaos::Arguments),
    Fuzz(fuzz::Arguments),
    FuzzApi(fuzz_api::Arguments),
    Server(server::Arguments),
}

fn main() -> ExitCode {
    say::begin();
    let arguments = Arguments::parse();
    let result = signals::install().and_then(|()| match arguments.command {
        Task::Up(arguments) => up::run(&arguments),
        Task::Down(arguments) => down::run(&arguments),
        Task::Order(arguments) => order::run(&arguments),
        Task::Token(arguments) => token::run(&arguments),
        Task::Sign(arguments) => sign::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Chaos(arguments) => chaos::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::FuzzApi(arguments) => fuzz_api::run(&arguments),
        Task::Server(arguments) => server::run(&arguments),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            say::step(format!("error: {error:#}"));
            // As a shell says that a signal ended a program.
            let signal = signals::received().and_then(|number| u8::try_from(number).ok());
            ExitCode::from(signal.map_or(1, |number| 128 + number))
        }
    }
}
