//! Pipeline files as a whole, good ones and bad ones.

mod bad_input;
mod laws;
mod options;
mod places;
mod yaml;

use super::pipeline::*;
use super::*;

fn kinds() -> KnownKinds {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    KnownKinds {
        sources: names(&["aws_ec2", "webhook", "file", "generic", "range"]),
        operators: names(&["filter", "select", "enrich", "dedupe", "check", "route"]),
        sinks: names(&["webhook", "file", "console", "drop", "aws_security_group_rule"]),
    }
}

fn loaded(text: &str) -> PipelineSpec {
    let variables = Variables::from_iter([("PORT", "5000"), ("WORD", "hush")]);
    match load(text, "pipelines/example.yaml", &variables, &kinds()) {
        Ok(loaded) => loaded.spec,
        Err(found) => panic!("{}", render::render(&found, "example.yaml", text, false)),
    }
}

const HYGIENE: &str = r#"
version: 1
name: ec2-hygiene
checkpoint: {every: 10s, keep: {last: 5, hourly: 48, daily: 14}}    # `keep: 10` = {last: 10}

sources:
  inventory: {aws_ec2: {regions: [us-east-1, eu-west-1], refresh: 15m}}
  alerts:    {webhook: {port: 5000, token: {env: ALERT_TOKEN}}}

operators:
  loud:     {from: alerts, filter: "payload.severity <> 'info'"}
  flat:     {from: loud, select: "payload.resource_id, payload.kind, payload.severity, meta"}
  owned:    {from: flat, enrich: {table: owners.csv, on: resource_id}}
  fresh:    {from: owned, dedupe: {key: [resource_id, kind], within: 1h}}
  hygiene:  {from: inventory, check: {pack: aws, controls: [sg_ingress_*, ebs_*]}}
  urgency:
    from: hygiene
    route: {urgent: "status = 'alarm' AND severity IN ('high', 'critical')"}

sinks:
  page:  {from: [urgency.urgent, fresh], webhook: {url: "https://pager.example/hook", secret: {env: PAGER_KEY}}}
  close: {from: urgency.urgent, aws_security_group_rule: {id: resource, agent: "account_id || '/' || region", desired: {purged: true}, apply: true, max_changes: 5}}
  rest:  {from: urgency.unmatched, file: {path: findings.jsonl}}
"#;

const EVENTS: &str = r#"
version: 1
sources:
  events: {file: {path: events.jsonl}}
operators:
  loud:  {from: events, filter: "severity <> 'info'"}
  owned: {from: loud, enrich: {table: owners.csv, on: resource_id}}
  fresh: {from: owned, dedupe: {key: [resource_id, kind, severity, "ts / 3600000"], within: 1h, time: ts}}
  alarm: {from: fresh, select: "*, state = 'available' AND size_gib > 100 AS alarm"}
  split: {from: alarm, route: {critical: "severity = 'critical'"}}
"#;

#[test]
fn the_first_pipeline_loads() {
    let spec = loaded(HYGIENE);
    assert_eq!(&*spec.name.value, "ec2-hygiene");
    assert_eq!(spec.checkpoint.keep, Keep { last: 5, hourly: 48, daily: 14 });
    assert_eq!(spec.nodes().count(), 11);
    let page = spec.node("page").unwrap();
    assert_eq!(page.section, Section::Sink);
    assert_eq!(&*page.kind.value, "webhook");
    assert_eq!(page.from.iter().map(|from| from.to_string()).collect::<Vec<_>>(), ["urgency.urgent", "fresh"]);
    let place = page.from[1].place;
    assert_eq!(HYGIENE.get(place.offset..place.offset + place.length), Some("fresh"));
    assert_eq!(spec.limits.memory.to_string(), "2GiB");
}

