//! Who gets in, who does not, and for how long.

use e2e::{LONG, eventually};
use hyper::Method;
use support_console::{
    By, Role,
    people::{self, People},
};

use crate::visitor::{Desk, PASSWORD, name, value_of};

/// The pages that everybody who is logged in may open.
const PAGES: [&str; 2] = ["/account", "/login"];

#[tokio::test]
async fn a_session_begins_with_a_login_and_ends_with_a_logout_wherever_its_cookie_is() {
    let desk = Desk::start(&[]).await;
    let mut ann = desk.visitor();
    let answer = ann.get("/account").await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (303, "/login?next=%2Faccount"));
    let form = ann.get("/login?next=%2Faccount").await;
    assert_eq!(value_of(&form.text(), "next"), "/account");

    let fields = [("name", "Reader "), ("password", PASSWORD), ("next", "/account")];
    let answer = ann.send(Method::POST, "/login", &[], &fields).await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (303, "/account"));
    let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("session=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    ann.cookie = cookie.split(';').next().map(ToOwned::to_owned);
    let page = ann.get("/account").await.text();
    assert!(page.contains("reader"), "{page}");

    // Only what a token can be recognised by is kept.
    let token = ann.cookie.clone().unwrap().replace("session=", "");
    let kept = "SELECT count(*) FROM support.sessions WHERE position($1 IN sessions::text) > 0";
    let kept = kept.replace("$1", &format!("'{token}'"));
    assert_eq!(desk.database.count(&kept).await, 0);

    ann.csrf = value_of(&page, "csrf");
    let answer = ann.post("/logout", &[]).await;
    assert_eq!(answer.status, 303);
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    // The stolen cookie is worth nothing any more.
    assert_eq!(ann.get("/account").await.status, 303);
    assert_eq!(ann.post("/account/log-out-others", &[]).await.status, 303);
    let noted = "SELECT count(*) FROM support.audit WHERE account = 'reader' AND action IN ('login', 'logout')";
    assert!(desk.database.count(noted).await >= 2);
}

