//! The connections that are open: not more than there is room for, and none so idle that it keeps out somebody else.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::{AbortHandle, Id, JoinSet};

use super::{address::site, seat::Seat, visit::House};
use crate::config;

/// File descriptors that are kept for everything else: the database, the broker, files.
const FOR_OTHERS: u64 = 64;
/// When there is no room, this part of the connections is closed at once: to look for one each time would take longer
/// than the flood takes to send the next.
const MAKES_ROOM: usize = 64;

pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, (Arc<Seat>, AbortHandle)>,
    per_address: HashMap<IpAddr, usize>,
    house: Arc<House>,
    most: usize,
    most_per_address: usize,
}

impl Connections {
    pub(super) fn new(settings: &config::Http, house: Arc<House>) -> Self {
        Self {
            tasks: JoinSet::new(),
            open: HashMap::new(),
            per_address: HashMap::new(),
            house,
            most: room_for(settings.most_connections),
            most_per_address: settings.most_connections_per_address,
        }
    }

    /// Whether one more may be opened from there. If there is no room, those make it that have had nothing to ask for
    /// the longest time; whoever is being answered stays.
    pub(super) fn admit(&mut self, peer: IpAddr) -> bool {
        let from_there = self.per_address.get(&site(peer)).copied().unwrap_or(0);
        if self.most_per_address > 0 && from_there >= self.most_per_address && !self.house.is_proxy(peer) {
            dropped("too many from one address", 1);
            return false;
        }
        if self.open.len() >= self.most && self.make_room() == 0 {
            dropped("no room", 1);
            return false;
        }
        true
    }

    pub(super) fn add(&mut self, seat: Arc<Seat>, connection: impl Future<Output = ()> + Send + 'static) {
        *self.per_address.entry(site(seat.peer)).or_default() += 1;
        let task = self.tasks.spawn(connection);
        self.open.insert(task.id(), (seat, task));
        self.tell();
    }

    /// Closes some of those on which it is the client whom everything waits for, the longest first. Says how many.
    pub(super) fn make_room(&mut self) -> usize {
        let mut waiting: Vec<(u64, Id)> =
            self.open.iter().filter_map(|(id, (seat, _))| Some((seat.waits_since()?, *id))).collect();
        let many = (self.most / MAKES_ROOM).max(1).min(waiting.len());
        if many < waiting.len() {
            waiting.select_nth_unstable(many);
        }
        for (_, id) in waiting.iter().take(many) {
            if let Some((_, task)) = self.open.get(id) {
                task.abort();
            }
            self.remove(*id);
        }
        dropped("made room", many);
        many
    }

    /// Waits for one to end. None if there is none.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.remove(id);
        Some(())
    }

    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }

    fn remove(&mut self, id: Id) {
        let Some((seat, _)) = self.open.remove(&id) else { return };
        if let Entry::Occupied(mut there) = self.per_address.entry(site(seat.peer)) {
            *there.get_mut() -= 1;
            if *there.get() == 0 {
                there.remove();
            }
        }
        self.tell();
    }

    fn tell(&self) {
        metrics::gauge!("conveyor_http_connections").set(self.open.len() as f64);
    }
}

fn dropped(why: &'static str, many: usize) {
    if many > 0 {
        metrics::counter!("conveyor_http_dropped_total", "why" => why).increment(many as u64);
    }
}

/// For how many connections there can be room: each is a file descriptor, of which the system may give us fewer.
fn room_for(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(FOR_OTHERS);
    let raised = needed.clamp(soft, hard.max(soft));
    let files = if raised > soft && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    let room = usize::try_from(files.saturating_sub(FOR_OTHERS)).unwrap_or(usize::MAX).clamp(1, wanted);
    if room < wanted {
        tracing::info!(wanted, room, "the system allows fewer open files than http.most_connections needs");
    }
    room
}
