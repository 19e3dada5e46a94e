//! Pictures of figures, as SVG: readable on light and on dark paper, for they bring their own.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
/// What stands round the field: to the left, right, above and below.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const ABOVE: f64 = 74.0;
const BELOW: f64 = 58.0;
/// Labels nearer than this would run into each other.
const APART: f64 = 44.0;
/// As many colours as there may be series; they can be told apart by those who see fewer.
const SERIES: usize = 6;

const STYLE: &str = "<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.paper{fill:#fff}
.grid{stroke:#d8dee4}.axis{stroke:#57606a}.goal{stroke:#57606a;stroke-dasharray:6 4}polyline{fill:none;stroke-width:2.5}
.l0{stroke:#0072b2}.l1{stroke:#d55e00}.l2{stroke:#009e73}.l3{stroke:#b3679b}.l4{stroke:#c78a00}.l5{stroke:#7a7a7a}
.f0{fill:#0072b2}.f1{fill:#d55e00}.f2{fill:#009e73}.f3{fill:#b3679b}.f4{fill:#c78a00}.f5{fill:#7a7a7a}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}.axis,.goal{stroke:#8b949e}
.l0{stroke:#56b4e9}.l1{stroke:#ff8a4c}.l2{stroke:#2fc79a}.l3{stroke:#e59ac9}.l4{stroke:#f0b429}.l5{stroke:#b0b0b0}
.f0{fill:#56b4e9}.f1{fill:#ff8a4c}.f2{fill:#2fc79a}.f3{fill:#e59ac9}.f4{fill:#f0b429}.f5{fill:#b0b0b0}}
</style>
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From nothing.
    Linear,
    Log,
}

/// Lines over a field.
pub struct Chart {
    pub title: String,
    pub x: (String, Scale),
    pub y: (String, Scale),
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    /// A level that is to be reached, or not to be passed.
    pub goal: Option<(String, f64)>,
}

/// Stacked bars, one for each row.
pub struct Bars {
    pub title: String,
    pub unit: String,
    pub rows: Vec<(String, Vec<(String, f64)>)>,
}

/// One axis: which values lie between which two places.
struct Axis {
    scale: Scale,
    values: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite())
            .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        let values = match scale {
            _ if least > most => (0.0, 1.0),
            Scale::Linear => (0.0, if most > 0.0 { most * 1.06 } else { 1.0 }),
            // A little room on both sides; nothing and less than nothing have no place.
            Scale::Log => (least.max(1e-3) * 0.85, most.max(2e-3) * 1.2),
        };
        Self { scale, values, places }
    }

    fn place(&self, value: f64) -> f64 {
        let on_scale = |value: f64| if self.scale == Scale::Log { value.max(1e-3).ln() } else { value };
        let (first, last) = (on_scale(self.values.0), on_scale(self.values.1));
        self.places.0 + (on_scale(value) - first) / (last - first) * (self.places.1 - self.places.0)
    }

    /// Round values: 1, 2 and 5 times powers of ten.
    fn ticks(&self) -> Vec<f64> {
        let (least, most) = self.values;
        match self.scale {
            Scale::Linear => {
                let rough = most / 6.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough);
                let step = step.unwrap_or(10.0 * power);
                (0..).map(|i| f64::from(i) * step).take_while(|value| *value <= most).collect()
            }
            Scale::Log => {
                let decades = (-3..10).map(|power| 10_f64.powi(power));
                let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|n| n * decade));
                ticks.filter(|value| (least..=most).contains(value)).collect()
            }
        }
    }
}

impl Chart {
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let x = Axis::new(self.x.1, points().map(|(x, _)| *x), (LEFT, WIDTH - RIGHT));
        let goal = self.goal.as_ref().map(|(_, level)| *level);
        let y = Axis::new(self.y.1, points().map(|(_, y)| *y).chain(goal), (HEIGHT - BELOW, ABOVE));
        let mut svg = begin(&self.title, HEIGHT);
        for tick in y.ticks() {
            let at = y.place(tick);
            line(&mut svg, "grid", (LEFT, at), (WIDTH - RIGHT, at));
            text(&mut svg, (LEFT - 8.0, at + 4.0), "end", &short(tick));
        }
        // Along the bottom, what was measured.
        let mut measured: Vec<f64> = points().map(|(x, _)| *x).collect();
        measured.sort_by(f64::total_cmp);
        measured.dedup();
        let mut last = f64::MIN;
        for tick in measured {
            let at = x.place(tick);
            line(&mut svg, "axis", (at, HEIGHT - BELOW), (at, HEIGHT - BELOW + 5.0));
            if at - last >= APART {
                text(&mut svg, (at, HEIGHT - BELOW + 20.0), "middle", &short(tick));
                last = at;
            }
        }
        line(&mut svg, "axis", (LEFT, HEIGHT - BELOW), (WIDTH - RIGHT, HEIGHT - BELOW));
        line(&mut svg, "axis", (LEFT, ABOVE), (LEFT, HEIGHT - BELOW));
        text(&mut svg, (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 14.0), "middle", &self.x.0);
        let middle = f64::midpoint(ABOVE, HEIGHT - BELOW);
        let _ = writeln!(
            svg,
            "<text transform=\"translate(20 {middle:.0}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(&self.y.0)
        );
        if let Some((name, level)) = &self.goal {
            let at = y.place(*level);
            line(&mut svg, "goal", (LEFT, at), (WIDTH - RIGHT, at));
            text(&mut svg, (WIDTH - RIGHT, at - 6.0), "end", name);
        }
        for (i, (_, points)) in self.series.iter().enumerate() {
            let colour = i % SERIES;
            let places: Vec<(f64, f64)> = points.iter().map(|(px, py)| (x.place(*px), y.place(*py))).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"l{colour}\" points=\"{}\"/>", path.join(" "));
            for (x, y) in places {
                let _ = writeln!(svg, "<circle class=\"f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
            }
        }
        legend(&mut svg, self.series.iter().map(|(name, _)| name.as_str()));
        svg + "</svg>\n"
    }
}

