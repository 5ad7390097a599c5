//! SARIF 2.1.0: controls as rules, findings as results.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use crate::command::check::report::{Control, Finding, Report};
use crate::exit::Failure;

/// The schema that the document follows.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The document. Its results are made one after another: there may be many.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Value,
    automation_details: Value,
    invocations: Value,
    column_kind: &'static str,
    results: Results<'a>,
}

struct Results<'a> {
    report: &'a Report,
    all: bool,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_shown = |finding: &&Finding| match finding.status {
            Status::Alarm => true,
            Status::Error => false,
            Status::Ok | Status::Skip | Status::Info => self.all,
        };
        let resolved = self.report.comparison.iter().flat_map(|comparison| &comparison.resolved);
        let shown = self.report.findings.iter().filter(is_shown).chain(resolved);
        serializer.collect_seq(shown.map(|finding| result(self.report, finding)))
    }
}

/// The document. What is ok, skipped or only worth knowing is in it only with `all`: services that read SARIF show
/// every result as something to mend. What could not be evaluated is a notification of the tool.
pub(super) fn sarif(report: &Report, all: bool) -> Result<String, Failure> {
    let errors = report.findings.iter().filter(|finding| finding.status == Status::Error);
    let notifications: Vec<Value> = errors.map(|finding| notification(report, finding)).collect();
    let run = Run {
        tool: json!({"driver": {
            "name": "tidegate",
            "version": report.program,
            "semanticVersion": report.program,
            "rules": report.controls.iter().map(rule).collect::<Vec<_>>(),
        }}),
        automation_details: json!({"id": format!("tidegate/{}/", report.pipeline)}),
        invocations: json!([{
            "executionSuccessful": notifications.is_empty(),
            "endTimeUtc": report.taken_at.to_string(),
            "toolExecutionNotifications": notifications,
        }]),
        column_kind: "unicodeCodePoints",
        results: Results { report, all },
    };
    let document = Document { schema: SCHEMA, version: "2.1.0", runs: [run] };
    let text = serde_json::to_string_pretty(&document).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(format!("{text}\n"))
}

fn rule_id(pack: &str, control: &str) -> String {
    if pack == control { control.to_owned() } else { format!("{pack}/{control}") }
}

