//! A comment on a pull request: sums first, then a fold for each control that found something. It stays below the
//! length that such a comment may have.

use tidegate_operators::check::finding::Status;

use super::tree::{Branch, in_order};
use crate::command::check::report::{Comparison, Control, Finding, Report, plural};

/// The longest comment, in characters. GitHub takes 65,536, GitLab more.
const LONGEST: usize = 60_000;
/// The most that one control may take of it.
const OF_CONTROL: usize = 12_000;
/// The most rows of a control.
const ROWS: usize = 50;
/// The longest piece of text of a cell.
const CELL: usize = 300;
/// The most rows of a tree.
const BRANCHES: usize = 60;

/// The comment.
pub(super) fn markdown(report: &Report, all: bool, remediation: bool) -> String {
    let mut text = summary(report);
    for (pack, part) in report.benchmarks() {
        text.push_str(&tree(&Branch::of(report, pack, part)));
    }
    let mut left = 0;
    for (heading, controls) in in_order(report) {
        let mut heading = heading.map(|heading| format!("### {}\n\n", plain(heading)));
        for control in controls {
            let Some(section) = section(report, control, all, remediation) else { continue };
            let before = heading.take().unwrap_or_default();
            if text.len() + before.len() + section.len() > LONGEST {
                left += 1;
                continue;
            }
            text.push_str(&before);
            text.push_str(&section);
        }
    }
    if left > 0 {
        text.push_str(&format!(
            "_{} more would not fit here; a report in another format has them._\n\n",
            plural(left, "control")
        ));
    }
    let packs: Vec<String> =
        report.packs.iter().map(|pack| plain(format!("{} {}", pack.name, pack.version).trim())).collect();
    let packs = if packs.is_empty() { String::new() } else { format!(" · {}", packs.join(", ")) };
    text.push_str(&format!("<sub>Tidegate {} · {}{packs}</sub>\n", report.program, report.taken_at.for_people()));
    text
}

fn summary(report: &Report) -> String {
    let counts = report.counts();
    let mark = match (counts.error, counts.alarm) {
        (0, 0) => "✅ no alarms".to_owned(),
        (0, alarms) => format!("❌ {}", plural(alarms, "alarm")),
        (errors, alarms) => format!("⚠️ {}, {}", plural(errors, "error"), plural(alarms, "alarm")),
    };
    let mut text = format!("## {}: {mark}\n\n", plain(&report.pipeline));
    let severities = report.alarms_by_severity();
    if counts.alarm > 0 {
        let names: Vec<&str> = severities.iter().map(|(severity, _)| severity.word()).collect();
        let numbers: Vec<String> = severities.iter().map(|(_, count)| count.to_string()).collect();
        text.push_str(&format!(
            "| {} |\n|{}\n| {} |\n\n",
            names.join(" | "),
            "---:|".repeat(names.len()),
            numbers.join(" | ")
        ));
    }
    text.push_str(&format!("{}: {}\n\n", plural(report.controls.len(), "control"), counts.text()));
    text.push_str(&report.comparison.as_ref().map(compared).unwrap_or_default());
    text
}

fn compared(comparison: &Comparison) -> String {
    let Comparison { new, changed, unchanged, frozen, resolved, taken_at, .. } = comparison;
    let frozen = if *frozen > 0 { format!(", {frozen} could not be looked at") } else { String::new() };
    let mut text = format!(
        "Since {}: **{new} new**, {changed} changed, {unchanged} unchanged, {} resolved{frozen}\n\n",
        taken_at.for_people(),
        resolved.len(),
    );
    if resolved.is_empty() {
        return text;
    }
    text.push_str(&format!("<details><summary>{} resolved</summary>\n\n", resolved.len()));
    for finding in resolved.iter().take(ROWS) {
        text.push_str(&format!("* {}: {}\n", code(&finding.control), code(&finding.resource)));
    }
    text.push_str(&more(resolved.len(), ROWS));
    text.push_str("\n</details>\n\n");
    text
}

fn tree(tree: &Branch<'_>) -> String {
    let mut text = "| benchmark | alarm | error | waived | ok |\n|---|---:|---:|---:|---:|\n".to_owned();
    let branches = tree.flat();
    for (depth, branch) in branches.iter().take(BRANCHES) {
        let counts = branch.counts;
        let indent = "&nbsp;&nbsp;&nbsp;".repeat(*depth);
        let title = plain(&branch.part.title);
        let title = if *depth == 0 { format!("**{title}**") } else { title };
        text.push_str(&format!(
            "| {indent}{title} | {} | {} | {} | {} |\n",
            counts.alarm, counts.error, counts.waived, counts.ok
        ));
    }
    if branches.len() > BRANCHES {
        text.push_str(&format!("| … {} more | | | | |\n", branches.len() - BRANCHES));
    }
    text.push('\n');
    text
}

