//! The door to the queue of orders.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use common::http::{self, Problem};

use super::State;
use crate::admission::Place;

/// What a request brings, once it has a place in the queue. Where there is none, it is refused before anything in it is
/// looked at.
pub(super) struct Admitted<T>(pub Place, pub T);

impl<T: FromRequest<Arc<State>, Rejection = Problem>> FromRequest<Arc<State>> for Admitted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        if state.intake.admit().is_none() {
            http::discard(request).await;
            return Err(too_many_orders());
        }
        // A client that is still sending keeps nobody else from waiting.
        let brought = T::from_request(request, state).await?;
        state.intake.admit().map(|place| Self(place, brought)).ok_or_else(too_many_orders)
    }
}

fn too_many_orders() -> Problem {
    Problem::overloaded("too many orders are waiting; try again shortly")
}
