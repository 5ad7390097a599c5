//! Options are read into types with the place of whatever is wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Once,
    Follow,
}

#[derive(Debug, Deserialize)]
struct Inner {
    size: u16,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Everything {
    path: String,
    #[serde(default)]
    size: Option<u32>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    within: Option<Duration>,
    #[serde(default)]
    ratio: Option<f64>,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    key: OneOrMany<Sql>,
    #[serde(default)]
    routes: Named<Sql>,
    #[serde(default)]
    labels: BTreeMap<String, i64>,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<u8>,
    #[serde(default)]
    secret: Option<Secret>,
}

fn options(text: &str) -> Options {
    Options::parse(text).unwrap()
}

fn refused(text: &str) -> String {
    let found = options(text).read::<Everything>().unwrap_err();
    found.iter().map(|diagnostic| render::line(diagnostic, "f") + "\n").collect()
}

#[test]
fn values_of_all_types_are_read() {
    let read: Everything = options(
        "{path: a.csv, size: 5, mode: follow, within: 15m, ratio: 1, follow: true, labels: {a: 1}, inner: {size: 3}, list: [1, 2]}",
    )
    .read()
    .unwrap();
    assert_eq!((read.path.as_str(), read.size, read.follow), ("a.csv", Some(5), true));
    assert!(matches!(read.mode, Some(Mode::Follow)));
    assert_eq!(read.within.map(|within| within.to_string()), Some("15m".into()));
    assert_eq!((read.ratio, read.list), (Some(1.0), vec![1, 2]));
    assert_eq!(read.inner.map(|inner| inner.size), Some(3));
    assert_eq!(read.labels.get("a"), Some(&1));
}

#[test]
fn one_is_as_good_as_a_list_and_each_has_its_place() {
    let one: Everything = options("{path: x, key: id}").read().unwrap();
    assert_eq!((one.key[0].value.as_str(), one.key[0].place.column), ("id", 16));
    let many: Everything = options("path: x\nkey: [id, 'kind']").read().unwrap();
    let places: Vec<_> = many.key.iter().map(|key| (key.value.as_str(), key.place.line, key.place.column)).collect();
    assert_eq!(places, [("id", 2, 7), ("kind", 2, 11)]);
}

#[test]
fn named_values_keep_their_order_and_their_places() {
    let read: Everything = options("path: x\nroutes:\n  b: x > 1\n  a: y > 1").read().unwrap();
    let routes: Vec<_> =
        read.routes.iter().map(|(name, sql)| (name.as_str(), name.place.line, sql.place.column)).collect();
    assert_eq!(routes, [("b", 3, 6), ("a", 4, 6)]);
}

#[test]
fn nothing_reads_as_an_empty_map() {
    #[derive(Deserialize)]
    struct Empty {
        #[serde(default)]
        limit: Option<u64>,
    }
    assert_eq!(options("").read::<Empty>().unwrap().limit, None);
}

#[test]
fn wrong_types_are_told_with_what_stands_there() {
    insta::assert_snapshot!(
        refused("{path: 5, size: big, ratio: x, follow: yes, key: [a, 5], labels: {a: b}, inner: [], list: 5}"),
        @r###"
    f:1:8: error: `path` wants text, not the number 5
    f:1:17: error: `size` wants a whole number, 0 or more, not the text `big`
    f:1:29: error: `ratio` wants a number, not the text `x`
    f:1:40: error: `follow` wants `true` or `false`, not the text `yes`
    f:1:54: error: item 2 of `key` wants text, not the number 5
    f:1:70: error: `a` wants a whole number, not the text `b`
    f:1:81: error: `inner` wants a map, not a list
    f:1:91: error: `list` wants a list, not the number 5
    "###
    );
}

#[test]
fn numbers_out_of_range() {
    insta::assert_snapshot!(refused("{path: x, size: -1, inner: {size: 70000}, list: [1, 300]}"), @r###"
    f:1:17: error: `size` wants a whole number, 0 or more, not the number -1
    f:1:35: error: `size` wants a whole number from 0 to 65535, not the number 70000
    f:1:53: error: item 2 of `list` wants a whole number from 0 to 255, not the number 300
    "###);
}

#[test]
fn unknown_keys_are_all_told() {
    insta::assert_snapshot!(refused("{path: x, szie: 5, inner: {size: 1, foo: 2}, fllow: true}"), @r###"
    f:1:11: error: unknown key `szie` (expected: `path`, `size`, `mode`, `within`, `ratio`, `follow`, `key`, `routes`, `labels`, `inner`, `list`, `secret`; did you mean `size`?)
    f:1:37: error: unknown key `foo` (expected: `size`)
    f:1:46: error: unknown key `fllow` (expected: `path`, `size`, `mode`, `within`, `ratio`, `follow`, `key`, `routes`, `labels`, `inner`, `list`, `secret`; did you mean `follow`?)
    "###);
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(refused("{inner: {}}"), @r###"
    f:1:1: error: the key `path` is missing
    f:1:9: error: `inner` lacks the key `size`
    "###);
    insta::assert_snapshot!(refused("{pth: x}"), @r#"f:1:2: error: unknown key `pth` (expected: `path`, `size`, `mode`, `within`, `ratio`, `follow`, `key`, `routes`, `labels`, `inner`, `list`, `secret`; did you mean `path`?)"#);
}

#[test]
fn an_unknown_variant() {
    insta::assert_snapshot!(refused("{path: x, mode: folow, secret: {envv: X}}"), @r###"
    f:1:17: error: `mode` cannot be `folow` (expected: `once`, `follow`; did you mean `follow`?)
    f:1:33: error: unknown key `envv` (expected: `env`, `file`; did you mean `env`?)
    "###);
    insta::assert_snapshot!(refused("{path: x, mode: 5, secret: {env: X, file: y}}"), @r###"
    f:1:17: error: `mode` wants one of `once`, `follow`, not the number 5
    f:1:28: error: `secret`: a secret is either `{env: NAME}` or `{file: PATH}`
    "###);
}

#[test]
fn a_duration_without_a_unit() {
    insta::assert_snapshot!(refused("{path: x, within: 10}"), @r#"f:1:19: error: `within`: `10` has no unit; write `10ms`, `10s`, `10m`, `10h` or `10d`"#);
}

#[test]
fn options_that_are_no_map() {
    insta::assert_snapshot!(refused("just text"), @r#"f:1:1: error: a map is wanted here, not the text `just text`"#);
}

#[test]
fn a_variable_in_quotes_is_read_as_the_type_that_is_wanted() {
    let text = r#"{path: "${PORT}", size: "${PORT}", ratio: "${PORT}", follow: "${FLAG}"}"#;
    let variables = Variables::from_iter([("PORT", "5000"), ("FLAG", "true")]);
    let options = Options::in_source(parse(text, &variables).unwrap(), text.into());
    let read: Everything = options.read().unwrap();
    assert_eq!((read.path.as_str(), read.size, read.ratio, read.follow), ("5000", Some(5000), Some(5000.0), true));
}

#[test]
fn quoted_text_is_no_number() {
    assert!(refused("{path: x, size: '5'}").contains("`size` wants a whole number, 0 or more, not the text `5`"));
}

#[test]
fn a_variable_that_does_not_fit_is_named_and_not_shown() {
    let text = "path: x\nsize: ${WORD}\nwithin: ${WORD}\nmode: ${WORD}\n";
    let variables = Variables::from_iter([("WORD", "hush")]);
    let options = Options::in_source(parse(text, &variables).unwrap(), text.into());
    let found = options.read::<Everything>().unwrap_err();
    let lines: String = found.iter().map(|diagnostic| render::line(diagnostic, "f") + "\n").collect();
    insta::assert_snapshot!(lines, @r###"
    f:2:7: error: `size` wants a whole number, 0 or more, not the value of `${WORD}`
    f:3:9: error: `within`: `${WORD}` is no length of time; write a whole number and a unit, as `500ms`, `10s`, `15m`, `2h` or `7d`
    f:4:7: error: `mode` cannot be `${WORD}` (expected: `once`, `follow`)
    "###);
}

#[test]
fn located_values_can_be_read_from_other_formats() {
    let read: OneOrMany<Located<u8>> = serde_json::from_str("[1, 2]").unwrap();
    assert_eq!(read.iter().map(|value| value.value).collect::<Vec<_>>(), [1, 2]);
    let one: OneOrMany<Located<u8>> = serde_json::from_str("1").unwrap();
    assert_eq!(one[0].place, NOWHERE);
}

#[test]
fn each_node_knows_the_secrets_of_all() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "they are read to be noted")]
    struct Hook {
        port: Option<u16>,
        url: Option<String>,
        token: Option<Secret>,
        secret: Option<Secret>,
    }
    let spec = super::loaded(super::HYGIENE);
    let hooks: Vec<&NodeSpec> = spec.nodes().filter(|node| *node.kind.value == *"webhook").collect();
    for _ in 0..2 {
        hooks.iter().for_each(|node| drop(node.options.read::<Hook>().unwrap()));
    }
    let origins: Vec<String> = hooks[0].options.secrets().all().iter().map(Secret::origin).collect();
    assert_eq!(origins, ["`{env: ALERT_TOKEN}`", "`{env: PAGER_KEY}`"]);
}
