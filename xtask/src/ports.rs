//! Which port is whose, and who holds one that is taken.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{process, say, signals};

const GLANCE: Duration = Duration::from_millis(200);

/// Every port of one running Conveyor.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub order_api: u16,
    pub inventory: u16,
    pub payment: u16,
    pub notification: u16,
    pub support: u16,
    /// The outside world: gateway, SMS provider and pages; and its mail server.
    pub sandbox: u16,
    pub smtp: u16,
    pub postgres: u16,
    pub rabbitmq: u16,
    pub management: u16,
}

/// What `cargo xtask up` uses.
pub const DEVELOPMENT: Ports = Ports {
    order_api: 8080,
    inventory: 8081,
    payment: 8082,
    notification: 8083,
    support: 8084,
    sandbox: 8090,
    smtp: 8025,
    postgres: 55432,
    rabbitmq: 55672,
    management: 55680,
};

/// How many ports a RabbitMQ node takes from its first on: AMQP, Erlang's
/// distribution, epmd, Prometheus; then a gap, and the management.
pub const RABBITMQ_SPAN: u16 = 9;

pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Fails, naming the port and if possible its holder, when it is taken.
pub fn require_free(port: u16, wanted_by: &str) -> Result<()> {
    /// The system remembers a connection that has ended for a minute.
    const CONNECTION: Duration = Duration::from_secs(65);
    /// A process that was just killed lets go of its ports a little later.
    const NOBODY: Duration = Duration::from_secs(5);
    let began = Instant::now();
    while !is_free(port) {
        let patience = match (is_listening(port), holder(port)) {
            (true, Some((pid, name))) => {
                bail!("port {port}, which {wanted_by} needs, is taken by {name} (process {pid}): stop that first")
            }
            (true, None) => NOBODY,
            (false, _) => CONNECTION,
        };
        if began.elapsed() > patience {
            bail!("port {port}, which {wanted_by} needs, is taken: free it first");
        }
        if patience == CONNECTION && began.elapsed() < GLANCE {
            say::step(format!(
                "port {port}, for {wanted_by}: a connection just happens to use it; waiting for its end, a minute at most"
            ));
        }
        signals::pause(GLANCE)?;
    }
    Ok(())
}

/// Whether somebody answers on a port. Asked before the first attempt to connect: the system may
/// choose the very port that one connects to as the one to connect from, and then the connection
/// is with itself, and in the way of the server that wants to listen there.
pub fn is_listening(port: u16) -> bool {
    match listener(port) {
        Ok(found) => found.is_some(),
        // Not Linux.
        Err(_) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
    }
}

/// Whether a program of that name listens on a port, where the system tells.
pub fn is_held_by(port: u16, name: &str) -> bool {
    holder(port).is_some_and(|(_, holder)| holder == name)
}

/// The first of `count` neighbouring free ports. They lie below the range from
/// which systems choose ports for outgoing connections, so nobody gets one in the meantime.
pub fn free_block(count: u16) -> Result<u16> {
    const FIRST: u16 = 20_000;
    const BLOCK: u16 = 16;
    const BLOCKS: u16 = 750;
    // The last port of a block belongs to no server: whoever holds it has the block. Without it, two that look at the same
    // time could find the same ports free, and both use them.
    let claim = |first: u16| {
        let claim = TcpListener::bind((Ipv4Addr::LOCALHOST, first + BLOCK - 1)).ok()?;
        (first..first + count).all(is_free).then_some(claim)
    };
    let random = u16::from_be_bytes(crate::project::random_bytes()?);
    (0..BLOCKS)
        .map(|i| FIRST + (random % BLOCKS + i) % BLOCKS * BLOCK)
        .find_map(|first| {
            // Held until this process ends. By then the servers listen, or are not there.
            std::mem::forget(claim(first)?);
            Some(first)
        })
        .context("no free ports between 20000 and 32000")
}

/// The socket that listens on a port, as the system calls it (Linux).
fn listener(port: u16) -> io::Result<Option<String>> {
    const LISTEN: &str = "0A";
    let tables = fs::read_to_string("/proc/net/tcp")? + &fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Ok(tables.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let here = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == LISTEN;
        here.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    }))
}

/// The process that listens on a port, where the system tells (Linux, and ours or root).
fn holder(port: u16) -> Option<(i32, String)> {
    let socket = listener(port).ok()??;
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        fs::read_dir(entry.path().join("fd"))
            .ok()?
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == socket.as_str()))
            .then(|| (pid, process::name(pid).unwrap_or_default()))
    })
}
