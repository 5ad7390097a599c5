//! `aws_region`, from DescribeRegions.

use async_trait::async_trait;
use aws_sdk_ec2::types::Region;

use super::request::{client, filters};
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread};

/// Reads DescribeRegions, which is not paged.
pub(super) struct Regions {
    regions: Table<Region>,
}

impl Regions {
    pub(super) fn new() -> Self {
        Self { regions: regions() }
    }
}

fn regions() -> Table<Region> {
    let description = "All regions of AWS, as each account sees them, whether they are collected or not.";
    Table::new("aws_region", description, |place, region: &Region| {
        place.arn("ec2", format_args!("region/{}", region.region_name().unwrap_or_default()))
    })
    .target("name", "The name of the region.", |region| region.region_name())
    .text("opt_in_status", "`opt-in-not-required`, `opted-in` or `not-opted-in`.", |region| region.opt_in_status())
    .text("endpoint", "Where the region's EC2 API is.", |region| region.endpoint())
}

#[async_trait]
impl Collector for Regions {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.regions]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeRegions"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the regions");
            let filters = filters(call, "region-name", part.as_deref());
            let request = client.describe_regions().all_regions(true).set_filters(filters);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |_| None)?;
            // What stands in for AWS elsewhere may not filter regions.
            let asked = |region: &&Region| call.asks_for(region.region_name().unwrap_or_default());
            let regions: Vec<Region> = page.regions().iter().filter(asked).cloned().collect();
            let raws = raw.items("regionInfo").into_iter();
            let raws = raws.filter(|raw| call.asks_for(raw["regionName"].as_str().unwrap_or_default()));
            call.give(&self.regions, &regions, raws.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}
