//! The outside world, simulated: a payment gateway, an SMTP server and an SMS provider, with pages on which what they
//! were told can be read. For development and tests; it keeps everything in memory and forgets it when it ends.

mod callbacks;
mod calls;
mod cards;
mod faults;
mod gateway;
mod inbox;
mod inspection;
mod ledger;
mod pages;
mod requests;
mod server;
mod shelf;
mod sms;
mod smtp;
mod world;

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::world::World;

/// Whoever is still being answered has so long, once it is to stop.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What can be set. The defaults are those of development.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where gateway, SMS provider and pages listen. Port 0: any that is free.
    pub http: SocketAddr,
    /// Where the mail server listens.
    pub smtp: SocketAddr,
    /// What requests to gateway and SMS provider must carry as their Bearer token.
    pub api_key: String,
    /// What callbacks are signed with.
    pub callback_secret: String,
    /// The year and month in which cards are looked at; none: those of the clock.
    pub today: Option<(i32, u8)>,
    /// How long `processing` lasts.
    pub processing: Duration,
    /// How long before a callback that was not heard is sent again; doubles each time.
    pub callback_backoff: Duration,
    /// How likely a callback is sent once more than it should be, from 0 to 1.
    pub duplicate_callbacks: f64,
    /// How likely a callback is held back for up to a second, so that others overtake it, from 0 to 1.
    pub reorder_callbacks: f64,
    /// Decides, together with a charge's key, which callbacks these are.
    pub seed: u64,
    /// How many charges are remembered one by one.
    pub keep_charges: usize,
    /// How many mails, and how many SMS, are remembered.
    pub keep_messages: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8090)),
            smtp: SocketAddr::from(([127, 0, 0, 1], 8025)),
            api_key: "sandbox-key".to_owned(),
            callback_secret: "sandbox-callback-secret".to_owned(),
            today: None,
            processing: Duration::from_millis(300),
            callback_backoff: Duration::from_millis(500),
            duplicate_callbacks: 0.0,
            reorder_callbacks: 0.0,
            seed: 1,
            keep_charges: 200_000,
            keep_messages: 50_000,
        }
    }
}

impl Settings {
    /// On free ports, as tests want it.
    #[must_use]
    pub fn for_tests() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { http: free, smtp: free, ..Self::default() }
    }
}

/// A sandbox at work. It stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    pub http: SocketAddr,
    pub smtp: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Stops it, and returns when it is over.
    pub async fn stop(self) {
        self.stop.cancel();
        // Whoever waits for an answer that never comes need not have it.
        let _ = tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts it. Returns when both ports are open.
pub async fn start(settings: Settings) -> io::Result<Running> {
    let listen = async |address: SocketAddr| {
        TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
    };
    let http = listen(settings.http).await?;
    let smtp = listen(settings.smtp).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let running =
        Running { http: http.local_addr()?, smtp: smtp.local_addr()?, stop: stop.clone(), tasks: tasks.clone() };
    let world = World::new(settings, stop, tasks.clone());
    tasks.spawn(server::serve(http, world.clone()));
    tasks.spawn(smtp::serve(smtp, world));
    tasks.close();
    Ok(running)
}
