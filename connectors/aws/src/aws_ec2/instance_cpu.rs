//! How busy instances have been, from GetMetricData of CloudWatch.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};

use crate::estate::Session;
use crate::provider::{Call, NoPages, Optional, Unread};

/// The column, as options name it. `cpu_datapoints` comes with it.
pub(super) const AVG_CPU_UTILIZATION: &str = "aws_ec2_instance.avg_cpu_utilization";

/// How many metrics a call may ask for.
const QUERIES: usize = 500;
const HOUR: i32 = 3600;
const DAYS: i64 = 7;

/// The use of processors over the last seven whole days and hours.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Cpu {
    sum: f64,
    /// How many hours CloudWatch knows an average of.
    pub(super) datapoints: i64,
}

impl Cpu {
    /// The plain mean of the hourly averages, in percent, rounded to hundredths; nothing where there are none.
    pub(super) fn average(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "there are 168 hours in a week")]
        let average = self.sum / self.datapoints as f64;
        (self.datapoints > 0).then(|| (average * 100.0).round() / 100.0)
    }
}

/// Asks how busy instances have been.
pub(super) struct CpuReader<'a> {
    client: Client,
    optional: Optional<'a>,
    /// The end of the last whole hour, in seconds since 1970: two refreshes in an hour find the same.
    until: i64,
}

impl<'a> CpuReader<'a> {
    /// A reader; nothing where nobody wants to know.
    pub(super) fn new(call: &Call<'a>) -> Option<Self> {
        call.hydrates(AVG_CPU_UTILIZATION).then(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or_default();
            let until = now - now % i64::from(HOUR);
            Self { client: client(call.session), optional: Optional::new(call.session), until }
        })
    }

    /// How busy these instances have been, in their order; nothing where that may not be known.
    pub(super) async fn of(&self, call: &Call<'_>, ids: &[String]) -> Result<Vec<Option<Cpu>>, Unread> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(QUERIES) {
            let averages = if self.optional.is_refused() { None } else { self.ask(call, part).await? };
            found.extend(match averages {
                Some(averages) => averages.into_iter().map(Some).collect(),
                None => vec![None; part.len()],
            });
        }
        Ok(found)
    }

    async fn ask(&self, call: &Call<'_>, ids: &[String]) -> Result<Option<Vec<Cpu>>, Unread> {
        let mut found = vec![Cpu::default(); ids.len()];
        let queries: Vec<MetricDataQuery> = ids.iter().enumerate().map(|(index, id)| query(index, id)).collect();
        let mut listing = call.listing("read the use of processors");
        while let Some(token) = listing.token() {
            let request = self.client.get_metric_data().set_metric_data_queries(Some(queries.clone()));
            let request = request.start_time(DateTime::from_secs(self.until - DAYS * 86_400));
            let request = request.end_time(DateTime::from_secs(self.until)).set_next_token(token);
            let answer = listing.page(request.send().await, |page| page.next_token());
            let Some((page, _)) = self.optional.take(answer)? else { return Ok(None) };
            for result in page.metric_data_results() {
                let index = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                let Some(cpu) = index.and_then(|index| found.get_mut(index)) else { continue };
                cpu.sum += result.values().iter().sum::<f64>();
                cpu.datapoints += i64::try_from(result.values().len()).unwrap_or(i64::MAX);
            }
        }
        Ok(Some(found))
    }
}

fn client(session: &Session) -> Client {
    let config =
        aws_sdk_cloudwatch::config::Builder::from(session.config()).retry_partition(session.limits("monitoring"));
    Client::from_conf(config.retry_classifier(NoPages).build())
}

/// The hourly averages of an instance, which the answer gives by the number of the instance.
fn query(index: usize, instance_id: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name("InstanceId").value(instance_id).build();
    let metric = Metric::builder().namespace("AWS/EC2").metric_name("CPUUtilization").dimensions(dimension).build();
    let average = MetricStat::builder().metric(metric).period(HOUR).stat("Average").build();
    MetricDataQuery::builder().id(format!("m{index}")).metric_stat(average).return_data(true).build()
}
