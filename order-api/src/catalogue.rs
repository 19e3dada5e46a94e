//! The catalogue in memory: what a product costs, known without a query per order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use common::{
    Backoff,
    db::{Db, DbError},
    http::Check,
    ids::ProductId,
    money::Money,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Prices = HashMap<ProductId, Money>;

/// The prices as they were read last.
#[derive(Clone)]
pub(crate) struct Catalogue {
    prices: watch::Receiver<Option<Arc<Prices>>>,
}

impl Catalogue {
    /// The catalogue, and the task that keeps it fresh until `stop`.
    pub(crate) fn new(db: Db, every: Duration, stop: CancellationToken) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, prices) = watch::channel(None);
        let refresh = async move {
            stop.run_until_cancelled(refresh(db, every, sender)).await;
        };
        (Self { prices }, refresh)
    }

    /// Whether orders can be priced.
    pub(crate) fn check(&self) -> Check {
        let prices = self.prices.clone();
        Check::new("catalogue", true, move || {
            let is_read = prices.borrow().is_some();
            async move { if is_read { Ok(()) } else { Err("not read yet".to_owned()) } }
        })
    }

    /// The prices, unless the database has not been reached yet.
    pub(crate) fn prices(&self) -> Option<Arc<Prices>> {
        self.prices.borrow().clone()
    }
}

async fn refresh(db: Db, every: Duration, sender: watch::Sender<Option<Arc<Prices>>>) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match read(&db).await {
            Ok(prices) => {
                sender.send_if_modified(|current| {
                    let is_new = current.as_deref() != Some(&prices);
                    if is_new {
                        *current = Some(Arc::new(prices));
                    }
                    is_new
                });
                backoff.reset();
                tokio::time::sleep(every).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the catalogue could not be read; the last one stands");
                backoff.wait().await;
            }
        }
    }
}

async fn read(db: &Db) -> Result<Prices, DbError> {
    let rows = db.query("SELECT product_id, price FROM products", &[]).await?;
    let mut prices = Prices::with_capacity(rows.len());
    for row in rows {
        let id: String = row.try_get(0)?;
        match ProductId::try_from(id) {
            Ok(id) => {
                prices.insert(id, Money(row.try_get(1)?));
            }
            Err(error) => tracing::error!(%error, "a product in the catalogue has an id that cannot be ordered"),
        }
    }
    Ok(prices)
}
