//! `tidegate provider verify`: whether credentials are good, before anything is added.

use serde::Serialize;
use tidegate_pipeline::provider::{CredentialStatus, ProviderKind, Verified};

use crate::arguments::Format;
use crate::command::source::options;
use crate::exit::{DONE, FAILED, Failure};
use crate::output;

/// What verifying has found.
#[derive(Debug, Serialize)]
struct Found {
    status: CredentialStatus,
    /// Why not, with what can be done about it.
    message: String,
    checked_at: String,
}

/// Asks what a refresh would ask, with these options.
pub(super) async fn verify(kind: &dyn ProviderKind, arguments: &[String], format: Format) -> Result<u8, Failure> {
    let provider = options::read(arguments, "the provider", |options| kind.provider(options))?;
    let now = jiff::Timestamp::now();
    let Verified { status, message, .. } =
        Verified::of(provider.verify().await.as_ref().copied(), now.as_millisecond());
    let found = Found { status, message, checked_at: now.to_string() };
    output::records(format, &["status", "message", "checked at"], &[found], |found| {
        vec![found.status.name().to_owned(), found.message.clone(), found.checked_at.clone()]
    })?;
    Ok(if status == CredentialStatus::Valid { DONE } else { FAILED })
}
