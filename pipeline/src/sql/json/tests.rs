use proptest::prelude::*;
use serde_json::{Value, json};

use super::contain::contains;
use super::path::{Key, get};

#[test]
fn a_path_leads_through_objects_and_arrays() {
    let text = r#"{"a": [{"b": 1}, {"b": "x"}], "n": null, "a-b": {"c": true}}"#;
    let (name, index) = (Key::Name, Key::Index);
    for (path, expected) in [
        (vec![name("a"), index(0), name("b")], Some(json!(1))),
        (vec![name("a"), index(-1), name("b")], Some(json!("x"))),
        (vec![name("a"), name("1"), name("b")], Some(json!("x"))),
        (vec![name("a"), index(2)], None),
        (vec![name("a"), index(-3)], None),
        (vec![name("a"), name("b")], None),
        (vec![name("n")], Some(Value::Null)),
        (vec![name("n"), name("x")], None),
        (vec![name("a-b"), name("c")], Some(json!(true))),
        (vec![name("missing")], None),
        (vec![index(0)], None),
    ] {
        assert_eq!(get(text, &path), expected, "{path:?}");
    }
}

#[test]
fn what_is_no_json_has_nothing_at_any_path() {
    for text in ["", "{", "{\"a\": 1} x", "nope", "{\"a\": 1, \"b\": }"] {
        assert_eq!(get(text, &[Key::Name("a")]), None, "{text}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(get(&deep, &[Key::Index(0)]), None);
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    assert_eq!(get(r#"{"a": 1, "a": 2}"#, &[Key::Name("a")]), Some(json!(2)));
}

#[test]
fn containing_is_as_postgresql_says() {
    for (outer, inner, expected) in [
        (json!({"a": 1, "b": 2}), json!({"a": 1}), true),
        (json!({"a": 1}), json!({"a": 2}), false),
        (json!([1, 2, 3]), json!([3, 1, 1]), true),
        (json!([1, 2]), json!(1), true),
        (json!({"a": [1, 2]}), json!({"a": 1}), false),
        (json!([{"a": 1, "b": 2}]), json!([{"a": 1}]), true),
        (json!([{"a": 1}]), json!({"a": 1}), false),
        (json!("x"), json!("x"), true),
    ] {
        assert_eq!(contains(&outer, &inner), expected, "{outer} {inner}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[ab]", inner, 0..3).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn containing_is_reflexive_and_transitive(a in any_json(), b in any_json(), c in any_json()) {
        prop_assert!(contains(&a, &a));
        // A bare value in an array is PostgreSQL's exception at the top, and not transitive.
        let same = |x: &Value, y: &Value| x.is_array() == y.is_array();
        if same(&a, &b) && same(&b, &c) {
            prop_assert!(!(contains(&a, &b) && contains(&b, &c)) || contains(&a, &c));
        }
    }

    #[test]
    fn a_path_finds_what_the_whole_value_has(value in any_json(), name in "[abc]", index in -3..3_i64) {
        let text = value.to_string();
        prop_assert_eq!(get(&text, &[Key::Name(&name)]), value.get(&name).cloned());
        let expected = value.as_array().and_then(|all| {
            let length = i64::try_from(all.len()).unwrap();
            all.get(usize::try_from(if index < 0 { length + index } else { index }).ok()?).cloned()
        });
        prop_assert_eq!(get(&text, &[Key::Index(index)]), expected);
    }
}
