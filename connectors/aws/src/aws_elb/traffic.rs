//! What load balancers have had to do, as CloudWatch has counted it.

use crate::cloudwatch::{Measured, Points, Recent, Statistic};
use crate::estate::Session;
use crate::provider::{Call, Table, Unread};

const DAYS: i64 = 30;

/// Where CloudWatch has the counts of a type of load balancers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) namespace: &'static str,
    /// What their dimension is called.
    pub(super) dimension: &'static str,
    /// The metric of requests, or of connections.
    pub(super) requests: &'static str,
    /// The metric of answers with 5XX that the load balancer gives by itself, where it knows what answers are.
    pub(super) errors: Option<&'static str>,
}

/// What a load balancer has had to do in the last thirty whole days. CloudWatch counts only what there was: without
/// datapoints there was nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) requests: i64,
    pub(super) errors: Option<i64>,
}

/// The columns of what load balancers of HTTP have had to do.
pub(super) fn traffic_columns<R: 'static>(table: Table<R>, of: fn(&R) -> Option<Traffic>) -> Table<R> {
    table
        .integer(
            "request_count",
            "How many requests it has passed on in the last thirty whole days; NULL unless `hydrate` names this column.",
            move |row| Some(of(row)?.requests),
        )
        .integer(
            "error_rate",
            "How many answers with 5XX it has given by itself in those days: a number, not a share; NULL as \
             `request_count`.",
            move |row| of(row)?.errors,
        )
}

/// Asks what load balancers have had to do.
pub(super) struct TrafficReader<'a>(Recent<'a>);

impl<'a> TrafficReader<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self(Recent::daily(session, DAYS))
    }

    /// What these load balancers, by the values of their dimension, have had to do, in their order; nothing where that may
    /// not be known.
    pub(super) async fn of(
        &self,
        call: &Call<'_>,
        counted: Counted,
        ids: &[String],
    ) -> Result<Vec<Option<Traffic>>, Unread> {
        let metrics: Vec<&'static str> = [Some(counted.requests), counted.errors].into_iter().flatten().collect();
        let measured = |id: &String, metric| Measured {
            namespace: counted.namespace,
            metric,
            statistic: Statistic::Sum,
            dimension: (counted.dimension, id.clone()),
        };
        let of_one = |id| metrics.iter().map(move |metric| measured(id, *metric));
        let asked: Vec<Measured> = ids.iter().flat_map(of_one).collect();
        let Some(points) = self.0.points(call, "read what load balancers do", &asked).await? else {
            return Ok(vec![None; ids.len()]);
        };
        let traffic = |points: &[Points]| {
            let mut sums = points.iter().map(|points| points.values().sum::<f64>().round() as i64);
            Some(Traffic { requests: sums.next()?, errors: sums.next() })
        };
        Ok(points.chunks(metrics.len()).map(traffic).collect())
    }
}
