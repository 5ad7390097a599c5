//! What is wrong with a file is said with its place and its remedy.

use super::*;

fn refused(text: &str) -> String {
    let variables = Variables::from_iter([("WORD", "hush"), ("PORT", "5000")]);
    match load(text, "bad.yaml", &variables, &kinds()) {
        Ok(loaded) => panic!("loaded: {}", loaded.spec.canonical()),
        Err(found) => found.iter().map(|diagnostic| render::line(diagnostic, "bad.yaml") + "\n").collect(),
    }
}

/// A whole file around the nodes.
fn nodes(operators: &str) -> String {
    format!("version: 1\nsources:\n  a: {{range: {{}}}}\noperators:\n{operators}sinks:\n  z: {{from: a, drop: {{}}}}\n")
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(refused(""), @r#"bad.yaml:1:1: error: the file is empty (a pipeline begins with `version: 1` and has `sources:`)"#);
    assert_eq!(refused("# nothing\n"), refused(""));
    assert_eq!(refused("---\n...\n").replace(":4:", ":1:"), refused(""));
}

#[test]
fn a_file_that_is_no_map() {
    insta::assert_snapshot!(refused("- a\n- b\n"), @r#"bad.yaml:1:1: error: a pipeline is a map (expected: `version`, `name`, `description`, `checkpoint`, `limits`, `journal`, `restart`, `stop`, `sources`, `operators`, `sinks`)"#);
}

#[test]
fn tabs() {
    insta::assert_snapshot!(refused("version: 1\nsources:\n\ta: {range: {}}\n"), @r#"bad.yaml:3:1: error: a tab indents this line; YAML wants spaces (replace the tab with spaces)"#);
    insta::assert_snapshot!(refused("version: 1\nsources:\n  a:\n    range: x\n\t  y: 1\n"), @r#"bad.yaml:5:1: error: a tab indents this line; YAML wants spaces (replace the tab with spaces)"#);
}

#[test]
fn duplicate_keys() {
    insta::assert_snapshot!(refused("version: 1\nsources:\n  a: {range: {}}\n  a: {range: {}}\nversion: 1\n"), @r###"
    bad.yaml:4:3: error: the key `a` stands here a second time (the first one is in line 3)
    bad.yaml:5:1: error: the key `version` stands here a second time (the first one is in line 1)
    "###);
}

#[test]
fn several_documents() {
    insta::assert_snapshot!(refused("version: 1\n---\nversion: 1\n"), @r#"bad.yaml:2:1: error: a second document begins here; a file holds one (remove the `---`, or make it a file of its own)"#);
}

#[test]
fn an_unknown_anchor() {
    insta::assert_snapshot!(refused("version: 1\nx-a: &common {}\nsources: {a: {range: *comon}, b: {file: *nope}}\n"), @r###"
    bad.yaml:3:22: error: `*comon` repeats an anchor that the file does not have (expected: `common`; did you mean `common`?)
    bad.yaml:3:41: error: `*nope` repeats an anchor that the file does not have (expected: `common`; text that begins with `*` needs quotes)
    "###);
}

#[test]
fn an_anchor_inside_itself() {
    insta::assert_snapshot!(refused("version: 1\nsources: &s {a: {range: *s}}\n"), @r#"bad.yaml:2:25: error: this alias stands inside the value that it repeats"#);
}

#[test]
fn broken_yaml() {
    for (text, wanted) in [
        ("a: {b: 1", "this `{` is never closed"),
        ("a: [b}", "this `}` does not close the `[` that is open"),
        ("a: \"b", "this quote is never closed"),
        ("a: 'b' c", "text follows the closing quote"),
        ("a: b: c", "a `:` stands where no key can be"),
        ("a: `b`", "plain text cannot begin with ``` (put the text in quotes)"),
        ("select: *, b AS c", "text that begins with `*` or `&` is a YAML alias or anchor (put the text in quotes)"),
        ("a:\n  b: 1\n c: 2", "the indentation of this line fits nothing above it"),
        ("a: 1\nfoo\nb: 2", "a key wants `:` after it"),
        ("a: {port: ${PORT}}", "inside `{…}` and `[…]` a `${…}` needs quotes"),
        ("a: \"\\d\"", "this `\\` does not begin an escape that YAML knows"),
        ("a: !custom b", "the tag `!custom` means nothing here"),
        ("? [a]\n: b", "a key must be a piece of text"),
        ("a: {<<: 1}", "`<<` merges maps, and this is none"),
    ] {
        let message = refused(text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn bytes_that_are_not_utf_8() {
    let diagnostic = decode(b"version: 1\nname: \xff\n").unwrap_err();
    insta::assert_snapshot!(render::line(&diagnostic, "bad.yaml"), @r#"bad.yaml:2:7: error: the file is not UTF-8 from here on (save it as UTF-8)"#);
}

#[test]
fn a_file_that_is_too_large() {
    let text = " ".repeat(TEXT_LIMIT + 1);
    insta::assert_snapshot!(refused(&text), @r#"bad.yaml:1:1: error: the file is larger than 8 MiB (a pipeline's data belongs into files that its nodes read)"#);
    assert!(decode(text.as_bytes()).is_err());
}

#[test]
fn nesting_that_is_too_deep() {
    insta::assert_snapshot!(refused(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))), @r#"bad.yaml:1:67: error: more than 64 levels are nested here"#);
    assert!(refused(&("[".repeat(100_000) + &"]".repeat(100_000))).contains("levels are nested"));
    assert!(refused(&"[".repeat(100_000)).contains("error"));
    assert!(refused(&"- ".repeat(100_000)).contains("levels are nested"));
}

#[test]
fn a_billion_laughs() {
    let mut text = "x-0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*x{}", level - 1); 10].join(", ");
        text += &format!("x-{level}: &x{level} [{items}]\n");
    }
    insta::assert_snapshot!(refused(&text), @r#"bad.yaml:6:41: error: the file expands to more than 1000000 values"#);
}

#[test]
fn aliases_cannot_stack_depth() {
    let mut text = "x-0: &x0 [a]\n".to_owned();
    for level in 1..100 {
        text += &format!("x-{level}: &x{level} [*x{}]\n", level - 1);
    }
    assert!(refused(&text).contains("levels are nested"));
}

#[test]
fn a_missing_variable() {
    insta::assert_snapshot!(refused("version: 1\nname: ${NAME}\nsources: {a: {range: \"${N:?set it}\"}}\n"), @r###"
    bad.yaml:2:7: error: the variable `NAME` is not set (set `NAME` in the environment, or write `${NAME:-default}`)
    bad.yaml:3:22: error: the variable `N` is not set: set it (set `N` in the environment)
    "###);
}

#[test]
fn the_values_of_variables_are_not_quoted() {
    let text = "version: ${WORD}\nname: \"A ${WORD}\"\ncheckpoint: {every: \"${WORD}\", keep: [\"${WORD}\"]}\nlimits: {memory: \"${WORD}\"}\n\
        sources:\n  a: {range: {}, on_end: \"${WORD}\", on_error: [\"${WORD}\"]}\n\
        operators:\n  b: {from: [\"${WORD}\", \"a ${WORD}\", \"${WORD}\"], filter: x}\n";
    let message = refused(text);
    assert!(!message.contains("hush"), "{message}");
}

#[test]
fn a_version_that_is_missing_or_unknown() {
    insta::assert_snapshot!(refused("sources: {a: {range: {}}}\n"), @r#"bad.yaml:1:1: error: the key `version` is missing (write `version: 1`)"#);
    insta::assert_snapshot!(refused("version: 2\nsources: {a: {range: {}}}\n"), @r#"bad.yaml:1:10: error: this version of the format is not known (write `version: 1`)"#);
}

#[test]
fn unknown_keys_at_the_top() {
    insta::assert_snapshot!(refused("version: 1\nsource: {a: {range: {}}}\nsink: {}\nfoo: 1\n"), @r###"
    bad.yaml:2:1: error: unknown key `source` (expected: `version`, `name`, `description`, `checkpoint`, `limits`, `journal`, `restart`, `stop`, `sources`, `operators`, `sinks`; did you mean `sources`?)
    bad.yaml:3:1: error: unknown key `sink` (expected: `version`, `name`, `description`, `checkpoint`, `limits`, `journal`, `restart`, `stop`, `sources`, `operators`, `sinks`; did you mean `sinks`?)
    bad.yaml:4:1: error: unknown key `foo` (expected: `version`, `name`, `description`, `checkpoint`, `limits`, `journal`, `restart`, `stop`, `sources`, `operators`, `sinks`)
    "###);
}

#[test]
fn names_that_cannot_be() {
    insta::assert_snapshot!(
        refused("version: 1\nname: My Pipeline\nsources: {a b: {range: {}}, engine: {range: {}}}\noperators: {engine: {from: engine, filter: x}}\n"),
        @r###"
    bad.yaml:2:7: error: `My Pipeline` cannot be the name of a pipeline (a name has lower-case letters, digits, `_` and `-`)
    bad.yaml:3:11: error: `a b` cannot be the name of a node (a name begins with a letter or `_` and goes on with letters, digits, `_` and `-`)
    bad.yaml:3:29: error: `engine` is the name of the built-in source (choose another name)
    bad.yaml:4:13: error: `engine` is the name of the built-in source (choose another name)
    bad.yaml:4:13: error: a second node is named `engine` (the first one is in line 3)
    "###
    );
}

#[test]
fn an_unknown_kind() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, fitler: x}\n  c: {from: a, form: x}\n")), @r###"
    bad.yaml:5:16: error: unknown kind of operator `fitler` (expected: `filter`, `select`, `enrich`, `dedupe`, `check`, `route`, `from`, `match`, `was`, `on_error`, `description`; did you mean `filter`?)
    bad.yaml:6:16: error: unknown kind of operator `form` (expected: `filter`, `select`, `enrich`, `dedupe`, `check`, `route`, `from`, `match`, `was`, `on_error`, `description`; did you mean `from`?)
    "###);
}

#[test]
fn a_kind_of_another_section() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, console: {}}\n")), @r#"bad.yaml:5:16: error: `console` is a kind of sink, not of operator (put the node under `sinks:`)"#);
}

#[test]
fn an_unknown_key_beside_the_kind() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, filter: x, on_eror: drop}\n")), @r#"bad.yaml:5:27: error: unknown key `on_eror` (expected: `from`, `match`, `was`, `on_error`, `description`; did you mean `on_error`?)"#);
}

#[test]
fn no_kind_or_two() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a}\n  c: {from: a, filter: x, select: y}\n")), @r###"
    bad.yaml:5:3: error: the node `b` names no kind (expected: `filter`, `select`, `enrich`, `dedupe`, `check`, `route`; add one key that names the kind of operator)
    bad.yaml:6:27: error: a node has one kind; `filter` and `select` are two (make it two nodes, the second one reading from the first)
    "###);
}

#[test]
fn a_node_that_is_no_map() {
    insta::assert_snapshot!(refused(&nodes("  b: filter\n  c:\n")), @r###"
    bad.yaml:5:6: error: the node `b` wants a map with its kind and `from` (write `b: {from: NODE, KIND: OPTIONS}`)
    bad.yaml:6:3: error: the node `c` wants a map with its kind and `from` (write `c: {from: NODE, KIND: OPTIONS}`)
    "###);
}

#[test]
fn a_missing_from() {
    insta::assert_snapshot!(refused(&nodes("  b: {filter: x}\n  c: {from: [], filter: x}\n  d: {from: , filter: x}\n")), @r###"
    bad.yaml:5:3: error: the node `b` has no `from` (say what it reads: `from: NODE` or `from: NODE.PORT`)
    bad.yaml:6:7: error: the node `c` has no `from` (say what it reads: `from: NODE` or `from: NODE.PORT`)
    bad.yaml:7:7: error: the node `d` has no `from` (say what it reads: `from: NODE` or `from: NODE.PORT`)
    "###);
}

#[test]
fn a_from_that_names_nothing() {
    insta::assert_snapshot!(
        refused(&nodes("  loud: {from: a, filter: x}\n  c: {from: [laud, a.b c, a, a], filter: x}\n  d: {from: 5, filter: x}\n")),
        @r###"
    bad.yaml:6:14: error: there is no node `laud` (expected: `a`, `loud`, `c`, `d`; did you mean `loud`?)
    bad.yaml:6:20: error: `a.b c` names neither a node nor a port (write `NODE` or `NODE.PORT`)
    bad.yaml:6:30: error: `a` is read twice (remove one of the two)
    bad.yaml:7:13: error: `from` wants text, not the number 5
    "###
    );
}

#[test]
fn keys_in_the_wrong_section() {
    insta::assert_snapshot!(
        refused("version: 1\nsources:\n  a: {range: {}, from: b}\noperators:\n  b: {from: a, filter: x, on_end: stop, match: all}\n"),
        @r###"
    bad.yaml:3:18: error: a source reads from no other node (remove `from`)
    bad.yaml:5:27: error: only sources have `on_end` (remove `on_end`)
    bad.yaml:5:41: error: `match` stands only beside `route` (remove it)
    "###
    );
}

#[test]
fn values_of_common_keys() {
    insta::assert_snapshot!(
        refused(&nodes("  b: {from: a, filter: x, on_error: dorp, was: [x]}\n  c: {from: a, route: {}, match: some}\n")),
        @r###"
    bad.yaml:5:37: error: `on_error` cannot be `dorp` (expected: `errors`, `drop`, `fail`; did you mean `drop`?)
    bad.yaml:5:48: error: `was` wants text, not a list
    bad.yaml:6:34: error: `match` cannot be `some` (expected: `all`, `first`)
    "###
    );
}

#[test]
fn settings_with_wrong_values() {
    insta::assert_snapshot!(
        refused(
            "version: 1\ncheckpoint: {every: 10, keep: {last: 0, weekly: 1}}\nlimits: {memory: lots, edge: {rows: -1, bytes: 1 apple}}\n\
             restart: {atempts: 3, initial: [1s]}\nstop: soon\njournal: {lag: 1.5, keep: long, bytes: 5KiB, inline: some}\nsources: {a: {range: {}}}\n"
        ),
        @r###"
    bad.yaml:2:21: error: `every`: `10` has no unit; write `10ms`, `10s`, `10m`, `10h` or `10d`
    bad.yaml:2:31: error: `keep`: at least 1 checkpoint must be kept, or nothing could go on after a crash
    bad.yaml:2:41: error: unknown key `weekly` (expected: `last`, `hourly`, `daily`)
    bad.yaml:3:18: error: `memory`: `lots` is no number of bytes; write a whole number and a unit, as `64KiB`, `10MB` or `2GiB`
    bad.yaml:3:37: error: `rows` wants a whole number, 0 or more, not the number -1
    bad.yaml:3:48: error: `bytes`: `1 apple` is no number of bytes; write a whole number and a unit, as `64KiB`, `10MB` or `2GiB`
    bad.yaml:4:11: error: unknown key `atempts` (expected: `attempts`, `initial`, `max`; did you mean `attempts`?)
    bad.yaml:4:32: error: `initial` wants a length of time, as `10s`, not a list
    bad.yaml:5:7: error: `stop` wants a map, not the text `soon`
    bad.yaml:6:16: error: `lag` wants a number of bytes, as `64KiB`, not the number 1.5
    bad.yaml:6:27: error: `keep`: `long` is no length of time; write a whole number and a unit, as `500ms`, `10s`, `15m`, `2h` or `7d`
    bad.yaml:6:40: error: `bytes`: the journal needs at least 1MiB
    bad.yaml:6:54: error: `inline` cannot be `some` (expected: `auto`, `all`)
    "###
    );
}

#[test]
fn filters_of_ansible_rulebook() {
    insta::assert_snapshot!(
        refused("version: 1\nsources:\n- name: a\n  range: {}\n  filters:\n  - x: {}\n  - 7\n  - {filter: a, select: b}\n- range: {}\n- 5\n- {name: b, range: {}, filters: x, stall_after: 0s}\n"),
        @r###"
    bad.yaml:6:5: error: unknown kind of operator `x` (expected: `filter`, `select`, `enrich`, `dedupe`, `check`, `route`, `from`, `match`, `was`, `on_error`, `description`)
    bad.yaml:7:5: error: a filter is a map of its kind and its options (write `{json_filter: {exclude_keys: ["*_url"]}}`)
    bad.yaml:8:17: error: a node has one kind; `filter` and `select` are two (make it two nodes, the second one reading from the first)
    bad.yaml:9:3: error: a source in a list wants a `name` (add `name: NAME`)
    bad.yaml:10:3: error: a source in a list is a map with `name` and its kind
    bad.yaml:11:33: error: `filters` wants a list (write `filters: [{json_filter: {exclude_keys: ["*_url"]}}]`)
    bad.yaml:11:49: error: `stall_after` is zero: every source would be stalled
    "###
    );
}

#[test]
fn no_source() {
    insta::assert_snapshot!(refused("version: 1\n"), @r###"
    bad.yaml:1:1: error: the pipeline has no source (add `sources:`)
    bad.yaml:1:1: warning: the pipeline has no sink: what it computes goes nowhere (add `sinks:`)
    "###);
}

#[test]
fn errors_are_shown_with_their_line() {
    let text = nodes("  b: {from: a, fitler: x}\n  c:\n    filter: |\n      x\n    on_error: dorp\n");
    let found = load(&text, "p.yaml", &Variables::none(), &kinds()).unwrap_err();
    insta::assert_snapshot!(render::render(&found, "p.yaml", &text, false), @r###"
    error: unknown kind of operator `fitler`
     --> p.yaml:5:16
      |
    5 |   b: {from: a, fitler: x}
      |                ^^^^^^
      |
      = note: expected: `filter`, `select`, `enrich`, `dedupe`, `check`, `route`, `from`, `match`, `was`, `on_error`, `description`
      = help: did you mean `filter`?

    error: `on_error` cannot be `dorp`
     --> p.yaml:9:15
      |
    9 |     on_error: dorp
      |               ^^^^
      |
      = note: expected: `errors`, `drop`, `fail`
      = help: did you mean `drop`?
    "###);
}

#[test]
fn errors_are_data_for_programs() {
    let text = nodes("  b: {from: a, fitler: x}\n");
    let found = load(&text, "p.yaml", &Variables::none(), &kinds()).unwrap_err();
    insta::assert_snapshot!(render::to_json(&found, "p.yaml"), @r#"[{"severity":"error","place":{"line":5,"column":16,"offset":63,"length":6},"message":"unknown kind of operator `fitler`","expected":["filter","select","enrich","dedupe","check","route","from","match","was","on_error","description"],"help":"did you mean `filter`?","file":"p.yaml"}]"#);
}

#[test]
fn long_lists_of_names_are_cut() {
    let names = (0..30).map(|number| format!("name_{number}"));
    let diagnostic = diagnostic::Diagnostic::error(NOWHERE, "unknown").with_expected("x", names);
    assert!(render::line(&diagnostic, "p.yaml").contains("`name_11` and 18 more"));
}

#[test]
fn a_file_full_of_errors_is_answered_with_some_of_them() {
    let aliases: String = (0..5_000).map(|number| format!("- *a{number}\n")).collect();
    assert!(refused(&aliases).lines().count() <= 100);
    let nodes: String = (0..5_000).map(|number| format!("  n{number}: {{from: x, filtr: y}}\n")).collect();
    let lines = refused(&format!("version: 1\nsources: {{a: {{range: {{}}}}}}\noperators:\n{nodes}")).lines().count();
    assert!((100..300).contains(&lines), "{lines}");
}
