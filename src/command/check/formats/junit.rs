//! A suite per control, a case per finding, for build servers.

use std::collections::HashMap;

use tidegate_operators::check::finding::Status;

use crate::command::check::report::{Control, Finding, Report, plural};
use crate::xml::escaped;

/// The report. What is ok is one case of each control, unless `all` is wanted.
pub(super) fn junit(report: &Report, all: bool) -> String {
    let mut suites = String::new();
    let mut sum = Tally::default();
    for control in &report.controls {
        let mut tally = Tally::default();
        let cases = cases(report, control, all, &mut tally);
        let name = escaped(&format!("{}/{}", control.pack, control.id));
        let time = report.taken_at.0.strftime("%Y-%m-%dT%H:%M:%S");
        suites.push_str(&format!(
            "  <testsuite name=\"{name}\" {} time=\"0\" timestamp=\"{time}\">\n",
            tally.attributes()
        ));
        suites.push_str(&properties(control));
        suites.push_str(&cases);
        suites.push_str("  </testsuite>\n");
        sum.add(&tally);
    }
    let Tally { tests, failures, errors, .. } = sum;
    let name = escaped(&report.pipeline);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"0\">\n\
         {suites}</testsuites>\n"
    )
}

/// How the cases of a suite ended.
#[derive(Default)]
struct Tally {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Tally {
    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }

    fn add(&mut self, more: &Self) {
        self.tests += more.tests;
        self.failures += more.failures;
        self.errors += more.errors;
        self.skipped += more.skipped;
    }
}

fn properties(control: &Control) -> String {
    let about = &control.about;
    let all = [
        ("title", control.title.as_str()),
        ("severity", control.severity.word()),
        ("service", control.service()),
        ("remediation", &about.remediation.text),
        ("url", control.page().unwrap_or_default()),
    ];
    let mut text = "    <properties>\n".to_owned();
    for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("      <property name=\"{name}\" value=\"{}\"/>\n", escaped(value)));
    }
    text.push_str("    </properties>\n");
    text
}

fn cases(report: &Report, control: &Control, all: bool, tally: &mut Tally) -> String {
    let mut text = String::new();
    let shown: Vec<&Finding> =
        report.findings_of(control).filter(|finding| all || finding.status != Status::Ok).collect();
    let mut of_resource: HashMap<&str, usize> = HashMap::new();
    shown.iter().for_each(|finding| *of_resource.entry(&finding.resource).or_default() += 1);
    for finding in shown {
        let is_alone = of_resource.get(&*finding.resource) == Some(&1);
        text.push_str(&case(control, finding, is_alone, tally));
    }
    let is_told = all && report.findings_of(control).any(|finding| finding.status == Status::Ok);
    if control.counts.ok > 0 && !is_told {
        let name = format!("{} ok", plural(control.counts.ok, "resource"));
        text.push_str(&format!("{}/>\n", head(control, &name)));
        tally.tests += 1;
    } else if control.counts.all() == 0 {
        let what = "<skipped message=\"The control found no resources.\"/>";
        text.push_str(&format!("{}>{what}</testcase>\n", head(control, "no resources")));
        tally.tests += 1;
        tally.skipped += 1;
    }
    text
}

fn head(control: &Control, name: &str) -> String {
    let class = escaped(&format!("{}.{}", control.service(), control.id));
    format!("    <testcase classname=\"{class}\" name=\"{}\" time=\"0\"", escaped(name))
}

/// `is_alone`: no other finding is about the same resource; else dimensions tell them apart.
fn case(control: &Control, finding: &Finding, is_alone: bool, tally: &mut Tally) -> String {
    tally.tests += 1;
    let mut name = finding.resource.clone();
    let place = [&finding.account_id, &finding.region].into_iter().flatten().map(String::as_str);
    let place: Vec<&str> = place.filter(|place| !finding.resource.contains(*place)).collect();
    if !place.is_empty() {
        name.push_str(&format!(" ({})", place.join(", ")));
    }
    if !is_alone && finding.dimensions != "{}" {
        name.push_str(&format!(" {}", finding.dimensions));
    }
    let head = head(control, &name);
    let reason = escaped(&finding.reason);
    let what = match finding.status {
        Status::Ok | Status::Info => return format!("{head}/>\n"),
        Status::Error => {
            tally.errors += 1;
            format!("<error type=\"error\" message=\"{reason}\"/>")
        }
        Status::Alarm if finding.is_waived() => {
            tally.skipped += 1;
            let waiver = escaped(&finding.waiver_text().unwrap_or_default());
            format!("<skipped message=\"{reason} {waiver}\"/>")
        }
        Status::Skip => {
            tally.skipped += 1;
            format!("<skipped message=\"{reason}\"/>")
        }
        Status::Alarm => {
            tally.failures += 1;
            let whole = escaped(&explained(control, finding));
            format!("<failure type=\"{}\" message=\"{reason}\">{whole}</failure>", finding.severity.word())
        }
    };
    format!("{head}>\n      {what}\n    </testcase>\n")
}

/// What is wrong, and how to mend it.
fn explained(control: &Control, finding: &Finding) -> String {
    let remedy = &control.about.remediation;
    let mut lines = vec![format!("{} ({})", control.title, finding.severity), finding.reason.clone()];
    lines.extend([&remedy.text, &remedy.cli].into_iter().filter(|text| !text.is_empty()).cloned());
    lines.extend(control.page().map(str::to_owned));
    lines.join("\n")
}
