use proptest::prelude::*;

use super::pattern::Pattern;

/// 2026-03-09 14:05:07.089012 UTC, a Monday.
const TIME: i64 = 1_773_065_107_089_012;

fn written(pattern: &str) -> String {
    Pattern::parse(pattern).unwrap().write(TIME).unwrap()
}

#[test]
fn patterns_write_what_postgresql_writes() {
    for (pattern, expected) in [
        ("YYYY-MM-DD HH24:MI:SS", "2026-03-09 14:05:07"),
        ("yyyy-mm-dd hh24:mi:ss", "2026-03-09 14:05:07"),
        ("YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"", "2026-03-09T14:05:07.089Z"),
        ("YYYY-MM-DDTHH24:MI:SS", "2026-03-09T14:05:07"),
        ("HH12:MI AM", "02:05 PM"),
        ("HH:MI p.m.", "02:05 p.m."),
        ("Day|", "Monday   |"),
        ("FMDay, FMDD FMMonth YYYY", "Monday, 9 March 2026"),
        ("DY Dy dy", "MON Mon mon"),
        ("MON Mon mon MONTH|", "MAR Mar mar MARCH    |"),
        ("DDth", "09th"),
        ("DDD D ID Q WW IW W", "068 2 1 1 10 11 2"),
        ("IYYY-IW-ID", "2026-11-1"),
        ("US MS FF1 SSSSS", "089012 089 0 50707"),
        ("YY Y", "26 6"),
        ("TZ tz OF", "UTC utc +00"),
        ("FMHH24 FMMI", "14 5"),
        ("é: DD", "é: 09"),
        ("", ""),
    ] {
        assert_eq!(written(pattern), expected, "{pattern}");
    }
}

#[test]
fn a_pattern_that_is_not_known_here_is_an_error() {
    let error = Pattern::parse("DD RM YYYY").unwrap_err();
    assert_eq!(error, "`to_char` does not know `RM` here; the pattern is `DD RM YYYY`");
}

#[test]
fn a_time_beyond_the_calendar_is_none() {
    assert_eq!(Pattern::parse("YYYY").unwrap().write(i64::MAX), None);
}

proptest! {
    #[test]
    fn no_pattern_and_no_time_makes_it_panic(pattern: String, time: i64) {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            let _ = pattern.write(time);
        }
    }

    #[test]
    fn a_time_written_in_full_reads_back(seconds in 0..4_000_000_000_i64) {
        let written = Pattern::parse("YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"").unwrap().write(seconds * 1_000_000).unwrap();
        let read: jiff::Timestamp = written.parse().unwrap();
        prop_assert_eq!(read.as_second(), seconds);
    }
}
