//! What a plain YAML scalar means: the core schema of YAML 1.2, a little stricter.
//!
//! Numbers with a leading zero stay text (account and ticket numbers), and so do whole numbers that do not
//! fit 64 bits: nothing is rounded behind the writer's back. `yes`, `on` and `.inf` are text.

use super::Tree;

/// Reads a plain scalar.
pub(super) fn plain(text: &str) -> Tree {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Tree::Null,
        "true" | "True" | "TRUE" => Tree::Bool(true),
        "false" | "False" | "FALSE" => Tree::Bool(false),
        _ => number(text).unwrap_or_else(|| Tree::Text(text.into())),
    }
}

fn number(text: &str) -> Option<Tree> {
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return radix(hexadecimal, 16);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || has_leading_zero(digits) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Tree::Integer);
    }
    let in_float = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let float: f64 = digits.bytes().all(in_float).then(|| text.parse().ok())??;
    float.is_finite().then_some(Tree::Float(float))
}

fn radix(digits: &str, radix: u32) -> Option<Tree> {
    let plain = digits.starts_with(|c: char| c.is_ascii_hexdigit());
    plain.then(|| i64::from_str_radix(digits, radix).ok().map(Tree::Integer))?
}

fn has_leading_zero(digits: &str) -> bool {
    digits.strip_prefix('0').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        assert_eq!(plain("~"), Tree::Null);
        assert_eq!(plain("true"), Tree::Bool(true));
        assert_eq!(plain("-12"), Tree::Integer(-12));
        assert_eq!(plain("0"), Tree::Integer(0));
        assert_eq!(plain("0x1F"), Tree::Integer(31));
        assert_eq!(plain("0o17"), Tree::Integer(15));
        assert_eq!(plain("1.5"), Tree::Float(1.5));
        assert_eq!(plain("1e3"), Tree::Float(1000.0));
        assert_eq!(plain(".5"), Tree::Float(0.5));
    }

    #[test]
    fn what_looks_like_a_number_to_older_yaml_stays_text() {
        for text in ["on", "yes", "no", "012", "00.5", "1_000", ".inf", ".nan", "1e999", "-", ".", "+", "0x", "1.2.3"] {
            assert_eq!(plain(text), Tree::Text(text.into()), "{text}");
        }
    }

    #[test]
    fn a_whole_number_that_does_not_fit_is_not_rounded() {
        assert_eq!(plain("9223372036854775808"), Tree::Text("9223372036854775808".into()));
    }
}
