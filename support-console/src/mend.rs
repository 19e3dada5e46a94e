//! What is done to one letter by hand: its body is edited, or it is taken back from a retry of which there is
//! no word.

use std::collections::BTreeMap;

use common::{
    crash::{self, Mistake, Point},
    db::DbError,
    events::{Opened, open, pack},
    params,
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use crate::{
    Console, DiffLine, Refusal, Role, State, Who, again,
    audit::{self, On},
    diff::diff,
    ingest::arrival::About,
    letter::state,
    tries::{self, Outcome},
};

/// What an edit has changed. The original is kept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    pub edit: Uuid,
    /// The letter's version now.
    pub version: i32,
    pub diff: Option<Vec<DiffLine>>,
    /// Whether it can be retried now.
    pub readable: bool,
}

/// What a person edits is no larger.
pub(crate) const BODY_MOST: usize = 4 * 1024 * 1024;

impl Console {
    /// Changes what would be sent again, if the letter is still as it was at `version`. The body is a parcel of one event
    /// (or that event by itself). What cannot be changed, and whatever would be ignored, is refused: headers as well, for
    /// no worker reads any, and they are not sent again.
    pub async fn edit(
        &self,
        who: &Who,
        letter: Uuid,
        version: i32,
        body: Option<&[u8]>,
        headers: Option<&Value>,
    ) -> Result<Edited, Refusal> {
        who.must_be(Role::Operator)?;
        if headers.is_some() {
            let why = "headers are not sent again, for no worker reads any: what you write there would be ignored";
            return Err(Refusal::EditNotApplied(why.to_owned()));
        }
        let body = body.ok_or_else(|| Refusal::EditNotApplied("nothing is different".to_owned()))?;
        let mut tx = self.db().begin().await?;
        let rows = tx.query(include_str!("mend/lock.sql"), &[&letter]).await?;
        let row = rows.first().ok_or(Refusal::NotFound("letter"))?;
        let (now, is): (i32, State) = (row.try_get(0)?, state(row, 1)?);
        match is {
            State::Retrying => return Err(Refusal::InRetry),
            State::Failed => {}
            is => return Err(Refusal::WrongState { is, needs: State::Failed }),
        }
        if now != version {
            return Err(Refusal::ChangedSince { seen: version, now });
        }
        let event_id: Option<Uuid> = row.try_get(2)?;
        let (reason, before): (String, Vec<u8>) = (row.try_get(3)?, row.try_get(4)?);
        let mended = mend(event_id, &before, body).map_err(Refusal::EditNotApplied)?;
        let about = &mended.about;
        let edit = Uuid::now_v7();
        let diff = diff(&before, &mended.body);
        let bytes = i32::try_from(mended.body.len()).unwrap_or(i32::MAX);
        tx.queries([
            (include_str!("mend/note.sql"), &[&edit, &letter, &who.account, &version, &mended.body]),
            ("UPDATE contents SET body = $2 WHERE letter = $1", &[&letter, &mended.body]),
            (
                include_str!("mend/apply.sql"),
                &[
                    &letter,
                    &about.event_id,
                    &about.kind,
                    &about.subject,
                    &about.users,
                    &about.products,
                    &about.terms(&reason),
                    &bytes,
                ],
            ),
        ])
        .await?;
        if crash::makes(Mistake::PublishBeforeCommit) {
            tx.commit().await?;
            tx = self.db().begin().await?;
        }
        audit::add(&mut tx, who, "edit", On::Letter(letter), &json!({"edit": edit, "version": version}));
        let commit = async move {
            crash::here(Point::EditWritten);
            tx.commit().await?;
            crash::here(Point::EditCommitted);
            Ok::<_, DbError>(())
        };
        if crash::makes(Mistake::AckBeforeCommit) {
            tokio::spawn(async {
                tokio::time::sleep(crash::LONG_ENOUGH).await;
                commit.await
            });
        } else {
            commit.await?;
        }
        self.changed();
        Ok(Edited { edit, version: version + 1, diff, readable: true })
    }

