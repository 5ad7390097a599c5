//! Notifications in a queue, as notices of what is to be read again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_aws::feed::{Counted, Counts, Coverage, EventsOptions, Feed, FeedState, Notice};
use tidegate_aws::notification::Target;
use tidegate_pipeline::spec::Options;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::queues::Queue;
use super::{config, endpoint, wait};
use crate::program::eventually;

/// A feed that runs until this is dropped.
struct Fed {
    notices: mpsc::Receiver<Notice>,
    counts: Arc<Counts>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Fed {
    /// Starts one that takes a notice at a time.
    fn start(endpoint: &str, queue: &str) -> Self {
        let options = Options::parse(&format!("queue: {queue}\nwait: 1s\nvisibility: 5s")).expect("YAML");
        let options: EventsOptions = options.read().expect("good options");
        let feed = Feed::new(&options, &config(endpoint));
        let tables = ["aws_ec2_instance", "aws_ebs_volume", "aws_vpc_eip"];
        let coverage: Coverage = tables.map(|table| ("111122223333", "eu-west-1", table)).into_iter().collect();
        let ((sender, notices), cancel) = (mpsc::channel(1), CancellationToken::new());
        let (counts, stop) = (feed.counts(), cancel.clone());
        // As the runtime listens to whatever gives notices: again, after it has failed.
        let task = tokio::spawn(async move {
            let place = |target| coverage.place(target);
            while feed.give::<Notice, _>(place, sender.clone(), stop.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Self { notices, counts, cancel, task }
    }

    async fn next(&mut self) -> Notice {
        timeout(Duration::from_secs(30), self.notices.recv()).await.expect("in time").expect("a notice")
    }

    async fn stop(self) {
        self.cancel.cancel();
        timeout(Duration::from_secs(5), self.task).await.expect("it ends at once").expect("it does not panic");
        assert_eq!(self.counts.state(), FeedState::Stopped);
    }
}

fn names(notice: &Notice) -> Vec<String> {
    let name = |target: &Target| format!("{} {}", target.table, target.id.as_deref().unwrap_or("*"));
    notice.targets.iter().map(name).collect()
}

fn stopped(account: &str, instance: &str) -> Value {
    json!({
        "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "account": account,
        "region": "eu-west-1", "detail": {"instance-id": instance, "state": "stopped"},
    })
}

fn enveloped(message: &Value) -> String {
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": message.to_string()})
        .to_string()
}

const HERE: &str = "111122223333";

/// What waits for queues blocks, and must not do so where the feed runs.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

fn several<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

#[test]
fn a_message_is_deleted_when_what_it_has_led_to_is_durable_and_not_before() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Arc::new(Queue::new(endpoint.clone(), "feed-durable", ""));
    queue.send(&[enveloped(&stopped(HERE, "i-1"))]);
    several(async {
        let mut fed = Fed::start(&endpoint, "feed-durable");
        let notice = fed.next().await;
        assert_eq!(names(&notice), ["aws_ec2_instance i-1"]);
        // Longer than the visibility timeout: it is kept, and does not come again.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert!(fed.notices.try_recv().is_err());
        let held = Arc::clone(&queue);
        assert_eq!(apart(move || held.left()).await, 1);
        notice.done.send(()).expect("somebody listens");
        let left = Arc::clone(&queue);
        apart(move || left.wait_until_empty()).await;
        assert_eq!((fed.counts.read(Counted::Settled), fed.counts.read(Counted::Released)), (1, 0));
        fed.stop().await;
    });
}

#[test]
fn a_message_whose_objects_were_not_read_comes_again() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Arc::new(Queue::new(endpoint.clone(), "feed-again", ""));
    queue.send(&[stopped(HERE, "i-1").to_string()]);
    several(async {
        let mut fed = Fed::start(&endpoint, "feed-again");
        drop(fed.next().await);
        let again = fed.next().await;
        assert_eq!(names(&again), ["aws_ec2_instance i-1"]);
        assert_eq!(fed.counts.read(Counted::Released), 1);
        // So does what was given and not done when the process ended.
        fed.stop().await;
        let mut next = Fed::start(&endpoint, "feed-again");
        let notice = next.next().await;
        notice.done.send(()).expect("somebody listens");
        let left = Arc::clone(&queue);
        apart(move || left.wait_until_empty()).await;
        next.stop().await;
    });
}

#[test]
fn what_leads_to_nothing_is_deleted_counted_and_holds_up_nothing() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Arc::new(Queue::new(endpoint.clone(), "feed-nothing", ""));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let stack = json!({"messageType": "ConfigurationItemChangeNotification", "configurationItem": {
        "resourceType": "AWS::CloudFormation::Stack", "resourceId": "arn:x", "awsAccountId": HERE, "awsRegion": "eu-west-1"}});
    queue.send(&[
        "poison".to_owned(),
        deep,
        enveloped(&json!({"AlarmName": "disk", "AWSAccountId": HERE})),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent"}).to_string(),
        enveloped(&stopped("999900001111", "i-9")),
        stack.to_string(),
        stopped(HERE, "i-1").to_string(),
    ]);
    several(async {
        let mut fed = Fed::start(&endpoint, "feed-nothing");
        let notice = fed.next().await;
        assert_eq!(names(&notice), ["aws_ec2_instance i-1"]);
        let others = Arc::clone(&queue);
        apart(move || eventually("all others deleted", || (others.left() == 1).then_some(()))).await;
        let counted = [
            Counted::Messages,
            Counted::Unreadable,
            Counted::Unknown,
            Counted::NotCollected,
            Counted::WithoutTable,
            Counted::WithoutTargets,
            Counted::Targets,
            Counted::Notices,
        ];
        assert_eq!(counted.map(|counted| fed.counts.read(counted)), [7, 2, 1, 1, 1, 6, 1, 1]);
        assert_eq!(fed.counts.unknown().into_keys().collect::<Vec<_>>(), ["s3:TestEvent"]);
        fed.stop().await;
    });
}

#[test]
fn a_storm_is_taken_in_parts_merged_and_deleted_to_the_last_message() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Arc::new(Queue::new(endpoint.clone(), "feed-storm", ""));
    let count = std::env::var("TIDEGATE_STORM").ok().and_then(|count| count.parse().ok()).unwrap_or(300_usize);
    let body = |number: usize| enveloped(&stopped(HERE, &format!("i-{:x}", number % 50)));
    queue.send(&(0..count).map(body).collect::<Vec<_>>());
    several(async {
        let mut fed = Fed::start(&endpoint, "feed-storm");
        let begun = Instant::now();
        let (mut notices, mut named) = (0_usize, 0_usize);
        while fed.counts.read(Counted::Settled) + fed.counts.read(Counted::Released) < count as u64 {
            assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", fed.counts);
            if let Ok(Some(notice)) = timeout(Duration::from_millis(200), fed.notices.recv()).await {
                assert!(notice.targets.len() <= 50, "each is named once");
                (notices, named) = (notices + 1, named + notice.targets.len());
                // Whoever reads takes its time, and what comes meanwhile is merged.
                tokio::time::sleep(Duration::from_millis(50)).await;
                notice.done.send(()).expect("somebody listens");
            }
        }
        eprintln!("{count} messages in {:?}: {notices} notices, {named} targets", begun.elapsed());
        let left = Arc::clone(&queue);
        apart(move || left.wait_until_empty()).await;
        assert!(notices <= count / 10, "{notices} notices: at most one for each answer of the queue");
        assert_eq!(fed.counts.read(Counted::Settled), count as u64);
        fed.stop().await;
    });
}