#[test]
fn the_second_pipeline_loads_with_the_name_of_its_file_and_a_warning() {
    let loaded = load(EVENTS, "pipelines/My Events.yaml", &Variables::none(), &kinds()).unwrap();
    assert_eq!(&*loaded.spec.name.value, "my-events");
    insta::assert_snapshot!(render::line(&loaded.warnings[0], "e.yaml"), @r#"e.yaml:1:1: warning: the pipeline has no sink: what it computes goes nowhere (add `sinks:`)"#);
}

#[test]
fn settings_have_defaults() {
    let spec = loaded("version: 1\nsources: {a: {range: {}}}\nsinks: {b: {from: a, drop: {}}}\n");
    assert_eq!(spec.checkpoint.every, CheckpointInterval::Every(Duration::seconds(10)));
    assert_eq!(spec.checkpoint.keep, Keep { last: 5, hourly: 0, daily: 0 });
    assert_eq!((spec.limits.edge.rows, spec.limits.edge.bytes), (65_536, ByteSize::mebibytes(64)));
    assert_eq!(spec.journal.lag, ByteSize::mebibytes(256));
    assert_eq!((spec.journal.keep, spec.journal.bytes, spec.journal.inline), (None, None, JournalInline::Auto));
    assert_eq!(
        spec.restart,
        RestartSettings { attempts: 3, initial: Duration::seconds(1), max: Duration::seconds(60) }
    );
    assert_eq!(spec.stop.within, Duration::seconds(30));
}

#[test]
fn settings_can_be_set() {
    let spec = loaded(
        "version: 1\ncheckpoint: {every: off, keep: 10}\nlimits: {memory: 512MiB}\nrestart: {attempts: 0}\n\
         journal: {keep: 7d, bytes: 10GiB, inline: all}\n\
         sources: {a: {range: }}\nsinks: {b: {from: a, drop: }}\n",
    );
    assert_eq!(spec.checkpoint.every, CheckpointInterval::Off);
    assert_eq!(spec.checkpoint.keep.last, 10);
    assert_eq!(spec.limits.memory, ByteSize::mebibytes(512));
    assert_eq!(spec.restart.attempts, 0);
    let week = Duration::seconds(7 * 24 * 3600);
    let settings = (spec.journal.keep, spec.journal.bytes, spec.journal.inline);
    assert_eq!(settings, (Some(week), Some(ByteSize::mebibytes(10 * 1024)), JournalInline::All));
}

#[test]
fn common_keys_of_nodes_are_read() {
    let spec = loaded(
        "version: 1\nsources:\n  a: {file: {path: x}, on_end: stop, stall_after: 5m}\noperators:\n  b:\n    from: [a, a.errors]\n    \
         was: old\n    on_error: fail\n    description: what it is for\n    match: all\n    route: {x: y}\n\
         sinks: {c: {from: b, drop: {}}}\n",
    );
    assert_eq!(spec.node("a").unwrap().on_end, OnEnd::Stop);
    assert_eq!(spec.node("a").unwrap().stall_after, Some(Duration::seconds(300)));
    let node = spec.node("b").unwrap();
    assert_eq!(node.was.as_ref().map(|was| &*was.value), Some("old"));
    assert_eq!(node.on_error, OnError::Fail);
    assert!(node.match_all);
    assert_eq!(node.description.as_deref(), Some("what it is for"));
    assert_eq!(node.from[1].port.as_deref(), Some("errors"));
}

#[test]
fn sources_may_be_listed_as_ansible_rulebook_does() {
    let spec = loaded(
        "version: 1\nsources:\n- name: alerts\n  ansible.eda.webhook: {port: 5000}\n- name: numbers\n  \
         eda.builtin.range: {limit: 5}\nsinks: {c: {from: [alerts, numbers], drop: {}}}\n",
    );
    let kinds: Vec<&str> = spec.sources.iter().map(|source| &*source.kind.value).collect();
    assert_eq!(kinds, ["webhook", "range"]);
    assert!(spec.sources.iter().all(|source| source.on_end == OnEnd::Stop), "the end of one is the end of all");
}

#[test]
fn filters_of_a_source_are_operators_behind_it() {
    let spec = loaded(
        "version: 1\nsources:\n- name: a\n  range: {limit: 5}\n  on_end: ignore\n  filters:\n  - ansible.eda.filter: x\n  - eda.builtin.select: y\n\
         operators:\n  b: {from: [a, a.errors], filter: z}\nsinks: {c: {from: [a.out, a_filter_1], drop: {}}}\n",
    );
    let nodes: Vec<String> = spec
        .nodes()
        .map(|node| {
            let from: Vec<String> = node.from.iter().map(|from| from.value.to_string()).collect();
            format!("{} {} {}", node.name.value, node.kind.value, from.join(","))
        })
        .collect();
    let behind = [
        "a range ",
        "b filter a_filter_2,a.errors,a_filter_1.errors,a_filter_2.errors",
        "a_filter_1 filter a",
        "a_filter_2 select a_filter_1",
        "c drop a_filter_2.out,a_filter_1",
    ];
    assert_eq!(nodes, behind);
    assert_eq!(loaded(&spec.canonical()).canonical(), spec.canonical());
}

#[test]
fn keys_that_begin_with_x_hold_anchors() {
    let spec = loaded(
        "version: 1\nx-file: &file {path: a.jsonl, follow: true}\nsources:\n  a: {file: {<<: *file, path: b.jsonl}}\n\
         sinks: {c: {from: a, drop: {}}}\n",
    );
    let Tree::Map(entries) = &spec.sources[0].options.tree.value else { panic!("a map") };
    let entries: Vec<_> = entries.iter().map(|(key, value)| (&*key.value, value.value.clone())).collect();
    assert_eq!(entries, [("path", Tree::Text("b.jsonl".into())), ("follow", Tree::Bool(true))]);
}

#[test]
fn the_canonical_text_ignores_what_changes_no_meaning() {
    let one = loaded(EVENTS).canonical();
    let commented = EVENTS.replace("operators:", "# a comment\nstop: {within: 5s}\noperators:");
    let described = commented.replace("{from: loud,", "{from: [loud], description: who owns it,");
    assert_eq!(loaded(&described).canonical(), one);
    assert_ne!(loaded(&EVENTS.replace("100", "101")).canonical(), one);
    assert_ne!(loaded(&EVENTS.replace("{from: loud,", "{from: fresh,")).canonical(), one);
}

#[test]
fn the_canonical_text_is_a_pipeline_that_says_the_same() {
    for text in [HYGIENE, EVENTS] {
        let canonical = loaded(text).canonical();
        assert_eq!(loaded(&canonical).canonical(), canonical);
    }
    let dollars =
        "version: 1\nsources: {a: {generic: {payload: ['${WORD} $$1', '$$', \"$${WORD}\", 1.50, \"012\"]}}}\n";
    let canonical = loaded(dollars).canonical();
    insta::assert_snapshot!(canonical, @r#"{"version":1,"name":"example","sources":{"a":{"generic":{"payload":["$${WORD} $$$$1","$$$$","$${WORD}",1.5,"012"]}}},"operators":{},"sinks":{}}"#);
    assert_eq!(loaded(&canonical).canonical(), canonical);
}

#[test]
fn a_literal_secret_is_not_in_the_canonical_text() {
    #[derive(serde::Deserialize)]
    struct Hook {
        secret: Secret,
    }
    let spec = loaded("version: 1\nsources: {a: {webhook: {secret: hunter2}}}\nsinks: {c: {from: a, drop: }}\n");
    let options = &spec.sources[0].options;
    assert_eq!(format!("{:?}", options.read::<Hook>().unwrap().secret), "Secret(literal)");
    assert!(!spec.canonical().contains("hunter2"));
    insta::assert_snapshot!(render::render(&options.warnings(), "e.yaml", "", false), @r#"e.yaml:2:33: warning: a secret stands in the file itself (write `{env: NAME}` or `{file: PATH}` in its place)"#);
}

#[test]
fn the_schema_stands_on_its_own() {
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Nested {
        every: Duration,
    }
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Options {
        nested: Nested,
        sizes: OneOrMany<ByteSize>,
        secret: Option<Secret>,
        sql: Sql,
    }
    let kind = |name: &str| schema::KindSchema {
        name: name.into(),
        options: schemars::schema_for!(Options),
        summary: "A kind.".into(),
    };
    let kinds =
        schema::KindSchemas { sources: vec![kind("file")], operators: vec![kind("route")], sinks: vec![kind("file")] };
    let document = schema::json_schema(&kinds);
    let text = document.to_string();
    let mut references = text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let resolves = |reference: &str| document.pointer(reference.trim_start_matches('#')).is_some();
    assert!(references.all(resolves), "{text}");
    assert_eq!(document["$defs"]["Nested"]["additionalProperties"], false);
    assert_eq!(text.matches("$defs\":{").count(), 1);
    assert_eq!(document["$defs"]["operator"]["oneOf"], serde_json::json!([{"required": ["route"]}]));
}
