use std::collections::BTreeMap;

use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::table::View;

use super::super::pack::{Pack, PackProblem};
use super::super::plan::{Overrides, PlannedPack, Selection};
use super::{ENCRYPTED, HEAD, MEMORY, definitions, files, pack_of, plan, plan_with};

/// The only problem of a query.
fn problem_of(sql: &str) -> PackProblem {
    let (_, problems) = plan(&pack_of(&[("a", sql)]));
    assert_eq!(problems.queries.len(), 1, "{problems:?}");
    problems.queries[0].clone()
}

const TAIL: &str = "'ok' as status, 'r.' as reason from volume";

#[test]
fn what_a_control_reads_follows_from_its_query() {
    let sql = "select v.arn as resource, 'ok' as status, 'r.' as reason from volume v
        where exists (select 1 from snapshot s where s.volume_id = v.volume_id)";
    let (planned, problems) = plan(&pack_of(&[("a", sql)]));
    assert_eq!(problems.queries, []);
    let reads: Vec<&str> = planned.controls[0].reads.iter().map(|table| &**table).collect();
    assert_eq!(reads, ["snapshot", "volume"]);
    assert!(!planned.controls[0].reads_time);
}

#[test]
fn a_view_is_read_as_the_tables_that_it_is_made_of() {
    const VIEW: View = View {
        name: "stray",
        description: "Volumes without a snapshot.",
        sql: "select v.arn as what, v.region from volume v left join snapshot s on s.volume_id = v.volume_id \
              where s.volume_id is null",
    };
    let mut definitions = definitions();
    definitions[0].views =
        vec![VIEW, View { name: "snapshot", ..VIEW }, View { name: "lost", sql: "select 1 from attic", ..VIEW }];
    let reading = |table: &str| {
        let sql = format!("select what as resource, 'ok' as status, 'r.' as reason from {table}");
        let pack = pack_of(&[("a", &sql)]);
        PlannedPack::plan(&pack, &definitions, &Selection::default(), &Overrides::new(), MEMORY).unwrap()
    };
    let (planned, problems) = reading("stray");
    assert_eq!(problems.queries, []);
    let reads: Vec<&str> = planned.controls[0].reads.iter().map(|table| &**table).collect();
    assert_eq!(reads, ["snapshot", "volume"]);
    assert!(reading("snapshot").1.queries[0].message.contains("what"), "a table of that name comes first");
    assert_eq!(reading("lost").0.without_tables, [("a".into(), "lost".to_owned())], "it reads what is not there");
}

#[test]
fn an_unknown_column_has_the_line_and_column_of_the_query() {
    let problem = problem_of(&format!("select arn as resource,\n       {TAIL}\nwhere encripted"));
    assert_eq!((&*problem.file, problem.place.line, problem.place.column), ("p/ec2/a.sql", 3, 7), "{problem}");
    assert!(problem.message.contains("encripted"), "{problem}");
}

#[test]
fn an_unknown_table_has_a_place_and_the_name_that_was_meant() {
    let (planned, problems) = plan(&pack_of(&[("a", "select 1\nfrom volumes"), ("b", ENCRYPTED)]));
    assert_eq!(problems.queries, []);
    assert_eq!(planned.without_tables, [("a".into(), "volumes".to_owned())]);
    let named = Selection { controls: vec!["a".to_owned()], ..Selection::default() };
    let pack = pack_of(&[("a", "select 1\nfrom volumes")]);
    let (_, problems) = PlannedPack::plan(&pack, &definitions(), &named, &Overrides::new(), MEMORY).unwrap();
    let problem = &problems.queries[0];
    assert_eq!((problem.place.line, problem.place.column), (2, 6), "{problem}");
    assert_eq!(problem.help.as_deref(), Some("did you mean `volume`?"));
}

#[test]
fn text_that_is_no_sql_has_a_place() {
    let problem = problem_of("select arn as resource\nfrom volume wheer x ==");
    assert_eq!(problem.place.line, 2, "{problem}");
}

