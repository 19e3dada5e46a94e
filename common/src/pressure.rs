//! How taken the processors of this machine are: the share of time in which somebody who could have gone on waited for one.
//! (It is the machine's, also in a container that may use only a part of it.)

use std::{
    fs,
    time::{Duration, Instant},
};

/// What Linux knows of it, since it began. (Elsewhere nothing is known, and the processors pass for free.)
const SOURCE: &str = "/proc/pressure/cpu";
/// Over less than that, the share says nothing.
const EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(crate) struct Pressure {
    looked: Option<(Instant, Duration)>,
    share: f64,
}

impl Pressure {
    /// From 0 to 1, as of a moment ago.
    pub(crate) fn share(&mut self) -> f64 {
        let now = Instant::now();
        if self.looked.is_none_or(|(then, _)| now - then >= EVERY)
            && let Some(waited) = fs::read_to_string(SOURCE).ok().as_deref().and_then(waited)
        {
            if let Some((then, before)) = self.looked {
                self.share = share(before, waited, now - then);
            }
            self.looked = Some((now, waited));
        }
        self.share
    }
}

fn share(before: Duration, waited: Duration, over: Duration) -> f64 {
    (waited.saturating_sub(before).as_secs_f64() / over.as_secs_f64()).min(1.0)
}

/// For how long somebody has waited so far: `some avg10=0.72 avg60=1.80 avg300=15.35 total=4463104013`, in microseconds.
fn waited(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        let text = "some avg10=0.72 avg60=1.80 avg300=15.35 total=4463104013\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(waited(text), Some(Duration::from_micros(4_463_104_013)));
        for other in ["", "full total=7", "some avg10=0.72", "some total=", "some total=-1"] {
            assert_eq!(waited(other), None, "{other:?}");
        }
    }

    #[test]
    fn it_is_the_share_of_time_since_the_last_look() {
        let ms = Duration::from_millis;
        assert_eq!(share(ms(1_000), ms(1_125), ms(250)), 0.5);
        assert_eq!(share(ms(1_000), ms(1_000), ms(250)), 0.0);
        // Two counters that do not tick together, and one that began anew.
        assert_eq!(share(ms(1_000), ms(1_300), ms(250)), 1.0);
        assert_eq!(share(ms(1_000), ms(10), ms(250)), 0.0);
    }
}
