//! The buckets of a region, from ListBuckets.
//!
//! An account has one listing of buckets for all regions. Each region asks for its own: so what cannot be read in one
//! region is the matter of that region.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::Bucket;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tidegate_pipeline::provider::Extent;

use crate::provider::{CALLS, Call, Listing, Unread, answered, unless_unknown};

/// How many buckets a page may have.
const PAGE: i32 = 1000;
/// The region whose buckets say that they are nowhere, and an old name of another.
const NOWHERE: &str = "us-east-1";
const OLD: (&str, &str) = ("EU", "eu-west-1");

/// A bucket, with what S3 wrote of it in the listing.
pub(super) type Listed = (Bucket, Value);

/// The next page: those of its buckets that are in the call's region, and asked for.
pub(super) async fn next_page(
    client: &Client,
    call: &Call<'_>,
    listing: &mut Listing,
    token: Option<String>,
) -> Result<Vec<Listed>, Unread> {
    let request = client.list_buckets().bucket_region(&*call.session.place.region).max_buckets(PAGE);
    let request = request.set_prefix(common_beginning(call.extent)).set_continuation_token(token);
    let answer = request.customize().interceptor(listing.capture()).send().await;
    let (page, raw) = listing.page(answer, |page| page.continuation_token())?;
    let raws = raw.items("Buckets/Bucket").into_iter().cloned().chain(std::iter::repeat(Value::Null));
    let buckets = page.buckets.unwrap_or_default().into_iter().zip(raws);
    let asked = buckets.filter(|(bucket, _)| bucket.name().is_some_and(|name| call.asks_for(name))).collect();
    here(client, call, asked).await
}

/// What the names of all buckets that are asked for begin with.
fn common_beginning(extent: &Extent) -> Option<String> {
    let Extent::Targets(names) = extent else { return None };
    let mut names = names.iter();
    let mut common = names.next()?.to_string();
    for name in names {
        let same = common.chars().zip(name.chars()).take_while(|(one, other)| one == other).count();
        common = common.chars().take(same).collect();
    }
    (!common.is_empty()).then_some(common)
}

/// Those that are in the call's region. What stands in for AWS may list all, and not say where they are.
async fn here(client: &Client, call: &Call<'_>, buckets: Vec<Listed>) -> Result<Vec<Listed>, Unread> {
    let place = |(bucket, raw): Listed| async move {
        let known = bucket.bucket_region().map(str::to_owned);
        let region = match known {
            Some(region) => Some(region),
            None => region_of(client, bucket.name().unwrap_or_default()).await?,
        };
        let is_here = region.as_deref() == Some(&*call.session.place.region);
        Ok::<_, Unread>(is_here.then_some((bucket, raw)))
    };
    let placed: Vec<Option<Listed>> = stream::iter(buckets).map(place).buffered(CALLS).try_collect().await?;
    Ok(placed.into_iter().flatten().collect())
}

/// Where a bucket is; `None`: it is gone.
async fn region_of(client: &Client, bucket: &str) -> Result<Option<String>, Unread> {
    let answer = unless_unknown(client.get_bucket_location().bucket(bucket).send().await);
    let Some(answer) = answered("find out where a bucket is", answer)? else { return Ok(None) };
    let region =
        answer.location_constraint.map(|region| region.as_str().to_owned()).filter(|region| !region.is_empty());
    Ok(Some(match region {
        Some(region) if region == OLD.0 => OLD.1.to_owned(),
        Some(region) => region,
        None => NOWHERE.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_is_cut_to_what_all_names_begin_with() {
        let beginning =
            |names: &[&str]| common_beginning(&Extent::Targets(names.iter().map(|name| (*name).into()).collect()));
        assert_eq!(beginning(&["logs"]).as_deref(), Some("logs"));
        assert_eq!(beginning(&["logs-eu", "logs-us", "logs"]).as_deref(), Some("logs"));
        assert_eq!(beginning(&["logs", "data"]), None);
        assert_eq!(common_beginning(&Extent::Whole), None);
    }
}
