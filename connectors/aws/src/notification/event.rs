//! What a notification says.

use serde_json::{Map, Value};

/// A notification of AWS.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// What has happened, as ManageIQ names it: `AWS_API_CALL_RunInstances`, `AWS_EC2_Volume_CREATE`.
    pub name: String,
    /// The id that the sender gave to it, of the outermost envelope that has one.
    pub message_id: Option<String>,
    /// The account in which it happened.
    pub account_id: Option<String>,
    /// The region in which it happened.
    pub region: Option<String>,
    /// When it happened, as AWS wrote it.
    pub time: Option<String>,
    /// What it is.
    pub event: Event,
}

/// What a notification is.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// AWS Config has recorded another state of a resource.
    Configuration(Configuration),
    /// CloudTrail has recorded a call.
    ApiCall(ApiCall),
    /// A service tells by itself what has happened: an instance has another state, a volume is there.
    Service(ServiceEvent),
    /// An alarm of CloudWatch has another state.
    Alarm,
    /// Something else, which is known by its name only.
    Unknown,
}

/// A resource whose state AWS Config has recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Its type: `AWS::EC2::Instance`.
    pub resource_type: String,
    /// Its id.
    pub resource_id: Option<String>,
    /// Its name, where it has one besides the id.
    pub resource_name: Option<String>,
    /// Its ARN.
    pub arn: Option<String>,
}

/// A call that CloudTrail has recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiCall {
    /// The service that was called: `ec2`.
    pub service: String,
    /// The call: `RunInstances`.
    pub name: String,
    /// Why it was refused, where it was.
    pub error_code: Option<String>,
    /// Whether it only reads.
    pub read_only: bool,
    /// Its arguments.
    pub request: Map<String, Value>,
    /// Its answer.
    pub response: Map<String, Value>,
    /// The resource that it was about, where that is told apart.
    pub resource: Map<String, Value>,
}

impl ApiCall {
    /// Whether anything may be different afterwards.
    pub fn changes(&self) -> bool {
        self.error_code.is_none() && !self.read_only
    }
}

/// What a service tells by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceEvent {
    /// Who tells it: `aws.ec2`.
    pub source: String,
    /// What is told: `EBS Volume Notification`.
    pub detail_type: String,
    /// The ARNs of what it is about.
    pub resources: Vec<String>,
    /// The rest.
    pub detail: Map<String, Value>,
}
