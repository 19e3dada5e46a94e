//! The figures, for people and for programs.

use serde::Serialize;

use crate::{
    curves::Curve,
    disk::{Disk, ON_THE_WAY},
    flash::Sale,
    floor::Versus,
    idle::Idle,
    measure::{Latency, median},
    scenario::Run,
    waiting::Waiting,
};

/// Beyond this share of the machine, in percent, others have spoilt the figures.
const OTHERS_MOST: f64 = 10.0;

/// Beyond this, it was the disk that the slowest waited for.
const DISK_MOST_MS: f64 = 50.0;

/// Everything that was measured, as `--json` writes it.
#[derive(Serialize, Default)]
pub struct Report {
    /// What it was measured on.
    pub machine: Vec<String>,
    pub throughput: Vec<Run>,
    /// Throughput beside its floor.
    pub versus: Vec<Versus>,
    /// How many times the second throughput the first is, when both were measured.
    pub ratio: Option<f64>,
    /// Round by round, what is carried as it is, as a share of what is carried with another setting.
    pub shares: Vec<f64>,
    pub rates: Vec<Run>,
    pub backlog: Option<Run>,
    pub overload: Option<Run>,
    pub waiting: Vec<Waiting>,
    /// Pair by pair: with parcels and batches, and without.
    pub flash: Vec<Sale>,
    pub idle: Option<Idle>,
    /// Throughput against one thing and another.
    pub curves: Vec<Curve>,
    /// Parts of a whole report, and how they went.
    pub parts: Vec<Part>,
}

#[derive(Serialize)]
pub struct Part {
    pub name: &'static str,
    pub seconds: f64,
    /// Why there are no figures of it.
    pub failure: Option<String>,
}

impl Report {
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        let throughput = self.throughput.iter().chain(self.versus.iter().flat_map(|versus| &versus.runs));
        let curves = self.curves.iter().flat_map(Curve::runs);
        throughput.chain(&self.rates).chain(&self.backlog).chain(&self.overload).chain(curves)
    }

    /// What went wrong, by run.
    pub fn wrong(&self) -> Vec<String> {
        let of = |run: &Run| {
            let failures = (run.failed > 0).then(|| {
                format!("{} orders failed, the first with: {}", run.failed, run.first_failure.as_deref().unwrap_or("?"))
            });
            // Only a line that is sent too much on purpose may refuse any.
            let on_purpose = self.overload.as_ref().is_some_and(|overload| std::ptr::eq(overload, run));
            let refusals = run
                .refused
                .as_ref()
                .filter(|_| !on_purpose)
                .map(|refused| format!("{} orders were told that there is too much to do", refused.orders));
            let all = failures.into_iter().chain(refusals).chain(run.wrong.iter().cloned());
            all.map(|what| format!("{}: {what}", run.name)).collect::<Vec<_>>()
        };
        let waiting = self.waiting.iter().flat_map(|waiting| &waiting.wrong).map(|what| format!("waiting: {what}"));
        let sales = self.flash.iter().flat_map(|sale| sale.wrong.iter().map(|what| format!("{}: {what}", sale.name)));
        let parts = self.parts.iter().filter_map(|part| Some(format!("{}: {}", part.name, part.failure.as_ref()?)));
        self.runs().flat_map(of).chain(waiting).chain(sales).chain(parts).collect()
    }

    pub fn text(&self) -> String {
        let mut text = self.machine.iter().map(|line| format!("{line}\n")).collect::<String>();
        if !self.throughput.is_empty() {
            text.push_str(&section("Flat out", &self.throughput, Vec::new()));
            if let Some(median) = median(&self.shares) {
                let each: Vec<String> = self.shares.iter().map(|share| format!("{:.1} %", share * 100.0)).collect();
                text.push_str(&format!(
                    "\nEnd to end, as it is, of what is carried with the setting: {}; median {:.1} %.\n",
                    each.join(", "),
                    median * 100.0
                ));
            }
            if let Some(ratio) = self.ratio {
                text.push_str(&format!("\nEnd to end, parcels and batches carry {ratio:.1} times as much.\n"));
            }
        }
        for versus in &self.versus {
            text.push_str(&versus.text());
            text.push_str(&section("Flat out", &versus.runs, Vec::new()));
        }
        text.extend(self.curves.iter().map(Curve::text));
        if !self.rates.is_empty() {
            text.push_str(&section("Steady arrivals", &self.rates, Vec::new()));
        }
        if let Some(run) = &self.backlog {
            let drained = run.drained.as_ref();
            let extra = vec![
                Row::new("drained in, s", drained.map(|d| format!("{:.1}", d.seconds))),
                Row::new("drained orders/s", drained.map(|d| count(d.per_second))),
            ];
            text.push_str(&section("Backlog", std::slice::from_ref(run), extra));
        }
        if let Some(run) = &self.overload {
            text.push_str(&section("Overload", std::slice::from_ref(run), refusals(run)));
        }
        text.extend(self.waiting.iter().map(Waiting::text));
        if !self.flash.is_empty() {
            text.push_str(&flash_text(&self.flash));
        }
        if let Some(idle) = &self.idle {
            text.push_str(&idle_text(idle));
        }
        text.push_str(&format!(
            "\nOrder to paid: from the sending of the request (with steady arrivals: from when it was due) to the\n\
             moment written in the order's timeline, by the one clock of this machine. POST: until the whole answer is\n\
             there. End to end: first request to last notification recorded. MB are 10^6 bytes. \"Everything else\" is\n\
             what the machine did besides. Disk: what another program needs to write 8 KB through to it; an order\n\
             waits for it {ON_THE_WAY} times, once after the other, until it is paid.\n",
        ));
        for run in self.runs() {
            if let Some(disk) = run.disk.filter(|disk| disk.one.max_ms > DISK_MOST_MS) {
                text.push_str(&format!(
                    "\n{}: a small write to the disk took up to {:.0} ms, and so did commits.\n",
                    run.name, disk.one.max_ms
                ));
            }
        }
        if self.runs().any(|run| run.others_percent > OTHERS_MOST) {
            text.push_str("\nThe machine was busy with other things as well: it can do better than this.\n");
        }
        text
    }
}

