//! `cargo xtask test`: every test, against servers that exist only for them.

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::{env, thread};

use anyhow::{Context, Result};
use clap::Args;

use crate::project::{self, Variables};
use crate::servers::{self, Releases, install};
use crate::site::{Backing, Purpose, lock};
use crate::{say, signals};

/// How many tests nextest runs at once.
const AT_ONCE: &str = "NEXTEST_TEST_THREADS";

/// Runs every test, with a PostgreSQL and a RabbitMQ of their own on free ports
///
/// Does not disturb what `up` runs. Uses DATABASE_URL, or AMQP_URL and MANAGEMENT_URL, instead of
/// private servers if they are set. Runs two tests at a time on each processor, or as many as
/// NEXTEST_TEST_THREADS says.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    releases: Releases,
    /// Passed on to `cargo nextest run`, or to `cargo test` if nextest is not installed
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = project::local()?.join("test");
    let _turn = lock(&dir)?;
    clear(&dir)?;
    let backing = Backing::prepare(&dir, Purpose::Tests, &arguments.releases)?;
    install::ensure(&install::SNIPPETS)?;
    install::ensure(&install::BROWSER)?;
    let result = run_tests(&dir, &backing, arguments);
    clear(&dir)?;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ends every server in the folder and removes its data: those of this run, those that a
/// test started and left, those of a run that was killed.
pub fn clear(dir: &Path) -> Result<()> {
    for server in servers::found_in(dir).into_iter().chain(servers::found_in(&own_servers(dir))) {
        // Nobody needs the data any more: no reason to wait for an orderly end.
        server.discard()?;
        servers::purge(server.as_ref())?;
    }
    Ok(())
}

/// Where tests put servers that they start themselves.
fn own_servers(dir: &Path) -> std::path::PathBuf {
    dir.join("servers")
}

fn run_tests(dir: &Path, backing: &Backing, arguments: &Arguments) -> Result<bool> {
    // The binaries too: end-to-end tests start them.
    backing.start_while_building(&["--workspace", "--bins"])?;
    let management = backing.management_url.clone();
    // Not `current_exe`: building the whole workspace may have put a new file in the place of this program's.
    let programs = project::target()?.join("debug");
    let mut variables = variables(&programs, dir, &arguments.releases);
    for (key, value) in [
        ("CONVEYOR_TEST_DATABASE_URL", backing.database_url.clone()),
        ("CONVEYOR_TEST_AMQP_URL", backing.amqp_url.clone()),
        ("CONVEYOR_TEST_MANAGEMENT_URL", management.context("with AMQP_URL, tests need MANAGEMENT_URL too")?),
    ] {
        variables.insert(key.to_owned(), value);
    }
    // Most of the time most tests wait: for servers, for deadlines, for somebody to die.
    if env::var_os(AT_ONCE).is_none() {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        variables.insert(AT_ONCE.to_owned(), (2 * processors).to_string());
    }
    let mut command = if project::has_cargo_command("nextest")? {
        vec!["nextest", "run", "--workspace"]
    } else {
        say::step("cargo-nextest is not installed (`cargo install cargo-nextest --locked`): using `cargo test`");
        vec!["test", "--workspace"]
    };
    command.extend(arguments.arguments.iter().map(String::as_str));
    say::step(format!("testing: cargo {}", command.join(" ")));
    let passed = project::run_cargo(&command, &variables)?;
    signals::check()?;
    Ok(passed)
}

/// What the harness must know to start binaries, and servers of its own.
pub fn variables(programs: &Path, dir: &Path, releases: &Releases) -> Variables {
    let text = |path: &Path| path.display().to_string();
    let mut variables: Variables = [
        ("CONVEYOR_TEST_XTASK", text(&programs.join("xtask"))),
        ("CONVEYOR_TEST_BIN_DIR", text(programs)),
        ("CONVEYOR_TEST_SERVERS_DIR", text(&own_servers(dir))),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    // What a test starts itself is of the same releases.
    let Releases { rabbitmq, postgres } = releases;
    for (key, release) in [("CONVEYOR_TEST_RABBITMQ", rabbitmq), ("CONVEYOR_TEST_POSTGRES", postgres)] {
        variables.extend(release.clone().map(|release| (key.to_owned(), release)));
    }
    variables
}
