//! When an instance has changed its state: EC2 says it only in words.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tidegate_connectors::providers::columns::Moment;

/// The moment in a reason such as `User initiated (2020-08-12 14:15:18 GMT)`.
pub(super) fn transition_time(reason: &str) -> Option<Moment> {
    let (_, rest) = reason.rsplit_once('(')?;
    let (text, _) = rest.split_once(" GMT)")?;
    let time: DateTime = text.trim().parse().ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?;
    Some(Moment(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_change_of_state_is_read_from_its_reason() {
        assert_eq!(transition_time("User initiated (2020-08-12 14:15:18 GMT)"), Some(Moment(1_597_241_718_000)));
        for reason in ["", "User initiated", "User initiated (yesterday GMT)", "User initiated (2020-08-12"] {
            assert_eq!(transition_time(reason), None, "{reason}");
        }
    }
}
