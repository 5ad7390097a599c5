//! An answer that is a page for people: whoever gives it is no API of AWS, or does not know the call.

use aws_sdk_ec2::config::http::HttpResponse;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

/// What pages for people begin with, in lower case.
const BEGINNINGS: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// Whether it is an error of the server itself, told to people. Those of what stands in between (502 to 504) are of
/// another kind: they pass.
pub(super) fn is_page(response: &HttpResponse) -> bool {
    let text = response.body().bytes().unwrap_or_default().trim_ascii_start();
    let begins = |with: &&[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    response.status().as_u16() == 500 && BEGINNINGS.iter().any(begins)
}

/// Keeps the SDK from asking again for what was answered with a page for people: the answer will be no other.
#[derive(Debug)]
pub(crate) struct NoPages;

impl ClassifyRetry for NoPages {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if is_page(response) => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "NoPages"
    }
}
