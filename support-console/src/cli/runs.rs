//! `retry`, `discard`, `restore`, `runs …` and `edit`: what changes letters.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
    process,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json, value::RawValue};

use super::{
    arguments::{After, Discard, Edit, Of, OneRun, Restore, Retry, Runs, Which},
    client::Client,
    confirm,
    outcome::{Answer, DONE, FAILED, Outcome, Trouble},
    show,
};
use crate::http::body::laid_out;

pub(super) async fn retry(client: &Client, retry: Retry, json: bool) -> Result<Outcome, Trouble> {
    let Retry { which, steps, at_once, rate, tolerate, dry_run, after } = retry;
    let plan = plan(client, &which, "retry").await?;
    if dry_run {
        return Ok(Outcome::done(&plan, show::plan, json));
    }
    let steps = if at_once {
        json!({"first": [], "rate": rate, "tolerate": i32::MAX})
    } else {
        json!({"first": steps, "rate": rate, "tolerate": tolerate})
    };
    carry_out(client, &plan, json!({"action": "retry", "steps": steps}), &after, json).await
}

pub(super) async fn discard(client: &Client, discard: Discard, json: bool) -> Result<Outcome, Trouble> {
    let plan = plan(client, &discard.which, "discard").await?;
    carry_out(client, &plan, json!({"action": "discard", "reason": discard.reason}), &discard.after, json).await
}

pub(super) async fn restore(client: &Client, restore: Restore, json: bool) -> Result<Outcome, Trouble> {
    let plan = plan(client, &restore.which, "restore").await?;
    carry_out(client, &plan, json!({"action": "restore"}), &restore.after, json).await
}

/// Exactly these letters, as they are now.
async fn plan(client: &Client, which: &Which, action: &str) -> Result<Answer, Trouble> {
    let mut wanted = json!({"action": action});
    match &which.of {
        Of { letter: Some(letter), .. } => wanted["letter"] = json!(letter),
        Of { group: Some(group), .. } => wanted["group"] = json!(group),
        Of { query, .. } => wanted["query"] = json!(query),
    }
    if let Some(version) = which.version {
        wanted["version"] = json!(version);
    }
    client.post("/plans", &wanted).await
}

async fn carry_out(
    client: &Client,
    plan: &Answer,
    mut start: Value,
    after: &After,
    json: bool,
) -> Result<Outcome, Trouble> {
    let count = plan["plan"]["count"].as_i64().unwrap_or(0);
    if count > 1 {
        let verb = match start["action"].as_str() {
            Some("retry") => "Send again",
            Some("discard") => "Put away",
            _ => "Take out again",
        };
        confirm(&format!("{verb} {count} letters?"), after.yes)?;
    }
    start["plan"] = plan["plan"]["id"].clone();
    let started = client.post("/runs", &start).await?;
    let id = show::text(&started["run"]);
    if after.wait {
        return watch(client, &id, json).await;
    }
    let begun = |answer: &Answer| {
        format!("run {}: `support-console runs show --wait` follows it\n", show::text(&answer["run"]))
    };
    Ok(Outcome::done(&started, begun, json))
}

/// Says how it goes, on standard error, until it rests. Not all well is a failure.
async fn watch(client: &Client, run: &str, json: bool) -> Result<Outcome, Trouble> {
    let mut said = String::new();
    loop {
        let answer = client.get(&format!("/runs/{run}"), &[("wait", Some("2".to_owned()))]).await?;
        let now = show::progress(&answer["run"]);
        if now != said {
            eprintln!("{now}");
            said = now;
        }
        if !matches!(answer["run"]["state"].as_str(), Some("running" | "planned")) {
            let run = &answer["run"];
            let clean = run["state"] == "finished" && run["failed"] == 0 && run["skipped"] == 0;
            let outcome = Outcome::done(&answer, show::run, json);
            return Ok(outcome.with(if clean { DONE } else { FAILED }));
        }
    }
}

pub(super) async fn runs(client: &Client, command: Runs, json: bool) -> Result<Outcome, Trouble> {
    let (run, what) = match command.command {
        None => {
            let before = command.before.map(|id| id.to_string());
            return Ok(Outcome::done(&client.get("/runs", &[("before", before)]).await?, show::runs, json));
        }
        Some(OneRun::Show { run, wait: true }) => return watch(client, &run.to_string(), json).await,
        Some(OneRun::Show { run, wait: false }) => {
            return Ok(Outcome::done(&client.get(&format!("/runs/{run}"), &[]).await?, show::run, json));
        }
        Some(OneRun::Pause { run }) => (run, "pause"),
        Some(OneRun::Resume { run }) => (run, "resume"),
        Some(OneRun::Cancel { run }) => (run, "cancel"),
    };
    Ok(Outcome::done(&client.post(&format!("/runs/{run}/{what}"), &json!({})).await?, show::message, json))
}

pub(super) async fn edit(client: &Client, edit: Edit) -> Result<Answer, Trouble> {
    let Edit { letter, body, headers, version } = edit;
    let path = format!("/letters/{letter}");
    let seen = match version {
        Some(version) => version,
        None => {
            let now = client.get(&path, &[]).await?;
            let version = now["letter"]["version"].as_i64().and_then(|version| i32::try_from(version).ok());
            version.ok_or_else(|| Trouble::failed("the console does not say which version it is"))?
        }
    };
    let mut wanted = json!({"version": seen});
    if let Some(file) = &headers {
        let text = read(file)?;
        wanted["headers"] =
            serde_json::from_slice(&text).map_err(|error| Trouble::usage(&format!("headers: {error}")))?;
    }
    let new = match &body {
        Some(file) => Some(read(file)?),
        None if headers.is_none() => Some(by_hand(&client.bytes(&format!("{path}/body")).await?)?),
        None => None,
    };
    if let Some(new) = new {
        match String::from_utf8(new) {
            Ok(text) => wanted["body"] = json!(text),
            Err(bytes) => wanted["bodyBase64"] = json!(STANDARD.encode(bytes.as_bytes())),
        }
    }
    client.post(&format!("{path}/edit"), &wanted).await
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    let trouble = |error: io::Error| Trouble::usage(&format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map_err(trouble)?;
        return Ok(bytes);
    }
    fs::read(file).map_err(trouble)
}

/// The person's editor, on a file that nobody else can read.
fn by_hand(body: &[u8]) -> Result<Vec<u8>, Trouble> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.is_empty());
    let editor = editor.ok_or_else(|| Trouble::usage("say --body FILE, or set EDITOR"))?;
    let path = std::env::temp_dir().join(format!("letter-{}.json", uuid::Uuid::now_v7().simple()));
    let trouble = |error: io::Error| Trouble::failed(&format!("{}: {error}", path.display()));
    // What is no JSON is edited as it is.
    let json = serde_json::from_slice::<&RawValue>(body).ok().map(|json| laid_out(json.get()) + "\n");
    let before = json.as_deref().map_or(body, str::as_bytes);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(trouble)?;
    file.write_all(before).map_err(trouble)?;
    drop(file);
    // As other programs do it: what is in EDITOR may have arguments.
    let status = process::Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
    let after = fs::read(&path);
    let _ = fs::remove_file(&path);
    match status {
        Ok(status) if status.success() => {}
        _ => return Err(Trouble::failed("the editor did not end well; nothing was changed")),
    }
    let after = after.map_err(trouble)?;
    if after == before { Err(Trouble::failed("nothing was changed")) } else { Ok(after) }
}
