//! What CloudWatch has measured, from GetMetricData; where that is refused or not offered, from GetMetricStatistics, a
//! call for each metric.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
pub(crate) use aws_sdk_cloudwatch::types::Statistic;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Metric, MetricDataQuery, MetricStat};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::estate::Session;
use crate::provider::{Call, NoPages, Optional, Unread, WholeAnswers, answered};

/// What must be allowed.
pub(crate) const METRICS: [&str; 1] = ["cloudwatch:GetMetricData"];

/// How many metrics a call may ask for.
const QUERIES: usize = 500;
/// How many calls for single metrics are under way at a time.
const CALLS: usize = 8;

/// A metric of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) namespace: &'static str,
    pub(crate) metric: &'static str,
    /// What is made of everything that was measured in a period: the average or the sum.
    pub(crate) statistic: Statistic,
    /// Whose it is: `InstanceId`, and the id.
    pub(crate) dimension: (&'static str, String),
}

/// Which datapoints are asked for: one of each period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Seconds since 1970.
    pub(crate) from: i64,
    /// Seconds since 1970, exclusive.
    pub(crate) until: i64,
    /// In seconds.
    pub(crate) period: i32,
}

/// Values by when they were measured, in seconds since 1970.
pub(crate) type Points = BTreeMap<i64, f64>;

/// CloudWatch of one account in one region.
pub(crate) struct CloudWatch {
    client: Client,
    /// GetMetricData was refused: it is not worth asking again.
    one_by_one: AtomicBool,
}

impl CloudWatch {
    pub(crate) fn new(session: &Session) -> Self {
        let limits = session.limits("monitoring");
        let config = aws_sdk_cloudwatch::config::Builder::from(session.config()).retry_partition(limits);
        let client = Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build());
        Self { client, one_by_one: AtomicBool::new(false) }
    }

    /// The datapoints of each of `asked`, in their order. `what` is what is done: `read the use of processors`.
    ///
    /// # Errors
    /// When CloudWatch refuses, or does not answer.
    pub(crate) async fn points(
        &self,
        call: &Call<'_>,
        what: &'static str,
        asked: &[Measured],
        window: Window,
    ) -> Result<Vec<Points>, Unread> {
        if self.one_by_one.load(Ordering::Relaxed) {
            return self.statistics(what, asked, window).await;
        }
        match self.data(call, what, asked, window).await {
            Err(refused @ (Unread::Denied(_) | Unread::Unsupported(_))) => {
                // Whoever may do neither is told what is wanted.
                let found = self.statistics(what, asked, window).await.map_err(|_| refused)?;
                self.one_by_one.store(true, Ordering::Relaxed);
                Ok(found)
            }
            answer => answer,
        }
    }

    /// From GetMetricStatistics.
    async fn statistics(&self, what: &str, asked: &[Measured], window: Window) -> Result<Vec<Points>, Unread> {
        let one = |measured: Measured| async move {
            let (name, value) = measured.dimension;
            let request = self.client.get_metric_statistics().namespace(measured.namespace);
            let request =
                request.metric_name(measured.metric).period(window.period).statistics(measured.statistic.clone());
            let request = request.dimensions(Dimension::builder().name(name).value(value).build());
            let request = request.start_time(DateTime::from_secs(window.from));
            let answer = answered(what, request.end_time(DateTime::from_secs(window.until)).send().await)?;
            let value = match measured.statistic {
                Statistic::Sum => Datapoint::sum,
                _ => Datapoint::average,
            };
            let point = |point: &Datapoint| Some((point.timestamp()?.secs(), value(point)?));
            Ok(answer.datapoints().iter().filter_map(point).collect())
        };
        stream::iter(asked.to_vec()).map(one).buffered(CALLS).try_collect().await
    }

    /// From GetMetricData.
    async fn data(
        &self,
        call: &Call<'_>,
        what: &'static str,
        asked: &[Measured],
        window: Window,
    ) -> Result<Vec<Points>, Unread> {
        let mut found = vec![Points::new(); asked.len()];
        for (asked, found) in asked.chunks(QUERIES).zip(found.chunks_mut(QUERIES)) {
            let query = |(index, measured)| query(index, measured, window.period);
            let queries: Vec<MetricDataQuery> = asked.iter().enumerate().map(query).collect();
            let mut listing = call.listing(what);
            while let Some(token) = listing.token() {
                let request = self.client.get_metric_data().set_metric_data_queries(Some(queries.clone()));
                let request = request.start_time(DateTime::from_secs(window.from));
                let request = request.end_time(DateTime::from_secs(window.until)).set_next_token(token);
                let (page, _) = listing.page(request.send().await, |page| page.next_token())?;
                for result in page.metric_data_results() {
                    let index = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                    let Some(points) = index.and_then(|index| found.get_mut(index)) else { continue };
                    let times = result.timestamps().iter().map(DateTime::secs);
                    points.extend(times.zip(result.values().iter().copied()));
                }
            }
        }
        Ok(found)
    }
}

