//! What all requests to S3 have in common.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::question::{is_listing, is_nothing};
use crate::estate::{Place, Session};
use crate::provider::{NoPages, WholeAnswers};

/// A client for this account and region. What stands in for AWS elsewhere has no host for each bucket.
pub(super) fn client(session: &Session) -> Client {
    let config = aws_sdk_s3::config::Builder::from(session.config()).retry_partition(session.limits("s3"));
    let config = config.force_path_style(session.has_own_endpoint());
    let config = config.retry_classifier(NoPages).retry_classifier(NoOtherAnswers).interceptor(WholeAnswers);
    Client::from_conf(config.build())
}

/// Keeps the SDK from asking again for what is answered with something else, whole: what stands in for AWS lists the objects
/// where it does not know a setting, or says nothing.
#[derive(Debug)]
struct NoOtherAnswers;

impl ClassifyRetry for NoOtherAnswers {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_misunderstood = matches!(context.output_or_error(), Some(Err(_)));
        match context.response() {
            Some(response) if is_misunderstood && (is_nothing(response) || is_whole_listing(response)) => {
                RetryAction::RetryForbidden
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "NoOtherAnswers"
    }
}

fn is_whole_listing(response: &HttpResponse) -> bool {
    let text = response.body().bytes().unwrap_or_default();
    response.status().is_success() && is_listing(response) && text.trim_ascii_end().ends_with(b"</ListBucketResult>")
}

/// The ARN of a bucket, or of something in it: they name neither account nor region.
pub(super) fn arn(place: &Place, resource: impl std::fmt::Display) -> String {
    format!("arn:{}:s3:::{resource}", place.partition)
}
