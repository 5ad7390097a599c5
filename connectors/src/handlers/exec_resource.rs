//! `exec_resource`: a program that reads and changes resources, asked in JSON.
//!
//! It is started anew for each call, gets one object on stdin and answers with one on stdout:
//! ```text
//! {"call": "read", "resource": {"id": "exec::Resource[web-1,id=nginx]", "agent": "web-1", "value": "nginx",
//!  "fields": {…}, "purged": false}, "changes": {}, "dry_run": false}
//! {"fields": {…}}    or {"purged": true}; {"skip": "why"}, {"error": "why", "retry": false}; with "log", "facts"
//! ```
//! The other calls are `create`, `update` (with `changes`) and `delete`; `{}` says that all went well.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::sink::{FieldDescription, HandlerKind, OpenHandler};
use tidegate_pipeline::handler::{
    Changes, Fields, Halt, Handler, HandlerContext, Level, Reading, Resource, ResourceType,
};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Options, Secret};

use crate::conversation::{Answer, ask};
use crate::places::Places;
use crate::program::ProgramCommand;

/// The options of `exec_resource` itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecResourceOptions {
    /// The program and its arguments. No shell is between.
    pub command: Vec<String>,
    /// Variables of its environment, besides those of this process.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of its environment that are secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// The folder that it runs in; the working directory without it.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// The longest answer.
    #[serde(default = "a_mebibyte")]
    pub max_answer: ByteSize,
}

fn a_mebibyte() -> ByteSize {
    ByteSize::mebibytes(1)
}

/// The kind `exec_resource`.
#[derive(Debug, Clone, Copy)]
pub struct ExecResourceKind;

impl HandlerKind for ExecResourceKind {
    type Own = ExecResourceOptions;

    fn name(&self) -> &'static str {
        "exec_resource"
    }

    fn summary(&self) -> &'static str {
        "Enforces resources by a program of yours, asked in JSON on stdin and stdout"
    }

    fn resource_type(&self) -> ResourceType {
        ResourceType::new("exec", "Resource", "id")
    }

    fn fields(&self) -> Option<&'static [FieldDescription]> {
        None
    }

    fn agent_of(&self, _id: &str) -> Option<String> {
        Some("local".to_owned())
    }

    fn plan(
        &self,
        own: ExecResourceOptions,
        options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<Box<dyn OpenHandler>, Vec<Diagnostic>> {
        let Some((program, arguments)) = own.command.split_first().filter(|(program, _)| !program.is_empty()) else {
            let found = Places(options).at("command", "`command` names no program");
            return Err(vec![found.with_help("write `command: [program, argument]`")]);
        };
        let command = ProgramCommand {
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment: own.env.clone(),
            folder: context.working_directory.join(own.folder.clone().unwrap_or_default()),
        };
        Ok(Box::new(Planned { command, own }))
    }
}

struct Planned {
    command: ProgramCommand,
    own: ExecResourceOptions,
}

#[async_trait]
impl OpenHandler for Planned {
    async fn open(&self, _node: &Arc<str>) -> Result<Arc<dyn Handler>> {
        let mut command = self.command.clone();
        for (name, secret) in &self.own.secrets {
            command.environment.insert(name.clone(), secret.resolve()?.expose_secret().to_owned());
        }
        Ok(Arc::new(ExecResource { command, max_answer: self.own.max_answer.bytes() }))
    }
}

struct ExecResource {
    command: ProgramCommand,
    max_answer: usize,
}

/// What a program is asked.
#[derive(Serialize)]
struct Question<'a> {
    call: &'static str,
    resource: AskedResource<'a>,
    changes: &'a Changes,
    dry_run: bool,
}

#[derive(Serialize)]
struct AskedResource<'a> {
    id: String,
    agent: &'a str,
    value: &'a str,
    fields: &'a Fields,
    purged: bool,
}

/// What it answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    fields: Option<Fields>,
    purged: bool,
    skip: Option<String>,
    error: Option<String>,
    retry: Option<bool>,
    log: Vec<SaidLine>,
    facts: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidLine {
    #[serde(default = "info")]
    level: Level,
    message: String,
}

fn info() -> Level {
    Level::Info
}

