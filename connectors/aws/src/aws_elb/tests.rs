//! What moto cannot show of load balancers.

use serde_json::json;
use tidegate_pipeline::provider::Extent;

use super::listener::Listeners;
use super::load_balancer::LoadBalancers;
use super::target_group::{TARGETS, TargetGroups};
use crate::testing::{Answer, Asked, StandIn};

const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

fn answer(action: &str, inside: &str) -> Answer {
    (200, format!("<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"))
}

fn error(status: u16, code: &str) -> Answer {
    (status, format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"))
}

/// What a request names in a list of that name.
fn named<'a>(asked: &'a Asked, list: &str) -> Vec<&'a str> {
    (1..).map(|n| asked.value(&format!("{list}.member.{n}"))).take_while(|arn| !arn.is_empty()).collect()
}

fn balancer(kind: &str, name: &str) -> String {
    let short = &kind[..3];
    format!(
        "<member><LoadBalancerArn>{ARN}:loadbalancer/{short}/{name}/1</LoadBalancerArn><LoadBalancerName>{name}\
         </LoadBalancerName><Type>{kind}</Type></member>"
    )
}

/// Fifty load balancers, of which 49 have tags, and one is gone.
fn fifty(asked: &Asked) -> Answer {
    if asked.value("Action") == "DescribeLoadBalancers" {
        let kinds = ["application", "network"];
        let listed: String = (0..50).map(|number| balancer(kinds[number % 2], &format!("lb-{number}"))).collect();
        return answer("DescribeLoadBalancers", &format!("<LoadBalancers>{listed}</LoadBalancers>"));
    }
    let arns = named(asked, "ResourceArns");
    assert!(!arns.is_empty() && arns.len() <= 20, "{arns:?}");
    if arns.iter().any(|arn| arn.ends_with("/lb-4/1")) {
        return error(400, "LoadBalancerNotFound");
    }
    let described = |arn: &&str| {
        format!(
            "<member><ResourceArn>{arn}</ResourceArn><Tags><member><Key>of</Key><Value>{arn}</Value></member></Tags></member>"
        )
    };
    let described: String = arns.iter().map(described).collect();
    answer("DescribeTags", &format!("<TagDescriptions>{described}</TagDescriptions>"))
}

#[tokio::test]
async fn load_balancers_are_in_the_tables_of_their_types_with_tags_read_in_parts_of_twenty() {
    let server = StandIn::new(fifty).await;
    let (rows, outcome) = server.collect(&LoadBalancers::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    assert_eq!(rows["aws_ec2_application_load_balancer"].len(), 25);
    assert_eq!(rows["aws_ec2_network_load_balancer"].len(), 25);
    assert!(!rows.contains_key("aws_ec2_gateway_load_balancer"));
    for row in rows.values().flatten() {
        let expected = (row["name"] != "lb-4").then(|| json!({"of": row["arn"]}));
        assert_eq!(row.get("tags"), expected.as_ref(), "{row}");
        assert!(row["raw"].as_str().unwrap().contains(row["name"].as_str().unwrap()), "{row}");
    }
}

#[tokio::test]
async fn what_is_no_arn_of_a_load_balancer_is_not_asked_for_and_one_that_is_gone_hides_no_other() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "DescribeTags" => error(403, "AccessDenied"),
        _ => {
            let arns = named(asked, "LoadBalancerArns");
            match arns.iter().any(|arn| arn.contains("gone")) {
                true => error(400, "LoadBalancerNotFound"),
                false => {
                    let name = |arn: &&str| balancer("network", arn.rsplit('/').nth(1).unwrap());
                    let listed: String = arns.iter().map(name).collect();
                    answer("DescribeLoadBalancers", &format!("<LoadBalancers>{listed}</LoadBalancers>"))
                }
            }
        }
    })
    .await;
    let targets = ["one", "gone", "two"].map(|name| format!("{ARN}:loadbalancer/net/{name}/1").into());
    let targets = targets.into_iter().chain(["i-1".into(), format!("{ARN}:targetgroup/x/1").into()]).collect();
    let (rows, outcome) = server.collect(&LoadBalancers::new(), "eu-west-1", Extent::Targets(targets)).await;
    outcome.unwrap();
    let rows = &rows["aws_ec2_network_load_balancer"];
    let mut names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
    assert!(rows.iter().all(|row| row.get("tags").is_none()));
}

