//! `aws_route53_record`, from ListResourceRecordSets: the records of each zone.

use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::types::ResourceRecordSet;
use futures::stream::{self, TryStreamExt};

use super::continuation::Continuation;
use super::request::{arn, client, is_zone_id, page, zone_id, zones};
use crate::opsbox;
use crate::provider::{CALLS, Call, Collector, Declared, Reach, Table, Unread, Within, sorted, unless_unknown};

const NAME: &str = "aws_route53_record";
/// How many records a page may have.
const PAGE: i32 = 300;

/// A record, within a zone.
type Record = Within<ResourceRecordSet>;

/// Reads ListResourceRecordSets.
pub(super) struct Records {
    records: Table<Record>,
}

impl Records {
    pub(super) fn new() -> Self {
        Self { records: routed(records()) }
    }

    /// Reads the records of one zone.
    async fn read(&self, call: &Call<'_>, client: &Client, zone: String) -> Result<(), Unread> {
        let mut listing = call.listing("list the records");
        while let Some(token) = listing.token() {
            let next = Continuation::of(token.as_deref());
            let request = client.list_resource_record_sets().hosted_zone_id(&zone).max_items(PAGE);
            let request = request.set_start_record_name(next.name).set_start_record_type(next.of_type);
            let request = request.set_start_record_identifier(next.identifier);
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            // The zone is gone.
            let Some(answer) = answer.transpose() else { break };
            let (page, raw) = listing.page_before(answer, Continuation::token)?;
            let sets = page.resource_record_sets.into_iter();
            let records: Vec<Record> = sets.map(|part| Record { of: zone.clone(), part }).collect();
            call.give(&self.records, &records, raw.items("ResourceRecordSets/ResourceRecordSet")).await?;
        }
        Ok(())
    }
}

fn records() -> Table<Record> {
    Table::new(NAME, "The records of hosted zones.", |place, record: &Record| {
        let (zone, set) = (&record.of, &record.part);
        let named = format!("hostedzone/{zone}/recordset/{}/{}", set.name(), set.r#type().as_str());
        match set.set_identifier() {
            Some(identifier) => arn(place, format_args!("{named}/{identifier}")),
            None => arn(place, named),
        }
    })
    .target("zone_id", "The zone.", |record| Some(&record.of))
    .key("name", "Its name, with a dot at the end, and `\\052` for `*`.", |record| Some(record.part.name()))
    .key("type", "`A`, `AAAA`, `CNAME`, `MX`, `TXT`, …", |record| Some(record.part.r#type().as_str()))
    .key("set_identifier", "Which of several records of this name and type; else empty.", |record| {
        record.part.set_identifier()
    })
    .integer("ttl", "For how many seconds an answer may be kept.", |record| record.part.ttl())
    .texts("records", "Its values, sorted; none for an alias.", |record| {
        sorted(record.part.resource_records().iter().map(|value| Some(value.value())))
    })
    .text("alias_target_dns_name", "What it is an alias for.", |record| Some(record.part.alias_target()?.dns_name()))
    .text("alias_target_hosted_zone_id", "The zone of that.", |record| {
        Some(record.part.alias_target()?.hosted_zone_id())
    })
    .boolean("alias_target_evaluate_target_health", "Whether it counts only while that is healthy.", |record| {
        Some(record.part.alias_target()?.evaluate_target_health())
    })
    .view(opsbox::RECORDS)
}

/// Which of several records is answered with.
fn routed(table: Table<Record>) -> Table<Record> {
    table
        .integer("weight", "How often it is the answer, compared with the others.", |record| record.part.weight())
        .text("latency_region", "The region whose nearness decides.", |record| Some(record.part.region()?.as_str()))
        .text("failover", "`PRIMARY` or `SECONDARY`.", |record| Some(record.part.failover()?.as_str()))
        .text("geo_location_continent_code", "The continent whose queries it answers.", |record| {
            record.part.geo_location()?.continent_code()
        })
        .text("geo_location_country_code", "The country whose queries it answers; `*` for all.", |record| {
            record.part.geo_location()?.country_code()
        })
        .text("geo_location_subdivision_code", "The state whose queries it answers.", |record| {
            record.part.geo_location()?.subdivision_code()
        })
        .boolean("multi_value_answer", "Whether several of them are answered with.", |record| {
            record.part.multi_value_answer()
        })
        .text("cidr_collection_id", "The collection of addresses whose queries it answers.", |record| {
            Some(record.part.cidr_routing_config()?.collection_id())
        })
        .text("cidr_location_name", "The location within it.", |record| {
            Some(record.part.cidr_routing_config()?.location_name())
        })
        .reference(
            "health_check_id",
            "The health check without which it does not count.",
            ("aws_route53_health_check", "id"),
            |record| record.part.health_check_id(),
        )
        .text("traffic_policy_instance_id", "The instance of a traffic policy that has made it.", |record| {
            record.part.traffic_policy_instance_id()
        })
}

#[async_trait]
impl Collector for Records {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.records]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["route53:ListHostedZones", "route53:ListResourceRecordSets"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let targets = call.ids(is_zone_id);
        let read = |id| self.read(call, &client, id);
        if let Some(ids) = targets.clone().filter(|ids| !ids.is_empty()) {
            return stream::iter(ids.into_iter().map(Ok)).try_for_each_concurrent(CALLS, read).await;
        }
        let mut listing = zones(call);
        while let Some(token) = listing.token() {
            let (page, _) = page(&client, &mut listing, token).await?;
            if targets.is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            let ids = page.hosted_zones.into_iter().map(|zone| Ok(zone_id(&zone.id).to_owned()));
            stream::iter(ids).try_for_each_concurrent(CALLS, read).await?;
        }
        Ok(())
    }
}
