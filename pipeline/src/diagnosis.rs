//! What is wrong with a connection, step by step: what `source test` shows.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};

/// How long a step may take where nobody says otherwise.
const LIMIT: Duration = Duration::from_secs(10);
/// What is told of a step that was not over in time.
const NO_ANSWER: &str = "no answer in time";

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
    /// Which of several it is about, where there are several: a server, a topic, a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What was looked at: `name resolved`, `TCP connected`.
    pub step: String,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, why it failed, or why it was skipped.
    pub detail: String,
    /// How long it took, in ms.
    pub took_ms: u64,
}

/// The steps of a diagnosis so far. After one that failed, the others are skipped; but what fails of one of several
/// ([`Diagnosis::about`]) skips nothing of the others.
#[derive(Debug)]
pub struct Diagnosis {
    checks: Vec<Check>,
    limit: Duration,
    about: Option<String>,
    /// The step that failed of what all depends on.
    failed: Option<String>,
    /// The step that failed of what it is about now.
    failed_here: Option<String>,
}

impl Default for Diagnosis {
    fn default() -> Self {
        Self::within(LIMIT)
    }
}

impl Diagnosis {
    /// A diagnosis each of whose steps may take so long.
    pub fn within(limit: Duration) -> Self {
        Self { checks: Vec::new(), limit, about: None, failed: None, failed_here: None }
    }

    /// How long a step may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The next steps are about this one of several: they are looked at whatever failed of the others.
    pub fn about(&mut self, one: impl Into<String>) {
        self.about = Some(one.into());
        self.failed_here = None;
    }

    /// The next steps are about all of it again. With `go_on` nothing that failed before is a reason to skip them; without,
    /// what failed of any of the several is.
    pub fn about_all(&mut self, go_on: bool) {
        let several = self.about.take().is_some();
        self.failed_here = None;
        if go_on {
            self.failed = None;
        } else if several && self.failed.is_none() {
            let failed = self.checks.iter().find(|check| check.about.is_some() && check.outcome == Outcome::Failed);
            self.failed = failed.map(|check| check.step.clone());
        }
    }

    /// Looks at one step: `work` gives what later steps need, and what to tell of it. `None` when it failed, when it
    /// took too long, or when one before it failed. Where `work` is dropped before its end, the step has failed.
    pub async fn check<T>(&mut self, step: &str, work: impl Future<Output = Result<(T, String)>>) -> Option<T> {
        if let Some(failed) = self.failed.as_ref().or(self.failed_here.as_ref()) {
            let why = format!("not tried: `{failed}` failed");
            self.skip(step, why);
            return None;
        }
        let started = Instant::now();
        self.note(step, Outcome::Failed, NO_ANSWER.to_owned());
        let found = tokio::time::timeout(self.limit, work).await;
        let found = found.unwrap_or_else(|_| Err(Error::external(format!("{NO_ANSWER} ({:?})", self.limit))));
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
                let failed = if self.about.is_some() { &mut self.failed_here } else { &mut self.failed };
                *failed = Some(step.to_owned());
                None
            }
        }
    }

    /// A step that does not apply.
    pub fn skip(&mut self, step: &str, why: impl Into<String>) {
        self.note(step, Outcome::Skipped, why.into());
    }

    fn note(&mut self, step: &str, outcome: Outcome, detail: String) {
        self.checks.push(Check { about: self.about.clone(), step: step.to_owned(), outcome, detail, took_ms: 0 });
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
            ("c", Outcome::Skipped, "not tried: `b` failed"),
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

    #[tokio::test]
    async fn a_step_that_takes_too_long_has_failed_and_those_behind_it_are_skipped() {
        let mut found = Diagnosis::within(std::time::Duration::from_millis(1));
        found.check("a", std::future::pending::<Result<((), String)>>()).await;
        found.check("b", async { Ok(((), String::new())) }).await;
        let expected =
            [("a", Outcome::Failed, "no answer in time (1ms)"), ("b", Outcome::Skipped, "not tried: `a` failed")];
        assert_eq!(outcomes(&found), expected);
    }

    #[tokio::test]
    async fn what_fails_of_one_of_several_skips_nothing_of_the_others() {
        let refused = || async { Err::<((), String), _>(Error::external("refused")) };
        let fine = || async { Ok(((), String::new())) };
        let outcomes_with = async |go_on| {
            let mut found = Diagnosis::default();
            found.about("one");
            found.check("a", refused()).await;
            found.check("b", fine()).await;
            found.about("other");
            found.check("a", fine()).await;
            found.about_all(go_on);
            found.check("c", fine()).await;
            found.checks().iter().map(|check| (check.about.clone(), check.outcome)).collect::<Vec<_>>()
        };
        let (one, other) = (Some("one".to_owned()), Some("other".to_owned()));
        let of_each = [(one.clone(), Outcome::Failed), (one, Outcome::Skipped), (other, Outcome::Ok)];
        assert_eq!(outcomes_with(true).await, [&of_each[..], &[(None, Outcome::Ok)]].concat());
        assert_eq!(outcomes_with(false).await, [&of_each[..], &[(None, Outcome::Skipped)]].concat());
    }

    #[tokio::test]
    async fn what_fails_before_the_several_skips_them_all() {
        let mut found = Diagnosis::default();
        found.check("secrets", async { Err::<((), String), _>(Error::user("no such file")) }).await;
        found.about("one");
        found.check("a", async { Ok(((), String::new())) }).await;
        assert_eq!(outcomes(&found)[1], ("a", Outcome::Skipped, "not tried: `secrets` failed"));
    }
}
