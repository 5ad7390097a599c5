//! How busy instances have been, as CloudWatch has measured it.

use crate::cloudwatch::{CloudWatch, Measured, Points, Window, last_whole};
use crate::provider::{Call, Optional, Unread};

/// The column, as options name it. `cpu_datapoints` comes with it.
pub(super) const AVG_CPU_UTILIZATION: &str = "aws_ec2_instance.avg_cpu_utilization";

const HOUR: i32 = 3600;
const DAYS: i64 = 7;

/// The use of processors over the last seven days of whole hours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cpu {
    /// The plain mean of the hourly averages, in percent, rounded to hundredths; nothing where there are none.
    pub(super) average: Option<f64>,
    /// How many hours CloudWatch knows an average of.
    pub(super) datapoints: i64,
}

impl Cpu {
    #[expect(clippy::cast_precision_loss, reason = "there are 168 hours in a week")]
    fn of(points: &Points) -> Self {
        let mean = points.values().sum::<f64>() / points.len() as f64;
        let average = (!points.is_empty()).then(|| (mean * 100.0).round() / 100.0);
        Self { average, datapoints: i64::try_from(points.len()).unwrap_or(i64::MAX) }
    }
}

/// Asks how busy instances have been.
pub(super) struct CpuReader<'a> {
    cloudwatch: CloudWatch,
    optional: Optional<'a>,
    /// Ends with a whole hour: two refreshes within an hour find the same.
    window: Window,
}

impl<'a> CpuReader<'a> {
    /// A reader; nothing where nobody wants to know.
    pub(super) fn new(call: &Call<'a>) -> Option<Self> {
        let until = last_whole(HOUR);
        let window = Window { from: until - DAYS * 86_400, until, period: HOUR };
        let (cloudwatch, optional) = (CloudWatch::new(call.session), Optional::new(call.session));
        call.hydrates(AVG_CPU_UTILIZATION).then(|| Self { cloudwatch, optional, window })
    }

    /// How busy these instances have been, in their order; nothing where that may not be known.
    pub(super) async fn of(&self, call: &Call<'_>, ids: &[String]) -> Result<Vec<Option<Cpu>>, Unread> {
        if self.optional.is_refused() {
            return Ok(vec![None; ids.len()]);
        }
        let measured = |id: &String| Measured {
            namespace: "AWS/EC2",
            metric: "CPUUtilization",
            dimension: ("InstanceId", id.clone()),
        };
        let asked: Vec<Measured> = ids.iter().map(measured).collect();
        let averages = self.cloudwatch.averages(call, "read the use of processors", &asked, self.window).await;
        Ok(match self.optional.take(averages)? {
            Some(averages) => averages.iter().map(Cpu::of).map(Some).collect(),
            None => vec![None; ids.len()],
        })
    }
}
