//! A page for people: a paragraph per control, worst first, what all resources have in common said once, reasons
//! wrapped to the width of the terminal, sums last.

use std::collections::BTreeSet;

use tidegate_operators::check::finding::Status;

use super::Page;
use super::tree::{Branch, in_order};
use super::wrapping::{printable, wrapped};
use crate::command::check::report::{Control, Finding, Report, plural};

/// The widest column of resources; a longer resource takes a line of its own.
const RESOURCE: usize = 60;
/// The least room for a reason.
const REASON: usize = 30;
/// The widest column of a tree.
const TREE: usize = 80;
/// The most reasons for skipping that are told.
const SKIPPED: usize = 10;

/// The page.
pub(super) fn text(report: &Report, all: bool, remediation: bool, page: Page) -> String {
    let is_shown = |finding: &&Finding| all || matches!(finding.status, Status::Alarm | Status::Error);
    let shown: Vec<&Finding> = report.findings.iter().filter(is_shown).collect();
    let resolved = report.comparison.iter().flat_map(|comparison| &comparison.resolved);
    let prefix = common_prefix(&shown.iter().copied().chain(resolved).collect::<Vec<_>>()).to_owned();
    let lengths = shown.iter().map(|finding| finding.resource.chars().count().saturating_sub(prefix.chars().count()));
    let layout = Layout {
        page,
        column: lengths.filter(|length| *length <= RESOURCE).max().unwrap_or(RESOURCE),
        status: shown.iter().map(|finding| finding.word().len()).max().unwrap_or(0),
        prefix,
        with_drift: report.comparison.is_some(),
        remediation,
    };
    let mut text = String::new();
    for (pack, part) in report.benchmarks() {
        layout.tree(&mut text, &Branch::of(report, pack, part));
    }
    if !layout.prefix.is_empty() {
        text.push_str(&format!("resources of {}\n\n", printable(&layout.prefix)));
    }
    for (heading, controls) in in_order(report) {
        let mut section = String::new();
        for control in controls {
            let of_control: Vec<&Finding> = report.findings_of(control).filter(is_shown).collect();
            layout.control(&mut section, control, &of_control);
        }
        if let Some(heading) = heading.filter(|_| !section.is_empty()) {
            text.push_str(&layout.painted(&format!("── {} ──", printable(heading)), BOLD));
            text.push_str("\n\n");
        }
        text.push_str(&section);
    }
    layout.resolved(&mut text, report);
    layout.summary(&mut text, report);
    text
}

const BOLD: u8 = 1;
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const MAGENTA: u8 = 35;

struct Layout {
    page: Page,
    /// What all resources begin with.
    prefix: String,
    /// The width of the column of resources.
    column: usize,
    /// The width of the column of statuses.
    status: usize,
    with_drift: bool,
    remediation: bool,
}

impl Layout {
    /// A control with its findings; nothing where there are none.
    fn control(&self, text: &mut String, control: &Control, findings: &[&Finding]) {
        let Some(first) = findings.first() else { return };
        let counts = format!("({})", control.counts.text());
        let title = printable(&control.title);
        let lines = wrapped(&format!("{}: {title}", control.id), self.page.width.saturating_sub(10).max(REASON));
        let severity = self.painted(&format!("{:<8}", first.severity.word()), BOLD);
        let room = self.page.width.saturating_sub(12 + lines.last().map_or(0, |line| line.chars().count()));
        text.push_str(&format!("{severity}  {}", lines.join(&format!("\n{:10}", ""))));
        match counts.chars().count() <= room {
            true => text.push_str(&format!("  {counts}\n")),
            false => text.push_str(&format!("\n{:10}{counts}\n", "")),
        }
        findings.iter().for_each(|finding| self.finding(text, finding));
        if self.remediation {
            self.remedy(text, control);
        }
        text.push('\n');
    }

