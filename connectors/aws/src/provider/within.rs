//! What rows are made of that AWS nests: rows within rows, and lists of ids.

/// Something that is nested in something listed.
pub(crate) struct Within<T> {
    /// The id of what it is nested in.
    pub(crate) of: String,
    pub(crate) part: T,
}

impl<T: Clone> Within<T> {
    /// All `parts` of what is listed, each with the `id` of what it is a part of.
    pub(crate) fn all<P>(
        listed: &[P],
        id: impl for<'a> Fn(&'a P) -> Option<&'a str>,
        parts: impl for<'a> Fn(&'a P) -> &'a [T],
    ) -> Vec<Self> {
        let nested = |whole: &P| -> Vec<Self> {
            let of = id(whole).unwrap_or_default();
            parts(whole).iter().map(|part| Self { of: of.to_owned(), part: part.clone() }).collect()
        };
        listed.iter().flat_map(nested).collect()
    }
}

/// Those texts that are there, in an order of their own: AWS promises none.
pub(crate) fn sorted<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Vec<String> {
    let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort_unstable();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_the_same_order_whatever_the_order_in_which_they_come() {
        assert_eq!(sorted([Some("b"), None, Some(""), Some("a")]), sorted([Some("a"), Some("b")]));
    }
}
