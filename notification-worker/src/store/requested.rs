//! What other programs ask to have sent: each request once, if it has a name.

use std::time::Duration;

use common::{
    db::{Db, DbError},
    ids::UserId,
};
use uuid::Uuid;

use crate::contact::Channel;

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub id: Uuid,
    pub user_id: &'a UserId,
    pub channel: Channel,
    pub hash: [u8; 32],
}

/// Whether a request may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// By us, now.
    Ours,
    /// It was.
    Sent,
    /// Somebody is doing so.
    UnderWay,
    /// Its name stands for another request.
    Another,
}

/// Claims the request for so long.
pub(crate) async fn begin(db: &Db, request: &Request<'_>, lasts: Duration) -> Result<Begun, DbError> {
    let claim = include_str!("begin_requested.sql");
    let (channel, hash) = (request.channel.as_str(), request.hash.as_slice());
    let lasts = lasts.as_secs_f64();
    let claimed = db.query(claim, &[&request.id, &request.user_id.as_str(), &channel, &hash, &lasts]).await?;
    if !claimed.is_empty() {
        return Ok(Begun::Ours);
    }
    let rows = db.query("SELECT hash, state FROM requested WHERE id = $1", &[&request.id]).await?;
    let Some(row) = rows.first() else { return Ok(Begun::UnderWay) };
    let (known, state): (&[u8], &str) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match state {
        _ if known != hash => Begun::Another,
        "sent" => Begun::Sent,
        _ => Begun::UnderWay,
    })
}

/// Notes what came of it: `sent`, `refused`, or `pending` where it may be asked for again.
pub(crate) async fn end(db: &Db, id: Uuid, state: &'static str) -> Result<(), DbError> {
    let sql = "UPDATE requested
               SET state = $2, claimed_until = clock_timestamp(), sent_at = CASE WHEN $2 = 'sent' THEN clock_timestamp() END
               WHERE id = $1 AND state <> 'sent'";
    db.execute(sql, &[&id, &state]).await.map(|_| ())
}
