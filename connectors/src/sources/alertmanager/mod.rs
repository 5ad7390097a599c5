//! `alertmanager`: takes the notifications of Prometheus' Alertmanager, and gives one event per alert.

pub mod options;
#[cfg(test)]
mod tests;

use std::path::Path;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use hyper::StatusCode;
use serde_json::{Map, Value};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Secret, Together};
use uuid::Uuid;

use self::options::AlertmanagerOptions;
use super::http::{self, Admission, ListenOptions, ListenSettings, Opening, Received, Refusal, Translation};
use crate::event::{Envelope, EventMeta, Field, event_port};
use crate::places::Places;

/// The kind `alertmanager`.
#[derive(Debug, Clone, Copy)]
pub struct AlertmanagerKind;

impl SourceKind for AlertmanagerKind {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.alertmanager", "eda.builtin.alertmanager"]
    }

    fn summary(&self) -> &'static str {
        "Takes the notifications of Prometheus' Alertmanager; one event per alert"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Acknowledged,
            on_crash: "What was answered with 2xx is there, once. What was not answered may be there, and Alertmanager \
                       sends it again.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<AlertmanagerOptions, ListenOptions>)
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        Some(self.name().to_owned())
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let planned = PlannedAlertmanager::new(options.read()?, &Places(options), &context.working_directory)?;
        let ports = vec![event_port(planned.schema.clone())];
        Ok(PlannedSource { envelope: true, ..PlannedSource::new(Delivery::Inline, ports, planned) })
    }
}

struct PlannedAlertmanager {
    settings: ListenSettings,
    options: AlertmanagerOptions,
    token: Option<Secret>,
    schema: SchemaRef,
}

impl PlannedAlertmanager {
    fn new(
        Together(options, listen): Together<AlertmanagerOptions, ListenOptions>,
        places: &Places<'_>,
        folder: &Path,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let settings = listen.settings((&options.host, options.port), places, folder, &mut found).ok_or(found)?;
        let schema = envelope_schema([], [Column::new("endpoint", DataType::Utf8, true)]);
        Ok(Self { settings, options, token: listen.token, schema })
    }
}

#[async_trait]
impl OpenSource for PlannedAlertmanager {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let opening = Opening {
            settings: &self.settings,
            schema: &self.schema,
            admission: Admission::default().with_token(self.token.as_ref())?,
            translation: Box::new(Notifications {
                envelope: Envelope::new(&context.node, "alertmanager"),
                alerts: Lookup::new(&self.options.data_alerts_path, &self.options.data_path_separator),
                host: Lookup::new(&self.options.data_host_path, &self.options.data_path_separator),
                skip_original: self.options.skip_original_data,
            }),
            // Alertmanager names neither its notifications nor their repetitions.
            id_headers: Vec::new(),
            remembered: 0,
            shown_headers: None,
            status: StatusCode::ACCEPTED,
        };
        http::open(opening, &context).await
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let admission = Admission::default().with_token(self.token.as_ref());
        http::diagnose(&self.settings, admission, found).await;
    }
}

/// A path into a value: the names of members, outermost first. Without any, it finds nothing.
struct Lookup(Vec<String>);

impl Lookup {
    fn new(path: &str, separator: &str) -> Self {
        match (path, separator) {
            ("", _) => Self(Vec::new()),
            (path, "") => Self(vec![path.to_owned()]),
            (path, separator) => Self(path.split(separator).map(str::to_owned).collect()),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        if self.is_empty() { None } else { self.0.iter().try_fold(value, |value, name| value.get(name)) }
    }
}

/// The events of a notification: the whole of it, then each of its alerts.
struct Notifications {
    envelope: Envelope,
    alerts: Lookup,
    host: Lookup,
    skip_original: bool,
}

impl Notifications {
    fn alerts<'v>(&self, payload: &'v Value) -> Vec<&'v Value> {
        if self.alerts.is_empty() {
            return vec![payload];
        }
        match self.alerts.find(payload) {
            None => Vec::new(),
            Some(Value::Array(alerts)) => alerts.iter().collect(),
            Some(one) => vec![one],
        }
    }

    /// The host that an alert is about: what stands before the first `:` (then a port follows).
    fn host(&self, alert: &Value) -> Option<String> {
        let host = self.host.find(alert)?.as_str()?;
        Some(host.split(':').next().unwrap_or(host).to_owned())
    }
}

impl Translation for Notifications {
    fn events(&self, received: Received<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
        let invalid = |_| Refusal::new(StatusCode::BAD_REQUEST, "Invalid JSON payload");
        let payload: Value = serde_json::from_str(received.body).map_err(invalid)?;
        let mut more = Map::new();
        more.insert("endpoint".to_owned(), received.endpoint.as_ref().into());
        more.insert("headers".to_owned(), received.headers.into());
        let mut events = Vec::new();
        if !self.skip_original {
            let meta = EventMeta { uuid: Some(received.uuid.to_string()), more: more.clone(), ..EventMeta::default() };
            events.push(self.envelope.line(&[("payload", Field::Value(&payload))], &meta));
        }
        for (number, alert) in self.alerts(&payload).into_iter().enumerate() {
            let meta = EventMeta {
                uuid: Some(Uuid::new_v5(&received.uuid, number.to_string().as_bytes()).to_string()),
                hosts: self.host(alert).into_iter().collect(),
                more: more.clone(),
            };
            events.push(self.envelope.line(&[("alert", Field::Value(alert))], &meta));
        }
        Ok(events)
    }

    fn page(&self) -> Option<&'static str> {
        Some("up")
    }
}
