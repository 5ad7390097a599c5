//! Which answers are worth asking again for, beyond what the SDK knows of. One that is a page for people is not: whoever
//! gives it is no API of AWS, or does not know the call.

use aws_sdk_ec2::config::http::HttpResponse;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use crate::failure::{clock_skew, is_dated};

/// What pages for people begin with, in lower case.
const BEGINNINGS: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// Whether it is an error of the server itself, told to people. Those of what stands in between (502 to 504) are of
/// another kind: they pass.
pub(super) fn is_page(response: &HttpResponse) -> bool {
    let text = response.body().bytes().unwrap_or_default().trim_ascii_start();
    let begins = |with: &&[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    response.status().as_u16() == 500 && BEGINNINGS.iter().any(begins)
}

/// Whether an answer that says that all is well could not be read: it was cut off, or comes from something in between.
fn is_broken(response: &HttpResponse, context: &InterceptorContext) -> bool {
    let is_broken = |error: &OrchestratorError<_>| error.is_operation_error() || error.is_interceptor_error();
    response.status().is_success() && matches!(context.output_or_error(), Some(Err(error)) if is_broken(error))
}

/// Whether a request was refused for its time. The SDK signs the next one with the time of the answer, but does not know
/// all the codes that say so. They are looked for in the text: what becomes of it has another type for each call.
fn is_late(response: &HttpResponse) -> bool {
    let text = std::str::from_utf8(response.body().bytes().unwrap_or_default()).unwrap_or_default();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    code.is_some_and(is_dated) && clock_skew(response).is_some()
}

/// Keeps the SDK from asking again for what was answered with a page for people, since the answer will be no other, and
/// has it ask again for what was answered in part, or was refused for the clock of this machine.
#[derive(Debug)]
pub(crate) struct NoPages;

impl ClassifyRetry for NoPages {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if is_page(response) => RetryAction::RetryForbidden,
            Some(response) if is_broken(response, context) => RetryAction::transient_error(),
            Some(response) if !response.status().is_success() && is_late(response) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "NoPages"
    }
}