    /// Ends a retry of which there has been no word for too long. Should it succeed after all, that counts.
    pub async fn take_back(&self, who: &Who, letter: Uuid) -> Result<(), Refusal> {
        who.must_be(Role::Operator)?;
        let mut tx = self.db().begin().await?;
        let rows = tx.query(include_str!("mend/take_back.sql"), &[&letter, &self.late()]).await?;
        let Some(row) = rows.first() else {
            let rows = tx.query("SELECT state FROM letters WHERE id = $1", &[&letter]).await?;
            let row = rows.first().ok_or(Refusal::NotFound("letter"))?;
            return Err(match state(row, 0)? {
                State::Retrying => Refusal::InRetry,
                is => Refusal::WrongState { is, needs: State::Retrying },
            });
        };
        let retry: Option<Uuid> = row.try_get(0)?;
        tries::settle(&mut tx, &retry.into_iter().collect::<Vec<_>>(), Outcome::Failed).await?;
        tx.write("DELETE FROM on_trial WHERE retry_id = $1", params![retry]);
        audit::add(&mut tx, who, "take_back", On::Letter(letter), &json!({"retry": retry}));
        tx.commit().await?;
        self.changed();
        Ok(())
    }
}

/// A body that will do, and what it is about.
pub(crate) struct Mended {
    pub body: Vec<u8>,
    about: About,
}

/// Checks an edit. What each retry sets by itself cannot be edited: it would be ignored.
pub(crate) fn mend(event_id: Option<Uuid>, before: &[u8], body: &[u8]) -> Result<Mended, String> {
    if body.len() > BODY_MOST {
        return Err(format!("the body is larger than {} MiB", BODY_MOST / 1024 / 1024));
    }
    let trimmed = body.trim_ascii();
    let body = if trimmed.starts_with(b"{") { pack([trimmed]) } else { trimmed.to_vec() };
    let fields = again::fields(&body)?;
    let opened = open(&body)?;
    let Some(Opened::Event(event)) = opened.first() else { return Err("no event".to_owned()) };
    if event_id.is_some_and(|id| id != event.id) {
        return Err("the id of the event must stay: by it, what is done is not done twice".to_owned());
    }
    let old = again::fields(before).unwrap_or_default();
    for name in ["attempt", "retryid"] {
        let text = |fields: &BTreeMap<String, Box<RawValue>>| fields.get(name).map(|raw| raw.get().to_owned());
        let is_what_it_will_be = name == "attempt" && text(&fields).as_deref() == Some("1");
        if text(&fields).is_some() && text(&fields) != text(&old) && !is_what_it_will_be {
            return Err(format!("{name} is set by each retry: what you write there would be ignored"));
        }
    }
    let value = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
    if value(before).is_some() && value(before) == value(&body) {
        return Err("nothing is different".to_owned());
    }
    let about = About::event(event);
    Ok(Mended { about, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str, more: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"0193a0c0-d0e0-7000-8000-000000000000","type":"order.paid","source":"x","subject":"s","time":"2026-01-31T12:00:00Z"{more},"data":{data}}}"#
        )
    }

    #[test]
    fn an_edit_is_applied_or_says_why_not() {
        let id = Some(Uuid::from_u128(0x0193_a0c0_d0e0_7000_8000_0000_0000_0000));
        let before = format!("[{}]", event(r#"{"userId":"1"}"#, r#","attempt":6"#));
        let edit = |body: &str| mend(id, before.as_bytes(), body.as_bytes()).map(|mended| mended.about.users);
        assert_eq!(edit(&event(r#"{"userId":"2"}"#, "")), Ok(vec!["2".to_owned()]));
        assert_eq!(edit(&format!(" [{}] ", event(r#"{"userId":"2"}"#, r#","attempt":6"#))), Ok(vec!["2".to_owned()]));
        for (body, why) in [
            ("", "not a batch"),
            ("{", "not a batch"),
            ("[]", "empty"),
            (before.as_str(), "nothing is different"),
            (&event("{}", r#","attempt":2"#), "attempt is set"),
            (&event("{}", r#","retryid":"0193a0c0-d0e0-7000-8000-000000000001""#), "retryid is set"),
            (&event("{}", "").replace("0193", "0194"), "id of the event must stay"),
            (&event("{}", "").replace("order.paid\",", "order.paid\"x"), "not a batch"),
            (&event("{}", "").replace("subject", "object"), "not an event"),
            (&format!("[{0},{0}]", event("{}", "")), "2 events"),
        ] {
            let error = edit(body).expect_err(body);
            assert!(error.contains(why), "{body}: {error}");
        }
        // What could not be read has no id yet.
        assert!(mend(None, b"\xff", event("{}", "").as_bytes()).is_ok());
    }
}
