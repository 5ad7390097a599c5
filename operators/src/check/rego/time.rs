//! The functions of time that policies have: the clock is the step's time, and all of it is UTC.
//!
//! regorus has its own, but they read the clock of the machine, and the crate that they rest on would be built with other
//! features than DataFusion builds it with.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, Zoned};
use regorus::Value;
use tidegate_pipeline::step::StepTime;

const NANOSECONDS_OF_A_MILLISECOND: i64 = 1_000_000;

/// A function: its values in, its value out; `None` is `undefined`.
pub(super) type Function = fn(&[Value]) -> Option<Value>;

/// Every function but the clock: name, number of arguments, what it does.
pub(super) const FUNCTIONS: [(&str, u8, Function); 8] = [
    ("time.parse_rfc3339_ns", 1, parse),
    ("time.parse_duration_ns", 1, parse_duration),
    ("time.date", 1, date),
    ("time.clock", 1, clock),
    ("time.weekday", 1, weekday),
    ("time.add_date", 4, add_date),
    ("time.diff", 2, diff),
    ("time.format", 1, format),
];

/// The name of the clock.
pub(super) const NOW: &str = "time.now_ns";

/// The step's time in nanoseconds since 1970, as a policy sees it; `None` beyond the year 2262.
pub(super) fn now(time: StepTime) -> Option<Value> {
    time.0.checked_mul(NANOSECONDS_OF_A_MILLISECOND).map(Value::from)
}

fn nanoseconds(moment: &Timestamp) -> Option<Value> {
    i64::try_from(moment.as_nanosecond()).ok().map(Value::from)
}

fn parse(values: &[Value]) -> Option<Value> {
    let text = values.first()?.as_string().ok()?;
    // RFC 3339 has no time without an offset and no date alone, jiff would take the zone in brackets too.
    if text.contains('[') {
        return None;
    }
    nanoseconds(&text.parse::<Timestamp>().ok()?)
}

fn parse_duration(values: &[Value]) -> Option<Value> {
    let text = values.first()?.as_string().ok()?;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Value::from(0));
    }
    let mut rest = rest;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        total = total.checked_add(part(digits, length_of(&tail[..unit])?)?)?;
        rest = &tail[unit..];
    }
    i64::try_from(sign * total).ok().filter(|_| !text.is_empty()).map(Value::from)
}

/// Digits with at most one point, times a whole number of nanoseconds.
fn part(digits: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        total = total.checked_add(fraction.parse::<i128>().ok()?.checked_mul(unit)? / scale)?;
    }
    (!(digits.is_empty() || digits == ".")).then_some(total)
}

fn length_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A moment: nanoseconds, or nanoseconds and `UTC`. Other zones would be read from the machine.
fn moment(value: &Value) -> Option<Zoned> {
    let nanoseconds = match value {
        Value::Array(parts) => {
            let zone = parts.get(1).map_or(Some("UTC"), |zone| zone.as_string().ok().map(|zone| &**zone))?;
            if !matches!(zone, "UTC" | "") {
                return None;
            }
            parts.first()?
        }
        other => other,
    };
    let moment = Timestamp::from_nanosecond(i128::from(nanoseconds.as_i64().ok()?)).ok()?;
    Some(moment.to_zoned(TimeZone::UTC))
}

fn numbers(numbers: &[i64]) -> Value {
    Value::from(numbers.iter().copied().map(Value::from).collect::<Vec<_>>())
}

fn date(values: &[Value]) -> Option<Value> {
    let moment = moment(values.first()?)?;
    Some(numbers(&[moment.year().into(), moment.month().into(), moment.day().into()]))
}

fn clock(values: &[Value]) -> Option<Value> {
    let moment = moment(values.first()?)?;
    Some(numbers(&[moment.hour().into(), moment.minute().into(), moment.second().into()]))
}

fn weekday(values: &[Value]) -> Option<Value> {
    Some(Value::from(match moment(values.first()?)?.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }))
}

