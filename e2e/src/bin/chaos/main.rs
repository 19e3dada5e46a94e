//! Everything goes wrong, for minutes on end, while customers and staff go about their business; then it is seen whether
//! anything was lost, doubled or forgotten. `cargo xtask chaos` builds and starts it.
//!
//! - `plan`: what goes wrong and when, from a seed. Pure.
//! - `world`: servers, services, the ways between them, the outside world.
//! - `nemesis`: carries the plan out. `echo`: says again what was published.
//! - `load`: customers and staff, and what they were promised.
//! - `verdict`: everything is at rest; what was promised, and what is there.
#![expect(clippy::expect_used, reason = "like its harness, it fails by panicking")]
#![expect(unreachable_pub, reason = "a program has no outside; `pub` says what a module offers its neighbours")]

mod echo;
mod load;
mod nemesis;
mod plan;
mod verdict;
mod world;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::{Parser, builder::PossibleValuesParser};
use common::{broker::topology::WORK_QUEUES, crash::MISTAKES};
use e2e::{Proxy, books};
use futures_util::future::join_all;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval, sleep},
};

use crate::{
    echo::Echo,
    load::{FLASH_EVERY, Shop},
    nemesis::Nemesis,
    plan::{Lane, plan},
    verdict::Verdict,
    world::World,
};

/// Lets everything go wrong, and says what came of it
///
/// Starts a PostgreSQL, a cluster of three RabbitMQ nodes, two processes of every service, the console and the sandbox;
/// sends orders; and meanwhile kills, stalls, cuts, slows, fills and repeats, as the seed decides. Then it lets
/// everything settle and compares what customers were promised with orders, stock, payments, the gateway's books and
/// the mails. Fails if anything is lost, unexpected, doubled or unsettled.
#[derive(Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// How long things go wrong; settling comes on top
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,
    /// Decides what goes wrong, when and for how long
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders a second, flash sales come on top
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// Has every process make a mistake that would be a disaster, such as "ack before commit": then this must fail
    #[arg(long, value_parser = PossibleValuesParser::new(MISTAKES.map(|(_, name)| name)))]
    mistake: Option<String>,
    /// Looks after no order that has come to a stop, so that nothing makes up for a message that is lost on the way; all
    /// customers have a card that is good
    #[arg(long)]
    once: bool,
    /// Only say what would go wrong, the first of it
    #[arg(long)]
    plan: bool,
    /// Where the logs of all processes go if something is not as it must be
    #[arg(long, value_name = "FOLDER", default_value = "chaos-logs")]
    logs: PathBuf,
}

fn minutes(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|it| (0.1..=600.0).contains(it)).ok_or_else(|| "not a number from 0.1 to 600".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|it| (0.1..=1_000.0).contains(it))
        .ok_or_else(|| "not a number from 0.1 to 1000".to_owned())
}

/// One line, and when.
fn say(began: Instant, what: &str) {
    let seconds = began.elapsed().as_secs();
    println!("{:02}:{:02}  {what}", seconds / 60, seconds % 60);
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.plan {
        for lane in [Lane::Servers, Lane::Processes] {
            println!("{lane:?}");
            for planned in plan(arguments.seed, lane).iter().take(100) {
                println!(
                    "  after {:>4.1} s, for {:>4.1} s: {}",
                    planned.after.as_secs_f64(),
                    planned.lasts.as_secs_f64(),
                    planned.fault
                );
            }
        }
        return ExitCode::SUCCESS;
    }
    tokio::select! {
        is_good = run(&arguments) => if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        () = interrupted() => ExitCode::FAILURE,
    }
}

