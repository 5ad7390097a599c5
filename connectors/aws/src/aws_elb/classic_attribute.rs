//! What DescribeLoadBalancers does not say of load balancers of the first generation: calls for each.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::types::LoadBalancerAttributes;

use crate::provider::{Optional, Table, Unread, answered, unless_unknown};

/// The attributes of load balancers of these names, in their order; nothing where one is gone, or it may not be known.
///
/// # Errors
/// When they are not given.
pub(super) async fn attributes(
    client: &Client,
    optional: &Optional<'_>,
    names: Vec<String>,
) -> Result<Vec<Option<LoadBalancerAttributes>>, Unread> {
    let read = async |name: String| {
        let answer = client.describe_load_balancer_attributes().load_balancer_name(name).send().await;
        let answer = answered("read the attributes of a load balancer", unless_unknown(answer))?;
        Ok(answer.and_then(|answer| answer.load_balancer_attributes))
    };
    optional.each(names, read).await
}

/// The health of an instance behind a load balancer.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    /// `InService`, `OutOfService` or `Unknown`.
    pub(super) state: Option<String>,
    pub(super) reason_code: Option<String>,
    pub(super) description: Option<String>,
}

/// The health of the instances of load balancers of these names, in their order, by instance; nothing as of
/// [`attributes`].
///
/// # Errors
/// When it is not given.
pub(super) async fn health(
    client: &Client,
    optional: &Optional<'_>,
    names: Vec<String>,
) -> Result<Vec<Option<BTreeMap<String, Health>>>, Unread> {
    let read = async |name: String| {
        let answer = client.describe_instance_health().load_balancer_name(name).send().await;
        let answer = answered("read the health of instances", unless_unknown(answer))?;
        Ok(answer.map(|answer| {
            let states = answer.instance_states.unwrap_or_default().into_iter();
            let health = states.map(|state| {
                let found =
                    Health { state: state.state, reason_code: state.reason_code, description: state.description };
                (state.instance_id.unwrap_or_default(), found)
            });
            health.collect()
        }))
    };
    optional.each(names, read).await
}

/// Where a row has its attributes.
pub(super) type Of<R> = for<'a> fn(&'a R) -> Option<&'a LoadBalancerAttributes>;

/// The columns of attributes.
pub(super) fn columns<R: 'static>(table: Table<R>, of: Of<R>) -> Table<R> {
    table
        .boolean(
            "access_log_enabled",
            "Whether accesses are logged in a bucket; NULL unless `hydrate` names this column, as those that follow.",
            move |row| Some(of(row)?.access_log()?.enabled()),
        )
        .reference("access_log_s3_bucket_name", "The bucket of these logs.", ("aws_s3_bucket", "name"), move |row| {
            of(row)?.access_log()?.s3_bucket_name()
        })
        .text("access_log_s3_bucket_prefix", "How their keys begin.", move |row| {
            of(row)?.access_log()?.s3_bucket_prefix()
        })
        .integer("access_log_emit_interval", "Every how many minutes they are written.", move |row| {
            of(row)?.access_log()?.emit_interval()
        })
        .boolean(
            "cross_zone_load_balancing_enabled",
            "Whether each zone sends requests to instances in all zones.",
            move |row| Some(of(row)?.cross_zone_load_balancing()?.enabled()),
        )
        .boolean("connection_draining_enabled", "Whether instances that leave may end what they do.", move |row| {
            Some(of(row)?.connection_draining()?.enabled())
        })
        .integer("connection_draining_timeout", "For how many seconds at most.", move |row| {
            of(row)?.connection_draining()?.timeout()
        })
        .integer(
            "connection_settings_idle_timeout",
            "After how many seconds an idle connection is closed.",
            move |row| Some(of(row)?.connection_settings()?.idle_timeout()),
        )
        .text("desync_mitigation_mode", "`monitor`, `defensive` or `strictest`.", move |row| {
            let mut others = of(row)?.additional_attributes().iter();
            others.find(|other| other.key() == Some("elb.http.desyncmitigationmode"))?.value()
        })
}
