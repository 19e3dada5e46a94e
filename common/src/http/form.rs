//! Reading what a page's form sends.

use axum::extract::{FromRequest, Request};
use secrecy::zeroize::Zeroize as _;

use super::{json, problem::Problem};

/// The fields of a form. There may be a password among them, so they are wiped when they are dropped, and never shown.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The first field of that name; a field that is not there is as good as an empty one.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All fields of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let mut body = json::read(request, "application/x-www-form-urlencoded").await?;
        let fields = form_urlencoded::parse(&body).into_owned().collect();
        body.zeroize();
        Ok(Self(fields))
    }
}
