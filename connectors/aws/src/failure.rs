//! What AWS answers when it refuses, and what can be done about it.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use jiff::{SignedDuration, Timestamp};
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
/// Codes of requests that are signed with a time that AWS does not accept, if nothing else is wrong with them.
const DATED: [&str; 5] =
    ["AuthFailure", "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];
/// Codes of too many calls.
const THROTTLED: [&str; 7] = [
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// A clock that is off by less is not what AWS minds.
const SKEWED: SignedDuration = SignedDuration::from_mins(4);
/// How much of what is wrong with an answer is told, in letters.
const TOLD: usize = 200;
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
    let Some(answer) = error.as_service_error() else { return without_answer(what, error) };
    let code = answer.code().unwrap_or_default();
    if let (true, Some(response)) = (code.is_empty(), error.raw_response()) {
        return strange(what, answer, response);
    }
    let said = match answer.message().unwrap_or_default() {
        "" => code.to_owned(),
        message => format!("{code}: {message}"),
    };
    if let Some(off) = error.raw_response().and_then(clock_off).filter(|_| DATED.contains(&code)) {
        return Error::user(format!(
            "cannot {what}: AWS does not accept the signature ({said}), and the clock of this machine is {off} that of AWS"
        ))
        .with_remedy("set the clock of this machine; where that is right, check the credentials");
    }
    if THROTTLED.contains(&code) {
        return Error::external(format!("cannot {what}: AWS limits how often it may be asked ({said})"))
            .with_remedy("lower `concurrency`, read fewer regions or tables, or refresh less often");
    }
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

/// What was answered names no code: it is not what AWS says, or not all of it.
fn strange(what: &str, answer: &(dyn std::error::Error + 'static), response: &HttpResponse) -> Error {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").unwrap_or_default();
    let said = if kind.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {kind}") };
    match status {
        200..300 => {
            let why: String = answer.source().map(causes).unwrap_or_default().chars().take(TOLD).collect();
            Error::external(format!("cannot {what}: the answer cannot be understood ({said}): {why}"))
                .with_remedy("where it stays so, look at proxies, and at `endpoint_url`")
        }
        401 | 403 => Error::user(format!("cannot {what}: the credentials are refused, or may not do that ({said})"))
            .with_remedy("check where the credentials come from, and the policy of the user or role"),
        _ => Error::external(format!("cannot {what}: {said}")),
    }
}

/// How far the clock of this machine is from that of AWS, where it is far: `60 minutes behind`.
fn clock_off(response: &HttpResponse) -> Option<String> {
    let behind = clock_skew(response)?;
    let minutes = behind.abs().as_mins();
    Some(format!("{minutes} minutes {}", if behind.is_positive() { "behind" } else { "ahead of" }))
}

/// How much later it is where an answer comes from than here, if that is enough to spoil signatures.
pub(crate) fn clock_skew(response: &HttpResponse) -> Option<SignedDuration> {
    let there = jiff::fmt::rfc2822::parse(response.headers().get("date")?).ok()?;
    let behind = there.timestamp().duration_since(Timestamp::now());
    (behind.abs() > SKEWED).then_some(behind)
}

/// Whether a request was refused for the time that it was signed with, as far as its code says.
pub(crate) fn is_dated(code: &str) -> bool {
    DATED.contains(&code)
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

/// Nothing was answered, or half of something.
fn without_answer<E: std::error::Error + 'static>(what: &str, error: &SdkError<E>) -> Error {
    let why = causes(error);
    let happened = match error {
        // The SDK looks for credentials when it needs them, and reports that there are none as a failed call.
        _ if why.contains("credential") => return unanswered(what, &why),
        SdkError::ResponseError(_) => "the answer broke off",
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => "AWS does not answer",
        _ => return unanswered(what, &why),
    };
    Error::external(format!("cannot {what}: {happened} ({why})"))
        .with_remedy("check the network, proxies, and `endpoint_url`")
}

/// There was no answer: no connection, no time left, no credentials to begin with.
pub(crate) fn unanswered(what: &str, why: &str) -> Error {
    let error = Error::external(format!("cannot {what}: {why}"));
    match why.contains("credential") {
        true => error.with_remedy(
            "give `access_key` and `secret_key`, a `profile`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the \
             environment",
        ),
        false => error,
    }
}
