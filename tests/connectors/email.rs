//! `email` against aiosmtpd: STARTTLS, a login, messages that are not plain.

use serde_json::Value;

use crate::program::{Done, Folder, command};
use crate::service::Service;

fn home(service: &Service, more: &str, to: &str) -> Folder {
    let folder = Folder::new();
    folder.write("events.jsonl", "{\"n\":1,\"text\":\"größer als .\\n.\\nalles\"}\n{\"n\":2,\"text\":\"plain\"}\n");
    let (port, authority) = (service.ports()[0], service.file("ca.pem"));
    let pipeline = format!(
        "version: 1\nname: mail\nsources: {{events: {{file: {{path: events.jsonl}}}}}}\nsinks:\n  mail:\n    from: events\n    email:\n      \
         host: localhost\n      port: {port}\n      cafile: {}\n      from: tidegate@example.com\n      to: {to}\n      \
         subject: 'row {{{{ n }}}} – ü'\n      text: '{{{{ text }}}}'\n      key: '1'\n      retry: {{attempts: 1}}\n{more}  \
         lost: {{from: mail.dead_letter, file: {{path: lost.jsonl}}}}\n",
        authority.display()
    );
    folder.write("pipeline.yaml", &pipeline);
    folder
}

fn run(folder: &Folder) -> Done {
    let mut command = command(folder.path(), &["run", "pipeline.yaml"]);
    Done::of(command.env("SMTP_PASSWORD", "hunter2").env("SMTP_WRONG", "hunter3"))
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn email_arrives_over_starttls_under_the_id_of_its_effect_and_what_is_refused_is_told() {
    let Some(service) = Service::start("smtp", 1) else { return };
    let login = "      username: tidegate\n      password: {env: SMTP_PASSWORD}\n";
    let done = run(&home(&service, login, "[a@example.com, b@example.com]"));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let messages = lines(&service.file("messages.jsonl"));
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!((&messages[0]["subject"], &messages[0]["tls"]), (&"row 1 – ü".into(), &true.into()));
    assert_eq!(
        messages[0]["text"].as_str().map(|text| text.replace("\r\n", "\n")),
        Some("größer als .\n.\nalles".to_owned())
    );
    assert_eq!(messages[0]["to"], serde_json::json!(["a@example.com", "b@example.com"]));
    assert!(messages[0]["id"].as_str().is_some_and(|id| id.starts_with("<mail.0.1.mail.0.")), "{}", messages[0]);

    let cases = [
        (login, "nobody@example.com", "550"),
        ("      username: tidegate\n      password: {env: SMTP_WRONG}\n", "a@example.com", "username"),
        ("", "a@example.com", "530"),
    ];
    for (login, to, reason) in cases {
        let folder = home(&service, login, to);
        let done = run(&folder);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let lost = lines(&folder.path().join("lost.jsonl"));
        assert_eq!(lost.len(), 2, "{reason}");
        assert!(lost[0]["reason"].as_str().is_some_and(|said| said.contains(reason)), "{}", lost[0]);
        assert!(!format!("{lost:?}{}", done.stderr).contains("hunter"), "no secret is shown");
    }
    assert_eq!(lines(&service.file("messages.jsonl")).len(), 2);
}
