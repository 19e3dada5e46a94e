//! `cargo xtask fuzz-api`: requests that nobody thought of, made from the API's own description.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::servers::{Releases, show_end_of};
use crate::site::{Backing, Purpose, lock, with_login};
use crate::{http, ports, project, say, sign, signals, test, token};

/// The one that the exclusions in e2e/fuzz were made for.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// A run that asks less has not looked.
const FEWEST_CASES: u64 = 2_000;

/// What order-api is told besides where its servers are.
const SETTINGS: &[(&str, &str)] = &[
    ("CONVEYOR__LOG__FILTER", "warn"),
    ("CONVEYOR__HTTP__RATE_PER_USER_PER_SECOND", "0"),
    ("CONVEYOR__HTTP__RATE_PER_ADDRESS_PER_SECOND", "0"),
];

/// Asks order-api what nobody thought of: requests made from /openapi.json by schemathesis
///
/// Starts PostgreSQL, RabbitMQ and order-api for itself alone, and makes a Python environment in .local/fuzz the first
/// time. Fails on an answer that is not documented, on any 5xx, and on whatever else schemathesis checks.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The most requests made up for each operation, besides those at the edges of its description
    #[arg(long, default_value_t = 600)]
    max_examples: u32,
    /// Passed on to `schemathesis run`
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let dir = project::local()?.join("fuzz");
    let _turn = lock(&dir)?;
    test::clear(&dir)?;
    let schemathesis = install(&dir)?;
    let backing = Backing::prepare(&dir, Purpose::Tests, &Releases::default())?;
    let result = fuzz(&dir, &backing, &schemathesis, arguments);
    test::clear(&dir)?;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn install(dir: &Path) -> Result<PathBuf> {
    let environment = dir.join("venv");
    let program = environment.join("bin/schemathesis");
    let marker = environment.join(SCHEMATHESIS);
    if !marker.exists() {
        say::step(format!("installing {SCHEMATHESIS} in {}", environment.display()));
        let made = signals::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = environment.join("bin/pip");
        // With what orders are signed with.
        let packages = ["install", "--quiet", SCHEMATHESIS, "cryptography"];
        if !made.success() || !signals::run(Command::new(pip).args(packages))?.success() {
            signals::check()?;
            bail!("cannot install {SCHEMATHESIS}: it needs python3 with venv, and a package index");
        }
        File::create(&marker)?;
    }
    Ok(program)
}

fn fuzz(dir: &Path, backing: &Backing, schemathesis: &Path, arguments: &Arguments) -> Result<bool> {
    // As the tests are built, so that whoever does both waits once.
    backing.start_while_building(&["--workspace", "--bins"])?;
    let programs = project::target()?.join("debug");
    let secret = project::password()?;
    let mut migrate = Command::new(programs.join("migrate"));
    migrate.arg("--demo").env("CONVEYOR__DATABASE__URL", &backing.database_url);
    for schema in ["ORDERS", "INVENTORY", "PAYMENTS", "NOTIFICATIONS", "SUPPORT"] {
        migrate.env(format!("CONVEYOR__ROLES__{schema}"), &secret);
    }
    if !signals::run(&mut migrate)?.success() {
        bail!("`migrate` failed");
    }
    let api = Api::start(dir, backing, &programs, &secret)?;
    say::step(format!("asking {}", api.url));
    let key = dir.join("signing-key.pem");
    sign::register_as(token::USER, &key, &api.url, &token_for_everything(&secret)?)?;
    let mut command = Command::new(schemathesis);
    command
        // Where it leaves what it likes to leave.
        .current_dir(dir)
        .arg("--config-file")
        .arg(project::root()?.join("e2e/fuzz/schemathesis.toml"))
        .args(["run", "--checks", "all", "--no-color"])
        .args(["--max-examples", &arguments.max_examples.to_string()])
        .args(&arguments.arguments)
        .arg(format!("{}/openapi.json", api.url))
        .env("PYTHONPATH", project::root()?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CONVEYOR_FUZZ_USER", token::USER)
        .env("CONVEYOR_FUZZ_KEY_FILE", &key)
        .env("CONVEYOR_FUZZ_TOKEN", token_for_everything(&secret)?);
    let (passed, cases) = watch(&mut command)?;
    say::step(format!("{cases} cases"));
    if passed && cases < FEWEST_CASES {
        bail!("fewer than {FEWEST_CASES} cases: raise --max-examples");
    }
    Ok(passed)
}

fn token_for_everything(secret: &str) -> Result<String> {
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(6 * 3_600);
    let claims = json!({"sub": token::USER, "scope": "customer service staff admin", "exp": end.as_secs()});
    token::sign(&claims.to_string(), secret)
}

/// Runs it, shows what it says, and finds in that how many cases it made.
fn watch(command: &mut Command) -> Result<(bool, u64)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run schemathesis")?;
    let mut cases = 0;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line?;
        say::out(&line);
        // `  5120 generated, 5120 passed`
        let mut words = line.split_whitespace();
        if let (Some(Ok(number)), Some("generated," | "generated")) = (words.next().map(str::parse), words.next()) {
            cases = number;
        }
    }
    let status = child.wait()?;
    signals::check()?;
    Ok((status.success(), cases))
}

/// order-api, for as long as this lives.
struct Api {
    child: Child,
    url: String,
}

impl Api {
    fn start(dir: &Path, backing: &Backing, programs: &Path, secret: &str) -> Result<Self> {
        let port = ports::free_block(1)?;
        let log = dir.join("order-api.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(programs.join("order-api"))
            .env("CONVEYOR__DATABASE__URL", with_login(&backing.database_url, "conveyor_orders", secret)?)
            .env("CONVEYOR__BROKER__URL", &backing.amqp_url)
            .env("CONVEYOR__HTTP__BIND", format!("127.0.0.1:{port}"))
            .env("CONVEYOR__AUTH__KEYS__FUZZ__SECRET", secret)
            .envs(SETTINGS.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot run order-api")?;
        let mut api = Self { child, url: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while !http::get(&format!("{}/readyz", api.url)).is_ok_and(|(status, _)| status == 200) {
            if api.child.try_wait()?.is_some() || began.elapsed() > READY_WITHIN {
                show_end_of(&log, 15);
                bail!("order-api does not get ready");
            }
            signals::pause(Duration::from_millis(50))?;
        }
        Ok(api)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // Its database is thrown away: there is nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