/// The datapoints of a metric, which the answer gives by the number of the query.
fn query(index: usize, measured: &Measured, period: i32) -> MetricDataQuery {
    let (name, value) = &measured.dimension;
    let dimension = Dimension::builder().name(*name).value(value).build();
    let metric = Metric::builder().namespace(measured.namespace).metric_name(measured.metric).dimensions(dimension);
    let asked = MetricStat::builder().metric(metric.build()).period(period).stat(measured.statistic.as_str()).build();
    MetricDataQuery::builder().id(format!("m{index}")).metric_stat(asked).return_data(true).build()
}

/// The end of the last whole period, in seconds since 1970: what was measured until then does not change any more.
pub(crate) fn last_whole(period: i32) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    now - now % i64::from(period)
}

const HOUR: i32 = 3600;
const DAY: i32 = 86_400;

/// Asks what things have done in the last days, for columns that rows can do without.
pub(crate) struct Recent<'a> {
    cloudwatch: CloudWatch,
    optional: Optional<'a>,
    /// Ends with a whole period: two refreshes within one find the same.
    window: Window,
}

impl<'a> Recent<'a> {
    /// The last `days` by hours.
    pub(crate) fn hourly(session: &'a Session, days: i64) -> Self {
        Self::new(session, days, HOUR)
    }

    /// The last `days` by days.
    pub(crate) fn daily(session: &'a Session, days: i64) -> Self {
        Self::new(session, days, DAY)
    }

    fn new(session: &'a Session, days: i64, period: i32) -> Self {
        let until = last_whole(period);
        let window = Window { from: until - days * i64::from(DAY), until, period };
        Self { cloudwatch: CloudWatch::new(session), optional: Optional::new(session), window }
    }

    /// The datapoints of each of `asked`, in their order; nothing where they may not be known.
    ///
    /// # Errors
    /// When CloudWatch does not answer.
    pub(crate) async fn points(
        &self,
        call: &Call<'_>,
        what: &'static str,
        asked: &[Measured],
    ) -> Result<Option<Vec<Points>>, Unread> {
        if asked.is_empty() || self.optional.is_refused() {
            return Ok(None);
        }
        self.optional.take(self.cloudwatch.points(call, what, asked, self.window).await)
    }
}

/// What datapoints are like on the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mean {
    /// The plain mean, rounded to hundredths; nothing where there are none.
    pub(crate) average: Option<f64>,
    /// How many there are.
    pub(crate) datapoints: i64,
}

impl Mean {
    #[expect(clippy::cast_precision_loss, reason = "there are 168 hours in a week")]
    pub(crate) fn of(points: &Points) -> Self {
        let mean = points.values().sum::<f64>() / points.len() as f64;
        let average = (!points.is_empty()).then(|| hundredths(mean));
        Self { average, datapoints: i64::try_from(points.len()).unwrap_or(i64::MAX) }
    }
}

/// A value rounded to hundredths: what is less is noise, and each change is a row.
pub(crate) fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
