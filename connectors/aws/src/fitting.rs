//! Events that are never rejected for their shape.
//!
//! A column keeps its type: JSON in which the same name holds now an object and now a list does not fit into one
//! table. Such an event is given in a second form, with that part as text, so that nothing of it is lost.

use std::collections::BTreeMap;

use tidegate_connectors::event::{Event, EventDecoder};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::Arrival;
use tidegate_pipeline::step::Position;

/// One event, as lines of JSON.
pub(crate) struct Given {
    /// How messages name it.
    pub(crate) at: String,
    /// With its JSON as columns; `None` where it has none.
    pub(crate) columns: Option<Vec<u8>>,
    /// With everything that has no shape of its own as text.
    pub(crate) text: Vec<u8>,
}

/// An arrival, whose position is still to be set, and which of the given events it holds.
pub(crate) struct Fitted {
    pub(crate) arrival: Arrival,
    pub(crate) holds: Vec<usize>,
}

/// Arrivals that hold all of the events, those that fit first; each in order.
///
/// # Errors
/// Only for failures of the program itself.
pub(crate) fn decode(decoder: &mut EventDecoder, given: &[Given]) -> Result<Vec<Fitted>> {
    let first = (0..).zip(given).map(|(index, event)| (index, event.columns.as_ref().unwrap_or(&event.text)));
    let mut misfits: BTreeMap<usize, Rejected> = BTreeMap::new();
    let mut fitted = round(decoder, first.collect(), &mut misfits)?;
    let second = misfits.keys().filter(|index| given[**index].columns.is_some());
    let second: Vec<(usize, &Vec<u8>)> = second.map(|index| (*index, &given[*index].text)).collect();
    if !second.is_empty() {
        second.iter().for_each(|(index, _)| drop(misfits.remove(index)));
        fitted.extend(round(decoder, second, &mut misfits)?);
    }
    // What no form of it fits: it stands on the port `errors`.
    for (index, mut rejected) in misfits {
        rejected.position.clone_from(&given[index].at);
        if let Some(last) = fitted.last_mut() {
            last.arrival.rejected.push(rejected);
            last.holds.push(index);
        }
    }
    Ok(fitted)
}

/// Decodes lines; what was rejected is taken out, by the index of the event.
fn round(
    decoder: &mut EventDecoder,
    lines: Vec<(usize, &Vec<u8>)>,
    misfits: &mut BTreeMap<usize, Rejected>,
) -> Result<Vec<Fitted>> {
    let event = |(at, (_, line)): (usize, &(usize, &Vec<u8>))| Event {
        content: Ok((*line).clone()),
        at: at.to_string(),
        position: Position(at.to_string().into()),
        reply: None,
    };
    let arrivals = decoder.decode(lines.iter().enumerate().map(event).collect())?;
    let place = |text: &str| text.parse::<usize>().map_err(|error| Error::internal(format!("`{text}`: {error}")));
    let (mut fitted, mut from) = (Vec::new(), 0);
    for mut arrival in arrivals {
        let through = place(&arrival.position.0)?;
        let mut refused = BTreeMap::new();
        for rejected in std::mem::take(&mut arrival.rejected) {
            refused.insert(place(&rejected.position)?, rejected);
        }
        let holds = (from..=through).filter(|at| !refused.contains_key(at)).map(|at| lines[at].0).collect();
        misfits.extend(refused.into_iter().map(|(at, rejected)| (lines[at].0, rejected)));
        fitted.push(Fitted { arrival, holds });
        from = through + 1;
    }
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::envelope::envelope_schema;
    use tidegate_pipeline::source::SourceContext;

    use super::*;

    fn decoder() -> EventDecoder {
        let context = SourceContext {
            node: "in".into(),
            position: None,
            schemas: Vec::new(),
            once: false,
            tables: tidegate_pipeline::table::SharedTables::default(),
            cancel: Default::default(),
        };
        let text = arrow::datatypes::Field::new("text", arrow::datatypes::DataType::Utf8, true);
        EventDecoder::new(&context, &envelope_schema([text], []))
    }

    fn given(columns: Option<&str>, text: &str) -> Given {
        Given {
            at: "q/1".to_owned(),
            columns: columns.map(|json| format!("{{\"body\":{json}}}").into_bytes()),
            text: format!("{{\"text\":\"{text}\"}}").into_bytes(),
        }
    }

    // matrix: aws_cloudtrail: malformed
    // matrix: aws_sqs_queue: malformed
    #[test]
    fn what_does_not_fit_the_columns_comes_as_text_and_every_event_is_held_once() {
        let events = [
            given(Some("{\"a\":1}"), "first"),
            given(Some("{\"a\":{\"b\":1}}"), "second"),
            given(None, "third"),
            given(Some("{\"a\":2,\"c\":[]}"), "fourth"),
        ];
        let fitted = decode(&mut decoder(), &events).unwrap();
        let mut held: Vec<usize> = fitted.iter().flat_map(|fitted| fitted.holds.clone()).collect();
        assert_eq!(fitted.last().unwrap().holds, [1]);
        held.sort_unstable();
        assert_eq!(held, [0, 1, 2, 3]);
        assert_eq!(fitted.iter().map(|fitted| fitted.arrival.row_count()).sum::<usize>(), 4);
        assert!(fitted.iter().all(|fitted| fitted.arrival.rejected.is_empty()));
        assert!(fitted[0].arrival.new_schema.is_some());
    }

    #[test]
    fn what_fits_in_no_form_is_rejected_by_its_own_name() {
        let fitted = decode(&mut decoder(), &[Given { text: b"[]".to_vec(), ..given(None, "") }]).unwrap();
        let rejected: Vec<&str> = fitted
            .iter()
            .flat_map(|fitted| &fitted.arrival.rejected)
            .map(|rejected| rejected.position.as_str())
            .collect();
        assert_eq!(rejected, ["q/1"]);
        assert_eq!(fitted.last().unwrap().holds, [0]);
    }
}
