//! What is wrong with policies, told before any rows are there.

use super::super::super::pack::Pack;
use super::super::{HEAD, files, plan};
use super::{findings_are, pack, pack_with, problems};

const READS: &str = "reads: [volume]";

#[test]
fn what_does_not_parse_is_a_problem_with_its_place() {
    let found = problems(READS, "package p\n\nfindings := [\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("p/ec2/a.rego:"), "{found:?}");
    let found = problems(READS, "findings := []\n");
    assert!(found[0].starts_with("p/ec2/a.rego:1:1: ") && found[0].contains("package"), "{found:?}");
}

#[test]
fn what_does_not_parse_in_yaml_has_its_place_there() {
    let yaml = "controls:
  - id: a
    title: T
    severity: low
    reads: [volume]
    rego: |
      package p
      findings := [[
";
    let (pack, problems) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", yaml)]), "p");
    assert_eq!(problems, []);
    let found = plan(&pack).1.queries;
    assert!(found[0].to_string().starts_with("p/ec2/controls.yaml:"), "{found:?}");
    assert!(found[0].place.line >= 8, "{found:?}");
}

#[test]
fn a_policy_without_tables_is_a_problem() {
    let found = problems("aliases: []", &findings_are("[]"));
    assert_eq!(
        found,
        [
            "p/ec2/controls.yaml:2:10: control `a` does not say which tables its policy reads (list them: `reads: [TABLE]`; of a policy they cannot be derived)"
        ]
    );
}

#[test]
fn a_name_that_nothing_gives_is_a_problem_with_its_place() {
    let policy = "package p\nfindings := [v | some v in input.tables.snapshot; v.size > input.params.sise; input.volumes; data.lib.x]\n";
    let found = problems("reads: [volume], params: {size: {type: int, default: 1}}", policy);
    assert_eq!(
        found,
        [
            "p/ec2/a.rego:2:28: `reads` does not list the table `snapshot`, so that the policy never sees it (add it: `reads: [snapshot]`)",
            "p/ec2/a.rego:2:60: there is no parameter `sise` (did you mean `size`?)",
            "p/ec2/a.rego:2:79: nothing gives `input.volumes` (say what it is: `input: {volumes: TABLE}`)",
            "p/ec2/a.rego:2:94: nothing gives `data.lib` (list the file of that package: `rego: [POLICY.rego, OTHER.rego]`)",
        ]
    );
}

#[test]
fn a_table_that_is_not_there_is_told_as_of_a_query() {
    // As with a query: a control that nobody named is left out.
    let (planned, problems_of_pack) = plan(&pack("reads: [volumes]", &findings_are("[]")));
    assert_eq!(problems_of_pack.queries, []);
    assert_eq!(planned.without_tables, [("a".into(), "volumes".to_owned())]);
    let found = problems("input: {rows: \"select arm from volume\"}", &findings_are("[]"));
    assert!(found[0].contains("arm"), "{found:?}");
}

#[test]
fn a_rule_that_is_not_there_is_a_problem_that_says_which_are() {
    let found = problems(READS, "package p\nfinding := []\n");
    assert!(
        found[0].contains("no rule `findings` (name the one that answers: `rule: …`; rules that it has: finding)"),
        "{found:?}"
    );
    let found = problems("reads: [volume], rule: finding.x", &findings_are("[]"));
    assert!(found[0].contains("no rule `finding` (did you mean `findings`?)"), "{found:?}");
}

#[test]
fn a_function_that_is_not_there_is_a_problem() {
    for call in ["http.send({})", "rand.intn(\"a\", 5)", "opa.runtime()", "time.parse_ns(\"a\", \"b\")", "nothing(1)"] {
        let found = problems(READS, &findings_are(&format!("[{call}]")));
        assert_eq!(found.len(), 1, "{call}: {found:?}");
        assert!(found[0].starts_with("p/ec2/a.rego:2:"), "{call}: {found:?}");
    }
}

#[test]
fn a_policy_and_a_query_are_one_too_many() {
    let (_, problems) = pack_with("sql: select 1", "package p\n");
    assert_eq!(problems[0].message, "control `a` has both `sql` and `rego`: keep one");
}

#[test]
fn fields_of_a_policy_without_a_policy_are_problems() {
    let yaml = "controls:\n  - {id: a, title: T, severity: low, sql: select 1, rule: x}\n";
    let (_, problems) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", yaml)]), "p");
    assert_eq!(problems[0].message, "`rule` belongs to `rego`");
}

#[test]
fn what_input_and_output_cannot_be_is_a_problem() {
    let (_, problems) =
        pack_with("reads: [volume], input: {tables: volume}, output: {resorce: x, reason: 1}", "package p\n");
    let found: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(
        found,
        [
            "`input.tables` is given by Tidegate: choose another name",
            "a finding has no column `resorce`",
            "expected the name of a field, found a whole number"
        ]
    );
    assert_eq!(problems[1].help.as_deref(), Some("did you mean `resource`?"));
}
