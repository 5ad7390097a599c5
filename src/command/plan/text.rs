//! A plan for people: a difference with colours on a terminal.

use std::fmt::Write;
use std::io::IsTerminal;

use serde_json::Value;
use tidegate_pipeline::handler::{DiffStatus, DryRun};

use super::{HandlerPlan, PipelinePlan, Summary};

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const FAINT: &str = "2";

/// Whether stdout takes colours.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The plan as text.
pub(super) fn plan(plan: &PipelinePlan, colours: bool) -> String {
    let mut page = Page { text: String::new(), colours };
    plan.handlers.iter().for_each(|handler| page.handler(handler));
    page.summary(&plan.pipeline, plan.summary);
    page.text
}

struct Page {
    text: String,
    colours: bool,
}

impl Page {
    fn line(&mut self, indent: usize, colour: &str, line: &str) {
        let line = if self.colours { format!("\u{1b}[{colour}m{line}\u{1b}[0m") } else { line.to_owned() };
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    fn handler(&mut self, handler: &HandlerPlan) {
        let _ = writeln!(self.text, "{} ({})", handler.node, handler.kind);
        let shown = handler.report.resources.iter().filter(|found| is_shown(found));
        shown.for_each(|found| self.resource(found));
        let unchanged = handler.report.resources.iter().filter(|found| !is_shown(found)).count();
        if unchanged > 0 {
            self.line(2, FAINT, &format!("{unchanged} as they shall be"));
        }
        self.text.push('\n');
    }

    fn resource(&mut self, found: &DryRun) {
        let (sign, colour, verb) = match found.status {
            _ if found.error.is_some() => ('!', RED, "could not be found out"),
            DiffStatus::Added => ('+', GREEN, "would be made"),
            DiffStatus::Modified => ('~', YELLOW, "would be changed"),
            DiffStatus::Deleted => ('-', RED, "would be removed"),
            _ => ('!', RED, "could not be found out"),
        };
        let but = match (&found.held, found.applies, &found.error) {
            (_, _, Some(_)) => String::new(),
            (Some(held), false, _) => format!(", but is not touched: {held}"),
            (None, false, _) => ", but is only reported (no `apply: true`)".to_owned(),
            (Some(held), true, _) => format!(", once it is approved ({held})"),
            (None, true, _) => String::new(),
        };
        self.line(2, colour, &format!("{sign} {} {verb}{but}", found.resource));
        if let Some(why) = why(&found.why) {
            self.line(6, FAINT, &why);
        }
        if let Some(error) = &found.error {
            return self.line(6, RED, error);
        }
        match found.status {
            DiffStatus::Added => {
                found.desired.iter().filter(|(_, value)| !value.is_null()).for_each(|(name, value)| {
                    self.line(6, GREEN, &format!("+ {name}: {}", shown(value)));
                })
            }
            DiffStatus::Deleted => {
                found.current.iter().flatten().filter(|(_, value)| !value.is_null()).for_each(|(name, value)| {
                    self.line(6, RED, &format!("- {name}: {}", shown(value)));
                })
            }
            _ => found.changes.iter().for_each(|(name, change)| {
                let line = format!("~ {name}: {} → {}", shown(&change.current), shown(&change.desired));
                self.line(6, YELLOW, &line);
            }),
        }
    }

    fn summary(&mut self, pipeline: &str, summary: Summary) {
        let Summary { add, change, remove, unchanged, only_reported, need_approval, failed } = summary;
        let _ = write!(
            self.text,
            "{pipeline}: {add} to make, {change} to change, {remove} to remove, {unchanged} as they shall be"
        );
        for (count, what) in
            [(need_approval, "to be approved"), (only_reported, "only reported"), (failed, "could not be found out")]
        {
            if count > 0 {
                let _ = write!(self.text, ", {count} {what}");
            }
        }
        self.text.push('\n');
    }
}

fn is_shown(found: &DryRun) -> bool {
    found.status != DiffStatus::Unmodified || found.error.is_some()
}

/// Why somebody wants it, in a line: the finding, its resource and its reason.
fn why(why: &Value) -> Option<String> {
    let text = |name: &str| why.get(name).and_then(Value::as_str);
    let step = why.get("step")?;
    let Some(control) = text("control") else { return Some(format!("because of a row of step {step}")) };
    let pack = text("pack").map(|pack| format!("{pack}/")).unwrap_or_default();
    let marks: Vec<&str> = ["status", "severity"].into_iter().filter_map(text).collect();
    let reason = text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(format!("because {pack}{control} ({}){reason}", marks.join(", ")))
}

fn shown(value: &Value) -> String {
    value.to_string()
}
