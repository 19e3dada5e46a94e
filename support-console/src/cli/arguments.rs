//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use uuid::Uuid;

/// Finds, mends and sends again what could not go through.
#[derive(Parser)]
#[command(
    name = "support-console",
    version,
    after_long_help = AFTER,
    after_help = "`support-console --help` says where it finds the console, and what its exit codes mean."
)]
pub(super) struct Arguments {
    /// Where the console is, such as http://127.0.0.1:8084 (or CONVEYOR_SUPPORT_URL)
    #[arg(long, global = true)]
    pub url: Option<String>,
    /// A file that holds the token, and nothing else (or CONVEYOR_SUPPORT_TOKEN, which holds the token itself)
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON, as the console answers it
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
Without a command it runs the service: the web pages and the API that the other commands ask.

A message that was given up is a letter; letters that failed alike are a group; what is done to letters is a run. A usual
way to set something right:

  support-console list                              what failed, and how often
  support-console search 'queue:payment.charge'     the letters themselves
  support-console show LETTER                       why one failed, its body, what was done before
  support-console edit LETTER                       in your editor ($EDITOR)
  support-console retry LETTER --wait               and hear whether it went through
  support-console retry --group GROUP --wait        one, then ten, then the rest; it stops when one fails

Where the console is, and who you are:
  CONVEYOR_SUPPORT_URL     such as http://127.0.0.1:8084, which is also where it is looked for otherwise
  CONVEYOR_SUPPORT_TOKEN   your token; `support-console account token NAME` makes one. It is in .local/conveyor.env after
                           `cargo xtask up`:  set -a; . .local/conveyor.env; set +a
  ~/.config/conveyor/support.env   the same two as KEY=value lines, for when they are not in the environment

`account` works on the database itself and needs the service's configuration, above all CONVEYOR__DATABASE__URL.

Exit codes:
  0  done
  1  refused, or it failed; with --wait: not every letter went through
  2  the command line, or a search, cannot be understood
  3  there is no such thing
  4  your token is not known, or your role does not allow it
  5  the console, or what it needs, cannot be reached
  64 (service) the configuration is not right";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run the service; the same as no command at all
    Serve,
    /// Groups of letters that failed alike, the latest first
    List {
        /// Only of this queue, such as payment.charge
        #[arg(long)]
        queue: Option<String>,
        /// Those as well of which nothing waits any more
        #[arg(long)]
        all: bool,
    },
    /// Letters, the newest first
    #[command(after_help = "\
A search, such as:  queue:payment.charge AND (reason:\"timed out\" OR user:123456) AND after:2026-11-01
Fields: queue, type, reason, order, user, product, state, group, before, after and more; see the pages' help on searching.")]
    Search {
        /// What to search for; nothing finds everything
        query: Vec<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// Go on where a page ended
        #[arg(long, value_name = "NEXT")]
        after: Option<String>,
    },
    /// Everything there is about a letter
    Show {
        letter: Uuid,
        /// Only the bytes of its body, as they are
        #[arg(long)]
        body: bool,
    },
    /// Send letters again, carefully: one, then ten, then the rest, and stop when one fails
    Retry(Retry),
    /// What was done with letters, and how it goes
    Runs(Runs),
    /// Change what a letter would send; the original is kept
    Edit(Edit),
    /// Put letters away, because nothing is to be done about them
    Discard(Discard),
    /// Take letters out again that were put away
    Restore(Restore),
    /// Take a letter back from a retry of which there is no word
    TakeBack { letter: Uuid },
    /// Who did what, the newest first
    Audit {
        /// Only what this account did
        #[arg(long)]
        account: Option<String>,
        /// Only what was done to this letter
        #[arg(long)]
        letter: Option<Uuid>,
        /// Only what belongs to this run
        #[arg(long)]
        run: Option<Uuid>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Go on where a page ended
        #[arg(long, value_name = "NEXT")]
        before: Option<String>,
    },
    /// The line as it is now: queues, delays, outboxes, services
    Board,
    /// Orders: their timeline, payments and notices; what is owed; calling them off, noting what was paid back by hand
    #[command(subcommand)]
    Order(Order),
    /// Whose token this is, and what they may do
    Whoami,
    /// Accounts and tokens of staff; works on the database itself
    #[command(subcommand)]
    Account(Account),
}

/// Exactly the letters that there are when it is asked; what comes later is left alone.
#[derive(Args)]
pub(super) struct Which {
    #[command(flatten)]
    pub of: Of,
    /// The version of the one letter that you have seen; nothing is done if it is another by now
    #[arg(long, requires = "letter")]
    pub version: Option<i32>,
}

/// Which letters.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Of {
    /// One letter
    pub letter: Option<Uuid>,
    /// Those of a group
    #[arg(long)]
    pub group: Option<Uuid>,
    /// Those that a search finds
    #[arg(long)]
    pub query: Option<String>,
}

