//! The load generator: `cargo xtask bench` builds it, starts the servers it needs, and runs it.
//!
//! For every run it makes a database and a vhost, migrates, starts the services, loads them, and checks in the end that
//! every order went the whole way, once.
#![expect(unreachable_pub, reason = "a program has no outside; `pub` says what a module offers its neighbours")]

mod chart;
mod complete;
mod connection;
mod curves;
mod customer;
mod dead_letters;
mod disk;
mod flash;
mod floor;
mod goals;
mod history;
mod http;
mod idle;
mod ledger;
mod line;
mod load;
mod measure;
mod overload;
mod page;
mod progress;
mod report;
mod scenario;
mod servers;
mod waiting;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    curves::batches_of,
    line::{Plan, Setting},
    progress::Progress,
    report::Report,
    scenario::Bench,
    servers::Servers,
};

/// Loads Conveyor and says how it bears it
///
/// Without --rate, --backlog, --overload, --flash, --waiting or --idle it measures throughput twice: with parcels and
/// batches, and held to one event per message and per transaction.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Orders of the throughput run with parcels and batches
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    orders: u64,
    /// Orders of the throughput run without them, which is so much slower
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    plain_orders: u64,
    /// Connections that send orders
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Only one of the two throughput runs
    #[arg(long)]
    only: Option<Only>,
    /// Steady arrivals: so many orders a second, one rate after the other
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = rate)]
    rate: Vec<f64>,
    /// How long each rate is held
    #[arg(long, default_value_t = 15.0, value_parser = rate)]
    seconds: f64,
    /// So many orders while the workers are stopped, which are then started
    #[arg(long, value_name = "ORDERS", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    backlog: Option<u64>,
    /// So many orders (100,000 unless said) that nobody pays: how soon after their deadlines they expire; and once more
    /// with a broker that loses everything meanwhile
    #[arg(long, value_name = "ORDERS", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    waiting: Option<u64>,
    /// How soon each service is ready, and what it costs while it does nothing
    #[arg(long)]
    idle: bool,
    /// A line that may take no more than so many orders a second (1,250 unless said) is sent four times as many, while
    /// 1,000 connections do not come to the point. An order waits for no longer than 50 ms there
    #[arg(long, value_name = "ORDERS/S", num_args = 0..=1, default_missing_value = "1250", value_parser = rate)]
    overload: Option<f64>,
    /// A flash sale: 2,000 orders for 500 pieces of one product, shared out by three inventory-workers, with parcels and
    /// batches and without, alternating, as often as --rounds says
    #[arg(long)]
    flash: bool,
    /// So many dead letters of 20 reasons (100,000 unless said): how fast the console takes them in, finds among them, and
    /// sends all of them again
    #[arg(long, value_name = "LETTERS", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    dead_letters: Option<u32>,
    /// Everything the project has set itself: throughput, 20, 500, 2,000 and 4,000 orders/s, 200,000 held up, overload,
    /// 100,000 waiting for their deadlines, a flash sale, idle
    #[arg(long)]
    all: bool,
    /// Throughput beside its floor, alternating, as often as --rounds says: what the same PostgreSQL and RabbitMQ take for
    /// the same rows and messages with no application in between
    #[arg(long)]
    floor: bool,
    /// Without tokens and signatures, beside the floor
    #[arg(long, requires = "floor")]
    unauthenticated: bool,
    /// Throughput against the largest batch, parcel and group: such as 1,16,256
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batches: Vec<u64>,
    /// Throughput against the number of processes of each service: such as 1,2,3. Every number is compared with the first
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = processes)]
    workers: Vec<usize>,
    /// Throughput with so many orders in the tables already: such as 10000,1000000,5000000 (which take 20 GB). Every number is
    /// compared with the first
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u64).range(2_000..=100_000_000))]
    history: Vec<u64>,
    /// How fast the line works off so many messages of one order each: such as 20000,500000. Every number is compared with the
    /// first
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    backlogs: Vec<u64>,
    /// Everything there is, in about 40 minutes; writes REPORT.md and its pictures into this crate's folder
    #[arg(long)]
    report: bool,
    /// With --report: small numbers, to see that it works; written somewhere else
    #[arg(long, requires = "report")]
    quick: bool,
    /// A setting for the services, as often as needed: CONVEYOR__SECTION__KEY=value, or SERVICE:CONVEYOR__...
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// What a setting does to throughput: as it is and with it, alternating, as often as --rounds says
    #[arg(long, value_name = "NAME=VALUE")]
    against: Vec<Setting>,
    /// How often --against and --flash measure each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
    /// Where the servers keep their data meanwhile (`cargo xtask bench` starts them): a folder on another disk, or in
    /// memory (/dev/shm), which leaves the disk out of the figures
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Also write the figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Parcels and batches
    Batched,
    /// One event per message and per transaction
    Plain,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.1..=1e6).contains(&number) => Ok(number),
        _ => Err("not a number between 0.1 and 1000000".to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match bench(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn processes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=16).contains(&number) => Ok(number),
        _ => Err("not a number between 1 and 16".to_owned()),
    }
}

