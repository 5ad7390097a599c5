//! Asking for things by their ids where AWS has no filter for them, and refuses a whole request for one id that it does
//! not know.

/// Ids that are still to be asked for, in parts: one that is refused is asked for in halves, until what is not known is
/// alone.
pub(crate) struct Named(Vec<Vec<String>>);

impl Named {
    pub(crate) fn new(ids: Vec<String>) -> Self {
        Self(if ids.is_empty() { Vec::new() } else { vec![ids] })
    }

    /// The next part.
    pub(crate) fn next(&mut self) -> Option<Vec<String>> {
        self.0.pop()
    }

    /// AWS did not know something of this part.
    pub(crate) fn refused(&mut self, mut part: Vec<String>) {
        if part.len() > 1 {
            let half = part.split_off(part.len() / 2);
            self.0.extend([half, part]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_asked_for_beside_what_is_not() {
        let mut named = Named::new((0..200).map(|id| id.to_string()).collect());
        let (mut found, mut calls) = (Vec::new(), 0);
        while let Some(part) = named.next() {
            calls += 1;
            match part.iter().any(|id| id == "17") {
                true => named.refused(part),
                false => found.extend(part),
            }
        }
        assert_eq!(found.len(), 199);
        assert!(!found.contains(&"17".to_owned()));
        assert!(calls < 20, "{calls}");
        assert!(Named::new(Vec::new()).next().is_none());
    }
}
