//! A report in each format, a file each.

mod asff;
mod csv;
mod html;
mod junit;
mod markdown;
mod ocsf;
mod sarif;
mod text;
mod tree;
mod wrapping;

use std::io::IsTerminal;

use super::report::Report;
use crate::arguments::ReportFormat;
use crate::exit::Failure;
use crate::output;

/// The width of a page where there is no terminal that tells.
const WIDTH: usize = 120;

/// What of a report is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// What is ok, too.
    pub(super) all: bool,
    /// How to mend what is wrong.
    pub(super) remediation: bool,
    /// The page that text is laid out on; one without colours where it goes to a file.
    pub(super) page: Option<Page>,
}

/// What text is laid out on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// In characters.
    pub(super) width: usize,
    /// Whether colours are seen.
    pub(super) colour: bool,
}

/// The page that stdout is.
pub(super) fn terminal() -> Page {
    Page {
        width: output::table(&[]).width().map_or(WIDTH, usize::from),
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// A report in a format.
///
/// # Errors
/// When it cannot be written so.
pub(super) fn written(report: &Report, format: ReportFormat, shown: Shown) -> Result<String, Failure> {
    let json = |error: serde_json::Error| Failure::failed(error.to_string());
    match format {
        ReportFormat::Text => {
            let page = shown.page.unwrap_or(Page { width: WIDTH, colour: false });
            Ok(text::text(report, shown.all, shown.remediation, page))
        }
        ReportFormat::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&report.rows(shown.all)).map_err(json)?)),
        ReportFormat::Jsonl => {
            let rows = report.rows(shown.all);
            let lines = rows.into_iter().map(|row| Ok(format!("{}\n", serde_json::to_string(row).map_err(json)?)));
            lines.collect()
        }
        ReportFormat::Csv => Ok(csv::csv(report, shown.all)),
        ReportFormat::Markdown => Ok(markdown::markdown(report, shown.all, shown.remediation)),
        ReportFormat::Html => Ok(html::html(report, shown.all)),
        ReportFormat::Junit => Ok(junit::junit(report, shown.all)),
        ReportFormat::Sarif => sarif::sarif(report, shown.all),
        ReportFormat::Ocsf => ocsf::ocsf(report, shown.all),
        ReportFormat::Asff => asff::asff(report, shown.all),
        ReportFormat::Snapshot => report.snapshot(),
    }
}
