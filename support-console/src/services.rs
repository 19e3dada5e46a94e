//! What the console asks the services, on behalf of the person who is at it. Its own database role sees only its own
//! schema; of orders, payments and notices it knows what it is answered.
//!
//! A service that is away, slow or odd breaks nothing: its part of the answer says so.

mod settings;
pub mod shapes;
mod token;

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, Method, Request, header};
use bytes::Bytes;
use common::{
    config::{self, ConfigError},
    ids::{OrderId, TransactionId, UserId},
};
use http_body_util::Full;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;

pub use settings::Settings;

use self::{
    shapes::{Cancelled, Notifications, Order, OrderPage, PaidBack, Payments},
    token::Signer,
};
use crate::{
    orders::{Owed, owed},
    outward::{self, Outward, base_url},
    who::{Role, Who},
};

/// The longest answer that is read.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

struct Inner {
    outward: Outward,
    signer: Signer,
    orders: Service,
    inventory: Service,
    payments: Service,
    notifications: Service,
    within: Duration,
}

/// One of them, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub name: &'static str,
    pub url: String,
}

/// What one service said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    Found(T),
    /// It knows of no such thing.
    NotFound,
    /// There is no answer, and why, in words for a person.
    Away(String),
}

impl<T> Answer<T> {
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::NotFound | Self::Away(_) => None,
        }
    }
}

/// As it is written in JSON, below.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Written<T> {
    Found(T),
    NotFound(IgnoredAny),
    Away(String),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Answer<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Found(found) => Self::Found(found),
            Written::NotFound(_) => Self::NotFound,
            Written::Away(why) => Self::Away(why),
        })
    }
}

/// In JSON: `{"found": …}`, `{"notFound": true}` or `{"away": "why"}`.
impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Found(found) => map.serialize_entry("found", found)?,
            Self::NotFound => map.serialize_entry("notFound", &true)?,
            Self::Away(why) => map.serialize_entry("away", why)?,
        }
        map.end()
    }
}

/// An order, and what others know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderStory {
    pub order: Answer<Order>,
    pub payments: Answer<Payments>,
    pub notifications: Answer<Notifications>,
    /// What the customer should have back, and has not.
    pub owed: Vec<Owed>,
}

/// Which orders are wanted, the newest first.
#[derive(Debug, Clone, Default)]
pub struct OrdersWanted {
    pub user: Option<UserId>,
    pub status: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<u16>,
}

