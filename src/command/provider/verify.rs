//! `tidegate provider verify`: whether credentials are good, before anything is added.

use serde::Serialize;
use tidegate_pipeline::error::{Domain, Error};
use tidegate_pipeline::provider::ProviderKind;

use crate::arguments::Format;
use crate::command::source::options;
use crate::exit::{DONE, FAILED, Failure};
use crate::output;

/// How long a message may be, in characters.
const LONGEST: usize = 20_000;

/// What verifying has found.
#[derive(Debug, Serialize)]
struct Verified {
    /// `valid`; `invalid` (the user can mend it: credentials, permissions, options); `unreachable`; `error` (a fault of
    /// this program).
    status: &'static str,
    /// Why not, with what can be done about it.
    message: String,
    checked_at: String,
}

impl Verified {
    fn of(outcome: Result<(), Error>) -> Self {
        let (status, message) = match outcome {
            Ok(()) => ("valid", String::new()),
            Err(error) => {
                let status = match error.domain {
                    Domain::User => "invalid",
                    Domain::External => "unreachable",
                    Domain::Internal => "error",
                };
                (status, error.to_string().chars().take(LONGEST).collect())
            }
        };
        Self { status, message, checked_at: jiff::Timestamp::now().to_string() }
    }
}

/// Asks what a refresh would ask, with these options.
pub(super) async fn verify(kind: &dyn ProviderKind, arguments: &[String], format: Format) -> Result<u8, Failure> {
    let provider = options::read(arguments, "the provider", |options| kind.provider(options))?;
    let verified = Verified::of(provider.verify().await);
    let is_valid = verified.status == "valid";
    output::records(format, &["status", "message", "checked at"], &[verified], |verified| {
        vec![verified.status.to_owned(), verified.message.clone(), verified.checked_at.clone()]
    })?;
    Ok(if is_valid { DONE } else { FAILED })
}