#[test]
fn a_queue_that_is_gone_is_waited_for_visibly_and_read_when_it_is_there() {
    let Some(endpoint) = endpoint() else { return };
    several(async {
        let mut fed = Fed::start(&endpoint, "feed-gone");
        let counts = Arc::clone(&fed.counts);
        let failing = move || match counts.state() {
            FeedState::Failing { reason } => Some(reason),
            _ => None,
        };
        let seen = failing.clone();
        let reason = apart(move || eventually("the failure", seen)).await;
        assert!(reason.contains("Queue feed-gone does not exist"), "{reason}");
        let (at, body) = (endpoint.clone(), stopped(HERE, "i-1").to_string());
        let queue = apart(move || {
            let queue = Queue::new(at, "feed-gone", "");
            queue.send(&[body]);
            queue
        });
        let queue = Arc::new(queue.await);
        let notice = fed.next().await;
        assert_eq!(names(&notice), ["aws_ec2_instance i-1"]);
        notice.done.send(()).expect("somebody listens");
        assert_eq!(fed.counts.state(), FeedState::Receiving);
        let left = Arc::clone(&queue);
        apart(move || {
            left.wait_until_empty();
            wait(left.client.delete_queue().queue_url(&left.url).send()).expect("it is deleted");
        })
        .await;
        apart(move || eventually("the second failure", failing)).await;
        fed.stop().await;
    });
}

#[test]
fn the_recorded_notifications_lead_to_notices_and_leave_nothing_in_the_queue() {
    let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
        return eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
    };
    let Some(endpoint) = endpoint() else { return };
    let folder = std::path::PathBuf::from(data).join("aws-events");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it was recorded");
    let cases: Value = serde_json::from_str(&read("expected_targets.json")).expect("JSON");
    let bodies: Vec<String> = cases["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .map(|case| read(case["event"].as_str().expect("a name")))
        .collect();
    let queue = Arc::new(Queue::new(endpoint.clone(), "feed-recorded", ""));
    queue.send(&bodies);
    several(async {
        // None of them is of the account that is collected here.
        let fed = Fed::start(&endpoint, "feed-recorded");
        let left = Arc::clone(&queue);
        apart(move || left.wait_until_empty()).await;
        let counts = [Counted::Messages, Counted::WithoutTargets, Counted::Unreadable, Counted::Unknown];
        assert_eq!(counts.map(|counted| fed.counts.read(counted)), [62, 62, 0, 0]);
        assert!(fed.counts.read(Counted::NotCollected) > 51);
        fed.stop().await;
    });
}
