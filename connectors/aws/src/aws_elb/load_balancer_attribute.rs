//! The attributes of load balancers: a call for each, from DescribeLoadBalancerAttributes.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::Client;
use serde_json::{Value, json};

use crate::provider::{Optional, Table, Unread, answered, unless_unknown};

/// The attributes of a load balancer, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }

    fn json(&self) -> String {
        let pair = |(name, value): (&String, &String)| json!({"Key": name, "Value": value});
        self.0.iter().map(pair).collect::<Value>().to_string()
    }
}

/// The attributes of load balancers of these ARNs, in their order; nothing where one is gone, or it may not be known.
///
/// # Errors
/// When they are not given.
pub(super) async fn attributes(
    client: &Client,
    optional: &Optional<'_>,
    arns: Vec<String>,
) -> Result<Vec<Option<Attributes>>, Unread> {
    let read = async |arn: String| {
        let answer = client.describe_load_balancer_attributes().load_balancer_arn(arn).send().await;
        let answer = answered("read the attributes of a load balancer", unless_unknown(answer))?;
        Ok(answer.map(|answer| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let attributes = answer.attributes().iter();
            Attributes(attributes.map(|attribute| (text(attribute.key()), text(attribute.value()))).collect())
        }))
    };
    optional.each(arns, read).await
}

/// Where a row has its attributes.
pub(super) type Of<R> = for<'a> fn(&'a R) -> Option<&'a Attributes>;

/// The columns that all load balancers have.
pub(super) fn columns<R: 'static>(table: Table<R>, of: Of<R>) -> Table<R> {
    table
        .json(
            "load_balancer_attributes",
            "All attributes, sorted, as JSON with `Key` and `Value`; NULL unless `hydrate` names this column, as those that \
             follow.",
            move |row| Some(of(row)?.json()),
        )
        .boolean("deletion_protection_enabled", "Whether it is protected from deletion.", move |row| {
            of(row)?.boolean("deletion_protection.enabled")
        })
        .boolean("cross_zone_enabled", "Whether each zone sends requests to targets in all zones.", move |row| {
            of(row)?.boolean("load_balancing.cross_zone.enabled")
        })
}

/// The columns of those that can write down what they do.
pub(super) fn logging<R: 'static>(table: Table<R>, of: Of<R>) -> Table<R> {
    table
        .boolean("access_logs_enabled", "Whether accesses are logged in a bucket.", move |row| {
            of(row)?.boolean("access_logs.s3.enabled")
        })
        .reference("access_logs_bucket", "The bucket of these logs.", ("aws_s3_bucket", "name"), move |row| {
            of(row)?.text("access_logs.s3.bucket")
        })
        .text("access_logs_prefix", "How their keys begin.", move |row| of(row)?.text("access_logs.s3.prefix"))
}

/// The columns of those that understand HTTP.
pub(super) fn http<R: 'static>(table: Table<R>, of: Of<R>) -> Table<R> {
    table
        .boolean("connection_logs_enabled", "Whether connections are logged in a bucket.", move |row| {
            of(row)?.boolean("connection_logs.s3.enabled")
        })
        .boolean("drop_invalid_header_fields_enabled", "Whether headers with invalid names are dropped.", move |row| {
            of(row)?.boolean("routing.http.drop_invalid_header_fields.enabled")
        })
        .text("desync_mitigation_mode", "`monitor`, `defensive` or `strictest`.", move |row| {
            of(row)?.text("routing.http.desync_mitigation_mode")
        })
        .boolean("http2_enabled", "Whether HTTP/2 is spoken.", move |row| of(row)?.boolean("routing.http2.enabled"))
        .boolean("waf_fail_open_enabled", "Whether requests pass where the WAF does not answer.", move |row| {
            of(row)?.boolean("waf.fail_open.enabled")
        })
        .integer("idle_timeout_seconds", "After how many seconds an idle connection is closed.", move |row| {
            of(row)?.text("idle_timeout.timeout_seconds")?.parse::<i64>().ok()
        })
}
