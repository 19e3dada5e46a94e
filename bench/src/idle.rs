//! What a service costs while it does nothing, and how soon it is there.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::{
    line::{KINDS, Line},
    measure::{self, Memory},
    scenario::Bench,
};

#[derive(Serialize)]
pub struct Idle {
    pub services: Vec<IdleService>,
}

#[derive(Serialize)]
pub struct IdleService {
    pub name: &'static str,
    /// All four at once, on an empty broker: its queues have to be made.
    pub first_start_ms: f64,
    /// By itself, with the queues there; in the order they were taken.
    pub restarts_ms: Vec<f64>,
    pub memory: Option<Memory>,
    /// CPU seconds per minute of doing nothing.
    pub cpu_per_minute: f64,
}

const RESTARTS: usize = 5;
const REST: Duration = Duration::from_secs(10);

impl Bench {
    pub async fn idle(&self) -> Result<Idle> {
        self.progress.step("idle: starting all services on an empty broker");
        let place = self.place("idle").await?;
        let mut line = Line::new(&self.plan, &place).await?;
        line.start_all()?;
        let first = line.ready().await?;
        self.progress.step(&format!("idle: {} s of rest", REST.as_secs()));
        let cpu: Vec<f64> = line.services.iter().map(|service| measure::cpu_seconds(service.pid)).collect();
        tokio::time::sleep(REST).await;
        let mut services = Vec::new();
        for ((service, (name, first)), cpu) in line.services.iter().zip(first).zip(cpu) {
            services.push(IdleService {
                name,
                first_start_ms: milliseconds(first),
                restarts_ms: Vec::new(),
                memory: measure::memory(service.pid),
                cpu_per_minute: (measure::cpu_seconds(service.pid) - cpu) * 60.0 / REST.as_secs_f64(),
            });
        }
        line.stop().await?;
        for (kind, service) in KINDS.iter().zip(&mut services) {
            self.progress.step(&format!("idle: restarting {} {RESTARTS} times", kind.name));
            for _ in 0..RESTARTS {
                line.start(kind)?;
                service.restarts_ms.extend(line.ready().await?.into_iter().map(|(_, took)| milliseconds(took)));
                line.stop().await?;
            }
        }
        self.servers.remove(&place.name).await?;
        Ok(Idle { services })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
