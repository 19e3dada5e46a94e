//! What stands around the console's engine: what it asks the services, the board, the notices, the API and the command
//! line.

mod board;
mod command_line;
mod notices;
pub(crate) mod orders;
