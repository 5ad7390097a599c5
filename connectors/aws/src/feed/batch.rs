//! Messages that are looked at together: what is to be read again because of any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_sqs::types::Message;

use super::counts::{Counted, Counts};
use crate::notification::{Event, Target, parse, targets};
use crate::sqs::id_of;

/// More ids of one table, account and region than this are not read one by one: the table is read whole.
const MOST_IDS: usize = 1_000;

/// Account, region and table.
type Scope = (Arc<str>, Arc<str>, &'static str);

/// What is to be read in a scope.
#[derive(Debug)]
enum Wanted {
    Some(BTreeSet<Arc<str>>),
    Whole,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Batch {
    wanted: BTreeMap<Scope, Wanted>,
    /// The ids of messages that have led to something.
    pub(super) leading: Vec<String>,
    /// The ids of messages that have led to nothing.
    pub(super) idle: Vec<String>,
}

impl Batch {
    /// Adds a message.
    pub(super) fn add(&mut self, message: &Message, place: &dyn Fn(Target) -> Option<Target>, counts: &Counts) {
        counts.add(Counted::Messages, 1);
        let id = id_of(message);
        match self.lead(id, message.body().unwrap_or_default(), place, counts) {
            true => self.leading.push(id.to_owned()),
            false => {
                counts.add(Counted::WithoutTargets, 1);
                self.idle.push(id.to_owned());
            }
        }
    }

    /// Adds what a message leads to; whether there is anything.
    fn lead(&mut self, id: &str, body: &str, place: &dyn Fn(Target) -> Option<Target>, counts: &Counts) -> bool {
        let notification = match parse(body) {
            Ok(notification) => notification,
            Err(reason) => {
                if counts.add_unreadable(Instant::now()) {
                    tracing::warn!(message_id = id, %reason, "A message is no notification; it is deleted.");
                }
                return false;
            }
        };
        if notification.event == Event::Unknown {
            counts.add_unknown(&notification.name);
        }
        let reading = targets(&notification);
        counts.add(Counted::WithoutTable, reading.without_table);
        counts.add(Counted::WithoutPlace, reading.without_place);
        let mut leads = false;
        for target in reading.targets {
            match place(target) {
                Some(target) => {
                    leads = true;
                    self.want(target);
                }
                None => counts.add(Counted::NotCollected, 1),
            }
        }
        leads
    }

    fn want(&mut self, target: Target) {
        let wanted = self.wanted.entry((target.account_id, target.region, target.table));
        let wanted = wanted.or_insert_with(|| Wanted::Some(BTreeSet::new()));
        if let Wanted::Some(ids) = wanted {
            match target.id {
                Some(id) if ids.len() < MOST_IDS || ids.contains(&id) => {
                    ids.insert(id);
                }
                _ => *wanted = Wanted::Whole,
            }
        }
    }

    /// Whether there is anything to be read.
    pub(super) fn leads(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// What is to be read, each once.
    pub(super) fn targets(&mut self) -> Vec<Target> {
        let scopes = std::mem::take(&mut self.wanted).into_iter();
        let of_scope = |((account_id, region, table), wanted): (Scope, Wanted)| {
            let ids = match wanted {
                Wanted::Whole => vec![None],
                Wanted::Some(ids) => ids.into_iter().map(Some).collect(),
            };
            let target =
                move |id| Target { account_id: Arc::clone(&account_id), region: Arc::clone(&region), table, id };
            ids.into_iter().map(target)
        };
        scopes.flat_map(of_scope).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(id: &str, body: &str) -> Message {
        Message::builder().message_id(id).body(body).build()
    }

    fn call(name: &str, request: &Value) -> String {
        json!({
            "account": "1", "region": "r", "detail-type": "AWS API Call via CloudTrail",
            "detail": {"eventType": "AwsApiCall", "eventSource": "ec2.amazonaws.com", "eventName": name, "requestParameters": request},
        })
        .to_string()
    }

    fn batch(bodies: &[String], counts: &Counts) -> Batch {
        let mut batch = Batch::default();
        for (index, body) in bodies.iter().enumerate() {
            let collected = |target: Target| (target.table != "aws_vpc").then_some(target);
            batch.add(&message(&index.to_string(), body), &collected, counts);
        }
        batch
    }

    fn read(mut batch: Batch) -> Vec<String> {
        let targets = batch.targets().into_iter();
        targets.map(|target| format!("{} {}", target.table, target.id.as_deref().unwrap_or("*"))).collect()
    }

    #[test]
    fn what_many_messages_name_is_read_once() {
        let counts = Counts::default();
        let stop = |id: &str| call("StopInstances", &json!({"instancesSet": {"items": [{"instanceId": id}]}}));
        let found = batch(
            &[stop("i-1"), stop("i-2"), stop("i-1"), call("DeleteVolume", &json!({"volumeId": "vol-1"}))],
            &counts,
        );
        assert_eq!((found.leading.len(), found.idle.len()), (4, 0));
        assert_eq!(read(found), ["aws_ebs_volume vol-1", "aws_ec2_instance i-1", "aws_ec2_instance i-2"]);
    }

    #[test]
    fn a_table_that_is_read_whole_is_not_read_by_ids_besides_whatever_comes_first() {
        let release = |request: Value| call("ReleaseAddress", &request);
        let (one, whole) = (release(json!({"allocationId": "eipalloc-1"})), release(json!({"publicIp": "192.0.2.1"})));
        for bodies in [[one.clone(), whole.clone()], [whole, one]] {
            assert_eq!(read(batch(&bodies, &Counts::default())), ["aws_vpc_eip *"]);
        }
    }

    #[test]
    fn more_ids_than_are_worth_it_are_read_as_a_whole_table() {
        let items: Vec<Value> = (0..=MOST_IDS).map(|number| json!({"instanceId": format!("i-{number:x}")})).collect();
        let body = |count: usize| call("StopInstances", &json!({"instancesSet": {"items": items[..count]}}));
        assert_eq!(read(batch(&[body(MOST_IDS), body(MOST_IDS)], &Counts::default())).len(), MOST_IDS);
        assert_eq!(read(batch(&[body(MOST_IDS + 1)], &Counts::default())), ["aws_ec2_instance *"]);
    }

    #[test]
    fn what_leads_to_nothing_is_told_apart_and_counted() {
        let counts = Counts::default();
        let bodies = [
            "poison".to_owned(),
            json!({"messageType": "Something"}).to_string(),
            call("DeleteVpc", &json!({"vpcId": "vpc-1"})),
            call("DeleteStack", &json!({"stackName": "s"})),
            call("DeleteVolume", &json!({"volumeId": "vol-1"})),
        ];
        let found = batch(&bodies, &counts);
        assert_eq!(
            (&found.leading[..], &found.idle[..]),
            (&["4".to_owned()][..], &["0", "1", "2", "3"].map(str::to_owned)[..])
        );
        let counted = [
            Counted::Messages,
            Counted::Unreadable,
            Counted::Unknown,
            Counted::NotCollected,
            Counted::WithoutTable,
            Counted::WithoutTargets,
        ];
        assert_eq!(counted.map(|counted| counts.read(counted)), [5, 1, 1, 1, 1, 4]);
        assert_eq!(counts.unknown().into_iter().collect::<Vec<_>>(), [("AWS_CONFIG_Something".to_owned(), 1)]);
    }
}