fn refusals(run: &Run) -> Vec<Row> {
    let refused = run.refused.as_ref();
    vec![
        Row::new("orders refused (503)", refused.map(|r| count(r.orders as f64))),
        Row::new("refusals, ms: p50 / p99 / most", refused.map(|r| latency(r.latency))),
        Row::new("orders accepted and lost", refused.map(|r| r.lost.to_string())),
        Row::new(
            "order-api before the load (RSS), MB",
            refused.and_then(|r| r.rss_before_mb).map(|mb| format!("{mb:.1}")),
        ),
    ]
}

struct Row {
    label: String,
    cells: Vec<String>,
}

impl Row {
    fn new(label: impl Into<String>, cells: impl IntoIterator<Item = String>) -> Self {
        Self { label: label.into(), cells: cells.into_iter().collect() }
    }
}

fn section(title: &str, runs: &[Run], extra: Vec<Row>) -> String {
    let row = |label: &str, cell: &dyn Fn(&Run) -> String| Row::new(label, runs.iter().map(cell));
    let mut rows = vec![
        row("", &|run| run.name.clone()),
        row("orders", &|run| count(run.orders as f64)),
        row("orders failed", &|run| run.failed.to_string()),
        row("accepted orders/s", &|run| count(run.accepted_per_second)),
        row("end-to-end orders/s", &|run| count(run.end_to_end_per_second)),
    ];
    rows.extend(extra);
    rows.push(row("POST, ms: p50 / p99 / most", &|run| latency(run.post)));
    rows.push(row("order to paid, ms: p50 / p99 / most", &|run| latency(run.order_to_paid)));
    rows.push(Row::new("CPU seconds per 1,000 orders", []));
    for name in names(runs, |run| run.cpu.iter().map(|(name, _)| *name).collect()) {
        rows.push(row(&format!("  {name}"), &|run| find(&run.cpu, name).map_or("-".to_owned(), |s| format!("{s:.3}"))));
    }
    rows.push(row("processors busy: in all / everything else", &|run| {
        format!("{:.0} % / {:.0} %", run.busy_percent, run.others_percent)
    }));
    let disk = |run: &Run, of: fn(Disk) -> Latency| run.disk.map_or("-".to_owned(), |disk| latency(of(disk)));
    rows.push(row("disk, ms for 8 KB: p50 / p99 / most", &|run| disk(run, |disk| disk.one)));
    rows.push(row(&format!("the same {ON_THE_WAY} times in a row"), &|run| disk(run, |disk| disk.on_the_way)));
    rows.push(Row::new("memory (RSS), MB: now / peak", []));
    for name in names(runs, |run| run.memory.iter().map(|(name, _)| *name).collect()) {
        let cell = |run: &Run| {
            find(&run.memory, name).map_or("-".to_owned(), |m| format!("{:.1} / {:.1}", m.rss_mb, m.peak_mb))
        };
        rows.push(row(&format!("  {name}"), &cell));
    }
    format!("\n{title}\n{}", aligned(&rows))
}