/// What to do after it has begun.
#[derive(Args)]
pub(super) struct After {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show how it goes until it is over. Ctrl-C ends the showing, not the run
    #[arg(long)]
    pub wait: bool,
}

#[derive(Args)]
pub(super) struct Retry {
    #[command(flatten)]
    pub which: Which,
    /// How many the first steps take, with commas; the rest is the last step
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10], conflicts_with = "at_once")]
    pub steps: Vec<u32>,
    /// No steps: all of them, however many fail
    #[arg(long)]
    pub at_once: bool,
    /// Letters a second in the last step; 0 for as fast as it goes
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
    /// How many may fail in a step before it stops by itself
    #[arg(long, default_value_t = 0, conflicts_with = "at_once")]
    pub tolerate: u32,
    /// Only say which and how many it would be
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub after: After,
}

#[derive(Args)]
pub(super) struct Discard {
    #[command(flatten)]
    pub which: Which,
    /// Why nothing is to be done about them
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub after: After,
}

#[derive(Args)]
pub(super) struct Restore {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub after: After,
}

#[derive(Args)]
pub(super) struct Edit {
    pub letter: Uuid,
    /// The new body, from a file, or - for standard input; without this and --headers, your editor opens
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// The new headers, a JSON object, from a file
    #[arg(long, value_name = "FILE")]
    pub headers: Option<PathBuf>,
    /// The version that you have seen; the edit is refused if the letter is another by now
    #[arg(long)]
    pub version: Option<i32>,
}

#[derive(Args)]
pub(super) struct Runs {
    /// Go on after this run
    #[arg(long, value_name = "RUN")]
    pub before: Option<Uuid>,
    #[command(subcommand)]
    pub command: Option<OneRun>,
}

#[derive(Subcommand)]
pub(super) enum OneRun {
    /// How a run goes, and what failed in it
    Show {
        run: Uuid,
        /// Until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Stop for now
    Pause { run: Uuid },
    /// Go on with one that is paused, or that stopped by itself
    Resume { run: Uuid },
    /// End it; what was sent is on its way
    Cancel { run: Uuid },
}

#[derive(Subcommand)]
pub(super) enum Order {
    /// An order's timeline, payments and notices
    Show { order: String },
    /// Orders, the newest first
    List {
        /// Only this customer's
        #[arg(long)]
        user: Option<String>,
        /// Only those that stand so, such as awaiting_payment
        #[arg(long)]
        status: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        /// Go on where a page ended
        #[arg(long, value_name = "NEXT")]
        cursor: Option<String>,
    },
    /// Note that you have paid a customer back, in another way, what the gateway refuses for good to give back
    #[command(after_help = "\
An order that is off counts as refunded then, and its customer is told; one that another payment has paid stays paid.
`order show` says what is owed. The same again changes nothing.")]
    PaidBack {
        order: String,
        /// By what it can be found, such as the number of the bank transfer
        #[arg(long)]
        note: String,
        /// Which payment, where the order has several of that kind
        #[arg(long, value_name = "TXN")]
        transaction: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Call an order off; goods and money go back
    Cancel {
        order: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// A password is read from standard input, or asked for at a terminal; it is never an argument.
#[derive(Subcommand)]
pub(super) enum Account {
    /// Make an account; its password is read from standard input
    Add {
        /// Letters, digits, `.`, `_` and `-`
        name: String,
        /// reader (looks), operator (retries, edits, discards, cancels orders, notes what was paid back) or admin (also sees addresses whole)
        #[arg(long)]
        role: String,
        /// Without a password: for programs, which use a token
        #[arg(long)]
        no_password: bool,
    },
    /// Give an account another password; everybody who is logged in with the old one is logged out
    Password { name: String },
    /// Give an account another role
    Role { name: String, role: String },
    /// Let nobody in by this account any more
    Disable { name: String },
    /// Let them in again
    Enable { name: String },
    /// All accounts
    List,
    /// Make a token for programs such as this one; it is shown once
    Token {
        name: String,
        /// What it is for
        #[arg(long, default_value = "command line")]
        label: String,
        /// How long it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// The tokens of an account, not what they are
    Tokens { name: String },
    /// Let nobody in by this token any more
    Revoke { name: String, token: Uuid },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_one() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn which_letters_is_said_once() {
        let parse =
            |line: &str| Arguments::try_parse_from(line.split(' ')).map(|_| ()).map_err(|error| error.to_string());
        let id = Uuid::nil();
        assert!(parse(&format!("support-console retry {id} --wait --yes --json")).is_ok());
        assert!(parse(&format!("support-console retry --group {id} --steps 1,10,100 --rate 50")).is_ok());
        assert!(parse("support-console search queue:x AND user:1 --limit 5").is_ok());
        for wrong in [
            "support-console retry".to_owned(),
            format!("support-console retry {id} --group {id}"),
            format!("support-console discard {id}"),
            format!("support-console retry {id} --at-once --tolerate 1"),
            "support-console retry nonsense".to_owned(),
            "support-console nonsense".to_owned(),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }
}
