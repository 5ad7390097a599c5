//! How busy instances have been, as CloudWatch has measured it.

use crate::cloudwatch::{Mean, Measured, Recent, Statistic};
use crate::provider::{Call, Unread};

/// The column, as options name it. `cpu_datapoints` comes with it.
pub(super) const AVG_CPU_UTILIZATION: &str = "aws_ec2_instance.avg_cpu_utilization";

const DAYS: i64 = 7;

/// Asks how busy instances have been in the last seven days of whole hours.
pub(super) struct CpuReader<'a>(Recent<'a>);

impl<'a> CpuReader<'a> {
    /// A reader; nothing where nobody wants to know.
    pub(super) fn new(call: &Call<'a>) -> Option<Self> {
        call.hydrates(AVG_CPU_UTILIZATION).then(|| Self(Recent::hourly(call.session, DAYS)))
    }

    /// How busy these instances have been, in percent, in their order; nothing where that may not be known.
    pub(super) async fn of(&self, call: &Call<'_>, ids: &[String]) -> Result<Vec<Option<Mean>>, Unread> {
        let measured = |id: &String| Measured {
            namespace: "AWS/EC2",
            metric: "CPUUtilization",
            statistic: Statistic::Average,
            dimension: ("InstanceId", id.clone()),
        };
        let asked: Vec<Measured> = ids.iter().map(measured).collect();
        Ok(match self.0.points(call, "read the use of processors", &asked).await? {
            Some(points) => points.iter().map(Mean::of).map(Some).collect(),
            None => vec![None; ids.len()],
        })
    }
}
