//! Where the servers are, as `cargo xtask test` says.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use hyper::Uri;

/// A variable without which there is nothing to test against.
pub(crate) fn needed(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: run the tests with `cargo xtask test`"),
    }
}

/// The parts of `scheme://user:password@host:port/path`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    pub scheme: String,
    pub user: String,
    pub password: String,
    /// Host and port.
    pub address: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Self {
        let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text:?} is no URL: {error}"));
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let (user, address) = authority.rsplit_once('@').unwrap_or(("", &authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        Self {
            scheme: uri.scheme_str().unwrap_or_default().to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            address: address.to_owned(),
        }
    }

    pub(crate) fn with_path(&self, path: &str) -> String {
        self.for_user(&self.user, &self.password, path)
    }

    pub(crate) fn for_user(&self, user: &str, password: &str, path: &str) -> String {
        format!("{}://{user}:{password}@{}/{path}", self.scheme, self.address)
    }
}

/// A path in a folder for what tests leave while they run, named after this process and never given twice.
pub(crate) fn scratch(folder: &Path, name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{name}-{}-{count}", std::process::id()))
}

/// Does something asynchronous where nothing can be awaited: in a `drop`. Waits for it.
pub(crate) fn finally(act: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                // What cannot be removed in time is left to the end of the disposable server.
                let _ = tokio::time::timeout(std::time::Duration::from_secs(20), act).await;
            });
        }
    });
    let _ = thread.join();
}
