//! The page that people read, made from the OpenAPI document and from nothing else.

mod schema;

use std::fmt::Write as _;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde_json::Value;

use schema::Field;

/// A method, a path, and the operation that they name.
type Operation<'a> = (&'a str, &'a str, &'a Value);

pub(super) fn render(document: &Value) -> String {
    let info = &document["info"];
    let guide = text(&info["description"]);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"description\" content=\"{summary}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"docs/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header>\n<p class=\"title\"><a href=\"#top\">{title}</a> <small>{version}</small></p>\n\
         <p><a href=\"openapi.json\">openapi.json</a></p>\n</header>\n\
         <nav aria-label=\"Contents\">\n{nav}</nav>\n\
         <main id=\"content\" tabindex=\"-1\">\n<h1 id=\"top\">{title}</h1>\n<p class=\"lead\">{summary}</p>\n\
         {guide}{groups}{codes}</main>\n\
         <footer><p>Made from the running service's own description, version {version}.</p></footer>\n</body>\n</html>\n",
        title = escape(text(&info["title"])),
        summary = escape(text(&info["summary"])),
        version = escape(text(&info["version"])),
        nav = nav(document, guide),
        guide = markdown(guide),
        groups = groups(document),
        codes = codes(document),
    )
}

/// The operations of each group, in the order of the document's tags.
fn grouped(document: &Value) -> impl Iterator<Item = (&Value, Vec<Operation<'_>>)> {
    let all: Vec<Operation<'_>> = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (method, path, operation)))
        .filter(|(.., operation)| operation["responses"].is_object())
        .collect();
    list(&document["tags"])
        .iter()
        .map(move |tag| {
            let of_tag = |(.., operation): &&Operation<'_>| list(&operation["tags"]).contains(&tag["name"]);
            (tag, all.iter().filter(of_tag).copied().collect::<Vec<_>>())
        })
        .filter(|(_, operations)| !operations.is_empty())
}

fn nav(document: &Value, guide: &str) -> String {
    let mut out = String::from("<ul>\n");
    for (id, title) in sections(guide) {
        let _ = writeln!(out, "<li><a href=\"#{}\">{}</a></li>", escape(&id), escape(&title));
    }
    for (tag, operations) in grouped(document) {
        let name = text(&tag["name"]);
        let _ = write!(out, "<li><a href=\"#{}\">{}</a>\n<ul>\n", slug(name), escape(name));
        for (method, _, operation) in operations {
            let (id, summary) = (text(&operation["operationId"]), text(&operation["summary"]));
            let _ = writeln!(
                out,
                "<li><a href=\"#op-{id}\"><span class=\"method {method}\">{method}</span> {}</a></li>",
                escape(summary)
            );
        }
        out.push_str("</ul></li>\n");
    }
    out.push_str("<li><a href=\"#error-codes\">Error codes</a></li>\n</ul>\n");
    out
}

fn groups(document: &Value) -> String {
    let mut out = String::new();
    for (tag, operations) in grouped(document) {
        let name = text(&tag["name"]);
        let _ = write!(out, "<h2 id=\"{}\">{}</h2>\n{}", slug(name), escape(name), markdown(text(&tag["description"])));
        for one in operations {
            operation(&mut out, document, one);
        }
    }
    out
}

fn operation(out: &mut String, document: &Value, (method, path, operation): Operation<'_>) {
    let id = text(&operation["operationId"]);
    let _ = write!(
        out,
        "<section class=\"operation\" aria-labelledby=\"op-{id}\">\n<h3 id=\"op-{id}\">{}</h3>\n\
         <p class=\"address\"><span class=\"method {method}\">{method}</span> <code>{}</code></p>\n{}",
        escape(text(&operation["summary"])),
        breakable(path),
        markdown(text(&operation["description"])),
    );
    let needs_token = list(&operation["security"]).iter().any(|it| it["bearer"].is_array());
    if needs_token {
        out.push_str("<p>Needs <code>Authorization: Bearer &lt;token&gt;</code>.</p>\n");
    }
    let parameters: Vec<Field<'_>> =
        list(&operation["parameters"]).iter().map(|it| Field::of_parameter(document, it)).collect();
    table(out, "Parameters", &parameters);
    let body = &operation["requestBody"]["content"];
    for (content_type, content) in members(body) {
        let _ = writeln!(out, "<h4>Body</h4>\n<p><code>{}</code></p>", escape(content_type));
        table(out, "", &schema::fields(document, &content["schema"]));
        example(out, "Example body", document, content);
    }
    answers(out, document, operation);
    out.push_str("</section>\n");
}

