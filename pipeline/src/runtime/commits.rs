//! The commits of sinks: waited for, but not for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::sink::Mark;

/// How many commits of one sink may be under way: what they hold is bounded.
const MOST: usize = 8;

/// The commits that are under way. One that takes too long lets its checkpoint fail, and goes on; the next one of its
/// sink ends after it.
pub(crate) struct Commits {
    within: Duration,
    /// The newest commit of each sink that has not ended, and how many there are.
    late: BTreeMap<String, (Commit, usize)>,
}

type Commit = AbortOnDropHandle<Result<Mark>>;

impl Commits {
    /// Commits that may take so long.
    pub(crate) fn new(within: Duration) -> Self {
        Self { within, late: BTreeMap::new() }
    }

    /// Waits for the commits of a checkpoint, by the names of their marks.
    ///
    /// # Errors
    /// Naming the sink that failed, or did not end in time.
    pub(crate) async fn settle(
        &mut self,
        commits: Vec<(String, BoxFuture<'static, Result<Mark>>)>,
    ) -> Result<BTreeMap<String, Mark>> {
        let mut begun = Vec::new();
        for (name, commit) in commits {
            let (earlier, count) = self.late.remove(&name).map_or((None, 0), |(earlier, count)| (Some(earlier), count));
            let in_order = async move {
                if let Some(earlier) = earlier {
                    ended(earlier.await)?;
                }
                commit.await
            };
            begun.push((name, AbortOnDropHandle::new(tokio::spawn(in_order)), count + 1));
        }
        let within = self.within;
        let waited = begun.into_iter().map(|(name, mut commit, count)| async move {
            let mark = tokio::time::timeout(within, &mut commit).await;
            (name, commit, count, mark)
        });
        let (mut marks, mut failed) = (BTreeMap::new(), None);
        for (name, commit, count, mark) in join_all(waited).await {
            match mark {
                Ok(mark) => match ended(mark) {
                    Ok(mark) => drop(marks.insert(name, mark)),
                    // A sink that failed to make its output durable may have forgotten what it owes: it is not asked
                    // again, and the next start brings it back to its mark.
                    Err(error) => failed = Some(error.never_retry().at_node(name)),
                },
                Err(_) => {
                    let error = self.overdue(&name, count);
                    self.late.insert(name, (commit, count));
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(marks),
        }
    }

    fn overdue(&self, name: &str, count: usize) -> Error {
        let message = format!("the sink has not made its output durable within {:?}", self.within);
        let remedy = "look at what it writes to; nothing is lost: the next checkpoint waits for it again";
        let error = Error::external(message).with_remedy(remedy).at_node(name);
        if count >= MOST { error.never_retry() } else { error }
    }
}

fn ended(joined: Result<Result<Mark>, tokio::task::JoinError>) -> Result<Mark> {
    joined.map_err(|error| Error::internal(format!("a sink's commit broke off: {error}")))?
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::error::Retry;

    fn commit(detail: &str) -> BoxFuture<'static, Result<Mark>> {
        let detail = detail.to_owned();
        async move { Ok(Mark { detail, ..Mark::default() }) }.boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_hangs_fails_its_checkpoint_by_name_and_the_next_one_ends_after_it() {
        let mut commits = Commits::new(Duration::from_secs(5));
        let (answer, asked) = oneshot::channel::<Mark>();
        let hung = async move { asked.await.map_err(Error::internal) }.boxed();
        let both = vec![("slow".to_owned(), hung), ("good".to_owned(), commit("g"))];
        let error = commits.settle(both).await.unwrap_err();
        assert_eq!((error.node.as_deref(), error.retry), (Some("slow"), Retry::WithBackoff), "{error}");
        let again = vec![("slow".to_owned(), commit("second")), ("good".to_owned(), commit("g"))];
        assert!(commits.settle(again).await.is_err(), "the first is still under way");
        answer.send(Mark::default()).unwrap();
        let marks = commits.settle(vec![("slow".to_owned(), commit("third"))]).await.unwrap();
        assert_eq!(marks["slow"].detail, "third");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_hangs_again_and_again_ends_the_pipeline() {
        let mut commits = Commits::new(Duration::from_secs(5));
        for count in 1..=MOST {
            let hung = vec![("slow".to_owned(), futures::future::pending().boxed())];
            let error = commits.settle(hung).await.unwrap_err();
            assert_eq!(error.retry == Retry::Never, count == MOST, "{count}");
        }
    }

    #[tokio::test]
    async fn a_sink_that_fails_is_not_asked_again() {
        let mut commits = Commits::new(Duration::from_secs(5));
        let failing = async { Err(Error::external("no room")) }.boxed();
        let error = commits.settle(vec![("full".to_owned(), failing)]).await.unwrap_err();
        assert_eq!((error.node.as_deref(), error.retry), (Some("full"), Retry::Never));
    }
}
