//! What is wrong with a connection, step by step: what `source test` shows.

use std::time::Instant;

use serde::Serialize;

use crate::error::Result;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Ok,
    /// It is not.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One step of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `name resolved`, `TCP connected`.
    pub step: String,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, why it failed, or why it was skipped.
    pub detail: String,
    /// How long it took, in ms.
    pub took_ms: u64,
}

/// The steps of a diagnosis so far. After one that failed, the others are skipped.
#[derive(Debug, Default)]
pub struct Diagnosis {
    checks: Vec<Check>,
}

impl Diagnosis {
    /// Looks at one step: `work` gives what later steps need, and what to tell of it. `None` when it failed, or when
    /// one before it did. Where `work` is dropped before its end, the step has failed: nothing answered.
    pub async fn check<T>(&mut self, step: &str, work: impl Future<Output = Result<(T, String)>>) -> Option<T> {
        if let Some(failed) = self.checks.iter().find(|check| check.outcome == Outcome::Failed) {
            let why = format!("not tried: {}", failed.step);
            self.skip(step, why);
            return None;
        }
        let (detail, started) = ("no answer in time".to_owned(), Instant::now());
        self.checks.push(Check { step: step.to_owned(), outcome: Outcome::Failed, detail, took_ms: 0 });
        let found = work.await;
        let check = self.checks.last_mut()?;
        check.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match found {
            Ok((value, detail)) => {
                (check.outcome, check.detail) = (Outcome::Ok, detail);
                Some(value)
            }
            Err(error) => {
                check.detail = match error.remedy {
                    Some(remedy) => format!("{} ({remedy})", error.message),
                    None => error.message,
                };
                None
            }
        }
    }

    /// A step that does not apply.
    pub fn skip(&mut self, step: &str, why: impl Into<String>) {
        self.checks.push(Check { step: step.to_owned(), outcome: Outcome::Skipped, detail: why.into(), took_ms: 0 });
    }

    /// Whether a step failed.
    pub fn failed(&self) -> bool {
        self.checks.iter().any(|check| check.outcome == Outcome::Failed)
    }

    /// The steps, in the order in which they were looked at.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn outcomes(found: &Diagnosis) -> Vec<(&str, Outcome, &str)> {
        found.checks().iter().map(|check| (check.step.as_str(), check.outcome, check.detail.as_str())).collect()
    }

    #[tokio::test]
    async fn what_comes_after_a_failure_is_skipped() {
        let mut found = Diagnosis::default();
        assert_eq!(found.check("a", async { Ok((7, "seven".to_owned())) }).await, Some(7));
        let refused = async { Err::<((), String), _>(Error::external("refused").with_remedy("start it")) };
        assert_eq!(found.check("b", refused).await, None);
        assert_eq!(found.check("c", async { Ok(((), String::new())) }).await, None);
        let expected = [
            ("a", Outcome::Ok, "seven"),
            ("b", Outcome::Failed, "refused (start it)"),
            ("c", Outcome::Skipped, "not tried: b"),
        ];
        assert_eq!((outcomes(&found).as_slice(), found.failed()), (expected.as_slice(), true));
    }

    #[tokio::test]
    async fn what_never_answers_has_failed_when_it_is_given_up() {
        let mut found = Diagnosis::default();
        let never = found.check("a", std::future::pending::<Result<((), String)>>());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), never).await;
        assert_eq!(outcomes(&found), [("a", Outcome::Failed, "no answer in time")]);
    }
}
