//! What the disk does meanwhile. Every commit waits for it, and a disk that others share stands still now and then. (A
//! small write waits for a processor too, and behind what the line itself writes; that takes a few milliseconds.)

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::measure::{Latencies, Latency};

/// What is written through to the disk each time, and the pause between two times.
const WRITTEN: [u8; 8_192] = [0x5a; 8_192];
const EVERY: Duration = Duration::from_millis(20);

/// A folder on the disk that the data are on, where this program may write.
pub fn beside(data: &Path) -> Option<PathBuf> {
    let disk = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let wanted = disk(data)?;
    let folders = [std::env::temp_dir(), std::env::current_dir().ok()?];
    folders.into_iter().find(|folder| disk(folder) == Some(wanted) && nameless_file(folder).is_ok())
}

/// A file that is gone with the last who uses it.
fn nameless_file(folder: &Path) -> Result<File> {
    let path = folder.join(format!("conveyor-bench-disk-{}", std::process::id()));
    let file = File::create(&path).with_context(|| format!("cannot write in {}", folder.display()))?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Writes a little, waits until it is on the disk, and notes how long that took, again and again.
pub struct Probe {
    stop: Sender<()>,
    thread: JoinHandle<Result<Latencies>>,
}

impl Probe {
    pub fn start(folder: &Path) -> Result<Self> {
        let file = nameless_file(folder)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut latencies = Latencies::new()?;
            loop {
                let began = Instant::now();
                file.write_all_at(&WRITTEN, 0)?;
                file.sync_data()?;
                latencies.record(i64::try_from(began.elapsed().as_micros())?);
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return Ok(latencies);
                }
            }
        });
        Ok(Self { stop, thread })
    }

    pub fn stop(self) -> Result<Latency> {
        drop(self.stop);
        let latencies =
            self.thread.join().map_err(|_| anyhow::anyhow!("the thread that watches the disk panicked"))??;
        Ok(latencies.sum_up())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_takes_some_time() {
        let latency = Probe::start(&std::env::temp_dir()).unwrap().stop().unwrap();
        assert!(latency.max_ms > 0.0 && latency.p50_ms <= latency.max_ms);
        assert!(beside(Path::new("/nowhere/at/all")).is_none());
    }
}
