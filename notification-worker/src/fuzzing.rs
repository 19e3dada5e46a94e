//! What the readers of bytes from outside are held to, whatever those bytes are: see [`common::fuzzing`].

use std::{collections::BTreeSet, sync::LazyLock};

use common::{
    events::{Event, Opened, open},
    fuzzing::refusal,
    http::JsonText,
    ids::UserId,
    money::Currency,
};
use lettre::Address;
use uuid::Uuid;

use crate::{
    ABOUT, Notifications,
    contact::{Email, Phone},
    http::{contacts::Put, mask, send::Send},
    message::Message,
    transport::{self, Letter, Mailer},
};

/// Of each mail, and no others.
const HEADERS: [&str; 9] = [
    "Auto-Submitted",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "From",
    "MIME-Version",
    "Message-ID",
    "Subject",
    "To",
];
/// What customers read of one event, in bytes.
const LONGEST_TEXT: usize = 2_000;

static MAILER: LazyLock<Mailer> = LazyLock::new(|| Mailer::new(&Notifications::default()).unwrap());

/// Where somebody wants to be told, and what a program of the shop says to them. An address that is taken means the same to
/// whoever carries the mail, and can be recognised and not read where it is masked.
pub fn contact(body: &[u8]) {
    let text = || JsonText::from(body.to_vec());
    match text().parse::<Put>().and_then(Put::check) {
        Ok(contact) => {
            assert!(contact.email.is_some() || contact.phone.is_some());
            assert!(contact.email.is_none_or(|email| is_an_address(&email)));
            assert!(contact.phone.is_none_or(|phone| is_a_number(&phone)));
        }
        Err(problem) => refusal(&problem),
    }
    match text().parse::<Send>().and_then(Send::check) {
        Ok(wanted) => mail(Uuid::nil().to_string(), wanted.user_id, wanted.subject, wanted.message),
        Err(problem) => refusal(&problem),
    }
    let bare = String::from_utf8_lossy(body);
    assert!(Email::parse(&bare).is_none_or(|email| is_an_address(&email)));
    assert!(Phone::parse(&bare).is_none_or(|phone| is_a_number(&phone)));
    mask::text(&bare);
}

fn is_an_address(email: &Email) -> bool {
    let text = email.as_str();
    let same = text.parse::<Address>().is_ok_and(|address| address.to_string() == text);
    same && text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic()) && mask::text(text) != text
}

fn is_a_number(phone: &Phone) -> bool {
    let text = phone.as_str();
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'+';
    text.len() <= 16 && text.bytes().all(is_digit) && mask::text(text) != text
}

/// What customers are told of an event that may say anything.
pub fn notice(bytes: &[u8]) {
    for one in open(bytes).unwrap_or_default() {
        if let Opened::Event(event) = one {
            tell(&event);
        }
    }
}

fn tell(event: &Event) {
    let Ok(message) = Message::about(event, &Currency::default()) else { return };
    assert!((1..=LONGEST_TEXT).contains(&message.text.len()), "{}", message.text);
    assert!(!message.text.contains(char::is_control) && !message.subject.contains(char::is_control));
    mail(message.name(), message.user_id, message.subject, message.text);
}

/// It is one mail to one person, whatever stands in it.
fn mail(name: String, user_id: UserId, subject: String, text: String) {
    let to = Email::parse("demo@example.test").unwrap();
    let letter = Letter { name, user_id, subject, text, to: transport::Address::Email(to.clone()) };
    let (_, mail) = MAILER.mail(&to, &letter).unwrap();
    let mail = String::from_utf8(mail).unwrap();
    assert!(mail.is_ascii() && !mail.replace("\r\n", "").contains(['\r', '\n']), "{mail:?}");
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    // A line that begins with a space goes on with the header before.
    let headers = head.lines().filter(|line| !line.starts_with([' ', '\t']));
    let names: BTreeSet<&str> = headers.clone().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!((headers.count(), names), (HEADERS.len(), BTreeSet::from(HEADERS)), "{mail}");
}

/// The whole configuration.
pub fn config(bytes: &[u8]) {
    common::fuzzing::config::<Notifications>(ABOUT.section, bytes, |settings| {
        settings.own.check(&settings.common.consumer)?;
        settings.own.longest_batch(&settings.common.consumer);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use common::fuzzing::seeds;

    use super::*;

    #[test]
    fn every_seed_is_well() {
        seeds("contact", contact);
        seeds("notice", notice);
        seeds("config", config);
    }
}
