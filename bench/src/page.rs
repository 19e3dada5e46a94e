//! `REPORT.md` and the pictures beside it. What it says in words is computed too; what people want to add stands between two
//! marks, and stays when the report is made again.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    chart::{Bars, Chart, Scale},
    curves::Curve,
    disk::ON_THE_WAY,
    floor::Versus,
    goals::{Goal, goals},
    measure::median,
    report::{Report, count, latency},
    scenario::Run,
};

const KEPT_FROM: &str = "<!-- what follows is written by people and kept when this report is made again -->";
const KEPT_TO: &str = "<!-- from here on everything is made again -->";

/// Writes the report and its pictures into a folder.
pub fn write(folder: &Path, command: &str, report: &Report) -> Result<()> {
    let file = folder.join("REPORT.md");
    let before = fs::read_to_string(&file).unwrap_or_default();
    let pictures = folder.join("report");
    fs::create_dir_all(&pictures).with_context(|| format!("cannot make {}", pictures.display()))?;
    // A picture of something that was not measured this time would be of another time.
    for entry in fs::read_dir(&pictures)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(entry.path())?;
        }
    }
    let mut page = Page { text: String::new(), pictures: Vec::new() };
    page.write(command, report, kept(&before));
    for (name, svg) in &page.pictures {
        fs::write(pictures.join(format!("{name}.svg")), svg)?;
    }
    fs::write(&file, page.text).with_context(|| format!("cannot write {}", file.display()))
}

/// What people have written.
fn kept(before: &str) -> &str {
    let between = before.split_once(KEPT_FROM).and_then(|(_, rest)| rest.split_once(KEPT_TO));
    between.map_or("", |(kept, _)| kept.trim())
}

struct Page {
    text: String,
    pictures: Vec<(String, String)>,
}

impl Page {
    fn write(&mut self, command: &str, report: &Report, kept: &str) {
        self.say("# Conveyor in figures\n");
        self.say(&format!(
            "Made by `{command}`; every figure is of that one run, but for those that people have written below.\n"
        ));
        for line in &report.machine {
            self.say(&format!("- {line}"));
        }
        self.goals(&goals(report));
        self.say(&format!("\n## What is slow, and why\n\n{KEPT_FROM}\n{kept}\n{KEPT_TO}\n"));
        self.where_time_goes(report);
        self.floor(&report.versus);
        for (name, curve) in ["batch", "workers", "history", "backlog"]
            .iter()
            .filter_map(|name| Some((*name, report.curves.iter().find(|curve| curve_name(curve) == *name)?)))
        {
            self.curve(name, curve);
        }
        self.load(&report.rates);
        self.memory(&report.versus);
        self.say("\n## Everything that was measured\n\n```");
        let text = report.text();
        self.say(text.trim_end());
        self.say("```\n");
        self.parts(report);
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.say(&format!("\n| {} |", head.join(" | ")));
        let aligned: Vec<&str> = head.iter().enumerate().map(|(i, _)| if i == 0 { "---" } else { "---:" }).collect();
        self.say(&format!("| {} |", aligned.join(" | ")));
        for row in rows {
            self.say(&format!("| {} |", row.join(" | ")));
        }
        self.say("");
    }

    fn picture(&mut self, name: &str, what: &str, svg: String) {
        self.say(&format!("![{what}](report/{name}.svg)\n"));
        self.pictures.push((name.to_owned(), svg));
    }

    fn goals(&mut self, goals: &[Goal]) {
        let held = goals.iter().filter(|goal| goal.held == Some(true)).count();
        let measured = goals.iter().filter(|goal| goal.held.is_some()).count();
        self.say(&format!("\n## Goals\n\n{held} of {measured} that were measured are held."));
        let row =
            |goal: &Goal| vec![goal.what.clone(), goal.wanted.clone(), goal.measured.clone(), goal.word().to_owned()];
        self.table(&["goal", "wanted", "measured", ""], goals.iter().map(row));
    }

