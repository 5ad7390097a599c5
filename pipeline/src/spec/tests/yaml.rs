//! What YAML means.

use super::*;

fn tree(text: &str) -> Tree {
    parse(text, &Variables::from_iter([("PORT", "5000"), ("WORD", "true")])).unwrap().value
}

/// The tree without its places.
fn json(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(value) => (*value).into(),
        Tree::Integer(value) => (*value).into(),
        Tree::Float(value) => (*value).into(),
        Tree::Text(value) => value.to_string().into(),
        Tree::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Tree::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.to_string(), json(&value.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn read(text: &str) -> String {
    json(&tree(text)).to_string()
}

#[test]
fn plain_scalars_are_typed_and_quoted_ones_are_text() {
    assert_eq!(
        read("[1, 'on', on, true, 'true', \"5\", ~, 1.5, 012, 'x''y', \"a\\tb\"]"),
        r#"[1,"on","on",true,"true","5",null,1.5,"012","x'y","a\tb"]"#
    );
}

#[test]
fn blocks_fold_and_keep() {
    assert_eq!(read("a: |\n  x\n  y\nb: >-\n  x\n  y\n"), r#"{"a":"x\ny\n","b":"x y"}"#);
}

#[test]
fn tags_of_the_core_schema_are_kept() {
    assert_eq!(read("[!!str 5, !!int '5', ! 5]"), r#"["5",5,"5"]"#);
}

#[test]
fn aliases_repeat_and_merges_fill_in() {
    assert_eq!(
        read("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\nd: {<<: [{k: 4}, *x]}"),
        r#"{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":3,"l":2},"d":{"k":4,"l":2}}"#
    );
    assert_eq!(read("'<<': 1"), r#"{"<<":1}"#);
}

#[test]
fn variables_are_filled_in_and_typed_where_they_are_plain() {
    assert_eq!(
        read("a: ${PORT}\nb: \"${PORT}\"\nc: '${PORT}'\nd: ${WORD}\ne: ${NOPE:-1.5}\n${PORT}: $${PORT}\n"),
        r#"{"a":5000,"b":"5000","c":"${PORT}","d":true,"e":1.5,"${PORT}":"${PORT}"}"#
    );
    assert_eq!(read("a: |\n  ${PORT}\n"), r#"{"a":"${PORT}\n"}"#);
}

#[test]
fn a_byte_order_mark_and_markers_are_fine() {
    assert_eq!(read("\u{feff}---\na: 1\n...\n"), r#"{"a":1}"#);
}

#[test]
fn keys_are_text_whatever_they_look_like() {
    assert_eq!(read("{1: a, true: b, null: c}"), r#"{"1":"a","true":"b","null":"c"}"#);
}
