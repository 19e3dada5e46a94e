//! The signatures of a group: they are checked while it still gathers, for whoever is in it waits for them.

use common::{db::DbError, http::Problem};
use tokio::task::JoinHandle;

use super::{Asked, Waiting, refuse_all};
use crate::{
    http::codes,
    signing::{BadSignature, Signatures, Signed, TOGETHER},
};

type Answers = Result<Vec<Result<(), BadSignature>>, DbError>;

/// Checks the signatures of one group after the other.
pub(super) struct Checks {
    /// None where signatures are not required.
    signatures: Option<Signatures>,
    /// Those of the first orders of the group that gathers, as many at a time as are checked together.
    begun: Vec<JoinHandle<Answers>>,
}

impl Checks {
    pub(super) fn new(signatures: Option<Signatures>) -> Self {
        Self { signatures, begun: Vec::new() }
    }

    /// Begins with those that are there, if they are enough to be checked together.
    pub(super) fn begin(&mut self, there: &mut [Waiting<Asked>]) {
        let Some(signatures) = &self.signatures else { return };
        for some in there.chunks_exact_mut(TOGETHER).skip(self.begun.len()) {
            let signatures = signatures.clone();
            let signed = signed(some);
            self.begun.push(tokio::spawn(async move { signatures.check(signed?).await }));
        }
    }

    /// Those whose signatures are good. The others are answered; nothing is said of what is in their orders.
    pub(super) async fn finish(&mut self, mut group: Vec<Waiting<Asked>>) -> Vec<Waiting<Asked>> {
        let Some(signatures) = &self.signatures else { return group };
        let last = group.get_mut(self.begun.len() * TOGETHER..).unwrap_or_default();
        let last = match signed(last) {
            Ok(signed) => signatures.check(signed).await,
            Err(error) => Err(error),
        };
        let mut answers = Vec::with_capacity(self.begun.len() + 1);
        for begun in self.begun.drain(..) {
            answers.push(begun.await.unwrap_or_else(|error| Err(DbError::unexpected(error))));
        }
        answers.push(last);

        let mut good = Vec::with_capacity(group.len());
        let mut group = group.into_iter();
        for answers in answers {
            match answers {
                Ok(answers) => {
                    for (waiting, answer) in group.by_ref().take(answers.len()).zip(answers) {
                        match answer {
                            Ok(()) => good.push(waiting),
                            Err(bad) => waiting.answer(Err(bad.into())),
                        }
                    }
                }
                Err(error) => refuse_all(group.by_ref().take(TOGETHER).collect(), &error),
            }
        }
        good
    }
}

/// What these have signed.
fn signed(some: &mut [Waiting<Asked>]) -> Result<Vec<Signed>, DbError> {
    let signed: Option<Vec<Signed>> = some.iter_mut().map(|waiting| waiting.it.signed.take()).collect();
    signed.ok_or_else(|| DbError::unexpected("an order came in without a signature"))
}

impl From<BadSignature> for Problem {
    fn from(bad: BadSignature) -> Self {
        Self::new(codes::INVALID_SIGNATURE, format!("the signature {bad}"))
    }
}
