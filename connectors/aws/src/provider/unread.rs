//! Why something could not be read, and what that means for its tables.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use tidegate_pipeline::error::Error;
use tidegate_pipeline::step::ScopeOutcome;

use super::page::is_page;
use crate::failure::{failure, is_denied};

/// Codes of calls that an endpoint does not know, or that are not offered in a region.
const UNSUPPORTED: [&str; 6] = [
    "InvalidAction",
    "UnknownOperationException",
    "UnsupportedOperation",
    "UnsupportedOperationException",
    "NotImplemented",
    "OptInRequired",
];

/// Why something could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The endpoint does not offer it. There is nothing to be read.
    Unsupported(String),
    /// These credentials may not read it.
    Denied(Error),
    /// It should have been readable.
    Failed(Error),
    /// Nobody wants it any more.
    Cancelled,
}

impl Unread {
    /// What an answer of the SDK means. `what` is what was tried: `list the volumes`.
    pub(crate) fn of<E>(what: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        if code.is_some_and(|code| UNSUPPORTED.contains(&code)) {
            return Self::Unsupported(format!("{what} is not offered here ({})", code.unwrap_or_default()));
        }
        if let Some(response) = error.raw_response() {
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").unwrap_or_default();
            // A page for people instead of an answer: nobody there knows the call.
            if code.is_none() && (matches!(status, 404 | 405 | 501) || is_page(response)) {
                let shown = if kind.is_empty() { "no answer of AWS" } else { kind };
                return Self::Unsupported(format!("{what} is not offered here (HTTP {status}, {shown})"));
            }
        }
        match is_denied(error) {
            true => Self::Denied(failure(what, error)),
            false => Self::Failed(failure(what, error)),
        }
    }

    /// What becomes of the scope, whose listing must be allowed to do `actions`.
    pub(crate) fn outcome(self, actions: &[&str]) -> ScopeOutcome {
        match self {
            Self::Unsupported(reason) => ScopeOutcome::Skipped(reason),
            Self::Denied(error) => {
                let remedy = format!("allow {} in the policy of the user or role", actions.join(", "));
                ScopeOutcome::Failed(with_remedy(&error.with_remedy(remedy)))
            }
            Self::Failed(error) => ScopeOutcome::Failed(with_remedy(&error)),
            Self::Cancelled => ScopeOutcome::Failed("the refresh was cancelled".to_owned()),
        }
    }
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What happened and what can be done about it, in one line.
fn with_remedy(error: &Error) -> String {
    match &error.remedy {
        Some(remedy) => format!("{}; {remedy}", error.message),
        None => error.message.clone(),
    }
}
