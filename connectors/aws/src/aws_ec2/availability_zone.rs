//! `aws_availability_zone`, from DescribeAvailabilityZones.

use async_trait::async_trait;
use aws_sdk_ec2::types::AvailabilityZone;

use super::request::{client, filters};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// Reads DescribeAvailabilityZones, which is not paged.
pub(super) struct AvailabilityZones {
    zones: Table<AvailabilityZone>,
}

impl AvailabilityZones {
    pub(super) fn new() -> Self {
        Self { zones: zones() }
    }
}

fn zones() -> Table<AvailabilityZone> {
    Table::new(
        "aws_availability_zone",
        "Availability, local and Wavelength zones.",
        |place, zone: &AvailabilityZone| {
            place.arn("ec2", format_args!("availability-zone/{}", zone.zone_name().unwrap_or_default()))
        },
    )
    .target("name", "The name of the zone, such as `eu-west-1a`: each account has its own.", |zone| zone.zone_name())
    .text("zone_id", "The id of the zone, such as `euw1-az1`: the same for all accounts.", |zone| zone.zone_id())
    .text("zone_type", "`availability-zone`, `local-zone` or `wavelength-zone`.", |zone| zone.zone_type())
    .text("state", "`available`, `information`, `impaired`, `unavailable` or `constrained`.", |zone| {
        Some(zone.state()?.as_str())
    })
    .text("opt_in_status", "`opt-in-not-required`, `opted-in` or `not-opted-in`.", |zone| {
        Some(zone.opt_in_status()?.as_str())
    })
    .text("group_name", "The group of zones.", |zone| zone.group_name())
    .text("network_border_group", "The zones from which addresses are announced together.", |zone| {
        zone.network_border_group()
    })
    .reference("region_name", "Its region.", ("aws_region", "name"), |zone| zone.region_name())
    .text("parent_zone_name", "The zone that looks after a local or Wavelength zone.", |zone| zone.parent_zone_name())
    .text("parent_zone_id", "The id of that zone.", |zone| zone.parent_zone_id())
}

#[async_trait]
impl Collector for AvailabilityZones {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.zones]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeAvailabilityZones"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the availability zones");
            let filters = filters(call, "zone-name", part.as_deref());
            let request = client.describe_availability_zones().all_availability_zones(true).set_filters(filters);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |_| None)?;
            call.give(&self.zones, page.availability_zones(), raw.items("availabilityZoneInfo")).await?;
        }
        Ok(())
    }
}
