//! Where customers can be told.

use std::collections::HashMap;

use common::{
    db::{Db, DbError, Tx},
    ids::UserId,
};
use tokio_postgres::Row;

use crate::{
    contact::{Channel, Contact, Email, Phone},
    message::Message,
};

/// The contacts of all whom these messages are for, by user.
pub(crate) async fn find_contacts(tx: &mut Tx, messages: &[&Message]) -> Result<HashMap<String, Contact>, DbError> {
    let users: Vec<&str> = messages.iter().map(|message| message.user_id.as_str()).collect();
    let sql = "SELECT email, phone, channel, user_id FROM contacts WHERE user_id = ANY ($1)";
    let rows = tx.query(sql, &[&users]).await?;
    rows.iter().map(|row| Ok((row.try_get(3)?, contact(row)?))).collect()
}

pub(crate) async fn find_contact(db: &Db, user: &UserId) -> Result<Option<Contact>, DbError> {
    let sql = "SELECT email, phone, channel FROM contacts WHERE user_id = $1";
    db.query(sql, &[&user.as_str()]).await?.first().map(contact).transpose()
}

fn contact(row: &Row) -> Result<Contact, DbError> {
    let unexpected = || DbError::unexpected("a contact that nobody can be told at");
    let (email, phone): (Option<&str>, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Contact {
        email: email.map(|text| Email::parse(text).ok_or_else(unexpected)).transpose()?,
        phone: phone.map(|text| Phone::parse(text).ok_or_else(unexpected)).transpose()?,
        channel: Channel::of_customer(row.try_get(2)?).ok_or_else(unexpected)?,
    })
}

pub(crate) async fn put_contact(db: &Db, user: &UserId, contact: &Contact) -> Result<(), DbError> {
    let sql = "INSERT INTO contacts (user_id, email, phone, channel) VALUES ($1, $2, $3, $4)
               ON CONFLICT (user_id) DO UPDATE
               SET email = excluded.email, phone = excluded.phone, channel = excluded.channel, updated_at = now()";
    let email = contact.email.as_ref().map(Email::as_str);
    let phone = contact.phone.as_ref().map(Phone::as_str);
    db.execute(sql, &[&user.as_str(), &email, &phone, &contact.channel.as_str()]).await.map(|_| ())
}

/// Whether there was one.
pub(crate) async fn delete_contact(db: &Db, user: &UserId) -> Result<bool, DbError> {
    db.execute("DELETE FROM contacts WHERE user_id = $1", &[&user.as_str()]).await.map(|rows| rows > 0)
}
