//! Notices: staff hear of it the moment messages are given up, by mail and by webhook.
//!
//! Nothing has to remember to send one. What was told of each group is in a table beside the groups' own counts, and
//! whoever looks sees the difference: so no crash loses a notice, and two consoles tell nothing twice. Of one group more
//! of the same is no news for a while, unless it has grown past a threshold; and of many groups at once one notice tells.

mod look;
mod mail;
mod send;
mod settings;
mod webhook;
mod words;

use std::{sync::Arc, time::Duration};

use common::{config::ConfigError, db::Db};
use tokio::sync::watch;

pub use self::settings::Settings;
use self::{mail::Mailer, webhook::Webhook};
use crate::{Console, outward::Outward};

/// How often is looked though nothing seems to have changed: another console may have taken the letters in.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Several changes in a row are one.
const GATHER: Duration = Duration::from_millis(200);

pub(crate) struct Notices {
    db: Db,
    changes: watch::Receiver<u64>,
    settings: Settings,
    /// Where the console's pages are.
    public_url: String,
    mailer: Option<Mailer>,
    webhook: Option<Webhook>,
}

impl Notices {
    /// None where nobody is to be told.
    pub(crate) fn new(
        console: &Console,
        settings: &Settings,
        public_url: &str,
        outward: Outward,
    ) -> Result<Option<Self>, ConfigError> {
        settings.check()?;
        let mailer =
            if settings.email.to.is_empty() { None } else { Some(Mailer::new(&settings.email.from, &settings.smtp)?) };
        let webhook = Webhook::new(&settings.webhook, outward)?;
        if mailer.is_none() && webhook.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            db: console.db().clone(),
            changes: console.watch(),
            settings: settings.clone(),
            public_url: public_url.trim_end_matches('/').to_owned(),
            mailer,
            webhook,
        }))
    }

    /// Looks and sends until it is dropped; whatever is going on then is found in the table by whoever comes next.
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        tokio::join!(Arc::clone(&this).look_on(), this.send_on());
    }

    async fn look_on(self: Arc<Self>) {
        let mut changes = self.changes.clone();
        loop {
            if let Err(error) = look::look(&self.db, &self.settings, &self.targets()).await {
                tracing::warn!(%error, "it could not be seen what there is to tell of; looking again");
            }
            // A change wakes us; so does time, for a quiet time that ends is no change.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            tokio::time::sleep(GATHER).await;
        }
    }

    async fn send_on(self: Arc<Self>) {
        loop {
            match send::send_due(&self).await {
                Ok(0) => tokio::time::sleep(Duration::from_millis(500)).await,
                // There may be more.
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "notices could not be read; trying again");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// By which ways, and to whom.
    fn targets(&self) -> Vec<(&'static str, String)> {
        let mails = self.mailer.iter().flat_map(|_| self.settings.email.to.iter().map(|to| ("email", to.clone())));
        mails.chain(self.webhook.iter().map(|_| ("webhook", String::new()))).collect()
    }
}
