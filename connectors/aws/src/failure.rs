//! What AWS answers when it refuses, and what can be done about it.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use tidegate_pipeline::error::Error;

/// Codes of credentials that AWS does not know.
const UNKNOWN: [&str; 8] = [
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// Codes of credentials that were good once.
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];
/// Codes of what these credentials may not do.
const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "KmsAccessDenied", "KMS.AccessDeniedException"];

/// An error of the SDK as one of ours. `what` is what was tried: `receive messages of the queue x`.
pub(crate) fn failure<E>(what: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (code, message) = match error.as_service_error() {
        Some(answer) => (answer.code().unwrap_or_default(), answer.message().unwrap_or_default()),
        None => return unanswered(what, &DisplayErrorContext(error).to_string()),
    };
    let said = match (code, message) {
        ("", "") => DisplayErrorContext(error).to_string(),
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    if UNKNOWN.contains(&code) {
        return Error::user(format!("cannot {what}: the credentials are refused ({said})"))
            .with_remedy("check `access_key` and `secret_key`, or where the credentials come from");
    }
    if DENIED.contains(&code) {
        return Error::user(format!("cannot {what}: these credentials may not do that ({said})"))
            .with_remedy("allow it in the policy of the user or role");
    }
    if EXPIRED.contains(&code) {
        return Error::external(format!("cannot {what}: the credentials have expired ({said})"))
            .with_remedy("renew them; they are read again with the next attempt");
    }
    Error::external(format!("cannot {what}: {said}"))
}

/// There was no answer: no connection, no time left, no credentials to begin with.
fn unanswered(what: &str, why: &str) -> Error {
    let error = Error::external(format!("cannot {what}: {why}"));
    // The SDK looks for credentials when it needs them, and reports that there are none as a failed call.
    match why.contains("no providers in chain provided credentials") || why.contains("CredentialsNotLoaded") {
        true => error.with_remedy("give `access_key` and `secret_key`, a `profile`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"),
        false => error,
    }
}
