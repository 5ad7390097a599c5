//! The pipelines that are killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tidegate_pipeline::runtime::{EffectReach, EffectState, list_effects};

use crate::child::{NAME, PIPELINE, STATE, Task, child};
use crate::events;
use crate::program::{Done, Numbers, Outputs, command};
use crate::server::{Server, moody, strict};

/// A pipeline, and what its runs are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Events through most operators, by the program.
    Events,
    /// Inventory and a check.
    Inventory,
    /// Effects to a local server, over a diamond whose edges hold one row.
    Effects,
    /// Webhooks to a local server that refuses some for ever, by the program.
    Webhooks,
}

/// Scopes that complete and fail, a check over their table, the changes themselves. When a finding was first seen is
/// left out: another run has another time.
const INVENTORY: &str = "
version: 1
name: child
checkpoint: {every: 10ms, keep: 3}
sources: {things: {recorded: {}}}
operators:
  found:
    from: things
    check:
      sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'is ' || value AS reason FROM thing\"
  brief: {from: found, select: 'control, resource, status, reason, drift'}
  split: {from: brief, route: {alarms: \"status = 'alarm'\"}}
sinks:
  changes: {from: things, file: {path: changes.jsonl}}
  alarms: {from: split.alarms, file: {path: alarms.jsonl}}
  others: {from: split.unmatched, file: {path: others.csv}}
";

/// Every row leaves over one edge, critical ones over a second one in another form. Alerts cannot be read again: how
/// they are cut into steps is another matter in each life, so an effect that left before its step was durable would
/// come again under another id.
const EFFECTS: &str = "
version: 1
name: child
checkpoint: {every: 15ms, keep: 3}
limits: {edge: {rows: 1}}
sources:
  events: {file: {path: events.jsonl}}
  alerts: {generic: {payload: {kind: alert}, create_index: alert, loop_count: 200, loop_delay: 0.002}}
operators:
  loud: {from: events, filter: \"severity <> 'info'\"}
  left: {from: loud, select: 'n, severity'}
  right: {from: loud, filter: \"severity = 'critical'\"}
  short: {from: right, select: 'n, n * 2 AS twice'}
sinks:
  page: {from: [left, short, alerts], dispatch: {}}
  alerted: {from: alerts, file: {path: alerted.jsonl}}
  copy: {from: [left, short], file: {path: copy.jsonl}}
";

/// What is given up comes out again, and is written down.
const WEBHOOKS: &str = "
version: 1
name: child
checkpoint: {every: 15ms, keep: 3}
sources: {events: {file: {path: events.jsonl}}}
operators:
  left: {from: events, select: 'n, severity'}
  right: {from: events, filter: \"severity = 'critical'\"}
  short: {from: right, select: 'n, n * 2 AS twice'}
sinks:
  page:
    from: [left, short]
    webhook:
      url: http://ADDRESS/
      key: n % 50
      retry: {initial: 2ms, max: 20ms, attempts: 1000}
      breaker: {failures: 4, rest: 5ms}
  given_up: {from: page.dead_letter, file: {path: given_up.jsonl}}
  copy: {from: [left, short], file: {path: copy.jsonl}}
";

/// A folder in which a subject lives, and the server that it posts to.
pub(crate) struct Home {
    subject: Subject,
    folder: tempfile::TempDir,
    server: Option<Server>,
}

impl Subject {
    /// A folder with all that the pipeline reads.
    pub(crate) fn home(self) -> Home {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        match self {
            Self::Events => events::write(folder.path(), 12_000),
            Self::Inventory => write(PIPELINE, INVENTORY),
            Self::Effects => {
                write(PIPELINE, EFFECTS);
                write("events.jsonl", &loud_events(800));
            }
            Self::Webhooks => write("events.jsonl", &loud_events(300)),
        }
        let server = match self {
            Self::Effects => Some(Server::start(moody)),
            Self::Webhooks => Some(Server::start(strict)),
            Self::Events | Self::Inventory => None,
        };
        if let (Self::Webhooks, Some(server)) = (self, &server) {
            write(PIPELINE, &WEBHOOKS.replace("ADDRESS", &server.address));
        }
        Home { subject: self, folder, server }
    }
}

/// Events that are long enough for the file to be cut into several steps.
pub(crate) fn loud_events(count: usize) -> String {
    use std::fmt::Write as _;
    let (mut numbers, mut text, filler) = (Numbers(7), String::new(), "x".repeat(2_000));
    for n in 0..count {
        let severity = ["info", "warning", "critical"][numbers.below(3) as usize];
        let _ = writeln!(text, "{{\"n\":{n},\"severity\":\"{severity}\",\"text\":\"{filler}\"}}");
    }
    text
}

impl Home {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The subject's process, not yet started.
    pub(crate) fn command(&self) -> Command {
        match (&self.server, self.subject) {
            (_, Subject::Events | Subject::Webhooks) => command(self.path(), &["run", "pipeline.yaml"]),
            (server, _) => {
                let server = server.as_ref().map_or("nowhere", |server| &server.address);
                child(self.path(), &Task::Run { server })
            }
        }
    }

    /// Runs the subject to its end, which must be a good one.
    pub(crate) fn run_to_the_end(&self, when: &str) {
        let ended = Done::of(&mut self.command());
        assert_eq!(ended.code, Some(0), "{when}: {}{}", ended.stdout, ended.stderr);
    }

    /// What it has written, and what the server has accepted.
    pub(crate) fn result(&self) -> (Outputs, BTreeSet<String>) {
        let names: &[&str] = match self.subject {
            Subject::Events => events::OUTPUTS,
            Subject::Inventory => &["changes.jsonl", "alarms.jsonl", "others.csv"],
            Subject::Effects => &["copy.jsonl", "alerted.jsonl"],
            Subject::Webhooks => &["copy.jsonl"],
        };
        let accepted = self.server.as_ref().map(Server::accepted).unwrap_or_default();
        (Outputs::of(self.path(), names), accepted)
    }

    /// The outputs are byte-identical to those of an undisturbed run; every effect has been accepted, none was
    /// posted under two ids, and none is left.
    pub(crate) fn assert_ends_like(&self, expected: &(Outputs, BTreeSet<String>), when: &str) {
        let (files, accepted) = self.result();
        files.assert_same(&expected.0, when);
        let lost: Vec<_> = expected.1.difference(&accepted).collect();
        let more: Vec<_> = accepted.difference(&expected.1).collect();
        assert!(lost.is_empty() && more.is_empty(), "{when}: effects lost: {lost:?}, not expected: {more:?}");
        let Some(server) = &self.server else { return };
        server.assert_one_id_each(when);
        let left = list_effects(&self.path().join(STATE), NAME, EffectReach::Checkpoint).expect("effects can be read");
        let left: Vec<_> = left.iter().filter(|listed| listed.state != EffectState::Done).collect();
        if self.subject == Subject::Webhooks {
            let dead =
                left.iter().map(|listed| (listed.state, String::from_utf8_lossy(&listed.effect.payload.body).into()));
            let refused = server.refused().into_iter().map(|body| (EffectState::Dead, body));
            assert_eq!(
                dead.collect::<BTreeSet<_>>(),
                refused.collect(),
                "{when}: what was refused is dead, nothing else"
            );
            return self.assert_each_death_is_told_once(left.len(), when);
        }
        assert!(left.is_empty(), "{when}: {left:?}");
    }

    fn assert_each_death_is_told_once(&self, deaths: usize, when: &str) {
        let text = std::fs::read_to_string(self.path().join("given_up.jsonl")).expect("it is written");
        let effect = |line: &str| {
            let letter: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            letter["effect"].as_str().expect("it names the effect").to_owned()
        };
        let told: Vec<String> = text.lines().map(effect).collect();
        let once: BTreeSet<&String> = told.iter().collect();
        assert_eq!((told.len(), once.len()), (deaths, deaths), "{when}: deaths are told once each");
    }

    /// Each effect was on the wire as often as it had to be.
    pub(crate) fn assert_few_attempts(&self, kills: u64, when: &str) {
        if let (Subject::Webhooks, Some(server)) = (self.subject, &self.server) {
            server.assert_few_attempts(kills as usize, when);
        }
    }

    /// How many requests its server has had.
    pub(crate) fn requests(&self) -> usize {
        self.server.as_ref().map_or(0, Server::requests)
    }
}
