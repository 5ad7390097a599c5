//! Findings on a page for people: a paragraph per control, what all resources have in common said once, reasons
//! wrapped to the width of the terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use super::report::{Finding, severity_rank};
use crate::output;

/// The width of a page where there is no terminal that tells.
const WIDTH: usize = 120;
/// The widest column of resources; a longer resource takes a line of its own.
const RESOURCE: usize = 60;
/// The least room for a reason.
const REASON: usize = 30;

/// The page; empty where there is nothing to show.
pub(super) fn page(findings: &[&Finding]) -> String {
    let width = output::table(&[]).width().map_or(WIDTH, usize::from);
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Page { width, colour, prefix: common_prefix(findings) }.render(findings)
}

struct Page<'a> {
    width: usize,
    colour: bool,
    prefix: &'a str,
}

impl Page<'_> {
    fn render(&self, findings: &[&Finding]) -> String {
        let mut controls: BTreeMap<(usize, usize, &str), Vec<&Finding>> = BTreeMap::new();
        for finding in findings {
            let worst = rank(&finding.status);
            controls.entry((severity_rank(&finding.severity), worst, &finding.control)).or_default().push(finding);
        }
        let mut text = String::new();
        if !self.prefix.is_empty() {
            text.push_str(&format!("resources of {}\n\n", self.prefix));
        }
        let resources = findings.iter().map(|finding| self.short(&finding.resource).chars().count());
        let column = resources.filter(|length| *length <= RESOURCE).max().unwrap_or(RESOURCE);
        for ((_, _, control), mut findings) in controls {
            findings.sort_by(|a, b| a.resource.cmp(&b.resource));
            let Some(first) = findings.first() else { continue };
            text.push_str(&format!("{:<8}  {control}: {}\n", first.severity, first.title));
            findings.iter().for_each(|finding| self.finding(&mut text, finding, column));
            text.push('\n');
        }
        text
    }

    /// `  alarm  RESOURCE  REASON`, the reason going on below itself.
    fn finding(&self, text: &mut String, finding: &Finding, column: usize) {
        let resource = self.short(&finding.resource);
        let indent = 2 + 5 + 2 + column + 2;
        let status = format!("{:<5}", finding.status);
        let status = if self.colour { painted(&status, &finding.status) } else { status };
        text.push_str(&format!("  {status}  {resource}"));
        let reached = indent - column - 2 + resource.chars().count();
        let lines = wrapped(&finding.reason, self.width.saturating_sub(indent).max(REASON));
        for (position, line) in lines.iter().enumerate() {
            let beside = position == 0 && reached + 2 <= indent;
            let (line_break, pad) = if beside { ("", indent - reached) } else { ("\n", indent) };
            text.push_str(&format!("{line_break}{:pad$}{line}", ""));
        }
        text.push('\n');
    }

    fn short<'r>(&self, resource: &'r str) -> &'r str {
        resource.strip_prefix(self.prefix).unwrap_or(resource)
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

/// `text` in lines of at most `width` characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                room = width.saturating_sub(length);
            }
        }
    }
    lines
}

fn rank(status: &str) -> usize {
    ["alarm", "error", "info", "skip", "ok"].iter().position(|known| *known == status).unwrap_or(5)
}

/// `text` in the colour of a status.
fn painted(text: &str, status: &str) -> String {
    let code = match status {
        "alarm" => 31,
        "error" => 35,
        "ok" => 32,
        _ => 33,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(control: &str, severity: &str, resource: &str, reason: &str) -> Finding {
        Finding {
            control: control.to_owned(),
            title: format!("{control} should be"),
            resource: resource.to_owned(),
            status: "alarm".to_owned(),
            reason: reason.to_owned(),
            severity: severity.to_owned(),
        }
    }

    fn rendered(findings: &[Finding], width: usize) -> String {
        let findings: Vec<&Finding> = findings.iter().collect();
        Page { width, colour: false, prefix: common_prefix(&findings) }.render(&findings)
    }

    #[test]
    fn controls_stand_together_worst_first_and_the_common_prefix_is_said_once() {
        let findings = [
            finding("b", "low", "host:c0de:user/bob", "is odd"),
            finding("a", "high", "host:c0de:file/etc", "is open"),
            finding("b", "low", "host:c0de:user/al", "is odd"),
        ];
        let expected = "resources of host:c0de:\n\n\
                        high      a: a should be\n  alarm  file/etc  is open\n\n\
                        low       b: b should be\n  alarm  user/al   is odd\n  alarm  user/bob  is odd\n\n";
        assert_eq!(rendered(&findings, 120), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let long = "r/".repeat(50);
        let reason = "because of many words ".repeat(20);
        let findings = [finding("a", "high", "x:short", &reason), finding("a", "high", &format!("x:{long}"), &reason)];
        let text = rendered(&findings, 120);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(text.lines().any(|line| line.trim_end().ends_with(&long)), "a long resource has its own line: {text}");
    }
}
