//! How much databases are used, as CloudWatch has measured it.

use crate::cloudwatch::{Mean, Measured, Points, Recent, Statistic};
use crate::provider::{Call, Unread};

/// The columns, as options name them. `cpu_datapoints` comes with the first, `free_storage_space` with the last.
pub(super) const AVG_CPU_UTILIZATION: &str = "aws_rds_db_instance.avg_cpu_utilization";
pub(super) const AVG_DATABASE_CONNECTIONS: &str = "aws_rds_db_instance.avg_database_connections";
pub(super) const STORAGE_UTILIZATION: &str = "aws_rds_db_instance.storage_utilization";

/// The columns, and the metric that each is made of.
const METRICS: [(&str, &str); 3] = [
    (AVG_CPU_UTILIZATION, "CPUUtilization"),
    (AVG_DATABASE_CONNECTIONS, "DatabaseConnections"),
    (STORAGE_UTILIZATION, "FreeStorageSpace"),
];
const DAYS: i64 = 7;

/// How much a database is used. What nobody has asked for, or may know, is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    /// Percent of its processors.
    pub(super) cpu: Option<Mean>,
    /// Connections.
    pub(super) connections: Option<Mean>,
    /// Bytes that were free in the newest hour.
    pub(super) free_storage: Option<f64>,
}

impl Load {
    fn add(&mut self, column: &str, points: &Points) {
        match column {
            AVG_CPU_UTILIZATION => self.cpu = Some(Mean::of(points)),
            AVG_DATABASE_CONNECTIONS => self.connections = Some(Mean::of(points)),
            _ => self.free_storage = points.last_key_value().map(|(_, free)| *free),
        }
    }
}

/// Asks how much databases have been used in the last seven days of whole hours.
pub(super) struct LoadReader<'a> {
    recent: Recent<'a>,
    /// Of [`METRICS`], what is wanted.
    wanted: Vec<(&'static str, &'static str)>,
}

impl<'a> LoadReader<'a> {
    /// A reader; nothing where nobody wants to know.
    pub(super) fn new(call: &Call<'a>) -> Option<Self> {
        let wanted: Vec<_> = METRICS.into_iter().filter(|(column, _)| call.hydrates(column)).collect();
        (!wanted.is_empty()).then(|| Self { recent: Recent::hourly(call.session, DAYS), wanted })
    }

    /// How much these databases have been used, in their order.
    pub(super) async fn of(&self, call: &Call<'_>, ids: &[String]) -> Result<Vec<Load>, Unread> {
        let measured = |id: &String, metric| Measured {
            namespace: "AWS/RDS",
            metric,
            statistic: Statistic::Average,
            dimension: ("DBInstanceIdentifier", id.clone()),
        };
        let of_one = |id| self.wanted.iter().map(move |(_, metric)| measured(id, metric));
        let asked: Vec<Measured> = ids.iter().flat_map(of_one).collect();
        let Some(points) = self.recent.points(call, "read the use of databases", &asked).await? else {
            return Ok(vec![Load::default(); ids.len()]);
        };
        let load = |points: &[Points]| {
            let mut load = Load::default();
            self.wanted.iter().zip(points).for_each(|((column, _), points)| load.add(column, points));
            load
        };
        Ok(points.chunks(self.wanted.len()).map(load).collect())
    }
}
