//! `cargo xtask chaos`: builds everything as the tests do, and lets everything go wrong.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::servers::Releases;
use crate::site::lock;
use crate::{project, signals, test};

/// Lets everything go wrong for some minutes, and says whether anything was lost or doubled
///
/// With servers of its own, on free ports. `cargo xtask chaos --help` lists the options.
#[derive(Args)]
#[command(verbatim_doc_comment, disable_help_flag = true)]
pub struct Arguments {
    /// --minutes, --seed and others
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = project::local()?.join("chaos");
    let _turn = lock(&dir)?;
    test::clear(&dir)?;
    project::build(&["--workspace", "--bins"])?;
    let programs = project::target()?.join("debug");
    let mut chaos = Command::new(programs.join("chaos"));
    chaos.args(&arguments.arguments).envs(test::variables(&programs, &dir, &Releases::default()));
    if !arguments.arguments.iter().any(|argument| argument.starts_with("--logs")) {
        chaos.arg("--logs").arg(dir.join("logs"));
    }
    let status = signals::run(&mut chaos);
    test::clear(&dir)?;
    signals::check()?;
    Ok(if status?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
