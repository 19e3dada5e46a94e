//! `cargo xtask test`: every test, against servers that exist only for them.

use std::fs;
use std::io::ErrorKind;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, thread};

use anyhow::{Context, Result};
use clap::Args;
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::project::{self, Variables};
use crate::servers::{self, Releases, install};
use crate::site::{Backing, Purpose, lock};
use crate::{say, signals};

/// Where Linux has files that are memory.
const MEMORY: &str = "/dev/shm";
/// So many bytes must be free there: several times what all tests ever had there at once.
const ROOM: u64 = 4 << 30;

/// How many tests nextest runs at once.
const AT_ONCE: &str = "NEXTEST_TEST_THREADS";

/// Runs every test, with a PostgreSQL and a RabbitMQ of their own on free ports
///
/// Does not disturb what `up` runs. Uses DATABASE_URL, or AMQP_URL and MANAGEMENT_URL, instead of
/// private servers if they are set. Those have their data in memory where there is room. Runs two
/// tests at a time on each processor, or as many as NEXTEST_TEST_THREADS says.
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
    let on_disk = project::local()?.join("test");
    let _turn = lock(&on_disk)?;
    // In memory too: what a run left that was killed.
    let in_memory = in_memory()?;
    for dir in in_memory.iter().chain([&on_disk]) {
        clear(dir)?;
    }
    let dir = in_memory.as_ref().unwrap_or(&on_disk);
    let result = run_tests(dir, arguments);
    clear(dir)?;
    if let Some(dir) = in_memory {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder for this checkout's tests that is no disk's, if there is room for it: what is thrown away needs no disk, and one
/// that is busy elsewhere keeps a broker waiting for seconds. (`.ci/run` knows its name too.)
fn in_memory() -> Result<Option<PathBuf>> {
    let project = project::root()?.display().to_string();
    let dir = Path::new(MEMORY).join(format!("conveyor-test{}", project.replace('/', "-")));
    let is_roomy = statvfs(MEMORY).is_ok_and(|there| there.blocks_available() * there.fragment_size() >= ROOM);
    if !is_roomy && !dir.exists() {
        return Ok(None);
    }
    match fs::create_dir(&dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(_) => return Ok(None),
    }
    // Everybody may write there: somebody else could have made it first, or have put a link in its place.
    let found = fs::symlink_metadata(&dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    Ok((found.is_dir() && found.uid() == geteuid().as_raw()).then_some(dir))
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
fn own_servers(dir: &Path) -> PathBuf {
    dir.join("servers")
}

fn run_tests(dir: &Path, arguments: &Arguments) -> Result<bool> {
    let backing = Backing::prepare(dir, Purpose::Tests, &arguments.releases)?;
    install::ensure(&install::SNIPPETS)?;
    install::ensure(&install::BROWSER)?;
    // The binaries too: end-to-end tests start them.
    backing.start_while_building(&["--workspace", "--bins"])?;
    let management = backing.management_url.clone();
    // Not `current_exe`: building the whole workspace may have put a new file in the place of this program's.
    let programs = project::target()?.join("debug");
    let mut variables = variables(&programs, dir, &arguments.releases);
    for (key, value) in [
        ("CONVEYOR_TEST_DATABASE_URL", backing.database_url),
        ("CONVEYOR_TEST_AMQP_URL", backing.amqp_url),
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
