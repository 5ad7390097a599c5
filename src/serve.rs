//! Metrics in the Prometheus text format, and health, while a pipeline runs.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::provider::{CredentialStatus, RefreshReport};
use tidegate_pipeline::runtime::{EffectCounts, NodeState, NodeStatus, PipelineStatus};
use tidegate_pipeline::spec::pipeline::Section;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;
use crate::{refresh_api, status_page};

/// Starts the server: `/metrics`, `/status` (each node as JSON), `/healthz` (the process answers), `/readyz` (every node
/// runs), `POST /refresh` (inventory is read again).
pub(crate) async fn start(
    address: SocketAddr,
    graph: Arc<Graph>,
    status: Arc<PipelineStatus>,
    cancel: CancellationToken,
) -> Result<JoinHandle<()>, Failure> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| Failure::usage(format!("--serve {address}: {error}")))?;
    let local = listener.local_addr()?;
    tracing::info!(address = %local, "Metrics and health are served.");
    let name = graph.spec.name.value.to_string();
    let (for_metrics, for_status, for_refresh) = (Arc::clone(&status), Arc::clone(&status), Arc::clone(&status));
    let for_ready = status;
    let status_name = name.clone();
    let router = Router::new()
        .route(
            "/metrics",
            get(move || {
                let text = metrics(&name, &for_metrics);
                async { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
            }),
        )
        .route(
            "/status",
            get(move || {
                let text = status_page::json(&status_name, &for_status);
                async { ([(header::CONTENT_TYPE, "application/json")], text) }
            }),
        )
        .route(
            "/refresh",
            post(move |headers: HeaderMap, body: Bytes| {
                let answer = refresh_api::refresh(&for_refresh, &headers, &body);
                async { answer }
            }),
        )
        .route("/healthz", get(async || "ok\n"))
        .route(
            "/readyz",
            get(move || {
                let answer = ready(&for_ready, &cancel);
                async { answer }
            }),
        );
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "Metrics are no longer served.");
        }
    }))
}

fn ready(status: &PipelineStatus, cancel: &CancellationToken) -> (StatusCode, String) {
    let waiting =
        |node: &&Arc<NodeStatus>| !matches!(node.state(), NodeState::Running | NodeState::Stalled | NodeState::Ended);
    match status.nodes.iter().find(waiting) {
        _ if cancel.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()),
        Some(node) => (StatusCode::SERVICE_UNAVAILABLE, format!("node {} is not running\n", node.name)),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

/// The metrics of a pipeline. Labels are names of nodes: bounded by the pipeline's text.
fn metrics(pipeline: &str, status: &PipelineStatus) -> String {
    let mut text = String::new();
    let mut node_metric = |name: &str, kind: &str, help: &str, value: &dyn Fn(&NodeStatus) -> f64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for node in &status.nodes {
            let _ = writeln!(
                text,
                "{name}{{pipeline=\"{pipeline}\",node=\"{}\",kind=\"{}\"}} {}",
                node.name,
                node.kind,
                value(node)
            );
        }
    };
    node_metric("tidegate_rows_in_total", "counter", "Rows taken.", &|node| node.rows_in.load(Relaxed) as f64);
    node_metric("tidegate_rows_out_total", "counter", "Rows emitted on data ports.", &|node| {
        node.rows_out.load(Relaxed) as f64
    });
    node_metric("tidegate_rows_rejected_total", "counter", "Rows that could not be handled.", &|node| {
        node.rejected.load(Relaxed) as f64
    });
    node_metric("tidegate_steps_total", "counter", "Steps that had something for the node.", &|node| {
        node.steps.load(Relaxed) as f64
    });
    node_metric("tidegate_busy_seconds_total", "counter", "Time at work.", &|node| {
        node.busy.load(Relaxed) as f64 / 1e9
    });
    node_metric("tidegate_queue_rows", "gauge", "Rows waiting before the node.", &|node| node.queued_rows() as f64);
    node_metric("tidegate_up", "gauge", "1 while the node runs.", &|node| {
        f64::from(u8::from(matches!(node.state(), NodeState::Running | NodeState::Stalled)))
    });
    let mut source_metric = |name: &str, kind: &str, help: &str, value: &dyn Fn(&NodeStatus) -> f64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for node in status.nodes.iter().filter(|node| node.section == Section::Source) {
            let (source, kind) = (&node.name, &node.kind);
            let _ =
                writeln!(text, "{name}{{pipeline=\"{pipeline}\",node=\"{source}\",kind=\"{kind}\"}} {}", value(node));
        }
    };
    source_metric("tidegate_source_restarts_total", "counter", "How often the source was opened again.", &|node| {
        node.restarts.load(Relaxed) as f64
    });
    source_metric("tidegate_source_stalled", "gauge", "1 while the source gives nothing for `stall_after`.", &|node| {
        f64::from(u8::from(node.state() == NodeState::Stalled))
    });
    source_metric(
        "tidegate_source_last_arrival_seconds",
        "gauge",
        "When the source last gave something; 0 before.",
        &|node| node.last_arrival().unwrap_or_default() as f64 / 1e3,
    );
    refresh_metrics(&mut text, pipeline, status);
    effect_metrics(&mut text, pipeline, status);
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{pipeline=\"{pipeline}\"}} {value}");
    };
    metric("tidegate_step", "counter", "The last step made.", status.step.load(Relaxed) as f64);
    metric(
        "tidegate_step_time_seconds",
        "gauge",
        "The time of the last step.",
        status.step_time.load(Relaxed) as f64 / 1e3,
    );
    metric("tidegate_checkpoints_total", "counter", "Checkpoints committed.", status.checkpoints.load(Relaxed) as f64);
    metric(
        "tidegate_checkpoints_failed_total",
        "counter",
        "Checkpoints that failed.",
        status.checkpoints_failed.load(Relaxed) as f64,
    );
    metric(
        "tidegate_journal_bytes",
        "gauge",
        "Bytes of the journal at the last checkpoint.",
        status.journal_bytes.load(Relaxed) as f64,
    );
    metric(
        "tidegate_copies_total",
        "counter",
        "Checkpoints copied elsewhere.",
        status.copies.copied.load(Relaxed) as f64,
    );
    metric(
        "tidegate_copies_failed_total",
        "counter",
        "Copies of checkpoints that failed.",
        status.copies.failed.load(Relaxed) as f64,
    );
    if let Some(checkpoint) = &*status.last_checkpoint.lock() {
        metric("tidegate_checkpoint_step", "gauge", "The step of the newest checkpoint.", checkpoint.step.0 as f64);
        metric(
            "tidegate_checkpoint_created_seconds",
            "gauge",
            "When the newest checkpoint was made.",
            checkpoint.created as f64 / 1e3,
        );
        metric(
            "tidegate_checkpoint_duration_seconds",
            "gauge",
            "How long the newest checkpoint took.",
            checkpoint.took_ms as f64 / 1e3,
        );
    }
    text
}

