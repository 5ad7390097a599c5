//! Which controls were asked for on the command line. The same for a pipeline, a pack and a snapshot.

use std::collections::BTreeSet;

use tidegate_operators::check::pack::glob;
use tidegate_pipeline::spec::diagnostic::closest;

use super::{BenchmarkPart, Report};
use crate::arguments::CheckArguments;
use crate::exit::Failure;

/// What was asked for: patterns of controls, patterns to leave out, a benchmark.
#[derive(Debug, Clone, Default)]
pub(in crate::command::check) struct Choice {
    pub(in crate::command::check) controls: Vec<String>,
    pub(in crate::command::check) except: Vec<String>,
    pub(in crate::command::check) benchmark: Option<String>,
}

impl Choice {
    /// What the command line asks for.
    pub(in crate::command::check) fn of(arguments: &CheckArguments) -> Self {
        Self {
            controls: arguments.controls.clone(),
            except: arguments.except.clone(),
            benchmark: arguments.benchmark.clone(),
        }
    }

    /// Whether a control with this id, formerly with these, is meant. The benchmark is not asked.
    pub(in crate::command::check) fn takes(&self, id: &str, aliases: &[String]) -> bool {
        let fits = |pattern: &String| is_meant(pattern, id, aliases);
        (self.controls.is_empty() || self.controls.iter().any(fits)) && !self.except.iter().any(fits)
    }

    /// Whether every pattern means one of these controls.
    ///
    /// # Errors
    /// The first that means none.
    pub(in crate::command::check) fn covers(
        &self,
        known: &[(String, Vec<String>)],
        where_: &str,
    ) -> Result<(), Failure> {
        for pattern in self.controls.iter().chain(&self.except) {
            if known.iter().any(|(id, aliases)| is_meant(pattern, id, aliases)) {
                continue;
            }
            let names: Vec<String> = known.iter().map(|(id, _)| id.clone()).collect();
            let near = closest(pattern, &names).map(|near| format!("\nhelp: did you mean `{near}`?"));
            let message = format!("no control of {where_} matches `{pattern}`{}", near.unwrap_or_default());
            return Err(Failure::usage(message));
        }
        Ok(())
    }
}

fn is_meant(pattern: &str, id: &str, aliases: &[String]) -> bool {
    glob::matches(pattern, id) || aliases.iter().any(|alias| alias == pattern)
}

/// No pack has the benchmark; says which there are.
pub(in crate::command::check) fn unknown_benchmark(name: &str, known: &[String]) -> Failure {
    match known {
        [] => Failure::usage(format!("there is no benchmark `{name}`: no pack that is evaluated has any")),
        known => Failure::unknown("benchmark", name, known),
    }
}

impl Report {
    /// Keeps what was asked for, of a report that has been read.
    ///
    /// # Errors
    /// When a pattern means none of its controls, or none of its packs has the benchmark.
    pub(in crate::command::check) fn restrict(&mut self, choice: &Choice) -> Result<(), Failure> {
        let known: Vec<(String, Vec<String>)> =
            self.controls.iter().map(|control| (control.id.clone(), Vec::new())).collect();
        choice.covers(&known, "the snapshot")?;
        if let Some(id) = &choice.benchmark {
            let all: Vec<&BenchmarkPart> = self.packs.iter().flat_map(|pack| &pack.benchmarks).collect();
            let Some(benchmark) = all.iter().find(|benchmark| benchmark.id == *id) else {
                let known: Vec<String> = all.iter().map(|benchmark| benchmark.id.clone()).collect();
                return Err(unknown_benchmark(id, &known));
            };
            let ids: BTreeSet<String> = benchmark.all_controls().into_iter().map(str::to_owned).collect();
            self.controls.retain(|control| ids.contains(&control.id));
            self.benchmark = Some(id.clone());
        }
        self.controls.retain(|control| choice.takes(&control.id, &[]));
        let kept: BTreeSet<(String, String)> =
            self.controls.iter().map(|control| (control.pack.clone(), control.id.clone())).collect();
        self.findings.retain(|finding| kept.contains(&(finding.pack.clone(), finding.control.clone())));
        self.sort();
        Ok(())
    }
}
