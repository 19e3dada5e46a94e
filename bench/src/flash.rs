//! A flash sale: far more orders than pieces of one product, all at once, and several workers that share them out.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    curves::batches_of,
    line::{KINDS, Line},
    scenario::Bench,
    servers::{Place, connect},
};

const ORDERS: i64 = 2_000;
const PIECES: i64 = 500;
const WORKERS: usize = 3;
/// Orders of another product, so that connections and statements are there when it begins.
const WARM_UP: i64 = 200;

/// One sale.
#[derive(Serialize)]
pub struct Sale {
    pub name: &'static str,
    /// From the first order that was published to the last that was decided.
    pub seconds: f64,
    /// Locked or told that there is not enough.
    pub decided_per_second: f64,
    pub sold: i64,
    pub refused: i64,
    /// What is not as it should be afterwards.
    pub wrong: Vec<String>,
}

/// So many orders travel together: what gathers of them while a group is written.
const PARCEL: usize = 64;

impl Bench {
    /// The same sale in both ways, one after the other, so often.
    pub async fn flashes(&mut self, rounds: u8) -> Result<Vec<Sale>> {
        let mut sales = Vec::new();
        for round in 1..=rounds {
            sales.push(self.flash("batched", &format!("flash_a{round}"), PARCEL).await?);
            let plain = self
                .with_settings(batches_of(1), async |bench| bench.flash("plain", &format!("flash_b{round}"), 1).await);
            sales.push(plain.await?);
        }
        Ok(sales)
    }

    /// The orders arrive so many to a message.
    pub async fn flash(&self, name: &'static str, place: &str, parcel: usize) -> Result<Sale> {
        self.progress.step(&format!("flash sale, {name}: {ORDERS} orders for {PIECES} pieces, {WORKERS} workers"));
        let place = self.place(place).await?;
        let mut line = Line::new(&self.plan, &place).await?;
        let worker = KINDS.iter().find(|kind| kind.name == "inventory-worker").context("there is no such service")?;
        for _ in 0..WORKERS {
            line.start(worker)?;
        }
        line.ready().await?;
        let client = connect(&place.database).await?;
        let products = format!(
            "INSERT INTO inventory.products VALUES ('FLASH', {PIECES}), ('WARM', {ORDERS}) ON CONFLICT DO NOTHING"
        );
        client.batch_execute(&products).await?;
        publish(&place, "WARM", WARM_UP, parcel).await?;
        until_decided(&mut line, &client, WARM_UP).await?;
        let began = Instant::now();
        publish(&place, "FLASH", ORDERS, parcel).await?;
        until_decided(&mut line, &client, WARM_UP + ORDERS).await?;
        let seconds = began.elapsed().as_secs_f64();
        line.stop().await?;
        let figures = "SELECT (SELECT count(*) FROM inventory.reservations
                               WHERE state = 'locked' AND lines::text LIKE '%FLASH%'),
                              (SELECT count(*) FROM inventory.reservations WHERE state = 'rejected'),
                              (SELECT reserved FROM inventory.products WHERE product_id = 'FLASH')";
        let row = client.query_one(figures, &[]).await?;
        let (sold, refused, reserved): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut wrong = Vec::new();
        if (sold, refused, reserved) != (PIECES, ORDERS - PIECES, PIECES) {
            wrong.push(format!("{sold} sold, {refused} refused, {reserved} reserved, of {PIECES}"));
        }
        self.servers.remove(&place.name).await?;
        Ok(Sale { name, seconds, decided_per_second: ORDERS as f64 / seconds, sold, refused, wrong })
    }
}

/// As order-api would: so many orders for one piece each.
async fn publish(place: &Place, product: &str, orders: i64, parcel: usize) -> Result<()> {
    let connection = Connection::connect(&place.broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let events: Vec<String> = (0..orders).map(|_| order(product)).collect();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let mut sent = Vec::new();
    for parcel in events.chunks(parcel) {
        let body = format!("[{}]", parcel.join(","));
        let options = BasicPublishOptions::default();
        let on_its_way = channel.basic_publish(
            "events".into(),
            "order.created".into(),
            options,
            body.as_bytes(),
            properties.clone(),
        );
        sent.push(on_its_way.await?);
    }
    for on_its_way in sent {
        ensure!(on_its_way.await?.is_ack(), "the broker refused an order");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

fn order(product: &str) -> String {
    let id = format!("ORD{}", Uuid::now_v7().simple().to_string().to_uppercase());
    json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "type": "order.created", "source": "bench", "subject": id,
        "time": "2026-01-01T00:00:00Z",
        "data": {
            "orderId": id, "userId": "123456", "version": 1, "amount": 100,
            "items": [{"productId": product, "quantity": 1, "unitPrice": 100}],
        },
    })
    .to_string()
}

async fn until_decided(line: &mut Line<'_>, client: &Client, orders: i64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let decided: i64 = client.query_one("SELECT count(*) FROM inventory.reservations", &[]).await?.try_get(0)?;
        if decided >= orders {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{decided} of {orders} orders were decided within 60 s");
        }
        line.check()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
