//! PostgreSQL's patterns of `to_char`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A pattern, in its pieces.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Literal(String),
    Field { field: Field, style: Style, tight: bool, ordinal: Option<bool> },
}

/// How a name is written.
#[derive(Debug, Clone, Copy)]
enum Style {
    Upper,
    Lower,
    Capital,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Year(usize),
    IsoYear(usize),
    Month,
    MonthName,
    MonthShort,
    DayOfYear,
    Day,
    DayName,
    DayShort,
    DayOfWeek,
    IsoDayOfWeek,
    IsoDayOfYear,
    Hour24,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    Fraction(u32),
    HalfOfDay,
    HalfOfDayDotted,
    Quarter,
    Week,
    IsoWeek,
    WeekOfMonth,
    Zone,
    Offset,
    OffsetHours,
    OffsetMinutes,
    /// One that PostgreSQL knows, and that nobody has asked for here.
    Foreign,
}

/// What PostgreSQL recognises, longer ones before what they begin with.
const FIELDS: &[(&str, Field)] = &[
    ("Y,YYY", Field::Foreign),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDayOfWeek),
    ("IW", Field::IsoWeek),
    ("I", Field::IsoYear(1)),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MM", Field::Month),
    ("MI", Field::Minute),
    ("MS", Field::Fraction(3)),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("DAY", Field::DayName),
    ("DY", Field::DayShort),
    ("D", Field::DayOfWeek),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("US", Field::Fraction(6)),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("AM", Field::HalfOfDay),
    ("PM", Field::HalfOfDay),
    ("A.M.", Field::HalfOfDayDotted),
    ("P.M.", Field::HalfOfDayDotted),
    ("Q", Field::Quarter),
    ("WW", Field::Week),
    ("W", Field::WeekOfMonth),
    ("TZH", Field::OffsetHours),
    ("TZM", Field::OffsetMinutes),
    ("TZ", Field::Zone),
    ("OF", Field::Offset),
    ("A.D.", Field::Foreign),
    ("B.C.", Field::Foreign),
    ("AD", Field::Foreign),
    ("BC", Field::Foreign),
    ("CC", Field::Foreign),
    ("RM", Field::Foreign),
    ("J", Field::Foreign),
];

impl Pattern {
    /// Reads a pattern. What is no field stands for itself, as does what is between double quotes.
    ///
    /// # Errors
    /// A field that is not known here.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let tight = starts(rest, "FM");
            let behind = if tight { &rest[2..] } else { rest };
            if let Some((name, field)) = FIELDS.iter().find(|(name, _)| starts(behind, name)) {
                if *field == Field::Foreign {
                    return Err(format!("`to_char` does not know `{name}` here; the pattern is `{text}`"));
                }
                let style = style(&behind[..name.len()]);
                rest = &behind[name.len()..];
                let ordinal = ordinal(rest);
                if ordinal.is_some() {
                    rest = &rest[2..];
                }
                pieces.push(Piece::Field { field: *field, style, tight, ordinal });
                continue;
            }
            let taken = literal(rest);
            pieces.push(Piece::Literal(taken.0));
            rest = taken.1;
        }
        Ok(Self(pieces))
    }

    /// A time, in µs since 1970, as text in UTC. `None` beyond the years that a calendar has.
    pub(super) fn write(&self, microseconds: i64) -> Option<String> {
        let time = Offset::UTC.to_datetime(Timestamp::from_microsecond(microseconds).ok()?);
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Field { field, style, tight, ordinal } => {
                    let written = written(*field, *style, *tight, time);
                    text.push_str(&written);
                    if let Some(upper) = ordinal {
                        let suffix = suffix(&written);
                        text.push_str(&if *upper { suffix.to_uppercase() } else { suffix.to_owned() });
                    }
                }
            }
        }
        Some(text)
    }
}

fn starts(text: &str, name: &str) -> bool {
    text.as_bytes().get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
}

/// The text at the beginning that stands for itself, and what follows it.
fn literal(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        return match quoted.split_once('"') {
            Some((inside, rest)) => (inside.to_owned(), rest),
            None => (quoted.to_owned(), ""),
        };
    }
    let mut characters = text.chars();
    let first = characters.next().map(String::from).unwrap_or_default();
    (first, characters.as_str())
}

