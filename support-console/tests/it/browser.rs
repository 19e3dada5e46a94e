//! The whole story, as a person sees it, in a real browser: what failed is found, understood, mended, and seen to arrive.
//!
//! Everything behind it is real: workers that fail for reasons of their own, the broker, the database. With
//! `CONVEYOR_TEST_PICTURES` naming a folder, every page is left there as a picture.

mod looks;
mod world;

use e2e::{Browser, LONG, eventually};
use looks::Looks;
use world::World;

use crate::visitor::PASSWORD;

/// So many letters are retried together, besides the one that goes ahead when the cause is still there.
const MANY: usize = 500;

#[tokio::test]
async fn support_finds_what_failed_mends_it_and_sees_it_arrive() {
    let world = World::start().await;
    let order = world.paid_order().await;
    world.letters_fail(MANY + 1).await;
    let browser = Browser::start().await;
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", world.desk.process.port);
    let looks = Looks::new(&browser);

    // Nobody is let in without a password.
    browser.open(&at("/")).await;
    browser.until_text("Log in").await;
    looks.at("login").await;
    log_in(&browser, "operator", "not the password").await;
    browser.until_text("The name or the password is wrong.").await;
    looks.at("login-refused").await;
    log_in(&browser, "operator", PASSWORD).await;

    // Three groups of failures.
    browser.until_text("Failures").await;
    browser.until_text(&format!("{}", MANY + 1)).await;
    let rows = browser.run("return document.querySelectorAll('.groups tbody tr').length").await;
    assert_eq!(rows, 3, "{}", browser.text().await);
    looks.at("failures").await;

    // A search that goes wrong says where; one that does not finds the letter.
    browser.open(&at("/search?q=queue:payment.charge+AND+%28")).await;
    browser.until_text("at character").await;
    looks.at("search-wrong").await;
    browser.write("#q", "queue:payment.charge").await;
    browser.click(".find button").await;
    browser.until_text("1 letter found").await;
    assert!(browser.url().await.contains("q=queue%3Apayment.charge"), "{}", browser.url().await);
    looks.at("search").await;

    // It is opened, edited and retried, and arrives.
    browser.click(".letters tbody a").await;
    browser.until_text("amount").await;
    looks.at("letter").await;
    browser.click("#edit").await;
    browser.until_text("Edit a letter").await;
    let body = browser.run("return document.getElementById('typed').value").await;
    let body = body.as_str().expect("a body").to_owned();
    browser.write("#typed", &body.replace("\"userId\"", "\"amount\" \"userId\"")).await;
    browser.click("#apply").await;
    browser.until_text("The edit was not applied.").await;
    looks.at("edit-refused").await;
    browser.write("#typed", &body.replace("\"userId\"", "\"amount\": 10050, \"userId\"")).await;
    browser.click("#apply").await;
    browser.until_text("The edit was applied.").await;
    browser.until_text("+ ").await;
    looks.at("letter-edited").await;
    browser.click("#retry").await;
    browser.until_text("Its worker has said that it is done.").await;
    browser.until_text("It was sent again, and its worker has said that it is done.").await;
    looks.at("letter-done").await;
    assert_eq!(world.open_payments().await, 1, "the mended event had no effect");

    // Many are retried while the cause is still there: the first one fails, and none goes after it.
    world.mail_fails(true).await;
    browser.open(&at("/")).await;
    browser.until_text("notification.send").await;
    open_group(&browser, "notification.send").await;
    looks.at("group").await;
    browser.click("#retry").await;
    browser.until_text("Exactly those").await;
    looks.at("plan").await;
    browser.click("#start").await;
    browser.until_text("stopped by itself").await;
    looks.at("run-stopped").await;
    assert_eq!(world.mails().await, 0);
    browser.click("#cancel").await;
    browser.until_text("cancelled").await;

    // The cause is mended: one, a few, the rest. The page follows by itself.
    world.mail_fails(false).await;
    browser.open(&at("/")).await;
    open_largest_group(&browser).await;
    browser.until_text(&format!("Retry {MANY} letters")).await;
    browser.click("#retry").await;
    browser.until_text("Exactly those").await;
    browser.write("#rate", "400").await;
    browser.click("#start").await;
    browser.until_text("Failed again").await;
    looks.picture("run-under-way").await;
    browser.until_text("finished").await;
    looks.at("run-finished").await;
    eventually(LONG, "every mail", async || (world.mails().await == MANY).then_some(())).await;

    // What nothing is to be done about is put away with a reason, and can be had back.
    browser.open(&at("/search?q=queue:payment.settle")).await;
    browser.click(".letters tbody a").await;
    browser.write("#reason", "<script>alert(1)</script> was paid back by hand").await;
    browser.click("#discard").await;
    browser.until_text("Discarded because: <script>alert(1)</script> was paid back by hand").await;
    looks.at("letter-discarded").await;
    browser.click("#restore").await;
    browser.until_text("It was restored").await;

    // Everything else there is to look at.
    for (path, name, words) in [
        ("/runs", "runs", "Retry of"),
        ("/orders", "orders", "Find"),
        (format!("/orders/{order}").as_str(), "order", "order.created"),
        ("/line", "line", "payment.charge"),
        ("/audit", "audit", "operator"),
        ("/account", "account", "Tokens for the command line"),
        ("/search?q=nothing-like-this", "search-empty", "Nothing was found."),
        ("/letters/00000000-0000-0000-0000-000000000000", "not-found", "Not here"),
    ] {
        browser.open(&at(path)).await;
        browser.until_text(words).await;
        looks.at(name).await;
    }
    let owed = world.owed_order().await;
    browser.open(&at(&format!("/orders/{owed}"))).await;
    browser.until_text("is owed to the customer").await;
    browser.click("summary").await;
    looks.at("order-owed").await;
    keyboard_reaches_the_content_first(&browser, &at("/")).await;

    browser.click("form[action='/logout'] button").await;
    browser.until_text("Log in").await;
    browser.open(&at("/audit")).await;
    assert!(browser.url().await.contains("/login?next="), "{}", browser.url().await);
    assert!(!world.desk.process.said().contains(PASSWORD));
}

