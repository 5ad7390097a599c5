//! One page for a browser that needs nothing else: no network, no framework. Everything is on the page as HTML; its
//! script only hides, opens and copies.

mod charts;
mod markup;
mod sections;

use tidegate_operators::check::finding::Severity;

use crate::command::check::report::{Report, plural};
use markup::{escaped, time};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
pub(super) fn html(report: &Report, all: bool) -> String {
    let body = format!(
        "{}{}{}{}{}{}{}",
        header(report),
        tiles(report),
        charts::charts(report),
        sections::comparison(report),
        sections::benchmarks(report),
        filter(report),
        sections::controls(report, all),
    );
    // Only what carries this word is executed: should markup ever get through, it does nothing. Nobody who writes a
    // name into an inventory knows the word, because it depends on the whole page.
    let nonce = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(body.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
    );
    let title = escaped(&report.pipeline);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}: findings</title>\n<style nonce=\"{nonce}\">\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

fn header(report: &Report) -> String {
    let packs: Vec<String> = report
        .packs
        .iter()
        .map(|pack| {
            let title = if pack.title.is_empty() { String::new() } else { format!(" ({})", pack.title) };
            escaped(format!("pack {} {}{title}", pack.name, pack.version).trim())
        })
        .collect();
    let benchmark = report.benchmarks().next().map(|(_, part)| escaped(&format!("{} {}", part.title, part.version)));
    let about: Vec<String> = [time(report.taken_at)]
        .into_iter()
        .chain(benchmark.map(|benchmark| format!("benchmark {}", benchmark.trim())))
        .chain(packs)
        .chain([escaped(&format!("Tidegate {}", report.program))])
        .collect();
    format!(
        "<header>\n<div><h1>{}</h1><p class=\"about\">{}</p></div>\n\
         <div class=\"buttons\"><button type=\"button\" id=\"open\">Open all</button>\
         <button type=\"button\" id=\"theme\">Dark or light</button></div>\n</header>\n<main>\n",
        escaped(&report.pipeline),
        about.join(" · "),
    )
}

/// The sums.
fn tiles(report: &Report) -> String {
    let counts = report.counts();
    let mut text = "<section class=\"tiles\" aria-label=\"Sums\">\n".to_owned();
    for (count, word) in counts.parts() {
        if count > 0 || matches!(word, "alarm" | "error" | "ok") {
            let quiet = if count == 0 { " quiet" } else { "" };
            text.push_str(&format!("<div class=\"tile {word}{quiet}\"><b>{count}</b><span>{word}</span></div>\n"));
        }
    }
    let controls = report.controls.len();
    text.push_str(&format!(
        "<div class=\"tile\"><b>{controls}</b><span>{}</span></div>\n",
        if controls == 1 { "control" } else { "controls" }
    ));
    text.push_str("</section>\n");
    text
}

/// What chooses among the controls.
fn filter(report: &Report) -> String {
    let mut text = "<section class=\"filter\" aria-label=\"Filter\">\n\
         <input type=\"search\" id=\"filter\" placeholder=\"Filter by control, resource, reason, account …\" aria-label=\"Filter\">\n"
        .to_owned();
    for severity in Severity::ALL.into_iter().rev() {
        if report.controls.iter().any(|control| control.severity == severity) {
            text.push_str(&format!(
                "<label class=\"choice\"><input type=\"checkbox\" class=\"severity\" value=\"{severity}\" checked>{severity}</label>\n"
            ));
        }
    }
    text.push_str("<label class=\"choice\"><input type=\"checkbox\" id=\"problems\">only what is wrong</label>\n");
    text.push_str(&format!(
        "<span id=\"shown\" role=\"status\">{}</span>\n</section>\n",
        plural(report.controls.len(), "control")
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::report::Finding;
    use crate::command::check::report::fixture::{alarm, report};

    #[test]
    fn what_strangers_wrote_is_text() {
        let hostile = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\" onmouseover=\"x";
        let mut report = report(vec![Finding { reason: hostile.to_owned(), ..alarm(hostile) }]);
        report.pipeline = hostile.to_owned();
        report.controls[0].title = hostile.to_owned();
        report.controls[0].about.remediation.url = "javascript:alert(3)".to_owned();
        report.controls[0].about.references = vec!["https://example.com/?a=\"><b>".to_owned()];
        let page = html(&report, true);
        assert_eq!(page.matches("<script").count(), 1, "only the page's own script");
        assert_eq!(page.matches("</script").count(), 1);
        for markup in ["<img", "onmouseover=\"", "href=\"javascript", "?a=\"><b>"] {
            assert!(!page.contains(markup), "{markup}");
        }
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let page = html(&report(vec![alarm("r")]), false);
        for loading in ["src=", "@import", "url(", "<link"] {
            assert!(!page.contains(loading), "{loading}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let findings = (0..2_000).map(|n| alarm(&format!("r{n}"))).collect();
        let page = html(&report(findings), false);
        assert!(page.contains("1500 more") && page.matches("<tr ").count() <= 501);
    }
}
