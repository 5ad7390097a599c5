//! What pages in flight take, whatever there is of rows and accounts: pages are taken and let go.

use std::sync::Arc;

use futures::StreamExt;
use tidegate_pipeline::provider::{Collected, Extent, PageRoom, Pages, Provider};
use tidegate_pipeline::spec::Options;

use super::server::Server;
use super::{Outcome, REGION, TABLES, contender as run, instances, peak_memory, runtime};

/// As many pages as the engine has room for.
const ROOM: usize = 8;

/// Prints how many rows there were, and the peak of memory in MiB.
pub(crate) fn contender(address: &str, accounts: &str) -> Outcome<()> {
    let role = |number: u64| format!("{{role: \"arn:aws:iam::{:012}:role/audit\"}}", 200_000_000_000 + number);
    let roles: Vec<String> = (1..accounts.parse()?).map(role).collect();
    let options = format!(
        "regions: [{REGION}]\ntables: [{}]\naws: {{access_key: any, secret_key: any, endpoint_url: \"{address}\", accounts: [{}]}}\n",
        TABLES.join(", "),
        roles.join(", ")
    );
    let options = Options::parse(&options).map_err(|wrong| format!("{wrong:?}"))?;
    let kinds = tidegate_aws::sources();
    let kind = kinds.iter().find(|kind| kind.name() == "aws_ec2").and_then(|kind| kind.provider()).ok_or("no kind")?;
    let provider = kind.provider(&options).map_err(|wrong| format!("{wrong:?}"))?;
    let rows = runtime()?.block_on(collected(provider))?;
    println!("{rows} {}", peak_memory()?);
    Ok(())
}

async fn collected(provider: Arc<dyn Provider>) -> Outcome<u64> {
    let room = PageRoom::new(ROOM);
    let groups = provider.groups().await?;
    let one = |group| {
        let (provider, room) = (Arc::clone(&provider), room.clone());
        let collecting = async move {
            let (pages, mut given) = Pages::channel(Clone::clone(&group), room);
            let taking = async {
                let mut rows = 0;
                while let Some(page) = given.recv().await {
                    rows += page.rows.num_rows() as u64;
                }
                rows
            };
            let (collected, rows) = tokio::join!(provider.collect(&group, &Extent::Whole, pages), taking);
            if collected == Collected::complete() { Outcome::Ok(rows) } else { Err(format!("{collected:?}").into()) }
        };
        async move { tokio::spawn(collecting).await? }
    };
    let mut collecting = futures::stream::iter(groups.into_iter().map(one)).buffer_unordered(provider.concurrency());
    let mut rows = 0;
    while let Some(found) = collecting.next().await {
        rows += found?;
    }
    Ok(rows)
}

/// Prints the peaks at one and ten times as many rows, and at one and ten times as many accounts.
pub(crate) fn report() -> Outcome<()> {
    let many = instances()?;
    println!("\n| accounts | instances in each | rows | peak memory |\n|---|---|---|---|");
    let few = (many / 100).max(1000);
    for (accounts, instances) in [(1, many / 10), (1, many), (16, few), (160, few)] {
        let server = Server::start(instances)?;
        let [rows, peak] = run(&["memory", &server.address, &accounts.to_string()])?[..] else {
            return Err("two numbers".into());
        };
        println!("| {accounts} | {instances} | {rows} | {peak:.0} MiB |");
    }
    Ok(())
}
