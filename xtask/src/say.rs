//! What a person sees while a command works: one line per step, with the time
//! it happened. Everything goes to stderr, so that stdout can be read by a program; what was asked for goes to
//! stdout. Whoever stops reading (`| head`) misses the rest, and the work goes on.

use std::io::{Write as _, stderr, stdout};
use std::sync::OnceLock;
use std::time::Instant;

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Starts the clock that every line shows.
pub fn begin() {
    BEGAN.get_or_init(Instant::now);
}

/// Reports a step that begins or has been made.
pub fn step(text: impl AsRef<str>) {
    let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
    let _ = writeln!(stderr(), "[{:>6.1} s] {}", elapsed.as_secs_f64(), text.as_ref());
}

/// Adds detail to the step before.
pub fn detail(text: impl AsRef<str>) {
    for line in text.as_ref().lines() {
        let _ = writeln!(stderr(), "            {line}");
    }
}

/// A line of what was asked for.
pub fn out(text: impl AsRef<str>) {
    let _ = writeln!(stdout(), "{}", text.as_ref());
}
