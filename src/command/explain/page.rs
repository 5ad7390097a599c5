//! An explanation for people.

use std::fmt::Write;
use std::io::IsTerminal;

use tidegate_operators::check::explain::{ExplainedRow, ExplainedStep, ExplainedValue, StepKind};

use super::Explained;
use super::about::About;
use super::why::{HeldFinding, Why};

/// How wide the names of parts are.
const NAME: usize = 12;

/// Writes what is told, with colours where stdout is a terminal.
pub(super) fn text(explained: &Explained) -> String {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut page = Page { text: String::new(), colour };
    match &explained.why {
        None => page.about(&explained.about),
        Some(why) => page.why(&explained.about, why),
    }
    page.text
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// `text` in a colour of terminals.
    fn painted(&self, text: &str, code: u8) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn head(&mut self, about: &About) {
        let name = self.painted(&format!("{}.{}", about.pack, about.control), 1);
        self.line(&format!("{name}  {}", about.severity));
        self.line(&about.title);
    }

    fn part(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(&format!("{name:<NAME$}{text}"));
        }
    }

    fn about(&mut self, about: &About) {
        self.head(about);
        if !about.description.is_empty() {
            self.line("");
            self.line(about.description.trim());
        }
        self.line("");
        self.part("Node", about.node.as_deref().unwrap_or_default());
        self.part("Reads", &about.reads.join(", "));
        self.part("Evaluated", &about.evaluated.sentence);
        for (number, parameter) in about.parameters.iter().enumerate() {
            let value = parameter.value.as_deref().unwrap_or("(none given)");
            let from = if parameter.default { " (default)" } else { "" };
            let mut line = format!("{}: {value}{from}", parameter.name);
            if !parameter.description.is_empty() {
                let _ = write!(line, " — {}", parameter.description);
            }
            self.part(if number == 0 { "Parameters" } else { "" }, &line);
        }
        self.part("Benchmarks", &about.benchmarks.join(", "));
        about.problems.iter().for_each(|problem| self.part("Problem", problem));
        self.part("Query", &about.query_file);
        self.line("");
        self.indented(&about.query);
        if let Some(plan) = &about.plan {
            self.line("");
            self.line("Plan");
            self.line("");
            self.indented(plan);
        }
    }

    fn indented(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(&format!("  {line}")));
    }

    fn why(&mut self, about: &About, why: &Why) {
        self.head(about);
        let step = format!("As of step {}, {}", why.step, why.time);
        self.line(&step);
        why.notes.iter().for_each(|note| self.line(&format!("note: {note}")));
        if why.reasons.found == 0 {
            self.line("");
            self.line("The query has no such resource, also if its conditions left out nothing.");
            why.held.iter().for_each(|held| self.held(held));
            return;
        }
        for row in &why.reasons.rows {
            self.row(row, why.reasons.left_out);
            why.held.iter().filter(|held| held.resource == row.resource).for_each(|held| self.held(held));
        }
        let more = why.reasons.found - why.reasons.rows.len();
        if more > 0 {
            self.line("");
            self.line(&format!("{more} more: a longer --resource narrows them"));
        }
    }

    fn row(&mut self, row: &ExplainedRow, left_out: bool) {
        self.line("");
        let status = if left_out { "left out".to_owned() } else { row.status.clone() };
        let code = match status.as_str() {
            "ok" => 32,
            "alarm" | "error" => 31,
            _ => 33,
        };
        let status = self.painted(&status, code);
        self.line(&format!("{}  {status}", row.resource));
        if left_out {
            self.line("  The control says nothing of it: a condition leaves it out.");
        } else {
            self.line(&format!("  {}", row.reason));
        }
        let columns: Vec<String> = row.columns.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        self.line(&format!("  {}", columns.join("  ")));
        self.line("");
        for step in &row.steps {
            self.step(step);
            if left_out && step.decided {
                break;
            }
        }
    }

    fn step(&mut self, step: &ExplainedStep) {
        let indent = " ".repeat(2 + 2 * step.depth);
        let then = step.then.as_deref().filter(|_| step.decided).map(|then| format!("  → {then}")).unwrap_or_default();
        let outcome = match (step.outcome, step.kind) {
            (_, StepKind::Else | StepKind::Status) => String::new(),
            (Some(true), _) => format!("  {}", self.painted("true", 32)),
            (Some(false), _) => format!("  {}", self.painted("false", 31)),
            (None, _) => format!("  {}", self.painted("NULL", 33)),
        };
        let word = match step.kind {
            StepKind::Where => "where ",
            StepKind::When => "when  ",
            StepKind::Else => "else",
            StepKind::Status => "status: ",
        };
        self.line(&format!("{indent}{word}{}{outcome}{then}", step.condition));
        let inner = format!("{indent}        ");
        step.parts.iter().for_each(|part| self.value(&inner, part, ": "));
        step.values.iter().for_each(|value| self.value(&inner, value, " = "));
    }

    fn value(&mut self, indent: &str, value: &ExplainedValue, between: &str) {
        let shown = value.value.as_deref().map_or_else(|| "NULL".to_owned(), |text| text.replace('\n', "⏎"));
        self.line(&format!("{indent}{}{between}{shown}", value.of));
    }

    fn held(&mut self, held: &HeldFinding) {
        self.line("");
        let mut line = format!("  {} since {}, last changed {}", held.status, held.first_seen, held.last_changed);
        if let Some(waiver) = &held.waiver {
            let _ = write!(line, ", waived by {waiver} ({})", held.waiver_reason.as_deref().unwrap_or_default());
        }
        self.line(&line);
    }
}