    /// `  alarm  RESOURCE  REASON`, the reason going on below itself.
    fn finding(&self, text: &mut String, finding: &Finding) {
        let resource = printable(finding.resource.strip_prefix(&self.prefix).unwrap_or(&finding.resource));
        let word = finding.word();
        let mut before =
            format!("  {}  ", self.painted(&format!("{word:<width$}", width = self.status), colour(finding)));
        let mut reached = self.status + 4;
        if self.with_drift {
            let drift = finding.drift.word();
            before.push_str(&format!("{drift:<9}  "));
            reached += 11;
        }
        let indent = reached + self.column + 2;
        reached += resource.chars().count();
        text.push_str(&format!("{before}{resource}"));
        let width = self.page.width.saturating_sub(indent).max(REASON);
        let mut lines = wrapped(&printable(&finding.reason), width);
        lines.extend(finding.waiver_text().iter().flat_map(|waiver| wrapped(&printable(waiver), width)));
        for (position, line) in lines.iter().enumerate() {
            let beside = position == 0 && reached + 2 <= indent;
            let (line_break, pad) = if beside { ("", indent - reached) } else { ("\n", indent) };
            text.push_str(&format!("{line_break}{:pad$}{line}", ""));
        }
        text.push('\n');
    }

    /// How to mend the alarms of a control: in words, as a command, where to read on.
    fn remedy(&self, text: &mut String, control: &Control) {
        let remedy = &control.about.remediation;
        let width = self.page.width.saturating_sub(8).max(REASON);
        for (position, line) in wrapped(&printable(&remedy.text), width).iter().enumerate() {
            text.push_str(&format!("{}{line}\n", if position == 0 { "  mend: " } else { "        " }));
        }
        // A command is shown as it is written, so that it can be copied.
        let mut goes_on = false;
        for line in remedy.cli.lines().filter(|line| !line.trim().is_empty()) {
            let prompt = if goes_on { ' ' } else { '$' };
            text.push_str(&format!("        {prompt} {}\n", printable(line)));
            goes_on = line.trim_end().ends_with('\\');
        }
        if let Some(page) = control.page().filter(|_| remedy.text.is_empty() || !remedy.url.is_empty()) {
            text.push_str(&format!("        see {}\n", printable(page)));
        }
    }

    /// A benchmark as a tree, with counts.
    fn tree(&self, text: &mut String, tree: &Branch<'_>) {
        let version = if tree.part.version.is_empty() { String::new() } else { format!(" {}", tree.part.version) };
        let head = format!("{} ({}{version})", printable(&tree.part.title), tree.part.id);
        let mut lines = vec![(head, tree.counts.text())];
        branches(tree, "", &mut lines);
        let widest = lines.iter().map(|(label, _)| label.chars().count()).filter(|width| *width <= TREE).max();
        let column = widest.unwrap_or(TREE) + 2;
        for (label, counts) in lines {
            text.push_str(&format!("{label:<column$}{counts}\n"));
        }
        text.push('\n');
    }

    /// What has been resolved since the baseline.
    fn resolved(&self, text: &mut String, report: &Report) {
        let Some(comparison) = report.comparison.as_ref().filter(|known| !known.resolved.is_empty()) else { return };
        text.push_str(&format!("resolved since {}\n", comparison.taken_at.for_people()));
        for finding in &comparison.resolved {
            let resource = printable(finding.resource.strip_prefix(&self.prefix).unwrap_or(&finding.resource));
            text.push_str(&format!("  {}  {}  {resource}\n", self.painted("resolved", GREEN), finding.control));
        }
        text.push('\n');
    }

    fn summary(&self, text: &mut String, report: &Report) {
        let counts = report.counts();
        let said = if counts.all() == 0 { "no findings".to_owned() } else { counts.text() };
        text.push_str(&format!("{}: {said}\n", plural(report.controls.len(), "control")));
        let severities = report.alarms_by_severity().into_iter().filter(|(_, count)| *count > 0);
        let severities: Vec<String> = severities.map(|(severity, count)| format!("{count} {severity}")).collect();
        if !severities.is_empty() {
            text.push_str(&format!("  alarms: {}\n", severities.join(", ")));
        }
        let without = report.controls.iter().filter(|control| control.counts.all() == 0).count();
        if without > 0 && counts.all() > 0 {
            text.push_str(&format!("  {} found no resources\n", plural(without, "control")));
        }
        self.skipped(text, report);
        if let Some(comparison) = &report.comparison {
            let parts = [
                (comparison.new, "new"),
                (comparison.changed, "changed"),
                (comparison.unchanged, "unchanged"),
                (comparison.resolved.len(), "resolved"),
                (comparison.frozen, "not looked at"),
            ];
            let parts: Vec<String> = parts
                .into_iter()
                .filter(|(count, word)| *count > 0 || *word == "new")
                .map(|(count, word)| format!("{count} {word}"))
                .collect();
            let since = comparison.taken_at.for_people();
            text.push_str(&format!("  since {since} ({}): {}\n", comparison.baseline, parts.join(", ")));
        }
        if let Some(worst) = report.alarms().next() {
            let title = printable(&worst.title);
            text.push_str(&self.painted(&format!("worst: {title} ({})\n", worst.severity), BOLD));
        }
    }

