//! The migrations against real servers: `cargo xtask test -- -p migrations`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]

mod at_once;
mod program;
mod rights;

use migrations::Passwords;
use tokio_postgres::{Client, Config, NoTls};

fn passwords(password: &str) -> Passwords {
    let password = || password.to_owned().into();
    Passwords {
        orders: password(),
        inventory: password(),
        payments: password(),
        notifications: password(),
        support: password(),
    }
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