/// Years, months and days later. A day that the month has not runs over into the next one.
fn add_date(values: &[Value]) -> Option<Value> {
    let [from, years, months, days] = values else { return None };
    let from = moment(from)?;
    let months = years.as_i64().ok()?.checked_mul(12)?.checked_add(months.as_i64().ok()?)?;
    let first = from.datetime().first_of_month().checked_add(Span::new().try_months(months).ok()?).ok()?;
    let days = days.as_i64().ok()?.checked_add(i64::from(from.day()) - 1)?;
    let later = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
    nanoseconds(&later.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Years, months, days, hours, minutes and seconds between two moments.
fn diff(values: &[Value]) -> Option<Value> {
    let [a, b] = values else { return None };
    let (a, b) = (moment(a)?, moment(b)?);
    let (early, late) = if a <= b { (a, b) } else { (b, a) };
    let span = late.since((Unit::Year, &early)).ok()?;
    Some(numbers(&[
        span.get_years().into(),
        span.get_months().into(),
        span.get_days().into(),
        span.get_hours().into(),
        span.get_minutes(),
        span.get_seconds(),
    ]))
}

fn format(values: &[Value]) -> Option<Value> {
    Some(Value::from(moment(values.first()?)?.timestamp().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls a function with values written as JSON.
    fn call(name: &str, values: &str) -> String {
        let values = Value::from_json_str(values).unwrap();
        let (.., function) = FUNCTIONS.iter().find(|(known, ..)| *known == name).unwrap();
        function(values.as_array().unwrap()).map_or_else(|| "undefined".to_owned(), |value| value.to_string())
    }

    #[test]
    fn a_moment_is_read_with_all_its_digits_and_anything_else_is_undefined() {
        assert_eq!(call("time.parse_rfc3339_ns", r#"["2026-01-01T00:00:00.000000001Z"]"#), "1767225600000000001");
        assert_eq!(call("time.parse_rfc3339_ns", r#"["2026-01-01T02:00:00+02:00"]"#), "1767225600000000000");
        for text in ["N/A", "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00[UTC]"] {
            assert_eq!(call("time.parse_rfc3339_ns", &format!("[\"{text}\"]")), "undefined", "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(call("time.parse_duration_ns", r#"["1h30m"]"#), "5400000000000");
        assert_eq!(call("time.parse_duration_ns", r#"["-1.5s"]"#), "-1500000000");
        assert_eq!(call("time.parse_duration_ns", r#"["0"]"#), "0");
        for text in ["", "1", "h", ".s", "1d", "99999999999999999999h", "1.2.3s"] {
            assert_eq!(call("time.parse_duration_ns", &format!("[\"{text}\"]")), "undefined", "{text}");
        }
    }

    #[test]
    fn parts_of_a_moment_are_those_of_utc() {
        assert_eq!(call("time.date", "[1767225599000000000]"), "[2025,12,31]");
        assert_eq!(call("time.clock", r#"[[1767225599000000000, "UTC"]]"#), "[23,59,59]");
        assert_eq!(call("time.weekday", "[1767225600000000000]"), "\"Thursday\"");
        assert_eq!(call("time.format", "[1767225600000000000]"), "\"2026-01-01T00:00:00Z\"");
        assert_eq!(call("time.date", r#"[[0, "Europe/Berlin"]]"#), "undefined");
    }

    #[test]
    fn a_day_that_a_month_has_not_runs_over_into_the_next() {
        // 2026-01-31 and a month: 2026-03-03.
        assert_eq!(call("time.add_date", "[1769817600000000000, 0, 1, 0]"), "1772496000000000000");
        assert_eq!(call("time.add_date", "[1767225600000000000, 0, 0, -1]"), "1767139200000000000");
        assert_eq!(call("time.add_date", "[0, 9223372036854775807, 0, 0]"), "undefined");
    }

    #[test]
    fn a_difference_counts_from_years_to_seconds_whichever_is_earlier() {
        assert_eq!(call("time.diff", "[1767225600000000000, 1772496001000000000]"), "[0,2,2,0,0,1]");
        assert_eq!(call("time.diff", "[1772496001000000000, 1767225600000000000]"), "[0,2,2,0,0,1]");
    }
}