#[test]
fn anything_but_one_query_is_a_problem() {
    assert!(problem_of("drop table volume").message.contains("exactly one query"));
    assert!(problem_of(&format!("{ENCRYPTED}; {ENCRYPTED}")).message.contains("exactly one query"));
}

#[test]
fn types_that_do_not_fit_are_found_before_any_data_is_there() {
    let problem = problem_of(&format!("select arn as resource, {TAIL} where size + created > 3"));
    assert_eq!(&*problem.file, "p/ec2/a.sql");
}

#[test]
fn a_missing_column_is_a_problem() {
    let problem = problem_of("select arn as resource, 'ok' as status from volume");
    assert!(problem.message.contains("no column `reason`"), "{problem}");
}

#[test]
fn a_resource_that_is_no_text_is_a_problem() {
    let problem = problem_of(&format!("select size as resource, {TAIL}"));
    assert!(problem.message.contains("`resource` must be text"), "{problem}");
}

#[test]
fn volatile_functions_are_problems() {
    let problem = problem_of(&format!("select arn as resource,\n {TAIL} where random() > 0.5"));
    assert_eq!((problem.place.line, problem.place.column), (2, 51), "{problem}");
    assert!(problem.message.contains("random()"));
}

#[test]
fn the_time_is_not_volatile() {
    let (planned, problems) =
        plan(&pack_of(&[("a", &format!("select arn as resource, {TAIL} where created < now() - interval '30 days'"))]));
    assert_eq!(problems.queries, []);
    assert!(planned.controls[0].reads_time);
}

#[test]
fn limit_without_an_order_is_a_problem_and_with_one_is_not() {
    let problem = problem_of(&format!("select arn as resource, {TAIL}\nlimit 3"));
    assert_eq!((problem.place.line, problem.place.column), (2, 7), "{problem}");
    let ordered = format!("select arn as resource, {TAIL} order by arn limit 3");
    assert_eq!(plan(&pack_of(&[("a", &ordered)])).1.queries, []);
}

#[test]
fn aggregates_over_the_order_of_rows_need_one() {
    for call in
        ["array_agg(volume_id)", "string_agg(volume_id, ',')", "first_value(volume_id)", "last_value(volume_id)"]
    {
        let select = "select account_id as resource, 'ok' as status";
        let problem = problem_of(&format!("{select}, cast({call} as text) as reason from volume group by account_id"));
        assert!(problem.message.contains("without ORDER BY"), "{call}: {problem}");
    }
    let ordered =
        "select account_id as resource, 'ok' as status, string_agg(volume_id, ',' order by volume_id) as reason
        from volume group by account_id";
    assert_eq!(plan(&pack_of(&[("a", ordered)])).1.queries, []);
}

#[test]
fn a_row_number_without_an_order_is_a_problem() {
    let problem =
        problem_of("select arn as resource, 'ok' as status, cast(row_number() over () as text) as reason from volume");
    assert!(problem.message.contains("row_number"), "{problem}");
}

#[test]
fn a_query_inside_the_yaml_is_placed_in_the_yaml() {
    let yaml = "controls:
  - id: a
    title: T
    severity: low
    sql: |
      select arn as resource, 'ok' as status, 'r.' as reason
      from volume
      where nothing_like_it
";
    let (pack, _) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", yaml)]), "p");
    let (_, problems) = plan(&pack);
    let problem = &problems.queries[0];
    assert_eq!((&*problem.file, problem.place.line, problem.place.column), ("p/ec2/controls.yaml", 8, 13), "{problem}");
}

#[test]
fn reads_that_do_not_list_a_table_are_a_problem() {
    let yaml = format!(
        "controls:\n  - {{id: a, title: T, severity: low, reads: [snapshot], sql: \"select arn as resource, {TAIL}\"}}\n"
    );
    let (pack, _) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &yaml)]), "p");
    assert!(plan(&pack).1.queries[0].message.contains("reads `volume`"));
}

