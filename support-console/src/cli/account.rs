//! `account …`: made and changed in the database, by whoever runs the service. Each change is in the audit log.

use std::{
    io::{self, IsTerminal as _, Read as _},
    process::Command,
};

use common::{
    config::{self, Settings},
    db::{Db, DbError},
};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroize as _};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{
    arguments::Account,
    outcome::{Answer, NOT_FOUND, Outcome, Trouble},
    show,
    table::Table,
};
use crate::{
    ABOUT, By, Role, Support,
    people::{self, AccountName, PeopleError},
};

/// No password is longer.
const MOST_READ: u64 = 4 * 1024;

pub(super) async fn run(command: Account, json: bool) -> Result<Outcome, Trouble> {
    let Settings { common, .. } =
        config::load::<Support>(ABOUT.section).map_err(|error| Trouble::usage(&error.to_string()))?;
    let db = Db::new(&common.database, "support-console account", ABOUT.schema);
    let db = db.map_err(|error| Trouble::usage(&error.to_string()))?;
    let by = whoever();
    let (answer, show): (Value, fn(&Answer) -> String) = match command {
        Account::Add { name, role, no_password } => {
            let (name, role) = (named(&name)?, role_of(&role)?);
            let password = if no_password { None } else { Some(password()?) };
            people::create(&db, &by, &name, role, password.as_ref()).await.map_err(trouble)?;
            said(&format!("{name} is {role} now"))
        }
        Account::Password { name } => {
            let name = named(&name)?;
            people::set_password(&db, &by, &name, &password()?, None).await.map_err(trouble)?;
            said(&format!("{name} has another password; every session has ended"))
        }
        Account::Role { name, role } => {
            let (name, role) = (named(&name)?, role_of(&role)?);
            people::set_role(&db, &by, &name, role).await.map_err(trouble)?;
            said(&format!("{name} is {role} now"))
        }
        Account::Disable { name } => {
            let name = named(&name)?;
            people::disable(&db, &by, &name).await.map_err(trouble)?;
            said(&format!("{name} is disabled"))
        }
        Account::Enable { name } => {
            let name = named(&name)?;
            people::enable(&db, &by, &name).await.map_err(trouble)?;
            said(&format!("{name} is enabled"))
        }
        Account::List => (accounts(&db).await?, show_accounts),
        Account::Token { name, label, days } => {
            let name = named(&name)?;
            let token = people::mint_token(&db, (&by, By::Cli), &name, &label, days).await.map_err(trouble)?;
            // Nothing but the token goes to standard output, so that `$(…)` is the token.
            (json!({"token": token.expose_secret()}), |answer| format!("{}\n", show::text(&answer["token"])))
        }
        Account::Tokens { name } => (tokens(&db, &named(&name)?).await?, show_tokens),
        Account::Revoke { name, token } => {
            people::revoke_token(&db, (&by, By::Cli), &named(&name)?, token).await.map_err(trouble)?;
            said("the token is good for nothing now")
        }
    };
    Ok(Outcome::done(&answer.into(), show, json))
}

fn said(message: &str) -> (Value, fn(&Answer) -> String) {
    (json!({"message": message}), show::message)
}

async fn accounts(db: &Db) -> Result<Value, Trouble> {
    let accounts = people::list(db).await.map_err(trouble)?;
    let lines: Vec<Value> = accounts
        .into_iter()
        .map(|account| {
            let used = account.used_at.and_then(|at| at.format(&Rfc3339).ok());
            json!({
                "name": account.name, "role": account.role, "disabled": account.disabled,
                "hasPassword": account.has_password, "sessions": account.sessions, "tokens": account.tokens,
                "createdAt": account.created_at.format(&Rfc3339).ok(), "usedAt": used,
            })
        })
        .collect();
    Ok(json!({"accounts": lines}))
}

fn show_accounts(answer: &Answer) -> String {
    let mut table = Table::new(&["NAME", "ROLE", "SESSIONS", "TOKENS", "LAST USED", ""]);
    for account in answer["accounts"].as_array().into_iter().flatten() {
        let note = match (account["disabled"] == true, account["hasPassword"] == true) {
            (true, _) => "disabled",
            (false, false) => "without a password",
            (false, true) => "",
        };
        table.add([
            show::text(&account["name"]),
            show::text(&account["role"]),
            show::text(&account["sessions"]),
            show::text(&account["tokens"]),
            show::moment(&account["usedAt"]),
            note.to_owned(),
        ]);
    }
    table.text()
}

async fn tokens(db: &Db, name: &AccountName) -> Result<Value, Trouble> {
    let tokens = people::tokens(db, name).await.map_err(trouble)?;
    let lines: Vec<Value> = tokens
        .into_iter()
        .map(|token| {
            json!({
                "id": token.id, "label": token.label, "createdAt": token.created_at.format(&Rfc3339).ok(),
                "usedAt": token.used_at.and_then(|at| at.format(&Rfc3339).ok()),
                "expiresAt": token.expires_at.format(&Rfc3339).ok(),
            })
        })
        .collect();
    Ok(json!({"tokens": lines}))
}

fn show_tokens(answer: &Answer) -> String {
    let mut table = Table::new(&["TOKEN", "LABEL", "MADE", "LAST USED", "GOOD UNTIL"]);
    for token in answer["tokens"].as_array().into_iter().flatten() {
        table.add([
            show::text(&token["id"]),
            show::text(&token["label"]),
            show::moment(&token["createdAt"]),
            show::moment(&token["usedAt"]),
            show::moment(&token["expiresAt"]),
        ]);
    }
    table.text()
}

fn named(name: &str) -> Result<AccountName, Trouble> {
    name.parse().map_err(|error: PeopleError| Trouble::usage(&error.to_string()))
}

fn role_of(role: &str) -> Result<Role, Trouble> {
    role.parse().map_err(|error: String| Trouble::usage(&error))
}

fn trouble(error: PeopleError) -> Trouble {
    match error {
        PeopleError::Db(DbError::Outage(why)) => Trouble::away(&format!("the database is away: {why}")),
        PeopleError::Unknown | PeopleError::UnknownToken => {
            Trouble { code: NOT_FOUND, ..Trouble::failed(&error.to_string()) }
        }
        error => Trouble::failed(&error.to_string()),
    }
}

/// Who does it, as the audit log shall say: the user of this machine.
fn whoever() -> String {
    let user = Command::new("id").arg("-un").output().ok().filter(|output| output.status.success());
    let user = user.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("shell:{}", user.filter(|user| !user.is_empty()).unwrap_or_else(|| "somebody".to_owned()))
}

/// From standard input; at a terminal it is asked for twice, and not shown.
fn password() -> Result<SecretString, Trouble> {
    let failed = |error: io::Error| Trouble::failed(&format!("the password cannot be read: {error}"));
    if !io::stdin().is_terminal() {
        let mut text = String::new();
        io::stdin().lock().take(MOST_READ).read_to_string(&mut text).map_err(failed)?;
        let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
        text.zeroize();
        return Ok(password);
    }
    let first = unseen("Password: ").map_err(failed)?;
    let second = unseen("Once more: ").map_err(failed)?;
    if first.expose_secret() == second.expose_secret() {
        Ok(first)
    } else {
        Err(Trouble::usage("these were not the same"))
    }
}

fn unseen(question: &str) -> io::Result<SecretString> {
    eprint!("{question}");
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &quiet)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &before)?;
    eprintln!();
    read?;
    let password = SecretString::from(line.trim_end_matches(['\r', '\n']));
    line.zeroize();
    Ok(password)
}