/// `TH` or `th` behind a number; whether it is in upper case. Before an hour, as in `DDTHH24`, the `T` is the one
/// of ISO 8601.
fn ordinal(rest: &str) -> Option<bool> {
    let hour = starts(rest, "THH");
    (starts(rest, "TH") && !hour).then(|| rest.starts_with('T'))
}

fn suffix(number: &str) -> &'static str {
    match number.trim().as_bytes() {
        [.., b'1', _] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    }
}

fn style(written: &str) -> Style {
    let mut letters = written.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.is_ascii_uppercase());
    match (letters.next(), letters.next()) {
        (Some(true), Some(false)) => Style::Capital,
        (Some(true), _) => Style::Upper,
        _ => Style::Lower,
    }
}

fn styled(name: &str, style: Style) -> String {
    match style {
        Style::Upper => name.to_uppercase(),
        Style::Lower => name.to_lowercase(),
        Style::Capital => name.to_owned(),
    }
}

fn written(field: Field, style: Style, tight: bool, time: DateTime) -> String {
    let number = |value: i64, width: usize| if tight { value.to_string() } else { format!("{value:0width$}") };
    let name = |full: &str| {
        let name = styled(full, style);
        if tight { name } else { format!("{name:<9}") }
    };
    let (date, weekday) = (time.date(), usize::from(time.weekday().to_sunday_zero_offset().unsigned_abs()));
    let iso = date.iso_week_date();
    let year = |year: i16, digits: usize| match digits {
        4 => number(year.into(), 4),
        digits => number(i64::from(year) % 10_i64.pow(u32::try_from(digits).unwrap_or(3)), digits),
    };
    let hour = i64::from(time.hour());
    let microseconds = i64::from(time.subsec_nanosecond()) / 1000;
    let day_of_year = i64::from(date.day_of_year());
    match field {
        Field::Year(digits) => year(date.year(), digits),
        Field::IsoYear(digits) => year(iso.year(), digits),
        Field::Month => number(date.month().into(), 2),
        Field::MonthName => name(month(date.month())),
        Field::MonthShort => styled(&month(date.month())[..3], style),
        Field::DayOfYear => number(day_of_year, 3),
        Field::Day => number(date.day().into(), 2),
        Field::DayName => name(DAYS[weekday % 7]),
        Field::DayShort => styled(&DAYS[weekday % 7][..3], style),
        Field::DayOfWeek => (weekday + 1).to_string(),
        Field::IsoDayOfWeek => iso.weekday().to_monday_one_offset().to_string(),
        Field::IsoDayOfYear => {
            number(i64::from(iso.week() - 1) * 7 + i64::from(iso.weekday().to_monday_one_offset()), 3)
        }
        Field::Hour24 => number(hour, 2),
        Field::Hour12 => number((hour + 11) % 12 + 1, 2),
        Field::Minute => number(time.minute().into(), 2),
        Field::Second => number(time.second().into(), 2),
        Field::SecondOfDay => (hour * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())).to_string(),
        Field::Fraction(digits) => {
            let width = usize::try_from(digits).unwrap_or(6);
            format!("{:0width$}", microseconds / 10_i64.pow(6 - digits.min(6)))
        }
        Field::HalfOfDay => styled(if hour < 12 { "AM" } else { "PM" }, style),
        Field::HalfOfDayDotted => styled(if hour < 12 { "A.M." } else { "P.M." }, style),
        Field::Quarter => ((date.month() - 1) / 3 + 1).to_string(),
        Field::Week => number((day_of_year - 1) / 7 + 1, 2),
        Field::IsoWeek => number(iso.week().into(), 2),
        Field::WeekOfMonth => ((date.day() - 1) / 7 + 1).to_string(),
        Field::Zone => styled("UTC", style),
        Field::Offset | Field::OffsetHours => "+00".to_owned(),
        Field::OffsetMinutes => "00".to_owned(),
        Field::Foreign => String::new(),
    }
}

fn month(number: i8) -> &'static str {
    let index = usize::from(number.unsigned_abs()).saturating_sub(1);
    MONTHS.get(index).copied().unwrap_or("January")
}
