//! Policy documents, of users, roles and buckets: as they were written, in one form whatever the way they were written,
//! and statement by statement.
//!
//! In a document one value may stand for a list of one, actions may be in any case, and lists in any order. The one form
//! has lists everywhere, sorted, actions and the keys of conditions in lower case, and `"*"` as principal written as
//! `{"AWS": ["*"]}`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::percent::decoded;
use crate::provider::Table;

/// The longest text of a document: that of any service of AWS is far shorter.
const LONGEST: usize = 1 << 20;

/// A policy document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// `None` where it is not to be understood.
    written: Option<Value>,
    text: String,
}

/// One statement of a document, in the one form.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Statement {
    index: i64,
    sid: Option<String>,
    effect: Option<String>,
    principals: Vec<String>,
    not_principals: Vec<String>,
    actions: Vec<String>,
    not_actions: Vec<String>,
    resources: Vec<String>,
    not_resources: Vec<String>,
    condition: Option<String>,
    /// As it was written.
    pub(crate) written: Value,
}

impl Document {
    /// A document that is written as JSON.
    pub(crate) fn new(text: &str) -> Self {
        let written = Some(text).filter(|text| text.len() <= LONGEST);
        let written = written.and_then(|text| serde_json::from_str(text).ok()).filter(Value::is_object);
        Self { written, text: text.to_owned() }
    }

    /// A document as IAM gives it: JSON that is encoded as part of a URL.
    pub(crate) fn encoded(text: &str) -> Self {
        Self::new(&decoded(text))
    }

    /// A document that was read already.
    pub(crate) fn of(written: &Value) -> Self {
        Self { text: written.to_string(), written: Some(written.clone()).filter(Value::is_object) }
    }

    /// As it was written: JSON, without spaces.
    pub(crate) fn json(&self) -> Value {
        self.written.clone().unwrap_or_else(|| Value::from(self.text.as_str()))
    }

    /// The same as text.
    pub(crate) fn text(&self) -> String {
        self.written.as_ref().map_or_else(|| self.text.clone(), Value::to_string)
    }

    /// In the one form; `None` where it is not to be understood.
    pub(crate) fn standard(&self) -> Option<Value> {
        let mut standard = sorted(self.written.as_ref()?.as_object()?.iter().filter(|(name, _)| *name != "Statement"));
        let statements = self.written_statements().into_iter().map(standard_statement);
        standard.insert("Statement".to_owned(), statements.collect());
        Some(Value::Object(standard.into_iter().collect()))
    }

    /// Its statements, in the order in which they were written.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let statement = |(index, written): (i64, &Value)| Statement { index, ..Statement::new(written) };
        (0..).zip(self.written_statements()).map(statement).collect()
    }

    fn written_statements(&self) -> Vec<&Value> {
        match self.written.as_ref().and_then(|written| written.get("Statement")) {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(single) => vec![single],
            None => Vec::new(),
        }
    }
}

impl Statement {
    /// Its number in the document, from 0.
    pub(crate) fn index(&self) -> i64 {
        self.index
    }

    fn new(written: &Value) -> Self {
        let standard = standard_statement(written);
        let text = |name: &str| standard.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| {
            let list = standard.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            index: 0,
            sid: text("Sid"),
            effect: text("Effect"),
            principals: principals(standard.get("Principal")),
            not_principals: principals(standard.get("NotPrincipal")),
            actions: list("Action"),
            not_actions: list("NotAction"),
            resources: list("Resource"),
            not_resources: list("NotResource"),
            condition: standard.get("Condition").map(Value::to_string),
            written: written.clone(),
        }
    }
}

/// Members by name, so that they have one order.
fn sorted<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> BTreeMap<String, Value> {
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn standard_statement(written: &Value) -> Value {
    let members = sorted(written.as_object().into_iter().flatten()).into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "Action" | "NotAction" => list(&value, str::to_lowercase),
            "Resource" | "NotResource" => list(&value, str::to_owned),
            "Principal" | "NotPrincipal" => principal(&value),
            "Condition" => condition(&value),
            _ => value,
        };
        (name, value)
    });
    Value::Object(members.collect())
}

/// Texts as a sorted list in which each is once.
fn list(value: &Value, made: impl Fn(&str) -> String) -> Value {
    let texts: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        single => vec![single],
    };
    let text = |value: &Value| match value {
        Value::String(text) => made(text),
        other => made(&other.to_string()),
    };
    texts.into_iter().map(text).collect::<BTreeSet<String>>().into_iter().map(Value::String).collect()
}

fn principal(value: &Value) -> Value {
    match value {
        Value::Object(kinds) => Value::Object(
            sorted(kinds.iter()).iter().map(|(kind, who)| (kind.clone(), list(who, str::to_owned))).collect(),
        ),
        everybody => Value::Object(Map::from_iter([("AWS".to_owned(), list(everybody, str::to_owned))])),
    }
}

