//! `pg_listener` with PostgreSQL, whose own client notifies.

use std::process::Command;

use serde_json::{Value, json};

use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::home::{Home, shown};
use crate::program::Running;
use crate::service::{Service, free_ports};

fn server() -> Option<Service> {
    Service::start("postgresql", 1)
}

fn sql(port: u16, text: &str) {
    let mut psql = Command::new("psql");
    psql.args([
        "-q",
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-U",
        "postgres",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        text,
    ]);
    let output = psql.output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn notify(port: u16, channel: &str, payload: &Value) {
    sql(port, &format!("SELECT pg_notify('{channel}', $gate${payload}$gate$)"));
}

fn home(port: u16, more: &str) -> Home {
    Home::new(&format!(
        "{{pg_listener: {{postgres_params: {{host: 127.0.0.1, port: {port}, user: postgres}}, channels: [alerts, Other]{more}}}}}"
    ))
}

/// The numbers `n` of the rows, sorted, without repetitions.
fn numbers(home: &Home) -> Vec<i64> {
    let mut numbers: Vec<i64> = home.rows().iter().filter_map(|row| row["n"].as_i64()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Notifies until it is heard: a listener hears what comes when it listens.
fn is_heard(program: &mut Running, home: &Home, port: u16) {
    program.until("it listens", || {
        notify(port, "alerts", &json!({"ready": true}));
        home.rows().iter().any(|row| row["ready"] == true)
    });
}

// matrix: pg_listener: happy
#[test]
fn notifications_come_with_their_channel_and_those_that_are_no_json_as_text() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let home = home(port, "");
    let mut program = home.run();
    is_heard(&mut program, &home, port);
    sql(port, "NOTIFY alerts, '{\"n\": 1}'; NOTIFY \"Other\", 'door open'; NOTIFY alerts");
    program.until("all", || home.rows().iter().any(|row| row["payload_text"] == ""));
    program.stop();
    let rows = home.rows();
    let by_n = rows.iter().find(|row| row["n"] == 1).expect("the first");
    assert_eq!((&by_n["meta"]["channel"], &by_n["meta"]["resync"]), (&json!("alerts"), &json!(false)));
    let text = rows.iter().find(|row| row["payload_text"] == "door open").expect("the text");
    assert_eq!(text["meta"]["channel"], "Other");
}

// matrix: pg_listener: malformed
#[test]
fn chunks_in_any_order_become_one_event_and_a_damaged_message_goes_to_errors() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let home = home(port, "");
    let mut program = home.run();
    is_heard(&mut program, &home, port);
    let whole = json!({"n": 7, "long": "x".repeat(9_000)}).to_string();
    let half = whole.len() / 2;
    let hash = format!("{:x}", xxhash_rust::xxh32::xxh32(whole.as_bytes(), 0));
    let chunk = |id: &str, sequence: u64, text: &str, hash: &str| {
        json!({"_message_chunked_uuid": id, "_message_chunk_count": 2, "_message_chunk_sequence": sequence,
               "_chunk": text, "_message_length": whole.len(), "_message_xx_hash": hash})
    };
    notify(port, "alerts", &chunk("a", 2, &whole[half..], &hash));
    notify(port, "alerts", &chunk("a", 1, &whole[..half], &hash));
    notify(port, "alerts", &chunk("b", 1, &whole[..half], "0badcafe"));
    notify(port, "alerts", &chunk("b", 2, &whole[half..], "0badcafe"));
    program.until("one row and one error", || numbers(&home) == [7] && home.errors().len() == 1);
    program.stop();
    let error = &home.errors()[0];
    assert!(error["reason"].as_str().is_some_and(|reason| reason.contains("0badcafe")), "{error}");
}

// matrix: pg_listener: disconnect, kill-before-ack, kill-after-ack
#[test]
fn a_server_that_goes_away_is_waited_for_and_the_query_makes_up_for_what_was_notified_meanwhile() {
    let Some(mut server) = server() else { return };
    let port = server.ports()[0];
    sql(port, "CREATE TABLE alerts (n int)");
    let home = home(port, ", resync: 'SELECT n FROM alerts ORDER BY n;'");
    let mut program = home.run();
    is_heard(&mut program, &home, port);
    server.stop();
    program.until_said("A source failed and will be opened again");
    program.until_said("cannot be reached");
    server.start_again();
    sql(port, "INSERT INTO alerts SELECT generate_series(0, 9)");
    sql(port, "NOTIFY alerts, '{\"n\": 0}'");
    program.until("what the table holds", || {
        numbers(&home) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] || {
            // The query may have been asked before the rows were there.
            sql(port, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate'");
            std::thread::sleep(std::time::Duration::from_millis(300));
            false
        }
    });
    program.kill();
    sql(port, "INSERT INTO alerts VALUES (10)");
    let mut program = home.run();
    program.until("what came while it was dead", || numbers(&home).len() == 11);
    program.stop();
    let row = home.rows().into_iter().find(|row| row["n"] == 10).expect("the row");
    assert_eq!(row["meta"]["resync"], true);
}

#[test]
fn credentials_queries_and_servers_that_do_not_work_are_named_without_the_password() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let with = |more: &str| Home::new(&format!("{{pg_listener: {{channels: a, {more}}}}}"));
    let dsn = |more: &str| with(&format!("dsn: 'host=127.0.0.1 port={port} {more}"));
    let refused = dsn("user=gate password=wrong-one dbname=postgres'").fails();
    refused.said(&["refuses the credentials"]).never_said(&["wrong-one"]);
    dsn("user=postgres dbname=none'").fails().said(&["database \"none\" does not exist"]);
    let query = dsn("user=postgres', resync: 'SELECT FROM none'").fails();
    query.said(&["the query `resync` fails: relation \"none\" does not exist"]);
    let nobody = free_ports(1)[0];
    with(&format!("dsn: 'host=127.0.0.1 port={nobody} user=x'")).run().until_said("cannot be reached");
    with("dsn: 'host=no-such-host.invalid user=x'").run().until_said("no-such-host.invalid:5432 cannot be reached");
}