fn with_params(params: &str) -> Pack {
    let yaml = format!("controls:\n  - {{id: a, title: T, severity: low, params: {params}, query: a.sql}}\n");
    let sql = format!("select arn as resource, {TAIL} where size > $least");
    Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &yaml), ("p/ec2/a.sql", &sql)]), "p").0
}

#[test]
fn a_parameter_that_is_not_declared_is_a_problem_at_its_place() {
    let (_, problems) = plan(&with_params("{leest: {type: int, default: 1}}"));
    let problem = &problems.queries[0];
    assert_eq!((&*problem.file, problem.place.line), ("p/ec2/a.sql", 1), "{problem}");
    assert!(problem.place.column > 70, "{problem}");
    assert_eq!(problem.help.as_deref(), Some("did you mean `$leest`?"));
}

#[test]
fn a_parameter_without_any_value_is_a_problem() {
    let (_, problems) = plan(&with_params("{least: {type: int}}"));
    assert_eq!(problems.queries[0].message, "the parameter `least` has no value");
}

#[test]
fn values_for_what_is_not_there_or_of_another_type_are_problems() {
    let pack = with_params("{least: {type: int, default: 1}}");
    let given = |control: &str, name: &str, value: Tree| {
        Overrides::from([(control.to_owned(), BTreeMap::from([(name.to_owned(), value)]))])
    };
    let (_, problems) = plan_with(&pack, &given("a", "most", Tree::Integer(1)));
    assert_eq!(problems.options[0].message, "control `a` has no parameter `most`");
    let (_, problems) = plan_with(&pack, &given("aa", "least", Tree::Integer(1)));
    assert_eq!(problems.options[0].help.as_deref(), Some("did you mean `a`?"));
    let (_, problems) = plan_with(&pack, &given("a", "least", Tree::Text("x".into())));
    assert!(problems.queries[0].message.contains("expected int, found text"));
}

#[test]
fn controls_are_selected_by_pattern_exception_and_benchmark() {
    let yaml = "benchmark: {id: b}\ncontrols: [ebs_*]\n";
    let control =
        |id: &str| format!("  - {{id: {id}, title: T, severity: low, sql: \"select arn as resource, {TAIL}\"}}\n");
    let controls = format!("controls:\n{}{}{}", control("ebs_a"), control("ebs_b"), control("vpc_a"));
    let (pack, problems) =
        Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &controls), ("p/benchmarks/b.yaml", yaml)]), "p");
    assert_eq!(problems, []);
    let ids = |controls: &[&str], except: &[&str], benchmark: Option<&str>| {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let selection =
            Selection { controls: texts(controls), except: texts(except), benchmark: benchmark.map(str::to_owned) };
        let (planned, problems) =
            PlannedPack::plan(&pack, &definitions(), &selection, &Overrides::new(), MEMORY).unwrap();
        assert_eq!(problems.options.len(), usize::from(controls == ["nothing_*"]));
        planned.controls.iter().map(|control| control.control.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["*_a"], &[], None), ["ebs_a", "vpc_a"]);
    assert_eq!(ids(&[], &["ebs_*"], None), ["vpc_a"]);
    assert_eq!(ids(&["*_a"], &[], Some("b")), ["ebs_a"]);
    assert_eq!(ids(&["nothing_*"], &[], None), [""; 0]);
}

#[test]
fn what_a_recursive_query_has_given_so_far_is_no_table_that_it_reads() {
    let sql =
        "with recursive n as (select arn from volume union all select n.arn from n join snapshot s on s.arn = n.arn)
               select arn as resource, 'ok' as status, 'r.' as reason from n";
    let (planned, problems) = plan(&pack_of(&[("a", sql)]));
    assert_eq!(problems.queries, []);
    let reads: Vec<&str> = planned.controls[0].reads.iter().map(|table| &**table).collect();
    assert_eq!(reads, ["snapshot", "volume"]);
}
