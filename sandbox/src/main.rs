//! `sandbox`: the outside world for development. `sandbox --help` says what can be set.

use std::{io::Write as _, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use sandbox::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// The outside world, simulated: a payment gateway, an SMTP server, an SMS provider
///
/// Nothing leaves this program: charges go to a ledger, mails and SMS to an inbox, both with a page to look at
/// them. What a card does is decided by its number (the page /cards lists them). Everything is kept in memory, and
/// forgotten when it ends. Anybody who reaches it can read it all: it listens on loopback unless told otherwise.
#[derive(Parser)]
#[command(name = "sandbox", verbatim_doc_comment)]
struct Arguments {
    /// Where gateway, SMS provider and pages listen; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    http: SocketAddr,
    /// Where the mail server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8025")]
    smtp: SocketAddr,
    /// What requests to gateway and SMS provider carry: Authorization: Bearer KEY
    #[arg(long, value_name = "KEY", default_value = "sandbox-key")]
    api_key: String,
    /// What callbacks are signed with
    #[arg(long, value_name = "SECRET", default_value = "sandbox-callback-secret")]
    callback_secret: String,
    /// The day on which cards are looked at [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    today: Option<(i32, u8)>,
    /// How long `processing` lasts
    #[arg(long, value_name = "MS", default_value_t = 300)]
    processing_ms: u64,
    /// How long before a callback that was not heard is sent again; doubles each time
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    callback_backoff_ms: u64,
    /// How likely a callback is sent once more than it should be
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = likelihood)]
    duplicate_callbacks: f64,
    /// How likely a callback is held back for up to a second, so that others overtake it
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = likelihood)]
    reorder_callbacks: f64,
    /// Decides, together with a charge's key, which callbacks these are
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many charges are remembered one by one; the oldest go
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    keep_charges: usize,
    /// How many mails, and how many SMS, are remembered; the oldest go
    #[arg(long, value_name = "COUNT", default_value_t = 50_000)]
    keep_messages: usize,
}

fn day(text: &str) -> Result<(i32, u8), String> {
    let mut parts = text.split('-');
    let year = parts.next().and_then(|year| year.parse().ok()).filter(|year| (2000..=2099).contains(year));
    let month = parts.next().and_then(|month| month.parse().ok()).filter(|month| (1..=12).contains(month));
    let day = parts.next().and_then(|day| day.parse::<u8>().ok()).filter(|day| (1..=31).contains(day));
    match (year, month, day, parts.next()) {
        (Some(year), Some(month), Some(_), None) => Ok((year, month)),
        _ => Err("not a day such as 2025-06-01".to_owned()),
    }
}

fn likelihood(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| "not a number from 0 to 1".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    // Before the ports are open: whoever sees them may ask it to end.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = sandbox::start(Settings {
        http: arguments.http,
        smtp: arguments.smtp,
        api_key: arguments.api_key,
        callback_secret: arguments.callback_secret,
        today: arguments.today,
        processing: Duration::from_millis(arguments.processing_ms),
        callback_backoff: Duration::from_millis(arguments.callback_backoff_ms),
        duplicate_callbacks: arguments.duplicate_callbacks,
        reorder_callbacks: arguments.reorder_callbacks,
        seed: arguments.seed,
        keep_charges: arguments.keep_charges,
        keep_messages: arguments.keep_messages,
    })
    .await?;
    // Whoever started it with port 0 learns here what it has become.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "http=http://{}\nsmtp=smtp://{}", running.http, running.smtp).and_then(|()| out.flush());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}
