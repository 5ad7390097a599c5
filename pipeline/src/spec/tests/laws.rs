//! What holds for every text.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Any JSON value of a few levels.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~éß😀]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z<$ ]{1,6}", inner), 0..4)
                .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The value with every `$` of a text doubled, so that it begins no variable. Keys have none.
fn doubled(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('$', "$$").into(),
        Value::Array(items) => items.iter().map(doubled).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, entry)| (key.clone(), doubled(entry))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC*", structured in "([a-c]: ?|[\\[\\]{}&*<|>'\"$,#!?\t\n -]|[a-c1-3]){0,60}") {
        for text in [text, structured] {
            let outcome = load(&text, "any.yaml", &Variables::none(), &kinds());
            let found = match outcome { Ok(loaded) => loaded.warnings, Err(found) => found };
            prop_assert!(render::render(&found, "any.yaml", &text, false).len() < 1_000_000);
        }
    }

    #[test]
    fn pieces_of_a_pipeline_never_make_reading_panic(pieces in vec(0..HYGIENE.len(), 2..6)) {
        let text: String = pieces.windows(2).filter_map(|ends| HYGIENE.get(ends[0].min(ends[1])..ends[0].max(ends[1]))).collect();
        let outcome = load(&text, "any.yaml", &Variables::none(), &kinds());
        prop_assert!(outcome.is_ok() || outcome.is_err_and(|found| !found.is_empty()));
    }

    #[test]
    fn a_value_written_as_json_reads_as_itself(value in value()) {
        let text = serde_json::json!({"version": 1, "sources": {"a": {"generic": doubled(&value)}}}).to_string();
        let spec = load(&text, "any.yaml", &Variables::none(), &kinds());
        let spec = spec.map_err(|found| TestCaseError::fail(render::render(&found, "any.yaml", &text, false)))?.spec;
        let canonical = spec.canonical();
        let again = load(&canonical, "any.yaml", &Variables::none(), &kinds()).unwrap().spec;
        prop_assert_eq!(again.canonical(), canonical);
        let read: Value = spec.sources[0].options.read().unwrap();
        prop_assert_eq!(read, value);
    }
}
