//! Whether a body is JSON that can be taken.

use serde::de::IgnoredAny;

/// How deep lists and objects may lie in each other.
pub(crate) const DEEPEST: usize = 64;

/// Why a body is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is not JSON.
    NotJson,
    /// It is deeper than [`DEEPEST`].
    TooDeep,
}

/// The text of `body`, where it is one JSON value.
pub(crate) fn text(body: &[u8]) -> Result<&str, Flaw> {
    let text = std::str::from_utf8(body).map_err(|_| Flaw::NotJson)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if depth(text.as_bytes()) > DEEPEST {
        return Err(Flaw::TooDeep);
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| Flaw::NotJson)?;
    Ok(text)
}

/// How deep brackets outside of texts lie in each other, whatever they are.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_value_is_taken_and_nothing_else() {
        for json in ["{}", "[1]", "0", "\"x\"", "null", "\u{feff}{}", " {\"a\": \"]\\\"[\"} "] {
            assert!(text(json.as_bytes()).is_ok(), "{json}");
        }
        for other in ["", "x", "{}{}", "{\"a\":}", "[1,]", "NaN"] {
            assert_eq!(text(other.as_bytes()), Err(Flaw::NotJson), "{other}");
        }
        assert_eq!(text(b"\"\xff\""), Err(Flaw::NotJson));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_texts_do_not_count() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(text(nested(DEEPEST).as_bytes()).is_ok());
        assert_eq!(text(nested(DEEPEST + 1).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(text(nested(1_000_000).as_bytes()), Err(Flaw::TooDeep));
        let quoted = serde_json::json!({"a": nested(1000)}).to_string();
        assert!(text(quoted.as_bytes()).is_ok());
    }
}
