//! A way to a server that can be closed, slowed down and held up: cheaper and quicker than stopping the server, and
//! nobody else notices.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Passes every connection on, until it is cut.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    to: Arc<[String]>,
    pass: watch::Sender<Pass>,
    serving: Mutex<Option<Serving>>,
}

/// How what is sent gets through, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Freely,
    /// Each piece so much later.
    Slowly(Duration),
    /// Not at all, and nobody is told.
    Never,
}

#[derive(Debug)]
struct Serving {
    stop: CancellationToken,
    task: AbortHandle,
}

impl Proxy {
    pub async fn to(address: &str) -> Self {
        Self::among([address]).await
    }

    /// To several servers that do the same, in turn; to the next where one does not answer.
    pub async fn among<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let proxy = Self {
            address: listener.local_addr().expect("the port of the proxy"),
            to: addresses.into_iter().map(Into::into).collect(),
            pass: watch::Sender::new(Pass::Freely),
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

    /// From now on, what was sent and is not through yet included.
    pub fn pass(&self, pass: Pass) {
        self.pass.send_replace(pass);
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
        let passing = pass_all(listener, Arc::clone(&self.to), self.pass.subscribe(), stop.clone());
        let task = tokio::spawn(passing).abort_handle();
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

async fn pass_all(listener: TcpListener, to: Arc<[String]>, pass: watch::Receiver<Pass>, stop: CancellationToken) {
    // Dropped with this function, and every connection with it.
    let mut connections = JoinSet::new();
    let mut turn = 0;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((inner, _)) = accepted else { continue };
        turn += 1;
        let (to, pass) = (Arc::clone(&to), pass.clone());
        connections.spawn(async move {
            let Some(outer) = connect(&to, turn).await else { return };
            let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
            let ((from_inner, to_inner), (from_outer, to_outer)) = (inner.into_split(), outer.into_split());
            // What fails on one side closes both.
            let _ = tokio::try_join!(carry(from_inner, to_outer, pass.clone()), carry(from_outer, to_inner, pass));
        });
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}

async fn connect(to: &[String], turn: usize) -> Option<TcpStream> {
    let (before, from) = to.split_at(turn % to.len());
    for address in from.iter().chain(before) {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Some(stream);
        }
    }
    None
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut pass: watch::Receiver<Pass>) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let now = pass.wait_for(|pass| *pass != Pass::Never).await.map(|pass| *pass);
        if let Ok(Pass::Slowly(by)) = now {
            tokio::time::sleep(by).await;
        }
        to.write_all(&piece[..length]).await?;
    }
}
