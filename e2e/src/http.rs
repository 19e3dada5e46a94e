//! A small HTTP client: what a test needs, on connections that are kept.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::environment::Url;

const PATIENCE: Duration = Duration::from_secs(30);

type Sender = http1::SendRequest<Full<Bytes>>;

/// Talks to one server. Each request under way has a connection to itself; connections are used again.
#[derive(Debug)]
pub struct Client {
    address: String,
    authorization: Option<String>,
    idle: Mutex<Vec<Sender>>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Client {
    /// For `http://[user:password@]host:port`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let url = Url::parse(url);
        let authorization = (!url.user.is_empty()).then(|| {
            let pair = format!("{}:{}", url.user, url.password);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        });
        Self { address: url.address, authorization, idle: Mutex::default() }
    }

    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// With a token.
    pub async fn get_as(&self, path: &str, token: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], Bytes::new()).await
    }

    pub async fn post_json(&self, path: &str, body: &serde_json::Value) -> Result<Answer, String> {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// One request and its whole answer. `Err` says why there was none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.address);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| error.to_string())?;
        let exchange = async {
            let mut sender = self.connection().await?;
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no answer in time".to_owned())?
    }

    async fn connection(&self) -> Result<Sender, String> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(&self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the sender or with the server; the request in flight hears of an error.
        tokio::spawn(connection);
        Ok(sender)
    }
}
