//! Small questions over HTTP: is a service ready, what does the broker's management say.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender; what went wrong, the request that was under way says.
    tokio::spawn(connection);
    Ok(sender)
}

/// One request on a connection of its own; user and password may stand in the URL.
pub async fn ask(method: Method, url: &str, body: &str) -> Result<(StatusCode, Bytes)> {
    let asked = async {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not an http:// URL"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(user) = user {
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(user)));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let response = connect(host).await?.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    match tokio::time::timeout(Duration::from_secs(10), asked).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer within 10 s"),
    }
}
