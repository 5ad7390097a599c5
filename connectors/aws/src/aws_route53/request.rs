//! What all requests to the Route 53 API have in common.

use std::collections::BTreeMap;

use aws_sdk_route53::Client;
use aws_sdk_route53::operation::list_hosted_zones::ListHostedZonesOutput;
use aws_sdk_route53::types::TagResourceType;
use serde_json::Value;

use crate::estate::{Place, Session};
use crate::provider::{Call, Listing, Named, NoPages, Optional, Raw, Unread, WholeAnswers, answered, unless_unknown};

/// How many zones or health checks a page may have.
pub(super) const PAGE: i32 = 100;
/// How many things a request for tags may name.
const NAMES: usize = 10;
/// What precedes the ids of zones in answers.
const ZONE: &str = "/hostedzone/";

/// Tags by id.
pub(super) type Tags = BTreeMap<String, Vec<(String, String)>>;

/// A client for this account.
pub(super) fn client(session: &Session) -> Client {
    let config = aws_sdk_route53::config::Builder::from(session.config()).retry_partition(session.limits("route53"));
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// The ARN of something of Route 53, in which no account is named.
pub(super) fn arn(place: &Place, resource: impl std::fmt::Display) -> String {
    format!("arn:{}:route53:::{resource}", place.partition)
}

/// The id of a zone, as others name it.
pub(super) fn zone_id(id: &str) -> &str {
    id.strip_prefix(ZONE).unwrap_or(id)
}

/// Whether this can be the id of a zone.
pub(super) fn is_zone_id(id: &str) -> bool {
    (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Begins to list the zones.
pub(super) fn zones(call: &Call<'_>) -> Listing {
    call.listing("list the hosted zones")
}

/// A page of zones.
///
/// # Errors
/// When it is not given.
pub(super) async fn page(
    client: &Client,
    listing: &mut Listing,
    token: Option<String>,
) -> Result<(ListHostedZonesOutput, Raw), Unread> {
    let request = client.list_hosted_zones().max_items(PAGE).set_marker(token);
    let answer = request.customize().interceptor(listing.capture()).send().await;
    listing.page(answer, |page| page.next_marker().filter(|_| page.is_truncated()))
}

/// What AWS wrote of things, with their parts in one order: it need not be the same where things are listed and where one
/// is asked for.
pub(super) fn in_order(raws: Vec<&Value>) -> Vec<Value> {
    let sorted = |raw: &Value| {
        let mut raw = raw.clone();
        raw.sort_all_objects();
        raw
    };
    raws.into_iter().map(sorted).collect()
}

/// The tags of things of one type, by their ids. What is gone, or may not be read, has none here.
///
/// # Errors
/// When they are not given.
pub(super) async fn tags(
    client: &Client,
    optional: &Optional<'_>,
    of_type: TagResourceType,
    ids: &[String],
) -> Result<Tags, Unread> {
    let of_type = &of_type;
    let read = async |ids: Vec<String>| {
        let (mut named, mut found) = (Named::new(ids), Tags::new());
        while let Some(ids) = named.next() {
            let request = client.list_tags_for_resources().resource_type(of_type.clone());
            let answer = request.set_resource_ids(Some(ids.clone())).send().await;
            let Some(page) = answered("read the tags of Route 53", unless_unknown(answer))? else {
                named.refused(ids);
                continue;
            };
            found.extend(page.resource_tag_sets().iter().map(|set| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let tags = set.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
                (text(set.resource_id()), tags.collect())
            }));
        }
        Ok(Some(found))
    };
    let parts = ids.chunks(NAMES).map(<[String]>::to_vec).collect();
    Ok(optional.each(parts, read).await?.into_iter().flatten().flatten().collect())
}
