//! What could not go through, and the staff who see to it: dead letters are taken in, found, mended and sent again.
//!
//! The engine is [`Console`]; pages, API and CLI are faces of it and decide nothing.

mod audit;
pub mod board;
mod console;
mod desk;
mod group;
mod http;
mod letter;
mod mend;
mod notices;
pub mod orders;
mod outward;
pub mod people;
mod query;
mod refusal;
mod run;
mod search;
pub mod services;
mod settings;
mod who;

use std::sync::Arc;

use common::{
    broker::topology::SUPPORT_PROGRESS,
    config::Settings,
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

use crate::people::People;
pub use crate::{
    audit::{AuditFilter, Audited},
    console::Console,
    desk::Desk,
    group::{Group, GroupFilter},
    letter::{Death, DiffLine, Edit, LetterLine, LetterPage, LetterRun, State},
    mend::Edited,
    query::{BadQuery, Query},
    refusal::Refusal,
    run::{Action, Run, RunPage, RunState, Scope, Skip, Snapshot, Steps},
    search::{Cursor, Page},
    settings::Support,
    who::{By, Role, Who},
};

pub const ABOUT: About = About {
    name: "support-console",
    purpose: "keeps what could not go through, and lets staff find, mend and retry it",
    schema: "support",
    bind: "127.0.0.1:8084",
    section: Some("support"),
    parts: &["http", "ingest", "runs", SUPPORT_PROGRESS.name],
    needs_broker: false,
};

/// Runs the service until `stop`.
pub async fn run(settings: Settings<Support>, stop: CancellationToken) -> Result<(), ServiceError> {
    let Settings { common, own } = settings;
    own.check()?;
    let around = desk::Around::of(&common);
    let mut service = Service::new(ABOUT, common, stop)?;
    let people = Arc::new(People::new(service.units().db.clone(), own.people.clone())?);
    let own = Arc::new(own);
    let console = Console::new(service.units().clone(), Arc::clone(&own));
    let desk = Desk::set_up(&mut service, &console, &own, &around)?;
    let pages = http::Pages { console, desk, people, stop: service.stop().clone() };
    service.run(http::routes(pages)).await
}
