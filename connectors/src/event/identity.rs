//! The ids of events.

use uuid::Uuid;

/// The id of an event, and what its sender called it where that is no UUID.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `meta.uuid`. `None` leaves it to the engine, which derives it from the step.
    pub uuid: Option<String>,
    /// `meta.message_id`: what the sender gave as an id and is none.
    pub message_id: Option<String>,
}

impl Identity {
    /// The sender's id where it is a UUID. Another one is kept as `message_id`, and the UUID is derived from `place`,
    /// which names the message in its source: the same message has the same id when it comes again.
    pub fn of(given: Option<&str>, place: Option<&str>) -> Self {
        if let Some(uuid) = given.and_then(|given| Uuid::try_parse(given).ok()) {
            return Self { uuid: Some(uuid.to_string()), message_id: None };
        }
        let derived = place.map(|place| Uuid::new_v5(&Uuid::NAMESPACE_OID, place.as_bytes()).to_string());
        Self { uuid: derived, message_id: given.map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_of_the_sender_stays_and_another_id_is_kept_beside_a_derived_one() {
        let given = "0192D3A0-0000-7000-8000-000000000000";
        assert_eq!(Identity::of(Some(given), Some("q:1")).uuid, Some(given.to_lowercase()));
        let derived = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"q:1").to_string();
        let expected = Identity { uuid: Some(derived), message_id: Some("mine".to_owned()) };
        assert_eq!(Identity::of(Some("mine"), Some("q:1")), expected);
        assert_eq!(Identity::of(None, None), Identity::default());
    }
}
