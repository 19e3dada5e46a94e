//! Mail, by SMTP.
//!
//! lettre speaks the protocol; the dialogue and the kept connections are ours. Its own pool takes a dialogue that was
//! given up half-way for one that is over, and would then count the answer to one mail for the next; and what was refused
//! decides by when it was: a server that does not want us says 5xx too, and that is no recipient's fault.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use common::{
    breaker::Names,
    config::{self, ConfigError, Encryption},
    db::describe,
};
use lettre::{
    Message,
    message::{Mailbox, header},
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret as _;

use super::{Letter, NotSent, Transport};
use crate::{
    contact::{Channel, Email},
    settings::Notifications,
};

/// A connection that was quiet for longer is not used again: servers close them after minutes.
const QUIET: Duration = Duration::from_secs(30);
/// So many are kept.
const MOST_KEPT: usize = 64;

/// By which header other programs know that nobody wrote this, and answer nobody (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

pub(crate) struct Smtp {
    server: config::Smtp,
    tls: Option<TlsParameters>,
    from: Mailbox,
    domain: String,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    pub(crate) fn new(settings: &Notifications) -> Result<Self, ConfigError> {
        let server = settings.smtp.clone();
        let bad = |what: &str| ConfigError(format!("notifications.{what}"));
        let tls = match server.tls {
            Encryption::None => None,
            Encryption::Starttls | Encryption::Tls => {
                let parameters = TlsParameters::new(server.host.clone());
                Some(parameters.map_err(|error| bad(&format!("smtp.tls: {}", describe(&error))))?)
            }
        };
        let from = settings.from.parse().map_err(|_| bad("from: is not a sender of mail"))?;
        Ok(Self { server, tls, from, domain: settings.domain.clone(), kept: Mutex::default() })
    }

    /// Says who we are and that we may, as far as the server asks for it.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let hello = ClientId::Domain(self.domain.clone());
        let at = (self.server.host.as_str(), self.server.port);
        let from_the_first_byte = self.tls.clone().filter(|_| self.server.tls == Encryption::Tls);
        let mut connection = AsyncSmtpConnection::connect_tokio1(at, None, &hello, from_the_first_byte, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.server.tls == Encryption::Starttls) {
            connection.starttls(tls, &hello).await?;
        }
        if !self.server.user.is_empty() {
            let password = self.server.password.expose_secret().to_owned();
            connection.auth(DEFAULT_MECHANISMS, &Credentials::new(self.server.user.clone(), password)).await?;
        }
        Ok(connection)
    }

    /// A connection on which the server has agreed to take a mail from us.
    async fn begin(&self) -> Result<AsyncSmtpConnection, Error> {
        let mail = || Mail::new(Some(self.from.email.clone()), Vec::new());
        // Whoever has closed one that was kept answers on a new one.
        while let Some(mut connection) = self.take_kept() {
            if connection.command(mail()).await.is_ok() {
                return Ok(connection);
            }
        }
        let mut connection = self.connect().await?;
        connection.command(mail()).await?;
        Ok(connection)
    }

    fn take_kept(&self) -> Option<AsyncSmtpConnection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.since.elapsed() < QUIET);
        kept.pop().map(|kept| kept.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }

    pub(crate) fn mail(&self, to: &Email, letter: &Letter) -> Result<(lettre::Address, Vec<u8>), String> {
        let address: lettre::Address = to.as_str().parse().map_err(|_| "it is no mail address".to_owned())?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address.clone()))
            .subject(letter.subject.clone())
            .message_id(Some(message_id(letter, &self.domain)))
            .date_now()
            .header(AutoSubmitted)
            // Without it, what is said of the content need not be believed, and `ü` may be read as `=C3=BC`.
            .header(header::MIME_VERSION_1_0)
            .header(header::ContentType::TEXT_PLAIN)
            .body(format!("{}\n", letter.text))
            .map_err(|error| describe(&error))?;
        Ok((address, mail.formatted()))
    }
}

/// The same for every attempt, so that whoever gets a mail twice can tell.
fn message_id(letter: &Letter, domain: &str) -> String {
    format!("<{}.{}@{domain}>", letter.name, Channel::Email.as_str())
}

impl Transport for Smtp {
    type Address = Email;
    const CHANNEL: Channel = Channel::Email;
    const NAMES: Names = Names {
        what: "the mail server",
        gauge: "conveyor_email_breaker",
        opened: "conveyor_email_breaker_opened_total",
    };

    /// On whichever connection this ends early, it ends with it.
    async fn send(&self, to: &Email, letter: &Letter) -> Result<(), NotSent> {
        let (address, mail) = self.mail(to, letter).map_err(NotSent::ForGood)?;
        // Up to here nothing was said of whom it is for: whatever is wrong, it is not that.
        let mut connection = self.begin().await.map_err(|error| NotSent::Away(describe(&error)))?;
        connection.command(Rcpt::new(address, Vec::new())).await.map_err(|error| verdict(&error))?;
        connection.command(Data).await.map_err(|error| verdict(&error))?;
        connection.message(&mail).await.map_err(|error| verdict(&error))?;
        self.keep(connection);
        Ok(())
    }
}

/// What an answer about one mail means.
fn verdict(error: &Error) -> NotSent {
    let why = describe(error);
    match error.status().map(|code| code.to_string()) {
        // It is closing down.
        Some(code) if code == "421" => NotSent::Away(why),
        Some(_) if error.is_permanent() => NotSent::ForGood(why),
        Some(_) => NotSent::ForNow(why),
        None => NotSent::Away(why),
    }
}

#[cfg(test)]
mod tests {
    use common::ids::UserId;

    use super::*;
    use crate::transport::Address;

    #[test]
    fn a_mail_is_as_the_standards_want_it_and_its_id_is_always_the_same() {
        let smtp = Smtp::new(&Notifications::default()).unwrap();
        let to = Email::parse("demo@example.test").unwrap();
        let letter = Letter {
            name: "ORD7.3.order.paid".to_owned(),
            user_id: UserId::try_from("123456".to_owned()).unwrap(),
            subject: "Grüße".to_owned(),
            text: "one\n.two: ü".to_owned(),
            to: Address::Email(to.clone()),
        };
        let (address, mail) = smtp.mail(&to, &letter).unwrap();
        let mail = String::from_utf8(mail).unwrap();
        assert_eq!(address.to_string(), "demo@example.test");
        assert!(mail.is_ascii() && !mail.replace("\r\n", "").contains(['\r', '\n']), "{mail:?}");
        for line in [
            "Message-ID: <ORD7.3.order.paid.email@conveyor>",
            "From: Conveyor <orders@conveyor.example>",
            "To: demo@example.test",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(mail.contains(&format!("{line}\r\n")), "{line} is not in {mail}");
        }
    }

    #[test]
    fn nothing_in_a_subject_makes_a_header() {
        let smtp = Smtp::new(&Notifications::default()).unwrap();
        let to = Email::parse("demo@example.test").unwrap();
        let letter = Letter {
            name: "ORD7.3.order.paid".to_owned(),
            user_id: UserId::try_from("123456".to_owned()).unwrap(),
            subject: "a\r\nBcc: thief@example.test".to_owned(),
            text: String::new(),
            to: Address::Email(to.clone()),
        };
        // Nobody can have such a subject: requests are checked. This is the net below.
        if let Ok((_, mail)) = smtp.mail(&to, &letter) {
            assert!(!String::from_utf8(mail).unwrap().contains("\r\nBcc"));
        }
    }
}
