//! What the page says: what has changed, benchmarks, controls with their findings.

use tidegate_operators::check::finding::{Severity, Status};

use super::markup::{anchor, code, escaped, link, time};
use crate::command::check::formats::tree::{Branch, in_order};
use crate::command::check::report::{Control, Counts, Finding, Pack, Report, plural};

/// The most findings of a control that are on the page.
const ROWS: usize = 500;
/// The most findings of all controls together.
const ALL_ROWS: usize = 20_000;

/// What is new and what is resolved since the baseline.
pub(super) fn comparison(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let parts = [
        (comparison.new, "new"),
        (comparison.changed, "changed"),
        (comparison.unchanged, "unchanged"),
        (comparison.resolved.len(), "resolved"),
        (comparison.frozen, "could not be looked at"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, word)| *count > 0 || !word.contains(' '))
        .map(|(count, word)| format!("<b>{count}</b> {word}"))
        .collect();
    let mut text = format!(
        "<section class=\"panel\"><h2>Since {}</h2>\n<p>{}</p>\n",
        time(comparison.taken_at),
        parts.join(" · ")
    );
    if !comparison.resolved.is_empty() {
        text.push_str(&format!(
            "<details><summary>{} resolved</summary><ul class=\"resolved\">\n",
            comparison.resolved.len()
        ));
        for finding in comparison.resolved.iter().take(ROWS) {
            let (control, resource) = (escaped(&finding.control), escaped(&finding.resource));
            text.push_str(&format!("<li><code>{control}</code> {resource}</li>\n"));
        }
        text.push_str("</ul></details>\n");
    }
    text.push_str("</section>\n");
    text
}

/// The benchmark that was asked for; else every benchmark of the packs, folded.
pub(super) fn benchmarks(report: &Report) -> String {
    let asked = report.benchmark.is_some();
    let all = report.packs.iter().flat_map(|pack| pack.benchmarks.iter().map(move |part| (pack, part)));
    let shown = all.filter(|(_, part)| report.benchmark.as_ref().is_none_or(|id| *id == part.id));
    let trees: Vec<String> = shown
        .map(|(pack, part)| Branch::of(report, pack, part))
        .filter(|branch| branch.counts.all() > 0)
        .map(|branch| tree(&branch, asked))
        .collect();
    match trees.is_empty() {
        true => String::new(),
        false => format!(
            "<section class=\"panel\"><h2>Benchmarks</h2>\n<ul class=\"tree\">{}</ul></section>\n",
            trees.join("")
        ),
    }
}

fn tree(branch: &Branch<'_>, open: bool) -> String {
    let version = if branch.part.version.is_empty() { String::new() } else { format!(" {}", branch.part.version) };
    let title = escaped(&format!("{}{version}", branch.part.title));
    let mut inner = String::new();
    for control in &branch.controls {
        inner.push_str(&format!(
            "<li class=\"leaf\"><a href=\"#{}\">{}</a>{}</li>\n",
            anchor(&control.pack, &control.id),
            escaped(&control.title),
            pills(control.counts)
        ));
    }
    inner.extend(branch.children.iter().map(|child| tree(child, false)));
    let open = if open { " open" } else { "" };
    format!("<li><details{open}><summary>{title}{}</summary><ul>{inner}</ul></details></li>\n", pills(branch.counts))
}

/// Counts as small marks; those of nothing are left out.
fn pills(counts: Counts) -> String {
    let parts = counts.parts().into_iter().filter(|(count, _)| *count > 0);
    let pills: String =
        parts.map(|(count, word)| format!("<span class=\"pill {word}\">{count} {word}</span>")).collect();
    let none = if counts.all() == 0 { "<span class=\"pill\">no resources</span>" } else { "" };
    format!("<span class=\"pills\">{pills}{none}</span>")
}

/// The controls, worst first, or in the order of the benchmark.
pub(super) fn controls(report: &Report, all: bool) -> String {
    let mut text = "<section id=\"controls\">\n".to_owned();
    let mut room = ALL_ROWS;
    for (heading, controls) in in_order(report) {
        if let Some(heading) = heading {
            text.push_str(&format!("<h2>{}</h2>\n", escaped(heading)));
        }
        for control in controls {
            let pack = report.packs.iter().find(|pack| pack.name == control.pack);
            text.push_str(&control_section(report, control, pack, all, &mut room));
        }
    }
    text.push_str("</section>\n</main>\n");
    text
}

