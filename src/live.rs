//! What is seen on a terminal while a pipeline runs: one live line per node.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate_pipeline::runtime::{NodeState, NodeStatus, PipelineStatus};
use tidegate_pipeline::spec::pipeline::Section;

const REFRESH: Duration = Duration::from_millis(250);
/// How much of the reason for a retry is shown, in characters.
const TROUBLE: usize = 80;

/// Shows the lines until it is aborted.
pub(crate) async fn show(status: Arc<PipelineStatus>) {
    let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
    let style =
        ProgressStyle::with_template("{prefix:>24.bold} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = |name: &str| lines.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(name.to_owned()));
    let head = bar("");
    let bars: Vec<ProgressBar> = status.nodes.iter().map(|node| bar(&node.name)).collect();
    let mut before: Vec<u64> = vec![0; bars.len()];
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(REFRESH).await;
        let seconds = last.elapsed().as_secs_f64().max(0.001);
        last = Instant::now();
        for ((node, bar), before) in status.nodes.iter().zip(&bars).zip(&mut before) {
            let rows =
                if node.section == Section::Source { node.rows_out.load(Relaxed) } else { node.rows_in.load(Relaxed) };
            let rate = (rows - *before) as f64 / seconds;
            *before = rows;
            let state = state(node);
            let rejected = match node.rejected.load(Relaxed) {
                0 => String::new(),
                count => format!("  {count} rejected"),
            };
            bar.set_message(format!(
                "{rate:>12.0} rows/s  {rows:>12} rows  queue {:>7}  {state}{rejected}",
                node.queued_rows()
            ));
        }
        let checkpoint = match &*status.last_checkpoint.lock() {
            Some(checkpoint) => format!(
                "checkpoint {} at step {}, took {} ms",
                checkpoint.number.0, checkpoint.step, checkpoint.took_ms
            ),
            None => "no checkpoint yet".to_owned(),
        };
        head.set_message(format!("step {}  {checkpoint}", status.step.load(Relaxed)));
    }
}

/// How a node is, in a few words: a source that does not give anything says why.
fn state(node: &NodeStatus) -> String {
    match node.state() {
        NodeState::Starting => "starting".to_owned(),
        NodeState::Running => running(node),
        NodeState::Retrying => {
            let why: String = node.trouble_now().unwrap_or_default().chars().take(TROUBLE).collect();
            format!("retrying ({}): {why}", node.restarts.load(Relaxed))
        }
        NodeState::Stalled => match node.last_arrival() {
            Some(last) => format!("stalled: nothing since {}", shown(last)),
            None => "stalled: nothing yet".to_owned(),
        },
        NodeState::Ended => "ended".to_owned(),
        NodeState::Failed => "failed".to_owned(),
    }
}

/// How far the refresh of a provider is.
fn running(node: &NodeStatus) -> String {
    let Some(report) = node.refresh.as_ref().map(|refresh| refresh.status.report()) else {
        return "running".to_owned();
    };
    let (done, all, rows) = (report.groups_done, report.groups, report.rows);
    match (report.running, report.error) {
        (true, _) => format!("refreshing: {done} of {all}, {rows} rows read"),
        (false, Some(error)) => format!("running; last refresh: {}", error.chars().take(TROUBLE).collect::<String>()),
        (false, None) => "running".to_owned(),
    }
}

/// A time in ms since 1970, to the second.
fn shown(time: i64) -> String {
    jiff::Timestamp::from_second(time.div_euclid(1000)).map(|time| time.to_string()).unwrap_or_default()
}

/// Leaves the terminal clean, however the display ended.
pub(crate) fn clear(_ended: &Result<(), tokio::task::JoinError>) {
    // Dropping the bars has erased their lines already.
}
