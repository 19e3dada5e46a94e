//! Why something was not done: one vocabulary for the pages, the API and the CLI.

use common::db::DbError;

use crate::{BadQuery, Role, State};

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("it has changed since: version {now} now, version {seen} when you looked")]
    ChangedSince { seen: i32, now: i32 },
    #[error("it is in retry: nothing else can be done with it until there is word of it, or it is taken back")]
    InRetry,
    #[error("it is {is}, and that can be done only with what is {needs}")]
    WrongState { is: State, needs: State },
    #[error("it cannot be retried as it is: {0}")]
    NotRetryable(String),
    #[error("this takes the role {needs}")]
    Forbidden { needs: Role },
    #[error("the edit was not applied: {0}")]
    EditNotApplied(String),
    #[error(transparent)]
    Query(#[from] BadQuery),
    #[error("{found} letters are too many at once: at most {most}")]
    TooMany { found: i64, most: i64 },
    #[error("there is nothing in it that this can be done with")]
    Nothing,
    #[error("the run is {0}")]
    RunIs(&'static str),
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Refusal {
    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::ChangedSince { .. } => "changed_since",
            Self::InRetry => "in_retry",
            Self::WrongState { .. } => "wrong_state",
            Self::NotRetryable(_) => "not_retryable",
            Self::Forbidden { .. } => "forbidden",
            Self::EditNotApplied(_) => "edit_not_applied",
            Self::Query(_) => "bad_query",
            Self::TooMany { .. } => "too_many",
            Self::Nothing => "nothing_to_do",
            Self::RunIs(_) => "wrong_run_state",
            Self::Invalid { .. } => "invalid",
            Self::Database(_) => "unavailable",
        }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::ChangedSince { .. } | Self::InRetry | Self::WrongState { .. } | Self::Nothing | Self::RunIs(_) => 409,
            Self::NotRetryable(_) | Self::EditNotApplied(_) | Self::TooMany { .. } => 422,
            Self::Forbidden { .. } => 403,
            Self::Query(_) | Self::Invalid { .. } => 400,
            Self::Database(_) => 503,
        }
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