#[tokio::test]
async fn nothing_waits_and_nobody_needs_a_script() {
    let world = World::start().await;
    let browser = Browser::start().await;
    let looks = Looks::new(&browser);
    browser.without_scripts().await;
    browser.open(&format!("http://127.0.0.1:{}/", world.desk.process.port)).await;
    log_in(&browser, "reader", PASSWORD).await;
    browser.until_text("Nothing waits for you.").await;
    looks.picture("failures-empty").await;
    browser.click("nav a[href='/search']").await;
    browser.until_text("How to search").await;
    browser.click("form[action='/logout'] button").await;
    browser.until_text("Log in").await;
}

async fn log_in(browser: &Browser, account: &str, password: &str) {
    browser.write("#name", account).await;
    browser.write("#password", password).await;
    browser.click("button.strong").await;
}

async fn open_group(browser: &Browser, queue: &str) {
    let number = browser
        .run(&format!(
            "return [...document.querySelectorAll('.groups tbody tr')].findIndex(it => it.innerText.includes('{queue}')) + 1"
        ))
        .await;
    browser.click(&format!(".groups tbody tr:nth-child({number}) a")).await;
}

async fn open_largest_group(browser: &Browser) {
    browser.until_text(&format!("{MANY}")).await;
    let script = "const counts = [...document.querySelectorAll('.groups .number strong')].map(it => +it.innerText.replace(',', ''));
                  return counts.indexOf(Math.max(...counts)) + 1";
    let number = browser.run(script).await;
    browser.click(&format!(".groups tbody tr:nth-child({number}) a")).await;
}

/// The first step of the keyboard is the link past the navigation, and it can be seen.
async fn keyboard_reaches_the_content_first(browser: &Browser, url: &str) {
    browser.open(url).await;
    browser.until_text("Failures").await;
    browser.press_tab().await;
    let focused = browser
        .run("return document.activeElement.className + document.activeElement.getBoundingClientRect().left")
        .await;
    let focused = focused.as_str().expect("text");
    assert!(focused.starts_with("skip") && !focused.contains('-'), "{focused}");
}