impl ExecResource {
    async fn call(
        &self,
        call: &'static str,
        context: &mut HandlerContext,
        resource: &Resource,
        changes: &Changes,
    ) -> Result<Said, Halt> {
        let asked = AskedResource {
            id: resource.id.to_string(),
            agent: &resource.id.agent,
            value: &resource.id.value,
            fields: &resource.fields,
            purged: resource.purged,
        };
        let question = Question { call, resource: asked, changes, dry_run: context.is_dry_run() };
        let mut question = serde_json::to_vec(&question).map_err(Error::internal)?;
        question.push(b'\n');
        let answer = ask(&self.command, question, self.max_answer).await?;
        let said = understood(call, &answer)?;
        for line in &said.log {
            // A program's text is no template of ours.
            context.log(line.level, "%(said)s", &[("said", &line.message)]);
        }
        said.facts.iter().for_each(|(name, value)| {
            context.set_fact(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        });
        match (&said.skip, &said.error) {
            (Some(why), _) => Err(Halt::Skip(why.clone())),
            (None, Some(why)) => {
                let error = Error::external(why);
                Err(Halt::Failed(if said.retry == Some(false) { error.never_retry() } else { error }))
            }
            (None, None) => Ok(said),
        }
    }
}

/// An answer, if the program went well and said something that can be understood.
fn understood(call: &str, answer: &Answer) -> Result<Said> {
    let complaint = answer.stderr.lines().next_back().map(|line| format!(": {line}")).unwrap_or_default();
    if !answer.status.success() {
        return Err(Error::external(format!("the program failed at `{call}` ({}){complaint}", answer.status)));
    }
    let text = answer.stdout.trim_ascii();
    if text.is_empty() && call != "read" {
        return Ok(Said::default());
    }
    serde_json::from_slice(text).map_err(|error| {
        Error::user(format!("the answer of the program to `{call}` cannot be understood: {error}{complaint}"))
            .with_remedy("let it print one JSON object and nothing else")
    })
}

#[async_trait]
impl Handler for ExecResource {
    async fn read(&self, context: &mut HandlerContext, resource: &Resource) -> Result<Reading, Halt> {
        let said = self.call("read", context, resource, &Changes::default()).await?;
        match said.fields {
            _ if said.purged => Ok(Reading::Purged),
            Some(fields) => Ok(Reading::Found(fields)),
            None => {
                Err(Error::user("the answer of the program to `read` has neither `fields` nor `purged: true`").into())
            }
        }
    }

    async fn create(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        self.call("create", context, resource, &Changes::default()).await.map(drop)
    }

    async fn update(&self, context: &mut HandlerContext, changes: &Changes, resource: &Resource) -> Result<(), Halt> {
        self.call("update", context, resource, changes).await.map(drop)
    }

    async fn delete(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        self.call("delete", context, resource, &Changes::default()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;
    use tidegate_pipeline::error::Retry;
    use tidegate_pipeline::handler::{Change, Deployment, Open, Patience, ResourceState, Rules, deploy};

    use super::*;

    async fn deployed(script: &str, fields: Value) -> Deployment {
        let command = ProgramCommand {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: BTreeMap::new(),
            folder: PathBuf::from("/"),
        };
        let handler = ExecResource { command, max_answer: 1000 };
        let id = ExecResourceKind.resource_type().id("web-1", "nginx").unwrap();
        let resource = Resource::new(id, fields.as_object().unwrap().clone()).unwrap();
        let patience = Patience { work: Duration::from_secs(2), post: Duration::from_secs(1) };
        deploy(&handler, &resource, &[], Rules { dry_run: false, gate: &Open, patience }).await
    }

    #[tokio::test]
    async fn a_program_is_asked_how_it_is_and_told_what_shall_change() {
        let script = r#"question=$(cat); case $question in
            *'"call":"read"'*) echo '{"fields": {"release": 1}, "facts": {"host": "web-1"}}';;
            *'"call":"update"'*'"changes":{"release":{"current":1,"desired":2}}'*)
                echo '{"log": [{"message": "now 2"}]}';;
            *) exit 1;; esac"#;
        let deployment = deployed(script, json!({"release": 2})).await;
        assert_eq!((deployment.state, deployment.change), (ResourceState::Deployed, Change::Updated), "{deployment:?}");
        assert!(deployment.log.iter().any(|line| line.to_string() == "now 2"));
        assert_eq!(deployment.facts["host"], "web-1");
    }

    #[tokio::test]
    async fn whatever_a_program_does_ends_in_a_state_with_a_reason() {
        let cases = [
            ("echo '{\"skip\": \"it is asleep\"}'", ResourceState::Skipped, "it is asleep"),
            ("echo '{\"error\": \"no\", \"retry\": false}'", ResourceState::Failed, "no"),
            ("echo broken >&2; exit 3", ResourceState::Failed, "exit status: 3): broken"),
            ("echo nonsense", ResourceState::Failed, "cannot be understood"),
            ("echo '{}'", ResourceState::Failed, "neither `fields` nor"),
            ("echo '{\"purgd\": true}'", ResourceState::Failed, "purgd"),
            ("kill -9 $$", ResourceState::Failed, "signal: 9"),
            ("yes", ResourceState::Failed, "more than 1000 bytes"),
            ("sleep 60 & sleep 60", ResourceState::Failed, "not done within 2s"),
        ];
        for (script, state, reason) in cases {
            let begun = Instant::now();
            let deployment = deployed(script, json!({})).await;
            let error = deployment.error.as_ref().map(ToString::to_string);
            let said = deployment.reason.clone().or(error).unwrap_or_default();
            assert!(deployment.state == state && said.contains(reason), "{script}: {deployment:?}");
            assert!(begun.elapsed() < Duration::from_secs(4), "{script}");
            let never = deployment.error.is_some_and(|error| error.retry == Retry::Never);
            assert_eq!(
                never,
                script.contains("retry") || script == "yes" || said.contains("`read`") && said.contains("answer")
            );
        }
    }
}