fn condition(value: &Value) -> Value {
    let Some(operators) = value.as_object() else { return value.clone() };
    let keys = |keys: &Value| match keys.as_object() {
        Some(keys) => {
            let keys = keys.iter().map(|(key, values)| (key.to_lowercase(), list(values, str::to_owned)));
            Value::Object(keys.collect::<BTreeMap<_, _>>().into_iter().collect())
        }
        None => keys.clone(),
    };
    Value::Object(sorted(operators.iter()).iter().map(|(operator, given)| (operator.clone(), keys(given))).collect())
}

/// Who is named: `*` for everybody, else `Service:ec2.amazonaws.com`.
fn principals(standard: Option<&Value>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (kind, who) in standard.and_then(Value::as_object).into_iter().flatten() {
        for who in who.as_array().into_iter().flatten().filter_map(Value::as_str) {
            found.insert(if who == "*" && kind == "AWS" { who.to_owned() } else { format!("{kind}:{who}") });
        }
    }
    found.into_iter().collect()
}

/// Adds the columns of a statement. Its number is part of what identifies it.
pub(crate) fn statement_columns<R: 'static>(table: Table<R>, of: fn(&R) -> &Statement) -> Table<R> {
    table
        .integer("statement_index", "The number of the statement in the policy, from 0.", move |row| Some(of(row).index))
        .identified_by("statement_index")
        .text("sid", "The name of the statement.", move |row| of(row).sid.as_deref())
        .text("effect", "`Allow` or `Deny`.", move |row| of(row).effect.as_deref())
        .texts("principals", "Whom it is about: `*` for everybody, else `AWS:…`, `Service:…`, `Federated:…`.", move |row| {
            of(row).principals.clone()
        })
        .texts("not_principals", "Whom it is not about, where it is about all others.", move |row| {
            of(row).not_principals.clone()
        })
        .texts("actions", "The actions, in lower case: `s3:getobject`, `s3:*`, `*`.", move |row| of(row).actions.clone())
        .texts("not_actions", "The actions that it is not about, where it is about all others.", move |row| {
            of(row).not_actions.clone()
        })
        .texts("resources", "The resources: ARNs, or `*`.", move |row| of(row).resources.clone())
        .texts("not_resources", "The resources that it is not about, where it is about all others.", move |row| {
            of(row).not_resources.clone()
        })
        .text(
            "condition",
            "Under which condition, as JSON with keys in lower case and lists: `{\"Bool\":{\"aws:securetransport\":[\"false\"]}}`.",
            move |row| of(row).condition.as_deref(),
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn however_a_document_is_written_its_one_form_is_the_same() {
        let one = Document::new(
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "S3:*",
                "Resource": ["b", "a", "b"], "Condition": {"Bool": {"aws:SecureTransport": false}}}}"#,
        );
        let other = Document::new(
            r#"{"Statement": [{"Condition": {"Bool": {"AWS:securetransport": ["false"]}}, "Resource": ["a", "b"],
                "Action": ["s3:*"], "Principal": {"AWS": "*"}, "Effect": "Deny"}], "Version": "2012-10-17"}"#,
        );
        let standard = json!({"Statement": [{
            "Action": ["s3:*"], "Condition": {"Bool": {"aws:securetransport": ["false"]}}, "Effect": "Deny",
            "Principal": {"AWS": ["*"]}, "Resource": ["a", "b"],
        }], "Version": "2012-10-17"});
        assert_eq!(one.standard().unwrap().to_string(), standard.to_string());
        assert_eq!(other.standard().unwrap().to_string(), standard.to_string());
        let statement = &one.statements()[0];
        assert_eq!(
            (&statement.principals[..], &statement.actions[..]),
            (&["*".to_owned()][..], &["s3:*".to_owned()][..])
        );
        assert_eq!(statement.condition.as_deref(), Some(r#"{"Bool":{"aws:securetransport":["false"]}}"#));
        assert_eq!(statement.written["Action"], "S3:*");
    }

    #[test]
    fn iam_encodes_documents_and_a_statement_says_who_is_trusted() {
        let trust = Document::encoded(
            "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com\
             %22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D",
        );
        assert_eq!(trust.statements()[0].principals, ["Service:ec2.amazonaws.com"]);
        assert!(trust.text().starts_with("{\"Statement\":[{\"Effect\":\"Allow\""));
    }

    #[test]
    fn what_is_no_document_is_kept_as_text_and_has_no_statements() {
        for text in ["", "{", "[]", "\"a\"", "{\"Statement\": 1"] {
            let document = Document::new(text);
            assert_eq!((document.standard(), document.statements(), document.text().as_str()), (None, vec![], text));
        }
        assert_eq!(Document::new("{\"Statement\": 1}").statements().len(), 1);
    }
}
