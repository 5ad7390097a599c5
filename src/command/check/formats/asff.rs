//! The AWS Security Finding Format: each line is the input of one call of `BatchImportFindings`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use super::ocsf::is_of_aws;
use crate::command::check::report::{Control, Finding, Report};
use crate::exit::Failure;

/// The most findings that a call takes.
const BATCH: usize = 100;
/// Where findings that are in no region are imported.
const HOME: &str = "us-east-1";

/// The calls: findings of one account and region together, at most [`BATCH`] a call. Findings that are not about an
/// AWS account cannot be imported; how many they are is told on stderr.
pub(super) fn asff(report: &Report, all: bool) -> Result<String, Failure> {
    let rows = report.rows(all);
    let (importable, left): (Vec<&Finding>, Vec<&Finding>) = rows.into_iter().partition(|finding| is_of_aws(finding));
    if !left.is_empty() {
        crate::output::told!("asff: {} not about AWS accounts left out", left.len());
    }
    let mut groups: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for finding in importable {
        let place = (finding.account_id.clone().unwrap_or_default(), region(finding).to_owned());
        groups.entry(place).or_default().push(entry(report, finding));
    }
    let mut text = String::new();
    for batch in groups.values().flat_map(|group| group.chunks(BATCH)) {
        let call = serde_json::to_string(&json!({"Findings": batch}));
        text.push_str(&call.map_err(|error| Failure::failed(error.to_string()))?);
        text.push('\n');
    }
    Ok(text)
}

fn region(finding: &Finding) -> &str {
    finding.region.as_deref().filter(|region| region.contains('-')).unwrap_or(HOME)
}

fn partition(finding: &Finding) -> &str {
    let of_resource = finding.resource.split(':').nth(1).filter(|part| part.starts_with("aws"));
    of_resource.unwrap_or_else(|| match region(finding) {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    })
}

fn entry(report: &Report, finding: &Finding) -> Value {
    let control = report.control_of(finding);
    let (account, region, partition) =
        (finding.account_id.as_deref().unwrap_or_default(), region(finding), partition(finding));
    let taken = report.taken_at.to_string();
    let first = finding.first_seen.map_or_else(|| taken.clone(), |moment| moment.to_string());
    let types = json!(["Software and Configuration Checks/Industry and Regulatory Standards"]);
    let severity = json!({"Label": severity(finding)});
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
    put("SchemaVersion", "2018-10-08".into());
    put("Id", format!("tidegate/{}/{}/{}", finding.pack, finding.control, finding.identity).into());
    let product = format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default");
    put("ProductArn", product.into());
    put("ProductName", "Default".into());
    put("GeneratorId", cut(&format!("tidegate/{}/{}", finding.pack, finding.control), 512).into());
    put("AwsAccountId", account.into());
    put("Types", types.clone());
    put("CreatedAt", first.clone().into());
    put("UpdatedAt", taken.clone().into());
    put("FirstObservedAt", first.into());
    put("LastObservedAt", taken.into());
    put("Severity", severity.clone());
    put("FindingProviderFields", json!({"Severity": severity, "Types": types}));
    put("Title", cut(&finding.title, 256).into());
    let reason = if finding.reason.trim().is_empty() { &finding.title } else { &finding.reason };
    put("Description", cut(reason, 1024).into());
    put("Resources", json!([resource(control, finding)]));
    put("Compliance", compliance(finding));
    put("RecordState", if finding.drift == Drift::Resolved { "ARCHIVED" } else { "ACTIVE" }.into());
    let workflow = match finding.status {
        Status::Ok => "RESOLVED",
        _ if finding.is_waived() => "SUPPRESSED",
        _ => "NEW",
    };
    put("Workflow", json!({"Status": workflow}));
    if let Some(remediation) = control.and_then(remediation) {
        put("Remediation", remediation);
    }
    put("ProductFields", product_fields(report, finding));
    Value::Object(entry)
}

fn resource(control: Option<&Control>, finding: &Finding) -> Value {
    let control = control.filter(|_| !finding.is_about_no_resource());
    let kind = control.map_or("Other".to_owned(), |control| resource_type(&control.about.resource_type));
    json!({
        "Type": kind,
        "Id": cut(&finding.resource, 512),
        "Partition": partition(finding),
        "Region": region(finding),
    })
}

fn compliance(finding: &Finding) -> Value {
    let status = match finding.status {
        Status::Ok => "PASSED",
        Status::Alarm => "FAILED",
        Status::Error => "WARNING",
        Status::Skip | Status::Info => "NOT_AVAILABLE",
    };
    json!({"Status": status})
}

