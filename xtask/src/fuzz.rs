//! `cargo xtask fuzz`: whatever reads bytes from outside is given millions of them, chosen by what of the code they reach.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::project::{self, Variables};
use crate::site::lock;
use crate::{say, signals};

/// What makes a program tell libFuzzer where it has been and what it has compared. It works with any compiler.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Whatever takes longer for one input, or more memory, is a fault of its own.
const SLOWEST_S: u32 = 10;
const MOST_MEMORY_MB: u32 = 2_048;
/// Longer inputs reach nothing that these do not.
const LONGEST: u32 = 16_384;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Fuzzes every reader of bytes from outside: bodies, messages, callbacks, tokens, configuration
///
/// Each target begins with the documents in fuzz/seeds and with what earlier runs have found, which is kept in
/// .local/fuzz/parsers. Fails where an input makes a target panic, hang or take too much memory, and says how to see it
/// again. The targets are in fuzz/targets.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// How many run at once
    #[arg(long, short, default_value_t = 2)]
    jobs: usize,
    /// Only these
    targets: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let place = Place::new()?;
    let _turn = lock(&place.local)?;
    let targets = chosen(&place, &arguments.targets)?;
    let programs = build(&place, &targets)?;
    let within = Duration::from_secs(arguments.minutes * 60);
    say::step(format!("fuzzing {} targets, {} minutes each", targets.len(), arguments.minutes));
    let mut waiting = VecDeque::from(targets);
    let (mut running, mut ended) = (Vec::new(), Vec::new());
    let mut said = Instant::now();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < arguments.jobs.max(1)
            && let Some(target) = waiting.pop_front()
        {
            running.push(Fuzzer::start(&place, &programs, &target, within)?);
        }
        signals::pause(LOOK_EVERY)?;
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            running.iter().for_each(Fuzzer::say);
        }
        let mut still = Vec::new();
        for mut fuzzer in running {
            match fuzzer.end()? {
                Some(result) => {
                    say::step(result.line());
                    ended.push(result);
                }
                None => still.push(fuzzer),
            }
        }
        running = still;
    }
    say::out(table(&ended));
    let faults: Vec<&Ended> = ended.iter().filter(|ended| !ended.is_well).collect();
    for ended in &faults {
        say::step(format!("{} has found something; its last words:", ended.target));
        say::detail(&ended.last_words);
        say::detail(ended.again(&place, &programs));
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where everything is.
struct Place {
    package: PathBuf,
    local: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { package: project::root()?.join("fuzz"), local: project::local()?.join("fuzz/parsers") })
    }
}

/// The targets there are, or those of them that are named.
fn chosen(place: &Place, named: &[String]) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(place.package.join("targets")).context("cannot read fuzz/targets")? {
        let file = entry?.path();
        targets.extend(file.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    targets.sort();
    if let Some(unknown) = named.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target {unknown:?}; there are {}", targets.join(", "));
    }
    targets.retain(|target| named.is_empty() || named.contains(target));
    Ok(targets)
}

/// Builds the targets, and says where they are. The compiler's own plugins and build scripts must not be instrumented, and
/// are not as long as a target is named, even this machine's own.
fn build(place: &Place, targets: &[String]) -> Result<PathBuf> {
    let machine = machine()?;
    let folder = project::target()?.join("fuzz");
    let (manifest, folder_name) = (place.package.join("Cargo.toml"), folder.display().to_string());
    let manifest = manifest.display().to_string();
    let mut command = vec!["build", "--release", "--locked", "--manifest-path", &manifest];
    command.extend(["--target-dir", &folder_name, "--target", &machine]);
    command.extend(targets.iter().flat_map(|target| ["--bin", target]));
    say::step(format!("building: cargo {}", command.join(" ")));
    let variables = Variables::from([("RUSTFLAGS".to_owned(), COVERAGE.to_owned())]);
    if !project::run_cargo(&command, &variables)? {
        signals::check()?;
        bail!("the fuzzers cannot be built");
    }
    Ok(folder.join(machine).join("release"))
}

fn machine() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host =
        text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say what it is for")?;
    Ok(host.to_owned())
}

/// One target at work.
struct Fuzzer {
    target: String,
    child: Child,
    log: PathBuf,
}

