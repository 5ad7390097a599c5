//! Services that take requests: each a file of `presets/` that says where to send what, and what it wants to know.
//!
//! A preset has *parameters* (constant texts, secrets, templates over the row), one or more ways to *send*, of which the
//! first counts whose parameters are given, and a *body*, a template that sees `row` and `parameters`.

use std::collections::BTreeMap;

use minijinja::Value;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use schemars::Schema;
use serde::Deserialize;
use serde_json::json;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{PlannedSink, SinkKind};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{NOWHERE, Options, Secret, Tree};

use super::body::{Content, Encoder};
use super::destination::{Address, Destination, SecretText};
use super::options::{header_name, is_json};
use super::sending::SendingOptions;
use super::template::{Known, PARAMETERS, Template};
use crate::places::Places;
use crate::sources::http_client;

/// All presets: name, summary, text.
const PRESETS: [(&str, &str, &str); 7] = [
    ("alertmanager", "Alerts of Prometheus Alertmanager", include_str!("presets/alertmanager.yaml")),
    ("azure_devops", "Work items of Azure DevOps", include_str!("presets/azure_devops.yaml")),
    ("github_issue", "Issues of a repository on GitHub", include_str!("presets/github_issue.yaml")),
    ("jira", "Issues of Jira", include_str!("presets/jira.yaml")),
    ("opsgenie", "Alerts of Opsgenie, closed when what they tell is over", include_str!("presets/opsgenie.yaml")),
    ("pagerduty", "Alerts of PagerDuty, resolved when what they tell is over", include_str!("presets/pagerduty.yaml")),
    ("slack", "Messages in a Slack channel", include_str!("presets/slack.yaml")),
];

/// The kinds of sinks that are presets.
pub(crate) fn kinds() -> impl Iterator<Item = Box<dyn SinkKind>> {
    PRESETS.iter().map(|(name, summary, text)| Box::new(PresetKind { name, summary, text }) as Box<dyn SinkKind>)
}

/// One preset.
#[derive(Debug, Clone, Copy)]
struct PresetKind {
    name: &'static str,
    summary: &'static str,
    text: &'static str,
}

/// A preset as its file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    about: String,
    parameters: BTreeMap<String, Parameter>,
    /// The rate where the user names none.
    rate: Option<String>,
    #[serde(default = "json_content")]
    content_type: String,
    send: Vec<Sending>,
    body: String,
}

fn json_content() -> String {
    "application/json".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    kind: ParameterKind,
    about: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ParameterKind {
    /// The same for every row.
    Text,
    /// Rendered for each row.
    Template,
    /// Known to the delivery alone.
    Secret,
}

/// A way to send.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    /// The parameters that must be given.
    needs: Vec<String>,
    url: Option<String>,
    secret_url: Option<String>,
    authorization: Option<Authorization>,
    login: Option<Login>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Fields of the body that are secrets: the names of their parameters.
    #[serde(default)]
    secret_fields: BTreeMap<String, String>,
    must_be_true: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    before: String,
    secret: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The parameter that names who it is; nobody where there is none.
    name: Option<String>,
    password: String,
}

/// What the user gives for parameters.
#[derive(Default)]
struct Given {
    texts: BTreeMap<String, Located<String>>,
    secrets: BTreeMap<String, Secret>,
}

impl PresetKind {
    fn preset(&self) -> Result<Preset, Vec<Diagnostic>> {
        Options::parse(self.text)?.read()
    }
}

