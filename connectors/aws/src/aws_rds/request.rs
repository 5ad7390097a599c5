//! What all requests to the RDS API have in common.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{Filter, Tag};

use crate::estate::Session;
use crate::provider::{Call, NoPages, WholeAnswers};

/// How many things a page may have, and a filter may name.
pub(super) const PAGE: i32 = 100;
/// The same, as a number of ids.
pub(super) const IDS: usize = 100;

/// A client for this account and region.
pub(super) fn client(session: &Session) -> Client {
    let config = aws_sdk_rds::config::Builder::from(session.config()).retry_partition(session.limits("rds"));
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// The filters of a request: what the user wants, and the ids of `part`, by the filter that is called `id`. Ids are
/// asked for by filters, since RDS refuses a request that names one that does not exist.
pub(super) fn filters(call: &Call<'_>, id: &str, part: Option<&[String]>) -> Option<Vec<Filter>> {
    let filter = |name: &str, values: &[String]| Filter::builder().name(name).set_values(Some(values.to_vec())).build();
    let wanted = call.filters.iter().map(|(name, values)| filter(name, values));
    let filters: Vec<Filter> = wanted.chain(part.map(|ids| filter(id, ids))).collect();
    (!filters.is_empty()).then_some(filters)
}

/// Tags as pairs.
pub(super) fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}
