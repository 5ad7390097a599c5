//! Functions that regorus has without a bound: a large number in a policy must not take the memory of the process.

use regorus::Value;

use super::time::Function;

/// The most elements that a function makes.
const MOST: i64 = 1_000_000;

/// The functions: name, number of arguments, what they do. Beyond their bounds they are undefined.
pub(super) const FUNCTIONS: [(&str, u8, Function); 3] =
    [("numbers.range", 2, range), ("numbers.range_step", 3, range_step), ("bits.lsh", 2, shift)];

fn whole(value: Option<&Value>) -> Option<i64> {
    value?.as_i64().ok()
}

fn range(values: &[Value]) -> Option<Value> {
    stepped(whole(values.first())?, whole(values.get(1))?, 1)
}

fn range_step(values: &[Value]) -> Option<Value> {
    stepped(whole(values.first())?, whole(values.get(1))?, whole(values.get(2))?)
}

/// The numbers from one to another, up or down, the last one included.
fn stepped(from: i64, to: i64, step: i64) -> Option<Value> {
    let count = i64::try_from(to.abs_diff(from)).ok()?.checked_div(step).filter(|count| step > 0 && *count < MOST)?;
    let step = if to < from { -step } else { step };
    Some(Value::from((0..=count).map(|number| Value::from(from + number * step)).collect::<Vec<_>>()))
}

fn shift(values: &[Value]) -> Option<Value> {
    let bits = u32::try_from(whole(values.get(1))?).ok()?;
    Some(Value::from(values.first()?.as_i128().ok()?.checked_mul(2_i128.checked_pow(bits)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, values: &str) -> String {
        let values = Value::from_json_str(values).unwrap();
        let (.., function) = FUNCTIONS.iter().find(|(known, ..)| *known == name).unwrap();
        function(values.as_array().unwrap()).map_or_else(|| "undefined".to_owned(), |value| value.to_string())
    }

    #[test]
    fn what_is_within_bounds_is_as_in_opa() {
        assert_eq!(call("numbers.range", "[1, 3]"), "[1,2,3]");
        assert_eq!(call("numbers.range", "[2, 0]"), "[2,1,0]");
        assert_eq!(call("numbers.range_step", "[0, 5, 2]"), "[0,2,4]");
        assert_eq!(call("bits.lsh", "[3, 2]"), "12");
    }

    #[test]
    fn what_is_beyond_is_undefined() {
        for (name, values) in [
            ("numbers.range", "[0, 1000000000000]"),
            ("numbers.range", "[-9223372036854775808, 9223372036854775807]"),
            ("numbers.range_step", "[0, 1, 0]"),
            ("numbers.range", "[0.5, 2]"),
            ("bits.lsh", "[1, 1000000000000]"),
            ("bits.lsh", "[1, 127]"),
        ] {
            assert_eq!(call(name, values), "undefined", "{name}({values})");
        }
    }
}