async fn run(arguments: &Arguments) -> bool {
    let Arguments { minutes, seed, rate, once, .. } = *arguments;
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    let sales = (lasts.as_secs() / FLASH_EVERY.as_secs() + 2) as usize;
    println!("chaos for {minutes} minutes, seed {seed}, {rate} orders a second");
    println!("starting PostgreSQL, {} nodes of RabbitMQ and all services", plan::NODES);
    let world = Arc::new(World::make(seed, sales, once, arguments.mistake.as_deref()).await);
    let before = books::stock(&world.database).await;
    let shop = Shop::new(Arc::clone(&world));
    // Whichever node answers.
    let nodes = Proxy::among(join_all(world.nodes.iter().map(async |node| node.lock().await.address())).await).await;
    let (echo, listening) = Echo::start(world.vhost.url_through(&nodes.address()));
    let (began, end) = (Instant::now(), Instant::now() + lasts);
    let nemesis = Nemesis { world: &world, echo: &echo, began, done: Mutex::default(), wrong: Mutex::default() };
    let mut trading = tokio::spawn(Arc::clone(&shop).open(rate, seed, end));
    let mut babbled = 0;
    let mut ended = Vec::new();
    {
        let faults = async {
            tokio::join!(nemesis.follow(seed, Lane::Servers, end), nemesis.follow(seed, Lane::Processes, end))
        };
        let watching = async {
            let mut seconds = interval(Duration::from_secs(1));
            for second in 0_u64.. {
                seconds.tick().await;
                ended.extend(world.revive().await);
                if second % 15 == 14 {
                    shop.mend().await;
                }
                if second % 30 == 29 {
                    babbled += 1;
                    let queue = WORK_QUEUES[babbled % WORK_QUEUES.len()].name;
                    echo.babble(queue, format!("nobody can read this: {babbled}"));
                }
            }
        };
        tokio::select! {
            _ = faults => {}
            () = watching => {}
        }
    }
    tokio::time::sleep_until(end).await;
    say(began, "no more faults; everything is there again");
    let mended = Instant::now();
    world.until_ready().await;
    // What was to be repeated is said by now.
    sleep(Duration::from_secs(5)).await;
    listening.abort();
    // The last customers get their answers, or give up.
    let patience = Duration::from_secs(120);
    match tokio::time::timeout(patience, &mut trading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ended.push(format!("trade has ended before its time: {error}")),
        Err(_) => {
            trading.abort();
            ended.push(format!("customers had no answer {} s after the last fault", patience.as_secs()));
        }
    }
    let outage = shop.longest_outage();
    let mut verdict = verdict::reach(&world, &shop, &before, babbled, [began, mended]).await;
    ended.extend(world.revive().await);
    verdict.wrong.extend(ended);
    verdict.wrong.extend(nemesis.wrong.into_inner().unwrap_or_default());
    if echo.said() == 0 {
        verdict.wrong.push("nothing was ever delivered twice, or out of order".to_owned());
    }
    let done = nemesis.done.into_inner().unwrap_or_default();
    report(&verdict, &done, outage, began);
    if !verdict.is_good() {
        world.write_logs(&arguments.logs).await;
        println!("the logs are in {}", arguments.logs.display());
    }
    verdict.is_good()
}

fn report(verdict: &Verdict, done: &[&str], outage: Duration, began: Instant) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in done {
        *kinds.entry(kind).or_default() += 1;
    }
    println!("\n{} faults of {} kinds in {:.0} s", done.len(), kinds.len(), began.elapsed().as_secs_f64());
    for (kind, count) in &kinds {
        println!("  {count:>4}  {kind}");
    }
    let settled = verdict.settled_after.map_or("never".to_owned(), |it| format!("{:.1} s", it.as_secs_f64()));
    let doubled = verdict.books.wrong.len();
    let Verdict { attempted, acknowledged, refused, recovered, books, .. } = verdict;
    println!("\norders");
    println!("  {attempted:>7}  attempted\n  {acknowledged:>7}  acknowledged\n  {refused:>7}  refused, and not made");
    println!("  {:>7}  lost\n  {:>7}  unexpected", verdict.lost.len(), verdict.unexpected.len());
    println!("  {recovered:>7}  recovered: acknowledged when asked again, after the first answer was lost");
    println!("  {doubled:>7}  doubled, missing or untrue effects: stock, money, mails");
    println!("  {:>7}  mails repeated under the same Message-ID", books.mails_repeated);
    for (outcome, count) in &books.outcomes {
        println!("  {count:>7}  {outcome}");
    }
    println!(
        "\nmoney: captured {} in {}, given back {}, declined {}; {} refunds refused by the gateway, each a dead letter",
        books.captured.0,
        books.captured.1,
        books.given_back,
        books.declined,
        books.refused.len()
    );
    println!("longest time without an order being acknowledged to anybody: {:.1} s", outage.as_secs_f64());
    println!("settled {settled} after the last fault was over");
    let wrong = [&verdict.lost, &verdict.unexpected, &books.wrong, &verdict.wrong];
    for what in wrong.into_iter().flatten() {
        println!("WRONG: {what}");
    }
    println!("\n{}", if verdict.is_good() { "All is well." } else { "Not all is well." });
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
