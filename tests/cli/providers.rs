//! What is said of providers before there is one: what they must be allowed, what they ask for, whether credentials are good.

use crate::program::Folder;

#[test]
fn a_policy_allows_what_the_wanted_tables_need_and_nothing_else() {
    let folder = Folder::new();
    let policy = folder.run(&["provider", "policy", "aws_ec2", "--table", "aws_ebs_volume"]).code(0).json();
    let allowed = &policy["Statement"][0]["Action"];
    assert_eq!(*allowed, serde_json::json!(["ec2:DescribeRegions", "ec2:DescribeVolumes", "sts:GetCallerIdentity"]));
    let all = folder.run(&["provider", "policy", "aws_ec2"]).code(0).json();
    let all = all["Statement"][0]["Action"].as_array().expect("a list").clone();
    assert!(all.len() > 20 && all.iter().all(|action| !action.as_str().expect("text").contains('*')), "{all:?}");
    folder.run(&["provider", "policy", "aws_ec2", "--table", "aws_ebs_volumes"]).code(3).said(&["aws_ebs_volume"]);
    folder.run(&["provider", "policy", "aws_ec3"]).code(3).said(&["aws_ec2"]);
    folder.run(&["provider", "policy", "host"]).code(3).said(&["needs no policy"]);
}

#[test]
fn a_form_hides_secrets_and_the_schema_is_that_of_the_options() {
    let folder = Folder::new();
    let form = folder.run(&["provider", "params", "aws_ec2"]).code(0).json();
    let aws = form["fields"].as_array().expect("fields").iter().find(|field| field["name"] == "aws").expect("aws");
    let secret = aws["fields"].as_array().expect("fields").iter().find(|field| field["name"] == "aws.secret_key");
    assert_eq!(secret.expect("a secret key")["component"], "password-field");
    let schema = folder.run(&["provider", "params", "aws_ec2", "--shape", "schema"]).code(0).json();
    assert!(schema["properties"]["regions"].is_object(), "{schema}");
}

#[test]
fn what_can_be_read_is_valid_and_what_is_not_there_is_not() {
    let folder = Folder::new();
    let verified = folder.run(&["provider", "verify", "host", "--format", "json"]).code(0).json();
    assert_eq!(verified[0]["status"], "valid");
    let verified = folder.run(&["provider", "verify", "host", "--arg", "root=/not/there", "--format", "json"]).code(2);
    let verified = verified.json();
    assert_eq!(verified[0]["status"], "invalid");
    assert!(verified[0]["message"].as_str().is_some_and(|message| message.contains("/not/there")), "{verified}");
}
