//! Prometheus metrics, rendered on request.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Renders what the process has counted.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

/// Starts counting, once per process.
pub fn start() -> Option<Exporter> {
    static STARTED: OnceLock<Mutex<Option<Exporter>>> = OnceLock::new();
    let mut started = STARTED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if started.is_none() {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), SIZES))
            .and_then(PrometheusBuilder::install_recorder);
        match handle {
            Ok(handle) => *started = Some(Exporter(handle)),
            Err(error) => tracing::error!(%error, "metrics could not be started"),
        }
    }
    started.clone()
}

impl Exporter {
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was observed into the histograms now and then, so that memory stays bounded when nobody scrapes.
    pub async fn upkeep(self) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            self.0.run_upkeep();
        }
    }
}
