//! The tables of S3.

use serde_json::{Value, json};
use tidegate_pipeline::provider::{Collected, Extent};
use tidegate_pipeline::step::ScopeOutcome;

use super::front::Front;
use super::reading::{Lacks, every_table_is_read, rows_of, targets_are_read_alone, text};
use super::{ACCOUNTS, Inventory, REGIONS, moto};

const DENIED: (u16, &str, &str) =
    (403, "application/xml", "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>");

fn inventory(endpoint: &str) -> Inventory {
    Inventory::given("aws_s3", endpoint, "objects: {most: 2}")
}

// matrix: aws_s3: happy
// matrix: aws_s3: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_s3: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn every_table_of_s3_is_read_and_a_second_look_finds_the_same() {
    let Some(moto) = moto() else { return };
    let made = ["aws_s3_account_settings", "aws_s3_bucket_content"];
    every_table_is_read(&inventory(&format!("http://{moto}")), Lacks { made: &made, ..Lacks::default() });
}

#[test]
fn of_buckets_exactly_those_are_read_again_that_are_named() {
    let Some(moto) = moto() else { return };
    targets_are_read_alone(&inventory(&format!("http://{moto}")));
}

#[test]
fn a_bucket_is_in_its_region_and_says_what_it_is_set_to() {
    let Some(moto) = moto() else { return };
    let inventory = inventory(&format!("http://{moto}"));
    let buckets = rows_of(&inventory, "aws_s3_bucket");
    let [data, bare] = &buckets[..] else { panic!("two buckets of the region: {buckets:?}") };
    assert_eq!(text(data, "name"), format!("{}-{}-data", ACCOUNTS[0], REGIONS[0]));
    for column in ["versioning_enabled", "block_public_acls", "block_public_policy"] {
        assert_eq!((&data[column], &bare[column]), (&json!(true), &json!(false)), "{column}");
    }
    assert_eq!(text(data, "sse_algorithm"), "aws:kms");
    assert_eq!((&data["tags"], &bare["tags"]), (&json!({"env": "test"}), &json!({})));
    assert!(text(data, "lifecycle_rules").contains("\"Days\":30"), "{data}");
    assert!(text(data, "policy_std").contains("\"aws:securetransport\":[\"false\"]"), "{data}");
    // moto does not know these two.
    assert_eq!(data["unread"], json!(["bucket_policy_is_public", "request_payer"]));
    let statements = rows_of(&inventory, "aws_s3_bucket_policy_statement");
    assert_eq!((&statements[0]["effect"], &statements[0]["actions"]), (&json!("Deny"), &json!(["s3:*"])));
    let grants = rows_of(&inventory, "aws_s3_bucket_grant");
    let world = |grant: &&Value| text(grant, "grantee").ends_with("/AllUsers");
    assert_eq!(text(grants.iter().find(world).expect("one for everybody"), "permission"), "READ");
    let settings = rows_of(&inventory, "aws_s3_account_settings");
    assert_eq!((&settings[0]["block_public_acls"], &settings[0]["block_public_policy"]), (&json!(true), &json!(false)));
}

#[test]
fn of_objects_as_many_are_listed_as_the_options_say_and_none_without() {
    let Some(moto) = moto() else { return };
    let endpoint = format!("http://{moto}");
    let contents = rows_of(&inventory(&endpoint), "aws_s3_bucket_content");
    let shown =
        |row: &Value| (row["objects_listed"].clone(), row["is_truncated"].clone(), row["storage_class"].clone());
    assert_eq!(shown(&contents[0]), (json!(2), json!(true), json!("MIXED")));
    assert_eq!(shown(&contents[1]), (json!(0), json!(false), Value::Null));
    let objects = rows_of(&inventory(&endpoint), "aws_s3_object");
    let keys: Vec<&str> = objects.iter().map(|row| text(row, "key")).collect();
    assert_eq!(keys, ["a b&c", "old"]);
    let without = Inventory::given("aws_s3", &endpoint, "tables: [aws_s3_object]");
    for group in without.groups() {
        assert_eq!(without.collect(&group, &Extent::Whole), (super::Rows::new(), Collected::complete()));
    }
}

// matrix: aws_s3: malformed
// matrix: aws_s3: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn a_listing_that_is_refused_is_a_failure_of_its_own_tables() {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(|asked| (asked.action == "GET /").then_some(DENIED));
    let inventory = inventory(&front.endpoint);
    for group in inventory.groups().iter().filter(|group| &*group.region != "global") {
        let (rows, collected) = inventory.collect(group, &Extent::Whole);
        assert!(rows.is_empty(), "{group}");
        let outcome = collected.of(&group.tables[0]);
        assert!(matches!(outcome, ScopeOutcome::Failed(why) if why.contains("AccessDenied")), "{group}: {collected:?}");
    }
}
