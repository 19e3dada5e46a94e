//! The obedient worker as a process of its own: tests kill it, and some events make it kill itself.

use std::process::ExitCode;

use axum::Router;
use common::{
    config::{NoSection, Settings},
    service::{self, Service, ServiceError},
};
use e2e::obedient::{ABOUT, HEARD, Obedient, WORK};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    service::main(ABOUT, run)
}

async fn run(settings: Settings<NoSection>, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut service = Service::with_queues(ABOUT, settings.common, &[&WORK, &HEARD], &[], stop)?;
    service.consume(&WORK, Obedient::default());
    service.run(Router::new()).await
}
