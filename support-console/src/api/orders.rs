//! Orders, as the services tell of them.

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
    response::Response,
};
use common::{
    http::{JsonBody, Problem, Query as Parameters, whole},
    ids::{OrderId, TransactionId, UserId},
};
use serde::Deserialize;

use super::{Named, SharedApi, codes, shown::seen_by};
use crate::{
    orders::{call_off, pay_back},
    people::Bearer,
    services::{
        Answer, OrdersWanted, Refused,
        shapes::{Cancelled, OrderPage, PaidBack},
    },
};

/// `?user=`, `?status=`, `?limit=`, `?cursor=` the `nextCursor` of the page before.
pub(super) async fn list(State(api): SharedApi, Bearer(who): Bearer, address: Uri) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&address);
    let wanted = OrdersWanted {
        user: parameters.optional("user", |text| UserId::try_from(text.to_owned()).map_err(|why| why.to_string())),
        status: parameters.optional("status", word),
        cursor: parameters.optional("cursor", word),
        limit: Some(parameters.optional("limit", |text| whole(text, 1..=100_u16)).unwrap_or(20)),
    };
    parameters.finish()?;
    match api.services.orders_of(&who, &wanted).await {
        Answer::Found(page) => seen_by(&who, page),
        Answer::NotFound => seen_by(&who, OrderPage { orders: Vec::new(), next_cursor: None }),
        Answer::Away(why) => Err(Problem::unavailable(why)),
    }
}

/// The order, its payments and its notices; what is away says so in its place.
pub(super) async fn show(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    address: Uri,
) -> Result<Response, Problem> {
    Parameters::of(&address).finish()?;
    let story = api.services.story(&who, order_id(path)?).await;
    if matches!(story.order, Answer::NotFound) {
        return Err(codes::of_service(Refused::NotFound));
    }
    seen_by(&who, story)
}

pub(super) async fn cancel(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
) -> Result<Json<Cancelled>, Problem> {
    call_off(&api.console, &api.services, &who, order_id(path)?).await.map(Json).map_err(codes::of_service)
}

/// Which payment's money, and by what it can be found in other books.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ByHand {
    transaction_id: String,
    note: String,
}

pub(super) async fn paid_back(
    State(api): SharedApi,
    Bearer(who): Bearer,
    path: Named,
    JsonBody(ByHand { transaction_id, note }): JsonBody<ByHand>,
) -> Result<Json<PaidBack>, Problem> {
    let order_id = order_id(path)?;
    let transaction: TransactionId = transaction_id.parse().map_err(|_| codes::of_service(Refused::NotFound))?;
    let noted = pay_back(&api.console, &api.services, &who, order_id, transaction, &note).await;
    noted.map(Json).map_err(codes::of_service)
}

fn order_id(path: Named) -> Result<OrderId, Problem> {
    path.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(|| codes::of_service(Refused::NotFound))
}

/// It is passed on to order-api, which says what is wrong with it.
fn word(text: &str) -> Result<String, String> {
    if text.len() <= 100 { Ok(text.to_owned()) } else { Err("is too long".to_owned()) }
}
