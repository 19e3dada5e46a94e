//! A notice as a mail.

use common::{
    config::{ConfigError, Encryption, Smtp},
    db::describe,
};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use secrecy::ExposeSecret as _;

use super::{send::Notice, words};

pub(super) struct Mailer {
    /// Without a pool: a notice now and then is not worth a connection that is kept.
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    domain: String,
}

impl Mailer {
    pub(super) fn new(from: &str, server: &Smtp) -> Result<Self, ConfigError> {
        let bad = |what: String| ConfigError(format!("support.notices.{what}"));
        let parameters = || {
            let parameters = TlsParameters::new(server.host.clone());
            parameters.map_err(|error| bad(format!("smtp.tls: {}", describe(&error))))
        };
        let tls = match server.tls {
            Encryption::None => Tls::None,
            Encryption::Starttls => Tls::Required(parameters()?),
            Encryption::Tls => Tls::Wrapper(parameters()?),
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port).tls(tls);
        if !server.user.is_empty() {
            let password = server.password.expose_secret().to_owned();
            transport = transport.credentials(Credentials::new(server.user.clone(), password));
        }
        let from: Mailbox = from.parse().map_err(|_| bad("email.from: is not a sender of mail".to_owned()))?;
        let domain = from.email.domain().to_owned();
        Ok(Self { transport: transport.build(), from, domain })
    }

    pub(super) async fn send(&self, to: &str, notice: &Notice, public_url: &str) -> Result<(), String> {
        let to = to.parse().map_err(|_| "it is no mail address".to_owned())?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(words::subject(notice))
            // The same for every try, so that whoever gets it twice can tell.
            .message_id(Some(format!("<{}.notice@{}>", notice.id, self.domain)))
            .header(header::MIME_VERSION_1_0)
            .header(header::ContentType::TEXT_PLAIN)
            .body(words::text(notice, public_url))
            .map_err(|error| describe(&error))?;
        self.transport.send(mail).await.map(|_| ()).map_err(|error| describe(&error))
    }
}
