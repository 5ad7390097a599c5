//! What all requests to both APIs of load balancers have in common.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancing as classic;
use aws_sdk_elasticloadbalancingv2 as current;
use aws_sdk_elasticloadbalancingv2::operation::describe_load_balancers::DescribeLoadBalancersOutput;

use crate::estate::Session;
use crate::provider::{Call, Listing, Named, NoPages, Optional, Raw, Unread, WholeAnswers, answered, unless_unknown};

/// How many things a page may have.
pub(super) const PAGE: i32 = 400;
/// How many things a request may name.
pub(super) const NAMES: usize = 20;
const TAGS: &str = "read the tags of load balancers";

/// Tags by name or ARN.
pub(super) type Tags = BTreeMap<String, Vec<(String, String)>>;

/// A client for this account and region.
pub(super) fn client(session: &Session) -> current::Client {
    let limits = session.limits("elasticloadbalancingv2");
    let config = current::config::Builder::from(session.config()).retry_partition(limits);
    current::Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// The same, for load balancers of the first generation.
pub(super) fn classic_client(session: &Session) -> classic::Client {
    let limits = session.limits("elasticloadbalancing");
    let config = classic::config::Builder::from(session.config()).retry_partition(limits);
    classic::Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

/// Whether this can be the ARN of something that is called so: `loadbalancer`.
pub(super) fn is_arn(id: &str, kind: &str) -> bool {
    let parts: Vec<&str> = id.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "elasticloadbalancing", _, _, resource]
        if resource.strip_prefix(kind).is_some_and(|rest| rest.starts_with('/')))
}

/// Begins to list the load balancers.
pub(super) fn load_balancers(call: &Call<'_>) -> Listing {
    call.listing("list the load balancers")
}

/// A page of load balancers: of all, or of those that are named; nothing where one of them is gone.
///
/// # Errors
/// When it is not given.
pub(super) async fn page(
    client: &current::Client,
    listing: &mut Listing,
    token: Option<String>,
    arns: Option<Vec<String>>,
) -> Result<Option<(DescribeLoadBalancersOutput, Raw)>, Unread> {
    // Whoever names load balancers gets all of them at once.
    let page = arns.is_none().then_some(PAGE);
    let request = client.describe_load_balancers().set_marker(token).set_page_size(page).set_load_balancer_arns(arns);
    let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
    listing.page_unless_gone(answer, |page| page.next_marker())
}

/// The tags of these ARNs. What is gone, or may not be read, has none here.
///
/// # Errors
/// When they are not given.
pub(super) async fn tags(
    client: &current::Client,
    optional: &Optional<'_>,
    arns: impl Iterator<Item = String>,
) -> Result<Tags, Unread> {
    let arns: Vec<String> = arns.collect();
    let read = async |arns: Vec<String>| {
        let (mut named, mut found) = (Named::new(arns), Tags::new());
        while let Some(arns) = named.next() {
            let request = client.describe_tags().set_resource_arns(Some(arns.clone()));
            let Some(page) = answered(TAGS, unless_unknown(request.send().await))? else {
                named.refused(arns);
                continue;
            };
            found.extend(page.tag_descriptions().iter().map(|described| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let tags = described.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
                (text(described.resource_arn()), tags.collect())
            }));
        }
        Ok(Some(found))
    };
    let parts = arns.chunks(NAMES).map(<[String]>::to_vec).collect();
    Ok(optional.each(parts, read).await?.into_iter().flatten().flatten().collect())
}

/// The tags of these load balancers of the first generation, as [`tags`].
///
/// # Errors
/// When they are not given.
pub(super) async fn classic_tags(
    client: &classic::Client,
    optional: &Optional<'_>,
    names: &[String],
) -> Result<Tags, Unread> {
    let read = async |names: Vec<String>| {
        let (mut named, mut found) = (Named::new(names), Tags::new());
        while let Some(names) = named.next() {
            let request = client.describe_tags().set_load_balancer_names(Some(names.clone()));
            let Some(page) = answered(TAGS, unless_unknown(request.send().await))? else {
                named.refused(names);
                continue;
            };
            found.extend(page.tag_descriptions().iter().map(|described| {
                let tag =
                    |tag: &classic::types::Tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned());
                (
                    described.load_balancer_name().unwrap_or_default().to_owned(),
                    described.tags().iter().map(tag).collect(),
                )
            }));
        }
        Ok(Some(found))
    };
    let parts = names.chunks(NAMES).map(<[String]>::to_vec).collect();
    Ok(optional.each(parts, read).await?.into_iter().flatten().flatten().collect())
}
