//! Groups and letters.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::http::{FieldError, JsonBody, Problem, Query as Parameters, codes::INVALID_FIELD, whole};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Named, SharedApi, codes::problem, id, shown};
use crate::{Advice, Cursor, GroupFilter, Query, Refusal, Role, http::mask::Sight, people::Bearer};

const USUALLY_AT_ONCE: usize = 50;
const MOST_AT_ONCE: usize = 200;

/// `?queue=` and `?settled=true` for those as well of which nothing waits.
pub(super) async fn groups(State(api): SharedApi, Bearer(who): Bearer, address: Uri) -> Result<Json<Value>, Problem> {
    let mut parameters = Parameters::of(&address);
    let filter = GroupFilter {
        queue: parameters.optional("queue", |text| Ok(text.to_owned())),
        settled: parameters.optional("settled", flag).unwrap_or(false),
    };
    parameters.finish()?;
    let groups = api.console.groups(&filter).await.map_err(problem)?;
    let mut groups = serde_json::to_value(groups).map_err(|_| Problem::internal())?;
    // What stands in a reason is known only by how it looks.
    Sight::of(&who).json(&mut groups, &[]);
    Ok(Json(json!({"groups": groups})))
}

pub(super) async fn group(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    address: Uri,
) -> Result<Response, Problem> {
    Parameters::of(&address).finish()?;
    let group = api.console.group(id(path, "group")?).await.map_err(problem)?;
    shown::seen_by(&who, json!({"group": group}))
}

/// `?q=` a search, `?limit=`, `?after=` the `next` of the page before.
pub(super) async fn search(State(api): SharedApi, Bearer(who): Bearer, address: Uri) -> Result<Json<Value>, Problem> {
    let mut parameters = Parameters::of(&address);
    let text = parameters.optional("q", |text| Ok(text.to_owned())).unwrap_or_default();
    let limit = parameters.optional("limit", |text| whole(text, 1..=MOST_AT_ONCE)).unwrap_or(USUALLY_AT_ONCE);
    let after: Option<Cursor> =
        parameters.optional("after", |text| text.parse().map_err(|error: Refusal| error.to_string()));
    parameters.finish()?;
    let query: Query = text.parse().map_err(|error| problem(Refusal::Query(error)))?;
    let page = api.console.search(&query, after, limit).await.map_err(problem)?;
    // The one way in which it is written, so that it can be passed on.
    let ids: Vec<String> = page.letters.iter().flat_map(|letter| letter.users.clone()).collect();
    let mut letters = serde_json::to_value(&page.letters).map_err(|_| Problem::internal())?;
    Sight::of(&who).json(&mut letters, &ids);
    Ok(Json(json!({"query": query.to_string(), "letters": letters, "total": page.total, "next": page.next})))
}

/// Everything there is about a letter. Its body is `{"json": …}`, `{"text": …}` or `{"base64": …}`.
pub(super) async fn show(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    address: Uri,
) -> Result<Json<Value>, Problem> {
    Parameters::of(&address).finish()?;
    let letter = api.console.letter(id(path, "letter")?).await.map_err(problem)?;
    let sight = Sight::of(&who);
    let body = shown::body(&letter.body, sight, &letter.line.users);
    let mut shown = serde_json::to_value(&letter).map_err(|_| Problem::internal())?;
    sight.json(&mut shown, &letter.line.users);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("body".to_owned(), body);
        fields.insert("advice".to_owned(), json!(Advice::about(&letter.line.death, &letter.line.reason)));
    }
    Ok(Json(json!({"letter": shown})))
}

/// The bytes, whatever they are; nothing that reads them as a page. There is no masking them, so readers do not get them.
pub(super) async fn body(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    address: Uri,
) -> Result<Response, Problem> {
    who.must_be(Role::Operator).map_err(problem)?;
    Parameters::of(&address).finish()?;
    let letter = api.console.letter(id(path, "letter")?).await.map_err(problem)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"body\"")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, letter.body).into_response())
}

/// What is to be another: the body as text or in base64, the headers as an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Edit {
    /// The letter's, when it was looked at.
    version: i32,
    body: Option<String>,
    body_base64: Option<String>,
    headers: Option<Value>,
}

pub(super) async fn edit(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    JsonBody(edit): JsonBody<Edit>,
) -> Result<Json<Value>, Problem> {
    who.must_be(Role::Operator).map_err(problem)?;
    let letter = id(path, "letter")?;
    let invalid =
        |field: &str, message: &str| Problem::invalid(vec![FieldError::new(INVALID_FIELD, field, message.to_owned())]);
    let body = match (edit.body, edit.body_base64) {
        (Some(_), Some(_)) => return Err(invalid("body", "give either body or bodyBase64")),
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(text)) => Some(STANDARD.decode(text).map_err(|_| invalid("bodyBase64", "is not base64"))?),
        (None, None) if edit.headers.is_none() => return Err(invalid("body", "nothing is to be another")),
        (None, None) => None,
    };
    let edited = api.console.edit(&who, letter, edit.version, body.as_deref(), edit.headers.as_ref()).await;
    Ok(Json(json!({"edited": edited.map_err(problem)?})))
}

pub(super) async fn take_back(State(api): SharedApi, Bearer(who): Bearer, path: Named) -> Result<Json<Value>, Problem> {
    api.console.take_back(&who, id(path, "letter")?).await.map_err(problem)?;
    Ok(Json(json!({"message": "The letter was taken back"})))
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}