fn answers(out: &mut String, document: &Value, operation: &Value) {
    out.push_str("<h4>Answers</h4>\n");
    let all = || members(&operation["responses"]);
    let refusals = all().filter(|(_, answer)| answer["x-codes"].is_array());
    // One whose words begin with its codes has none of its own.
    let others = all().filter(|(_, answer)| !text(&answer["description"]).starts_with('-'));
    for (status, answer) in others {
        let words = text(&answer["description"]);
        // What the codes mean stands in their own table.
        let words = words.split("\n\n- `").next().unwrap_or(words);
        let _ =
            writeln!(out, "<div class=\"answer\"><strong class=\"status\">{status}</strong> {}</div>", markdown(words));
        for (_, content) in members(&answer["content"]) {
            table(out, "", &schema::fields(document, &content["schema"]));
            example(out, "Example answer", document, content);
        }
    }
    out.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Refusals\"><table class=\"refusals\">\n\
         <thead><tr><th scope=\"col\">Status</th><th scope=\"col\">Refused for</th></tr></thead>\n<tbody>\n",
    );
    for (status, answer) in refusals {
        let links: Vec<String> = list(&answer["x-codes"])
            .iter()
            .map(|code| format!("<a href=\"#{0}\"><code>{0}</code></a>", text(code)))
            .collect();
        let _ = writeln!(out, "<tr><th scope=\"row\">{status}</th><td>{}</td></tr>", links.join(" "));
    }
    out.push_str("</tbody></table></div>\n");
}

fn table(out: &mut String, title: &str, fields: &[Field<'_>]) {
    if fields.is_empty() {
        return;
    }
    if !title.is_empty() {
        let _ = writeln!(out, "<h4>{title}</h4>");
    }
    let label = if title.is_empty() { "Fields" } else { title };
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table class=\"fields\">\n\
         <thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead>\n\
         <tbody>\n"
    );
    for field in fields {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\"><code>{}</code>{}</th><td>{}</td><td>{}</td></tr>",
            breakable(&field.path),
            if field.required { "" } else { " <small>optional</small>" },
            field.kind,
            markdown(field.description),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn example(out: &mut String, title: &str, document: &Value, content: &Value) {
    if !content["example"].is_null() {
        let example = schema::in_order(document, &content["schema"], &content["example"], 0);
        let _ = writeln!(
            out,
            "<figure><figcaption>{title}</figcaption><pre tabindex=\"0\"><code>{}</code></pre></figure>",
            escape(&example)
        );
    }
}

fn codes(document: &Value) -> String {
    let mut out = String::from(
        "<h2 id=\"error-codes\">Error codes</h2>\n<p>Every refusal names one or more of these in \
         <code>errors[].code</code>.</p>\n<dl class=\"codes\">\n",
    );
    for entry in list(&document["x-error-codes"]) {
        let _ = writeln!(
            out,
            "<div id=\"{0}\"><dt><a href=\"#{0}\"><code>{0}</code></a> <span class=\"status\">{1}</span></dt>\
             <dd>{2}{3}</dd></div>",
            text(&entry["code"]),
            entry["status"],
            markdown(text(&entry["meaning"])),
            markdown(text(&entry["advice"])),
        );
    }
    out.push_str("</dl>\n");
    out
}

/// The headings of the guide that have a name to link to.
fn sections(guide: &str) -> Vec<(String, String)> {
    let (mut found, mut open) = (Vec::new(), None);
    for event in parser(guide) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H2, id: Some(id), .. }) => {
                open = Some((id.to_string(), String::new()));
            }
            Event::Text(words) => {
                if let Some((_, title)) = &mut open {
                    title.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES)
}

/// Descriptions are CommonMark. They are our own texts, but what looks like HTML in them is shown, not obeyed.
fn markdown(source: &str) -> String {
    let events = parser(source).flat_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => vec![Event::Text(html)],
        // What is wider than the page can be reached with the keyboard.
        Event::Start(Tag::Table(columns)) => vec![
            Event::Html("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table\">".into()),
            Event::Start(Tag::Table(columns)),
        ],
        Event::End(TagEnd::Table) => vec![Event::End(TagEnd::Table), Event::Html("</div>\n".into())],
        event => vec![event],
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out.replace("<pre>", "<pre tabindex=\"0\">")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Long names may be broken where their parts meet.
fn breakable(name: &str) -> String {
    escape(name).replace('/', "/<wbr>").replace('.', ".<wbr>")
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
