//! The catalogue in memory: what a product is called and costs, known without a query per order.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use common::{
    Backoff,
    db::{Db, DbError},
    http::Check,
    ids::ProductId,
    money::Money,
};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

type Prices = HashMap<ProductId, Money>;

/// A product as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub name: String,
    pub price: Money,
}

/// What was read together.
#[derive(Debug, Default)]
pub(crate) struct Products {
    pub by_id: BTreeMap<ProductId, Product>,
    prices: Arc<Prices>,
}

/// The catalogue as it was read last.
#[derive(Clone)]
pub(crate) struct Catalogue {
    db: Db,
    latest: watch::Sender<Option<Arc<Products>>>,
    /// One reads at a time, so that what was read later is never replaced by what was read before.
    reading: Arc<Mutex<()>>,
}

impl Catalogue {
    /// The catalogue, and the task that keeps it fresh until `stop`.
    pub(crate) fn new(db: Db, every: Duration, stop: CancellationToken) -> (Self, impl Future<Output = ()> + Send) {
        let catalogue = Self { db, latest: watch::Sender::new(None), reading: Arc::default() };
        let refresh = {
            let catalogue = catalogue.clone();
            async move {
                stop.run_until_cancelled(catalogue.refresh(every)).await;
            }
        };
        (catalogue, refresh)
    }

    /// Whether orders can be priced.
    pub(crate) fn check(&self) -> Check {
        let latest = self.latest.clone();
        Check::new("catalogue", true, move || {
            let is_read = latest.borrow().is_some();
            async move { if is_read { Ok(()) } else { Err("not read yet".to_owned()) } }
        })
    }

    /// The prices, unless the database has not been reached yet.
    pub(crate) fn prices(&self) -> Option<Arc<Prices>> {
        self.latest.borrow().as_ref().map(|products| Arc::clone(&products.prices))
    }

    /// Everything, unless the database has not been reached yet.
    pub(crate) fn products(&self) -> Option<Arc<Products>> {
        self.latest.borrow().clone()
    }

    /// Adds a product, or changes what it is called and costs. This process knows of it when this returns, the others as
    /// soon as they read again.
    pub(crate) async fn put(&self, id: &ProductId, product: &Product) -> Result<(), DbError> {
        let sql = "INSERT INTO products (product_id, name, price) VALUES ($1, $2, $3)
                   ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, price = excluded.price";
        self.db.execute(sql, &[&id.as_str(), &product.name, &product.price.0]).await?;
        if let Err(error) = self.read_again().await {
            tracing::debug!(%error, "a product was changed, but could not be read yet");
        }
        Ok(())
    }

    async fn refresh(self, every: Duration) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.read_again().await {
                Ok(()) => {
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

    async fn read_again(&self) -> Result<(), DbError> {
        let _alone = self.reading.lock().await;
        let by_id = read(&self.db).await?;
        self.latest.send_if_modified(|latest| {
            let is_new = latest.as_ref().is_none_or(|products| products.by_id != by_id);
            if is_new {
                let prices = by_id.iter().map(|(id, product)| (id.clone(), product.price)).collect();
                *latest = Some(Arc::new(Products { by_id, prices: Arc::new(prices) }));
            }
            is_new
        });
        Ok(())
    }
}

async fn read(db: &Db) -> Result<BTreeMap<ProductId, Product>, DbError> {
    let rows = db.query("SELECT product_id, name, price FROM products", &[]).await?;
    let mut products = BTreeMap::new();
    for row in rows {
        let id: String = row.try_get(0)?;
        match ProductId::try_from(id) {
            Ok(id) => {
                products.insert(id, Product { name: row.try_get(1)?, price: Money(row.try_get(2)?) });
            }
            Err(error) => tracing::error!(%error, "a product in the catalogue has an id that cannot be ordered"),
        }
    }
    Ok(products)
}