#[test]
fn tls_with_a_password_works_and_an_unknown_authority_is_refused() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let with = |cafile: &str| {
        Home::new(&format!(
            "{{pg_listener: {{channels: a, cafile: {}, resync: 'SELECT ssl AS encrypted, 1 AS n FROM pg_stat_ssl WHERE pid = pg_backend_pid()', \
             postgres_params: {{host: localhost, port: {port}, user: gate, dbname: postgres, password: {{env: PASSWORD}}}}}}}}",
            shown(&server.file(cafile))
        ))
    };
    let home = with("ca.pem");
    let mut program = home.run_with(&[("PASSWORD", "sluice")]);
    program.until("a row", || !home.rows().is_empty());
    program.stop().never_said(&["sluice"]);
    assert_eq!(home.rows()[0]["encrypted"], true);
    with("client.pem").run_with(&[("PASSWORD", "sluice")]).until_said("will be opened again");
}

#[test]
fn a_server_is_diagnosed_step_by_step() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let at = format!("postgres_params.port={port}");
    let host = "postgres_params.host=127.0.0.1";
    let user = "postgres_params.user=postgres";
    sql(port, "CREATE TABLE open_alerts (n int)");
    let resync = "resync=SELECT n FROM open_alerts";
    let told = diagnosed("pg_listener", &[host, &at, user, "channels=[alerts, Other]", resync]).all_well();
    assert!(told.detail("logged in").starts_with("as `postgres` to the database `postgres`, PostgreSQL "));
    let none = diagnosed("pg_listener", &[host, &at, user, "channels=a", "resync=SELECT n FROM none"]);
    none.fails_at("query `resync` planned", &["relation \"none\" does not exist"]);
    let gate = |password: &str, more: &[&str]| {
        let dsn =
            format!("host=localhost hostaddr=127.0.0.1 port={port} user=gate password={password} dbname=postgres");
        let arguments = [["dsn={env: DSN}", "channels=a"].as_slice(), more].concat();
        diagnosed_in("pg_listener", &arguments, &[("DSN", &dsn)]).hides(password)
    };
    gate("wrong-one", &[]).fails_at("logged in", &["refuses the credentials", "pg_hba.conf"]);
    let cafile = |name: &str| format!("cafile={}", shown(&server.file(name)));
    assert!(gate("sluice", &[&cafile("ca.pem")]).all_well().detail("TLS handshake").contains("`server` valid until"));
    gate("sluice", &[&cafile("client.pem")]).fails_at("TLS handshake", &["certificate"]);
    let nobody = format!("postgres_params.port={}", free_ports(1)[0]);
    diagnosed("pg_listener", &[host, &nobody, user, "channels=a"]).fails_at("TCP connected", &["refused"]);
}
