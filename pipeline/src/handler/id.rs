//! The names of resources: `aws::SecurityGroupRule[123456789012/eu-west-1,rule=sg-1]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What kind of resource it is, and which of its attributes tells it apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType {
    /// Namespaces, joined by `::`: letters, digits, `_` and `-`.
    pub namespace: String,
    /// The class: the same letters.
    pub class: String,
    /// The attribute whose value tells resources of this class and agent apart.
    pub attribute: String,
}

impl ResourceType {
    /// The type `namespace::class`, whose resources are told apart by `attribute`.
    pub fn new(namespace: &str, class: &str, attribute: &str) -> Self {
        Self { namespace: namespace.to_owned(), class: class.to_owned(), attribute: attribute.to_owned() }
    }

    /// The id of the resource of an agent that has this value.
    ///
    /// # Errors
    /// When something is empty, or the type has other letters.
    pub fn id(&self, agent: &str, value: &str) -> Result<ResourceId, InvalidResourceId> {
        let id = ResourceId { kind: self.clone(), agent: agent.to_owned(), value: value.to_owned(), version: None };
        id.is_whole().map(|()| id)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.namespace, self.class)
    }
}

/// What identifies a resource: written `ns::Type[agent,attribute=value]`, with `,v=N` for one version of it.
///
/// Letters that separate the parts are written in percent encoding where they belong to a part: `%` everywhere, `,` in the
/// agent, `,` and `=` in the attribute, `]` in all three, and control characters. So every id is read as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The kind of resource.
    pub kind: ResourceType,
    /// What acts on the resource: one resource of an agent at a time.
    pub agent: String,
    /// The value of the attribute that identifies it.
    pub value: String,
    /// The version, where one is meant.
    pub version: Option<u64>,
}

/// A text that is no id of a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no id of a resource (`ns::Type[agent,attribute=value]`): {reason}")]
pub struct InvalidResourceId {
    text: String,
    reason: String,
}

impl ResourceId {
    /// The same without a version: what names the resource over time.
    #[must_use]
    pub fn without_version(&self) -> Self {
        Self { version: None, ..self.clone() }
    }

    fn is_whole(&self) -> Result<(), InvalidResourceId> {
        let name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let ResourceType { namespace, class, attribute } = &self.kind;
        let reason = if !namespace.split("::").all(name) {
            "its namespace has other letters than letters, digits, `_` and `-`"
        } else if !name(class) {
            "its type has other letters than letters, digits, `_` and `-`"
        } else if self.agent.is_empty() {
            "it names no agent"
        } else if attribute.is_empty() {
            "it names no attribute"
        } else if self.value.is_empty() {
            "its value is empty"
        } else {
            return Ok(());
        };
        Err(InvalidResourceId { text: self.to_string(), reason: reason.to_owned() })
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, agent, value, version } = self;
        write!(
            f,
            "{kind}[{},{}={}]",
            Encoded(agent, &[',', ']']),
            Encoded(&kind.attribute, &[',', '=', ']']),
            Encoded(value, &[']'])
        )?;
        version.map_or(Ok(()), |version| write!(f, ",v={version}"))
    }
}

impl FromStr for ResourceId {
    type Err = InvalidResourceId;

    fn from_str(text: &str) -> Result<Self, InvalidResourceId> {
        let invalid = |reason: &str| InvalidResourceId { text: text.to_owned(), reason: reason.to_owned() };
        let (kind, rest) = text.split_once('[').ok_or_else(|| invalid("there is no `[`"))?;
        let (inner, version) = rest.split_once(']').ok_or_else(|| invalid("there is no `]`"))?;
        let (namespace, class) = kind.rsplit_once("::").ok_or_else(|| invalid("its type has no namespace"))?;
        let (agent, named) = inner.split_once(',').ok_or_else(|| invalid("there is no `,` behind the agent"))?;
        let (attribute, value) =
            named.split_once('=').ok_or_else(|| invalid("there is no `=` behind the attribute"))?;
        let part = |part: &str| decoded(part).ok_or_else(|| invalid("a `%` is followed by no two hexadecimal digits"));
        let version = match version.strip_prefix(",v=") {
            Some(number) => Some(number.parse().map_err(|_| invalid("its version is no whole number"))?),
            None if version.is_empty() => None,
            None => return Err(invalid("something follows the `]`")),
        };
        let kind = ResourceType::new(namespace, class, &part(attribute)?);
        let id = Self { kind, agent: part(agent)?, value: part(value)?, version };
        id.is_whole().map_err(|wrong| invalid(&wrong.reason))?;
        Ok(id)
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text with these letters, `%` and control characters in percent encoding.
struct Encoded<'a>(&'a str, &'a [char]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            if letter == '%' || letter.is_control() || self.1.contains(&letter) {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            } else {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// The text that a percent encoding stands for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_read() {
        let id: ResourceId = "std::net::File[host.name,path=/etc/a[1]".parse().unwrap();
        assert_eq!((id.kind.namespace.as_str(), id.kind.class.as_str()), ("std::net", "File"));
        assert_eq!((id.agent.as_str(), id.value.as_str(), id.version), ("host.name", "/etc/a[1", None));
        let versioned: ResourceId = "aa::Aa[aa,aa=aa],v=7".parse().unwrap();
        assert_eq!(versioned.version, Some(7));
        assert_eq!(versioned.without_version().to_string(), "aa::Aa[aa,aa=aa]");
    }

    #[test]
    fn letters_that_separate_the_parts_may_belong_to_them() {
        let kind = ResourceType::new("std", "File", "a=b");
        let id = kind.id("foo,bar", "100% ]\n").unwrap();
        assert_eq!(id.to_string(), "std::File[foo%2Cbar,a%3Db=100%25 %5D%0A]");
        assert_eq!(id.to_string().parse::<ResourceId>().unwrap(), id);
    }

    #[test]
    fn what_is_no_id_is_told_with_the_reason() {
        let cases = [
            ("File[a,b=c]", "no namespace"),
            ("std::File a", "no `[`"),
            ("std::File[a,b=c", "no `]`"),
            ("std::File[a]", "no `,`"),
            ("std::File[a,b]", "no `=`"),
            ("std::File[,b=c]", "no agent"),
            ("std::File[a,=c]", "no attribute"),
            ("std::File[a,b=]", "value is empty"),
            ("std::Fi le[a,b=c]", "its type has other letters"),
            (":: ::File[a,b=c]", "its namespace"),
            ("std::File[a,b=%2]", "hexadecimal"),
            ("std::File[a,b=c],v=x", "version is no whole number"),
            ("std::File[a,b=c] ", "something follows"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<ResourceId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_id_goes_round(
            agent in ".{1,12}", attribute in ".{1,6}", value in ".{1,20}", version in any::<Option<u64>>(),
        ) {
            let kind = ResourceType::new("aws::ec2", "Rule_1-a", &attribute);
            let id = ResourceId { version, ..kind.id(&agent, &value).unwrap() };
            prop_assert_eq!(id.to_string().parse::<ResourceId>().unwrap(), id);
        }
    }
}
