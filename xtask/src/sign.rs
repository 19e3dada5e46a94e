//! `cargo xtask sign`: an order with a token and a signature in their places.

use std::env;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use pkcs8::der::{asn1::BitStringRef, pem::PemLabel as _};
use pkcs8::{
    AlgorithmIdentifierRef, Document, LineEnding, ObjectIdentifier, PrivateKeyInfo, SecretDocument,
    SubjectPublicKeyInfoRef,
};
use rand_core::OsRng;
use serde_json::{Map, Value, json};

use crate::project::{self, Variables};
use crate::site::Site;
use crate::{http, say, token};

/// What the demo customer's key is registered as.
const KEY_ID: &str = "demo";

/// Prints an order, signed, for what `cargo xtask up` has started
///
/// Without a file it is the documented example. Fields that are there are kept; a missing userId is the demo
/// customer's, a missing token is issued for the userId. Nothing else goes to standard output:
/// `curl -d "$(cargo xtask sign)"` sends it.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The order as JSON; `-` reads it from standard input
    file: Option<PathBuf>,
    /// The private key, as PEM [default: the demo customer's, in .local/signing-key.pem]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What that key is registered as
    #[arg(long, value_name = "NAME", default_value = KEY_ID)]
    key_id: String,
    /// Print the whole curl command, ready to paste
    #[arg(long)]
    curl: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let site = Site::open()?;
    let text = match &arguments.file {
        None => "{}".to_owned(),
        Some(file) if file.as_os_str() == "-" => {
            let mut text = String::new();
            stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        Some(file) => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
    };
    let mut order: Map<String, Value> = serde_json::from_str(&text).context("the order is not a JSON object")?;
    if arguments.file.is_none() {
        order = example();
    }
    let file = arguments.key.clone().unwrap_or_else(|| key_file(&site));
    let key = read_key(&file)?;
    let signed = sign(order, &site.variables(), &key, &arguments.key_id)?;
    if arguments.curl {
        let variables = site.variables();
        let api = variables.get("CONVEYOR_ORDER_API_URL").context("nothing runs here: `cargo xtask up` first")?;
        let quoted = signed.replace('\'', r"'\''");
        say::out(format!("curl -s {api}/api/orders/create -H 'Content-Type: application/json' -d '{quoted}'"));
    } else {
        say::out(&signed);
    }
    Ok(ExitCode::SUCCESS)
}

/// An order of any user, signed with the key that was registered for them.
pub fn of_user(site: &Site, user: &str, mut order: Map<String, Value>) -> Result<String> {
    order.insert("userId".to_owned(), user.into());
    sign(order, &site.variables(), &read_key(&key_of(site, user)?)?, KEY_ID)
}

/// Registers any user's key, which is made if there is none.
pub fn register_user(site: &Site, user: &str, api: &str) -> Result<()> {
    let admin = token::issue(&site.variables(), "xtask", "admin", 1)?;
    register_as(user, &key_of(site, user)?, api, &admin)
}

/// The demo customer's has a file of its own name.
fn key_of(site: &Site, user: &str) -> Result<PathBuf> {
    if user == token::USER {
        return Ok(key_file(site));
    }
    if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        bail!("{user:?} cannot be a user here: letters, digits, - and _ only");
    }
    Ok(site.local.join(format!("signing-key-{user}.pem")))
}

/// Makes the demo customer's key, if there is none, and registers it.
pub fn register(site: &Site, api: &str) -> Result<()> {
    let admin = token::issue(&site.variables(), "xtask", "admin", 1)?;
    register_as(token::USER, &key_file(site), api, &admin)
}

/// The same for any user: their key is in the file, or is made and put there.
pub fn register_as(user: &str, file: &Path, api: &str, admin: &str) -> Result<()> {
    let key = if file.exists() {
        read_key(file)?
    } else {
        let key = SigningKey::new(OsRng);
        project::write_private(file, &private_pem(&key).context("a key cannot be written as PEM")?)?;
        key
    };
    let pem = public_pem(&key).context("a key cannot be written as PEM")?;
    let url = format!("{api}/api/users/{user}/signing-keys/{KEY_ID}");
    let (status, answer) = http::put_as(&url, admin, &json!({"publicKey": pem}).to_string())?;
    if status != 200 {
        bail!("the key of {user} was not registered: {status} {answer}");
    }
    Ok(())
}

