//! Mails that arrived: what is kept of each, and who of the addressed is not at home.

use std::collections::HashMap;

use mail_parser::MessageParser;

use crate::shelf::{Bulky, Shelf};

/// What is kept of a subject and of a text, in bytes.
const LONGEST_SUBJECT: usize = 1000;
const LONGEST_TEXT: usize = 128 << 10;
/// How often a mail to `later@…` is sent back before it is taken.
const TIMES_LATER: u8 = 2;
const MOST_LATE: usize = 10_000;

/// One mail to one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) message_id: String,
    /// Of the envelope, as `from` is too.
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// Unix milliseconds.
    pub(crate) received_at: i64,
}

impl Mail {
    /// Where a search looks.
    pub(crate) fn texts(&self) -> [&str; 4] {
        [&self.to, &self.from, &self.subject, &self.text]
    }
}

impl Bulky for Mail {
    fn size(&self) -> usize {
        let texts = [&self.message_id, &self.to, &self.from, &self.subject, &self.text];
        texts.map(String::len).iter().sum::<usize>() + 300
    }
}

/// Whether somebody takes mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtHome {
    Yes,
    /// `bounce@…`, `bounce+anything@…`
    Never,
    /// `later@…`, `later+anything@…`, the first times.
    NotYet,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    mails: Shelf<Mail>,
    /// How often those who come home later were asked for.
    late: HashMap<String, u8>,
}

impl Inbox {
    pub(crate) fn new(most: usize) -> Self {
        Self { mails: Shelf::new(most), late: HashMap::new() }
    }

    pub(crate) fn ask_for(&mut self, address: &str) -> AtHome {
        let local = address.rsplit_once('@').map_or(address, |(local, _)| local).to_ascii_lowercase();
        match local.split_once('+').map_or(local.as_str(), |(name, _)| name) {
            "bounce" => AtHome::Never,
            "later" => {
                if self.late.len() >= MOST_LATE {
                    self.late.clear();
                }
                let asked = self.late.entry(address.to_ascii_lowercase()).or_default();
                *asked = asked.saturating_add(1);
                if *asked <= TIMES_LATER { AtHome::NotYet } else { AtHome::Yes }
            }
            _ => AtHome::Yes,
        }
    }

    pub(crate) fn take(&mut self, mail: Mail) {
        self.mails.put(mail);
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Mail> {
        self.mails.get(number)
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (u64, &Mail)> {
        self.mails.newest()
    }

    pub(crate) fn clear(&mut self) {
        self.mails.clear();
        self.late.clear();
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.mails.dropped()
    }
}

/// What a message says, whatever it is: what cannot be read is empty.
pub(crate) fn read(message: &[u8], from: &str, to: &str, received_at: i64) -> Mail {
    let parsed = MessageParser::default().parse(message);
    let parsed = parsed.as_ref();
    let text = parsed.and_then(|mail| mail.body_text(0)).unwrap_or_default();
    Mail {
        message_id: shortened(parsed.and_then(|mail| mail.message_id()).unwrap_or_default(), LONGEST_SUBJECT),
        to: to.to_owned(),
        from: from.to_owned(),
        subject: shortened(parsed.and_then(|mail| mail.subject()).unwrap_or_default(), LONGEST_SUBJECT),
        text: shortened(&text.replace("\r\n", "\n"), LONGEST_TEXT),
        received_at,
    }
}

fn shortened(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(message: &str) -> Mail {
        read(message.replace('\n', "\r\n").as_bytes(), "shop@example.com", "jane@example.com", 0)
    }

    #[test]
    fn encoded_subjects_and_texts_are_read() {
        let quoted = mail(
            "Message-ID: <1@shop>\nSubject: =?utf-8?q?Your_order_=E2=82=AC?= =?utf-8?b?IOKCrA==?=\n\
             MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
             Paid: 100.50 =E2=82=AC, a line that is=\n too long.\n",
        );
        assert_eq!(quoted.message_id, "1@shop");
        assert_eq!(quoted.subject, "Your order € €");
        assert_eq!(quoted.text, "Paid: 100.50 €, a line that is too long.\n");
        let base64 = mail(
            "Subject: plain\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZQ==\n",
        );
        assert_eq!((base64.subject.as_str(), base64.text.trim_end()), ("plain", "Grüße"));
    }

    #[test]
    fn the_plain_one_of_several_parts_is_the_text() {
        let parts = mail(
            "Subject: a\n folded one\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n\
             --x\nContent-Type: text/plain\n\nplain\n--x\nContent-Type: text/html\n\n<p>html</p>\n--x--\n",
        );
        assert_eq!((parts.subject.as_str(), parts.text.trim_end()), ("a folded one", "plain"));
    }

    #[test]
    fn what_is_no_message_is_a_mail_all_the_same() {
        for nothing in [&b""[..], b"\r\n", b"\xff\xfe\x00", b":::\r\n\r\n", b"Subject"] {
            assert_eq!(read(nothing, "", "jane@example.com", 7).received_at, 7);
        }
        let long = mail(&format!("Subject: {}\n\n{}", "ä".repeat(2000), "ö".repeat(200_000)));
        assert!(long.subject.len() <= LONGEST_SUBJECT && long.text.len() <= LONGEST_TEXT);
    }

    #[test]
    fn some_are_never_at_home_and_some_come_later() {
        let mut inbox = Inbox::new(10);
        assert_eq!(inbox.ask_for("jane@example.com"), AtHome::Yes);
        assert_eq!(["Bounce@a.example", "bounce+1@b.example"].map(|to| inbox.ask_for(to)), [AtHome::Never; 2]);
        let asked = [0; 4].map(|_| inbox.ask_for("later@example.com"));
        assert_eq!(asked, [AtHome::NotYet, AtHome::NotYet, AtHome::Yes, AtHome::Yes]);
        assert_eq!(inbox.ask_for("later+2@example.com"), AtHome::NotYet);
    }
}
