//! The document is complete, says the limits that the code keeps, and lies in `docs/` as it is served.

use std::{env, fs, path::Path};

use serde_json::Value;

use super::{refusals::known, *};
use crate::http::{described, docs};

fn the_document() -> Value {
    document(&described().into_openapi())
}

/// Fails if a file in `docs/` is not what it should be; with `UPDATE_DOCS=1`, writes it.
fn keep(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "docs/{name} is not up to date: run `UPDATE_DOCS=1 cargo test -p order-api openapi` and look at what changed"
    );
}

#[test]
fn the_documents_folder_holds_what_is_served() {
    keep("openapi.json", &docs::json_text(&the_document()));
}

#[test]
fn the_documents_folder_lists_every_code_with_what_to_do_about_it() {
    let rows: String = known()
        .map(|code| format!("| `{}` | {} | {} | {} |\n", code.name, code.status.as_u16(), code.meaning, code.advice))
        .collect();
    let head = "# Error codes of order-api\n\nEvery refusal of order-api names one or more of these in `errors[].code`. Decide by them: they never \
                change.\n\nThis file is made from the code by `UPDATE_DOCS=1 cargo test -p order-api openapi`.\n\n\
                | code | status | means | what to do |\n|---|---|---|---|\n";
    keep("errors.md", &format!("{head}{rows}"));
}

#[test]
fn every_code_is_the_answer_of_an_operation() {
    let homeless = refusals::homeless(&the_document());
    assert!(
        homeless.is_empty(),
        "{homeless:?}: name them beside the handlers that use them (see `operation` in http.rs), or in a list of \
         http/openapi/refusals.rs if what refuses is a layer round all handlers"
    );
}

#[test]
fn no_two_codes_have_one_name() {
    let mut names: Vec<_> = known().map(|code| code.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

#[test]
fn every_operation_has_a_name_a_group_a_summary_and_a_security() {
    let document = the_document();
    let mut names = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            names.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{what}")).to_owned());
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            assert!(TAGS.iter().any(|(name, _)| *name == tag), "{what} is in no group of `TAGS`: {tag:?}");
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{what}: {summary:?}");
            assert!(!path.starts_with("/api/") || operation["security"].is_array(), "{what} says of no token");
            let ok = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(ok, "{what} has no good answer");
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

#[test]
fn what_is_referred_to_is_there() {
    fn walk(document: &Value, at: &Value) {
        if let Some(reference) = at["$ref"].as_str() {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        at.as_array().into_iter().flatten().for_each(|it| walk(document, it));
        at.as_object().into_iter().flatten().for_each(|(_, it)| walk(document, it));
    }
    let document = the_document();
    walk(&document, &document);
}

#[test]
fn a_request_that_is_read_strictly_is_documented_so() {
    let document = the_document();
    for schema in ["CreateOrder", "WantedLine"] {
        assert_eq!(document["components"]["schemas"][schema]["additionalProperties"], false, "{schema}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_each_of_its_links_leads_somewhere() {
    let page = docs::page(&the_document());
    for forbidden in ["<script", "style=", "<img", "@import", " onclick", "src="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for id in &ids {
        assert_eq!(ids.iter().filter(|it| it == &id).count(), 1, "two of {id}");
    }
    for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        match link.strip_prefix('#') {
            Some(id) => assert!(ids.contains(&id), "#{id}"),
            None => assert!(["data:,", "docs/style.css", "openapi.json"].contains(&link), "{link}"),
        }
    }
    for code in known() {
        assert!(ids.contains(&code.name), "{}", code.name);
    }
}
