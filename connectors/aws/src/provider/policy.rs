//! What a provider must be allowed to do, as an IAM policy.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Service;

/// What every provider needs: to know whose credentials it has, and which regions there are.
const COMMON: [&str; 2] = ["ec2:DescribeRegions", "sts:GetCallerIdentity"];

impl Service {
    /// The least that the provider must be allowed to do to collect `tables` (all of them where that is absent), and what
    /// `hydrate` names besides: a policy document.
    pub(crate) fn policy(&self, tables: Option<&[String]>, hydrate: &[String]) -> Value {
        let mut actions: BTreeSet<&str> = COMMON.into();
        for collector in (self.collectors)() {
            let wanted = |tables: &[String]| {
                collector.tables().iter().any(|table| tables.iter().any(|wanted| wanted == table.name()))
            };
            if tables.is_none_or(wanted) {
                actions.extend(collector.actions());
                let named = hydrate.iter().filter(|name| collector.hydrations().contains(&name.as_str()));
                actions.extend(named.flat_map(|name| collector.hydration_actions(name)));
            }
        }
        // None of these calls can be narrowed to resources.
        let statement = json!({"Sid": "TidegateReads", "Effect": "Allow", "Action": actions, "Resource": "*"});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }
}

#[cfg(test)]
mod tests {
    use crate::aws_ec2::SERVICE;
    use crate::{aws_efs, aws_elb, aws_rds, aws_route53};

    #[test]
    fn what_is_hydrated_needs_more_actions_than_what_is_listed() {
        let tables = ["aws_ec2_instance".to_owned(), "aws_ec2_instance_metric".to_owned()];
        let actions = |hydrate: &[&str]| {
            let hydrate: Vec<String> = hydrate.iter().map(|&name| name.to_owned()).collect();
            SERVICE.policy(Some(&tables), &hydrate)["Statement"][0]["Action"].to_string()
        };
        let listed = r#"["ec2:DescribeInstances","ec2:DescribeRegions","sts:GetCallerIdentity"]"#;
        assert_eq!(actions(&[]), listed);
        assert!(actions(&["aws_ec2_instance.user_data"]).contains("\"ec2:DescribeInstanceAttribute\""));
        for measured in ["aws_ec2_instance.avg_cpu_utilization", "aws_ec2_instance_metric"] {
            assert!(actions(&[measured]).contains("\"cloudwatch:GetMetricData\""));
        }
    }

    #[test]
    fn everything_that_is_hydrated_says_what_it_needs() {
        let services = [SERVICE, aws_efs::SERVICE, aws_elb::SERVICE, aws_rds::SERVICE, aws_route53::SERVICE];
        for collector in services.iter().flat_map(|service| (service.collectors)()) {
            for name in collector.hydrations() {
                assert!(!collector.hydration_actions(name).is_empty(), "{name}");
            }
        }
    }
}
