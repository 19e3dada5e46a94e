//! Waiting for what will be true soon.

use std::time::Duration;

use tokio::time::Instant;

/// Patience with a slow, busy machine: far more than anything takes, for it costs nothing where all is well.
pub const LONG: Duration = Duration::from_secs(60);

/// Runs what must succeed soon, and says how long that may take somebody else at the most for whom all is well: far longer,
/// so that nobody takes what is slow for what is lost.
pub async fn takes<T>(soon: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let it = soon.await;
    (it, (10 * began.elapsed()).clamp(Duration::from_secs(3), LONG))
}

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
