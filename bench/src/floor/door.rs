//! The door: what it takes to be asked and to answer, and nothing else. The same requests, from the same load generator
//! over as many connections, to a server that reads each whole, looks into none, and gives an answer of the usual size.

use std::{convert::Infallible, thread};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    load::{Load, Pace},
    measure,
};

const ANSWER: &str = r#"{"code":200,"message":"Order created successfully","orderId":"ORD0193A0C0D0E070008000000000000001","status":"pending","createdAt":"2026-01-31T12:00:00.000000Z"}"#;

/// CPU seconds for 1,000 orders that are sent and answered, on both sides.
pub async fn door(orders: u64, connections: usize) -> Result<f64> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port for the door")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    let stop = CancellationToken::new();
    let told = stop.clone();
    // A thread of its own, as the services' HTTP has.
    let server = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            told.run_until_cancelled(serve(TcpListener::from_std(listener)?)).await;
            anyhow::Ok(())
        })
    });
    let own = || measure::cpu_seconds_alone(std::process::id().cast_signed()).context("no CPU time");
    let load = Load::new(&address, Pace::Flat, orders)?;
    let before = own()?;
    let outcome = load.run(connections, |_| ()).await;
    let used = own()? - before;
    stop.cancel();
    server.join().ok().context("the door fell")??;
    let answered = outcome?.sent.len();
    anyhow::ensure!(answered as u64 == orders, "{answered} of {orders} orders answered at the door");
    Ok(used * 1e3 / orders as f64)
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // What could not be read is answered all the same.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_is_answered_at_the_door() {
        assert!(door(500, 4).await.unwrap() > 0.0);
    }
}
