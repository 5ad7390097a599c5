//! Policies that do too much, or what cannot be done.

use super::super::super::evaluate::Evaluator;
use super::super::super::plan::{Overrides, PlannedPack, Selection};
use super::super::super::report::evaluate_all;
use super::super::{ENCRYPTED, TIME, complete, definitions, evaluate, line};
use super::{findings_are, lines, pack, problems, said};

const READS: &str = "reads: [volume]";

#[tokio::test]
async fn a_policy_that_would_not_end_is_one_error_and_the_same_one_each_time() {
    let policy = "package p\nfindings := [x |\n\tsome _ in input.tables.volume\n\tsome a in numbers.range(1, 3000)\n\tsome b in numbers.range(1, 3000)\n\tsome c in numbers.range(1, 3000)\n\tx := a + b + c\n\tx < 0\n]\n";
    let contents = complete(&[("r", "v1", "s", true)]);
    let first = lines(READS, policy, &contents).await;
    assert!(first[0].starts_with("control:a error p/ec2/a.rego: ") && first[0].contains("more work"), "{first:?}");
    assert_eq!(lines(READS, policy, &contents).await, first);
}

#[tokio::test]
async fn a_policy_that_calls_itself_is_an_error_and_no_crash() {
    let found = problems(READS, "package p\nfindings := [f(1)]\nf(x) := f(x + 1)\n");
    assert_eq!(found.len(), 1, "{found:?}");
    let found = problems(READS, "package p\nfindings := [g]\ng := h\nh := g\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[tokio::test]
async fn what_fails_on_rows_is_undefined_as_in_opa() {
    let policy = findings_are(
        r#"[{"resource": v.arn, "status": "ok", "reason": "r."} | some v in input.tables.volume; v.size / (v.size - 8) > 0]"#,
    );
    assert_eq!(lines(READS, &policy, &complete(&[("r", "v1", "s", true)])).await, [""; 0]);
}

#[tokio::test]
async fn values_that_contradict_each_other_are_one_error_with_the_place() {
    let policy = "package p\nfindings := [{\"resource\": \"a\", \"status\": \"ok\", \"reason\": s(v)} | some v in input.tables.volume]\ns(v) := \"a\" if v.size > 1\ns(v) := \"b\" if v.size > 2\n";
    let evaluation = said(READS, policy, &complete(&[("r", "v1", "s", true)])).await;
    let found = line(&evaluation.findings[0]);
    assert!(found.starts_with("control:a error p/ec2/a.rego:"), "{found}");
}

#[tokio::test]
async fn rows_that_do_not_fit_the_memory_are_an_error_that_names_the_limit() {
    let names: Vec<String> = (0..4_000).map(|number| format!("vol-{number:06}")).collect();
    let many: Vec<_> = names.iter().map(|name| ("r", name.as_str(), "in-use", true)).collect();
    let (planned, _) = PlannedPack::plan(
        &pack(READS, &findings_are("[]")),
        &definitions(),
        &Selection::default(),
        &Overrides::new(),
        tidegate_pipeline::spec::ByteSize(1 << 20),
    )
    .unwrap();
    let report = evaluate_all(&Evaluator::new(planned), &complete(&many), TIME).await.unwrap();
    assert!(line(&report.findings[0]).contains("needs more memory than the 1MiB"), "{}", line(&report.findings[0]));
}

#[tokio::test]
async fn a_broken_policy_does_not_take_the_other_controls_with_it() {
    let yaml = "controls:
  - {id: a, title: T, severity: low, rego: a.rego, reads: [volume]}
  - {id: b, title: T, severity: low, query: b.sql}
";
    let all = super::files(&[
        super::HEAD,
        ("p/ec2/controls.yaml", yaml),
        ("p/ec2/a.rego", "package p\nfindings := ["),
        ("p/ec2/b.sql", ENCRYPTED),
    ]);
    let (pack, problems) = super::Pack::load(&all, "p");
    assert_eq!(problems, []);
    let evaluations = evaluate(&pack, &complete(&[("r", "v1", "in-use", true)]), TIME).await;
    assert!(line(&evaluations[0].findings[0]).starts_with("control:a error p/ec2/a.rego:"));
    assert_eq!(evaluations[1].findings.iter().map(line).collect::<Vec<_>>(), ["arn:v1 ok v1 is encrypted."]);
}
