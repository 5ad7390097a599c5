//! `aws_ec2_instance_metric`: what CloudWatch has measured of instances in the last hour.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use serde_json::Value;
use tidegate_connectors::providers::columns::Moment;

use super::instance_sample::{Sample, measured, samples};
use super::request::{client, filters};
use crate::cloudwatch::{CloudWatch, METRICS, Measured, Window, last_whole};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// The table, as options name it: all of it is read only where they do.
const NAME: &str = "aws_ec2_instance_metric";
/// How many instances a page may have.
const PAGE: i32 = 1000;
/// Of how many instances metrics are read at a time: their samples are in memory together.
const INSTANCES: usize = 45;
const MINUTE: i32 = 60;
const HOUR: i64 = 3600;
/// How far datapoints are apart with basic monitoring, in seconds. The window ends with such a step, and begins one before
/// the hour, since the first datapoint is not counted.
const BASIC: i32 = 300;

/// Reads DescribeInstances and GetMetricData.
pub(super) struct InstanceMetrics {
    samples: Table<Sample>,
}

impl InstanceMetrics {
    pub(super) fn new() -> Self {
        Self { samples: table() }
    }

    async fn give(&self, call: &Call<'_>, cloudwatch: &CloudWatch, instances: &[&Instance]) -> Result<(), Unread> {
        let until = last_whole(BASIC);
        let window = Window { from: until - HOUR - i64::from(BASIC), until, period: MINUTE };
        let ids: Vec<&str> = instances.iter().filter_map(|instance| instance.instance_id()).collect();
        for ids in ids.chunks(INSTANCES) {
            let asked: Vec<Measured> = ids.iter().flat_map(|id| measured(id)).collect();
            let points = cloudwatch.points(call, "read the metrics of instances", &asked, window).await?;
            let of_each = points.chunks(asked.len() / ids.len().max(1));
            let rows: Vec<Sample> = ids.iter().zip(of_each).flat_map(|(id, points)| samples(id, points)).collect();
            call.give(&self.samples, &rows, Vec::<&Value>::new()).await?;
        }
        Ok(())
    }
}

fn table() -> Table<Sample> {
    let description = "What CloudWatch has measured of running instances in the last hour, in samples of twenty seconds; \
                       read only where `hydrate` names this table.";
    Table::new(NAME, description, |place, sample: &Sample| {
        place.arn("ec2", format_args!("instance/{}", sample.instance_id))
    })
    .shared_arn()
    .target("instance_id", "The instance.", |sample| Some(&sample.instance_id))
    .key(
        "counter",
        "`cpu_usage_rate_average`, `mem_usage_absolute_average`, `mem_swapped_absolute_average` (percent), \
         `disk_usage_rate_average` or `net_usage_rate_average` (KiB/s).",
        |sample| Some(sample.counter),
    )
    .made_time("timestamp", "The end of the twenty seconds.", |sample| Some(Moment(sample.time * 1000)))
    .identified_by("timestamp")
    .real("value", "The value, as CloudWatch has it for the minute or five minutes around.", |sample| {
        Some(sample.value)
    })
}

#[async_trait]
impl Collector for InstanceMetrics {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.samples]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeInstances"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &METRICS
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        if !call.hydrates(NAME) {
            return Ok(());
        }
        let (client, cloudwatch) = (client(call.session), CloudWatch::new(call.session));
        for part in call.parts() {
            let mut listing = call.listing("list the instances");
            while let Some(token) = listing.token() {
                let request = client.describe_instances().set_filters(filters(call, "instance-id", part.as_deref()));
                let answer = request.max_results(PAGE).set_next_token(token).send().await;
                let (page, _) = listing.page(answer, |page| page.next_token())?;
                let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
                let is_off = |instance: &Instance| {
                    let state = instance.state().and_then(|state| state.name());
                    matches!(state, Some(InstanceStateName::Stopped | InstanceStateName::Terminated))
                };
                let on: Vec<&Instance> = instances.filter(|instance| !is_off(instance)).collect();
                self.give(call, &cloudwatch, &on).await?;
            }
        }
        Ok(())
    }
}
