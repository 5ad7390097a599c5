//! The options of `alertmanager`.

use schemars::JsonSchema;
use serde::Deserialize;

/// The options of `alertmanager`, beside those of every listener. Those of Ansible EDA have its defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerOptions {
    /// The name or address to listen on; all addresses of a name.
    #[serde(default = "localhost")]
    pub host: String,
    /// The port to listen on.
    #[serde(default = "port")]
    pub port: u16,
    /// Where in the notification its alerts are; empty: the whole of it is one alert.
    #[serde(default = "alerts")]
    pub data_alerts_path: String,
    /// Where in an alert its host is; empty: nowhere.
    #[serde(default = "instance")]
    pub data_host_path: String,
    /// What separates the names of these paths.
    #[serde(default = "dot")]
    pub data_path_separator: String,
    /// Give the alerts alone, not the notification before them.
    #[serde(default)]
    pub skip_original_data: bool,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn port() -> u16 {
    5000
}

fn alerts() -> String {
    "alerts".to_owned()
}

fn instance() -> String {
    "labels.instance".to_owned()
}

fn dot() -> String {
    ".".to_owned()
}