fn remediation(control: &Control) -> Option<Value> {
    let remedy = &control.about.remediation;
    let text = if remedy.cli.trim().is_empty() {
        remedy.text.clone()
    } else {
        format!("{} {}", remedy.text, remedy.cli.trim())
    };
    let mut recommendation = Map::new();
    if !text.trim().is_empty() {
        recommendation.insert("Text".into(), cut(text.trim(), 512).into());
    }
    if let Some(page) = control.page() {
        recommendation.insert("Url".into(), page.into());
    }
    if recommendation.is_empty() { None } else { Some(json!({"Recommendation": recommendation})) }
}

/// What Security Hub has no field for: at most 50 texts of at most 2,048 characters.
fn product_fields(report: &Report, finding: &Finding) -> Value {
    let mut fields = Map::new();
    let all = [
        ("tidegate/version", report.program.as_str()),
        ("tidegate/pipeline", &report.pipeline),
        ("tidegate/dimensions", &finding.dimensions),
        ("tidegate/waiver", &finding.waiver_text().unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_owned(), cut(value, 2048)));
    fields.extend(all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.into())));
    Value::Object(fields)
}

fn severity(finding: &Finding) -> &'static str {
    if matches!(finding.status, Status::Ok | Status::Skip | Status::Info) {
        return "INFORMATIONAL";
    }
    match finding.severity {
        Severity::None => "INFORMATIONAL",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The types of resources that Security Hub knows, of the services that are collected.
const TYPES: &[&str] = &[
    "AwsAutoScalingAutoScalingGroup",
    "AwsAutoScalingLaunchConfiguration",
    "AwsBackupBackupPlan",
    "AwsBackupBackupVault",
    "AwsBackupRecoveryPoint",
    "AwsCertificateManagerCertificate",
    "AwsCloudTrailTrail",
    "AwsCloudWatchAlarm",
    "AwsDynamoDbTable",
    "AwsEc2ClientVpnEndpoint",
    "AwsEc2Eip",
    "AwsEc2Instance",
    "AwsEc2LaunchTemplate",
    "AwsEc2NetworkAcl",
    "AwsEc2NetworkInterface",
    "AwsEc2RouteTable",
    "AwsEc2SecurityGroup",
    "AwsEc2Subnet",
    "AwsEc2TransitGateway",
    "AwsEc2Volume",
    "AwsEc2Vpc",
    "AwsEc2VpcEndpointService",
    "AwsEc2VpcPeeringConnection",
    "AwsEc2VpnConnection",
    "AwsEcrRepository",
    "AwsEcsCluster",
    "AwsEcsService",
    "AwsEfsAccessPoint",
    "AwsEksCluster",
    "AwsElbLoadBalancer",
    "AwsElbv2LoadBalancer",
    "AwsIamAccessKey",
    "AwsIamGroup",
    "AwsIamPolicy",
    "AwsIamRole",
    "AwsIamUser",
    "AwsKmsKey",
    "AwsLambdaFunction",
    "AwsRdsDbCluster",
    "AwsRdsDbClusterSnapshot",
    "AwsRdsDbInstance",
    "AwsRdsDbSecurityGroup",
    "AwsRdsDbSnapshot",
    "AwsRoute53HostedZone",
    "AwsS3AccountPublicAccessBlock",
    "AwsS3Bucket",
    "AwsSecretsManagerSecret",
    "AwsSnsTopic",
    "AwsSqsQueue",
];

/// A type as CloudFormation writes it, in the words of Security Hub: `AWS::EC2::Volume` → `AwsEc2Volume`. `Other`
/// where it does not know the type.
fn resource_type(kind: &str) -> String {
    let plain =
        kind.replace("::", "").replace("ElasticLoadBalancingV2", "elbv2").replace("ElasticLoadBalancing", "elb");
    let known = TYPES.iter().find(|known| known.eq_ignore_ascii_case(&plain));
    known.map_or_else(|| "Other".to_owned(), |known| (*known).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_resources_are_in_the_words_of_security_hub() {
        let types = [
            ("AWS::EC2::Volume", "AwsEc2Volume"),
            ("AWS::RDS::DBInstance", "AwsRdsDbInstance"),
            ("AWS::ElasticLoadBalancingV2::LoadBalancer", "AwsElbv2LoadBalancer"),
            ("AWS::EC2::EIP", "AwsEc2Eip"),
            ("AWS::EC2::Snapshot", "Other"),
            ("host_file", "Other"),
            ("", "Other"),
        ];
        for (kind, expected) in types {
            assert_eq!(resource_type(kind), expected, "{kind}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "ä…");
        assert_eq!(cut("äö", 2), "äö");
    }
}
