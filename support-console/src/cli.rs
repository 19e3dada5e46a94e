//! The command line: everything that the pages do, for people and scripts. It is a client of the JSON API, so whoever
//! works with it is known, limited and noted exactly as on the pages; only `account` goes to the database.

mod account;
mod arguments;
mod client;
mod orders;
mod outcome;
mod runs;
mod show;
mod table;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use serde_json::json;

use self::{
    arguments::{Arguments, Command},
    client::Client,
    outcome::{Answer, Outcome, Trouble},
};

/// Reads the command line and does what it says. `None` where that is to run the service.
#[must_use]
pub fn run() -> Option<ExitCode> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // To say what it can do is no failure.
            let code = if error.use_stderr() { outcome::USAGE } else { outcome::DONE };
            let _ = error.print();
            return Some(ExitCode::from(code));
        }
    };
    let command = match arguments.command {
        None | Some(Command::Serve) => return None,
        Some(command) => command,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("support-console: {error}");
            return Some(ExitCode::from(outcome::FAILED));
        }
    };
    let json = arguments.json;
    let done = runtime.block_on(async {
        if let Command::Account(command) = command {
            return account::run(command, json).await;
        }
        let client = Client::new(arguments.url.as_deref(), arguments.token_file.as_deref())?;
        carry_out(&client, command, json).await
    });
    Some(match done {
        Ok(Outcome { text, code }) => match write(&text) {
            Ok(()) => ExitCode::from(code),
            Err(error) => {
                eprintln!("support-console: {error}");
                ExitCode::from(outcome::FAILED)
            }
        },
        Err(trouble) => {
            if json && let Some(said) = &trouble.said {
                let _ = write(&format!("{said}\n"));
            }
            eprintln!("support-console: {}", trouble.message);
            ExitCode::from(trouble.code)
        }
    })
}

async fn carry_out(client: &Client, command: Command, json: bool) -> Result<Outcome, Trouble> {
    let (answer, show): (Answer, fn(&Answer) -> String) = match command {
        Command::Serve | Command::Account(_) => return Err(Trouble::usage("this is not asked of the console")),
        Command::Whoami => (client.get("/whoami", &[]).await?, show::whoami),
        Command::List { queue, all } => {
            let settled = all.then(|| "true".to_owned());
            (client.get("/groups", &[("queue", queue), ("settled", settled)]).await?, show::groups)
        }
        Command::Search { query, limit, after } => {
            let query = Some(query.join(" "));
            let limit = Some(limit.to_string());
            (client.get("/letters", &[("q", query), ("limit", limit), ("after", after)]).await?, show::letters)
        }
        Command::Show { letter, body: true } => {
            let bytes = client.bytes(&format!("/letters/{letter}/body")).await?;
            return raw(&bytes);
        }
        Command::Show { letter, body: false } => (client.get(&format!("/letters/{letter}"), &[]).await?, show::letter),
        Command::Edit(edit) => (runs::edit(client, edit).await?, show::edited),
        Command::TakeBack { letter } => {
            (client.post(&format!("/letters/{letter}/take-back"), &json!({})).await?, show::message)
        }
        Command::Retry(retry) => return runs::retry(client, retry, json).await,
        Command::Discard(discard) => return runs::discard(client, discard, json).await,
        Command::Restore(restore) => return runs::restore(client, restore, json).await,
        Command::Runs(command) => return runs::runs(client, command, json).await,
        Command::Audit { account, letter, run, limit, before } => {
            let wanted = [
                ("account", account),
                ("letter", letter.map(|id| id.to_string())),
                ("run", run.map(|id| id.to_string())),
                ("limit", Some(limit.to_string())),
                ("before", before),
            ];
            (client.get("/audit", &wanted).await?, show::audit)
        }
        Command::Board => (client.get("/board", &[]).await?, show::board),
        Command::Order(command) => return orders::run(client, command, json).await,
    };
    Ok(Outcome::done(&answer, show, json))
}

/// The bytes of a body go to a file or a pipe as they are; a terminal is not given what could steer it.
fn raw(bytes: &[u8]) -> Result<Outcome, Trouble> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        let text = String::from_utf8_lossy(bytes);
        let harmless: String =
            text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
        return Ok(Outcome { text: harmless + "\n", code: outcome::DONE });
    }
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Trouble::failed(&error.to_string())),
        _ => Ok(Outcome { text: String::new(), code: outcome::DONE }),
    }
}

/// Whoever reads may have read enough: that is no error.
fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Asks before something that is done to many. A script says `--yes`.
fn confirm(question: &str, yes: bool) -> Result<(), Trouble> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Trouble::usage(&format!("{question} Nobody is there to ask: say --yes if it is meant so")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Trouble::failed(&error.to_string()))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Trouble::failed("nothing was done")) }
}
