//! `cargo xtask bench`: builds everything in release and hands the load generator fresh,
//! durable servers. It starts the services itself, with the settings it compares.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::servers::{Releases, home_for};
use crate::site::{Backing, Purpose, lock};
use crate::write_back::WriteBack;
use crate::{project, say, signals, test};

/// Measures throughput and latency in release, with fresh servers of its own
///
/// All options are the load generator's own, but for --data, and for --rabbitmq and --postgres, which come first.
#[derive(Args)]
#[command(verbatim_doc_comment, disable_help_flag = true)]
pub struct Arguments {
    #[command(flatten)]
    releases: Releases,
    /// Passed on to the load generator
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return help();
    }
    let elsewhere = data(&arguments.arguments)?;
    let dir = match &elsewhere {
        Some(folder) => folder.join("conveyor-bench"),
        None => project::local()?.join("bench"),
    };
    let turn = lock(&dir)?;
    test::clear(&dir)?;
    if elsewhere.is_some() {
        require_reach(&dir)?;
    }
    let backing = Backing::prepare(&dir, Purpose::Benchmark, &arguments.releases)?;
    let result = measure(&backing, &arguments.arguments);
    test::clear(&dir)?;
    if elsewhere.is_some() {
        drop(turn);
        // Only what is ours, and the folder only if there is nothing else in it.
        let _ = fs::remove_file(dir.join("lock"));
        let _ = fs::remove_dir(&dir);
    }
    result
}

/// Figures of servers whose data are somewhere else after all would mislead.
fn require_reach(dir: &Path) -> Result<()> {
    if ["DATABASE_URL", "AMQP_URL"].iter().any(|name| env::var_os(name).is_some_and(|url| !url.is_empty())) {
        bail!("--data is for servers of bench's own: unset DATABASE_URL and AMQP_URL");
    }
    let home = dir.join("postgres");
    if home_for(&home)? != home {
        bail!("--data: PostgreSQL's account cannot reach {}: name a folder that everybody may enter", dir.display());
    }
    Ok(())
}

/// The one option that is not for the load generator, but for the servers that it loads.
fn data(arguments: &[String]) -> Result<Option<PathBuf>> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let folder = match argument.strip_prefix("--data") {
            Some("") => rest.next().context("--data needs a folder")?,
            Some(value) if value.starts_with('=') => &value[1..],
            _ => continue,
        };
        return fs::canonicalize(folder).map(Some).with_context(|| format!("--data: there is no folder {folder}"));
    }
    Ok(None)
}

/// The load generator's own help needs no servers.
fn help() -> Result<ExitCode> {
    project::build(&["--release", "--package", "bench"])?;
    let status = signals::run(Command::new(project::target()?.join("release/bench")).arg("--help"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(backing: &Backing, arguments: &[String]) -> Result<ExitCode> {
    backing.start_while_building(&[
        "--release",
        "--workspace",
        "--bins",
        "--exclude",
        "xtask",
        "--exclude",
        "e2e",
        "--exclude",
        "model",
    ])?;
    let binaries = project::target()?.join("release");
    let management = backing.management_url.as_ref();
    let _early = WriteBack::early();
    say::step("measuring");
    let status = signals::run(
        Command::new(binaries.join("bench"))
            .args(arguments)
            .env("CONVEYOR_BENCH_DATABASE_URL", &backing.database_url)
            .env("CONVEYOR_BENCH_AMQP_URL", &backing.amqp_url)
            .env("CONVEYOR_BENCH_MANAGEMENT_URL", management.context("with AMQP_URL, set MANAGEMENT_URL too")?)
            .env("CONVEYOR_BENCH_BIN_DIR", &binaries),
    )?;
    signals::check()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
