//! The inventory of AWS accounts, collected from moto.

mod buckets;
mod collecting;
mod faults;
mod front;
mod identities;
mod reading;
mod recorded;
mod running;
mod services;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use serde_json::Value;
use tidegate_pipeline::provider::{Collected, Extent, PageRoom, Pages, Provider, ScopeGroup};
use tidegate_pipeline::spec::Options;
use tokio::runtime::Runtime;

use crate::service::Service;

/// The account of the keys themselves, and one that is reached by a role. Nothing in them is changed.
const ACCOUNTS: [&str; 2] = ["123456789012", "222222222222"];
/// The accounts of the test that changes something.
const CHANGED: [&str; 2] = ["333333333333", "444444444444"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The address of a moto with a small estate in each of the accounts.
fn moto() -> Option<String> {
    static MOTO: OnceLock<Option<Service>> = OnceLock::new();
    let accounts = [ACCOUNTS, CHANGED].concat().join(" ");
    let start = || Service::start_with("moto", &crate::service::free_ports(1), &[("TIDEGATE_ESTATES", &accounts)]);
    Some(MOTO.get_or_init(start).as_ref()?.address())
}

/// The rows of the tables of a group, each as JSON without the time of collecting.
type Rows = BTreeMap<String, Vec<Value>>;

/// A provider over the accounts in which nothing is changed.
struct Inventory {
    provider: Arc<dyn Provider>,
    runtime: Runtime,
}

impl Inventory {
    /// `aws_ec2`.
    fn at(endpoint: &str) -> Self {
        Self::with(endpoint, &[])
    }

    /// `aws_ec2`, with columns that are read only when they are named.
    fn with(endpoint: &str, hydrate: &[String]) -> Self {
        Self::of("aws_ec2", endpoint, hydrate)
    }

    /// A kind of provider, with what is read only when it is named.
    fn of(kind: &str, endpoint: &str, hydrate: &[String]) -> Self {
        Self::given(kind, endpoint, &format!("hydrate: [{}]", hydrate.join(", ")))
    }

    /// A kind of provider, with options of its own.
    fn given(kind: &str, endpoint: &str, options: &str) -> Self {
        let text = format!(
            "regions: [{}]\n{options}\naws:\n  access_key: test\n  secret_key: test\n  endpoint_url: {endpoint}\n  \
             accounts: [{{role: \"arn:aws:iam::{}:role/audit\"}}]\n",
            REGIONS.join(", "),
            ACCOUNTS[1]
        );
        Self::plain(kind, &text)
    }

    /// A kind of provider, with these options only.
    fn plain(kind: &str, options: &str) -> Self {
        let kinds = tidegate_aws::sources();
        let known = kinds.iter().find(|known| known.name() == kind).expect("the kind");
        let kind = known.provider().expect("it is a kind of provider");
        let provider = kind.provider(&Options::parse(options).expect("YAML")).expect("good options");
        Self { provider, runtime: Runtime::new().expect("a runtime") }
    }

    fn groups(&self) -> Vec<ScopeGroup> {
        self.runtime.block_on(self.provider.groups()).expect("the groups")
    }

    fn collect(&self, group: &ScopeGroup, extent: &Extent) -> (Rows, Collected) {
        let (pages, mut given) = Pages::channel(group.clone(), PageRoom::new(4));
        let taking = async {
            let mut rows = Rows::new();
            while let Some(page) = given.recv().await {
                rows.entry(page.table.to_string()).or_default().extend(json_rows(&page.rows));
            }
            rows
        };
        self.runtime.block_on(async { futures::join!(taking, self.provider.collect(group, extent, pages)) })
    }
}

fn json_rows(rows: &RecordBatch) -> Vec<Value> {
    let mut text = Vec::new();
    LineDelimitedWriter::new(&mut text).write(rows).expect("rows can be written");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows = lines.map(|line| {
        let mut row: Value = serde_json::from_slice(line).expect("JSON");
        row.as_object_mut().expect("an object").remove("_collected_at");
        row
    });
    rows.collect()
}
