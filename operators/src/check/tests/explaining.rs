use std::fmt::Write;

use super::super::explain::{ExplainedStep, Reasons, explain};
use super::{ENCRYPTED, TIME, Volume, complete, pack_of, plan};

const ROWS: [Volume<'_>; 3] =
    [("r", "v1", "in-use", true), ("r", "v2", "in-use", false), ("r", "v3", "available", false)];

async fn reasons(sql: &str, pattern: &str) -> Reasons {
    let (planned, problems) = plan(&pack_of(&[("a", sql)]));
    assert_eq!(problems.queries, []);
    explain(&planned, &planned.controls[0], &complete(&ROWS), pattern, TIME).await.unwrap()
}

/// The steps of the only row about a resource, a line each.
async fn steps(sql: &str, pattern: &str) -> String {
    let reasons = reasons(sql, pattern).await;
    assert_eq!(reasons.found, 1, "{reasons:?}");
    let mut text = String::new();
    reasons.rows[0].steps.iter().for_each(|step| describe(step, &mut text));
    text
}

fn describe(step: &ExplainedStep, to: &mut String) {
    let outcome = step.outcome.map_or("-", |outcome| if outcome { "true" } else { "false" });
    let kind = format!("{:?}", step.kind).to_lowercase();
    write!(to, "{}{kind} {} {outcome}", "  ".repeat(step.depth), step.condition).unwrap();
    for value in step.parts.iter().chain(&step.values) {
        write!(to, "; {} = {}", value.of, value.value.as_deref().unwrap_or("NULL")).unwrap();
    }
    let then = step.then.as_deref().filter(|_| step.decided).unwrap_or_default();
    writeln!(to, "{}{then}", if step.decided { " => " } else { "" }).unwrap();
}

#[tokio::test]
async fn the_conditions_up_to_the_one_that_decided_are_told_with_their_values() {
    assert_eq!(
        steps(ENCRYPTED, "arn:v1").await,
        "when state <> 'in-use' false; state = in-use\nwhen encrypted true; encrypted = true => 'ok'\n"
    );
    assert_eq!(
        steps(ENCRYPTED, "arn:v2").await,
        "when state <> 'in-use' false; state = in-use\nwhen encrypted false; encrypted = false\nelse  - => 'alarm'\n"
    );
    assert_eq!(steps(ENCRYPTED, "arn:v3").await, "when state <> 'in-use' true; state = available => 'skip'\n");
}

#[tokio::test]
async fn a_condition_of_several_is_told_with_how_each_came_out() {
    let sql = "select arn as resource, case when encrypted or (size > 5 and not state = 'in-use') then 'ok'
               else 'alarm' end as status, 'r.' as reason from volume";
    let told = steps(sql, "arn:v3").await;
    assert!(told.contains("encrypted = false; size > 5 = true; state = 'in-use' = false; "), "{told}");
    assert!(told.contains("size = 8; state = available => 'ok'"), "{told}");
}

#[tokio::test]
async fn a_condition_that_is_not_come_to_is_not_computed() {
    let sql =
        "select arn as resource, case when size = 8 then 'ok' when 1 / (size - 8) > 0 then 'alarm' else 'skip' end
               as status, 'r.' as reason from volume";
    assert_eq!(steps(sql, "arn:v1").await, "when size = 8 true; size = 8 => 'ok'\n");
}

#[tokio::test]
async fn conditions_inside_conditions_are_told_in_their_order() {
    let sql = "select arn as resource, case when state = 'in-use' then case when encrypted then 'ok' else 'alarm' end
               else 'skip' end as status, 'r.' as reason from volume";
    assert_eq!(
        steps(sql, "arn:v2").await,
        "when state = 'in-use' true; state = in-use\n  when encrypted false; encrypted = false\n  else  - => 'alarm'\n"
    );
}

#[tokio::test]
async fn a_status_that_a_subquery_decides_is_followed_through_joins() {
    let sql =
        "with judged as (select arn, account_id, case when encrypted then 'ok' else 'alarm' end as said from volume)
               select j.arn as resource, j.said as status, 'r.' as reason, count(s.arn) over (partition by j.arn) as n
               from judged j left join snapshot s on s.account_id = j.account_id order by j.arn";
    // A window says the status of every row as it is: it is looked through no further.
    assert_eq!(reasons(sql, "arn:v2").await.found, 1);
    let sql = sql.replace(", count(s.arn) over (partition by j.arn) as n", ", s.arn as snapshot");
    assert_eq!(steps(&sql, "arn:v1").await, "when encrypted true; encrypted = true => 'ok'\n");
}

#[tokio::test]
async fn what_a_group_adds_up_to_is_a_value_too() {
    let sql = "select v.account_id as resource, case when count(v.arn) > 2 then 'alarm' else 'ok' end as status,
               'r.' as reason from volume v group by v.account_id";
    let told = steps(sql, "1").await;
    assert!(told.contains("> 2 true; ") && told.ends_with("= 3 => 'alarm'\n"), "{told}");
}

#[tokio::test]
async fn a_row_that_a_condition_leaves_out_is_told_with_that_condition() {
    let sql = format!("{ENCRYPTED} where size > 100 and state <> 'deleted'");
    let reasons = reasons(&sql, "arn:v1").await;
    assert!(reasons.left_out);
    let step = &reasons.rows[0].steps[0];
    assert_eq!((step.outcome, step.decided), (Some(false), true));
    assert_eq!(step.parts[0].of, "size > 100");
    assert_eq!(step.parts[0].value.as_deref(), Some("false"));
}

#[tokio::test]
async fn a_resource_that_is_not_there_has_no_reasons() {
    assert_eq!(reasons(ENCRYPTED, "arn:v9").await, Reasons { rows: Vec::new(), found: 0, left_out: false });
}

#[tokio::test]
async fn a_pattern_finds_several_resources() {
    assert_eq!(reasons(ENCRYPTED, "*:v*").await.found, 3);
}

#[tokio::test]
async fn a_case_over_a_value_is_told_as_comparisons() {
    let sql = "select arn as resource, case state when 'in-use' then 'ok' else 'alarm' end as status, 'r.' as reason
               from volume";
    assert_eq!(steps(sql, "arn:v1").await, "when state = 'in-use' true; state = in-use => 'ok'\n");
}
