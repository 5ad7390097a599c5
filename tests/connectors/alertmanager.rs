//! Prometheus and Alertmanager end to end: an alert that fires arrives as events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::home::Home;
use crate::http::{get, post};
use crate::program::eventually;
use crate::service::Service;

/// The hosts of the alerts of this name, sorted, each once: Alertmanager tells again of all alerts of a group when one
/// joins it.
fn hosts(rows: &[Value], name: &str) -> Vec<String> {
    let of_name = rows.iter().filter(|row| row["alert"]["labels"]["alertname"] == name);
    let mut hosts: Vec<String> =
        of_name.map(|row| row["meta"]["hosts"][0].as_str().unwrap_or("?").to_owned()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

// matrix: alertmanager: happy, disconnect
#[test]
fn alertmanager_happy_disconnect_and_killed() {
    let Some(service) = Service::start("alertmanager", 3) else { return };
    let [_, alertmanager, port] = *service.ports() else { panic!("three ports") };
    let home = Home::new(&format!("{{alertmanager: {{host: 127.0.0.1, port: {port}}}}}"));

    // The alert fires while nobody listens: Alertmanager tries again until somebody does.
    let failed = |metrics: &str| {
        let of_webhooks = "alertmanager_notification_requests_failed_total{integration=\"webhook\"} ";
        metrics.lines().any(|line| line.strip_prefix(of_webhooks).is_some_and(|count| count != "0"))
    };
    eventually("Alertmanager tries to notify somebody", || {
        get(alertmanager, "/metrics").is_some_and(|(_, text)| failed(&text))
    });

    let mut running = home.run_listening(port);
    let rows = running.until("both hosts", || Some(home.rows()).filter(|rows| hosts(rows, "AlwaysFiring").len() >= 2));
    assert_eq!(hosts(&rows, "AlwaysFiring"), ["web-1", "web-2"]);
    let notification = rows.iter().find(|row| row["payload"].is_object()).expect("the notification too");
    assert_eq!(notification["payload"]["receiver"], "tidegate");
    assert_eq!(notification["meta"]["endpoint"], "alerts");
    let alert = rows.iter().find(|row| row["alert"].is_object()).expect("an alert");
    assert_eq!(alert["alert"]["status"], "firing");
    assert_eq!(alert["alert"]["labels"]["severity"], "page");
    running.kill();

    // Another alert fires while it is dead, and arrives when it lives again; what it had is there once.
    let labels = json!([{"labels": {"alertname": "WhileDead", "instance": "db-1:5432"}}]).to_string();
    let posted = post(alertmanager, "/api/v2/alerts", "Content-Type: application/json\r\n", &labels);
    assert_eq!(posted.expect("an answer").0, 200);
    std::thread::sleep(Duration::from_millis(300));
    let mut running = home.run_listening(port);
    running.until("the other alert", || !hosts(&home.rows(), "WhileDead").is_empty());
    running.stop();
    let rows = home.rows();
    assert_eq!(hosts(&rows, "WhileDead"), ["db-1"]);
    let mut ids: Vec<&str> = rows.iter().map(|row| row["meta"]["uuid"].as_str().expect("an id")).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "no event twice");
}
