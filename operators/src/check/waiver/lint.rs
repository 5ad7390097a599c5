//! What is questionable about waivers, though they can be read.

use tidegate_pipeline::step::StepTime;

use super::{Waiver, Waivers};
use crate::check::pack::{Control, PackProblem, glob};

/// Waivers are looked at again after this time: longer ones are questioned.
const LONG: i64 = 366 * 24 * 3_600_000;

/// What is questionable about `waivers` at a moment, in the order of the file: those that have expired or never do, last
/// long, waive everything, are covered by another one, or name no control of `controls` (where there are any).
pub fn lint(file: &str, waivers: &Waivers, controls: &[&Control], time: StepTime) -> Vec<PackProblem> {
    let mut problems = Vec::new();
    for (index, waiver) in waivers.0.iter().enumerate() {
        let mut add = |message: String, help: &str| {
            let problem = PackProblem::new(file, waiver.place, format!("waiver `{}` {message}", waiver.id));
            problems.push(problem.with_help(help));
        };
        if !waiver.in_effect(time) {
            add("has expired".to_owned(), "remove it, or give it another date and the reason for it");
        } else if let Some(message) = lasting(waiver, time) {
            add(message, "give it a date at which somebody looks again");
        }
        if !controls.is_empty() && !controls.iter().any(|control| names(waiver, control)) {
            add(format!("names no control: `{}`", waiver.control), "look at the ids in docs/reference, or in the pack");
        }
        if waiver.control == "*" && waiver.resource == "*" {
            add("waives everything".to_owned(), "name the controls or the resources that it is about");
        }
        if let Some(other) = waivers.0[..index].iter().find(|other| covers(other, waiver)) {
            add(format!("never counts before `{}`, which matches all that it matches", other.id), "keep one of them");
        }
    }
    problems
}

/// What is to be said about how long a waiver lasts.
fn lasting(waiver: &Waiver, time: StepTime) -> Option<String> {
    let Some(expires) = waiver.expires else { return Some("never expires".to_owned()) };
    let days = expires.0.saturating_sub(time.0) / (24 * 3_600_000);
    (expires.0.saturating_sub(time.0) > LONG).then(|| format!("lasts another {days} days"))
}

fn names(waiver: &Waiver, control: &Control) -> bool {
    std::iter::once(&*control.id)
        .chain(control.aliases.iter().map(String::as_str))
        .any(|id| glob::matches(&waiver.control, id))
}

/// Whether an earlier waiver matches all that a later one does, and lasts as long.
fn covers(earlier: &Waiver, later: &Waiver) -> bool {
    let wider = |wide: Option<&str>, narrow: Option<&str>| match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            wide == narrow || wide == "*" || (!glob::is_pattern(narrow) && glob::matches(wide, narrow))
        }
    };
    let lasts = earlier.expires.is_none_or(|end| later.expires.is_some_and(|other| other <= end));
    lasts
        && wider(Some(&earlier.control), Some(&later.control))
        && wider(Some(&earlier.resource), Some(&later.resource))
        && wider(earlier.account.as_deref(), later.account.as_deref())
        && wider(earlier.region.as_deref(), later.region.as_deref())
}