    /// Processor by processor: the line, and what PostgreSQL and RabbitMQ would have needed for the same alone.
    fn where_time_goes(&mut self, report: &Report) {
        let Some(versus) = report.versus.iter().find(|versus| versus.authenticated) else { return };
        let line = medians(versus.runs.iter().map(|run| run.cpu.as_slice()));
        let floor = medians(versus.floors.iter().map(|floor| floor.cpu.as_slice()));
        let all: f64 = line.iter().map(|(_, seconds)| seconds).sum();
        let least: f64 = floor.iter().map(|(_, seconds)| seconds).sum();
        let mut by_size = line.clone();
        by_size.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let shares: Vec<String> =
            by_size.iter().take(4).map(|(name, seconds)| format!("{name} {:.0} %", seconds / all * 100.0)).collect();
        let busy = median(&versus.runs.iter().map(|run| run.busy_percent).collect::<Vec<_>>()).unwrap_or_default();
        self.say(&format!(
            "Flat out ({}), 1,000 orders take {all:.3} s of processor, and {busy:.0} % of all processors' time is used. The \
             largest shares: {}. The floor takes {least:.3} s for the same rows and messages: {:.0} % of it.\n",
            versus.name,
            shares.join(", "),
            least / all.max(1e-9) * 100.0
        ));
        let rows = vec![("the line".to_owned(), line.clone()), ("its floor".to_owned(), floor)];
        let bars = Bars {
            title: "Where the processors' time goes".to_owned(),
            unit: "CPU seconds per 1,000 orders".to_owned(),
            rows: rows.into_iter().map(|(what, parts)| (what, grouped(parts))).collect(),
        };
        self.picture("cpu", "CPU seconds per 1,000 orders, by process", bars.svg());
        self.table(
            &["CPU seconds per 1,000 orders", "the line"],
            line.iter().map(|(name, seconds)| vec![(*name).to_owned(), format!("{seconds:.4}")]),
        );
        for run in report.runs().filter(|run| run.disk.is_some_and(|disk| disk.one.max_ms > 50.0)) {
            let most = run.disk.map_or(0.0, |disk| disk.one.max_ms);
            self.say(&format!(
                "- {}: a small write to the disk took up to {most:.0} ms, and so did commits.",
                run.name
            ));
        }
    }

    fn floor(&mut self, versus: &[Versus]) {
        if versus.is_empty() {
            return;
        }
        self.say("\n## Beside the floor\n");
        self.say(
            "The floor is what the same PostgreSQL and RabbitMQ take for the rows and messages of the run right before it, \
             counted and done again in the best batches with no application between them. Medians over the rounds. The most \
             possible is what would be left if all processors did nothing but that, the door (the same requests, from the same \
             load generator, to an HTTP server that looks into none of them) and the words (each event is written once, and \
             read once for each who hears it; and each signature is checked, in the best batches).",
        );
        let number = |of: Option<f64>| of.map_or("-".to_owned(), count);
        let row = |versus: &Versus| {
            let shares: Vec<String> = versus.shares().iter().map(|share| format!("{share:.2}")).collect();
            vec![
                versus.name.clone(),
                number(versus.orders_per_second()),
                number(versus.floor_per_second()),
                format!("{:.2}", versus.share().unwrap_or_default()),
                shares.join(", "),
                median(&versus.doors).map_or("-".to_owned(), |seconds| format!("{seconds:.3}")),
                median(&versus.words).map_or("-".to_owned(), |seconds| format!("{seconds:.3}")),
                versus.most_possible().map_or("-".to_owned(), |share| format!("{share:.2}")),
            ]
        };
        let head = [
            "",
            "orders/s",
            "floor orders/s",
            "share of the floor",
            "round by round",
            "the door, CPU s for 1,000",
            "the words",
            "the most possible, as a share",
        ];
        self.table(&head, versus.iter().map(row));
        let both = |versus: &Versus| {
            let line = ("orders/s".to_owned(), versus.orders_per_second().unwrap_or(0.0));
            let more = versus.floor_per_second().unwrap_or(0.0) - line.1;
            (short_name(versus), vec![line, ("up to the floor".to_owned(), more.max(0.0))])
        };
        let bars = Bars {
            title: "Throughput and its floor".to_owned(),
            unit: "orders/s".to_owned(),
            rows: versus.iter().map(both).collect(),
        };
        self.picture("floor", "throughput and its floor", bars.svg());
    }

    fn curve(&mut self, name: &str, curve: &Curve) {
        self.say(&format!("\n## Throughput against {}\n", curve.what));
        let points = curve.points.iter().filter_map(|point| Some((point.at, point.per_second()?)));
        let scale = if name == "workers" { Scale::Linear } else { Scale::Log };
        let chart = Chart {
            title: format!("Throughput against {}", curve.what),
            x: (curve.what.to_owned(), scale),
            y: ("orders/s".to_owned(), Scale::Linear),
            series: vec![("orders/s".to_owned(), points.collect())],
            goal: None,
        };
        self.picture(name, &format!("throughput against {}", curve.what), chart.svg());
        let rows = curve.points.iter().map(|point| {
            let share = point.share().map_or("-".to_owned(), |share| format!("{share:.2}"));
            vec![count(point.at), count(point.per_second().unwrap_or(0.0)), share, point.runs.len().to_string()]
        });
        self.table(&[curve.what, "orders/s", "of the first, in the same minutes", "runs"], rows);
    }

