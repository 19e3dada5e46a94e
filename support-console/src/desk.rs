//! What stands around the engine: the services that are asked, the board, and the notices.

use common::{
    config::{self, ConfigError},
    service::Service,
};
use secrecy::ExposeSecret as _;

use crate::{
    Console, Support,
    board::{self, Board},
    notices::Notices,
    services::Services,
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub services: Services,
    pub board: Board,
}

impl Desk {
    /// Everything of it that goes on by itself becomes a task of the service's.
    pub(crate) fn set_up(
        service: &mut Service,
        console: &Console,
        own: &Support,
        common: &Around,
    ) -> Result<Self, ConfigError> {
        let services = Services::new(&own.services, &common.auth)?;
        let broker_url = common.broker_url.expose_secret();
        let (board, keeper) = Board::new(&own.board, broker_url, services.clone(), console.db().clone())?;
        let outward = services.outward().clone();
        let notices = Notices::new(console, &own.notices, &own.public_url, outward)?;
        if common.tells_and_watches {
            let stop = service.stop().clone();
            service.spawn(board::until(stop.clone(), keeper));
            if let Some(notices) = notices {
                service.spawn(board::until(stop, notices.run()));
            }
        }
        Ok(Self { services, board })
    }
}

/// What it needs of the settings that all services have; to be taken before the service is.
pub(crate) struct Around {
    auth: config::Auth,
    broker_url: secrecy::SecretString,
    /// It is where the pages are: a process that only takes letters in watches nothing and tells nobody.
    tells_and_watches: bool,
}

impl Around {
    pub(crate) fn of(common: &config::Common) -> Self {
        Self {
            auth: common.auth.clone(),
            broker_url: common.broker.url.clone(),
            tells_and_watches: common.parts.runs("http"),
        }
    }
}
