//! The signatures of a group: they are checked while it still gathers, for whoever is in it waits for them.

use common::{db::DbError, http::Problem};

use super::{Asked, Waiting, refuse_all};
use crate::{
    http::codes,
    signing::{BadSignature, Signatures, Signed, TOGETHER},
};

/// Checks the signatures of one group after the other.
pub(super) struct Checks {
    /// None where signatures are not required.
    signatures: Option<Signatures>,
    /// What is known already of the first orders of the group that gathers.
    answers: Vec<Result<(), BadSignature>>,
}

impl Checks {
    pub(super) fn new(signatures: Option<Signatures>) -> Self {
        Self { signatures, answers: Vec::new() }
    }

    /// Checks those that are there already, if they are enough to be checked together, and no question to the database
    /// is needed. No more than once, for others want their turn too.
    pub(super) fn look(&mut self, there: &[Waiting<Asked>]) {
        let Some(signatures) = &self.signatures else { return };
        let Some(next) = there.get(self.answers.len()..).and_then(|new| new.get(..TOGETHER)) else { return };
        let answers = signed(next).ok().and_then(|signed| signatures.check_known(&signed));
        self.answers.extend(answers.into_iter().flatten());
    }

    /// Those whose signatures are good. The others are answered; nothing is said of what is in their orders.
    pub(super) async fn finish(&mut self, mut group: Vec<Waiting<Asked>>) -> Vec<Waiting<Asked>> {
        let Some(signatures) = &self.signatures else { return group };
        let mut answers = std::mem::take(&mut self.answers);
        let rest = match signed(group.get(answers.len()..).unwrap_or_default()) {
            Ok(signed) => signatures.check(&signed).await,
            Err(error) => Err(error),
        };
        match rest {
            Ok(rest) => answers.extend(rest),
            Err(error) => refuse_all(group.split_off(answers.len()), &error),
        }
        let mut good = Vec::with_capacity(group.len());
        for (waiting, answer) in group.into_iter().zip(answers) {
            match answer {
                Ok(()) => good.push(waiting),
                Err(bad) => waiting.answer(Err(bad.into())),
            }
        }
        good
    }
}

/// What these have signed.
fn signed(some: &[Waiting<Asked>]) -> Result<Vec<&Signed>, DbError> {
    let signed: Option<Vec<&Signed>> = some.iter().map(|waiting| waiting.it.signed.as_ref()).collect();
    signed.ok_or_else(|| DbError::unexpected("an order came in without a signature"))
}

impl From<BadSignature> for Problem {
    fn from(bad: BadSignature) -> Self {
        Self::new(codes::INVALID_SIGNATURE, format!("the signature {bad}"))
    }
}

#[cfg(test)]
mod tests {
    use common::ids::UserId;
    use tokio::sync::oneshot;
    use tracing::Span;

    use super::*;
    use crate::{intake::Taken, signing::tests};

    type Answer = oneshot::Receiver<Result<Taken, Problem>>;

    /// An order of user `u`, which is signed by one of their keys.
    fn order(key: &str, is_good: bool) -> (Waiting<Asked>, Answer) {
        let body = r#"{"userId":"u","token":"t","signature":"s","orderAmount":1,"items":[]}"#;
        let (answer, answered) = oneshot::channel();
        let signed = tests::signed_with(key, 1, if is_good { "text" } else { "another" }, "text");
        let it = Asked {
            user_id: UserId::try_from("u".to_owned()).unwrap(),
            request: serde_json::from_str(body).unwrap(),
            signed: Some(signed),
            once: None,
            traceparent: String::new(),
        };
        (Waiting { it, answer, span: Span::none() }, answered)
    }

    fn checks() -> Checks {
        Checks::new(Some(tests::knowing("known", 1)))
    }

    fn refused(answer: &mut Answer) -> Option<u16> {
        answer.try_recv().ok().map(|answer| answer.unwrap_err().status.as_u16())
    }

    #[tokio::test]
    async fn each_is_answered_for_itself_wherever_it_stands_and_however_it_came() {
        let bad = [0, 31, 32, 63, 64, 99];
        for at_once in [1, 7, 32, 100] {
            let (mut checks, mut group, mut answers) = (checks(), Vec::new(), Vec::new());
            for i in 0..100 {
                let (order, answer) = order("known", !bad.contains(&i));
                group.push(order);
                answers.push(answer);
                if group.len() % at_once == 0 {
                    checks.look(&group);
                }
            }
            assert_eq!(checks.answers.len(), if at_once == 100 { TOGETHER } else { 3 * TOGETHER });
            assert_eq!(checks.finish(group).await.len(), 94);
            for (i, answer) in answers.iter_mut().enumerate() {
                assert_eq!(refused(answer), bad.contains(&i).then_some(403), "{i} of {at_once}");
            }
            assert!(checks.answers.is_empty());
        }
    }

    #[tokio::test]
    async fn whose_key_cannot_be_looked_up_is_refused_and_nobody_else() {
        let (mut checks, mut group, mut answers) = (checks(), Vec::new(), Vec::new());
        for i in 0..70 {
            let (order, answer) = order(if i == 40 { "unknown" } else { "known" }, true);
            group.push(order);
            answers.push(answer);
            checks.look(&group);
        }
        // Those who came before are known to be good; those beside it cannot be told from it.
        assert_eq!(checks.finish(group).await.len(), TOGETHER);
        for (i, answer) in answers.iter_mut().enumerate() {
            assert_eq!(refused(answer), (i >= TOGETHER).then_some(503), "{i}");
        }
    }
}
