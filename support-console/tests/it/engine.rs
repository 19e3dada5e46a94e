//! The engine, without a face: what dies is taken in, found, mended and sent again.

mod acting;
mod crashes;
mod finding;
mod ingesting;
mod runs;
mod stage;
mod unroutable;
