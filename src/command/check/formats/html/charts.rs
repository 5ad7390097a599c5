//! Bars: alarms by severity, resources by service.

use std::collections::BTreeMap;

use super::markup::escaped;
use crate::command::check::report::{Counts, Report};

/// The most services that are drawn.
const SERVICES: usize = 12;
/// The width of a whole bar.
const WIDTH: f64 = 300.0;
/// Where bars begin.
const LEFT: usize = 118;
/// The height of a line.
const LINE: usize = 26;

/// The charts.
pub(super) fn charts(report: &Report) -> String {
    format!("<section class=\"charts\">\n{}{}</section>\n", by_severity(report), by_service(report))
}

fn by_severity(report: &Report) -> String {
    let severities = report.alarms_by_severity();
    let most = severities.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let bars = severities.iter().map(|(severity, count)| Bar {
        label: severity.word().to_owned(),
        parts: vec![(*count, severity.word())],
        whole: most,
        text: count.to_string(),
    });
    chart("Alarms by severity", bars)
}

/// The share of what is wrong, of each service; the worst first.
fn by_service(report: &Report) -> String {
    let mut services: BTreeMap<&str, Counts> = BTreeMap::new();
    for control in &report.controls {
        let known = services.entry(control.service()).or_default();
        *known = *known + control.counts;
    }
    let mut services: Vec<(&str, Counts)> = services.into_iter().filter(|(_, counts)| counts.all() > 0).collect();
    services.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.alarm + counts.error, counts.all())));
    let left = services.len().saturating_sub(SERVICES);
    services.truncate(SERVICES);
    let bars = services.iter().map(|(service, counts)| {
        let rest = counts.skip + counts.info;
        // Each bar is a whole: what matters is the share. A small share is still to be seen.
        let scale = |count: usize| count * 1_000 / counts.all().max(1) + usize::from(count > 0) * 12;
        let parts = [
            (counts.alarm, "alarm"),
            (counts.error, "error"),
            (counts.waived, "waived"),
            (counts.ok, "ok"),
            (rest, "skip"),
        ];
        let parts: Vec<(usize, &'static str)> = parts.into_iter().map(|(count, class)| (scale(count), class)).collect();
        Bar {
            label: (*service).to_owned(),
            whole: parts.iter().map(|(share, _)| share).sum(),
            parts,
            text: format!("{} of {}", counts.alarm + counts.error, counts.all()),
        }
    });
    let title = if left > 0 { format!("Wrong by service (worst {SERVICES})") } else { "Wrong by service".to_owned() };
    chart(&title, bars)
}

/// A line of a chart: its parts one after another.
struct Bar {
    label: String,
    parts: Vec<(usize, &'static str)>,
    /// What a bar over the whole width stands for.
    whole: usize,
    text: String,
}

fn chart(title: &str, bars: impl Iterator<Item = Bar>) -> String {
    let (mut lines, mut said, mut top) = (String::new(), Vec::new(), 4);
    for bar in bars {
        let middle = top + 14;
        let label: String = if bar.label.chars().count() > 16 {
            bar.label.chars().take(15).chain(['…']).collect()
        } else {
            bar.label.clone()
        };
        said.push(format!("{} {}", bar.label, bar.text));
        lines.push_str(&format!(
            "<text x=\"{}\" y=\"{middle}\" class=\"label\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"18\" rx=\"3\" class=\"rail\"/>\n",
            LEFT - 8,
            escaped(&label),
        ));
        let mut x = LEFT as f64;
        for (count, class) in bar.parts.into_iter().filter(|(count, _)| *count > 0) {
            let width = (count as f64 / bar.whole.max(1) as f64 * WIDTH).max(2.0).min(LEFT as f64 + WIDTH - x);
            lines.push_str(&format!(
                "<rect x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"18\" rx=\"3\" class=\"bar-{class}\"/>\n"
            ));
            x += width;
        }
        let right = LEFT as f64 + WIDTH + 8.0;
        lines.push_str(&format!("<text x=\"{right}\" y=\"{middle}\" class=\"number\">{}</text>\n", escaped(&bar.text)));
        top += LINE;
    }
    let said = escaped(&format!("{title}: {}", said.join(", ")));
    format!(
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 500 {top}\" role=\"img\" aria-label=\"{said}\">\n\
         {lines}</svg></figure>\n"
    )
}
