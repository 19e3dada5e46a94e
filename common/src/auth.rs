//! Who is calling: a token says who its bearer is and what they may do.
//!
//! A token is a JWT. Which algorithm a key is good for is written beside the key, never taken from a token.

mod keys;
mod known;

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::Deserialize;

use self::known::{Known, Mark};
use crate::{
    config::{self, ConfigError},
    http::{Problem, Visit, codes},
    ids::UserId,
};

/// The longest token that is looked at.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// What a bearer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Place orders, and see their own.
    Customer,
    /// Another program of the shop's.
    Service,
    /// Support staff.
    Staff,
    /// Whoever runs the shop.
    Admin,
}

impl Scope {
    const NAMES: [(Self, &'static str); 4] =
        [(Self::Customer, "customer"), (Self::Service, "service"), (Self::Staff, "staff"), (Self::Admin, "admin")];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(scope, _)| *scope)
    }
}

/// Somebody whose token was in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    scopes: Vec<Scope>,
}

impl Caller {
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    pub fn must_have(&self, scope: Scope) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        let message = format!("the token does not have the scope `{}`", scope.as_str());
        Err(Problem::new(codes::INSUFFICIENT_SCOPE, message))
    }

    /// Whether what belongs to this user may be shown to the caller.
    #[must_use]
    pub fn may_see(&self, owner: &UserId) -> bool {
        (self.has(Scope::Customer) && self.user_id == *owner) || self.may_see_everything()
    }

    /// Whether what belongs to anybody may be shown to the caller.
    #[must_use]
    pub fn may_see_everything(&self) -> bool {
        [Scope::Service, Scope::Staff, Scope::Admin].into_iter().any(|scope| self.has(scope))
    }
}

/// Why a token counts for nothing. What was wrong in detail would only help whoever made it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the token has expired; get a new one")]
    Expired,
    #[error(
        "the token is not valid here: it must be a JWT with sub and exp, signed with a key that is known here, \
         and be for this service (iss, aud, nbf)"
    )]
    Invalid,
}

impl From<BadToken> for Problem {
    fn from(bad: BadToken) -> Self {
        let code = match bad {
            BadToken::Expired => codes::TOKEN_EXPIRED,
            BadToken::Invalid => codes::INVALID_TOKEN,
        };
        Self::new(code, bad.to_string())
    }
}

/// The claims that count. A token without a scope is a customer's.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    scope: Option<String>,
    /// Fractions of a second are allowed.
    exp: f64,
}

/// A key that tokens may be signed with, and everything that such a token must satisfy.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

/// All keys that tokens may be signed with: several, so that they can be exchanged without a gap.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    all: Vec<Key>,
    known: Known,
}

impl Tokens {
    pub fn new(settings: &config::Auth) -> Result<Self, ConfigError> {
        keys::read(settings).map(|all| Self(Arc::new(Keys { all, known: Known::default() })))
    }

    /// Whose token it is, if it is in order.
    pub fn check(&self, token: &str) -> Result<Caller, BadToken> {
        if token.len() > LONGEST_TOKEN {
            return Err(BadToken::Invalid);
        }
        let mark = Mark::of(token);
        if let Some(caller) = self.0.known.get(&mark, jsonwebtoken::get_current_timestamp() as f64) {
            return Ok(caller);
        }
        let (claims, leeway_s) = self.verify(token)?;
        let until = claims.exp + leeway_s as f64;
        let caller = caller(claims)?;
        self.0.known.put(mark, caller.clone(), until);
        Ok(caller)
    }

    /// What the token says, if one of the keys has signed it and it is for now and for us; and by how many seconds its end
    /// may be overrun.
    fn verify(&self, token: &str) -> Result<(Claims, u64), BadToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| BadToken::Invalid)?;
        // What must be understood, by its issuer's word, and is not understood here.
        if header.crit.is_some() {
            return Err(BadToken::Invalid);
        }
        let may_have_signed = |key: &&Key| {
            key.algorithm == header.alg && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        let mut refusal = BadToken::Invalid;
        for key in self.0.all.iter().filter(may_have_signed) {
            match jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation) {
                Ok(decoded) => return Ok((decoded.claims, key.validation.leeway)),
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => refusal = BadToken::Expired,
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

fn caller(Claims { sub, scope, .. }: Claims) -> Result<Caller, BadToken> {
    let user_id = UserId::try_from(sub).map_err(|_| BadToken::Invalid)?;
    let scopes = match scope {
        Some(scope) => scope.split(' ').filter_map(Scope::named).collect(),
        None => vec![Scope::Customer],
    };
    Ok(Caller { user_id, scopes })
}

/// What the request's one `Authorization: Bearer` carries. Of two, which one counts would be a guess, and somebody on the way
/// may have guessed otherwise.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::new(codes::MISSING_TOKEN, "send a token: Authorization: Bearer <token>");
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (all.next(), all.next());
    if second.is_some() {
        return Err(Problem::new(codes::INVALID_TOKEN, "send one Authorization header, not several"));
    }
    match first.and_then(|header| header.to_str().ok()).ok_or_else(missing)?.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(missing()),
    }
}

/// Taken from `Authorization: Bearer`, and counted against the user's rate. The routes need an [`Extension`](axum::Extension) with the [`Tokens`].
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(tokens) = parts.extensions.get::<Tokens>() else { return Err(Problem::internal()) };
        let caller = tokens.check(bearer(&parts.headers)?)?;
        if let Some(visit) = parts.extensions.get::<Visit>() {
            visit.count_for(&caller.user_id)?;
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests;