impl OrdersWanted {
    fn parameters(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let limit = self.limit.map(|limit| limit.to_string());
        for (name, value) in [
            ("userId", self.user.as_ref().map(UserId::as_str)),
            ("status", self.status.as_deref()),
            ("cursor", self.cursor.as_deref()),
            ("limit", limit.as_deref()),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The person's role does not allow it.
    #[error("a reader cannot do this; it takes an operator or an admin")]
    Role,
    #[error("there is no such order")]
    NotFound,
    /// The service's own words.
    #[error("{0}")]
    Refused(String),
    /// Whether it was done is not known where the answer was lost.
    #[error("{0}")]
    Away(String),
}

/// The envelope of a refusal.
#[derive(Deserialize)]
struct Envelope {
    message: String,
}

impl Services {
    pub fn new(settings: &Settings, auth: &config::Auth) -> Result<Self, ConfigError> {
        settings.check(auth)?;
        let at = |name, key: &str, url: &str| {
            Ok::<_, ConfigError>(Service { name, url: base_url(&format!("support.services.{key}"), url)? })
        };
        Ok(Self(Arc::new(Inner {
            outward: Outward::new(settings.timeout())?,
            signer: Signer::new(settings, auth)?,
            orders: at("order-api", "orders", &settings.orders)?,
            inventory: at("inventory-worker", "inventory", &settings.inventory)?,
            payments: at("payment-worker", "payments", &settings.payments)?,
            notifications: at("notification-worker", "notifications", &settings.notifications)?,
            within: settings.timeout(),
        })))
    }

    /// All of them, as the order comes by them.
    pub(crate) fn all(&self) -> [&Service; 4] {
        [&self.0.orders, &self.0.inventory, &self.0.payments, &self.0.notifications]
    }

    pub(crate) fn outward(&self) -> &Outward {
        &self.0.outward
    }

    /// An order with its timeline, its payments and its notices, all asked for at once.
    pub async fn story(&self, who: &Who, order_id: OrderId) -> OrderStory {
        let of_payments = format!("/api/payment/orders/{order_id}");
        let of_notifications = format!("/api/notification/orders/{order_id}");
        let (order, payments, notifications) = tokio::join!(
            self.order(who, order_id),
            self.read(&self.0.payments, who, scope(who), &of_payments),
            self.read(&self.0.notifications, who, scope(who), &of_notifications),
        );
        let owed = owed(&order, &payments);
        OrderStory { order, payments, notifications, owed }
    }

    pub async fn order(&self, who: &Who, order_id: OrderId) -> Answer<Order> {
        self.read(&self.0.orders, who, "staff", &format!("/api/orders/{order_id}")).await
    }

    /// A page of orders: everybody's, or one customer's.
    pub async fn orders_of(&self, who: &Who, wanted: &OrdersWanted) -> Answer<OrderPage> {
        self.read(&self.0.orders, who, "staff", &format!("/api/orders?{}", wanted.parameters())).await
    }

    /// Whether this person may call orders off, and note money as paid back.
    pub(crate) fn may_act(&self, who: &Who) -> Result<(), Refused> {
        if who.role >= Role::Operator { Ok(()) } else { Err(Refused::Role) }
    }

    /// Calls an order off; what was paid goes back. The order's timeline says who it was. It is noted in the audit by
    /// [`call_off`](crate::orders::call_off), which is the way to it.
    pub(crate) async fn cancel(&self, who: &Who, order_id: OrderId) -> Result<Cancelled, Refused> {
        self.act(&self.0.orders, who, &format!("/api/orders/{order_id}/cancel"), Bytes::new()).await
    }

    /// Notes that the customer was paid back by hand what the gateway refuses to give back; the order hears of it as of a
    /// refund. It is noted in the audit by [`pay_back`](crate::orders::pay_back), which is the way to it.
    pub(crate) async fn pay_back(
        &self,
        who: &Who,
        order_id: OrderId,
        transaction_id: TransactionId,
        note: &str,
    ) -> Result<PaidBack, Refused> {
        let body = json!({"transactionId": transaction_id, "note": note}).to_string();
        self.act(&self.0.payments, who, &format!("/api/payment/orders/{order_id}/paid-back"), body.into()).await
    }

    async fn act<T: DeserializeOwned>(
        &self,
        service: &Service,
        who: &Who,
        path: &str,
        body: Bytes,
    ) -> Result<T, Refused> {
        self.may_act(who)?;
        let answer = self.ask(service, who, "staff", Method::POST, path, body).await.map_err(Refused::Away)?;
        let odd = || Refused::Away(format!("{} answered something odd", service.name));
        match answer.status.as_u16() {
            200 => serde_json::from_slice(&answer.body).map_err(|_| odd()),
            404 => Err(Refused::NotFound),
            400..=499 => {
                let envelope: Envelope = serde_json::from_slice(&answer.body).map_err(|_| odd())?;
                Err(Refused::Refused(envelope.message))
            }
            status => Err(Refused::Away(format!("{} answered {status}", service.name))),
        }
    }

    async fn read<T: DeserializeOwned>(&self, service: &Service, who: &Who, scope: &str, path: &str) -> Answer<T> {
        match self.ask(service, who, scope, Method::GET, path, Bytes::new()).await {
            Ok(answer) if answer.status == 200 => match serde_json::from_slice(&answer.body) {
                Ok(found) => Answer::Found(found),
                Err(error) => {
                    tracing::warn!(service = service.name, %error, "an answer could not be understood");
                    Answer::Away(format!("{} answered something odd", service.name))
                }
            },
            Ok(answer) if answer.status == 404 => Answer::NotFound,
            Ok(answer) => {
                tracing::warn!(service = service.name, status = answer.status.as_u16(), "a service did not answer");
                Answer::Away(format!("{} answered {}", service.name, answer.status.as_u16()))
            }
            Err(why) => Answer::Away(why),
        }
    }

    async fn ask(
        &self,
        service: &Service,
        who: &Who,
        scope: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<outward::Answer, String> {
        let cannot = || format!("{} cannot be asked that", service.name);
        let token = self.0.signer.sign(who.account.as_str(), scope).ok_or_else(cannot)?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| cannot())?;
        authorization.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", service.url))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| cannot())?;
        self.0.outward.ask(request, self.0.within, ANSWER_BYTES).await.map_err(|why| {
            tracing::warn!(service = service.name, %why, "a service did not answer");
            format!("{}: {why}", service.name)
        })
    }
}

/// Only admins are shown addresses whole; the services mask them for staff.
fn scope(who: &Who) -> &'static str {
    if who.role == Role::Admin { "staff admin" } else { "staff" }
}
