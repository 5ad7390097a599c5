//! The counters of an instance as samples of twenty seconds, made of what CloudWatch has measured each minute or five.

use crate::cloudwatch::{Measured, Points, Statistic};

/// How far samples are apart, in seconds.
const STEP: i64 = 20;
/// How far datapoints may be apart, in seconds: detailed and basic monitoring. Between others it is not known since when
/// a value is true.
const SPACINGS: [i64; 2] = [60, 300];
const BYTES_IN_KIB: f64 = 1024.0;

/// A metric by namespace and name.
type Metric = (&'static str, &'static str);

/// How metrics become a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The first metric that there is: agents have named theirs in several ways.
    First,
    /// All metrics, which are bytes of an interval, added up, in KiB/s.
    Rate,
}

/// A counter.
#[derive(Debug)]
struct Counter {
    name: &'static str,
    made: Made,
    metrics: &'static [Metric],
}

/// All counters.
static COUNTERS: [Counter; 5] = [
    Counter { name: "cpu_usage_rate_average", made: Made::First, metrics: &[("AWS/EC2", "CPUUtilization")] },
    Counter {
        name: "disk_usage_rate_average",
        made: Made::Rate,
        metrics: &[("AWS/EC2", "DiskReadBytes"), ("AWS/EC2", "DiskWriteBytes")],
    },
    Counter {
        name: "mem_swapped_absolute_average",
        made: Made::First,
        metrics: &[
            ("System/Linux", "SwapUtilization"),
            ("CWAgent", "swap_used_percent"),
            ("CWAgent", "Paging File % Usage"),
        ],
    },
    Counter {
        name: "mem_usage_absolute_average",
        made: Made::First,
        metrics: &[
            ("System/Linux", "MemoryUtilization"),
            ("CWAgent", "mem_used_percent"),
            ("CWAgent", "Memory % Committed Bytes In Use"),
        ],
    },
    Counter {
        name: "net_usage_rate_average",
        made: Made::Rate,
        metrics: &[("AWS/EC2", "NetworkIn"), ("AWS/EC2", "NetworkOut")],
    },
];

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) instance_id: String,
    pub(super) counter: &'static str,
    /// Seconds since 1970.
    pub(super) time: i64,
    pub(super) value: f64,
}

/// What is asked for of an instance.
pub(super) fn measured(instance_id: &str) -> impl Iterator<Item = Measured> {
    COUNTERS.iter().flat_map(|counter| counter.metrics).map(move |(namespace, metric)| Measured {
        namespace,
        metric,
        statistic: Statistic::Average,
        dimension: ("InstanceId", instance_id.to_owned()),
    })
}

/// The samples of an instance, made of what was asked for by [`measured`], in the same order.
pub(super) fn samples(instance_id: &str, mut points: &[Points]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for counter in &COUNTERS {
        let (own, others) = points.split_at(counter.metrics.len().min(points.len()));
        points = others;
        let made = counter.samples(own).into_iter();
        let sample = |(time, value)| Sample { instance_id: instance_id.to_owned(), counter: counter.name, time, value };
        samples.extend(made.map(sample));
    }
    samples
}

