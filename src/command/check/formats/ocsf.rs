//! OCSF 1.5.0: Compliance Findings (class 2003).

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use crate::command::check::report::{BenchmarkPart, Control, Finding, Report};
use crate::exit::Failure;

/// The version of the schema.
const VERSION: &str = "1.5.0";
const CLASS: u64 = 2003;
const CATEGORY: u64 = 2;

/// A list of events, one for each finding; what is ok only with `all`.
pub(super) fn ocsf(report: &Report, all: bool) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&Events { report, all });
    Ok(format!("{}\n", text.map_err(|error| Failure::failed(error.to_string()))?))
}

/// The events, made one after another: there may be many.
struct Events<'a> {
    report: &'a Report,
    all: bool,
}

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.report.rows(self.all).into_iter().map(|finding| event(self.report, finding)))
    }
}

fn event(report: &Report, finding: &Finding) -> Value {
    let control = report.control_of(finding);
    let (activity, activity_name) = match (&report.comparison, finding.drift) {
        (None, _) | (_, Drift::New) => (1, "Create"),
        (_, Drift::Changed | Drift::Unchanged) => (2, "Update"),
        (_, Drift::Resolved) => (3, "Close"),
    };
    let (status_id, status) = match finding.drift {
        _ if finding.is_waived() => (3, "Suppressed"),
        Drift::Resolved => (4, "Resolved"),
        Drift::New | Drift::Changed | Drift::Unchanged => (1, "New"),
    };
    let (severity_id, severity) = severity(finding);
    let taken = report.taken_at.0.as_millisecond();
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("activity_id", activity.into());
    put("activity_name", activity_name.into());
    put("category_uid", CATEGORY.into());
    put("category_name", "Findings".into());
    put("class_uid", CLASS.into());
    put("class_name", "Compliance Finding".into());
    put("type_uid", (CLASS * 100 + activity).into());
    put("type_name", format!("Compliance Finding: {activity_name}").into());
    put("time", taken.into());
    put("severity_id", severity_id.into());
    put("severity", severity.into());
    put("status_id", status_id.into());
    put("status", status.into());
    put("status_code", finding.word().into());
    put("status_detail", finding.waiver_text().unwrap_or_else(|| finding.reason.clone()).into());
    put("message", finding.reason.as_str().into());
    put("metadata", metadata(report, finding));
    put("finding_info", finding_info(control, finding, taken));
    put("compliance", compliance(report, control, finding));
    put("resources", json!([resource(control, finding)]));
    if let Some(remediation) = control.and_then(remediation) {
        put("remediation", remediation);
    }
    if let Some(cloud) = cloud(finding) {
        put("cloud", cloud);
    }
    if let Ok(evidence @ Value::Object(_)) = serde_json::from_str(&finding.evidence) {
        put("evidences", json!([{"data": evidence}]));
    }
    let dimensions: Value = serde_json::from_str(&finding.dimensions).unwrap_or_default();
    put("unmapped", json!({"pack": finding.pack, "drift": finding.drift.word(), "dimensions": dimensions}));
    Value::Object(event)
}

fn metadata(report: &Report, finding: &Finding) -> Value {
    let mut profiles = Vec::new();
    if is_of_aws(finding) {
        profiles.push("cloud");
    }
    json!({
        "version": VERSION,
        "product": {"name": "Tidegate", "vendor_name": "Tidegate", "version": report.program},
        "event_code": finding.control,
        "uid": format!("{}-{}", finding.identity, report.taken_at.0.as_millisecond()),
        "profiles": profiles,
    })
}

fn finding_info(control: Option<&Control>, finding: &Finding, taken: i64) -> Value {
    let mut info = Map::new();
    info.insert("uid".into(), finding.identity.as_str().into());
    info.insert("title".into(), finding.title.as_str().into());
    info.insert("desc".into(), finding.reason.as_str().into());
    let first = finding.first_seen.map_or(taken, |moment| moment.0.as_millisecond());
    info.insert("created_time".into(), first.into());
    info.insert("first_seen_time".into(), first.into());
    info.insert("last_seen_time".into(), taken.into());
    if let Some(changed) = finding.last_changed {
        info.insert("modified_time".into(), changed.0.as_millisecond().into());
    }
    let categories = control.map(|control| control.about.categories.clone()).unwrap_or_default();
    if !categories.is_empty() {
        info.insert("types".into(), json!(categories));
    }
    let analytic = json!({"name": finding.control, "uid": finding.control, "type_id": 1, "type": "Rule"});
    info.insert("analytic".into(), analytic);
    Value::Object(info)
}

