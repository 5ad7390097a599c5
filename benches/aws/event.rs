//! How long it takes from an event to the row that it has changed, through the queue, among all the other instances.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::running::with_pipeline;
use super::server::{ACCOUNT, Server};
use super::{Outcome, ROWS_OF_ONE, contender as run, instances, median, runtime};

/// How many events there are.
const EVENTS: u64 = 9;
/// Between two of them: longer than targets are merged.
const PAUSE: Duration = Duration::from_millis(600);

/// Prints the milliseconds that each event took.
pub(crate) fn contender(address: &str, instances: &str, folder: &str) -> Outcome<()> {
    let count: u64 = instances.parse()?;
    let events = format!("{{queue: \"{address}/{ACCOUNT}/queue\", wait: 1s}}");
    let took = runtime()?.block_on(with_pipeline(address, Some(&events), Path::new(folder), async |pipeline| {
        pipeline.refresh(count * ROWS_OF_ONE).await?;
        let mut took = Vec::new();
        for event in 0..EVENTS {
            tokio::time::sleep(PAUSE).await;
            let rows = pipeline.rows();
            let begun = Instant::now();
            change(address, event * (count / EVENTS))?;
            pipeline.until(|| pipeline.rows() > rows).await?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(took)
    }))?;
    println!("{}", took.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    Ok(())
}

/// Has an instance changed, which the queue tells.
fn change(address: &str, number: u64) -> Outcome<()> {
    let host = address.strip_prefix("http://").ok_or("an address")?;
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /change/{number} HTTP/1.0\r\nhost: {host}\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Prints the median and the longest.
pub(crate) fn report() -> Outcome<()> {
    let instances = instances()?;
    let server = Server::start(instances)?;
    let folder = tempfile::tempdir()?;
    let took = run(&["event", &server.address, &instances.to_string(), &folder.path().display().to_string()])?;
    let longest = took.iter().copied().fold(0.0, f64::max);
    println!(
        "\nevent → targeted refresh → changed row among {instances} instances: {:.0} ms (median), {longest:.0} ms (longest); wanted: under 1,000",
        median(took)
    );
    Ok(())
}
