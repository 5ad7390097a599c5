//! From one page to the next.

use reqwest::header::{HeaderMap, LINK};
use serde_json::Value;
use url::Url;

use super::options::{JsonPath, PagingOptions};

/// How to get the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paging {
    /// The answer has its URL here.
    NextLink(JsonPath),
    /// The header `Link` has it.
    LinkHeader,
    /// Pages are numbered from `first`.
    Page { parameter: String, first: i64 },
    /// The answer has a cursor, here.
    Cursor { parameter: String, path: JsonPath },
}

impl Paging {
    /// What the options say.
    ///
    /// # Errors
    /// When that is not exactly one way.
    pub(super) fn new(options: &PagingOptions) -> Result<Self, String> {
        let PagingOptions { next_link, link_header, page, first_page, cursor, cursor_path } = options.clone();
        if first_page.is_some() && page.is_none() {
            return Err("`first_page` needs `page`".to_owned());
        }
        match (next_link, link_header, page, cursor, cursor_path) {
            (Some(path), false, None, None, None) => Ok(Self::NextLink(JsonPath::new(&path))),
            (None, true, None, None, None) => Ok(Self::LinkHeader),
            (None, false, Some(parameter), None, None) => Ok(Self::Page { parameter, first: first_page.unwrap_or(1) }),
            (None, false, None, Some(parameter), Some(path)) => {
                Ok(Self::Cursor { parameter, path: JsonPath::new(&path) })
            }
            _ => Err("exactly one of `next_link`, `link_header`, `page` and `cursor` with `cursor_path` must be given"
                .to_owned()),
        }
    }

    /// The URL of the first page.
    pub(super) fn first(&self, url: Url) -> Url {
        match self {
            Self::Page { parameter, first } => with_parameter(&url, parameter, &first.to_string()),
            _ => url,
        }
    }

    /// The URL of the page behind page number `number` (from 0), which was at `current` and had `items` items; `None`
    /// behind the last.
    ///
    /// # Errors
    /// When the next page is not on the server that was asked: secrets are not carried to another.
    pub(super) fn next(
        &self,
        current: &Url,
        number: usize,
        items: usize,
        body: &Value,
        headers: &HeaderMap,
    ) -> Result<Option<Url>, String> {
        let link = match self {
            Self::Page { parameter, first } => {
                let next = first.saturating_add(i64::try_from(number).unwrap_or(i64::MAX)).saturating_add(1);
                return Ok((items > 0).then(|| with_parameter(current, parameter, &next.to_string())));
            }
            Self::Cursor { parameter, path } => {
                let cursor = path.of(body).map(as_text).filter(|cursor| !cursor.is_empty());
                return Ok(cursor.map(|cursor| with_parameter(current, parameter, &cursor)));
            }
            Self::NextLink(path) => path.of(body).map(as_text).filter(|link| !link.is_empty()),
            Self::LinkHeader => next_of(headers),
        };
        let Some(link) = link else { return Ok(None) };
        let next = current.join(&link).map_err(|error| format!("the link to the next page is no URL: {error}"))?;
        match next.origin() == current.origin() {
            true => Ok(Some(next)),
            false => Err("the next page is on another server, which is not asked".to_owned()),
        }
    }
}

/// A scalar as a parameter of a query says it.
pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `url` with the parameter set, in place of what it was.
pub(super) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(key, _)| key != name).map(|(key, value)| (key.into(), value.into())).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url
}

/// The target of `rel="next"` in the headers `Link`.
fn next_of(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split('<').skip(1)).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let relations = value.trim().trim_end_matches(',').trim_end().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && relations.split_whitespace().any(|one| one.eq_ignore_ascii_case("next"))
        };
        parameters.split(';').any(is_next).then(|| target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn next(paging: &Paging, body: &Value, link: &str) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        if !link.is_empty() {
            headers.insert(LINK, link.parse().unwrap());
        }
        let found = paging.next(&url("http://h/a/b?x=1&p=7"), 1, 1, body, &headers)?;
        Ok(found.map(|url| url.to_string()))
    }

    #[test]
    fn each_way_finds_the_next_page_and_the_last() {
        let page = Paging::Page { parameter: "p".to_owned(), first: 0 };
        assert_eq!(page.first(url("http://h/?x=1")).as_str(), "http://h/?x=1&p=0");
        assert_eq!(next(&page, &json!(null), "").unwrap().unwrap(), "http://h/a/b?x=1&p=2");
        assert_eq!(page.next(&url("http://h/"), 1, 0, &json!(null), &HeaderMap::new()), Ok(None));
        let cursor = Paging::Cursor { parameter: "p".to_owned(), path: JsonPath::new("m.c") };
        assert_eq!(next(&cursor, &json!({"m": {"c": "a&b"}}), "").unwrap().unwrap(), "http://h/a/b?x=1&p=a%26b");
        assert_eq!(next(&cursor, &json!({"m": {"c": null}}), ""), Ok(None));
        let link = Paging::NextLink(JsonPath::new("next"));
        assert_eq!(next(&link, &json!({"next": "/c?d=1"}), "").unwrap().unwrap(), "http://h/c?d=1");
        assert_eq!(next(&link, &json!({"next": ""}), ""), Ok(None));
        let header = r#"<http://h/1>; rel="prev", </2>; title="x"; rel="last next""#;
        assert_eq!(next(&Paging::LinkHeader, &json!(null), header).unwrap().unwrap(), "http://h/2");
        assert_eq!(next(&Paging::LinkHeader, &json!(null), "<http://h/1>; rel=prev"), Ok(None));
    }

    #[test]
    fn a_next_page_on_another_server_is_refused() {
        let link = Paging::NextLink(JsonPath::new("next"));
        for elsewhere in ["http://other/", "https://h/", "http://h:81/"] {
            assert!(next(&link, &json!({"next": elsewhere}), "").is_err(), "{elsewhere}");
        }
    }
}
