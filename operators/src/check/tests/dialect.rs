//! What people write who come from PostgreSQL and Steampipe: it is planned, or the problem says what to write.

use super::{pack_of, plan};

/// Queries that Steampipe's controls are made of, over the tables of these tests (`state` stands for JSON text).
const PLANNED: &[&str] = &[
    "select v.arn as resource, 'ok' as status, s->>'Action' as reason
     from volume as v, jsonb_array_elements(v.state->'Statement') as s",
    "select v.arn as resource, 'ok' as status, s.value->>'Action' as reason
     from volume v cross join lateral jsonb_array_elements(v.state::jsonb) as s",
    "with open as (select arn, a from volume, jsonb_array_elements_text(state->'a') as a)
     select arn as resource, case when a like any (array['*', 's3:%']) then 'alarm' else 'ok' end as status, a as reason from open",
    "select arn as resource, case when encrypted = 'true' then 'ok' else 'alarm' end as status, state->>'x' as reason from volume",
    "select arn as resource, 'ok' as status, to_char(created, 'DD-Mon-YYYY') as reason from volume where jsonb_array_length(state) > 0",
    "select arn as resource, 'ok' as status, jsonb_typeof(state) as reason from volume where state ? 'a' or state @> '{}'::jsonb",
    "select arn as resource, 'ok' as status, 'r' as reason from volume where now() - created > interval '90 days'",
    "select arn as resource, 'ok' as status, 'r' as reason from volume where date(created) < current_date - 90",
    "select arn as resource, 'ok' as status, arn_account(arn) as reason from volume where state ?& array['a', 'b']",
    "select distinct arn as resource, 'ok' as status, 'r' as reason from volume
     where volume_id not in (select s.volume_id from snapshot s, jsonb_array_elements(s.arn) as e where e->>'x' = 'y')",
];

#[test]
fn what_the_census_of_steampipe_has_is_planned() {
    for sql in PLANNED {
        let (_, problems) = plan(&pack_of(&[("a", sql)]));
        assert_eq!(problems.queries, [], "{sql}");
    }
}

#[test]
fn what_cannot_be_planned_is_told_with_file_line_and_what_to_write() {
    const HEAD: &str = "select arn as resource, 'ok' as status, 'r' as reason\nfrom volume v where ";
    for (condition, column, message, help) in [
        ("state::inet = volume_id", 21, "there is no type `inet`", "cidr_contains"),
        ("(arn, region) in (select arn, region from snapshot)", 22, "`(a, b) in (select …)`", "exists (select 1"),
        ("exists (select 1 from jsonb_array_elements(v.state) as s)", 43, "outer query", "in FROM of the outer query"),
        ("age(created) > interval '90 days'", 21, "no function `age`", "date_diff_days(now(), x)"),
        ("state @? '$.a'", 21, "no operator `@?`", "x->'a'->0->>'b'"),
        ("array_any_match(string_to_array(state, ','), x -> x = 'a')", 66, "JSON access", "array_has"),
        ("jsonb_array_elements(state) = 'a'", 21, "makes rows", "json_list"),
    ] {
        let (_, problems) = plan(&pack_of(&[("a", &format!("{HEAD}{condition}"))]));
        let problem = &problems.queries[0];
        assert_eq!((&*problem.file, problem.place.line, problem.place.column), ("p/ec2/a.sql", 2, column), "{problem}");
        assert!(problem.message.contains(message), "{problem}");
        assert!(problem.help.as_ref().is_some_and(|told| told.contains(help)), "{problem}");
    }
}

#[test]
fn text_compared_with_a_boolean_is_told() {
    let sql = "select arn as resource, 'ok' as status, 'r' as reason from volume where encrypted = state";
    let (_, problems) = plan(&pack_of(&[("a", sql)]));
    let help = problems.queries.first().and_then(|problem| problem.help.clone());
    assert!(help.is_some_and(|help| help.contains("`not x` of a boolean")), "{:?}", problems.queries);
}
