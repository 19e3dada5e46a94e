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
use serde::Serialize;

use crate::measure::{Latencies, Latency};

/// What is written through to the disk each time.
const WRITTEN: [u8; 8_192] = [0x5a; 8_192];
/// So many times an order on its way waits for the disk, once after the other, until it says that it is paid: the commits of
/// accepting it, of its lock, of payment due, of the attempt and of the answer, and the broker's write of each of the four
/// messages in between.
pub const ON_THE_WAY: u32 = 9;
/// The pause between two such rows of writes.
const EVERY: Duration = Duration::from_millis(200);

/// What the disk that the data are on took for a small write, if this program may write there.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Disk {
    pub one: Latency,
    /// As many one after the other as an order waits for: no line can be sooner on this disk.
    pub on_the_way: Latency,
}

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
    thread: JoinHandle<Result<Disk>>,
}

impl Probe {
    pub fn start(folder: &Path) -> Result<Self> {
        let file = nameless_file(folder)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let (mut one, mut on_the_way) = (Latencies::new()?, Latencies::new()?);
            loop {
                let first = Instant::now();
                for _ in 0..ON_THE_WAY {
                    let began = Instant::now();
                    file.write_all_at(&WRITTEN, 0)?;
                    file.sync_data()?;
                    one.record(i64::try_from(began.elapsed().as_micros())?);
                }
                on_the_way.record(i64::try_from(first.elapsed().as_micros())?);
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return Ok(Disk { one: one.sum_up(), on_the_way: on_the_way.sum_up() });
                }
            }
        });
        Ok(Self { stop, thread })
    }

    pub fn stop(self) -> Result<Disk> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that watches the disk panicked"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_takes_some_time() {
        let disk = Probe::start(&std::env::temp_dir()).unwrap().stop().unwrap();
        assert!(disk.one.max_ms > 0.0 && disk.one.p50_ms <= disk.one.max_ms);
        assert!(disk.on_the_way.max_ms >= disk.one.max_ms);
        assert!(beside(Path::new("/nowhere/at/all")).is_none());
    }
}
