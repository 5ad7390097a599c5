//! The sources, providers and sinks of Tidegate: everything that touches the outside.
//!
//! Each is in the file or folder that has its name in YAML: [`mod@sources`] give events or rows, [`mod@providers`] are
//! sources of keyed tables of inventory, [`mod@sinks`] write. [`decode`] makes Arrow rows of JSON lines and CSV, in
//! parallel, before the sequencer sees them. What they owe to the engine is said by
//! [`tidegate_pipeline::source`], [`tidegate_pipeline::provider`] and [`tidegate_pipeline::sink`].

pub mod cassette;
mod conversation;
pub mod decode;
pub mod diagnosis;
pub mod event;
pub mod handlers;
mod pem;
mod places;
mod program;
pub mod providers;
pub mod sinks;
pub mod sources;
mod tls;

pub use sinks::console::is_closed_output;
use tidegate_pipeline::handler::sink::HandlerSinkKind;
use tidegate_pipeline::sink::SinkKind;
use tidegate_pipeline::source::SourceKind;

/// The kinds of sources that this crate offers.
pub fn sources() -> Vec<Box<dyn SourceKind>> {
    vec![
        Box::new(sources::alertmanager::AlertmanagerKind),
        Box::new(sources::amqp::AmqpKind),
        Box::new(sources::amqp::ServiceBusKind),
        Box::new(sources::exec::ExecKind),
        Box::new(sources::file::FileKind),
        Box::new(sources::file_watch::FileWatchKind),
        Box::new(sources::generic::GenericKind),
        Box::new(providers::host::HostKind),
        Box::new(sources::http_poll::HttpPollKind),
        Box::new(sources::journald::JournaldKind),
        Box::new(sources::kafka::KafkaKind),
        Box::new(sources::mqtt::MqttKind),
        Box::new(sources::nats::NatsKind),
        Box::new(sources::pg_listener::PgListenerKind),
        Box::new(sources::range::RangeKind),
        Box::new(sources::tick::TickKind),
        Box::new(sources::url_check::UrlCheckKind),
        Box::new(sources::webhook::WebhookKind),
    ]
}

/// The kinds of sinks that this crate offers.
pub fn sinks() -> Vec<Box<dyn SinkKind>> {
    let own: Vec<Box<dyn SinkKind>> = vec![
        Box::new(sinks::console::ConsoleKind),
        Box::new(sinks::drop::DropKind),
        Box::new(sinks::email::EmailKind),
        Box::new(sinks::file::FileKind),
        Box::new(sinks::kafka::KafkaKind),
        Box::new(sinks::shutdown::ShutdownSinkKind),
        Box::new(sinks::webhook::WebhookKind),
    ];
    own.into_iter().chain(sinks::webhook::presets::kinds()).collect()
}

/// The kinds of handlers that this crate offers: sinks that enforce what something outside shall be.
pub fn handlers() -> Vec<Box<dyn SinkKind>> {
    vec![
        HandlerSinkKind::boxed(handlers::exec_resource::ExecResourceKind),
        HandlerSinkKind::boxed(handlers::file_resource::FileResourceKind),
        HandlerSinkKind::boxed(handlers::http_resource::HttpResourceKind),
    ]
}
