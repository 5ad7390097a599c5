//! `source test`: what is wrong with a connection is said at its step, by the program as users run it. The suites of the
//! servers use it too.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::service::free_ports;

/// What the program told of a source.
pub(crate) struct Told {
    code: Option<i32>,
    steps: Vec<Value>,
    /// Everything that it printed.
    text: String,
}

/// `source test KIND`, with an `--arg` for each of these.
pub(crate) fn diagnosed(kind: &str, arguments: &[&str]) -> Told {
    diagnosed_in(kind, arguments, &[])
}

/// The same, with environment variables; those that would find an account of AWS are gone.
pub(crate) fn diagnosed_in(kind: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["source", "test", kind, "--format", "json"]);
    for argument in arguments {
        command.args(["--arg", argument]);
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("NO_COLOR", "1").envs(environment.iter().copied());
    let output = command.output().expect("the program starts");
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8(text).expect("it prints text");
    let steps = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    Told { code: output.status.code(), steps, text }
}

impl Told {
    /// Nothing failed.
    #[track_caller]
    pub(crate) fn all_well(self) -> Self {
        assert!(self.code == Some(0) && self.failed().is_empty(), "{}", self.text);
        self
    }

    /// This step, and no other, failed; its detail has each of these words, and what comes behind it was not tried.
    #[track_caller]
    pub(crate) fn fails_at(self, step: &str, words: &[&str]) -> Self {
        assert_eq!((self.failed(), self.code), (vec![step.to_owned()], Some(2)), "{}", self.text);
        let detail = self.detail(step);
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?} in {}", self.text);
        let at = self.steps.iter().position(|check| name(check) == step).expect("it is there");
        let about = &self.steps[at]["about"];
        let behind = self.steps[at + 1..].iter().filter(|check| about.is_null() || check["about"] == *about);
        assert!(behind.clone().all(|check| check["outcome"] == "skipped"), "{}", self.text);
        self
    }

    /// What was said of a step: of several, `ABOUT: STEP`.
    #[track_caller]
    pub(crate) fn detail(&self, step: &str) -> &str {
        let check = self.steps.iter().find(|check| name(check) == step);
        check.and_then(|check| check["detail"].as_str()).unwrap_or_else(|| panic!("no step `{step}`: {}", self.text))
    }

    /// A secret is nowhere.
    #[track_caller]
    pub(crate) fn hides(self, secret: &str) -> Self {
        assert!(!self.text.contains(secret), "{}", self.text);
        self
    }

    fn failed(&self) -> Vec<String> {
        self.steps.iter().filter(|check| check["outcome"] == "failed").map(name).collect()
    }
}

fn name(check: &Value) -> String {
    let step = check["step"].as_str().unwrap_or_default();
    check["about"].as_str().map_or_else(|| step.to_owned(), |about| format!("{about}: {step}"))
}

#[test]
fn sources_that_connect_to_nobody_say_what_will_come_and_when() {
    assert_eq!(diagnosed("range", &["limit=3"]).all_well().detail("numbers"), "0 to 2, all at once; then it ends");
    let ticks = diagnosed("tick", &["delay=2"]).all_well();
    assert_eq!(ticks.detail("ticks"), "the first at once, then one every 2s, for ever");
    let script = ["payload=[{a: 1}, {a: 2}]", "loop_count=3", "startup_delay=1", "check_env_vars.MODE=test"];
    let told = diagnosed_in("generic", &script, &[("MODE", "test")]).all_well();
    assert_eq!(told.detail("events"), "6, the first after 1s; then it ends");
    diagnosed_in("generic", &script, &[("MODE", "live")]).fails_at("environment", &["MODE", "passed in: live"]);
    diagnosed("host", &[]).all_well();
}

#[test]
fn listeners_say_which_of_secrets_certificate_and_address_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
        folder.path().join(name).display().to_string()
    };
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (own, other) = (made(), made());
    let certificate = format!("certfile={}", write("own.pem", &own.cert.pem()));
    let key = format!("keyfile={}", write("own.key", &own.signing_key.serialize_pem()));
    let foreign = format!("keyfile={}", write("other.key", &other.signing_key.serialize_pem()));
    let port = format!("port={}", free_ports(1)[0]);
    let host = "host=127.0.0.1";
    for kind in ["webhook", "alertmanager"] {
        let token = ["token={env: GATE_TOKEN}", &port, host, &certificate, &key];
        let told = diagnosed_in(kind, &token, &[("GATE_TOKEN", "hunter2")]).all_well().hides("hunter2");
        assert!(told.detail("certificate and key fit").contains("valid until 4096-01-01"));
        assert_eq!(told.detail("secrets read"), "callers must bring a token");
        // Each for itself: the others are as they should be.
        let told = diagnosed(kind, &token);
        assert_eq!(told.failed(), ["secrets read"]);
        assert!(told.detail("secrets read").contains("`GATE_TOKEN`"));
        let told = diagnosed(kind, &[host, &port, &certificate, &foreign]);
        assert_eq!(told.failed(), ["certificate and key fit"], "{}", told.text);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = format!("port={}", taken.local_addr().expect("an address").port());
    diagnosed("webhook", &[host, &port])
        .fails_at("address bound", &["address already in use", "choose another `port`"]);
}

#[test]
fn the_text_says_the_same() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["source", "test", "url_check", "--arg", "urls=['http://127.0.0.1:1/a?key=hunter2']"])
        .env_remove("COLUMNS")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).expect("text");
    // How long each step took is another number each time, and the line below the header as long as the longest.
    let bare = |line: &str| line.trim_end_matches(|c: char| c.is_ascii_digit() || c == '─').trim_end().to_owned();
    let lines: Vec<String> = text.lines().map(bare).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
     step                                    outcome   detail                                                                                                             ms

     http://127.0.0.1:1/a: name resolved     ok        127.0.0.1
     http://127.0.0.1:1/a: TCP connected     failed    127.0.0.1:1: Connection refused (os error 111) (look whether the server listens there, and at firewalls between)
     http://127.0.0.1:1/a: TLS handshake     skipped   the options ask for no TLS
     http://127.0.0.1:1/a: expected answer   skipped   not tried: `TCP connected` failed
    ");
}