impl Bars {
    pub fn svg(&self) -> String {
        const ROW: f64 = 38.0;
        const LABELS: f64 = 190.0;
        let height = ABOVE + self.rows.len() as f64 * ROW + BELOW;
        let sum = |parts: &[(String, f64)]| parts.iter().map(|(_, value)| value).sum::<f64>();
        // Room for the sum behind the longest.
        let x = Axis::new(Scale::Linear, self.rows.iter().map(|(_, parts)| sum(parts) * 1.08), (LABELS, WIDTH - RIGHT));
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|(_, parts)| parts) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut svg = begin(&self.title, height);
        for tick in x.ticks() {
            let at = x.place(tick);
            line(&mut svg, "grid", (at, ABOVE), (at, height - BELOW));
            text(&mut svg, (at, height - BELOW + 20.0), "middle", &short(tick));
        }
        for (i, (label, parts)) in self.rows.iter().enumerate() {
            let top = ABOVE + i as f64 * ROW + 6.0;
            text(&mut svg, (LABELS - 8.0, top + 18.0), "end", label);
            let mut from = 0.0;
            for (name, value) in parts {
                let colour = names.iter().position(|known| known == name).unwrap_or(0) % SERIES;
                let (left, right) = (x.place(from), x.place(from + value));
                let _ = writeln!(
                    svg,
                    "<rect class=\"f{colour}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"26\"/>",
                    right - left
                );
                from += value;
            }
            text(&mut svg, (x.place(from) + 6.0, top + 18.0), "start", &short(from));
        }
        text(&mut svg, (f64::midpoint(LABELS, WIDTH - RIGHT), height - 14.0), "middle", &self.unit);
        legend(&mut svg, names.into_iter());
        svg + "</svg>\n"
    }
}

fn begin(title: &str, height: f64) -> String {
    let title = escaped(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\"><title>{title}</title>\n{STYLE}"
    );
    let _ = writeln!(svg, "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>");
    let _ = writeln!(svg, "<text class=\"title\" x=\"{}\" y=\"28\">{title}</text>", 20);
    svg
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let (x, y) = at;
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

/// In one line below the title. One series alone is named by the axis.
fn legend<'a>(svg: &mut String, names: impl Iterator<Item = &'a str>) {
    let names: Vec<&str> = names.collect();
    if names.len() < 2 {
        return;
    }
    let mut left = 20.0;
    for (i, name) in names.iter().enumerate() {
        let _ = writeln!(svg, "<rect class=\"f{}\" x=\"{left:.0}\" y=\"43\" width=\"12\" height=\"12\"/>", i % SERIES);
        text(svg, (left + 18.0, 54.0), "start", name);
        left += 38.0 + name.chars().count() as f64 * 7.2;
    }
}

/// A number in few signs: 250, 0.35, 20k, 1.5M.
pub fn short(number: f64) -> String {
    let (number, unit) = match number.abs() {
        n if n >= 1e6 => (number / 1e6, "M"),
        n if n >= 1e4 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let digits = match number.abs() {
        n if n >= 100.0 || n == 0.0 => 0,
        n if n >= 1.0 => 1,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.125, 2.5, 20.0, 999.0, 4_000.0, 20_000.0, 1_500_000.0];
        assert_eq!(numbers.map(short), ["0", "0.125", "2.5", "20", "999", "4000", "20k", "1.5M"]);
    }

    #[test]
    fn values_have_their_places() {
        let linear = Axis::new(Scale::Linear, [0.0, 100.0].into_iter(), (0.0, 106.0));
        assert!((linear.place(0.0)).abs() < 1e-9 && (linear.place(100.0) - 100.0).abs() < 1e-9);
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let log = Axis::new(Scale::Log, [1.0, 100.0].into_iter(), (0.0, 1.0));
        assert!((log.place(10.0) - 0.5).abs() < 0.02);
        assert_eq!(log.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        // Nothing was measured: still a field.
        assert!(Axis::new(Scale::Log, std::iter::empty(), (0.0, 1.0)).place(0.5).is_finite());
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let chart = Chart {
            title: "A < B".to_owned(),
            x: ("orders".to_owned(), Scale::Log),
            y: ("orders/s".to_owned(), Scale::Linear),
            series: vec![("one".to_owned(), vec![(1.0, 2.0), (256.0, 4.0)]), ("two".to_owned(), Vec::new())],
            goal: Some(("goal 3".to_owned(), 3.0)),
        };
        let svg = chart.svg();
        for part in ["A &lt; B", "orders/s", ">256<", "goal 3", "prefers-color-scheme:dark", ">two<"] {
            assert!(svg.contains(part), "{part}");
        }
        let rows = vec![("line".to_owned(), vec![("PostgreSQL".to_owned(), 0.1), ("RabbitMQ".to_owned(), 0.05)])];
        let bars = Bars { title: "CPU".to_owned(), unit: "s".to_owned(), rows }.svg();
        assert!(bars.contains(">0.15<") && !bars.contains("NaN") && !svg.contains("NaN"));
    }
}
