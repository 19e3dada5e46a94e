//! Ctrl-C and its relatives. A signal never ends this program on the spot: it is
//! noted, whatever is under way returns an error, and what was started is stopped
//! on the way out.

use std::io::stdin;
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[derive(Default)]
struct State {
    received: Option<i32>,
    /// The command in the foreground, which a signal is passed on to.
    child: Option<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State { received: None, child: None });
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the program.
pub fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
    thread::spawn(move || {
        for number in signals.forever() {
            let mut state = state();
            state.received.get_or_insert(number);
            // The terminal has sent its Ctrl-C to the child as well; sent twice,
            // it would mean "do not even clean up".
            if let Some(child) = state.child
                && !(number == SIGINT && in_terminal())
                && let Ok(signal) = Signal::try_from(number)
            {
                // It may just have ended: nothing is lost then.
                let _ = kill(child, signal);
            }
            CHANGED.notify_all();
        }
    });
    Ok(())
}

fn in_terminal() -> bool {
    tcgetpgrp(stdin().as_fd()).is_ok_and(|foreground| foreground == getpgrp())
}

/// The signal that asked this program to end, if one did.
pub fn received() -> Option<i32> {
    state().received
}

/// Fails if the program has been asked to end.
pub fn check() -> Result<()> {
    if received().is_some() {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits, unless the program is asked to end: then it fails at once.
pub fn pause(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    let mut state = state();
    while state.received.is_none() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    bail!("interrupted")
}

/// Runs a command in the foreground, passes signals on to it and waits for its end.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    check()?;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
    state().child = Some(Pid::from_raw(child.id().cast_signed()));
    let status = child.wait();
    state().child = None;
    status.with_context(|| format!("cannot wait for `{name}`"))
}
