//! When the kernel writes to the disk what programs have left in memory.
//!
//! By default it lets it lie for half a minute, and then writes hundreds of megabytes in one go: in that quarter of a second
//! every commit waited for up to 300 ms. A machine that carries a database is told to write early and little by little, so
//! the one that is measured is told so too, for as long as that takes. It concerns the whole machine, hence only where a
//! person has asked for a measurement, and not on one that somebody has set already.

use std::fs;
use std::io;
use std::path::Path;

use crate::say;

const BYTES: &str = "dirty_background_bytes";
const RATIO: &str = "dirty_background_ratio";
const EARLY: &str = "16777216";

/// Puts back what was set before when it is dropped.
pub struct WriteBack {
    ratio: Option<String>,
}

impl WriteBack {
    pub fn early() -> Self {
        match Self::set() {
            Ok(it) => it,
            Err(error) => {
                say::step(format!(
                    "the kernel goes on writing to the disk in large bursts, in which commits wait: vm.{BYTES} could not be \
                     set ({error}); `sysctl -w vm.{BYTES}={EARLY}` as root does it"
                ));
                Self { ratio: None }
            }
        }
    }

    fn set() -> io::Result<Self> {
        if read(BYTES)? != "0" {
            return Ok(Self { ratio: None });
        }
        let ratio = Some(read(RATIO)?);
        write(BYTES, EARLY)?;
        say::step(format!("the kernel writes to the disk early while this runs (vm.{BYTES} = {EARLY})"));
        Ok(Self { ratio })
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        if let Some(ratio) = &self.ratio
            && let Err(error) = write(RATIO, ratio)
        {
            say::step(format!(
                "vm.{RATIO} could not be put back ({error}): `sysctl -w vm.{RATIO}={ratio}` as root does it"
            ));
        }
    }
}

fn read(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(Path::new("/proc/sys/vm").join(name))?.trim().to_owned())
}

fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new("/proc/sys/vm").join(name), value)
}
