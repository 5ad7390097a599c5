//! A table for spreadsheets, a finding a row.

use std::borrow::Cow;

use crate::command::check::report::{Finding, Moment, Report};

const HEADER: [&str; 22] = [
    "control",
    "title",
    "severity",
    "status",
    "drift",
    "resource",
    "account_id",
    "region",
    "reason",
    "dimensions",
    "evidence",
    "pack",
    "service",
    "resource_type",
    "first_seen",
    "last_changed",
    "previous_status",
    "waiver",
    "waiver_reason",
    "waived_until",
    "remediation",
    "identity",
];

/// The table, with a header.
pub(super) fn csv(report: &Report, all: bool) -> String {
    let mut text = line(HEADER.map(Cow::Borrowed).iter());
    for finding in report.rows(all) {
        text.push_str(&line(row(report, finding).iter()));
    }
    text
}

fn row<'a>(report: &'a Report, finding: &'a Finding) -> [Cow<'a, str>; 22] {
    let about = report.control_of(finding).map(|control| &control.about);
    let of = |text: &'a Option<String>| text.as_deref().unwrap_or_default().into();
    let time = |moment: Option<Moment>| moment.map(|moment| moment.to_string()).unwrap_or_default().into();
    [
        (&finding.control).into(),
        (&finding.title).into(),
        finding.severity.word().into(),
        finding.word().into(),
        finding.drift.word().into(),
        (&finding.resource).into(),
        of(&finding.account_id),
        of(&finding.region),
        (&finding.reason).into(),
        (&finding.dimensions).into(),
        (&finding.evidence).into(),
        (&finding.pack).into(),
        about.map_or("", |about| &about.service).into(),
        about.map_or("", |about| &about.resource_type).into(),
        time(finding.first_seen),
        time(finding.last_changed),
        finding.previous_status.map_or("", |status| status.word()).into(),
        of(&finding.waiver),
        of(&finding.waiver_reason),
        time(finding.waived_until),
        about.map_or("", |about| &about.remediation.text).into(),
        (&finding.identity).into(),
    ]
}

fn line<'a>(cells: impl Iterator<Item = &'a Cow<'a, str>>) -> String {
    let cells: Vec<String> = cells.map(|cell| quoted(&harmless(cell))).collect();
    format!("{}\r\n", cells.join(","))
}

/// A spreadsheet takes a cell that begins like a formula for one, and inventories hold what strangers wrote: an
/// apostrophe before it makes it text.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_formula = cell
        .trim_start_matches([' ', '\u{a0}', '\u{feff}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{cell}").into() } else { cell.into() }
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r', '\'']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_like_a_formula_becomes_text() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1"] {
            assert!(harmless(cell).starts_with('\''), "{cell:?}");
        }
        assert_eq!(harmless("a=b"), "a=b");
    }

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
