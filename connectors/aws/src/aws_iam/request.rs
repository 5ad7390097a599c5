//! What all requests to IAM have in common.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::Tag;
use serde_json::Value;

use crate::estate::Session;
use crate::provider::{Call, NoPages, WholeAnswers};

/// How many of what is listed a page may have.
pub(super) const PAGE: i32 = 1000;

/// A client for this account.
pub(super) fn client(session: &Session) -> Client {
    let config = aws_sdk_iam::config::Builder::from(session.config()).retry_partition(session.limits("iam"));
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// The token of the next page: IAM may name one where there is none.
pub(super) fn marker(is_truncated: bool, marker: Option<&str>) -> Option<&str> {
    marker.filter(|_| is_truncated)
}

/// Tags as pairs.
pub(super) fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// Those of a page that are asked for, each with what AWS wrote of it. IAM lists all of a kind, or one, and of one it says
/// less: so ids are looked for in the listing.
pub(super) fn asked_for<T>(
    call: &Call<'_>,
    page: impl IntoIterator<Item = T>,
    raws: Vec<&Value>,
    id: impl for<'a> Fn(&'a T) -> Option<&'a str>,
) -> (Vec<T>, Vec<Value>) {
    let raws = raws.into_iter().cloned().chain(std::iter::repeat(Value::Null));
    page.into_iter().zip(raws).filter(|(listed, _)| id(listed).is_some_and(|id| call.asks_for(id))).unzip()
}