/// A counter of refreshes: its name, what it counts, and where it stands.
type RefreshCounter = (&'static str, &'static str, fn(&RefreshReport) -> u64);

/// The metrics of refreshes, for each provider.
fn refresh_metrics(text: &mut String, pipeline: &str, status: &PipelineStatus) {
    let reports: Vec<(&str, RefreshReport)> =
        status.nodes.iter().filter_map(|node| Some((&*node.name, node.refresh.as_ref()?.status.report()))).collect();
    let mut refresh_metric = |name: &str, kind: &str, help: &str, value: &dyn Fn(&RefreshReport) -> f64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (node, report) in &reports {
            let _ = writeln!(text, "{name}{{pipeline=\"{pipeline}\",node=\"{node}\"}} {}", value(report));
        }
    };
    let counters: [RefreshCounter; 9] = [
        ("refreshes", "Refreshes of everything.", |of| of.refreshes),
        ("targeted_refreshes", "Refreshes of some objects of a group.", |of| of.targeted),
        ("refresh_targets", "Objects that were said to have changed.", |of| of.targets),
        ("refresh_unknown_targets", "Those that are in no scope which is collected.", |of| of.unknown_targets),
        ("refresh_merged", "Requests that joined one which waited.", |of| of.merged),
        ("refresh_escalated", "Requests for objects that became a refresh of their group.", |of| of.escalated),
        ("refresh_retries", "Targeted refreshes that failed and are tried again.", |of| of.retried),
        ("refresh_failed_scopes", "Scopes that failed.", |of| of.failed_scopes),
        ("refresh_ignored_rows", "Rows of targeted refreshes that were not asked for.", |of| of.ignored_rows),
    ];
    for (name, help, value) in counters {
        refresh_metric(&format!("tidegate_{name}_total"), "counter", help, &|of| value(of) as f64);
    }
    let seconds = |time: Option<i64>| time.unwrap_or_default() as f64 / 1e3;
    refresh_metric(
        "tidegate_refresh_begun_seconds",
        "gauge",
        "When everything was last begun to be read; 0 before.",
        &|of| seconds(of.begun),
    );
    refresh_metric("tidegate_refresh_ended_seconds", "gauge", "When that ended; 0 while it goes on.", &|of| {
        seconds(of.ended)
    });
    refresh_metric("tidegate_refresh_failing", "gauge", "1 when something failed in it.", &|of| {
        f64::from(u8::from(of.error.is_some()))
    });
    refresh_metric(
        "tidegate_credentials_valid",
        "gauge",
        "1 when the credentials were last found to be good.",
        &|of| f64::from(u8::from(of.credentials.now.as_ref().is_some_and(|now| now.status == CredentialStatus::Valid))),
    );
    refresh_metric("tidegate_unresolved_references", "gauge", "Rows that refer to what is not there.", &|of| {
        of.unresolved.iter().filter_map(|of| of.rows).sum::<u64>() as f64
    });
}

/// The metrics of effects, for each sink that has had any.
fn effect_metrics(text: &mut String, pipeline: &str, status: &PipelineStatus) {
    let counts = status.effects();
    let mut effect_metric = |name: &str, kind: &str, help: &str, value: &dyn Fn(&EffectCounts) -> u64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (sink, counts) in &counts {
            let _ = writeln!(text, "{name}{{pipeline=\"{pipeline}\",node=\"{sink}\"}} {}", value(counts));
        }
    };
    effect_metric("tidegate_effects_intended", "gauge", "Effects to be delivered.", &|of| of.intended as u64);
    effect_metric("tidegate_effects_awaiting_approval", "gauge", "Effects that await approval.", &|of| {
        of.awaiting_approval as u64
    });
    effect_metric("tidegate_effects_done_total", "counter", "Effects delivered.", &|of| of.tally.done);
    effect_metric("tidegate_effects_dead_total", "counter", "Effects given up.", &|of| of.tally.given_up);
    effect_metric("tidegate_effect_attempts_total", "counter", "Attempts to deliver effects.", &|of| of.tally.attempts);
    let (name, circuits) = ("tidegate_circuit_open", status.circuits());
    let _ = writeln!(text, "# HELP {name} 1 while the destination fails and is left alone.\n# TYPE {name} gauge");
    for sink in counts.keys() {
        let open = u8::from(circuits.contains_key(sink));
        let _ = writeln!(text, "{name}{{pipeline=\"{pipeline}\",node=\"{sink}\"}} {open}");
    }
}