impl Fuzzer {
    fn start(place: &Place, programs: &Path, target: &str, within: Duration) -> Result<Self> {
        let corpus = place.local.join("corpus").join(target);
        let log = place.local.join("log").join(target);
        for folder in [&corpus, &place.local.join("crashes"), &place.local.join("log")] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let crashes = place.local.join("crashes").join(format!("{target}-"));
        let child = Command::new(programs.join(target))
            .arg(&corpus)
            .arg(place.package.join("seeds").join(target))
            .arg(format!("-dict={}", place.package.join("dictionary").display()))
            .arg(format!("-artifact_prefix={}", crashes.display()))
            .arg(format!("-max_total_time={}", within.as_secs()))
            .arg(format!("-timeout={SLOWEST_S}"))
            .arg(format!("-rss_limit_mb={MOST_MEMORY_MB}"))
            .arg(format!("-max_len={LONGEST}"))
            .args(["-use_value_profile=1", "-print_final_stats=1"])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run {target}"))?;
        say::step(format!("{target} begins"));
        Ok(Self { target: target.to_owned(), child, log })
    }

    fn say(&self) {
        let figures = Figures::read(&self.log);
        say::step(format!("{}: {} executions so far, coverage {}", self.target, figures.executions, figures.coverage));
    }

    /// What came of it, if it is over.
    fn end(&mut self) -> Result<Option<Ended>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        signals::check()?;
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // libFuzzer ends with the name of the file that it has written.
        let written = text.lines().rev().find_map(|line| line.split_once("Test unit written to "));
        let crash = written.map(|(_, file)| PathBuf::from(file.trim()));
        let last_words = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        let last_words = last_words.get(last_words.len().saturating_sub(30)..).unwrap_or_default().join("\n");
        let figures = Figures::of(&text);
        Ok(Some(Ended { target: self.target.clone(), is_well: status.success(), figures, crash, last_words }))
    }
}

impl Drop for Fuzzer {
    fn drop(&mut self) {
        // What it has found so far is on the disk.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run has come to.
struct Ended {
    target: String,
    is_well: bool,
    figures: Figures,
    crash: Option<PathBuf>,
    last_words: String,
}

impl Ended {
    fn line(&self) -> String {
        let Figures { executions, coverage, corpus } = &self.figures;
        let what = if self.is_well { "is well" } else { "HAS FOUND SOMETHING" };
        format!("{} {what}: {executions} executions, coverage {coverage}, corpus {corpus}", self.target)
    }

    /// How to see it again, and how to keep it from coming back.
    fn again(&self, place: &Place, programs: &Path) -> String {
        match &self.crash {
            Some(crash) => format!(
                "again:  {} {}\nkeep:   cp {1} {}",
                programs.join(&self.target).display(),
                crash.display(),
                place.package.join("seeds").join(&self.target).join("…").display()
            ),
            None => "it has written no input: see its log".to_owned(),
        }
    }
}

/// What libFuzzer says of its progress.
struct Figures {
    executions: u64,
    coverage: u64,
    corpus: u64,
}

impl Figures {
    fn read(log: &Path) -> Self {
        Self::of(&String::from_utf8_lossy(&fs::read(log).unwrap_or_default()))
    }

    /// From lines such as `#8192 pulse cov: 212 ft: 390 corp: 31/1203b lim: 80 exec/s: 4096 rss: 40Mb`, and the last of all.
    fn of(log: &str) -> Self {
        let number = |line: &str, name: &str| {
            let rest = line.split_once(name)?.1.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let last = |name| log.lines().rev().find_map(|line| number(line, name)).unwrap_or(0);
        let counted = log.lines().rev().find_map(|line| number(line, "stat::number_of_executed_units:"));
        let seen = || log.lines().rev().find(|line| line.contains(" cov: ")).and_then(|line| number(line, "#"));
        Self { executions: counted.or_else(seen).unwrap_or(0), coverage: last(" cov: "), corpus: last(" corp: ") }
    }
}

fn table(ended: &[Ended]) -> String {
    let mut lines = vec![format!("{:<12} {:>14} {:>9} {:>7}  ", "target", "executions", "coverage", "corpus")];
    for Ended { target, is_well, figures: Figures { executions, coverage, corpus }, .. } in ended {
        let what = if *is_well { "no crash" } else { "CRASH" };
        lines.push(format!("{target:<12} {executions:>14} {coverage:>9} {corpus:>7}  {what}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_what_libfuzzer_says() {
        let log = "#2\tINITED cov: 100 ft: 150 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #8192\tpulse  cov: 212 ft: 390 corp: 31/1203b lim: 80 exec/s: 4096 rss: 40Mb\n";
        let Figures { executions, coverage, corpus } = Figures::of(log);
        assert_eq!((executions, coverage, corpus), (8_192, 212, 31));
        let done = format!("{log}#9000\tDONE   cov: 213 ft: 391 corp: 32/1b\nstat::number_of_executed_units: 9000\n");
        let Figures { executions, coverage, corpus } = Figures::of(&done);
        assert_eq!((executions, coverage, corpus), (9_000, 213, 32));
        assert_eq!(Figures::of("").executions, 0);
    }
}
