//! Whether an answer is there to its end.
//!
//! The SDK reads XML as far as it goes: one that was cut off, by a proxy say, is to it a page with fewer rows and without
//! a next one, and whatever the rest would have told would seem to be gone.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// Refuses answers that are not there to their end. Those that are refused are asked for again ([`super::NoPages`]).
#[derive(Debug)]
pub(crate) struct WholeAnswers;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match context.response().body().bytes().and_then(missing_end) {
            Some(name) => Err(format!("it ends before `</{name}>`").into()),
            None => Ok(()),
        }
    }
}

/// The name of the outermost element of XML that does not end with its end.
fn missing_end(bytes: &[u8]) -> Option<&str> {
    let mut rest = std::str::from_utf8(bytes).ok()?.trim();
    while let Some((_, after)) = rest.strip_prefix("<?").and_then(|declaration| declaration.split_once("?>")) {
        rest = after.trim_start();
    }
    let element = rest.strip_prefix('<')?;
    let name = element.split(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/')).next()?;
    let is_empty = element.find('>').is_some_and(|end| element[..end].ends_with('/') && end + 1 == element.len());
    let ends = rest.strip_suffix('>').map(str::trim_end).and_then(|rest| rest.strip_suffix(name));
    let is_whole = is_empty || ends.is_some_and(|rest| rest.ends_with("</"));
    (!is_whole).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_whole_when_its_outermost_element_ends() {
        let whole = [
            "<a x=\"1\"><b/></a>",
            "<?xml version=\"1.0\"?>\n<a>\n</a>\n",
            "<a/>",
            "<a b=\"c\" />",
            "",
            "{\"a\": 1",
            "text",
        ];
        for text in whole {
            assert_eq!(missing_end(text.as_bytes()), None, "{text}");
        }
        for text in ["<?xml version=\"1.0\"?><a><b/>", "<a><b></b>", "<a><ba></ba>", "<a", "<a>", "<a></a", "<a/><b>"] {
            assert_eq!(missing_end(text.as_bytes()), Some("a"), "{text}");
        }
    }
}
