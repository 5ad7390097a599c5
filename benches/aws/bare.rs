//! The least that can be done: the SDK reads every page, and what is in it is counted.

use std::time::Instant;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};

use super::canned::PAGE;
use super::{Outcome, REGION, runtime};

/// Prints seconds, and how many instances, devices and interfaces there were.
pub(crate) fn contender(address: &str) -> Outcome<()> {
    let credentials = Credentials::new("any", "any", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(address)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = Client::new(&config);
    let (seconds, rows) = runtime()?.block_on(async {
        let begun = Instant::now();
        let (mut token, mut rows) = (None, 0);
        loop {
            let request = client.describe_instances().max_results(i32::try_from(PAGE)?).set_next_token(token);
            let page = request.send().await?;
            let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
            rows += instances
                .map(|instance| 1 + instance.block_device_mappings().len() + instance.network_interfaces().len())
                .sum::<usize>();
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Outcome::Ok((begun.elapsed().as_secs_f64(), rows));
            }
        }
    })?;
    println!("{seconds} {rows}");
    Ok(())
}
