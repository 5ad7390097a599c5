//! Calls for columns that rows can do without.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use super::unread::Unread;
use crate::estate::Session;

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
            // `InvalidInstanceID.NotFound`, `InvalidLaunchTemplateId.Malformed`; Systems Manager says it without either.
            let unknown = code.ends_with(".NotFound") || code.ends_with(".Malformed") || code == "InvalidInstanceId";
            if unknown { Ok(None) } else { Err(error) }
        }
    }
}
