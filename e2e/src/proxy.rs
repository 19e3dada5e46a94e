//! A way to a server that a test can close: cheaper and quicker than stopping the server, and nobody else's tests
//! notice.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Passes every connection on, until it is cut.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    to: String,
    serving: Mutex<Option<Serving>>,
}

#[derive(Debug)]
struct Serving {
    stop: CancellationToken,
    task: AbortHandle,
}

impl Proxy {
    pub async fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let proxy = Self {
            address: listener.local_addr().expect("the port of the proxy"),
            to: address.to_owned(),
            serving: Mutex::default(),
        };
        proxy.serve(listener);
        proxy
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks every connection and refuses new ones, as if the server had died.
    pub async fn cut(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(serving) = serving else { return };
        serving.stop.cancel();
        // Whoever connects after this call must be refused.
        while !serving.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Lets connections through again.
    pub async fn mend(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the proxy's port again");
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let task = tokio::spawn(pass_all(listener, Arc::from(self.to.as_str()), stop.clone())).abort_handle();
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(Serving { stop, task });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            serving.stop.cancel();
        }
    }
}

async fn pass_all(listener: TcpListener, to: Arc<str>, stop: CancellationToken) {
    // Dropped with this function, and every connection with it.
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((mut inner, _)) = accepted else { continue };
        let to = Arc::clone(&to);
        connections.spawn(async move {
            let Ok(mut outer) = TcpStream::connect(&*to).await else { return };
            let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
            let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
        });
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}