    fn load(&mut self, rates: &[Run]) {
        if rates.is_empty() {
            return;
        }
        self.say("\n## Latency against load\n");
        let series = |name: &str, of: fn(&Run) -> f64| {
            (name.to_owned(), rates.iter().filter_map(|run| Some((run.rate?, of(run)))).collect())
        };
        let chart = Chart {
            title: "Latency against load".to_owned(),
            x: ("orders due per second".to_owned(), Scale::Log),
            y: ("ms".to_owned(), Scale::Log),
            series: vec![
                series("order to paid, p50", |run| run.order_to_paid.p50_ms),
                series("order to paid, p99", |run| run.order_to_paid.p99_ms),
                series("POST, p50", |run| run.post.p50_ms),
                series("POST, p99", |run| run.post.p99_ms),
            ],
            goal: None,
        };
        self.picture("load", "latency against load", chart.svg());
        let row = |run: &Run| {
            let due = run.rate.map_or("-".to_owned(), count);
            vec![
                due,
                count(run.end_to_end_per_second),
                latency(run.order_to_paid),
                latency(run.post),
                run.disk.map_or("-".to_owned(), |disk| latency(disk.on_the_way)),
                format!("{:.0} %", run.busy_percent),
            ]
        };
        let head = [
            "orders/s due",
            "carried",
            "order to paid, ms: p50 / p99 / most",
            "POST, ms: p50 / p99 / most",
            "the disk alone, ms: p50 / p99 / most",
            "processors busy",
        ];
        self.table(&head, rates.iter().map(row));
        self.say(&format!(
            "The disk alone: {ON_THE_WAY} small writes one after the other by another program in the same minute. An order \
             waits for it as often until it is paid.\n"
        ));
    }

    fn memory(&mut self, versus: &[Versus]) {
        let Some(run) = versus.iter().find(|versus| versus.authenticated).and_then(|versus| versus.runs.last()) else {
            return;
        };
        self.say("\n## Memory at full load\n");
        let services = run.memory.iter().filter(|(name, _)| *name != "RabbitMQ");
        let rows = services.map(|(name, memory)| ((*name).to_owned(), vec![("peak".to_owned(), memory.peak_mb)]));
        let bars = Bars {
            title: format!("Memory of the services ({})", run.name),
            unit: "peak RSS, MB".to_owned(),
            rows: rows.collect(),
        };
        self.picture("memory", "memory of the services at full load", bars.svg());
    }

    fn parts(&mut self, report: &Report) {
        let wrong = report.wrong();
        self.say("## What went wrong\n");
        if wrong.is_empty() {
            self.say("Nothing: of every run, every order went the whole way, once, and nothing was left in a queue.");
        }
        for wrong in wrong {
            self.say(&format!("- {wrong}"));
        }
        if !report.parts.is_empty() {
            let all: f64 = report.parts.iter().map(|part| part.seconds).sum();
            self.say(&format!("\nIt took {:.0} minutes:", all / 60.0));
            let row = |part: &crate::report::Part| vec![part.name.to_owned(), format!("{:.0}", part.seconds)];
            self.table(&["part", "seconds"], report.parts.iter().map(row));
        }
    }
}

/// The name of its picture.
fn curve_name(curve: &Curve) -> &'static str {
    match curve.what {
        what if what.contains("batch") => "batch",
        what if what.contains("worker") => "workers",
        what if what.contains("tables") => "history",
        _ => "backlog",
    }
}

fn short_name(versus: &Versus) -> String {
    format!("{}, auth {}", versus.connections, if versus.authenticated { "on" } else { "off" })
}

/// By name, the median of what each run used.
fn medians<'a>(runs: impl Iterator<Item = &'a [(&'static str, f64)]>) -> Vec<(&'static str, f64)> {
    let mut all: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for (name, seconds) in runs.flatten() {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(*seconds),
            None => all.push((name, vec![*seconds])),
        }
    }
    all.into_iter().filter_map(|(name, values)| Some((name, median(&values)?))).collect()
}

/// There are not so many colours: the workers count as one.
fn grouped(parts: Vec<(&'static str, f64)>) -> Vec<(String, f64)> {
    let mut groups: Vec<(String, f64)> = Vec::new();
    for (name, seconds) in parts {
        let name = if name.ends_with("-worker") { "workers" } else { name };
        match groups.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += seconds,
            None => groups.push((name.to_owned(), seconds)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_kept() {
        let folder = std::env::temp_dir().join(format!("conveyor-bench-page-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let report = Report::default();
        write(&folder, "x", &report).unwrap();
        let file = folder.join("REPORT.md");
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(kept(&text), "");
        fs::write(&file, text.replace(KEPT_TO, &format!("PostgreSQL is.\n{KEPT_TO}"))).unwrap();
        write(&folder, "x", &report).unwrap();
        let again = fs::read_to_string(&file).unwrap();
        assert_eq!(kept(&again), "PostgreSQL is.");
        assert_eq!(again.matches("PostgreSQL is.").count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn medians_are_by_name() {
        let runs: [&[(&'static str, f64)]; 3] = [&[("a", 1.0), ("b", 5.0)], &[("a", 9.0)], &[("a", 2.0)]];
        assert_eq!(medians(runs.into_iter()), [("a", 2.0), ("b", 5.0)]);
        assert_eq!(grouped(vec![("x-worker", 1.0), ("y-worker", 2.0)]), [("workers".to_owned(), 3.0)]);
    }
}
