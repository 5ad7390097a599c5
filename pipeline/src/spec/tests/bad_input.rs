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
    insta::assert_snapshot!(refused(""), @"");
    assert_eq!(refused("# nothing\n"), refused(""));
    assert_eq!(refused("---\n...\n").replace(":4:", ":1:"), refused(""));
}

#[test]
fn a_file_that_is_no_map() {
    insta::assert_snapshot!(refused("- a\n- b\n"), @"");
}

#[test]
fn tabs() {
    insta::assert_snapshot!(refused("version: 1\nsources:\n\ta: {range: {}}\n"), @"");
    insta::assert_snapshot!(refused("version: 1\nsources:\n  a:\n    range: x\n\t  y: 1\n"), @"");
}

#[test]
fn duplicate_keys() {
    insta::assert_snapshot!(refused("version: 1\nsources:\n  a: {range: {}}\n  a: {range: {}}\nversion: 1\n"), @"");
}

#[test]
fn several_documents() {
    insta::assert_snapshot!(refused("version: 1\n---\nversion: 1\n"), @"");
}

#[test]
fn an_unknown_anchor() {
    insta::assert_snapshot!(refused("version: 1\nx-a: &common {}\nsources: {a: {range: *comon}, b: {file: *nope}}\n"), @"");
}

#[test]
fn an_anchor_inside_itself() {
    insta::assert_snapshot!(refused("version: 1\nsources: &s {a: {range: *s}}\n"), @"");
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
    insta::assert_snapshot!(render::line(&diagnostic, "bad.yaml"), @"");
}

#[test]
fn a_file_that_is_too_large() {
    let text = " ".repeat(TEXT_LIMIT + 1);
    insta::assert_snapshot!(refused(&text), @"");
    assert!(decode(text.as_bytes()).is_err());
}

#[test]
fn nesting_that_is_too_deep() {
    insta::assert_snapshot!(refused(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))), @"");
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
    insta::assert_snapshot!(refused(&text), @"");
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
    insta::assert_snapshot!(refused("version: 1\nname: ${NAME}\nsources: {a: {range: \"${N:?set it}\"}}\n"), @"");
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
    insta::assert_snapshot!(refused("sources: {a: {range: {}}}\n"), @"");
    insta::assert_snapshot!(refused("version: 2\nsources: {a: {range: {}}}\n"), @"");
}

#[test]
fn unknown_keys_at_the_top() {
    insta::assert_snapshot!(refused("version: 1\nsource: {a: {range: {}}}\nsink: {}\nfoo: 1\n"), @"");
}

#[test]
fn names_that_cannot_be() {
    insta::assert_snapshot!(
        refused("version: 1\nname: My Pipeline\nsources: {a b: {range: {}}, engine: {range: {}}}\noperators: {engine: {from: engine, filter: x}}\n"),
        @""
    );
}

#[test]
fn an_unknown_kind() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, fitler: x}\n  c: {from: a, form: x}\n")), @"");
}

#[test]
fn a_kind_of_another_section() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, console: {}}\n")), @"");
}

#[test]
fn an_unknown_key_beside_the_kind() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a, filter: x, on_eror: drop}\n")), @"");
}

#[test]
fn no_kind_or_two() {
    insta::assert_snapshot!(refused(&nodes("  b: {from: a}\n  c: {from: a, filter: x, select: y}\n")), @"");
}

#[test]
fn a_node_that_is_no_map() {
    insta::assert_snapshot!(refused(&nodes("  b: filter\n  c:\n")), @"");
}

#[test]
fn a_missing_from() {
    insta::assert_snapshot!(refused(&nodes("  b: {filter: x}\n  c: {from: [], filter: x}\n  d: {from: , filter: x}\n")), @"");
}

#[test]
fn a_from_that_names_nothing() {
    insta::assert_snapshot!(
        refused(&nodes("  loud: {from: a, filter: x}\n  c: {from: [laud, a.b c, a, a], filter: x}\n  d: {from: 5, filter: x}\n")),
        @""
    );
}

#[test]
fn keys_in_the_wrong_section() {
    insta::assert_snapshot!(
        refused("version: 1\nsources:\n  a: {range: {}, from: b}\noperators:\n  b: {from: a, filter: x, on_end: stop, match: all}\n"),
        @""
    );
}

#[test]
fn values_of_common_keys() {
    insta::assert_snapshot!(
        refused(&nodes("  b: {from: a, filter: x, on_error: dorp, was: [x]}\n  c: {from: a, route: {}, match: some}\n")),
        @""
    );
}

#[test]
fn settings_with_wrong_values() {
    insta::assert_snapshot!(
        refused(
            "version: 1\ncheckpoint: {every: 10, keep: {last: 0, weekly: 1}}\nlimits: {memory: lots, edge: {rows: -1, bytes: 1 apple}}\n\
             restart: {atempts: 3, initial: [1s]}\nstop: soon\njournal: {lag: 1.5}\nsources: {a: {range: {}}}\n"
        ),
        @""
    );
}

#[test]
fn filters_of_ansible_rulebook() {
    insta::assert_snapshot!(
        refused("version: 1\nsources:\n- name: a\n  range: {}\n  filters:\n  - x: {}\n- range: {}\n- 5\n"),
        @""
    );
}

#[test]
fn no_source() {
    insta::assert_snapshot!(refused("version: 1\n"), @"");
}

#[test]
fn errors_are_shown_with_their_line() {
    let text = nodes("  b: {from: a, fitler: x}\n  c:\n    filter: |\n      x\n    on_error: dorp\n");
    let found = load(&text, "p.yaml", &Variables::none(), &kinds()).unwrap_err();
    insta::assert_snapshot!(render::render(&found, "p.yaml", &text, false), @"");
}

#[test]
fn errors_are_data_for_programs() {
    let text = nodes("  b: {from: a, fitler: x}\n");
    let found = load(&text, "p.yaml", &Variables::none(), &kinds()).unwrap_err();
    insta::assert_snapshot!(render::to_json(&found, "p.yaml"), @"");
}

#[test]
fn long_lists_of_names_are_cut() {
    let names = (0..30).map(|number| format!("name_{number}"));
    let diagnostic = diagnostic::Diagnostic::error(NOWHERE, "unknown").with_expected("x", names);
    assert!(render::line(&diagnostic, "p.yaml").contains("`name_11` and 18 more"));
}
