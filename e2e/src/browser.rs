//! A real browser, told what to do over WebDriver: headless Chromium with the driver that Debian ships beside it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use base64::Engine as _;
use hyper::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{
    environment::{finally, scratch},
    http::Client,
    process::free_port,
    wait::{LONG, eventually},
};

/// By which name WebDriver calls an element in what it answers (W3C WebDriver, 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

const INSTALL: &str = "apt-get install -y chromium chromium-driver";

/// A browser with one window. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Option<Child>,
    http: Arc<Client>,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    pub async fn start() -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver cannot be run ({error}); install it with: {INSTALL}"));
        let http = Arc::new(Client::new(&format!("http://127.0.0.1:{port}")));
        eventually(LONG, "chromedriver", async || http.get("/status").await.ok().filter(|it| it.status == 200)).await;
        let profile = scratch(&std::env::temp_dir(), "conveyor-browser");
        let mut browser = Self { driver: Some(driver), http, port, session: String::new(), profile };
        // Containers have neither the rights for the sandbox nor much shared memory; nothing foreign is opened here.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-prefers-reduced-motion",
            &format!("--user-data-dir={}", browser.profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": 60_000}}}});
        let answer = browser.ask(Method::POST, "/session", &wanted).await;
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// What the driver answers; panics with what it says is wrong.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body).await.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    async fn try_ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let path = if self.session.is_empty() { path.to_owned() } else { format!("/session/{}{path}", self.session) };
        let headers = [("content-type", "application/json")];
        let body = if method == Method::GET { String::new() } else { body.to_string() };
        let answer = self.http.send(method, &path, &headers, body).await?;
        let value = answer.json()["value"].take();
        if answer.status.is_success() {
            return Ok(value);
        }
        Err(format!("{}: {}", value["error"], value["message"].as_str().unwrap_or_default()))
    }

    pub async fn open(&self, url: &str) {
        self.ask(Method::POST, "/url", &json!({"url": url})).await;
    }

    pub async fn url(&self) -> String {
        self.ask(Method::GET, "/url", &Value::Null).await.as_str().unwrap_or_default().to_owned()
    }

    /// What a script returns: for looking. What a person does is done with [`click`](Self::click) and
    /// [`write`](Self::write).
    pub async fn run(&self, script: &str) -> Value {
        self.ask(Method::POST, "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The same for a script that calls its last argument when it is done.
    pub async fn run_async(&self, script: &str) -> Value {
        self.ask(Method::POST, "/execute/async", &json!({"script": script, "args": []})).await
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this can be read on the page.
    pub async fn until_text(&self, wanted: &str) {
        let began = tokio::time::Instant::now();
        loop {
            // In the middle of a change of pages there is none to ask.
            let script = json!({"script": "return document.body.innerText", "args": []});
            let text = self.try_ask(Method::POST, "/execute/sync", &script).await;
            let text = text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
            if text.contains(wanted) {
                return;
            }
            assert!(began.elapsed() < LONG, "{wanted:?} is not on {}:\n{text}", self.url().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn find(&self, selector: &str) -> String {
        let using = json!({"using": "css selector", "value": selector});
        let what = format!("the element {selector}");
        let found = eventually(LONG, &what, async || self.try_ask(Method::POST, "/element", &using).await.ok()).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks, as a person does: what cannot be seen or is covered cannot be clicked.
    pub async fn click(&self, selector: &str) {
        eventually(LONG, &format!("a click on {selector}"), async || {
            // What a live update has just replaced is looked for again.
            let element = self.find(selector).await;
            self.try_ask(Method::POST, &format!("/element/{element}/click"), &json!({})).await.ok()
        })
        .await;
    }

    /// Writes into a field, in the place of what is there.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.ask(Method::POST, &format!("/element/{element}/clear"), &json!({})).await;
        self.ask(Method::POST, &format!("/element/{element}/value"), &json!({"text": text})).await;
    }

    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.chromium("Emulation.setDeviceMetricsOverride", &size).await;
    }

    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.chromium("Emulation.setEmulatedMedia", &media).await;
    }

    /// Pages are as they are for those who run no scripts; this one is still asked with some.
    pub async fn without_scripts(&self) {
        self.chromium("Emulation.setScriptExecutionDisabled", &json!({"value": true})).await;
    }

    pub async fn press_tab(&self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.chromium("Input.dispatchKeyEvent", &key).await;
        }
    }

    /// The whole page, as a PNG.
    pub async fn picture(&self, file: &Path) {
        let all = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.chromium("Page.captureScreenshot", &all).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().expect("a picture"));
        std::fs::write(file, bytes.expect("base64")).expect("writing a picture");
    }

    /// What only Chromium's own protocol can do.
    async fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.ask(Method::POST, "/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let (port, session, driver) = (self.port, self.session.clone(), self.driver.take());
        // First the browser, in good order; its driver would leave it behind.
        finally(async move {
            let http = Client::new(&format!("http://127.0.0.1:{port}"));
            let _ = http.send(Method::DELETE, &format!("/session/{session}"), &[], "").await;
            let _ = http.get("/shutdown").await;
            drop(driver);
        });
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
