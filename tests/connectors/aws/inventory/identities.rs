//! The tables of IAM.

use serde_json::{Value, json};
use tidegate_pipeline::provider::Extent;
use tidegate_pipeline::step::ScopeOutcome;

use super::front::Front;
use super::reading::{Lacks, every_table_is_read, rows_of, targets_are_read_alone, text};
use super::{ACCOUNTS, Inventory, moto};

const DENIED: (u16, &str, &str) =
    (403, "text/xml", "<ErrorResponse><Error><Code>AccessDenied</Code><Message>No.</Message></Error></ErrorResponse>");

fn inventory(endpoint: &str) -> Inventory {
    Inventory::given("aws_iam", endpoint, "")
}

// matrix: aws_iam: happy
// matrix: aws_iam: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_iam: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn every_table_of_iam_is_read_once_in_an_account_and_a_second_look_finds_the_same() {
    let Some(moto) = moto() else { return };
    let inventory = inventory(&format!("http://{moto}"));
    assert!(inventory.groups().iter().all(|group| &*group.region == "global"));
    every_table_is_read(&inventory, Lacks::default());
}

#[test]
fn of_users_roles_and_policies_exactly_those_are_read_again_that_are_named() {
    let Some(moto) = moto() else { return };
    targets_are_read_alone(&inventory(&format!("http://{moto}")));
}

#[test]
fn users_and_what_they_may_do_are_said_in_columns_that_sql_can_read() {
    let Some(moto) = moto() else { return };
    let inventory = inventory(&format!("http://{moto}"));
    let users = rows_of(&inventory, "aws_iam_user");
    let [ann, bob] = &users[..] else { panic!("two users: {users:?}") };
    for column in ["mfa_enabled", "console_access"] {
        assert_eq!((&ann[column], &bob[column]), (&json!(true), &json!(false)), "{column}");
    }
    assert_eq!((&ann["groups"], &ann["tags"]), (&json!(["ops"]), &json!({"team": "blue"})));
    let everything = format!("arn:aws:iam::{}:policy/everything", ACCOUNTS[0]);
    assert_eq!(ann["attached_policy_arns"], json!([everything]));
    assert_eq!(ann["inline_policy_names"], json!(["own"]));
    let inline = rows_of(&inventory, "aws_iam_user_inline_statement");
    assert_eq!(inline[0]["actions"], json!(["s3:getobject", "s3:listbucket"]));
    let statements = rows_of(&inventory, "aws_iam_policy_statement");
    assert_eq!((&statements[0]["actions"], &statements[0]["resources"]), (&json!(["*"]), &json!(["*"])));
    assert_eq!(text(&rows_of(&inventory, "aws_iam_policy")[0], "name"), "everything");
    let groups = rows_of(&inventory, "aws_iam_group");
    assert_eq!(groups[0]["users"], json!(["ann"]));
    let trust = rows_of(&inventory, "aws_iam_role_trust_statement");
    assert_eq!(trust[0]["principals"], json!(["Service:ec2.amazonaws.com"]));
}

#[test]
fn the_credential_report_is_made_and_typed() {
    let Some(moto) = moto() else { return };
    let inventory = inventory(&format!("http://{moto}"));
    let report = rows_of(&inventory, "aws_iam_credential_report");
    let of = |name: &str| report.iter().find(|row| text(row, "user_name") == name).expect("a line for each user");
    let shown =
        |row: &Value| ["password_enabled", "mfa_active", "access_key_1_active"].map(|column| row[column].clone());
    assert_eq!(shown(of("ann")), [json!(true), json!(true), json!(true)]);
    assert_eq!(shown(of("bob")), [json!(false), json!(false), json!(false)]);
    assert!(text(of("ann"), "access_key_1_last_rotated").ends_with('Z'));
    assert_eq!(of("ann").get("access_key_1_last_used_date"), None);
    let policy = rows_of(&inventory, "aws_iam_account_password_policy");
    assert_eq!((&policy[0]["minimum_password_length"], &policy[0]["require_symbols"]), (&json!(14), &json!(true)));
    let summary = rows_of(&inventory, "aws_iam_account_summary");
    assert_eq!((&summary[0]["users"], &summary[0]["account_mfa_enabled"]), (&json!(2), &json!(false)));
    let devices = rows_of(&inventory, "aws_iam_virtual_mfa_device");
    assert!(devices.iter().all(|row| !text(row, "raw").contains("Base32StringSeed")), "{devices:?}");
}

// matrix: aws_iam: malformed
// matrix: aws_iam: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn what_may_not_be_read_of_users_is_null_and_a_listing_that_is_refused_is_a_failure_of_its_own() {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(|asked| ["GetLoginProfile", "ListMFADevices"].contains(&&*asked.action).then_some(DENIED));
    let inventory = inventory(&front.endpoint);
    let users = rows_of(&inventory, "aws_iam_user");
    assert_eq!(users.len(), 2);
    assert!(users.iter().all(|row| row.get("mfa_enabled").is_none() && row.get("console_access").is_none()));
    front.answer(|asked| (asked.action == "ListUsers").then_some(DENIED));
    assert_eq!(rows_of(&inventory, "aws_iam_user").len(), 2);
    let groups = inventory.groups();
    let group = groups.iter().find(|group| &*group.tables[0] == "aws_iam_access_key").expect("it is listed");
    let (_, collected) = inventory.collect(group, &Extent::Whole);
    assert!(matches!(collected.of("aws_iam_access_key"), ScopeOutcome::Failed(_)), "{collected:?}");
}
