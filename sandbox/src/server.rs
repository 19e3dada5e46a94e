//! The HTTP side: every connection bounded, and able to end without an answer, as real ones do.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
};
use hyper::service::Service as _;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{gateway, inspection, pages, requests::Refused, sms, world::World};

const MOST_CONNECTIONS: usize = 1000;
const LARGEST_BODY: usize = 64 << 10;
/// How long somebody may take to say what they want.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// Instead of an answer: the connection is closed without a word.
pub(crate) fn hang_up() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(HangUp);
    response
}

#[derive(Clone, Copy)]
struct HangUp;

pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let router = Router::new()
        .merge(gateway::routes(&world))
        .merge(sms::routes())
        .merge(inspection::routes())
        .merge(pages::routes())
        .fallback(async || Refused::not_found())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Arc::clone(&world));
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            continue;
        };
        // One too many is closed at once.
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        let router = router.clone();
        world.beside(async move {
            let _seat = seat;
            // How a connection ends is its own affair.
            let _ = converse(stream, router).await;
        });
    }
}

async fn converse(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = router.call(request);
        async move {
            let response: Response<Body> = answer.await.unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<HangUp>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
