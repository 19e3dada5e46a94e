//! Waiting for what will be true soon.

use std::time::Duration;

use tokio::time::Instant;

/// Patience with a slow, busy machine: far more than anything takes, for it costs nothing where all is well.
pub const LONG: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer, and returns it. Panics when there is none within the time: `what`
/// says what was hoped for.
pub async fn eventually<T>(within: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}
