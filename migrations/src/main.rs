//! `migrate`: brings a database up to date.

mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use settings::Settings;

const HELP: &str = "\
migrate: brings Conveyor's database up to date

Usage: migrate [--demo]

It makes what is missing of the schemas, tables, login roles and rights, and says what it did. It may be run at any
time, again, and by several at once.

  --demo   load the demo catalogue too; what is there already stays as it is

Configured by a TOML file named in CONVEYOR_CONFIG and by the environment, which wins:

  CONVEYOR__DATABASE__URL          postgres://owner:password@host:port/database
                                   the owner of the database, who may make roles; the database must exist
  CONVEYOR__ROLES__ORDERS          the password of the role conveyor_orders, and so on
  CONVEYOR__ROLES__INVENTORY
  CONVEYOR__ROLES__PAYMENTS
  CONVEYOR__ROLES__NOTIFICATIONS
";

/// The exit code for a bad command line or configuration (`EX_USAGE`).
const USAGE: u8 = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let demo = match arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect::<Vec<_>>()[..] {
        [] => false,
        ["--demo"] => true,
        ["--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("migrate: usage: migrate [--demo]; --help says more");
            return ExitCode::from(USAGE);
        }
    };
    let settings = match settings::load() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("migrate: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match run(&settings, demo).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("migrate: {}", error.in_one_line());
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings, demo: bool) -> Result<(), migrations::Error> {
    let report = migrations::migrate(&settings.target, &settings.passwords).await?;
    // Whoever stops reading misses the rest; the work goes on.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{report}roles and rights: as they should be");
    if demo {
        migrations::load_demo(&settings.target).await?;
        let _ = writeln!(out, "demo catalogue: loaded");
    }
    Ok(())
}
