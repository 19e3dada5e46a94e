//! Somebody who waits for callbacks, and may be deaf for the first of them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a callback is JSON")
    }
}

pub(crate) struct Listener {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    /// The first so many callbacks are answered 500.
    pub(crate) async fn deaf_for(first: usize) -> Self {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let ear = Arc::clone(&heard);
        let listen = move |headers: HeaderMap, body: Bytes| {
            let ear = Arc::clone(&ear);
            async move {
                let signature = headers.get("gateway-signature").and_then(|value| value.to_str().ok());
                let heard = Heard { signature: signature.unwrap_or_default().to_owned(), body };
                let mut all = ear.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(heard);
                if all.len() <= first { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
            }
        };
        let port = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/callback", port.local_addr().expect("its address"));
        let router = Router::new().route("/callback", post(listen));
        tokio::spawn(async move { axum::serve(port, router).await });
        Self { url, heard }
    }

    pub(crate) async fn new() -> Self {
        Self::deaf_for(0).await
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn until(&self, count: usize) -> Vec<Heard> {
        e2e::eventually(e2e::LONG, &format!("{count} callbacks"), async || {
            Some(self.heard()).filter(|heard| heard.len() >= count)
        })
        .await
    }
}