/// The control, and the items of frameworks that ask for it.
fn compliance(report: &Report, control: Option<&Control>, finding: &Finding) -> Value {
    let (status_id, status) = match finding.status {
        Status::Ok => (1, "Pass"),
        Status::Alarm => (3, "Fail"),
        Status::Error => (2, "Warning"),
        Status::Skip | Status::Info => (99, "Other"),
    };
    let mut compliance = Map::new();
    compliance.insert("control".into(), finding.control.as_str().into());
    compliance.insert("status_id".into(), status_id.into());
    compliance.insert("status".into(), status.into());
    if let Some(control) = control.filter(|control| !control.about.description.is_empty()) {
        compliance.insert("desc".into(), control.about.description.as_str().into());
    }
    let (mut standards, mut requirements) = (Vec::new(), Vec::new());
    let of_pack = report.packs.iter().filter(|pack| pack.name == finding.pack);
    for benchmark in of_pack.flat_map(|pack| &pack.benchmarks) {
        let before = requirements.len();
        items(benchmark, &finding.control, &mut requirements);
        if requirements.len() > before {
            standards.push(format!("{} {}", benchmark.id, benchmark.version).trim().to_owned());
        }
    }
    if !standards.is_empty() {
        compliance.insert("standards".into(), json!(standards));
        compliance.insert("requirements".into(), json!(requirements));
    }
    Value::Object(compliance)
}

/// The ids of the parts that name a control themselves.
fn items(part: &BenchmarkPart, control: &str, found: &mut Vec<String>) {
    if part.controls.iter().any(|id| id == control) {
        found.push(part.id.clone());
    }
    part.children.iter().for_each(|child| items(child, control, found));
}

fn resource(control: Option<&Control>, finding: &Finding) -> Value {
    let name = finding.resource.rsplit(['/', ':']).next().unwrap_or(&finding.resource);
    let mut resource = Map::new();
    resource.insert("uid".into(), finding.resource.as_str().into());
    resource.insert("name".into(), name.into());
    if let Some(control) = control {
        if !control.about.resource_type.is_empty() && !finding.is_about_no_resource() {
            resource.insert("type".into(), control.about.resource_type.as_str().into());
        }
        resource.insert("group".into(), json!({"name": control.service()}));
    }
    if is_of_aws(finding) {
        if let Some(region) = &finding.region {
            resource.insert("region".into(), region.as_str().into());
        }
        let partition = finding.resource.split(':').nth(1).filter(|part| part.starts_with("aws")).unwrap_or("aws");
        resource.insert("cloud_partition".into(), partition.into());
    }
    Value::Object(resource)
}

fn remediation(control: &Control) -> Option<Value> {
    let remedy = &control.about.remediation;
    let parts = [&remedy.text, &remedy.cli, &remedy.terraform].into_iter().filter(|text| !text.trim().is_empty());
    let text = parts.map(|text| text.trim()).collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        return None;
    }
    let mut remediation = Map::from_iter([("desc".to_owned(), Value::from(text))]);
    let pages = [&remedy.url].into_iter().chain(&control.about.references).filter(|page| page.starts_with("http"));
    let pages: Vec<&str> = pages.map(String::as_str).collect();
    if !pages.is_empty() {
        remediation.insert("references".into(), pages.into());
    }
    Some(Value::Object(remediation))
}

/// Where it is, for resources of AWS.
fn cloud(finding: &Finding) -> Option<Value> {
    let account = finding.account_id.as_ref().filter(|_| is_of_aws(finding))?;
    let mut cloud = Map::new();
    cloud.insert("provider".into(), "AWS".into());
    cloud.insert("account".into(), json!({"uid": account, "name": account, "type_id": 10, "type": "AWS Account"}));
    cloud.extend(finding.region.as_ref().map(|region| ("region".to_owned(), region.as_str().into())));
    Some(Value::Object(cloud))
}

/// Whether the account is one of AWS.
pub(super) fn is_of_aws(finding: &Finding) -> bool {
    let is_account = |id: &String| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    finding.account_id.as_ref().is_some_and(is_account)
}

fn severity(finding: &Finding) -> (u8, &'static str) {
    if matches!(finding.status, Status::Ok | Status::Skip | Status::Info) {
        return (1, "Informational");
    }
    match finding.severity {
        Severity::None => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}
