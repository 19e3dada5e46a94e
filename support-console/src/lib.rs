//! What could not go through, and the staff who see to it: dead letters are taken in, found, mended and sent again.
//!
//! The engine is [`Console`]; pages, API and CLI are faces of it and decide nothing.

mod advice;
mod again;
mod api;
mod audit;
pub mod board;
pub mod cli;
mod console;
mod desk;
mod diff;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
mod group;
mod http;
mod ingest;
mod letter;
mod mend;
pub mod notices;
pub mod orders;
mod outward;
pub mod people;
mod plain;
mod plan;
mod query;
mod refusal;
mod run;
mod runner;
mod search;
pub mod services;
mod settings;
mod tries;
mod who;

use std::sync::Arc;

use axum::Extension;
use common::{
    broker::topology::SUPPORT_PROGRESS,
    config::Settings,
    service::{About, Service, ServiceError},
};
use tokio_util::sync::CancellationToken;

pub(crate) use crate::search::LOOKED_AT_MOST;
pub use crate::{
    advice::{Advice, Helps},
    audit::{AuditFilter, Audited},
    console::Console,
    desk::Desk,
    group::{Group, GroupFilter},
    letter::{Death, DiffLine, Edit, LetterLine, LetterPage, LetterRun, State},
    mend::Edited,
    plan::{Scope, Snapshot},
    query::{BadQuery, Query},
    refusal::Refusal,
    run::{Action, Run, RunPage, RunState, Skip, Steps},
    search::{Cursor, Page},
    settings::Support,
    who::{By, Role, Who},
};
use crate::{people::People, tries::Progress};

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
    let around = desk::Around::of(&settings.common);
    let (mut service, console) = engine(settings, stop)?;
    let own = Arc::clone(&console.settings);
    let people = Arc::new(People::new(service.units().db.clone(), own.people.clone())?);
    service.spawn(people::tidy_for_ever(Arc::clone(&people), service.stop().clone()));
    let desk = Desk::set_up(&mut service, &console, &own, &around)?;
    let api = api::Api { console: console.clone(), services: desk.services.clone(), board: desk.board.clone() };
    let api = api::routes(api).layer(Extension(Arc::clone(&people)));
    // To stop is to let go of the outbox: whoever holds a console holds that up, so only the routes do.
    let pages = http::Pages { console, desk, people, stop: service.stop().clone() };
    service.run(http::routes(pages).merge(api)).await
}

/// The service with its engine at work, and that engine for the faces.
pub fn engine(settings: Settings<Support>, stop: CancellationToken) -> Result<(Service, Console), ServiceError> {
    let Settings { common, own } = settings;
    own.check()?;
    let parts = common.parts.clone();
    let mut service = Service::new(ABOUT, common, stop)?;
    let console = Console::new(service.units().clone(), Arc::new(own));
    service.consume(&SUPPORT_PROGRESS, Progress(console.clone()));
    if parts.runs("ingest") {
        let (link, stop) = (service.consuming().clone(), service.stop().clone());
        service.spawn(ingest::ingest(console.clone(), link, stop));
    }
    if parts.runs("runs") {
        let stop = service.stop().clone();
        service.spawn(runner::drive_all(console.clone(), stop));
    }
    Ok((service, console))
}
