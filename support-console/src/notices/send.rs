//! Sending what was noted: each way and each address by itself, again and again with growing pauses, and not for ever.

use std::time::Duration;

use common::db::{Db, DbError};
use futures_util::future::join_all;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Notices, look::Told};

const AT_ONCE: i64 = 16;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// A notice on its way to one target.
pub(super) struct Notice {
    pub id: Uuid,
    pub at: OffsetDateTime,
    pub groups: Vec<Told>,
    pub unnamed: i64,
}

struct Send {
    way: String,
    target: String,
    tries: i32,
    notice: Notice,
}

/// Sends what is due; returns how much that was.
pub(super) async fn send_due(notices: &Notices) -> Result<usize, DbError> {
    let lease = Duration::from_millis(notices.settings.timeout_ms) + Duration::from_secs(5);
    let rows = notices.db.query(include_str!("take.sql"), &[&AT_ONCE, &lease.as_secs_f64()]).await?;
    let sends: Vec<Send> = rows.iter().map(read).collect::<Result<_, _>>()?;
    join_all(sends.iter().map(|send| one(notices, send))).await;
    Ok(sends.len())
}

async fn one(notices: &Notices, send: &Send) {
    let within = Duration::from_millis(notices.settings.timeout_ms);
    let sent = tokio::time::timeout(within, deliver(notices, send)).await;
    let sent = sent.unwrap_or_else(|_| Err("it took too long".to_owned()));
    let result = match &sent {
        Ok(()) => "sent",
        Err(why) => {
            tracing::warn!(notice.id = %send.notice.id, way = send.way, tries = send.tries, why, "a notice could not be sent");
            "failed"
        }
    };
    metrics::counter!("conveyor_support_notices_total", "way" => send.way.clone(), "result" => result).increment(1);
    // If this cannot be noted, it is sent once more, with the same id.
    if let Err(error) = note(&notices.db, send, sent, notices.settings.tries).await {
        tracing::warn!(notice.id = %send.notice.id, %error, "what came of a notice could not be noted");
    }
}

async fn deliver(notices: &Notices, send: &Send) -> Result<(), String> {
    match (send.way.as_str(), &notices.mailer, &notices.webhook) {
        ("email", Some(mailer), _) => mailer.send(&send.target, &send.notice, &notices.public_url).await,
        ("webhook", _, Some(webhook)) => webhook.send(&send.notice, &notices.public_url).await,
        _ => Err("it is no longer configured".to_owned()),
    }
}

async fn note(db: &Db, send: &Send, sent: Result<(), String>, most: i32) -> Result<(), DbError> {
    let (state, why) = match sent {
        Ok(()) => ("sent", String::new()),
        Err(why) if send.tries >= most => ("given_up", why),
        Err(why) => ("pending", why),
    };
    let why: String = why.chars().take(300).collect();
    let sql = "UPDATE notice_sends
               SET state = $4, why = $5, due_at = now() + make_interval(secs => $6),
                   sent_at = CASE WHEN $4 = 'sent' THEN now() END
               WHERE notice = $1 AND way = $2 AND target = $3 AND state = 'pending'";
    let pause = pause(send.tries).as_secs_f64();
    db.execute(sql, &[&send.notice.id, &send.way, &send.target, &state, &why, &pause]).await.map(|_| ())
}

fn pause(tries: i32) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(0).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

fn read(row: &Row) -> Result<Send, DbError> {
    let groups = serde_json::from_str(row.try_get(4)?).map_err(DbError::unexpected)?;
    let notice = Notice { id: row.try_get(0)?, at: row.try_get(6)?, groups, unnamed: row.try_get(5)? };
    Ok(Send { way: row.try_get(1)?, target: row.try_get(2)?, tries: row.try_get(3)?, notice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        let seconds: Vec<u64> = [1, 2, 3, 12, 1_000, i32::MAX, 0].map(|tries| pause(tries).as_secs()).into();
        assert_eq!(seconds, [2, 4, 8, 3_600, 3_600, 3_600, 2]);
    }
}