fn rule(control: &Control) -> Value {
    let about = &control.about;
    let mut rule = Map::new();
    rule.insert("id".into(), rule_id(&control.pack, &control.id).into());
    rule.insert("name".into(), control.id.as_str().into());
    rule.insert("shortDescription".into(), json!({"text": control.title}));
    let full = if about.description.is_empty() { &control.title } else { &about.description };
    rule.insert("fullDescription".into(), json!({"text": full}));
    rule.insert("help".into(), help(control));
    if let Some(page) = control.page() {
        rule.insert("helpUri".into(), page.into());
    }
    rule.insert("defaultConfiguration".into(), json!({"level": level(control.severity)}));
    let mut tags: Vec<&str> = vec!["security"];
    let more = about.categories.iter().map(String::as_str).chain([control.service()]);
    for tag in more {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let properties = json!({
        "tags": tags,
        "precision": "very-high",
        "problem.severity": problem(control.severity),
        "security-severity": score(control.severity),
    });
    rule.insert("properties".into(), properties);
    Value::Object(rule)
}

/// Why it matters and how to mend it, as text and as markdown.
fn help(control: &Control) -> Value {
    let about = &control.about;
    let remedy = &about.remediation;
    let (mut text, mut markdown) = (control.title.clone(), format!("**{}**", control.title));
    let mut add = |heading: &str, plain: &str, marked: String| {
        if !plain.trim().is_empty() {
            text.push_str(&format!("\n\n{heading}: {plain}"));
            markdown.push_str(&format!("\n\n**{heading}**\n\n{marked}"));
        }
    };
    // A fence longer than any in the text, so that the text cannot end it.
    let fenced = |code: &str, language: &str| {
        let fence = "`".repeat(3.max(code.split(|c| c != '`').map(str::len).max().unwrap_or(0) + 1));
        format!("{fence}{language}\n{}\n{fence}", code.trim_end())
    };
    add("Why it matters", &about.rationale, about.rationale.clone());
    add("How to mend it", &remedy.text, remedy.text.clone());
    add("Command", &remedy.cli, fenced(&remedy.cli, "sh"));
    add("Terraform", &remedy.terraform, fenced(&remedy.terraform, "hcl"));
    let pages: Vec<&str> = [&remedy.url].into_iter().chain(&about.references).map(String::as_str).collect();
    let pages: Vec<&str> = pages.into_iter().filter(|page| page.starts_with("http")).collect();
    let list: String = pages.iter().map(|page| format!("* <{page}>\n")).collect();
    add("References", &pages.join(" "), list);
    json!({"text": text, "markdown": markdown})
}

fn result(report: &Report, finding: &Finding) -> Value {
    let control = report.control_of(finding);
    let index = report.position(&finding.pack, &finding.control);
    let kind = kind(finding.status);
    let mut result = Map::new();
    result.insert("ruleId".into(), rule_id(&finding.pack, &finding.control).into());
    result.extend(index.map(|index| ("ruleIndex".into(), index.into())));
    result.insert("kind".into(), kind.into());
    result.insert("level".into(), if kind == "fail" { level(finding.severity).into() } else { "none".into() });
    result.insert("message".into(), json!({"text": plain(&finding.reason)}));
    result.insert("locations".into(), json!([location(control, finding)]));
    result.insert("partialFingerprints".into(), json!({"tidegateIdentity/v1": finding.identity}));
    if let Some(waiver) = finding.waiver_text() {
        result.insert(
            "suppressions".into(),
            json!([{"kind": "external", "status": "accepted", "justification": waiver}]),
        );
    }
    if report.comparison.is_some() {
        let state = match finding.drift {
            Drift::New => "new",
            Drift::Changed => "updated",
            Drift::Unchanged => "unchanged",
            Drift::Resolved => "absent",
        };
        result.insert("baselineState".into(), state.into());
    }
    let mut properties = Map::new();
    properties.insert("severity".into(), finding.severity.word().into());
    properties.insert("status".into(), finding.word().into());
    for (name, value) in [("account_id", &finding.account_id), ("region", &finding.region)] {
        properties.extend(value.as_ref().map(|value| (name.to_owned(), value.as_str().into())));
    }
    let dimensions = serde_json::from_str(&finding.dimensions).unwrap_or(Value::from(finding.dimensions.as_str()));
    properties.insert("dimensions".into(), dimensions);
    result.insert("properties".into(), Value::Object(properties));
    Value::Object(result)
}

/// The resource is a logical location. Code scanning asks for a physical one, too: where the check is configured.
fn location(control: Option<&Control>, finding: &Finding) -> Value {
    let mut location = Map::new();
    if let Some(control) = control {
        let place = json!({
            "artifactLocation": {"uri": uri(&control.file)},
            "region": {"startLine": control.line.max(1)},
        });
        location.insert("physicalLocation".into(), place);
    }
    let name = finding.resource.rsplit(['/', ':']).next().unwrap_or(&finding.resource);
    let resource = json!([{"name": name, "fullyQualifiedName": finding.resource, "kind": "resource"}]);
    location.insert("logicalLocations".into(), resource);
    Value::Object(location)
}

fn notification(report: &Report, finding: &Finding) -> Value {
    let mut rule = Map::new();
    rule.insert("id".into(), rule_id(&finding.pack, &finding.control).into());
    let index = report.position(&finding.pack, &finding.control);
    rule.extend(index.map(|index| ("index".into(), index.into())));
    json!({
        "level": "error",
        "message": {"text": plain(&format!("{}: {}", finding.resource, finding.reason))},
        "associatedRule": rule,
    })
}

/// In messages `[text](address)` is a link. What strangers wrote is none.
fn plain(text: &str) -> String {
    text.replace("](", "] (")
}

/// A path as a relative reference: whatever a URI cannot hold is written as bytes.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn kind(status: Status) -> &'static str {
    match status {
        Status::Alarm => "fail",
        Status::Ok => "pass",
        Status::Skip => "notApplicable",
        Status::Info => "informational",
        Status::Error => "open",
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::None => "note",
    }
}

fn problem(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::None => "recommendation",
    }
}

/// The middle of the range by which code scanning names a severity.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::None => "0.0",
    }
}