impl SinkKind for PresetKind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn schema(&self) -> Schema {
        let mut schema = schemars::schema_for!(SendingOptions);
        // A test reads every preset: none is broken.
        let Ok(preset) = self.preset() else { return schema };
        schema.insert("title".to_owned(), json!(self.name));
        schema.insert("description".to_owned(), json!(preset.about.trim()));
        let secret = json!({"$ref": "#/$defs/Secret"});
        let mut required = Vec::new();
        let mut properties = serde_json::Map::new();
        for (name, parameter) in &preset.parameters {
            let about = match parameter.kind {
                ParameterKind::Template => format!("{} A template over the row.", parameter.about),
                ParameterKind::Text | ParameterKind::Secret => parameter.about.clone(),
            };
            let mut property = match parameter.kind {
                ParameterKind::Secret => json!({"anyOf": [secret]}),
                ParameterKind::Text | ParameterKind::Template => json!({"type": "string"}),
            };
            property["description"] = json!(about);
            if let Some(default) = &parameter.default {
                property["default"] = json!(default);
            }
            if parameter.required {
                required.push(name.clone());
            }
            properties.insert(name.clone(), property);
        }
        if let Some(serde_json::Value::Object(shared)) = schema.get("properties") {
            properties.extend(shared.clone());
        }
        let mut definitions = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
        definitions["Secret"] = schemars::schema_for!(Secret).to_value();
        schema.insert("$defs".to_owned(), definitions);
        schema.insert("properties".to_owned(), serde_json::Value::Object(properties));
        schema.insert("required".to_owned(), json!(required));
        schema
    }

    fn dispatches(&self) -> bool {
        true
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let preset = self.preset()?;
        let (given, rest) = preset.take(options)?;
        let mut sending: SendingOptions = rest.read()?;
        if sending.rate.is_none() {
            sending.rate.clone_from(&preset.rate);
        }
        let mut found = Vec::new();
        let places = Places(options);
        let checked = sending.check(&places, &context.working_directory, &mut found);
        let key = sending.key(options, context).unwrap_or_else(|wrong| {
            found.push(wrong);
            None
        });
        let way = preset.way(&given, &places).map_err(|wrong| found.push(wrong)).ok();
        let parameters = preset.templates(&given, context, &mut found);
        let body = preset.template(&preset.body, context).map_err(|wrong| found.push(wrong)).ok();
        let address = way
            .as_ref()
            .and_then(|way| preset.address(way, &given, &places, context).map_err(|wrong| found.push(wrong)).ok());
        let (Some(way), Some(body), Some((address, url)), true) = (way, body, address, found.is_empty()) else {
            return Err(found);
        };
        let is_json = is_json(&preset.content_type);
        let content = Content::Template { template: body, is_json };
        let encoder = Encoder { content, parameters, batch: None, key, url, longest: checked.longest_body };
        let secret = |name: &String| given.secrets.get(name).cloned();
        let mut secret_headers = Vec::new();
        if let Some(Authorization { before, secret: name }) = &way.authorization
            && let Some(secret) = secret(name)
        {
            secret_headers.push((AUTHORIZATION, SecretText { before: before.clone(), secret }));
        }
        let login = way.login.as_ref().map(|login| {
            let name = login.name.as_ref().and_then(|name| given.texts.get(name));
            (name.map(|name| name.value.clone()).unwrap_or_default(), secret(&login.password))
        });
        let fields = way.secret_fields.iter();
        let destination = Destination {
            address,
            method: Method::POST,
            headers: headers(&way.headers),
            secret_headers,
            cookies: Vec::new(),
            login,
            standard: None,
            signing: None,
            secret_fields: fields.filter_map(|(field, name)| Some((field.clone(), secret(name)?))).collect(),
            cloud_events: None,
            content_type: preset.content_type.clone(),
            gzip: false,
            must_be_true: way.must_be_true.clone(),
            sending: checked,
        };
        Ok(super::planned(encoder, destination))
    }
}

/// The headers of a preset. A test sends every preset: none of these is unfit.
fn headers(given: &BTreeMap<String, String>) -> HeaderMap {
    let header =
        |(name, value): (&String, &String)| Some((header_name(name).ok()?, HeaderValue::from_str(value).ok()?));
    given.iter().filter_map(header).collect()
}

