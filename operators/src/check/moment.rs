//! Times as packs and waivers write them.

use jiff::Timestamp;
use tidegate_pipeline::step::StepTime;

/// A time like `2026-01-01T00:00:00Z`, or a date like `2026-01-01`, which is its first moment (UTC).
pub(super) fn moment(text: &str) -> Option<StepTime> {
    let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    Some(StepTime(full.parse::<Timestamp>().ok()?.as_millisecond()))
}
