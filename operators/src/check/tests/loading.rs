use super::super::finding::Severity;
use super::super::pack::{Pack, PackFiles, PackLibrary, PackProblem, ParameterValue};
use super::{HEAD, files, load};

const SQL: &str = "select 1";

/// A control on one line, with more fields.
fn control(id: &str, more: &str) -> String {
    format!("  - {{id: {id}, title: T, severity: low, sql: '{SQL}'{more}}}\n")
}

fn only(problems: &[PackProblem]) -> &PackProblem {
    assert_eq!(problems.len(), 1, "{problems:?}");
    &problems[0]
}

#[test]
fn a_pack_is_read_from_an_absolute_folder_too() {
    let yaml = "controls:\n  - {id: c, title: T, severity: low, query: ../sql/c.sql}\n";
    let all = files(&[("/a/p/pack.yaml", HEAD.1), ("/a/p/s/controls.yaml", yaml), ("/a/p/sql/c.sql", SQL)]);
    let (pack, problems) = Pack::load(&all, "/a/p");
    assert_eq!(problems, []);
    assert_eq!(pack.control("c").unwrap().sql.as_ref(), SQL);
}

#[test]
fn a_control_is_read_with_all_its_fields() {
    let yaml = "controls:
  - id: ebs_volume_encrypted
    aliases: [volume_encrypted]
    title: Attached volumes should be encrypted
    severity: medium
    remediation: {text: Encrypt it., url: https://example.com}
    resource_type: AWS::EC2::Volume
    categories: [encryption]
    query: ebs_volume_encrypted.sql
    params: {min_days: {type: int, default: 30}, ports: {type: list of int, default: [22, 3389]}}
    triggers: [ec2:CreateVolume]
";
    let all = files(&[HEAD, ("p/ec2/controls.yaml", yaml), ("p/ec2/ebs_volume_encrypted.sql", SQL)]);
    let (pack, problems) = Pack::load(&all, "p");
    assert_eq!(problems, []);
    let control = pack.control("volume_encrypted").unwrap();
    assert_eq!(&*control.id, "ebs_volume_encrypted");
    assert_eq!(control.severity, Severity::Medium);
    assert_eq!(control.service, "ec2");
    assert_eq!(control.sql.as_str(), SQL);
    assert_eq!(&*control.sql_file, "p/ec2/ebs_volume_encrypted.sql");
    assert_eq!(control.parameters["min_days"].default, Some(ParameterValue::Int(30)));
    assert_eq!(control.parameters["ports"].default, Some(ParameterValue::Ints(vec![22, 3389])));
    assert_eq!(control.remediation.text, "Encrypt it.");
}

#[test]
fn an_unknown_field_has_a_place_and_the_name_that_was_meant() {
    let (_, problems) =
        load("controls:\n  - id: a\n    title: T\n    severity: low\n    sql: select 1\n    sevrity: x\n");
    let problem = only(&problems);
    assert_eq!((&*problem.file, problem.place.line, problem.place.column), ("p/ec2/controls.yaml", 6, 5));
    assert_eq!(problem.help.as_deref(), Some("did you mean `severity`?"));
}

#[test]
fn an_id_that_is_there_twice_is_a_problem_that_names_both_places() {
    let more = ("p/vpc/controls.yaml", &*format!("controls:\n{}", control("a", "")));
    let (pack, problems) =
        Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &format!("controls:\n{}", control("a", ""))), more]), "p");
    let problem = only(&problems);
    assert_eq!((&*problem.file, problem.place.line), ("p/vpc/controls.yaml", 2));
    assert_eq!(problem.help.as_deref(), Some("the other is in p/ec2/controls.yaml:2"));
    assert_eq!(pack.controls.len(), 1);
}

#[test]
fn an_alias_may_not_be_the_id_of_another() {
    let (_, problems) = load(&format!("controls:\n{}{}", control("a", ""), control("b", ", aliases: [a]")));
    assert!(only(&problems).message.contains("`b` is there twice"));
}

#[test]
fn an_id_of_other_characters_is_a_problem() {
    let (pack, problems) = load(&format!("controls:\n{}", control("Bad-Id", "")));
    assert!(only(&problems).message.contains("is not a control id"));
    assert!(pack.controls.is_empty());
}

#[test]
fn a_query_that_does_not_exist_is_a_problem_at_its_name() {
    let (_, problems) = load("controls:\n  - id: a\n    title: T\n    severity: low\n    query: nowhere.sql\n");
    let problem = only(&problems);
    assert_eq!((problem.place.line, problem.place.column), (5, 12));
    assert_eq!(problem.help.as_deref(), Some("expected at p/ec2/nowhere.sql"));
}

