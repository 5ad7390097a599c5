//! What all requests to S3 have in common.

use aws_sdk_s3::Client;

use crate::estate::{Place, Session};
use crate::provider::{NoPages, WholeAnswers};

/// A client for this account and region. What stands in for AWS elsewhere has no host for each bucket.
pub(super) fn client(session: &Session) -> Client {
    let config = aws_sdk_s3::config::Builder::from(session.config()).retry_partition(session.limits("s3"));
    let config = config.force_path_style(session.has_own_endpoint());
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// The ARN of a bucket, or of something in it: they name neither account nor region.
pub(super) fn arn(place: &Place, resource: impl std::fmt::Display) -> String {
    format!("arn:{}:s3:::{resource}", place.partition)
}
