//! What the project has set itself, and what came of it.

use serde::Serialize;

use crate::{
    complete::SATURATED_MS,
    curves::{Curve, Point},
    floor::Versus,
    measure::median,
    report::{Report, count},
    scenario::Run,
};

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Goal {
    pub what: String,
    pub wanted: String,
    pub measured: String,
    /// Unknown, where it was not measured.
    pub held: Option<bool>,
}

#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

impl Goal {
    fn new(what: &str, bound: Bound, measured: Option<f64>, unit: &str) -> Self {
        let written = |number: f64| match number {
            n if n >= 1_000.0 => count(n),
            n if unit.is_empty() => format!("{n:.2}"),
            n => format!("{n:.1}"),
        };
        let (sign, level) = match bound {
            Bound::Least(level) => ("≥", level),
            Bound::Most(level) => ("≤", level),
        };
        let held = measured.map(|measured| match bound {
            Bound::Least(level) => measured >= level,
            Bound::Most(level) => measured <= level,
        });
        Self {
            what: what.to_owned(),
            wanted: format!("{sign} {}{unit}", written(level)),
            measured: measured.map_or("not measured".to_owned(), |measured| format!("{}{unit}", written(measured))),
            held,
        }
    }

    pub fn word(&self) -> &'static str {
        match self.held {
            Some(true) => "held",
            Some(false) => "**not held**",
            None => "not measured",
        }
    }
}

pub fn goals(report: &Report) -> Vec<Goal> {
    use Bound::{Least, Most};
    let versus = |connections, authenticated| {
        let is_it = |it: &&Versus| it.connections == connections && it.authenticated == authenticated;
        report.versus.iter().find(is_it)
    };
    let share = |connections, authenticated| versus(connections, authenticated).and_then(Versus::share);
    let full_load = versus(64, true);
    let of_runs = |of: fn(&Run) -> f64| median(&full_load?.runs.iter().map(of).collect::<Vec<_>>());
    // A load that was not tried because less was too much already is a goal missed, not one unknown.
    let is_too_much = |rate: f64| {
        let less = |run: &&Run| run.rate.is_some_and(|less| less < rate);
        report.rates.iter().filter(less).any(|run| run.order_to_paid.p99_ms > SATURATED_MS)
    };
    let at = |rate: f64, of: fn(&Run) -> f64| {
        let run = report.rates.iter().find(|run| run.rate == Some(rate));
        run.map(of).or_else(|| is_too_much(rate).then_some(f64::INFINITY))
    };
    let curve = |what: &str| report.curves.iter().find(|curve| curve.what.contains(what));
    let ends = |curve: Option<&Curve>| {
        let at = |point: Option<&Point>| point.map_or("?".to_owned(), |point| count(point.at));
        let points = curve.map(|curve| curve.points.as_slice()).unwrap_or_default();
        (at(points.first()), at(points.last()), points.last().and_then(Point::share))
    };
    let (few_orders, many_orders, with_history) = ends(curve("tables"));
    let (few_messages, many_messages, with_backlog) = ends(curve("wait"));
    let (few_workers, many_workers, with_workers) = ends(curve("worker"));
    vec![
        Goal::new("share of the floor, 64 connections, authentication off", Least(0.7), share(64, false), ""),
        Goal::new("share of the floor, 256 connections, authentication off", Least(0.85), share(256, false), ""),
        Goal::new("share of the floor, 64 connections, authentication on", Least(0.6), share(64, true), ""),
        Goal::new("share of the floor, 256 connections, authentication on", Least(0.6), share(256, true), ""),
        Goal::new(
            "orders/s from request to notification, authentication on (the better of 64 and 256 connections)",
            Least(8_000.0),
            [64, 256].into_iter().filter_map(|n| versus(n, true)?.orders_per_second()).reduce(f64::max),
            "",
        ),
        Goal::new("order to paid at 20 orders/s, median", Most(8.0), at(20.0, |run| run.order_to_paid.p50_ms), " ms"),
        Goal::new(
            "order to paid at 20 orders/s, 99th percentile",
            Most(15.0),
            at(20.0, |run| run.order_to_paid.p99_ms),
            " ms",
        ),
        Goal::new(
            "order to paid at 4,000 orders/s, 99th percentile",
            Most(60.0),
            at(4_000.0, |run| run.order_to_paid.p99_ms),
            " ms",
        ),
        Goal::new(
            "POST at full load over 64 connections, 99th percentile",
            Most(30.0),
            of_runs(|run| run.post.p99_ms),
            " ms",
        ),
        Goal::new(
            "memory of all services at full load (the sum of their peaks)",
            Most(120.0),
            of_runs(Run::services_peak_mb),
            " MB",
        ),
        Goal::new(
            &format!("throughput with {many_orders} orders in the tables, as a share of that with {few_orders}"),
            Least(0.9),
            with_history,
            "",
        ),
        Goal::new(
            &format!("throughput with {many_messages} messages waiting, as a share of that with {few_messages}"),
            Least(0.9),
            with_backlog,
            "",
        ),
        Goal::new(
            &format!("throughput of {many_workers} workers per queue, as a share of that of {few_workers}"),
            Least(1.0),
            with_workers,
            "",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_held_missed_or_unknown() {
        let goal = |measured| Goal::new("x", Bound::Most(60.0), measured, " ms");
        assert_eq!((goal(Some(60.0)).held, goal(Some(60.1)).held, goal(None).held), (Some(true), Some(false), None));
        assert_eq!(goal(Some(60.1)).measured, "60.1 ms");
        let goal = Goal::new("x", Bound::Least(8_000.0), Some(7_999.0), "");
        assert_eq!((goal.wanted.as_str(), goal.measured.as_str(), goal.held), ("≥ 8,000", "7,999", Some(false)));
    }

    #[test]
    fn nothing_measured_is_nothing_held() {
        assert!(goals(&Report::default()).iter().all(|goal| goal.held.is_none()));
    }
}