#[tokio::test]
async fn whoever_guesses_has_few_tries_and_keeps_nobody_else_out() {
    let desk = Desk::start(&[
        ("CONVEYOR__HTTP__TRUSTED_PROXIES", "127.0.0.1"),
        ("CONVEYOR__SUPPORT__PEOPLE__ATTEMPTS", "3"),
        ("CONVEYOR__SUPPORT__PEOPLE__ATTEMPTS_PER_ADDRESS", "6"),
    ])
    .await;
    let visitor = desk.visitor();
    let attempt = async |account: &str, password: &str, from: &str| {
        let fields = [("name", account), ("password", password)];
        visitor.send(Method::POST, "/login", &[("x-forwarded-for", from)], &fields).await
    };
    let wrong = attempt("operator", "not the password", "192.0.2.1").await;
    let unknown = attempt("nobody", "not the password", "192.0.2.9").await;
    assert_eq!((wrong.status.as_u16(), unknown.status.as_u16()), (401, 401));
    assert_eq!(wrong.text().replace("operator", "nobody"), unknown.text(), "it tells who has an account");
    for _ in 0..2 {
        assert_eq!(attempt("operator", "not the password", "192.0.2.1").await.status, 401);
    }
    // Neither does the right password help now, in this process or another.
    let refused = attempt("operator", PASSWORD, "192.0.2.1").await;
    assert_eq!(refused.status, 429);
    let seconds: i32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    // Whoever the account belongs to sits elsewhere.
    assert_eq!(attempt("operator", PASSWORD, "192.0.2.2").await.status, 303);
    // Two more from the first address, at other accounts: then it has had its share.
    assert_eq!(attempt("a", "x", "192.0.2.1").await.status, 401);
    assert_eq!(attempt("b", "x", "192.0.2.1").await.status, 401);
    assert_eq!(attempt("admin", PASSWORD, "192.0.2.1").await.status, 429);
    // What was right does not count.
    for _ in 0..8 {
        assert_eq!(attempt("admin", PASSWORD, "192.0.2.3").await.status, 303);
    }
    // After a quarter of an hour all is forgotten.
    let client = desk.database.connect().await;
    let passed = "UPDATE support.login_attempts SET since = since - interval '16 minutes'";
    client.execute(passed, &[]).await.unwrap();
    assert_eq!(attempt("operator", PASSWORD, "192.0.2.1").await.status, 303);
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_is_refused() {
    let desk = Desk::start(&[("CONVEYOR__HTTP__ALLOWED_ORIGINS", "https://shop.example")]).await;
    let (ann, other) = (desk.logged_in("operator").await, desk.logged_in("operator").await);
    let path = "/account/log-out-others";
    let csrf = ann.csrf.as_str();
    let foreign = other.csrf.as_str();
    for (headers, csrf, expected) in [
        (&[][..], "", 403),
        (&[], "nonsense", 403),
        // Another session's, though it is the same person's.
        (&[], foreign, 403),
        (&[("origin", "https://evil.example")], csrf, 403),
        (&[("sec-fetch-site", "cross-site")], csrf, 403),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://other.example")], csrf, 403),
        // The shop's pages may call the API; they know no session's token.
        (&[("origin", "https://shop.example")], "", 403),
        (&[("sec-fetch-site", "same-origin")], csrf, 200),
    ] {
        let answer = ann.send(Method::POST, path, headers, &[("csrf", csrf)]).await;
        assert_eq!(answer.status, expected, "{headers:?} {csrf:?}: {}", answer.text());
    }
    // The other session was ended by the last of these, and by none before it.
    assert_eq!(other.get("/account").await.status, 303);
    // What is no form at all.
    let headers = [("cookie", ann.cookie.as_deref().unwrap()), ("content-type", "application/json")];
    let answer = desk.process.http.send(Method::POST, path, &headers, r#"{"csrf":""}"#).await.unwrap();
    assert_eq!(answer.status, 415);
    // A login is refused as well: whoever is logged in as somebody else does their work for them.
    let fields = [("name", "operator"), ("password", PASSWORD)];
    let login = desk.visitor().send(Method::POST, "/login", &[("origin", "https://evil.example")], &fields).await;
    assert_eq!(login.status, 403);
}

#[tokio::test]
async fn what_is_taken_away_is_gone_with_the_next_request() {
    let desk = Desk::start(&[]).await;
    let ann = desk.logged_in("operator").await;
    let settings = people::Settings::default();
    let recognises = People::new(desk.db.clone(), settings).unwrap();
    let operator = name("operator");
    let token = people::mint_token(&desk.db, ("test", By::Cli), &operator, "laptop", 90).await.unwrap();
    let bearer = async || {
        use secrecy::ExposeSecret as _;
        recognises.bearer(token.expose_secret()).await.unwrap()
    };
    assert_eq!(bearer().await.map(|who| (who.account, who.role)), Some(("operator".to_owned(), Role::Operator)));

    people::set_role(&desk.db, "test", &operator, Role::Reader).await.unwrap();
    assert!(ann.get("/account").await.text().contains("<dd>reader</dd>"));
    assert_eq!(bearer().await.map(|who| who.role), Some(Role::Reader));

    people::disable(&desk.db, "test", &operator).await.unwrap();
    assert_eq!(ann.get("/account").await.status, 303);
    assert!(bearer().await.is_none());
    assert_eq!(desk.visitor().log_in("operator", PASSWORD).await.status, 401);
    assert!(people::mint_token(&desk.db, ("test", By::Cli), &operator, "x", 1).await.is_err());

    // Enabled again, what stood before stays away.
    people::enable(&desk.db, "test", &operator).await.unwrap();
    assert_eq!(ann.get("/account").await.status, 303);
    assert!(bearer().await.is_none());

    // A new password ends every session too.
    let ann = desk.logged_in("operator").await;
    people::set_password(&desk.db, "test", &operator, &"another long one".into(), None).await.unwrap();
    assert_eq!(ann.get("/account").await.status, 303);
    let noted = "SELECT count(*) FROM support.audit WHERE account = 'test' AND action IN ('account.create', \
                 'account.role', 'account.disable', 'account.enable', 'account.password', 'token.create')";
    assert_eq!(desk.database.count(noted).await, 8);
    let listed = people::list(&desk.db).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["admin", "operator", "reader"]);
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let desk = Desk::start(&[]).await;
    let client = desk.database.connect().await;
    for passed in ["used_at = used_at - interval '61 minutes'", "begun_at = begun_at - interval '721 minutes'"] {
        let ann = desk.logged_in("reader").await;
        assert_eq!(ann.get("/account").await.status, 200);
        client.execute(&format!("UPDATE support.sessions SET {passed}"), &[]).await.unwrap();
        assert_eq!(ann.get("/account").await.status, 303, "{passed}");
    }
}

#[tokio::test]
async fn ones_own_password_and_tokens_are_changed_by_whoever_knows_the_password() {
    let desk = Desk::start(&[]).await;
    let (ann, elsewhere) = (desk.logged_in("reader").await, desk.logged_in("reader").await);
    let new = "a new and long one";
    let change = async |present: &str, new: &str, again: &str| {
        ann.post("/account/password", &[("present", present), ("new", new), ("again", again)]).await.status.as_u16()
    };
    assert_eq!(change("wrong", new, new).await, 403);
    assert_eq!(change(PASSWORD, new, "another").await, 400);
    assert_eq!(change(PASSWORD, "short", "short").await, 400);
    assert_eq!(elsewhere.get("/account").await.status, 200, "nothing was changed");
    assert_eq!(change(PASSWORD, new, new).await, 200);
    assert_eq!(
        (ann.get("/account").await.status.as_u16(), elsewhere.get("/account").await.status.as_u16()),
        (200, 303)
    );
    assert_eq!(desk.visitor().log_in("reader", PASSWORD).await.status, 401);
    assert_eq!(desk.visitor().log_in("reader", new).await.status, 303);

    let page = ann.post("/account/tokens", &[("label", "<b>laptop"), ("days", "30")]).await.text();
    let token = page.split("cvt_").nth(1).and_then(|rest| rest.split('<').next()).expect("a token").to_owned();
    assert!(page.contains("&lt;b&gt;laptop") && !page.contains("<b>laptop"), "{page}");
    let page = ann.get("/account").await.text();
    assert!(!page.contains(&token), "it is shown twice");
    let id = value_of(&page, "token");
    // Nobody else's.
    let bob = desk.logged_in("operator").await;
    assert_eq!(bob.post("/account/tokens/revoke", &[("token", &id)]).await.status, 404);
    assert_eq!(ann.post("/account/tokens/revoke", &[("token", &id)]).await.status, 303);
    assert!(!ann.get("/account").await.text().contains("laptop"));
    for (label, days) in [("", "30"), ("x", "0"), ("x", "x"), ("x", "99999")] {
        assert_eq!(ann.post("/account/tokens", &[("label", label), ("days", days)]).await.status, 400);
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_a_table() {
    let desk = Desk::start(&[("CONVEYOR__LOG__FILTER", "trace,lapin=off")]).await;
    let ann = desk.logged_in("reader").await;
    let secret = "swordfish swordfish";
    assert_eq!(desk.visitor().log_in(secret, secret).await.status, 401);
    assert_eq!(desk.visitor().log_in("reader", secret).await.status, 401);
    ann.post("/account/password", &[("present", secret), ("new", secret), ("again", secret)]).await;
    let page = ann.post("/account/tokens", &[("label", "laptop"), ("days", "30")]).await.text();
    let token = page.split("cvt_").nth(1).and_then(|rest| rest.split('<').next()).expect("a token").to_owned();
    let session = ann.cookie.clone().unwrap().replace("session=", "");
    let said = desk.process.said();
    assert!(said.contains("an attempt to log in failed") && said.contains("logged in"), "{said}");
    let client = desk.database.connect().await;
    for secret in [PASSWORD, secret, &token, &session, &ann.csrf] {
        assert!(!said.contains(secret), "{secret} was logged");
        for table in ["accounts", "sessions", "tokens", "login_attempts", "audit"] {
            let sql = format!("SELECT count(*) FROM support.{table} AS t WHERE position($1::text IN t::text) > 0");
            let found: i64 = client.query_one(&sql, &[&secret]).await.unwrap().get(0);
            assert_eq!(found, 0, "{secret} is in {table}");
        }
    }
}

#[tokio::test]
async fn a_crowd_at_the_door_keeps_nobody_inside_from_working() {
    let desk = Desk::start(&[
        ("CONVEYOR__SUPPORT__PEOPLE__ATTEMPTS_PER_ADDRESS", "100000"),
        ("CONVEYOR__SUPPORT__PEOPLE__ATTEMPTS_PER_ACCOUNT", "100000"),
        ("CONVEYOR__SUPPORT__PEOPLE__CHECKS_AT_ONCE", "1"),
    ])
    .await;
    let ann = desk.logged_in("reader").await;
    let crowd = futures_util::future::join_all((0..60).map(|i| {
        let visitor = desk.visitor();
        async move {
            let name = format!("guest{i}");
            let mut visitor = visitor;
            visitor.log_in(&name, "whatever it is").await.status.as_u16()
        }
    }));
    let inside = async {
        for _ in 0..10 {
            assert_eq!(ann.get("/account").await.status, 200);
        }
    };
    let (answers, ()) = tokio::join!(crowd, inside);
    assert!(answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    assert!(answers.contains(&401) && answers.contains(&503), "{answers:?}");
    // And it clears.
    eventually(LONG, "a place", async || (desk.visitor().log_in("x", "y").await.status == 401).then_some(())).await;
}

#[tokio::test]
async fn every_page_tells_the_browser_to_trust_nothing() {
    let desk = Desk::start(&[]).await;
    let ann = desk.logged_in("admin").await;
    for path in PAGES.into_iter().chain(["/nothing", "/letters/x", "/style.css", "/live.js"]) {
        let answer = ann.get(path).await;
        let header = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        let text = answer.text();
        if header("content-type").starts_with("text/html") {
            assert_eq!(header("cache-control"), "no-store", "{path}");
            assert!(
                !text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"),
                "{path}: {text}"
            );
            assert!(!text.contains("<script>"), "{path}: {text}");
        }
    }
    assert_eq!(ann.get("/nothing").await.status, 404);
}
