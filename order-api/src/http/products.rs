//! `/api/products`: what can be ordered. It is answered from memory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope},
    http::{
        Code, FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD},
    },
    ids::ProductId,
    money::{Currency, Money},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{openapi, show::decimal};
use crate::catalogue::Product;

/// The most characters in a product's name.
const LONGEST_NAME: usize = 200;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
struct ShownProduct<'a> {
    #[schema(value_type = openapi::ProductId)]
    product_id: &'a ProductId,
    name: &'a str,
    #[schema(value_type = openapi::Amount)]
    price: Box<RawValue>,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: &'a str,
}

impl<'a> ShownProduct<'a> {
    fn of(product_id: &'a ProductId, product: &'a Product, currency: &'a Currency) -> Option<Self> {
        let price = decimal(product.price, currency)?;
        Some(Self { product_id, name: &product.name, price, currency: &currency.code })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Products)]
struct ShownProducts<'a> {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    products: Vec<ShownProduct<'a>>,
}

/// List the products
///
/// What can be ordered, and what it costs. Anybody with a token may read it.
#[utoipa::path(
    get,
    path = "/api/products",
    operation_id = "listProducts",
    tag = "Catalogue",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "All of them.", body = ShownProducts, headers(("ETag" = String), ("Cache-Control" = String)),
            example = json!({
                "code": 200,
                "message": "Products found",
                "products": [{"productId": "P001", "name": "Espresso cup", "price": 35.25, "currency": "USD"}],
            })),
        (status = 304, description = "You have them already (`If-None-Match`)."),
    ),
)]
pub(super) async fn list(State(api): super::SharedState, _: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    let unread = || Problem::unavailable("the catalogue has not been read yet");
    let catalogue = api.catalogue.products().ok_or_else(unread)?;
    let products = catalogue.by_id.iter().map(|(id, product)| ShownProduct::of(id, product, &api.currency));
    let products = products.collect::<Option<_>>().ok_or_else(Problem::internal)?;
    let shown = ShownProducts { code: 200, message: "Products found", products };
    let body = serde_json::to_vec(&shown).map_err(|_| Problem::internal())?;
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &tag));
    let tag = HeaderValue::from_str(&tag).map_err(|_| Problem::internal())?;
    let headers = [(ETAG, tag), (CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((headers, json, body).into_response())
}

/// Whether an `If-None-Match` names this version, or any at all.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// What a product is called, and what it costs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutProduct)]
pub(crate) struct Put {
    /// Without control characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    name: String,
    #[schema(value_type = openapi::Amount)]
    price: Box<RawValue>,
}

impl Put {
    pub(crate) fn check(self, currency: &Currency, errors: &mut Vec<FieldError>) -> Option<Product> {
        let length = self.name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) || self.name.chars().any(char::is_control) {
            let message = format!("must have 1 to {LONGEST_NAME} characters, and no control characters among them");
            errors.push(FieldError::new(INVALID_FIELD, "name", message));
        }
        let price: Option<Money> = currency
            .parse(self.price.get())
            .map_err(|error| errors.push(FieldError::new(INVALID_FIELD, "price", error.to_string())))
            .ok();
        Some(Product { name: self.name, price: price? })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProductStored)]
struct ShownPut<'a> {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[serde(flatten)]
    product: ShownProduct<'a>,
}

pub(super) const PUT_REFUSES: &[&Code] = &[INSUFFICIENT_SCOPE];

/// Add a product, or change it
///
/// Needs the scope `admin`. It counts within a second everywhere; what was ordered before keeps the price it was ordered at.
#[utoipa::path(
    put,
    path = "/api/products/{product_id}",
    operation_id = "putProduct",
    tag = "Catalogue",
    security(("bearer" = [])),
    params(("product_id" = inline(openapi::ProductId), Path, description = "What it is ordered by.")),
    request_body(content = Put, example = json!({"name": "Espresso cup", "price": 35.25})),
    responses((status = 200, description = "It is stored.", body = ShownPut, example = json!({
        "code": 200,
        "message": "Product stored",
        "productId": "P001",
        "name": "Espresso cup",
        "price": 35.25,
        "currency": "USD",
    }))),
)]
pub(super) async fn put(
    State(api): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody<Put>,
) -> Result<Response, Problem> {
    caller.must_have(Scope::Admin)?;
    let mut errors = Vec::new();
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let id = ProductId::try_from(id)
        .map_err(|error| errors.push(FieldError::new(INVALID_FIELD, "productId", error.to_string())))
        .ok();
    let product = body.check(&api.currency, &mut errors);
    let (Some(id), Some(product), true) = (id, product, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    api.turns.take("the catalogue cannot be changed", api.catalogue.put(&id, &product)).await?;
    tracing::info!(product.id = %id, price = product.price.0, by = %caller.user_id, "a product was put into the catalogue");
    let product = ShownProduct::of(&id, &product, &api.currency).ok_or_else(Problem::internal)?;
    Ok(Json(ShownPut { code: 200, message: "Product stored", product }).into_response())
}