fn control_section(report: &Report, control: &Control, pack: Option<&Pack>, all: bool, room: &mut usize) -> String {
    let findings: Vec<&Finding> =
        report.findings_of(control).filter(|finding| all || finding.status != Status::Ok).collect();
    let worst = findings.iter().find(|finding| finding.is_problem()).map(|finding| finding.severity);
    let severity = worst.unwrap_or(control.severity);
    let problem = if worst.is_some() { " wrong" } else { "" };
    let words = [&control.id, &control.title, control.service(), &control.about.resource_type, &control.pack].join(" ");
    let words = words + " " + &control.about.categories.join(" ");
    let mut text = format!(
        "<details class=\"control{problem}\" id=\"{}\" data-severity=\"{severity}\" data-words=\"{}\">\n\
         <summary>{}<span class=\"title\">{}</span><code>{}</code>{}</summary>\n<div class=\"inside\">\n",
        anchor(&control.pack, &control.id),
        escaped(&words.to_lowercase()),
        badge(severity, worst.is_some()),
        escaped(&control.title),
        escaped(&control.id),
        pills(control.counts),
    );
    text.push_str(&about(control, pack));
    text.push_str(&table(report, &findings, room));
    text.push_str("</div></details>\n");
    text
}

fn badge(severity: Severity, wrong: bool) -> String {
    let class = if wrong { severity.word() } else { "fine" };
    format!("<span class=\"badge {class}\">{severity}</span>")
}

fn about(control: &Control, pack: Option<&Pack>) -> String {
    let about = &control.about;
    let mut text = String::new();
    if !about.description.is_empty() {
        text.push_str(&format!("<p>{}</p>\n", escaped(&about.description)));
    }
    if !about.rationale.is_empty() {
        text.push_str(&format!("<h3>Why it matters</h3><p>{}</p>\n", escaped(&about.rationale)));
    }
    let remedy = &about.remediation;
    if !remedy.is_empty() {
        text.push_str("<h3>How to mend it</h3>\n");
        if !remedy.text.is_empty() {
            text.push_str(&format!("<p>{}</p>\n", escaped(&remedy.text)));
        }
        text.push_str(&code("Command", &remedy.cli));
        text.push_str(&code("Terraform", &remedy.terraform));
    }
    let mut facts = Vec::new();
    facts.extend((!about.resource_type.is_empty()).then(|| escaped(&about.resource_type)));
    facts.extend(pack.map(|pack| escaped(format!("pack {} {}", pack.name, pack.version).trim())));
    facts.extend((!about.categories.is_empty()).then(|| escaped(&about.categories.join(", "))));
    let pages = [&remedy.url].into_iter().chain(&about.references).filter(|page| !page.is_empty());
    facts.extend(pages.map(|page| link(page)));
    if !facts.is_empty() {
        text.push_str(&format!("<p class=\"facts\">{}</p>\n", facts.join(" · ")));
    }
    text
}

fn table(report: &Report, findings: &[&Finding], room: &mut usize) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let with_drift = report.comparison.is_some();
    let with_place = findings.iter().any(|finding| finding.account_id.is_some() || finding.region.is_some());
    let drift = if with_drift { "<th>Drift</th>" } else { "" };
    let place = if with_place { "<th>Account, region</th>" } else { "" };
    let mut text = format!(
        "<div class=\"scroll\"><table><thead><tr><th>Status</th>{drift}<th>Resource</th>{place}<th>Reason</th></tr></thead><tbody>\n"
    );
    let shown = findings.len().min(ROWS).min(*room);
    *room -= shown;
    for finding in findings.iter().take(shown) {
        text.push_str(&row(finding, with_drift, with_place));
    }
    text.push_str("</tbody></table></div>\n");
    if findings.len() > shown {
        let left = plural(findings.len() - shown, "finding");
        let left = left.replacen(' ', " more ", 1);
        text.push_str(&format!("<p class=\"facts\">… and {left}; the formats csv and jsonl have all of them.</p>\n"));
    }
    text
}

fn row(finding: &Finding, with_drift: bool, with_place: bool) -> String {
    let word = finding.word();
    let drift = if with_drift { format!("<td>{}</td>", finding.drift.word()) } else { String::new() };
    let place: Vec<String> =
        [&finding.account_id, &finding.region].into_iter().flatten().map(|text| escaped(text)).collect();
    let place = if with_place { format!("<td class=\"place\">{}</td>", place.join("<br>")) } else { String::new() };
    let waiver = finding.waiver_text().map(|waiver| format!("<br><i>{}</i>", escaped(&waiver)));
    let since =
        finding.first_seen.filter(|_| with_drift).map(|since| format!("<br><small>since {}</small>", time(since)));
    format!(
        "<tr data-status=\"{word}\"><td><span class=\"pill {word}\">{word}</span></td>{drift}<td class=\"resource\">{}</td>{place}<td>{}{}{}</td></tr>\n",
        escaped(&finding.resource),
        escaped(&finding.reason),
        waiver.unwrap_or_default(),
        since.unwrap_or_default(),
    )
}
