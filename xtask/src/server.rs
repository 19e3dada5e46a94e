//! `cargo xtask server`: one disposable server, for tests that must stop, kill and restart
//! theirs. Says what came of it in `KEY=value` lines on stdout.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::project;
use crate::servers::{self, Postgres, RabbitMq, Releases, Server, postgres, rabbitmq};

/// Manages one private PostgreSQL or RabbitMQ (tests use this)
///
/// Prints KEY=value lines: STATE, and the URLs. `status` exits 3 when the server is stopped.
/// Superuser postgres/postgres, or guest/guest. When all nodes of a cluster have died, each waits at its start
/// for the others: start them at the same time.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    kind: Kind,
    action: Action,
    /// The instance's folder; made by the first start, which also remembers the ports there
    #[arg(long)]
    dir: PathBuf,
    /// Its port (RabbitMQ: the first of nine); a free one if left out
    #[arg(long)]
    port: Option<u16>,
    /// RabbitMQ's management port; the port + 8 if left out
    #[arg(long)]
    management_port: Option<u16>,
    /// First start of PostgreSQL: survive a power cut too (fsync), which costs speed
    #[arg(long)]
    durable: bool,
    /// First start of RabbitMQ: as another node of the cluster of the instance in this folder, which runs
    #[arg(long, value_name = "DIR")]
    join: Option<PathBuf>,
    #[command(flatten)]
    releases: Releases,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Postgres,
    Rabbitmq,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    Start,
    /// In an orderly way
    Stop,
    /// With SIGKILL
    Kill,
    Status,
    /// Stop it and remove its folder
    Purge,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let server = match arguments.action {
        Action::Start => open(arguments)?,
        _ => servers::load(&arguments.dir.canonicalize().unwrap_or_else(|_| arguments.dir.clone()))?,
    };
    let mut code = ExitCode::SUCCESS;
    match arguments.action {
        Action::Start => server.start()?,
        Action::Stop => server.stop()?,
        Action::Kill => server.kill()?,
        Action::Status if !server.is_running() => code = ExitCode::from(3),
        Action::Status => {}
        Action::Purge => servers::purge(server.as_ref())?,
    }
    let state = if server.is_running() { "running" } else { "stopped" };
    let lines = format!("STATE={state}\n{}", project::lines(&server.variables()));
    // Whoever asked may not care to read it all.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    Ok(code)
}

fn open(arguments: &Arguments) -> Result<Box<dyn Server>> {
    Ok(match arguments.kind {
        Kind::Postgres => Box::new(Postgres::open(
            &arguments.dir,
            postgres::Settings {
                port: arguments.port,
                password: "postgres".to_owned(),
                durable: arguments.durable,
                run_in: false,
                database: "postgres".to_owned(),
                programs: (&arguments.releases.postgres).into(),
            },
        )?),
        Kind::Rabbitmq => Box::new(RabbitMq::open(
            &arguments.dir,
            rabbitmq::Settings {
                port: arguments.port,
                management: arguments.management_port,
                user: "guest".to_owned(),
                password: "guest".to_owned(),
                vhost: "/".to_owned(),
                eager_statistics: true,
                programs: (&arguments.releases.rabbitmq).into(),
                join: arguments.join.as_deref().map(existing).transpose()?,
            },
        )?),
    })
}

fn existing(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize().with_context(|| format!("--join: there is no folder {}", dir.display()))
}
