//! Inventory on demand: by command, over HTTP, and what is told of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::program::{Folder, eventually};
use crate::running::{free_address, get};

const MACHINE: &str = "version: 1
name: p
sources: {machine: {host: {tables: [host_kernel_setting], root: machine, refresh: off}}}
sinks: {out: {from: machine, file: {path: out.jsonl}}}
";

fn folder() -> Folder {
    Folder::with(&[
        ("p.yaml", MACHINE),
        ("machine/etc/machine-id", "c0de\n"),
        ("machine/proc/sys/kernel/randomize_va_space", "2\n"),
    ])
}

fn post(address: SocketAddr, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let head = "POST /refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn inventory_that_is_refreshed_on_demand_only_is_read_when_a_command_or_a_request_asks_for_it() {
    let folder = folder();
    let address = free_address();
    folder.run(&["provider", "refresh", "p.yaml"]).code(3).said(&["no pipeline runs in", "tidegate run"]);
    let running = folder.start(&["run", "p.yaml", "--serve", &address.to_string()]);
    let metric = |name: &str, value: u64| {
        let line = format!("tidegate_{name}{{pipeline=\"p\",node=\"machine\"}} {value}\n");
        get(address, "/metrics").filter(|text| text.contains(&line))
    };
    let rows = |count: u64| {
        let line = format!("tidegate_rows_out_total{{pipeline=\"p\",node=\"machine\",kind=\"host\"}} {count}\n");
        get(address, "/metrics").filter(|text| text.contains(&line))
    };
    eventually("it runs", || get(address, "/readyz").filter(|answer| answer.contains("ready\n")));
    assert!(rows(0).is_some() && metric("refreshes_total", 0).is_some(), "nothing was asked for");

    folder.run(&["provider", "refresh", "p.yaml"]).code(0).said(&[]);
    eventually("the machine is read", || rows(1));
    eventually("the end of the refresh", || metric("refreshes_total", 1));
    folder.write("machine/proc/sys/kernel/randomize_va_space", "0\n");
    let answer = post(address, r#"{"node": "machine", "table": "host_kernel_setting"}"#).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202") && answer.contains(r#"{"refreshing":["machine"]}"#), "{answer}");
    eventually("the change", || rows(2));

    let wrong = ["provider", "refresh", "p.yaml", "machine", "--table", "host_user"];
    folder.run(&wrong).code(3).said(&["there is no table `host_user`"]);
    for (body, said) in [("{\"tabel\": 1}", "unknown field"), ("{\"node\": \"machin\"}", "did you mean `machine`")] {
        let answer = post(address, body).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(said), "{answer}");
    }
    let status = get(address, "/status").expect("a status");
    assert!(status.contains("\"refresh\": {") && status.contains("\"failed_scopes\": 0"), "{status}");
    running.terminate();
    running.wait().code(0);
}

#[test]
fn a_schedule_that_cannot_be_meant_is_refused_with_its_place() {
    for (refresh, said) in [
        ("{cron: '61 * * * *'}", "no cron pattern"),
        ("{cron: '0 0 31 2 *'}", "never comes"),
        ("{cron: '0 0 * * *', timezone: Mars/Olympus}", "no time zone `Mars/Olympus`"),
        ("0s", "write `off`"),
        ("sometimes", "no length of time"),
    ] {
        let text = MACHINE.replace("refresh: off", &format!("refresh: {refresh}"));
        Folder::with(&[("p.yaml", &text)]).run(&["validate", "p.yaml"]).code(3).said(&[said, "p.yaml:3"]);
    }
}
