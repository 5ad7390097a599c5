//! What is wrong with a cluster, step by step. Nothing is read, and no group is joined: its offsets are only asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::cluster::{Cluster, topic_missing};
use super::context::Context;
use super::options::Topics;
use super::registry::Registry;
use crate::diagnosis::{counted, reach, read};

/// The most partitions of a topic whose offsets are asked for.
const MOST_PARTITIONS: usize = 64;
/// The most topics that a pattern may bring into view.
const MOST_TOPICS: usize = 32;
/// How long one attempt to be answered takes, until it is looked whether there is hope.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Looks at everything up to the first message.
pub(super) async fn diagnose(settings: &Settings, node: &str, cancel: &CancellationToken, found: &mut Diagnosis) {
    let begins = settings.connection.begins();
    let mut reachable = false;
    for (host, port) in &begins {
        if begins.len() > 1 {
            found.about(format!("{host}:{port}"));
        }
        reachable |= reach(found, host, *port, settings.connection.handshake()).await;
    }
    found.about_all(reachable);
    let asking = Asking::new(settings, node, found.limit());
    let first = match &settings.topics {
        Topics::Named(names) => names.first().cloned(),
        Topics::Matching(_) => None,
    };
    let answered = async {
        let asking = asking?;
        let brokers = asking.brokers(first).await?;
        Ok((asking, format!("{}, brokers {}", settings.connection.who(), brokers.join(", "))))
    };
    let asking = found.check("cluster answers", answered).await;
    for topic in topics(settings, asking.as_ref(), found).await {
        found.about(format!("topic {topic}"));
        look_at(&topic, asking.as_ref(), settings.group.as_deref(), found).await;
    }
    if let Some(options) = settings.avro.as_ref().and_then(|avro| avro.registry.as_ref()) {
        found.about_all(true);
        found.about("schema registry");
        let registry =
            read(found, "secrets read", || Ok((Registry::new(options, cancel.clone())?, String::new()))).await;
        if let Some(mut registry) = registry {
            registry.diagnose(found).await;
        }
    }
    found.about_all(true);
    if let Some(asking) = asking {
        // To end a client takes a moment, in which its thread waits.
        let _ = tokio::task::spawn_blocking(move || drop(asking)).await;
    }
}

/// The topics that are wanted; those of a pattern as a step of their own.
async fn topics(settings: &Settings, asking: Option<&Asking>, found: &mut Diagnosis) -> Vec<String> {
    let pattern = match &settings.topics {
        Topics::Named(names) => return names.clone(),
        Topics::Matching(pattern) => pattern.clone(),
    };
    let matching = async {
        let names = ask(asking, move |cluster| {
            let found = cluster.find(&Topics::Matching(pattern))?;
            let mut names: Vec<String> = found.partitions.iter().map(|(topic, _)| topic.to_string()).collect();
            names.extend(found.missing.into_iter().map(|(topic, _)| topic));
            names.sort_unstable();
            names.dedup();
            Ok(names)
        });
        let mut names = names.await?;
        let told = match names.len() {
            0 => "none yet; they are looked for again and again".to_owned(),
            more if more > MOST_TOPICS => format!("{more}, of which the first {MOST_TOPICS} are looked at"),
            all => counted(all as u64, "topic"),
        };
        names.truncate(MOST_TOPICS);
        Ok((names, told))
    };
    found.check("topics match", matching).await.unwrap_or_default()
}

/// One topic: whether it may be described, from where to where it reaches, and how far the group has come.
async fn look_at(topic: &str, asking: Option<&Asking>, group: Option<&str>, found: &mut Diagnosis) {
    let name = topic.to_owned();
    let described = async {
        let partitions = ask(asking, move |cluster| {
            let found = cluster.find(&Topics::Named(vec![name]))?;
            match found.missing.first() {
                Some((topic, code)) => Err(topic_missing(topic, *code)),
                None => Ok(found.partitions),
            }
        });
        let partitions = partitions.await?;
        let told = counted(partitions.len() as u64, "partition");
        Ok((partitions, told))
    };
    let partitions = found.check("topic there", described).await.unwrap_or_default();
    let offsets = async {
        let reaches = ask(asking, move |cluster| {
            let looked_at = partitions.into_iter().take(MOST_PARTITIONS);
            let bounds = |(topic, partition): (Arc<str>, i32)| Ok((partition, cluster.bounds(&topic, partition)?));
            looked_at.map(bounds).collect::<Result<Vec<_>>>()
        });
        let reaches = reaches.await?;
        let told = told(&reaches);
        Ok((reaches, told))
    };
    let reaches = found.check("offsets known", offsets).await.unwrap_or_default();
    let Some(group) = group else { return };
    let name = topic.to_owned();
    let committed = async {
        let behind = ask(asking, move |cluster| behind(cluster, &name, &reaches)).await?;
        Ok(((), format!("`{group}`: {behind}")))
    };
    found.check("group asked", committed).await;
}

fn told(reaches: &[(i32, (i64, i64))]) -> String {
    let all: i64 = reaches.iter().map(|(_, (low, high))| high - low).sum();
    let of_each = reaches.iter().take(8).map(|(partition, (low, high))| format!("{partition}: {low} to {high}"));
    let more = if reaches.len() > 8 { ", …" } else { "" };
    format!("{} offsets ({}{more})", all, of_each.collect::<Vec<_>>().join(", "))
}

/// How far the group is behind.
fn behind(cluster: &Cluster<'_>, topic: &str, reaches: &[(i32, (i64, i64))]) -> Result<String> {
    let mut asked = TopicPartitionList::new();
    for (partition, _) in reaches {
        asked.add_partition(topic, *partition);
    }
    let committed = cluster.committed(&asked)?;
    let known: Vec<i64> =
        reaches.iter().filter_map(|(partition, (_, high))| Some(high - committed.of(topic, *partition)?)).collect();
    let partitions = counted(reaches.len() as u64, "partition");
    Ok(format!("has committed {} of {partitions}, {} offsets behind there", known.len(), known.iter().sum::<i64>()))
}

/// A client that is asked, in threads that may wait.
#[derive(Clone)]
struct Asking {
    consumer: Arc<BaseConsumer<Context>>,
    /// Shorter than a step may take: then the client says itself what is wrong.
    patience: Duration,
}

impl Asking {
    fn new(settings: &Settings, node: &str, limit: Duration) -> Result<Self> {
        let made = settings.config(node)?.create_with_context(Context::default());
        let consumer = made.map_err(|error| Error::user(format!("the Kafka client cannot be made: {error}")))?;
        Ok(Self { consumer: Arc::new(consumer), patience: limit.mul_f64(0.8) })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let asking = self.clone();
        let asked = tokio::task::spawn_blocking(move || question(&Cluster::within(&asking.consumer, asking.patience)));
        asked.await.map_err(Error::internal)?
    }

    /// The brokers; who is refused is not tried again until the time is up.
    async fn brokers(&self, topic: Option<String>) -> Result<Vec<String>> {
        let asking = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let cluster = Cluster::within(&asking.consumer, ATTEMPT.min(asking.patience));
            loop {
                match cluster.brokers(topic.as_deref()) {
                    Err(_)
                        if begun.elapsed() + ATTEMPT < asking.patience && !asking.consumer.context().said.refused() => {
                    }
                    outcome => return outcome,
                }
            }
        });
        asked.await.map_err(Error::internal)?
    }
}

async fn ask<T: Send + 'static>(
    asking: Option<&Asking>,
    question: impl FnOnce(&Cluster<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    asking.ok_or_else(|| Error::internal("there is no client"))?.ask(question).await
}
