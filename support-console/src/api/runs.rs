//! Plans and runs: what is done with exactly the letters that somebody has seen; and who did what.

use std::time::Duration;

use axum::{Json, extract::State, http::Uri, response::Response};
use common::http::{FieldError, JsonBody, Problem, Query as Parameters, codes::INVALID_FIELD, whole};
use serde::Deserialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{Named, SharedApi, codes::problem, id, shown::seen_by, uuid};
use crate::{Action, AuditFilter, Query, Refusal, Scope, Steps, people::Bearer};

/// The time for an answer is limited, and so is how long one may wait for a run.
const LONGEST_WAIT_S: u64 = 8;
const MOST_AUDITED: i64 = 500;

/// One of letter, group and query says which letters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    action: Action,
    letter: Option<Uuid>,
    /// The letter's, when it was looked at.
    version: Option<i32>,
    group: Option<Uuid>,
    query: Option<String>,
}

pub(super) async fn plan(
    State(api): SharedApi,
    Bearer(who): Bearer,
    JsonBody(plan): JsonBody<Plan>,
) -> Result<Json<Value>, Problem> {
    if plan.version.is_some() && plan.letter.is_none() {
        let message = "is of a letter, and none is named";
        return Err(Problem::invalid(vec![FieldError::new(INVALID_FIELD, "version", message)]));
    }
    let scope = match (plan.letter, plan.group, plan.query) {
        (Some(id), None, None) => Scope::Letter { id, seen: plan.version },
        (None, Some(group), None) => Scope::Group(group),
        (None, None, Some(text)) => {
            let query: Query = text.parse().map_err(|error| problem(Refusal::Query(error)))?;
            Scope::Query(query)
        }
        _ => {
            let message = "give one of letter, group and query";
            return Err(Problem::invalid(vec![FieldError::new(INVALID_FIELD, "letter", message)]));
        }
    };
    let snapshot = api.console.plan(&who, &scope, plan.action).await.map_err(problem)?;
    Ok(Json(json!({"plan": snapshot})))
}

/// A plan is carried out: with its steps, if it is a retry; with a reason, if letters are put away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    plan: Uuid,
    action: Action,
    #[serde(default)]
    steps: Steps,
    #[serde(default)]
    reason: String,
}

pub(super) async fn start(
    State(api): SharedApi,
    Bearer(who): Bearer,
    JsonBody(Start { plan, action, steps, reason }): JsonBody<Start>,
) -> Result<Json<Value>, Problem> {
    let run = match action {
        Action::Retry => api.console.start_run(&who, plan, &steps).await,
        Action::Discard => api.console.discard(&who, plan, &reason).await,
        Action::Restore => api.console.restore(&who, plan).await,
    };
    Ok(Json(json!({"run": run.map_err(problem)?})))
}

/// `?before=` the last id of the page before.
pub(super) async fn list(State(api): SharedApi, Bearer(_): Bearer, address: Uri) -> Result<Json<Value>, Problem> {
    let mut parameters = Parameters::of(&address);
    let before = parameters.optional("before", uuid);
    parameters.finish()?;
    let runs = api.console.runs(before).await.map_err(problem)?;
    Ok(Json(json!({"runs": runs})))
}

/// `?wait=` so many seconds at most for it to come to rest.
pub(super) async fn show(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    address: Uri,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&address);
    let wait = parameters.optional("wait", |text| whole(text, 0..=LONGEST_WAIT_S)).unwrap_or(0);
    parameters.finish()?;
    let run = id(path, "run")?;
    if wait > 0 {
        api.console.until_at_rest(run, Duration::from_secs(wait)).await.map_err(problem)?;
    }
    let run = api.console.run(run).await.map_err(problem)?;
    seen_by(&who, json!({"run": run}))
}

pub(super) async fn pause(State(api): SharedApi, Bearer(who): Bearer, path: Named) -> Result<Json<Value>, Problem> {
    api.console.pause(&who, id(path, "run")?).await.map_err(problem)?;
    Ok(Json(json!({"message": "The run is paused"})))
}

pub(super) async fn resume(State(api): SharedApi, Bearer(who): Bearer, path: Named) -> Result<Json<Value>, Problem> {
    api.console.resume(&who, id(path, "run")?).await.map_err(problem)?;
    Ok(Json(json!({"message": "The run goes on"})))
}

pub(super) async fn cancel(State(api): SharedApi, Bearer(who): Bearer, path: Named) -> Result<Json<Value>, Problem> {
    api.console.cancel(&who, id(path, "run")?).await.map_err(problem)?;
    Ok(Json(json!({"message": "The run is cancelled; what was sent is on its way"})))
}

/// `?account=`, `?letter=`, `?run=`, `?limit=`, `?before=` the `next` of the page before.
pub(super) async fn audit(State(api): SharedApi, Bearer(who): Bearer, address: Uri) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&address);
    let limit = parameters.optional("limit", |text| whole(text, 1..=MOST_AUDITED)).unwrap_or(100);
    let filter = AuditFilter {
        account: parameters.optional("account", |text| Ok(text.to_owned())),
        letter: parameters.optional("letter", uuid),
        run: parameters.optional("run", uuid),
        before: parameters.optional("before", line),
        limit: Some(limit),
    };
    parameters.finish()?;
    let lines = api.console.audit(&filter).await.map_err(problem)?;
    let is_full = i64::try_from(lines.len()).is_ok_and(|lines| lines >= limit);
    let next = lines.last().filter(|_| is_full);
    let next = next.and_then(|last| Some(format!("{}~{}", last.at.format(&Rfc3339).ok()?, last.id)));
    seen_by(&who, json!({"audit": lines, "next": next}))
}

/// A line of the audit, as `next` names it.
fn line(text: &str) -> Result<(OffsetDateTime, Uuid), String> {
    let read = || {
        let (at, id) = text.split_once('~')?;
        Some((OffsetDateTime::parse(at, &Rfc3339).ok()?, id.parse().ok()?))
    };
    read().ok_or_else(|| "must be the next of the page before".to_owned())
}
