//! `aws_ec2_load_balancer_listener`, from DescribeListeners: a call for each load balancer.

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{Action, Listener, RedirectActionConfig};
use futures::stream::{self, TryStreamExt};

use super::request::{NAMES, PAGE, client, is_arn, load_balancers, page};
use crate::provider::{CALLS, Call, Collector, Declared, Named, Table, Unread, sorted, unless_unknown};

const NAME: &str = "aws_ec2_load_balancer_listener";

/// Of what listeners are listed.
enum Of {
    LoadBalancer(String),
    Themselves(Vec<String>),
}

/// Reads DescribeListeners.
pub(super) struct Listeners {
    listeners: Table<Listener>,
}

impl Listeners {
    pub(super) fn new() -> Self {
        Self { listeners: actions(listeners()) }
    }

    /// Reads the listeners of one load balancer, or some of them; whether AWS knew it, or all of them.
    async fn read(&self, call: &Call<'_>, client: &Client, of: Of) -> Result<bool, Unread> {
        // Whoever names listeners gets all of them at once.
        let (balancer, arns, size) = match of {
            Of::LoadBalancer(arn) => (Some(arn), None, Some(PAGE)),
            Of::Themselves(arns) => (None, Some(arns), None),
        };
        let mut listing = call.listing("list the listeners");
        while let Some(token) = listing.token() {
            let request = client.describe_listeners().set_load_balancer_arn(balancer.clone());
            let request = request.set_listener_arns(arns.clone()).set_page_size(size).set_marker(token);
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            let Some((page, raw)) = listing.page_unless_gone(answer, |page| page.next_marker())? else {
                return Ok(false);
            };
            call.give(&self.listeners, page.listeners(), raw.items("DescribeListenersResult/Listeners")).await?;
        }
        Ok(true)
    }
}

fn listeners() -> Table<Listener> {
    let description = "What load balancers of the second generation listen to.";
    Table::new(NAME, description, |_, listener: &Listener| listener.listener_arn().unwrap_or_default().to_owned())
        .by_arn()
        .text("load_balancer_arn", "The load balancer.", |listener| listener.load_balancer_arn())
        .integer("port", "The port; NULL for a gateway load balancer, which takes all.", Listener::port)
        .text("protocol", "`HTTP`, `HTTPS`, `TCP`, `TLS`, `UDP`, `TCP_UDP`, `GENEVE`, …", |listener| {
            Some(listener.protocol()?.as_str())
        })
        .text("ssl_policy", "The policy that says which protocols and ciphers TLS may have.", |listener| {
            listener.ssl_policy()
        })
        .texts("certificate_arns", "The default certificate.", |listener| {
            sorted(listener.certificates().iter().map(|certificate| certificate.certificate_arn()))
        })
        .texts("alpn_policy", "The policy of application protocols.", |listener| listener.alpn_policy().to_vec())
        .text("mutual_authentication_mode", "`off`, `passthrough` or `verify`: certificates of clients.", |listener| {
            listener.mutual_authentication()?.mode()
        })
}

/// What is done with what no rule takes.
fn actions(table: Table<Listener>) -> Table<Listener> {
    table
        .texts(
            "default_action_types",
            "What is done with what no rule takes, in order: `forward`, `redirect`, `fixed-response`, `authenticate-oidc`, …",
            |listener| {
                let mut actions: Vec<&Action> = listener.default_actions().iter().collect();
                actions.sort_by_key(|action| action.order());
                actions.iter().filter_map(|action| action.r#type()).map(|kind| kind.as_str().to_owned()).collect::<Vec<_>>()
            },
        )
        .texts("default_target_group_arns", "The target groups that it is forwarded to, sorted.", |listener| {
            let groups = |action: &Action| -> Vec<String> {
                let forwarded = action.forward_config().map(|forward| forward.target_groups()).unwrap_or_default();
                let forwarded = forwarded.iter().filter_map(|group| group.target_group_arn());
                forwarded.chain(action.target_group_arn()).map(str::to_owned).collect()
            };
            let mut groups: Vec<String> = listener.default_actions().iter().flat_map(groups).collect();
            groups.sort_unstable();
            groups.dedup();
            groups
        })
        .text("default_redirect_protocol", "What it is redirected to: `HTTP`, `HTTPS` or `#{protocol}`.", |listener| {
            redirect(listener)?.protocol()
        })
        .text("default_redirect_port", "The port that it is redirected to, or `#{port}`.", |listener| {
            redirect(listener)?.port()
        })
        .text("default_redirect_status_code", "`HTTP_301` or `HTTP_302`.", |listener| {
            Some(redirect(listener)?.status_code()?.as_str())
        })
}

fn redirect(listener: &Listener) -> Option<&RedirectActionConfig> {
    listener.default_actions().iter().find_map(|action| action.redirect_config())
}

#[async_trait]
impl Collector for Listeners {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.listeners]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeLoadBalancers"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let targets = call.ids(|id| is_arn(id, "listener"));
        for arns in targets.iter().flat_map(|arns| arns.chunks(NAMES)) {
            let mut named = Named::new(arns.to_vec());
            while let Some(arns) = named.next() {
                if !self.read(call, &client, Of::Themselves(arns.clone())).await? {
                    named.refused(arns);
                }
            }
        }
        if targets.as_ref().is_some_and(|arns| !arns.is_empty()) {
            return Ok(());
        }
        let mut listing = load_balancers(call);
        while let Some(token) = listing.token() {
            let Some((page, _)) = page(&client, &mut listing, token, None).await? else { break };
            if targets.is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            let arns = page.load_balancers().iter().filter_map(|balancer| balancer.load_balancer_arn());
            let arns: Vec<Result<String, Unread>> = arns.map(|arn| Ok(arn.to_owned())).collect();
            let read = async |arn| self.read(call, &client, Of::LoadBalancer(arn)).await.map(|_| ());
            stream::iter(arns).try_for_each_concurrent(CALLS, read).await?;
        }
        Ok(())
    }
}
