//! What policies answer, and what becomes of it.

use tidegate_pipeline::step::{ScopeOutcome, StepTime};

use super::super::super::pack::Pack;
use super::super::{HEAD, TIME, complete, evaluate, files, line, plan, tables};
use super::{findings_are, lines, pack, said};

const READS: &str = "reads: [volume]";

const ENCRYPTED: &str = r#"package p

findings contains {
	"resource": v.arn,
	"status": status(v),
	"reason": sprintf("%s is %s.", [v.volume_id, v.state]),
	"account_id": v.account_id,
	"region": v.region,
} if some v in input.tables.volume

status(v) := "ok" if v.encrypted
status(v) := "alarm" if not v.encrypted
"#;

#[tokio::test]
async fn a_policy_says_of_rows_what_a_query_would() {
    let rows = [("r", "v2", "in-use", false), ("r", "v1", "in-use", true)];
    let found = lines(READS, ENCRYPTED, &complete(&rows)).await;
    assert_eq!(found, ["arn:v1 ok v1 is in-use.", "arn:v2 alarm v2 is in-use."]);
}

#[tokio::test]
async fn a_finding_is_the_same_one_in_rego_as_in_sql() {
    let rows = [("r", "v2", "in-use", false)];
    let in_rego = said(READS, ENCRYPTED, &complete(&rows)).await;
    let in_sql = super::super::pack_of(&[("a", super::super::ENCRYPTED)]);
    let in_sql = evaluate(&in_sql, &complete(&rows), TIME).await.remove(0);
    assert_eq!(in_rego.findings[0].identity, in_sql.findings[0].identity);
}

