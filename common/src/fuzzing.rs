//! What the readers of bytes from outside are held to, whatever those bytes are.
//!
//! `cargo xtask fuzz` tries millions of inputs, guided by what of the code they reach; every test run goes through the
//! seeds in `fuzz/seeds`, and what was found once is among them. A property that does not hold panics.
//!
//! All of it is there with the feature `fuzzing` alone, which nothing that is shipped asks for.

mod config;
mod money;
mod names;
mod parcel;
mod query;
mod token;

use std::{fs, path::Path};

pub use self::{config::config, money::money, names::names, parcel::parcel, query::query, token::token};
use crate::http::Problem;

/// However much is wrong with a request, the answer stays small.
const MOST_ERRORS: usize = 256;
const LONGEST_MESSAGE: usize = 1_000;
const LONGEST_PATH: usize = 300;

/// Says of everything that is wrong what and where, in few words.
pub fn refusal(problem: &Problem) {
    assert!(problem.status.is_client_error(), "{problem:?}");
    assert!((1..=MOST_ERRORS).contains(&problem.errors.len()), "{problem:?}");
    assert!((1..=LONGEST_MESSAGE).contains(&problem.message.len()), "{problem:?}");
    let is_whole = problem.errors.iter().any(|error| error.field.is_none());
    assert!(!is_whole || problem.errors.len() == 1, "{problem:?}");
    for error in &problem.errors {
        assert!((1..=LONGEST_MESSAGE).contains(&error.message.len()), "{problem:?}");
        assert!(error.field.as_ref().is_none_or(|field| field.len() <= LONGEST_PATH), "{problem:?}");
    }
}

/// Goes through the seeds of a target.
///
/// # Panics
/// If there are none, or one of them shows that a property does not hold.
pub fn seeds(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds")).join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let file = entry.unwrap().path();
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
        count += 1;
    }
    assert!(count > 0, "there are no seeds in {}", folder.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_well() {
        seeds("money", money);
        seeds("names", names);
        seeds("parcel", parcel);
        seeds("query", query);
        seeds("token", token);
    }
}