impl Preset {
    /// What the user gives for parameters, and the options that are none.
    fn take(&self, options: &Options) -> Result<(Given, Options), Vec<Diagnostic>> {
        let Tree::Map(entries) = &options.tree.value else { return Ok((Given::default(), options.clone())) };
        let (mut given, mut rest, mut found) = (Given::default(), Vec::new(), Vec::new());
        for (name, value) in entries {
            let Some(parameter) = self.parameters.get(name.value.as_ref()) else {
                rest.push((name.clone(), value.clone()));
                continue;
            };
            // Read by itself, it is noted as a secret of the whole.
            let one = part(options, value.clone());
            let name = name.value.to_string();
            match parameter.kind {
                ParameterKind::Secret => match one.read::<Secret>() {
                    Ok(secret) => drop(given.secrets.insert(name, secret)),
                    Err(wrong) => found.extend(wrong),
                },
                ParameterKind::Text | ParameterKind::Template => match text(&value.value) {
                    Some(text) => drop(given.texts.insert(name, Located::new(text, value.place))),
                    None => found.push(Diagnostic::error(value.place, format!("`{name}` is a text"))),
                },
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok((given, part(options, Located::new(Tree::Map(rest), options.tree.place))))
    }

    /// The first way to send whose parameters are given.
    fn way(&self, given: &Given, places: &Places<'_>) -> Result<Sending, Diagnostic> {
        let there = |name: &String| given.texts.contains_key(name) || given.secrets.contains_key(name);
        if let Some(way) = self.send.iter().find(|way| way.needs.iter().all(there)) {
            return Ok(way.clone());
        }
        let ways = self.send.iter().map(|way| format!("`{}`", way.needs.join("`, `")));
        let ways: Vec<String> = ways.collect();
        Err(places.at("", format!("it needs {}", ways.join(" — or "))))
    }

    /// The templates whose results are `parameters`.
    fn templates(
        &self,
        given: &Given,
        context: &mut PlanContext<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> BTreeMap<String, Template> {
        let mut templates = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            let own = parameter.default.clone().unwrap_or_default();
            let planned = match (parameter.kind, given.texts.get(name)) {
                (ParameterKind::Secret, _) => continue,
                (ParameterKind::Text, text) => Ok(Template::of_text(text.map_or(own, |text| text.value.clone()))),
                (ParameterKind::Template, None) => self.template(&own, context),
                (ParameterKind::Template, Some(text)) => {
                    let known = Known { schema: &context.schema, open: context.open, batch: false };
                    Template::plan(text, &known, context.warnings)
                }
            };
            match planned {
                Ok(template) => drop(templates.insert(name.clone(), template)),
                Err(wrong) => found.push(wrong),
            }
        }
        templates
    }

    /// A template of the preset's own.
    fn template(&self, text: &str, context: &mut PlanContext<'_>) -> Result<Template, Diagnostic> {
        let known = Known { schema: &context.schema, open: false, batch: false };
        Template::plan(&Located::new(text.to_owned(), NOWHERE), &known, context.warnings)
    }

    /// Where to send to: a place that is known now, or that the row decides.
    fn address(
        &self,
        way: &Sending,
        given: &Given,
        places: &Places<'_>,
        context: &mut PlanContext<'_>,
    ) -> Result<(Address, Option<Template>), Diagnostic> {
        if let Some(secret) = way.secret_url.as_ref().and_then(|name| given.secrets.get(name)) {
            return Ok((Address::Secret(secret.clone()), None));
        }
        let text = way.url.clone().unwrap_or_default();
        let template = self.template(&text, context)?;
        let constant = |name: &String| {
            let parameter = name.strip_prefix("parameters.").and_then(|name| self.parameters.get(name));
            parameter.is_some_and(|parameter| parameter.kind == ParameterKind::Text)
        };
        if !template.names().iter().all(constant) {
            return Ok((Address::OfRow, Some(template)));
        }
        let value = |(name, parameter): (&String, &Parameter)| {
            let given = given.texts.get(name).map(|text| text.value.clone());
            let text = given.or_else(|| parameter.default.clone())?;
            Some((name.clone(), Value::from(text.trim_end_matches('/'))))
        };
        let texts: BTreeMap<String, Value> = self.parameters.iter().filter_map(value).collect();
        let url = template.render(BTreeMap::from([(PARAMETERS.to_owned(), Value::from(texts))]));
        let url = url.and_then(|url| http_client::parse(url.trim())).map_err(|why| places.at("url", why))?;
        Ok((Address::Fixed(url), None))
    }
}

/// A part of the options: what reading it shows is noted with the whole.
fn part(options: &Options, tree: Located<Tree>) -> Options {
    let mut part = options.clone();
    part.tree = tree;
    part
}

/// A value as a text.
fn text(value: &Tree) -> Option<String> {
    match value {
        Tree::Text(text) => Some(text.to_string()),
        Tree::Integer(number) => Some(number.to_string()),
        Tree::Float(number) => Some(number.to_string()),
        Tree::Bool(value) => Some(value.to_string()),
        Tree::Null | Tree::List(_) | Tree::Map(_) => None,
    }
}
