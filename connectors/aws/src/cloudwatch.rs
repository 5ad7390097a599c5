//! What CloudWatch has measured, from GetMetricData.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};

use crate::estate::Session;
use crate::provider::{Call, NoPages, Optional, Unread};

/// How many metrics a call may ask for.
const QUERIES: usize = 500;

/// What is made of everything that was measured in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statistic {
    Average,
    Sum,
}

/// A metric of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) namespace: &'static str,
    pub(crate) metric: &'static str,
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
pub(crate) struct CloudWatch(Client);

impl CloudWatch {
    pub(crate) fn new(session: &Session) -> Self {
        let limits = session.limits("monitoring");
        let config = aws_sdk_cloudwatch::config::Builder::from(session.config()).retry_partition(limits);
        Self(Client::from_conf(config.retry_classifier(NoPages).build()))
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
        let mut found = vec![Points::new(); asked.len()];
        for (asked, found) in asked.chunks(QUERIES).zip(found.chunks_mut(QUERIES)) {
            let query = |(index, measured)| query(index, measured, window.period);
            let queries: Vec<MetricDataQuery> = asked.iter().enumerate().map(query).collect();
            let mut listing = call.listing(what);
            while let Some(token) = listing.token() {
                let request = self.0.get_metric_data().set_metric_data_queries(Some(queries.clone()));
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
    let statistic = match measured.statistic {
        Statistic::Average => "Average",
        Statistic::Sum => "Sum",
    };
    let asked = MetricStat::builder().metric(metric.build()).period(period).stat(statistic).build();
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
