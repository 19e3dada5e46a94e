//! What the system says about processes (`/proc`), and quantiles.

use std::{collections::HashMap, fmt::Display, fs, time::SystemTime};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Linux counts in hundredths of a second towards user space, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

struct Stat {
    parent: i32,
    /// User and system time.
    own_ticks: u64,
    /// That of children that have ended.
    children_ticks: u64,
}

/// Of a process, by its id, or of what else has a folder there.
fn stat(of: impl Display) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{of}/stat")).ok()?;
    // The name, in brackets, may hold anything: read on from its end.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |from: usize| {
        let (user, system): (u64, u64) = (fields.get(from)?.parse().ok()?, fields.get(from + 1)?.parse().ok()?);
        Some(user + system)
    };
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own_ticks: ticks(11)?, children_ticks: ticks(13)? })
}

pub fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|stat| stat.parent)
}

/// CPU seconds used so far by a process with all its descendants. A child that ends moves to its parent's account, so
/// nothing is lost between two readings.
pub fn cpu_seconds(root: i32) -> f64 {
    let processes: HashMap<i32, Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect();
    let is_of_the_family = |mut pid: i32| {
        while pid != root {
            match processes.get(&pid) {
                Some(stat) if stat.parent > 0 => pid = stat.parent,
                _ => return false,
            }
        }
        true
    };
    let family = processes.iter().filter(|(pid, _)| is_of_the_family(**pid));
    let ticks: u64 = family.map(|(_, stat)| stat.own_ticks + stat.children_ticks).sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// CPU seconds used so far by the process itself.
pub fn cpu_seconds_alone(pid: i32) -> Option<f64> {
    stat(pid).map(|stat| stat.own_ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds used so far by this thread, whatever others of the process do.
pub fn cpu_seconds_of_this_thread() -> Option<f64> {
    stat("thread-self").map(|stat| stat.own_ticks as f64 / TICKS_PER_SECOND)
}

/// The time of all processors together, since the machine started.
#[derive(Clone, Copy)]
pub struct Machine {
    pub at: SystemTime,
    pub busy_seconds: f64,
    pub all_seconds: f64,
}

impl Machine {
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen; the rest is in the first.
        let ticks: Vec<u64> = first.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self {
            at: SystemTime::now(),
            busy_seconds: (all - idle) as f64 / TICKS_PER_SECOND,
            all_seconds: all as f64 / TICKS_PER_SECOND,
        }
    }
}

/// Resident memory in megabytes (10⁶ bytes).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub rss_mb: f64,
    pub peak_mb: f64,
}

pub fn memory(pid: i32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let megabytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    };
    Some(Memory { rss_mb: megabytes("VmRSS:")?, peak_mb: megabytes("VmHWM:")? })
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Microseconds, kept to a thousandth of their size, however many there are.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    pub fn record(&mut self, microseconds: i64) {
        // The histogram grows by itself: no value is too large for it.
        let _ = self.0.record(u64::try_from(microseconds).unwrap_or(0));
    }

    pub fn sum_up(&self) -> Latency {
        let ms = |microseconds: u64| microseconds as f64 / 1e3;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Latency { p50_ms: at(0.50), p99_ms: at(0.99), max_ms: ms(self.0.max()) }
    }
}

pub fn median(of: &[f64]) -> Option<f64> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len().checked_sub(1)? / 2;
    Some((sorted.get(half)? + sorted.get(sorted.len() / 2)?) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_parent_time_and_memory() {
        let me = std::process::id().cast_signed();
        assert!(parent(me).unwrap() > 0);
        assert!(cpu_seconds(me) >= 0.0);
        let memory = memory(me).unwrap();
        assert!(memory.rss_mb > 0.1 && memory.rss_mb <= memory.peak_mb);
        assert!(Machine::now().all_seconds > Machine::now().busy_seconds);
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latencies = Latencies::new().unwrap();
        (1..=100).for_each(|ms| latencies.record(ms * 1_000));
        let latency = latencies.sum_up();
        assert!((latency.p50_ms - 50.0).abs() < 0.1 && (latency.p99_ms - 99.0).abs() < 0.1);
    }
}
