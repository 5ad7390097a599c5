//! Calls for columns that rows can do without.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::unread::Unread;
use crate::estate::Session;

/// How many calls for single things are under way at a time, where there is one for each.
pub(crate) const CALLS: usize = 8;

/// Calls that are not needed for the rows themselves. Where they are refused or not offered, their columns are NULL, and
/// that is told once. Whatever else fails (no answer, too many calls) is a failure of the listing: else columns would
/// come and go.
pub(crate) struct Optional<'a> {
    session: &'a Session,
    refused: AtomicBool,
}

impl<'a> Optional<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session, refused: AtomicBool::new(false) }
    }

    /// Whether it was refused before: then it is not worth asking again.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// What `ask` answers for each of `things`, in their order, with a few calls under way at a time. Nothing where it is gone,
    /// or the call was refused or is not offered: then it is not asked again.
    ///
    /// # Errors
    /// Any other failure.
    pub(crate) async fn each<I, T, F>(&self, things: Vec<I>, ask: impl Fn(I) -> F) -> Result<Vec<Option<T>>, Unread>
    where
        F: Future<Output = Result<Option<T>, Unread>>,
    {
        let ask = &ask;
        let one = |thing: I| async move {
            if self.is_refused() {
                return Ok(None);
            }
            Ok(self.take(ask(thing).await)?.flatten())
        };
        stream::iter(things).map(one).buffered(CALLS).try_collect().await
    }

    /// What was answered; nothing where the call was refused or is not offered.
    ///
    /// # Errors
    /// Any other failure.
    pub(crate) fn take<T>(&self, answer: Result<T, Unread>) -> Result<Option<T>, Unread> {
        let reason = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(Unread::Unsupported(reason)) => reason,
            Err(Unread::Denied(error)) => error.message,
            Err(other) => return Err(other),
        };
        if !self.refused.swap(true, Ordering::Relaxed) {
            let place = &self.session.place;
            tracing::warn!(account = %place.account_id, region = %place.region, %reason, "Columns that need this call are NULL.");
        }
        Ok(None)
    }
}

/// Whether a code says that something is not there: `InvalidInstanceID.NotFound`, `LoadBalancerNotFound`,
/// `DBSnapshotNotFoundFault`, `NoSuchHostedZone`, `InvalidLaunchTemplateId.Malformed`. Systems Manager says it in a way of
/// its own.
fn says_unknown(code: &str) -> bool {
    let endings = ["NotFound", "NotFoundFault", "NotFoundException", ".Malformed"];
    endings.iter().any(|ending| code.ends_with(ending)) || code.starts_with("NoSuch") || code == "InvalidInstanceId"
}

/// An answer, unless AWS says that it does not know what was named: it is gone.
///
/// # Errors
/// Any other failure.
#[allow(clippy::result_large_err, reason = "it is what the SDK gives")]
pub(crate) fn unless_unknown<O, E: ProvideErrorMetadata>(
    answer: Result<O, SdkError<E>>,
) -> Result<Option<O>, SdkError<E>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
            if says_unknown(code) { Ok(None) } else { Err(error) }
        }
    }
}