/// A control in a fold; `None` where it found nothing to show.
fn section(report: &Report, control: &Control, all: bool, remediation: bool) -> Option<String> {
    let is_shown = |finding: &&Finding| all || matches!(finding.status, Status::Alarm | Status::Error);
    let findings: Vec<&Finding> = report.findings_of(control).filter(is_shown).collect();
    let first = findings.first()?;
    let with_drift = report.comparison.is_some();
    let mut text = format!(
        "<details><summary><b>{}</b> {} — {} ({})</summary>\n\n",
        first.severity,
        plain(&control.title),
        code(&control.id),
        control.counts.text(),
    );
    let drift = if with_drift { " drift |" } else { "" };
    text.push_str(&format!(
        "| status |{drift} resource | reason |\n|---|{}---|---|\n",
        if with_drift { "---|" } else { "" }
    ));
    let mut shown = 0;
    for finding in findings.iter().take(ROWS) {
        if text.len() > OF_CONTROL {
            break;
        }
        text.push_str(&row(finding, with_drift));
        shown += 1;
    }
    text.push('\n');
    text.push_str(&more(findings.len(), shown));
    if remediation {
        text.push_str(&remedy(control));
    }
    text.push_str("</details>\n\n");
    Some(text)
}

fn row(finding: &Finding, with_drift: bool) -> String {
    let drift = if with_drift { format!(" {} |", finding.drift.word()) } else { String::new() };
    let waiver = finding.waiver_text().map(|waiver| format!(" <br>{}", plain(&waiver)));
    let (resource, reason) = (code(&finding.resource), plain(&finding.reason));
    format!("| {} |{drift} {resource} | {reason}{} |\n", finding.word(), waiver.unwrap_or_default())
}

fn remedy(control: &Control) -> String {
    let remedy = &control.about.remediation;
    let mut text = String::new();
    if !remedy.text.is_empty() {
        text.push_str(&format!("How to mend it: {}\n\n", plain(&remedy.text)));
    }
    if !remedy.cli.trim().is_empty() {
        text.push_str(&format!(
            "<pre><code>{}</code></pre>\n\n",
            entities(&limited(remedy.cli.trim(), OF_CONTROL / 6))
        ));
    }
    if let Some(page) = control.page() {
        text.push_str(&format!("<a href=\"{0}\">{0}</a>\n\n", entities(page)));
    }
    text
}

fn more(all: usize, shown: usize) -> String {
    if all > shown { format!("… and {} more\n\n", all - shown) } else { String::new() }
}

fn limited(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

/// Text that Markdown and HTML leave as it is, in one line.
fn plain(text: &str) -> String {
    let mut safe = String::new();
    for character in limited(text, CELL).chars() {
        match character {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '"' | '\'' | ':'
            | '!' => {
                safe.push_str(&format!("&#{};", u32::from(character)));
            }
            // Nobody is called by a name that stands in an inventory.
            '@' => safe.push_str("@&#8203;"),
            // Marks that turn the direction of what follows would let a text pass for another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            character if character.is_control() => safe.push(' '),
            character => safe.push(character),
        }
    }
    safe
}

/// The same, as code.
fn code(text: &str) -> String {
    format!("<code>{}</code>", plain(text).replace("@&#8203;", "&#64;"))
}

/// Text of HTML, lines kept.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace("\n\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::report::fixture::{alarm, report};

    #[test]
    fn a_comment_stays_below_the_length_that_it_may_have() {
        let reason = "<>|*_`".repeat(200);
        let findings: Vec<Finding> =
            (0..2_000).map(|n| Finding { reason: reason.clone(), ..alarm(&format!("r{n}")) }).collect();
        let text = markdown(&report(findings), false, true);
        assert!(text.chars().count() < LONGEST, "{}", text.len());
        assert!(text.contains("more"), "what is left out is told");
    }

    #[test]
    fn what_strangers_wrote_is_no_markup() {
        let hostile = "`</details><img src=x>| @everyone **b** [x](http://y)\n# h";
        let text = markdown(&report(vec![Finding { reason: hostile.to_owned(), ..alarm(hostile) }]), false, false);
        for markup in ["<img", "@everyone", "**b**", "[x]", "http://", "\n# h"] {
            assert!(!text.contains(markup), "{markup}: {text}");
        }
        assert_eq!(text.matches("</details>").count(), 1);
    }
}