    /// Why something was skipped, each reason once.
    fn skipped(&self, text: &mut String, report: &Report) {
        let skipped = report.findings.iter().filter(|finding| finding.status == Status::Skip);
        let reasons: BTreeSet<&str> = skipped.map(|finding| finding.reason.as_str()).collect();
        for reason in reasons.iter().take(SKIPPED) {
            let lines = wrapped(&printable(reason), self.page.width.saturating_sub(11).max(REASON));
            text.push_str(&format!("  skipped: {}\n", lines.join(&format!("\n{:11}", ""))));
        }
        if reasons.len() > SKIPPED {
            text.push_str(&format!(
                "  skipped: {} more; `--all` shows them\n",
                plural(reasons.len() - SKIPPED, "reason")
            ));
        }
    }

    fn painted(&self, text: &str, code: u8) -> String {
        if self.page.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn colour(finding: &Finding) -> u8 {
    match finding.status {
        Status::Alarm if finding.is_waived() => YELLOW,
        Status::Alarm => RED,
        Status::Error => MAGENTA,
        Status::Ok => GREEN,
        Status::Skip | Status::Info => YELLOW,
    }
}

/// The lines below a branch: its controls, then its parts.
fn branches(tree: &Branch<'_>, indent: &str, lines: &mut Vec<(String, String)>) {
    let count = tree.controls.len() + tree.children.len();
    let corner = |position: usize| if position + 1 == count { "└─ " } else { "├─ " };
    for (position, control) in tree.controls.iter().enumerate() {
        lines.push((format!("{indent}{}{}", corner(position), control.id), control.counts.text()));
    }
    for (position, child) in tree.children.iter().enumerate() {
        let position = position + tree.controls.len();
        lines.push((format!("{indent}{}{}", corner(position), printable(&child.part.title)), child.counts.text()));
        let deeper = if position + 1 == count { "   " } else { "│  " };
        branches(child, &format!("{indent}{deeper}"), lines);
    }
}

/// What all resources begin with, up to a `:`.
fn common_prefix<'a>(findings: &[&'a Finding]) -> &'a str {
    let Some(first) = findings.first() else { return "" };
    let mut prefix = first.resource.as_str();
    for finding in findings {
        let common = prefix.bytes().zip(finding.resource.bytes()).take_while(|(a, b)| a == b).count();
        prefix = prefix.get(..prefix.floor_char_boundary(common)).unwrap_or_default();
    }
    prefix.rfind(':').and_then(|end| prefix.get(..=end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::report::fixture::{alarm, report};

    fn rendered(findings: Vec<Finding>, width: usize) -> String {
        text(&report(findings), false, false, Page { width, colour: false })
    }

    #[test]
    fn the_common_prefix_is_said_once_and_sums_come_last() {
        let text = rendered(vec![alarm("host:c0de:user/bob"), alarm("host:c0de:user/al")], 120);
        let expected = "resources of host:c0de:\n\n\
                        high      c: c should be  (2 alarm)\n\
                        \u{20} alarm  user/al   host:c0de:user/al is as it is.\n\
                        \u{20} alarm  user/bob  host:c0de:user/bob is as it is.\n\n\
                        1 control: 2 alarm\n  alarms: 2 high\nworst: c should be (high)\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let reason = "because of many words ".repeat(20);
        let of = |resource: &str| Finding { reason: reason.clone(), ..alarm(resource) };
        let long = "r/".repeat(50);
        let text = rendered(vec![of("x:short"), of(&format!("x:{long}"))], 120);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(text.lines().any(|line| line.trim_end().ends_with(&long)), "a long resource has its own line: {text}");
    }

    #[test]
    fn what_strangers_wrote_does_not_command_the_terminal() {
        let hostile = Finding { reason: "\u{1b}[2Jgone\u{7}".to_owned(), ..alarm("a\u{1b}]0;title\u{7}") };
        assert!(!rendered(vec![hostile], 120).chars().any(|character| character.is_control() && character != '\n'));
    }
}
