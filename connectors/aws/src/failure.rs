//! What AWS answers when it refuses, and what can be done about it.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tidegate_pipeline::error::{Error, Retry};

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
const DENIED: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationError",
    "KMS.AccessDeniedException",
    "KmsAccessDenied",
    "UnauthorizedOperation",
];

/// An error of the SDK as one of ours. `what` is what was tried: `receive messages of the queue x`.
///
/// What the SDK can say of a failure includes the whole answer, which may hold what nobody but the pipeline is to see:
/// only codes, messages and causes are taken from it.
pub(crate) fn failure<E>(what: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(told) = of_cassette(error) {
        return Error { message: format!("cannot {what}: {}", told.message), ..told };
    }
    let Some(answer) = error.as_service_error() else { return unanswered(what, &causes(error)) };
    let code = answer.code().unwrap_or_default();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let said = match (code, answer.message().unwrap_or_default()) {
        ("", _) => format!("HTTP {status}"),
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
    if code.is_empty() && matches!(status, 401 | 403) {
        return Error::user(format!("cannot {what}: the credentials are refused, or may not do that ({said})"))
            .with_remedy("check where the credentials come from, and the policy of the user or role");
    }
    Error::external(format!("cannot {what}: {said}"))
}

/// Whether these credentials may not do that.
pub(crate) fn is_denied<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(|answer| answer.code()).is_some_and(|code| DENIED.contains(&code))
}

/// The same of a request that is tried again whatever AWS answers: credentials may have been renewed, and are read
/// again when the source is opened again. What a cassette refuses it refuses for good.
pub(crate) fn passing_failure<E>(what: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let retry = if of_cassette(error).is_some() { Retry::Never } else { Retry::WithBackoff };
    Error { retry, ..failure(what, error) }
}

/// What the cassette said, where it was the one that gave no answer.
fn of_cassette(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.find_map(|error| error.downcast_ref::<Error>()).cloned()
}

/// What led to an error, outermost first.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}

/// There was no answer: no connection, no time left, no credentials to begin with.
pub(crate) fn unanswered(what: &str, why: &str) -> Error {
    let error = Error::external(format!("cannot {what}: {why}"));
    // The SDK looks for credentials when it needs them, and reports that there are none as a failed call.
    match why.contains("credential") {
        true => error.with_remedy(
            "give `access_key` and `secret_key`, a `profile`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the \
             environment",
        ),
        false => error,
    }
}