fn key_file(site: &Site) -> PathBuf {
    env::var_os("CONVEYOR_SIGNING_KEY_FILE").map_or_else(|| site.local.join("signing-key.pem"), PathBuf::from)
}

/// Removes the keys that were made here, the demo customer's and others'.
pub fn remove_keys(site: &Site) -> Result<()> {
    for entry in fs::read_dir(&site.local)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("signing-key") && name.ends_with(".pem") {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// RFC 8410.
const ED25519: AlgorithmIdentifierRef<'_> =
    AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };
/// Before the 32 bytes of a private key: that they are so many.
const OF_32_BYTES: [u8; 2] = [0x04, 0x20];

fn read_key(file: &Path) -> Result<SigningKey> {
    let pem = fs::read_to_string(file)
        .with_context(|| format!("cannot read {} (`cargo xtask up` makes the demo customer's)", file.display()))?;
    private_key(&pem).with_context(|| format!("{} is not the PEM of an Ed25519 private key", file.display()))
}

fn private_key(pem: &str) -> Option<SigningKey> {
    let (label, document) = SecretDocument::from_pem(pem.trim()).ok()?;
    let key: PrivateKeyInfo<'_> = document.decode_msg().ok()?;
    let bytes: [u8; 32] = key.private_key.strip_prefix(&OF_32_BYTES)?.try_into().ok()?;
    (label == PrivateKeyInfo::PEM_LABEL && key.algorithm == ED25519).then(|| SigningKey::from(bytes))
}

fn private_pem(key: &SigningKey) -> Option<String> {
    let bytes = [&OF_32_BYTES[..], key.as_ref()].concat();
    let document = SecretDocument::try_from(PrivateKeyInfo::new(ED25519, &bytes)).ok()?;
    Some(document.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF).ok()?.to_string())
}

fn public_pem(key: &SigningKey) -> Option<String> {
    let bytes: [u8; 32] = VerificationKeyBytes::from(key).into();
    let subject_public_key = BitStringRef::from_bytes(&bytes).ok()?;
    let document = Document::try_from(SubjectPublicKeyInfoRef { algorithm: ED25519, subject_public_key }).ok()?;
    document.to_pem(SubjectPublicKeyInfoRef::PEM_LABEL, LineEnding::LF).ok()
}

/// The documented order.
pub fn example() -> Map<String, Value> {
    let order = json!({
        "orderAmount": 100.50,
        "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
    });
    order.as_object().cloned().unwrap_or_default()
}

fn sign(mut order: Map<String, Value>, variables: &Variables, key: &SigningKey, key_id: &str) -> Result<String> {
    let user = order.entry("userId").or_insert_with(|| token::USER.into());
    let user = user.as_str().context("userId is no text")?.to_owned();
    if !order.contains_key("token") {
        let token = token::issue(variables, &user, "customer", 60)?;
        order.insert("token".to_owned(), token.into());
    }
    order.remove("signature");
    let text = serde_json_canonicalizer::to_vec(&order).context("the order has no RFC 8785 form")?;
    let signature = STANDARD.encode(key.sign(&text).to_bytes());
    order.insert("signature".to_owned(), format!("{key_id}:{signature}").into());
    Ok(Value::Object(order).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_down() {
        let key = SigningKey::from([3; 32]);
        let pem = private_pem(&key).unwrap_or_default();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{pem}");
        assert_eq!(private_key(&pem).map(|read| *read.as_bytes()), Some([3; 32]));
        for no_key in ["", "x", &public_pem(&key).unwrap_or_default()] {
            assert!(private_key(no_key).is_none(), "{no_key}");
        }
    }
}
