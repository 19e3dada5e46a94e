//! The OpenAPI document: what the routes say of themselves, and what is true of all of them.
//!
//! An operation is described beside its handler by `#[utoipa::path]`, and what it may refuse for by a list of codes; the
//! answers that follow from the codes, and those that the layers round every route give, are added here. The document is
//! made once, at the start.

mod refusals;
mod schemas;
#[cfg(test)]
mod tests;

pub(super) use schemas::{Amount, Instant, KeyId, OrderId, OrderStatus, ProductId, TransactionId, UserId};

use super::operators;
use common::http::Code;
use serde_json::{Value, json};
use utoipa::{
    OpenApi,
    openapi::path::{Operation, PathItem},
};
use utoipa_axum::router::UtoipaMethodRouter;

/// Where an operation notes the codes that are its own, until they are made into answers.
const OWN_CODES: &str = "x-own-codes";

/// The groups of operations, in the order in which people read of them.
const TAGS: [(&str, &str); 5] = [
    ("Orders", "Place an order, and see what becomes of it."),
    ("Catalogue", "What can be ordered, and what it costs."),
    ("Signing keys", "Who may sign what."),
    (
        "Operation",
        "What those who run the service ask it. Nothing of it needs a token; keep it from the outside world.",
    ),
    ("Documents", "What you are reading, and the same for programs."),
];

/// What is in the document before the routes are: the pages of the chassis, and the shape of refusals.
pub(super) fn beginning() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(components(schemas(schemas::Refusal)))]
    struct Shared;

    let mut beginning = Shared::openapi();
    beginning.merge(operators::Pages::openapi());
    beginning
}

/// Operations with the codes that they refuse with, besides those that follow from their having a body or needing a
/// token.
pub(super) fn operation<S>(
    (schemas, mut paths, router): UtoipaMethodRouter<S>,
    codes: &[&'static Code],
) -> UtoipaMethodRouter<S> {
    let names = Value::from_iter(codes.iter().map(|code| code.name));
    for operation in paths.paths.values_mut().flat_map(operations) {
        operation.extensions.get_or_insert_default().insert(OWN_CODES.to_owned(), names.clone());
    }
    (schemas, paths, router)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// The whole document, from what the routes say.
pub(super) fn document(described: &utoipa::openapi::OpenApi) -> Value {
    // It is all names and texts, which can be written as JSON: without it, a test would find nothing documented.
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": "Conveyor: orders",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Takes an order, and carries it through stock, payment and notification.",
        "description": include_str!("openapi/guide.md"),
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    // Wherever the document was fetched from.
    document["servers"] = json!([{"url": "/"}]);
    document["tags"] =
        TAGS.iter().map(|(name, description)| json!({"name": name, "description": description})).collect();
    document["components"]["securitySchemes"] = json!({"bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "`Authorization: Bearer <token>`. Where an order is placed, the same token is a field of the body.",
    }});
    without_null(&mut document);
    refusals::add(&mut document);
    document
}

/// A parameter may be missing, but there is no way to write one that is null.
fn without_null(document: &mut Value) {
    let items = document["paths"].as_object_mut().into_iter().flatten().filter_map(|(_, item)| item.as_object_mut());
    let lists = items.flatten().filter_map(|(_, operation)| operation.get_mut("parameters")?.as_array_mut());
    for schema in lists.flatten().map(|parameter| &mut parameter["schema"]) {
        let mut kinds = schema["type"].as_array().into_iter().flatten().filter(|kind| *kind != "null");
        if let Some(kind) = kinds.next().cloned() {
            schema["type"] = kind;
        }
        let mut choices = schema["oneOf"].as_array().into_iter().flatten().filter(|choice| choice["type"] != "null");
        if let Some(choice) = choices.next().cloned() {
            *schema = choice;
        }
    }
}