#[tokio::test]
async fn fields_that_a_finding_has_not_are_dimensions_and_no_others_come_in_by_other_rows() {
    let policy = findings_are(
        r#"[{"resource": "a", "status": "alarm", "reason": "r.", "port": 22, "open": {"z", "b"}},
            {"resource": "b", "status": "alarm", "reason": "r.", "cidr": null}]"#,
    );
    let evaluation = said(READS, &policy, &complete(&[])).await;
    let dimensions: Vec<&str> = evaluation.findings.iter().map(|finding| &*finding.dimensions).collect();
    assert_eq!(dimensions, [r#"{"open":["b","z"],"port":22}"#, r#"{"cidr":null}"#]);
}

#[tokio::test]
async fn rows_that_are_no_findings_are_errors_with_their_text() {
    for (object, says) in [
        (r#"{"status": "ok", "reason": "r."}"#, "The row has no resource: {"),
        (r#"{"resource": "a", "status": "fine", "reason": "r."}"#, "`fine` is not a status"),
        (r#"{"resource": "a", "reason": "r."}"#, "The row has no status: {"),
        (r#"{"resource": "a", "status": "ok"}"#, "The row has no reason: {"),
        (r#"{"resource": "a", "status": "ok", "reason": "r.", "severity": "huge"}"#, "`huge` is not a severity"),
    ] {
        let found = lines(READS, &findings_are(&format!("[{object}]")), &complete(&[])).await;
        assert!(found.len() == 1 && found[0].contains(" error ") && found[0].contains(says), "{found:?}");
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_is_one_error_that_says_what_it_should_be() {
    for (value, says) in [
        (
            "{\"old\": []}",
            "control:a error p/ec2/a.rego: `findings` is an object, not a set or an array of findings: name its field with `rule: findings.old`.",
        ),
        ("true", "control:a error p/ec2/a.rego: `findings` is true or false, not a set or an array of findings."),
        (
            "[1]",
            "control:a error p/ec2/a.rego: `findings` holds a number: expected objects with `resource`, `status` and `reason`.",
        ),
        (
            "[] if count(input.tables.volume) == 7",
            "control:a error p/ec2/a.rego: `findings` is undefined: it must be a set or an array, if an empty one.",
        ),
    ] {
        let evaluation = said(READS, &findings_are(value), &complete(&[("r", "v", "s", true)])).await;
        assert_eq!(evaluation.findings.iter().map(line).collect::<Vec<_>>(), [says]);
        assert!(evaluation.frozen.everything);
    }
}

#[tokio::test]
async fn alarms_as_other_tools_write_them_are_alarms() {
    let policy = r#"package policies.volumes

deny contains msg if {
	some v in input.tables.volume
	msg := sprintf("%s is open", [v.volume_id])
}

violation contains {"msg": "no reason of its own", "resource": v.arn} if some v in input.tables.volume

violation contains {"resource": "bare"} if some v in input.tables.volume
"#;
    let more = "mode: violations, reads: [volume]";
    let evaluation = said(more, policy, &complete(&[("r", "v1", "in-use", false)])).await;
    let found: Vec<String> = evaluation.findings.iter().map(line).collect();
    assert_eq!(
        found,
        ["arn:v1 alarm no reason of its own", "bare alarm T", "policy:policies.volumes alarm v1 is open"]
    );
    assert_eq!(&*evaluation.findings[2].dimensions, r#"{"message":"v1 is open"}"#);
}

#[tokio::test]
async fn a_policy_of_opsbox_runs_as_it_is() {
    // In the shape of OpsBox's own: its names of rows and thresholds, an answer of whole rows.
    let policy =
        "package idle.rules\n\ndetails := [v | some v in input.volumes; v.size < input.volume_size_threshold]\n";
    let more = "mode: violations, rule: details, params: {size: {type: int, default: 9}}, \
                input: {volumes: \"select volume_id, size, arn, account_id, region from volume\", volume_size_threshold: $size}, \
                output: {resource: arn, account_id: account_id, region: region}";
    let evaluation = said(more, policy, &complete(&[("r", "v1", "in-use", false)])).await;
    assert_eq!(evaluation.findings.iter().map(line).collect::<Vec<_>>(), ["arn:v1 alarm T"]);
    let finding = &evaluation.findings[0];
    assert_eq!(
        (finding.account_id.as_deref(), finding.region.as_deref(), &*finding.dimensions),
        (Some("1"), Some("r"), "{}")
    );
}

#[tokio::test]
async fn a_field_of_the_value_of_a_rule_can_be_the_answer() {
    let policy = "package p\n\ndetails := {\"old\": [{\"id\": v.arn, \"why\": {\"text\": \"w.\"}} | some v in input.tables.volume]}\n";
    let more = "mode: violations, rule: details.old, reads: [volume], output: {resource: id, reason: why.text}";
    assert_eq!(lines(more, policy, &complete(&[("r", "v1", "s", true)])).await, ["arn:v1 alarm w."]);
}

#[tokio::test]
async fn input_holds_rows_parameters_values_and_the_time_of_the_step() {
    let policy = r#"package p

findings := [{"resource": "a", "status": "info", "reason": reason}]

reason := sprintf("%v %v %v %v %d %v %v", [
	input.params.names, input.limit, input.words, input.now, time.now_ns(),
	count(input.rows), input.rows[0].created,
])
"#;
    let more = "reads: [volume], params: {names: {type: list of text, default: [x]}, n: {type: float, default: 0.5}}, \
                input: {rows: volume, limit: $n, words: [1, {a: b}]}";
    let found = lines(more, policy, &complete(&[("r", "v1", "s", true)])).await;
    assert_eq!(
        found,
        [r#"a info ["x"] 0.5 [1, {"a": "b"}] 2026-01-01T00:00:00Z 1767225600000000000 1 2025-11-22T00:00:00Z"#]
    );
}

#[tokio::test]
async fn the_clock_is_the_step_and_a_policy_that_asks_for_it_is_evaluated_with_time() {
    let policy = r#"package p

findings contains {"resource": v.arn, "status": status(v), "reason": "r."} if some v in input.tables.volume

status(v) := "alarm" if time.parse_rfc3339_ns(v.created) < time.now_ns() - time.parse_duration_ns("720h")

else := "ok"
"#;
    let pack = pack(READS, policy);
    let contents = complete(&[("r", "v1", "in-use", true)]);
    let at = async |time: i64| line(&evaluate(&pack, &contents, StepTime(time)).await[0].findings[0]);
    assert_eq!(at(TIME.0).await, "arn:v1 alarm r.");
    assert_eq!(at(TIME.0 - 20 * 86_400_000).await, "arn:v1 ok r.");
    assert!(plan(&pack).0.controls[0].reads_time);
    assert!(!plan(&super::pack(READS, ENCRYPTED)).0.controls[0].reads_time);
}

#[tokio::test]
async fn scopes_that_failed_freeze_what_a_policy_said() {
    let rows = [("bad", "v1", "in-use", false), ("good", "v2", "in-use", false)];
    let scopes = [("good", ScopeOutcome::Complete), ("bad", ScopeOutcome::Failed("no answer".to_owned()))];
    let evaluation = said(READS, ENCRYPTED, &tables(&rows, &scopes)).await;
    let found: Vec<String> = evaluation.findings.iter().map(line).collect();
    assert_eq!(found, ["arn:v2 alarm v2 is in-use.", "scope:1/bad/volume error Collecting volume failed: no answer."]);
    assert!(evaluation.frozen.covers("arn:v1", Some("1"), Some("bad")));
}

#[tokio::test]
async fn of_findings_that_say_the_same_the_worst_counts_and_a_warning_says_so() {
    let policy = findings_are(
        r#"[{"resource": "x", "status": "ok", "reason": "a."}, {"resource": "x", "status": "alarm", "reason": "b."}]"#,
    );
    let evaluation = said(READS, &policy, &complete(&[])).await;
    assert_eq!(evaluation.findings.iter().map(line).collect::<Vec<_>>(), ["x alarm b."]);
    assert!(evaluation.warnings[0].contains("more than once"), "{:?}", evaluation.warnings);
}

#[tokio::test]
async fn a_policy_imports_what_its_control_lists_and_may_stand_in_the_yaml() {
    let yaml = "controls:
  - id: a
    title: T
    severity: low
    reads: [volume]
    rego:
      - |
        package p
        import data.lib
        findings contains lib.finding(v) if some v in input.tables.volume
      - lib.rego
";
    let lib = "package lib\nfinding(v) := {\"resource\": v.arn, \"status\": \"ok\", \"reason\": \"r.\"}\n";
    let (pack, problems) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", yaml), ("p/ec2/lib.rego", lib)]), "p");
    assert_eq!(problems, []);
    assert_eq!(plan(&pack).1.queries, []);
    let evaluations = evaluate(&pack, &complete(&[("r", "v1", "s", true)]), TIME).await;
    assert_eq!(evaluations[0].findings.iter().map(line).collect::<Vec<_>>(), ["arn:v1 ok r."]);
}