#[tokio::test]
async fn listeners_are_read_of_each_load_balancer_and_of_one_that_is_gone_there_are_none() {
    let server = StandIn::new(|asked| match (asked.value("Action"), asked.value("LoadBalancerArn")) {
        ("DescribeLoadBalancers", _) => {
            let listed = [balancer("application", "here"), balancer("application", "gone")].concat();
            answer("DescribeLoadBalancers", &format!("<LoadBalancers>{listed}</LoadBalancers>"))
        }
        (_, arn) if arn.contains("gone") => error(400, "LoadBalancerNotFound"),
        (_, arn) => {
            let action = |order: i32, inside: &str| format!("<member><Order>{order}</Order>{inside}</member>");
            let group = |name: &str| format!("<member><TargetGroupArn>{name}</TargetGroupArn></member>");
            let forward = format!(
                "<Type>forward</Type><ForwardConfig><TargetGroups>{}{}</TargetGroups></ForwardConfig>",
                group("b"),
                group("a")
            );
            let actions = [action(2, &forward), action(1, "<Type>authenticate-oidc</Type>")].concat();
            let listener = format!(
                "<member><ListenerArn>{ARN}:listener/app/here/1/2</ListenerArn><LoadBalancerArn>{arn}</LoadBalancerArn>\
                 <DefaultActions>{actions}</DefaultActions></member>"
            );
            answer("DescribeListeners", &format!("<Listeners>{listener}</Listeners>"))
        }
    })
    .await;
    let (rows, outcome) = server.collect(&Listeners::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let [listener] = &rows["aws_ec2_load_balancer_listener"][..] else { panic!("one: {rows:?}") };
    assert_eq!(listener["default_action_types"], json!(["authenticate-oidc", "forward"]));
    assert_eq!(listener["default_target_group_arns"], json!(["a", "b"]));
}

#[tokio::test]
async fn targets_say_why_they_are_not_healthy_and_which_load_balancer_sends_to_them() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "DescribeTargetGroups" => {
            let group = |name: &str| {
                format!(
                    "<member><TargetGroupArn>{ARN}:targetgroup/{name}/1</TargetGroupArn><LoadBalancerArns><member>lb-{name}\
                     </member></LoadBalancerArns></member>"
                )
            };
            let listed: String = ["a", "gone"].map(group).concat();
            answer("DescribeTargetGroups", &format!("<TargetGroups>{listed}</TargetGroups>"))
        }
        "DescribeTargetHealth" if asked.value("TargetGroupArn").contains("gone") => error(400, "TargetGroupNotFound"),
        "DescribeTargetHealth" => answer(
            "DescribeTargetHealth",
            "<TargetHealthDescriptions><member><Target><Id>i-1</Id><Port>80</Port></Target><TargetHealth>\
             <State>unhealthy</State><Reason>Target.Timeout</Reason><Description>Request timed out</Description>\
             </TargetHealth></member></TargetHealthDescriptions>",
        ),
        _ => answer("DescribeTags", "<TagDescriptions/>"),
    })
    .await;
    let (rows, outcome) = server.collect(&TargetGroups::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    assert!(!rows.contains_key(TARGETS));
    let (rows, outcome) = server.collect_with(&TargetGroups::new(), "eu-west-1", Extent::Whole, &[TARGETS]).await;
    outcome.unwrap();
    let [target] = &rows[TARGETS][..] else { panic!("one: {rows:?}") };
    assert_eq!((&target["state"], &target["reason"]), (&json!("unhealthy"), &json!("Target.Timeout")));
    assert_eq!((&target["load_balancer_arn"], &target["port"]), (&json!("lb-a"), &json!(80)));
    assert!(target["raw"].as_str().unwrap().contains("timed out"), "{target}");
    assert_eq!(rows["aws_ec2_target_group"].len(), 2);
}