/// Measures, reports, and says whether all was well.
async fn bench(arguments: &Arguments) -> Result<bool> {
    let binaries = PathBuf::from(servers::variable("CONVEYOR_BENCH_BIN_DIR")?);
    let logs = std::env::temp_dir().join(format!("conveyor-bench-{}", std::process::id()));
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let servers = Servers::from_environment()?;
    let (postgres, rabbitmq) = servers.processes().await?;
    let beside_data = servers.data().await?.and_then(|data| disk::beside(&data));
    let password = uuid::Uuid::now_v7().simple().to_string();
    let plan = Plan { binaries, logs: logs.clone(), settings: arguments.set.clone(), password, processes: 1 };
    let mut bench = Bench {
        servers,
        plan,
        progress: Progress::new(),
        postgres,
        rabbitmq,
        connections: arguments.connections.into(),
        beside_data,
    };
    let mut report = Report { machine: machine(&bench).await?, ..Report::default() };

    let measured = tokio::select! {
        measured = measure(arguments, &mut bench, &mut report) => measured,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    // What was running has ended with the measurement, however that came to its end.
    let removed = bench.servers.remove_all().await;
    bench.progress.close();
    let is_told = report.runs().next().is_some() || !report.flash.is_empty() || !report.waiting.is_empty();
    if is_told || report.idle.is_some() {
        println!("{}", report.text());
    }
    if arguments.report {
        let folder = report_folder(arguments.quick || measured.is_err())?;
        let command: Vec<String> = std::env::args().skip(1).collect();
        page::write(&folder, &format!("cargo xtask bench {}", command.join(" ")), &report)?;
        println!("written: {}", folder.join("REPORT.md").display());
    }
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let wrong = report.wrong();
    for wrong in &wrong {
        eprintln!("bench: {wrong}");
    }
    keep_complaints(&logs)?;
    measured?;
    removed?;
    Ok(wrong.is_empty())
}

/// Beside this source, if it is whole; otherwise where it does no harm.
fn report_folder(is_partial: bool) -> Result<PathBuf> {
    if !is_partial {
        return Ok(PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    }
    let folder = std::env::temp_dir().join("conveyor-bench-report");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

async fn measure(arguments: &Arguments, bench: &mut Bench, report: &mut Report) -> Result<()> {
    if arguments.report {
        let extent = if arguments.quick { complete::QUICK } else { complete::WHOLE };
        return bench.everything(&extent, report).await;
    }
    if !arguments.against.is_empty() {
        return compare(arguments, bench, report).await;
    }
    if let Some(letters) = arguments.dead_letters {
        let letters = usize::try_from(letters)?;
        dead_letters::measure(&bench.servers, &bench.plan, letters).await?;
        report.rates = dead_letters::beside_work(bench, letters, arguments.seconds).await?;
        return Ok(());
    }
    let asked = parts(arguments, bench, report).await?
        || !arguments.rate.is_empty()
        || arguments.backlog.is_some()
        || arguments.idle
        || arguments.flash
        || arguments.overload.is_some()
        || arguments.waiting.is_some();
    if arguments.all || !asked {
        if arguments.only != Some(Only::Plain) {
            report.throughput.push(bench.throughput("parcels and batches", "batched", arguments.orders).await?);
        }
        if arguments.only != Some(Only::Batched) {
            let orders = arguments.plain_orders;
            let plain = bench.with_settings(batches_of(1), async |bench| {
                bench.throughput("one event per message and transaction", "plain", orders).await
            });
            report.throughput.push(plain.await?);
        }
        if let [batched, plain] = report.throughput.as_slice() {
            report.ratio = Some(batched.end_to_end_per_second / plain.end_to_end_per_second);
        }
    }
    if arguments.only == Some(Only::Plain) {
        for setting in batches_of(1) {
            bench.plan.settings.push(setting.parse().map_err(anyhow::Error::msg)?);
        }
    }
    let rates = if arguments.all && arguments.rate.is_empty() {
        vec![20.0, 500.0, 2_000.0, 4_000.0]
    } else {
        arguments.rate.clone()
    };
    if !rates.is_empty() {
        report.rates = bench.rates(&rates, arguments.seconds).await?;
    }
    if let Some(orders) = arguments.backlog.or(arguments.all.then_some(200_000)) {
        report.backlog = Some(bench.backlog(orders, false).await?);
    }
    if let Some(cap) = arguments.overload.or(arguments.all.then_some(1_250.0)) {
        report.overload = Some(bench.overload(cap, arguments.seconds).await?);
    }
    if let Some(orders) = arguments.waiting.or(arguments.all.then_some(100_000)) {
        for wiped in [false, true] {
            report.waiting.push(bench.waiting(orders, wiped).await?);
        }
    }
    if arguments.flash || arguments.all {
        report.flash = bench.flashes(arguments.rounds).await?;
    }
    if arguments.idle || arguments.all {
        report.idle = Some(bench.idle().await?);
    }
    Ok(())
}

/// The parts that are only measured when they are asked for; whether any was.
async fn parts(arguments: &Arguments, bench: &mut Bench, report: &mut Report) -> Result<bool> {
    let Arguments { orders, rounds, .. } = *arguments;
    if arguments.floor {
        report.versus.push(bench.versus(!arguments.unauthenticated, orders, rounds).await?);
    }
    if !arguments.batches.is_empty() {
        report.curves.push(bench.batches(&arguments.batches, orders).await?);
    }
    if !arguments.workers.is_empty() {
        report.curves.push(bench.workers(&arguments.workers, orders, rounds).await?);
    }
    if !arguments.history.is_empty() {
        report.curves.push(bench.history(&arguments.history, orders, rounds).await?);
    }
    if !arguments.backlogs.is_empty() {
        report.curves.push(bench.backlogs(&arguments.backlogs, rounds).await?);
    }
    Ok(!report.versus.is_empty() || !report.curves.is_empty())
}

/// The machine is not the same from one minute to the next: only runs that lie side by side are compared.
async fn compare(arguments: &Arguments, bench: &mut Bench, report: &mut Report) -> Result<()> {
    let ours = bench.plan.settings.len();
    for round in 1..=arguments.rounds {
        let as_it_is = bench.throughput("as it is", &format!("a{round}"), arguments.orders).await?;
        bench.plan.settings.extend(arguments.against.iter().cloned());
        let other = bench.throughput("with the setting", &format!("b{round}"), arguments.orders).await;
        bench.plan.settings.truncate(ours);
        let other = other?;
        report.shares.push(as_it_is.end_to_end_per_second / other.end_to_end_per_second);
        report.throughput.extend([as_it_is, other]);
    }
    Ok(())
}

async fn machine(bench: &Bench) -> Result<Vec<String>> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        found.map_or("?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let (cpuinfo, meminfo, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    let model = after(&cpuinfo, "model name");
    let load = load.split(' ').next().unwrap_or("?");
    let memory = after(&meminfo, "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) * 1024.0 / 1e9;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    ensure!(!cpuinfo.is_empty(), "this program reads /proc, which only Linux has");
    let git = ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"];
    let commit = std::process::Command::new("git").args(git).output().ok().filter(|output| output.status.success());
    let commit = commit.map_or("?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Ok(vec![
        format!("{processors} processors ({model}), {memory:.1} GB of memory, load average {load} at the start"),
        format!("Linux {} · Conveyor {commit}", read("/proc/sys/kernel/osrelease").trim()),
        bench.servers.describe().await?,
    ])
}

/// Returns on the first signal that asks to end.
async fn interrupted() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let heard = kinds.map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => signal.recv().await,
                Err(_) => std::future::pending().await,
            }
        })
    });
    futures_util::future::select_all(heard).await;
}

/// The services log warnings and worse: kept, and named, when there are any.
fn keep_complaints(logs: &Path) -> Result<()> {
    match line::complaints(logs) {
        0 => fs::remove_dir_all(logs)?,
        lines => eprintln!("bench: the services logged {lines} warnings or errors: {}", logs.display()),
    }
    Ok(())
}
