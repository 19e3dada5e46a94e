//! Looking at a page: is it sound for those who do not see it, does it fit where it is shown?

use std::path::PathBuf;

use e2e::Browser;
use serde_json::Value;

/// axe-core 4.14, MPL-2.0; its licence lies beside it.
const AXE: &str = include_str!("../../axe/axe.min.js");

/// Widths, heights, and what they are called.
const SIZES: [(u32, u32, &str); 2] = [(1280, 900, "desktop"), (390, 844, "phone")];

pub(crate) struct Looks<'a> {
    browser: &'a Browser,
    pictures: Option<PathBuf>,
}

impl<'a> Looks<'a> {
    pub(crate) fn new(browser: &'a Browser) -> Self {
        let pictures = std::env::var_os("CONVEYOR_TEST_PICTURES").map(PathBuf::from);
        Self { browser, pictures }
    }

    /// On a desk and in a hand, by day and by night.
    pub(crate) async fn at(&self, name: &str) {
        for (width, height, size) in SIZES {
            self.browser.size(width, height).await;
            for dark in [false, true] {
                self.browser.dark(dark).await;
                self.keep(&format!("{name}-{size}-{}", if dark { "dark" } else { "light" })).await;
                let place = format!("{name}, {size}, {}", if dark { "dark" } else { "light" });
                self.is_sound(&place).await;
            }
            let beyond = self.browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(beyond.as_i64().is_some_and(|beyond| beyond <= 0), "{name} is too wide for a {size}: by {beyond}");
        }
        self.as_usual().await;
    }

    /// Only as a picture: what is on it does not stand still.
    pub(crate) async fn picture(&self, name: &str) {
        self.as_usual().await;
        self.keep(&format!("{name}-desktop-light")).await;
    }

    async fn as_usual(&self) {
        let (width, height, _) = SIZES[0];
        self.browser.size(width, height).await;
        self.browser.dark(false).await;
    }

    async fn keep(&self, name: &str) {
        if let Some(folder) = &self.pictures {
            std::fs::create_dir_all(folder).expect("a folder for the pictures");
            self.browser.picture(&folder.join(format!("{name}.png"))).await;
        }
    }

    /// Nothing serious by the rules of WCAG 2.2 AA.
    async fn is_sound(&self, place: &str) {
        if self.browser.run("return typeof axe").await == "undefined" {
            self.browser.run(AXE).await;
        }
        let found = self
            .browser
            .run_async(
                "const done = arguments[arguments.length - 1];
                 const on = {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']};
                 axe.run(document, {runOnly: on, resultTypes: ['violations']}).then(
                     it => done(it.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html).slice(0, 3).join(' ')])),
                     error => done([['critical', 'axe', String(error)]]))",
            )
            .await;
        let found: Vec<&Value> = found.as_array().expect("a list").iter().collect();
        assert!(found.is_empty(), "{place}: {found:#?}");
    }
}
