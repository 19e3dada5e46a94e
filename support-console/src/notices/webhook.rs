//! A notice as a call of another program's: `POST`, signed.

use std::time::Duration;

use axum::http::{HeaderValue, Request, Uri, header};
use bytes::Bytes;
use common::config::ConfigError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{send::Notice, settings, words};
use crate::outward::{Outward, base_url};

const WITHIN: Duration = Duration::from_secs(60);
/// Nothing in the answer matters but its status.
const ANSWER_BYTES: usize = 64 * 1024;

pub(super) struct Webhook {
    outward: Outward,
    uri: Uri,
    secret: SecretString,
}

impl Webhook {
    /// None where no address is set.
    pub(super) fn new(settings: &settings::Webhook, outward: Outward) -> Result<Option<Self>, ConfigError> {
        const KEY: &str = "support.notices.webhook.url";
        let url = settings.url.expose_secret();
        if url.is_empty() {
            return Ok(None);
        }
        base_url(KEY, url)?;
        let uri = url.parse().map_err(|_| ConfigError(format!("{KEY}: is not a URL")))?;
        Ok(Some(Self { outward, uri, secret: settings.secret.clone() }))
    }

    pub(super) async fn send(&self, notice: &Notice, public_url: &str) -> Result<(), String> {
        let body = body(notice, public_url);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let cannot = || "the webhook cannot be called".to_owned();
        let mut signature =
            HeaderValue::try_from(sign(&self.secret, now, &body).ok_or_else(cannot)?).map_err(|_| cannot())?;
        signature.set_sensitive(true);
        let request = Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header("conveyor-signature", signature)
            // The same for every try.
            .header("idempotency-key", notice.id.to_string())
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| cannot())?;
        let answer = self.outward.ask(request, WITHIN, ANSWER_BYTES).await;
        let answer = answer.map_err(|why| format!("the webhook: {why}"))?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(format!("the webhook answered {}", answer.status.as_u16()))
        }
    }
}

fn body(notice: &Notice, public_url: &str) -> String {
    let groups: Vec<_> = notice
        .groups
        .iter()
        .map(|group| {
            json!({
                "what": group.what,
                "group": group.key,
                "queue": group.queue,
                "type": group.kind,
                "reason": group.pattern,
                "waiting": group.failed,
                "since": group.since,
                "url": format!("{public_url}/groups/{}", group.key),
            })
        })
        .collect();
    json!({
        "id": notice.id,
        "at": notice.at.format(&Rfc3339).unwrap_or_default(),
        "text": words::subject(notice),
        "groups": groups,
        "moreGroups": notice.unnamed,
    })
    .to_string()
}

/// As the payment gateway signs its callbacks.
fn sign(secret: &SecretString, now: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(now.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("t={now},v1={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_signed_as_everybody_can_check() {
        // printf '%s' '1000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac 'a secret of the tests'
        let signed = sign(&"a secret of the tests".into(), 1_000, r#"{"id":"evt_1"}"#).unwrap();
        assert_eq!(signed, format!("t=1000,v1={EXPECTED}"));
    }

    const EXPECTED: &str = "92f2067cf55409d793e176885c8a20d00ebb1c6662f15e38ecb1316e57485495";
}