fn flash_text(sales: &[Sale]) -> String {
    let row = |label: &str, cell: &dyn Fn(&Sale) -> String| Row::new(label, sales.iter().map(cell));
    let rows = [
        row("", &|sale| sale.name.to_owned()),
        row("sold / told that there are no more", &|sale| format!("{} / {}", sale.sold, count(sale.refused as f64))),
        row("decided in, s", &|sale| format!("{:.3}", sale.seconds)),
        row("decided orders/s", &|sale| count(sale.decided_per_second)),
    ];
    let ratios: Vec<f64> = sales
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [batched, plain] => Some(batched.decided_per_second / plain.decided_per_second),
            _ => None,
        })
        .collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.1}")).collect();
    let median = median(&ratios).unwrap_or_default();
    format!(
        "\nFlash sale\n{}\nParcels and batches decide so many times as fast: {}; median {median:.1}.\n",
        aligned(&rows),
        each.join(", ")
    )
}

fn idle_text(idle: &Idle) -> String {
    let row = |label: &str, cell: &dyn Fn(&crate::idle::IdleService) -> String| {
        Row::new(label, idle.services.iter().map(cell))
    };
    let sorted = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times
    };
    let rows = [
        row("", &|s| s.name.to_owned()),
        row("ready, ms: all at once, empty broker", &|s| format!("{:.0}", s.first_start_ms)),
        row("ready, ms: restarted alone, median", &|s| {
            let times = sorted(&s.restarts_ms);
            times.get(times.len() / 2).map_or("-".to_owned(), |ms| format!("{ms:.0}"))
        }),
        row("ready, ms: restarted alone, most", &|s| {
            sorted(&s.restarts_ms).last().map_or("-".to_owned(), |ms| format!("{ms:.0}"))
        }),
        row("memory (RSS), MB: now / peak", &|s| {
            s.memory.map_or("-".to_owned(), |m| format!("{:.1} / {:.1}", m.rss_mb, m.peak_mb))
        }),
        row("CPU seconds per minute", &|s| format!("{:.2}", s.cpu_per_minute)),
    ];
    format!("\nIdle\n{}", aligned(&rows))
}

/// All names, in the order in which they are first met.
fn names(runs: &[Run], of: impl Fn(&Run) -> Vec<&'static str>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in runs.iter().flat_map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn find<T: Copy>(pairs: &[(&'static str, T)], name: &str) -> Option<T> {
    pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

pub fn latency(latency: Latency) -> String {
    format!("{:.1} / {:.1} / {:.1}", latency.p50_ms, latency.p99_ms, latency.max_ms)
}

/// A whole number with commas.
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Labels to the left, figures to the right.
fn aligned(rows: &[Row]) -> String {
    let width = |text: &str| text.chars().count();
    let labels = rows.iter().map(|row| width(&row.label)).max().unwrap_or(0);
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|i| rows.iter().filter_map(|row| row.cells.get(i)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("  {:labels$}", row.label);
        for (cell, width) in row.cells.iter().zip(&widths) {
            line.push_str(&format!("   {cell:>width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        assert_eq!([0.0, 999.0, 1_000.0, 1_234_567.0].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows =
            [Row::new("a", ["1".into(), "22".into()]), Row::new("long", ["333".into(), "4".into()]), Row::new("b", [])];
        assert_eq!(aligned(&rows), "  a        1   22\n  long   333    4\n  b\n");
    }
}
