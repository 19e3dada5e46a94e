//! What a measured run did to PostgreSQL and RabbitMQ: rows by table and messages by type.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use common::broker::topology::{EVENTS, WORK_QUEUES};
use hyper::{Method, StatusCode};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Client;

use crate::{
    http,
    line::Line,
    servers::{Place, Servers},
};

/// Rows written so far, by table with its schema.
#[derive(Debug, Clone, Default)]
pub struct Rows(pub BTreeMap<String, Written>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

impl Rows {
    pub async fn now(client: &Client) -> Result<Self> {
        let sql = "SELECT schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables";
        let rows = client.query(sql, &[]).await?;
        let table = |row: &tokio_postgres::Row| {
            let [inserted, updated, deleted] = [1, 2, 3].map(|i| row.try_get::<_, i64>(i));
            let count = |n: Result<i64, _>| Ok::<_, anyhow::Error>(u64::try_from(n?)?);
            let written = Written { inserted: count(inserted)?, updated: count(updated)?, deleted: count(deleted)? };
            Ok((row.try_get(0)?, written))
        };
        Ok(Self(rows.iter().map(table).collect::<Result<_>>()?))
    }

    /// As `now`, once what sessions that have ended did is counted too.
    pub async fn settled(client: &Client) -> Result<Self> {
        let mut before = Self::now(client).await?;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = Self::now(client).await?;
            if now.0 == before.0 {
                return Ok(now);
            }
            before = now;
        }
    }

    /// The tables that were written to since then, and how much.
    pub fn since(&self, then: &Self) -> Self {
        let written = self.0.iter().map(|(table, now)| {
            let then = then.0.get(table).copied().unwrap_or_default();
            let written = Written {
                inserted: now.inserted.saturating_sub(then.inserted),
                updated: now.updated.saturating_sub(then.updated),
                deleted: now.deleted.saturating_sub(then.deleted),
            };
            (table.clone(), written)
        });
        Self(written.filter(|(_, written)| *written != Written::default()).collect())
    }

    pub fn sum(&self) -> Written {
        self.0.values().fold(Written::default(), |sum, table| Written {
            inserted: sum.inserted + table.inserted,
            updated: sum.updated + table.updated,
            deleted: sum.deleted + table.deleted,
        })
    }
}

/// Real events, by type: each the text of one.
pub type Sample = BTreeMap<String, Vec<String>>;

/// Hears everything that is published, while the line warms up.
pub struct Tap {
    connection: Connection,
    channel: Channel,
    queue: String,
}

impl Tap {
    pub async fn open(place: &Place) -> Result<Self> {
        let connection = Connection::connect(&place.broker, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?.name().to_string();
        channel
            .queue_bind(
                queue.as_str().into(),
                EVENTS.into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Self { connection, channel, queue })
    }

    /// What it has heard. Its queue goes with it.
    pub async fn close(self) -> Result<Sample> {
        let mut sample = Sample::new();
        let no_ack = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(self.queue.as_str().into(), no_ack).await? {
            let events: Vec<&RawValue> = serde_json::from_slice(&message.data).context("what is no parcel")?;
            let kind = sample.entry(message.routing_key.to_string()).or_default();
            kind.extend(events.into_iter().map(|event| event.get().to_owned()));
        }
        self.connection.close(200, "done".into()).await?;
        ensure!(!sample.is_empty(), "nothing was published while the line warmed up");
        Ok(sample)
    }
}

/// What one work queue was given.
#[derive(Debug, Clone)]
pub struct Given {
    pub hears: &'static [&'static str],
    pub messages: u64,
    pub events: u64,
}

/// What each work queue was given. RabbitMQ tells it some seconds late, and forgets who is gone: ask while the line
/// stands still, before it is stopped.
pub async fn given(servers: &Servers, place: &Place, line: &Line<'_>) -> Result<Vec<Given>> {
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut handled: BTreeMap<String, u64> = BTreeMap::new();
    for service in &line.services {
        let (status, page) = http::ask(Method::GET, &format!("http://{}/metrics", service.address), "").await?;
        ensure!(status == StatusCode::OK, "{} answered {status} to /metrics", service.name);
        for (queue, events) in events(&String::from_utf8_lossy(&page)) {
            *handled.entry(queue).or_default() += events;
        }
    }
    let mut given = Vec::new();
    for queue in WORK_QUEUES.iter().filter(|queue| !queue.hears.is_empty()) {
        let messages = servers.queue(place, queue.name).await?["message_stats"]["publish"].as_u64().unwrap_or(0);
        let events = handled.get(queue.name).copied().unwrap_or(0);
        given.push(Given { hears: queue.hears, messages, events });
    }
    Ok(given)
}

