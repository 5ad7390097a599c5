//! Controls in Rego.

mod answers;
mod bounds;
mod loading;
mod opsbox;

use super::super::evaluate::ControlEvaluation;
use super::super::pack::{Pack, PackProblem};
use super::{Contents, HEAD, TIME, evaluate, files, line, plan};

/// A pack of one control with this policy; `more` are further fields of the control.
fn pack_with(more: &str, policy: &str) -> (Pack, Vec<PackProblem>) {
    let yaml = format!("controls:\n  - {{id: a, title: T, severity: high, rego: a.rego, {more}}}\n");
    Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &yaml), ("p/ec2/a.rego", policy)]), "p")
}

fn pack(more: &str, policy: &str) -> Pack {
    let (pack, problems) = pack_with(more, policy);
    assert_eq!(problems, []);
    pack
}

/// What is wrong with a policy, all in one go.
fn problems(more: &str, policy: &str) -> Vec<String> {
    plan(&pack(more, policy)).1.queries.iter().map(ToString::to_string).collect()
}

async fn said(more: &str, policy: &str, contents: &Contents) -> ControlEvaluation {
    let pack = pack(more, policy);
    assert_eq!(plan(&pack).1.queries, []);
    evaluate(&pack, contents, TIME).await.remove(0)
}

async fn lines(more: &str, policy: &str, contents: &Contents) -> Vec<String> {
    said(more, policy, contents).await.findings.iter().map(line).collect()
}

/// A policy of the package `p` whose rule `findings` is this.
fn findings_are(value: &str) -> String {
    format!("package p\nfindings := {value}\n")
}
