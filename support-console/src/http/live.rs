//! `/live`: says that something has changed, so that a page that is being looked at asks for itself again. What changed
//! it does not say.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use tokio::{sync::watch, time::Instant};

use super::{
    Pages,
    person::{Person, token},
};

/// Some proxies hold back what they could send on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Between two words at the least: who looks on need not be faster than eyes.
const PAUSE: Duration = Duration::from_secs(1);
/// Without a change a word all the same: other processes may have changed something.
const SILENCE: Duration = Duration::from_secs(5);

struct Reader {
    pages: Pages,
    token: String,
    changes: watch::Receiver<u64>,
    spoke: Instant,
}

pub(super) async fn live(State(pages): State<Pages>, headers: HeaderMap, _: Person) -> Response {
    let token = token(&headers).unwrap_or_default().to_owned();
    let changes = pages.console.watch();
    let reader = Reader { pages, token, changes, spoke: Instant::now() };
    let body = stream::unfold(reader, async |mut reader| {
        let word = reader.next().await?;
        Some((Ok::<_, Infallible>(word), reader))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

impl Reader {
    /// `None` once the session is over, or the service stops.
    async fn next(&mut self) -> Option<Bytes> {
        let stop = self.pages.stop.clone();
        let word = async {
            // Whether it is a change or only time that has passed, a word is due.
            let _ = tokio::time::timeout(SILENCE, self.changes.changed()).await;
            tokio::time::sleep_until(self.spoke + PAUSE).await;
        };
        stop.run_until_cancelled(word).await?;
        self.changes.mark_unchanged();
        self.spoke = Instant::now();
        match self.pages.people.session(&self.token).await {
            Ok(Some(_)) => Some(Bytes::from_static(b"data: changed\n\n")),
            _ => None,
        }
    }
}