impl Counter {
    /// Times and values. The first datapoint says only since when the second is true.
    fn samples(&self, points: &[Points]) -> Vec<(i64, f64)> {
        let points: Vec<&Points> = points.iter().filter(|points| !points.is_empty()).collect();
        let counted = match self.made {
            Made::First => points.get(..1).unwrap_or_default(),
            Made::Rate => &points,
        };
        let mut times: Vec<i64> = counted.iter().flat_map(|points| points.keys().copied()).collect();
        times.sort_unstable();
        times.dedup();
        let mut samples = Vec::new();
        for (before, time) in times.iter().zip(times.iter().skip(1)) {
            let interval = time - before;
            if !SPACINGS.contains(&interval) {
                continue;
            }
            let sum: f64 = counted.iter().filter_map(|points| points.get(time)).sum();
            #[expect(clippy::cast_precision_loss, reason = "an interval is 60 or 300")]
            let value = match self.made {
                Made::First => sum,
                Made::Rate => sum / BYTES_IN_KIB / interval as f64,
            };
            samples.extend((1..=interval / STEP).map(|step| (before + step * STEP, value)));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datapoints as the asked metrics of one instance give them, where there are any.
    fn points(given: &[(&str, &[(i64, f64)])]) -> Vec<Points> {
        let of = |asked: Measured| {
            let found = given.iter().find(|(metric, _)| *metric == asked.metric);
            found.map(|(_, points)| points.iter().copied().collect()).unwrap_or_default()
        };
        measured("i-1").map(of).collect()
    }

    fn of<'a>(samples: &'a [Sample], counter: &'a str) -> Vec<(i64, f64)> {
        samples.iter().filter(|sample| sample.counter == counter).map(|sample| (sample.time, sample.value)).collect()
    }

    #[test]
    fn datapoints_of_five_minutes_are_fifteen_samples_and_the_first_one_is_none() {
        // What an instance with basic monitoring and an agent had on 2018-01-18 at 08:10, 08:15 and 08:20.
        const T: i64 = 1_516_263_000;
        let points = points(&[
            (
                "CPUUtilization",
                &[(T, 0.164_480_874_316_94), (T + 300, 0.067_231_638_418_075_4), (T + 600, 0.099_453_551_912_572_41)],
            ),
            ("DiskReadBytes", &[(T, 0.0), (T + 300, 0.0), (T + 600, 0.0)]),
            ("DiskWriteBytes", &[(T, 0.0), (T + 300, 0.0), (T + 600, 0.0)]),
            ("NetworkIn", &[(T, 3958.2), (T + 300, 1387.8), (T + 600, 1771.8)]),
            ("NetworkOut", &[(T, 2105.8), (T + 300, 1167.6), (T + 600, 1369.2)]),
            ("MemoryUtilization", &[(T, 8.908_699_105_787_61), (T + 300, 8.916_957_003_877_28)]),
            ("SwapUtilization", &[(T, 0.0), (T + 300, 0.0)]),
        ]);
        let samples = samples("i-1", &points);
        let cpu = of(&samples, "cpu_usage_rate_average");
        assert_eq!(cpu.len(), 30);
        assert_eq!((cpu[0], cpu[14]), ((T + 20, 0.067_231_638_418_075_4), (T + 300, 0.067_231_638_418_075_4)));
        assert_eq!(cpu[15], (T + 320, 0.099_453_551_912_572_41));
        let network = of(&samples, "net_usage_rate_average");
        assert_eq!((network[0].1, network[29].1), (0.008_318_359_374_999_999, 0.010_224_609_375));
        assert!(of(&samples, "disk_usage_rate_average").iter().all(|(_, value)| *value == 0.0));
        assert_eq!(of(&samples, "mem_usage_absolute_average")[0], (T + 20, 8.916_957_003_877_28));
        assert_eq!(of(&samples, "mem_swapped_absolute_average").len(), 15);
        assert_eq!(samples.len(), 3 * 30 + 2 * 15);
    }

    #[test]
    fn where_datapoints_are_missing_there_are_no_samples() {
        let samples = samples("i-1", &points(&[("CPUUtilization", &[(0, 1.0), (60, 2.0), (180, 3.0), (240, 4.0)])]));
        let times: Vec<i64> = of(&samples, "cpu_usage_rate_average").into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, [20, 40, 60, 200, 220, 240]);
    }

    #[test]
    fn of_several_agents_the_first_counts_and_of_one_direction_what_there_is() {
        let samples = samples(
            "i-1",
            &points(&[
                ("mem_used_percent", &[(0, 10.0), (60, 20.0)]),
                ("Memory % Committed Bytes In Use", &[(30, 70.0), (60, 80.0)]),
                ("NetworkOut", &[(0, 0.0), (60, 61_440.0)]),
            ]),
        );
        assert_eq!(of(&samples, "mem_usage_absolute_average")[2], (60, 20.0));
        assert_eq!(of(&samples, "net_usage_rate_average")[0], (20, 1.0));
    }
}
