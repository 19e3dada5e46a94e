//! What a person sees while it runs: one line, rewritten on a terminal, now and then a new one elsewhere.

use std::{
    cell::Cell,
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

pub struct Progress {
    terminal: bool,
    said: Cell<Instant>,
    /// A line stands on the terminal that is to be rewritten.
    open: Cell<bool>,
}

impl Progress {
    pub fn new() -> Self {
        Self { terminal: stderr().is_terminal(), said: Cell::new(Instant::now()), open: Cell::new(false) }
    }

    /// Something begins.
    pub fn step(&self, text: &str) {
        self.close();
        self.said.set(Instant::now());
        eprintln!("{text}");
    }

    /// How far it is.
    pub fn tick(&self, text: &str) {
        if self.terminal {
            // Back to the start of the line, and clear what is left of the one before.
            eprint!("\r  {text}\x1b[K");
            let _ = stderr().flush();
            self.open.set(true);
        } else if self.said.get().elapsed() > Duration::from_secs(5) {
            self.said.set(Instant::now());
            eprintln!("  {text}");
        }
    }

    pub fn close(&self) {
        if self.open.replace(false) {
            eprint!("\r\x1b[K");
        }
    }
}
