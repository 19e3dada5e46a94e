//! Demo staff for the console: an account for each role, and a token for the command line.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::project::{self, Variables};
use crate::say;
use crate::services::{CONSOLE, Needs, Service};
use crate::site::Site;

/// The accounts, named after what they may do.
const ROLES: [&str; 3] = ["reader", "operator", "admin"];
/// What the command line works with: an operator's.
const TOKEN: &str = "CONVEYOR_SUPPORT_TOKEN";
const URL: &str = "CONVEYOR_SUPPORT_URL";

fn password_key(role: &str) -> String {
    format!("CONVEYOR_SUPPORT_{}_PASSWORD", role.to_uppercase())
}

/// What is known of them, to be kept with everything else that is known.
pub fn variables(known: &Variables, console: &Service) -> Result<Variables> {
    let mut variables = Variables::new();
    variables.insert(URL.to_owned(), console.url());
    for role in ROLES {
        let password = known.get(&password_key(role)).cloned().map_or_else(project::password, Ok)?;
        variables.insert(password_key(role), password);
    }
    if let Some(token) = known.get(TOKEN) {
        variables.insert(TOKEN.to_owned(), token.clone());
    }
    Ok(variables)
}

/// Makes the accounts that are missing, and a token where none is good.
pub fn engage(site: &Site, binaries: &Path, console: &Service, needs: &Needs<'_>) -> Result<()> {
    let mut variables = site.variables();
    let account = |arguments: &[&str], input: &str| -> Result<String> {
        let mut child = Command::new(binaries.join(CONSOLE))
            .arg("account")
            .args(arguments)
            .envs(console.settings(needs))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run support-console")?;
        child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "support-console account {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let listed: serde_json::Value = serde_json::from_str(&account(&["list", "--json"], "")?)?;
    let is_there = |role: &str| listed["accounts"].as_array().into_iter().flatten().any(|known| known["name"] == role);
    for role in ROLES {
        let password = variables.get(&password_key(role)).context("a password is missing")?;
        // A database that was there before may know others than were just made up.
        let arguments: &[&str] = if is_there(role) { &["password", role] } else { &["add", role, "--role", role] };
        account(arguments, password)?;
    }
    let is_good = variables.get(TOKEN).is_some_and(|token| {
        crate::http::get_as(&format!("{}/api/support/whoami", console.url()), token)
            .is_ok_and(|(status, _)| status == 200)
    });
    if !is_good {
        let token = account(&["token", "operator", "--label", "cargo xtask up", "--days", "365"], "")?;
        variables.insert(TOKEN.to_owned(), token);
        project::write_private(&site.variables_file(), &project::lines(&variables))?;
    }
    Ok(())
}

pub fn print(variables: &Variables) {
    for role in ROLES {
        if let Some(password) = variables.get(&password_key(role)) {
            say::detail(format!("{:<20} {role} / {password}", "staff log in as"));
        }
    }
}
