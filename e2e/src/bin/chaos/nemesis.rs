//! Carries out what is planned, and mends it again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use e2e::Pass;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    echo::Echo,
    plan::{Fault, Lane, Member, Planned, SERVICES, To, plan},
    say,
    world::World,
};

pub struct Nemesis<'a> {
    pub world: &'a World,
    pub echo: &'a Echo,
    pub began: Instant,
    /// The kinds of all that was carried out.
    pub done: Mutex<Vec<&'static str>>,
    /// What went wrong that was not to.
    pub wrong: Mutex<Vec<String>>,
}

impl Nemesis<'_> {
    /// Fault after fault, the last of them begun before `end`.
    pub async fn follow(&self, seed: u64, lane: Lane, end: Instant) {
        for Planned { after, lasts, fault } in plan(seed, lane) {
            let begin = Instant::now() + after;
            if begin >= end {
                return;
            }
            sleep_until(begin).await;
            say(self.began, &format!("{fault}, for {:.1} s", lasts.as_secs_f64()));
            if self.carry_out(&fault, lasts).await {
                self.done.lock().unwrap_or_else(PoisonError::into_inner).push(fault.kind());
            }
        }
    }

    /// `false` if it could not: what was already in trouble may not let itself be troubled.
    async fn carry_out(&self, fault: &Fault, lasts: Duration) -> bool {
        let Self { world, echo, .. } = *self;
        match fault {
            Fault::DatabaseRestarts => {
                let mut postgres = world.postgres.lock().await;
                postgres.stop().await;
                sleep(lasts).await;
                postgres.start().await;
            }
            Fault::DatabaseCrashes => {
                let mut postgres = world.postgres.lock().await;
                postgres.kill().await;
                sleep(lasts).await;
                postgres.start().await;
            }
            Fault::TableLocked(table) => {
                let client = world.database.connect().await;
                let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
                if let Err(error) = client.batch_execute(&lock).await {
                    say(self.began, &format!("no lock on {table}: {error}"));
                    return false;
                }
                sleep(lasts).await;
                let _ = client.batch_execute("ROLLBACK").await;
            }
            Fault::NodeCrashes(node) => {
                let mut node = world.nodes[*node].lock().await;
                node.kill().await;
                sleep(lasts).await;
                node.start().await;
            }
            Fault::NodeStalls(node) => {
                let node = world.nodes[*node].lock().await;
                node.signal(Signal::SIGSTOP);
                sleep(lasts).await;
                node.signal(Signal::SIGCONT);
            }
            Fault::BrokerRestarts | Fault::BrokerCrashes => {
                let is_crash = *fault == Fault::BrokerCrashes;
                let mut nodes = join_all(world.nodes.iter().map(tokio::sync::Mutex::lock)).await;
                join_all(
                    nodes
                        .iter_mut()
                        .map(|node| async move { if is_crash { node.kill().await } else { node.stop().await } }),
                )
                .await;
                sleep(lasts).await;
                // They wait for each other.
                join_all(nodes.iter_mut().map(|node| node.start())).await;
            }
            Fault::WayCut(service, to) => {
                let way = world.services[*service].way(*to);
                way.cut().await;
                sleep(lasts).await;
                way.mend().await;
            }
            Fault::WaySlow(service, to, by) => self.pass(*service, *to, Pass::Slowly(*by), lasts).await,
            Fault::WayStalls(service, to) => self.pass(*service, *to, Pass::Never, lasts).await,
            Fault::Killed(member) => self.kill(&[*member], lasts).await,
            Fault::SeveralKilled(members) => self.kill(members, lasts).await,
            Fault::Stalled(member) => {
                let process = world.process(*member).await;
                process.signal(Signal::SIGSTOP);
                sleep(lasts).await;
                process.signal(Signal::SIGCONT);
            }
            Fault::Restarted(member) => {
                let mut process = world.process(*member).await;
                process.signal(Signal::SIGTERM);
                // With its servers away it may take as long as it is given.
                let status = process.wait().await;
                if status.code().is_none() {
                    self.note(format!("{member} was told to stop, and ended with {status}"));
                }
                process.start().await;
            }
            Fault::QueueFilled(messages) => echo.flood(*messages),
            Fault::EventsRepeated => {
                echo.repeat(true);
                sleep(lasts).await;
                echo.repeat(false);
            }
            Fault::Gateway(how) => self.trouble("gateway", how, lasts).await,
            Fault::Mail(how) => self.trouble("smtp", how, lasts).await,
            Fault::OutsideCut => {
                join_all(world.outside.iter().map(e2e::Proxy::cut)).await;
                sleep(lasts).await;
                join_all(world.outside.iter().map(e2e::Proxy::mend)).await;
            }
            Fault::OutsideStalls => {
                let sandbox = world.sandbox.lock().await;
                sandbox.signal(Signal::SIGSTOP);
                sleep(lasts).await;
                sandbox.signal(Signal::SIGCONT);
            }
        }
        true
    }

    fn note(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    async fn pass(&self, service: usize, to: To, pass: Pass, lasts: Duration) {
        debug_assert!(service < SERVICES.len());
        let way = self.world.services[service].way(to);
        way.pass(pass);
        sleep(lasts).await;
        way.pass(Pass::Freely);
    }

    async fn kill(&self, members: &[Member], lasts: Duration) {
        let mut processes = join_all(members.iter().map(|member| self.world.process(*member))).await;
        for process in &mut processes {
            process.kill().await;
        }
        sleep(lasts).await;
        for process in &mut processes {
            process.start().await;
        }
    }

    async fn trouble(&self, what: &str, how: &str, lasts: Duration) {
        let sandbox = self.world.sandbox.lock().await;
        sandbox.fault(what, how).await;
        sleep(lasts).await;
        sandbox.fault(what, "up").await;
    }
}
