//! A small picture of how much a queue held: SVG, with attributes only, so that it needs no style and no script.

use std::fmt::Write as _;

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;

/// A line from the left (then) to the right (now). It takes its colour from the text around it; for those who do not see
/// it, it says the least and the most.
#[must_use]
pub fn sparkline(held: &[u64]) -> String {
    let most = held.iter().copied().max().unwrap_or(0);
    let label = match (held.iter().copied().min(), held.last()) {
        (Some(least), Some(now)) => format!("from {least} to {most} messages, now {now}"),
        _ => "nothing is remembered yet".to_owned(),
    };
    let step = WIDTH / (held.len().max(2) - 1) as f64;
    let mut points = String::new();
    for (i, value) in held.iter().enumerate() {
        let share = if most == 0 { 0.0 } else { *value as f64 / most as f64 };
        let (x, y) = (i as f64 * step, 1.0 + (HEIGHT - 2.0) * (1.0 - share));
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"{label}\" preserveAspectRatio=\"none\"><polyline points=\"{}\" fill=\"none\" \
         stroke=\"currentColor\" stroke-width=\"1.5\" vector-effect=\"non-scaling-stroke\"/></svg>",
        points.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_without_style_or_script() {
        let svg = sparkline(&[0, 5, 10]);
        assert!(svg.contains("points=\"0.0,23.0 60.0,12.0 120.0,1.0\""), "{svg}");
        assert!(svg.contains("aria-label=\"from 0 to 10 messages, now 10\""), "{svg}");
        assert!(!svg.contains("style") && !svg.contains("script"), "{svg}");
        for odd in [&[] as &[u64], &[0], &[u64::MAX, 0]] {
            let svg = sparkline(odd);
            assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