#[test]
fn a_control_without_a_query_or_with_two_is_a_problem() {
    let (_, none) = load("controls:\n  - {id: a, title: T, severity: low}\n");
    assert!(only(&none).message.contains("has no query"));
    let (_, two) = load(&format!("controls:\n{}", control("a", ", query: x.sql")));
    assert!(only(&two).message.contains("both `query` and `sql`"));
}

#[test]
fn a_default_of_another_type_than_the_parameter_is_a_problem() {
    let (_, problems) = load(&format!("controls:\n{}", control("a", ", params: {d: {type: int, default: soon}}")));
    assert_eq!(only(&problems).message, "the default of parameter `d`: expected int, found text");
}

#[test]
fn a_benchmark_takes_controls_by_pattern_and_reports_unknown_ones() {
    let controls = format!("controls:\n{}{}", control("ebs_a", ""), control("ebs_b", ""));
    let benchmark = "benchmark: {id: fsbp, version: '1', title: F}
children:
  - {id: ec2.1, title: E, controls: [ebs_*]}
  - {id: ec2.2, title: E, controls: [ebs_aa]}
";
    let all = files(&[HEAD, ("p/ec2/controls.yaml", &controls), ("p/benchmarks/fsbp.yaml", benchmark)]);
    let (pack, problems) = Pack::load(&all, "p");
    let problem = only(&problems);
    assert_eq!((&*problem.file, problem.place.line), ("p/benchmarks/fsbp.yaml", 4));
    assert_eq!(problem.help.as_deref(), Some("did you mean `ebs_a`?"));
    let ids = pack.benchmark("fsbp").unwrap().node.all_controls();
    assert_eq!(ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["ebs_a", "ebs_b"]);
}

#[test]
fn a_broken_file_does_not_take_the_others_with_it() {
    let good = format!("controls:\n{}", control("a", ""));
    let all = files(&[HEAD, ("p/ec2/controls.yaml", &good), ("p/vpc/controls.yaml", "controls: [")]);
    let (pack, problems) = Pack::load(&all, "p");
    assert_eq!(&*only(&problems).file, "p/vpc/controls.yaml");
    assert_eq!(pack.controls.len(), 1);
}

#[test]
fn a_pack_without_a_head_is_a_problem() {
    let (_, problems) = Pack::load(&PackFiles::default(), "p");
    assert_eq!(only(&problems).message, "the pack has no pack.yaml");
}

#[test]
fn a_pack_that_needs_a_newer_program_says_so() {
    let (_, problems) = Pack::load(&files(&[("p/pack.yaml", "name: p\nengine: '99.0'\n")]), "p");
    assert!(only(&problems).message.contains("needs Tidegate 99.0 or newer"));
}

#[test]
fn a_test_for_an_unknown_control_is_a_problem() {
    let test = "- {name: n, tables: {}, expect: []}\n";
    let (_, problems) = Pack::load(&files(&[HEAD, ("p/tests/nobody.yaml", test)]), "p");
    assert!(only(&problems).message.contains("unknown control `nobody`"));
}

#[test]
fn a_directory_is_a_pack_and_wins_over_the_embedded_one_of_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("p/ec2");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(directory.path().join("p/pack.yaml"), "name: p\nversion: mine\n").unwrap();
    std::fs::write(inner.join("controls.yaml"), format!("controls:\n{}", control("a", ""))).unwrap();
    let embedded = vec![("p".to_owned(), files(&[HEAD]))];
    let library = PackLibrary { embedded, directories: vec![directory.path().to_owned()] };
    let (pack, problems) = library.find("p", directory.path()).unwrap();
    assert_eq!((problems.as_slice(), pack.version.as_str(), pack.controls.len()), ([].as_slice(), "mine", 1));
    let (by_path, _) = library.find("./p", directory.path()).unwrap();
    assert_eq!(by_path.controls.len(), 1);
}

#[test]
fn an_unknown_pack_is_answered_with_the_one_that_was_meant() {
    let library = PackLibrary { embedded: vec![("aws".to_owned(), files(&[HEAD]))], directories: Vec::new() };
    let error = library.find("awss", std::path::Path::new(".")).unwrap_err();
    assert_eq!(error.remedy.as_deref(), Some("did you mean `aws`?"));
}

#[test]
fn what_looks_like_a_variable_stays_as_it_is() {
    let (pack, problems) = load(&format!("controls:\n{}", control("a", ", description: \"${HOME} and $$\"")));
    assert_eq!(problems, []);
    assert_eq!(pack.controls[0].description, "${HOME} and $$");
}
