//! What is around an order: where its customer pays, what the gateway has in its books, what was sent to whom.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::project::Variables;
use crate::{http, say, services, signals};

/// So long after the outcome, the customer may hear of it.
const UNTIL_TOLD: Duration = Duration::from_secs(1);

pub struct World {
    sandbox: Option<String>,
    payments: Option<String>,
    notifications: Option<String>,
}

impl World {
    pub fn of(variables: &Variables) -> Self {
        let url = |name: &str| variables.get(name).cloned();
        Self {
            sandbox: url(services::SANDBOX_URL),
            payments: url("CONVEYOR_PAYMENT_WORKER_URL"),
            notifications: url("CONVEYOR_NOTIFICATION_WORKER_URL"),
        }
    }

    pub fn payments(&self) -> Result<&str> {
        self.payments.as_deref().context("payment-worker does not run here: `cargo xtask up` first")
    }

    /// The number of a card that is named by what it does; any other number is itself.
    pub fn card(&self, card: &str) -> Result<String> {
        if card.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(card.to_owned());
        }
        let (_, known) = http::get(&format!("{}/sandbox/cards", self.sandbox()?))?;
        let cards: Vec<&Value> = known["cards"].as_array().into_iter().flatten().collect();
        let number = cards.iter().find(|known| known["name"] == *card).and_then(|known| known["number"].as_str());
        let names: Vec<&str> = cards.iter().filter_map(|known| known["name"].as_str()).collect();
        number.map(str::to_owned).with_context(|| format!("no card does {card:?}; there are: {}", names.join(", ")))
    }

    /// Tells where a customer wants to hear of their orders.
    pub fn introduce(&self, user: &str, token: &str) -> Result<()> {
        let Some(notifications) = &self.notifications else { return Ok(()) };
        let contact = json!({"email": format!("{user}@example.test"), "channel": "email"});
        let url = format!("{notifications}/api/notification/contacts/{user}");
        let (status, answer) = http::put_as(&url, token, &contact.to_string())?;
        if status != 200 {
            say::detail(format!(
                "{user} will get no mail: {status} {}",
                answer["message"].as_str().unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// Whether the gateway holds money for this order, or may come to hold some.
    pub fn holds_money(&self, order_id: &str) -> Result<bool> {
        let holds = |charge: &Value| match charge["status"].as_str() {
            Some("captured") => charge["refunded"] != charge["amount"],
            other => other == Some("processing"),
        };
        Ok(self.charges(order_id)?.iter().any(holds))
    }

    /// Whether the last charge was declined.
    pub fn declined(&self, order_id: &str) -> Result<bool> {
        Ok(self.charges(order_id)?.last().is_some_and(|charge| charge["status"] == "declined"))
    }

    /// What the gateway and the customer know in the end.
    pub fn tell_end(&self, order_id: &str) -> Result<()> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        // Ctrl-C: then what is known by now.
        let _ = signals::pause(UNTIL_TOLD);
        for charge in self.charges(order_id)? {
            say::out(line(&charge));
        }
        let (_, mails) = http::get(&format!("{sandbox}/sandbox/mails?q={order_id}&limit=1"))?;
        if let Some(mail) = mails["mails"].as_array().and_then(|mails| mails.first()) {
            say::out(format!("mail to {}: {}", text(&mail["to"]), text(&mail["subject"])));
        }
        let (_, sms) = http::get(&format!("{sandbox}/sandbox/sms?q={order_id}&limit=1"))?;
        if let Some(sms) = sms["sms"].as_array().and_then(|sms| sms.first()) {
            say::out(format!("SMS to {}: {}", text(&sms["to"]), text(&sms["text"])));
        }
        Ok(())
    }

    fn sandbox(&self) -> Result<&str> {
        self.sandbox.as_deref().context("the sandbox does not run here: `cargo xtask up` first")
    }

    /// The oldest first. None where there is no sandbox.
    fn charges(&self, order_id: &str) -> Result<Vec<Value>> {
        let Some(sandbox) = &self.sandbox else { return Ok(Vec::new()) };
        let (status, mut ledger) = http::get(&format!("{sandbox}/sandbox/ledger?orderId={order_id}"))?;
        match ledger["charges"].take() {
            Value::Array(charges) if status == 200 => Ok(charges),
            _ => bail!("the ledger cannot be read: {status}"),
        }
    }
}

fn line(charge: &Value) -> String {
    let reason = charge["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(
        "ledger: {}{reason} {} {}, refunded {}, behaviour {}, {}",
        text(&charge["status"]),
        in_words(&charge["amount"]),
        text(&charge["currency"]),
        in_words(&charge["refunded"]),
        text(&charge["behaviour"]),
        text(&charge["reference"]),
    )
}

/// Minor units, of which the demo's currency has a hundred.
fn in_words(amount: &Value) -> String {
    let minor = amount.as_u64().unwrap_or_default();
    format!("{}.{:02}", minor / 100, minor % 100)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A month that is two years away, as cards have it: MM/YY.
pub fn expiry() -> Result<String> {
    const YEAR: u64 = 31_556_952;
    let year = 1970 + SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / YEAR + 2;
    Ok(format!("12/{:02}", year % 100))
}
