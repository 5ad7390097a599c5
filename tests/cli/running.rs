//! A running pipeline: metrics, signals, closed pipes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::program::{Folder, Running};

const TICKS: &str = "version: 1\nname: p\nsources: {t: {tick: {delay: 0.02}}}\nsinks: {d: {from: t, drop: {}}}\n";
const MANY: &str = "version: 1\nname: p\nsources: {a: {range: {limit: 2000000}}}\nsinks: {s: {from: a, console: {}}}\n";

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn metrics_and_health_are_served_until_a_signal_stops_it_in_order() {
    let folder = Folder::with(&[("p.yaml", TICKS)]);
    let address = free_address();
    let mut running = folder.start(&["run", "p.yaml", "--serve", &address.to_string()]);
    let rows = "tidegate_rows_out_total{pipeline=\"p\",node=\"t\",kind=\"tick\"}";
    let metrics = running.until("rows in the metrics", || {
        get(address, "/metrics").filter(|text| text.contains(rows) && !text.contains(&format!("{rows} 0\n")))
    });
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# TYPE tidegate_step counter"), "{metrics}");
    assert!(get(address, "/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    assert!(get(address, "/readyz").is_some_and(|answer| answer.contains("ready")));
    running.stop().said(&["stopping", "p: stopped in order", "checkpoint"]);
}

#[test]
fn metrics_say_what_becomes_of_effects() {
    // No sink of the program dispatches yet in a way that a test can use: the names are there all the same.
    let folder = Folder::with(&[("p.yaml", TICKS)]);
    let address = free_address();
    let mut running = folder.start(&["run", "p.yaml", "--serve", &address.to_string()]);
    let metrics = running.until("metrics", || get(address, "/metrics").filter(|text| text.contains("tidegate_step")));
    for name in ["effects_intended gauge", "effects_done_total counter", "effects_dead_total counter"] {
        assert!(metrics.contains(&format!("# TYPE tidegate_{name}")), "{metrics}");
    }
    running.stop();
}

#[test]
fn an_address_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    Folder::with(&[("p.yaml", TICKS)]).run(&["run", "p.yaml", "--serve", &address]).code(3).said(&[&address, "in use"]);
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = Folder::with(&[("p.yaml", MANY)]);
    // Nobody reads what it prints, so that it cannot stop in order.
    let (_unread, full) = std::io::pipe().expect("a pipe");
    let mut running = Running::of(folder.command(&["run", "p.yaml"]).stdout(full));
    std::thread::sleep(Duration::from_millis(1_500));
    running.terminate();
    std::thread::sleep(Duration::from_millis(500));
    assert!(running.is_running(), "the first signal lets it finish what is under way");
    running.terminate();
    running.wait().code(2).said(&["stopping", "stopped at once"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::with(&[("p.yaml", MANY), ("small.yaml", TICKS)]);
    let mut child = folder.command(&["run", "p.yaml"]).spawn().expect("the program starts");
    let mut first = [0; 8];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a first row");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(&first, b"{\"i\":0}\n");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for arguments in [&["schema"][..], &["component", "list"], &["source", "run", "range", "--arg", "limit=100000"]] {
        let mut child = folder.command(arguments).spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
