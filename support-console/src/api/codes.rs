//! Why something cannot be done, besides what any request can be refused for.

use common::http::{
    Problem,
    codes::{INVALID_FIELD, NOT_FOUND},
};

use crate::{Refusal, services::Refused};

common::codes! {
    CHANGED_SINCE = "changed_since", CONFLICT,
        "The letter is another than you saw.",
        "Look at it again, and decide again.";
    IN_RETRY = "in_retry", CONFLICT,
        "The letter was sent again, and there is no word of it yet.",
        "Wait for the word; once it is overdue, an operator may take the letter back.";
    WRONG_STATE = "wrong_state", CONFLICT,
        "This cannot be done with a letter in its state.",
        "The message says in which it can.";
    WRONG_RUN_STATE = "wrong_run_state", CONFLICT,
        "This cannot be done with a run in its state.",
        "Look at the run; what is over stays over.";
    NOTHING_TO_DO = "nothing_to_do", CONFLICT,
        "There is no letter that this can be done with.",
        "Look at what you chose: all of it may have been dealt with meanwhile.";
    NOT_RETRYABLE = "not_retryable", UNPROCESSABLE_ENTITY,
        "The letter cannot be sent again as it is.",
        "Edit it, so that an event can be read.";
    EDIT_NOT_APPLIED = "edit_not_applied", UNPROCESSABLE_ENTITY,
        "The edit was not applied, and nothing has changed.",
        "The message says what is in its way.";
    TOO_MANY = "too_many", UNPROCESSABLE_ENTITY,
        "These are more letters than one run may take.",
        "Narrow the search.";
    BAD_QUERY = "bad_query", BAD_REQUEST,
        "The search cannot be understood.",
        "The message says where it goes wrong.";
    FORBIDDEN = "forbidden", FORBIDDEN,
        "The account's role does not allow this.",
        "Ask somebody with the role that the message names.";
    REFUSED_BY_SERVICE = "refused_by_service", CONFLICT,
        "The service that was asked to do it has refused.",
        "The message is the service's own.";
}

/// For the client.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    let message = refusal.to_string();
    let code = match refusal {
        Refusal::Database(error) => {
            tracing::warn!(%error, "the console's database did not do what it should");
            return Problem::unavailable("the console's database cannot be reached; try again shortly");
        }
        Refusal::NotFound(_) => NOT_FOUND,
        Refusal::ChangedSince { .. } => CHANGED_SINCE,
        Refusal::InRetry => IN_RETRY,
        Refusal::WrongState { .. } => WRONG_STATE,
        Refusal::NotRetryable(_) => NOT_RETRYABLE,
        Refusal::Forbidden { .. } => FORBIDDEN,
        Refusal::EditNotApplied(_) => EDIT_NOT_APPLIED,
        Refusal::Query(_) => BAD_QUERY,
        Refusal::TooMany { .. } => TOO_MANY,
        Refusal::Nothing => NOTHING_TO_DO,
        Refusal::RunIs(_) => WRONG_RUN_STATE,
        Refusal::Invalid { .. } => INVALID_FIELD,
    };
    Problem::new(code, message)
}

/// What a service has refused, or could not be asked.
pub(super) fn of_service(refused: Refused) -> Problem {
    let message = refused.to_string();
    match refused {
        Refused::Role => Problem::new(FORBIDDEN, message),
        Refused::NotFound => Problem::not_found(message),
        Refused::Refused(_) => Problem::new(REFUSED_BY_SERVICE, message),
        Refused::Away(_) => Problem::unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, State};

    #[test]
    fn the_engines_words_are_the_apis() {
        for refusal in [
            Refusal::NotFound("letter"),
            Refusal::ChangedSince { seen: 1, now: 2 },
            Refusal::InRetry,
            Refusal::WrongState { is: State::Done, needs: State::Failed },
            Refusal::NotRetryable(String::new()),
            Refusal::Forbidden { needs: Role::Operator },
            Refusal::EditNotApplied(String::new()),
            Refusal::TooMany { found: 2, most: 1 },
            Refusal::Nothing,
            Refusal::RunIs("finished"),
        ] {
            let (code, status) = (refusal.code(), refusal.status());
            let problem = problem(refusal);
            assert_eq!((problem.errors[0].code.name, problem.status.as_u16()), (code, status));
        }
    }
}