/// Events handled, by queue, as the services' metrics tell it: whatever the verdict.
fn events(metrics: &str) -> impl Iterator<Item = (String, u64)> {
    metrics.lines().filter_map(|line| {
        let (labels, count) = line.strip_prefix("conveyor_events_total{")?.split_once("} ")?;
        let queue = labels.split(',').find_map(|label| label.strip_prefix("queue=\"")?.strip_suffix('"'))?;
        Some((queue.to_owned(), count.trim().parse().ok()?))
    })
}

/// What was published of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    pub kind: String,
    pub messages: u64,
    pub events: u64,
    /// How many queues each message goes to.
    pub queues: u64,
}

/// Messages are counted by queue. A queue that hears several types has shared its own out among them as their events
/// were; of several queues that hear a type, the one that hears the fewest others says how many there were.
pub fn published(sample: &Sample, given: &[Given]) -> Vec<Published> {
    let seen = |queue: &Given| queue.hears.iter().filter(|kind| sample.contains_key(**kind)).count();
    let of_kind = |(kind, events): (&String, &Vec<String>)| {
        let hearing = || given.iter().filter(|queue| queue.hears.contains(&kind.as_str()));
        let queue = hearing().min_by_key(|queue| seen(queue))?;
        let all: usize = queue.hears.iter().filter_map(|kind| sample.get(*kind)).map(Vec::len).sum();
        let share = |count: u64| (count as f64 * events.len() as f64 / all.max(1) as f64).round() as u64;
        let events = share(queue.events);
        let messages = share(queue.messages).min(events);
        (messages > 0).then(|| Published { kind: kind.clone(), messages, events, queues: hearing().count() as u64 })
    };
    sample.iter().filter_map(of_kind).collect()
}

/// As many bodies as there were messages, with as many real events in them as there were, spread evenly.
pub fn bodies(sample: &[String], published: &Published) -> Vec<Vec<u8>> {
    let mut events = sample.iter().cycle();
    (0..published.messages)
        .map(|i| {
            let [from, to] = [i, i + 1].map(|i| published.events * i / published.messages);
            let mut body = vec![b'['];
            for event in events.by_ref().take(usize::try_from(to - from).unwrap_or(0)) {
                if body.len() > 1 {
                    body.push(b',');
                }
                body.extend_from_slice(event.as_bytes());
            }
            body.push(b']');
            body
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kinds: &[(&str, usize)]) -> Sample {
        kinds.iter().map(|(kind, events)| ((*kind).to_owned(), vec!["{}".to_owned(); *events])).collect()
    }

    #[test]
    fn rows_are_counted_from_a_moment_on() {
        let rows = |inserted, updated| {
            let written = Written { inserted, updated, deleted: 0 };
            Rows([("a.b".to_owned(), written), ("a.c".to_owned(), Written::default())].into())
        };
        let since = rows(7, 5).since(&rows(3, 5));
        assert_eq!(since.0.len(), 1);
        assert_eq!(since.sum(), Written { inserted: 4, updated: 0, deleted: 0 });
        assert!(rows(7, 5).since(&rows(7, 5)).0.is_empty());
    }

    #[test]
    fn events_are_read_from_metrics() {
        let page = "# TYPE conveyor_events_total counter\n\
                    conveyor_events_total{queue=\"a\",verdict=\"done\"} 12\n\
                    conveyor_events_total{verdict=\"retry\",queue=\"a\"} 3\nconveyor_parcels_published_total 4\n";
        assert_eq!(events(page).collect::<Vec<_>>(), [("a".to_owned(), 12), ("a".to_owned(), 3)]);
    }

    #[test]
    fn messages_are_counted_once_however_many_queues_hear_them() {
        let given = [
            Given { hears: &["paid", "cancelled"], messages: 10, events: 600 },
            Given { hears: &["paid", "received"], messages: 12, events: 640 },
            Given { hears: &["locked", "charged"], messages: 30, events: 1_200 },
        ];
        let all = published(&sample(&[("paid", 5), ("received", 1), ("locked", 10), ("charged", 20)]), &given);
        let of = |kind: &str| all.iter().find(|published| published.kind == kind).unwrap();
        assert_eq!((of("paid").messages, of("paid").events, of("paid").queues), (10, 600, 2));
        assert_eq!((of("locked").messages, of("charged").messages), (10, 20));
        assert_eq!((of("received").messages, of("received").events), (2, 107));
    }

    #[test]
    fn bodies_hold_every_event() {
        let published = Published { kind: String::new(), messages: 4, events: 10, queues: 1 };
        let bodies = bodies(&["1".to_owned(), "2".to_owned(), "3".to_owned()], &published);
        let texts: Vec<&str> = bodies.iter().map(|body| std::str::from_utf8(body).unwrap()).collect();
        assert_eq!(texts, ["[1,2]", "[3,1,2]", "[3,1]", "[2,3,1]"]);
    }
}
