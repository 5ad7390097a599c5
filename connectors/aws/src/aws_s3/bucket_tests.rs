//! What is made of the answers of S3.

use serde_json::{Value, json};
use tidegate_pipeline::provider::Extent;

use super::account_settings::AccountSettings;
use super::bucket::Buckets;
use super::object::Objects;
use crate::testing::{Asked, StandIn};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Sid":"tls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}}"#;

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

/// A listing of these buckets, each with its region.
fn listing(buckets: &[(&str, &str)]) -> (u16, String) {
    let bucket = |(name, region): &(&str, &str)| {
        let region = if region.is_empty() { String::new() } else { format!("<BucketRegion>{region}</BucketRegion>") };
        format!("<Bucket><Name>{name}</Name><CreationDate>2026-01-02T03:04:05.000Z</CreationDate>{region}</Bucket>")
    };
    let buckets: String = buckets.iter().map(bucket).collect();
    (200, format!("<ListAllMyBucketsResult><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"))
}

/// Which setting is asked for: the one name in the query that has no value.
fn setting(asked: &Asked) -> &str {
    asked.values.iter().find(|(name, value)| value.is_empty() && *name != "x-id").map_or("", |(name, _)| name)
}

/// What a bucket has of everything.
fn given(setting: &str) -> (u16, String) {
    let text = match setting {
        "policy" => POLICY,
        "policyStatus" => "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>",
        "acl" => {
            "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
             <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
             </AccessControlList></AccessControlPolicy>"
        }
        "publicAccessBlock" => {
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
             <BlockPublicPolicy>false</BlockPublicPolicy></PublicAccessBlockConfiguration>"
        }
        "encryption" => {
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
             <KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>\
             </Rule></ServerSideEncryptionConfiguration>"
        }
        "versioning" => {
            "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
        }
        "logging" => {
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>a/</TargetPrefix>\
             </LoggingEnabled></BucketLoggingStatus>"
        }
        "tagging" => "<Tagging><TagSet><Tag><Key>env</Key><Value>prod</Value></Tag></TagSet></Tagging>",
        "ownershipControls" => {
            "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
        }
        "requestPayment" => "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
        "lifecycle" => {
            "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix/></Filter><Expiration>\
             <Days>30</Days></Expiration></Rule></LifecycleConfiguration>"
        }
        "notification" => "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
        "object-lock" => {
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
        }
        "replication" => {
            "<ReplicationConfiguration><Role>r</Role><Rule><ID>copy</ID><Status>Enabled</Status><Priority>1</Priority>\
             <Destination><Bucket>arn:aws:s3:::copy</Bucket></Destination></Rule></ReplicationConfiguration>"
        }
        _ => "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>",
    };
    (200, text.to_owned())
}

/// What a bucket answers that has nothing of anything.
fn none(setting: &str) -> (u16, String) {
    match setting {
        "policy" | "policyStatus" => refused(404, "NoSuchBucketPolicy"),
        "publicAccessBlock" => refused(404, "NoSuchPublicAccessBlockConfiguration"),
        "encryption" => refused(404, "ServerSideEncryptionConfigurationNotFoundError"),
        "tagging" => refused(404, "NoSuchTagSet"),
        "ownershipControls" => refused(404, "OwnershipControlsNotFoundError"),
        "lifecycle" => refused(404, "NoSuchLifecycleConfiguration"),
        "object-lock" => refused(404, "ObjectLockConfigurationNotFoundError"),
        "replication" => refused(404, "ReplicationConfigurationNotFoundError"),
        "website" => refused(404, "NoSuchWebsiteConfiguration"),
        "versioning" => (200, "<VersioningConfiguration/>".to_owned()),
        "logging" => (200, "<BucketLoggingStatus/>".to_owned()),
        // So says moto; AWS writes an element without anything in it.
        "notification" => (200, String::new()),
        other => given(other),
    }
}

fn json_of(row: &Value, column: &str) -> Value {
    serde_json::from_str(row[column].as_str().unwrap_or_else(|| panic!("{column}: {row}"))).unwrap()
}

#[tokio::test]
async fn every_setting_of_a_bucket_is_a_column_and_what_is_nested_has_rows_of_its_own() {
    let server = StandIn::new(|asked| match &*asked.path {
        "/" => listing(&[("all", "eu-west-1")]),
        _ => given(setting(asked)),
    });
    let server = server.await;
    let (rows, outcome) = server.collect(&Buckets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let row = &rows["aws_s3_bucket"][0];
    assert_eq!((&row["arn"], &row["region"]), (&json!("arn:aws:s3:::all"), &json!("eu-west-1")));
    assert_eq!((&row["creation_date"], &row["tags"]), (&json!("2026-01-02T03:04:05Z"), &json!({"env": "prod"})));
    for column in ["bucket_policy_is_public", "block_public_acls", "versioning_enabled", "versioning_mfa_delete"] {
        assert_eq!(row[column], true, "{column}");
    }
    for column in ["block_public_policy", "ignore_public_acls", "restrict_public_buckets"] {
        assert_eq!(row[column], false, "{column}");
    }
    assert_eq!(row["policy"], POLICY);
    assert_eq!(
        json_of(row, "policy_std")["Statement"][0]["Condition"]["Bool"]["aws:securetransport"],
        json!(["false"])
    );
    assert_eq!(json_of(row, "acl")["Grants"][0]["Grantee"]["Type"], "Group");
    assert_eq!(
        json_of(row, "server_side_encryption_configuration"),
        json!({"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"},
            "BucketKeyEnabled": true}]})
    );
    assert_eq!((&row["sse_algorithm"], &row["sse_kms_key_id"]), (&json!("aws:kms"), &json!("k")));
    assert_eq!(
        (&row["logging_target_bucket"], &json_of(row, "logging")["TargetPrefix"]),
        (&json!("logs"), &json!("a/"))
    );
    assert_eq!(json_of(row, "lifecycle_rules")[0]["Expiration"]["Days"], 30);
    assert_eq!(json_of(row, "event_notification_configuration"), json!({"EventBridgeConfiguration": {}}));
    assert_eq!(json_of(row, "replication")["Rules"][0]["Priority"], 1);
    assert_eq!(json_of(row, "object_lock_configuration")["ObjectLockEnabled"], "Enabled");
    assert_eq!(json_of(row, "website_configuration")["IndexDocument"]["Suffix"], "index.html");
    assert_eq!(
        (&row["object_ownership"], &row["request_payer"]),
        (&json!("BucketOwnerEnforced"), &json!("BucketOwner"))
    );
    assert_eq!(row["unread"], json!([]));
    let grant = &rows["aws_s3_bucket_grant"][0];
    assert_eq!((&grant["bucket_name"], &grant["permission"]), (&json!("all"), &json!("READ")));
    assert_eq!(grant["grantee"], "http://acs.amazonaws.com/groups/global/AllUsers");
    let statement = &rows["aws_s3_bucket_policy_statement"][0];
    assert_eq!((&statement["effect"], &statement["principals"]), (&json!("Deny"), &json!(["*"])));
    assert_eq!(server.asked().len(), 16);
}

#[tokio::test]
async fn that_there_is_no_such_setting_is_an_answer() {
    let server = StandIn::new(|asked| match &*asked.path {
        "/" => listing(&[("bare", "eu-west-1")]),
        _ => none(setting(asked)),
    });
    let (rows, outcome) = server.await.collect(&Buckets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let row = &rows["aws_s3_bucket"][0];
    for column in ["bucket_policy_is_public", "block_public_acls", "versioning_enabled", "versioning_mfa_delete"] {
        assert_eq!(row[column], false, "{column}");
    }
    for column in
        ["policy", "policy_std", "logging", "lifecycle_rules", "event_notification_configuration", "sse_algorithm"]
    {
        assert_eq!(row.get(column), None, "{column}");
    }
    assert_eq!((&row["unread"], &row["tags"]), (&json!([]), &json!({})));
    assert!(!rows.contains_key("aws_s3_bucket_policy_statement"));
}

#[tokio::test]
async fn what_one_bucket_refuses_is_null_there_and_read_of_the_others_and_one_that_is_gone_is_left_out() {
    let server = StandIn::new(|asked| match (&*asked.path, setting(asked)) {
        ("/", _) => listing(&[("closed", "eu-west-1"), ("gone", "eu-west-1"), ("open", "eu-west-1")]),
        ("/gone" | "/gone/", "versioning") => refused(404, "NoSuchBucket"),
        ("/closed" | "/closed/", "policy" | "publicAccessBlock") => refused(403, "AccessDenied"),
        // A server that does not know the setting lists the objects.
        (_, "requestPayment") => {
            (200, "<?xml version=\"1.0\"?>\n<ListBucketResult><Name>x</Name></ListBucketResult>".into())
        }
        (_, setting) => given(setting),
    });
    let (rows, outcome) = server.await.collect(&Buckets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let [closed, open] = &rows["aws_s3_bucket"][..] else { panic!("two buckets: {rows:?}") };
    assert_eq!(closed["unread"], json!(["policy", "public_access_block", "request_payer"]));
    assert_eq!(
        (closed.get("policy"), closed.get("block_public_acls"), &closed["versioning_enabled"]),
        (None, None, &json!(true))
    );
    assert_eq!(
        (&open["name"], &open["policy"], &open["unread"]),
        (&json!("open"), &json!(POLICY), &json!(["request_payer"]))
    );
}

#[tokio::test]
async fn half_an_answer_is_no_setting_and_is_asked_for_again() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = StandIn::new(move |request| match (&*request.path, setting(request)) {
        ("/", _) => listing(&[("a", "eu-west-1")]),
        (_, "versioning") if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            (200, "<VersioningConfiguration><MfaDelete>Disabled</MfaDelete>".to_owned())
        }
        (_, setting) => given(setting),
    });
    let (rows, outcome) = server.await.collect(&Buckets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    assert_eq!(rows["aws_s3_bucket"][0]["versioning_enabled"], true);
}

#[tokio::test]
async fn each_region_has_its_own_buckets_also_where_the_listing_does_not_say_where_they_are() {
    let server = StandIn::new(|asked| match (&*asked.path, setting(asked)) {
        ("/", _) => {
            listing(&[("here", "eu-west-1"), ("there", "us-east-1"), ("old", ""), ("nowhere", ""), ("lost", "")])
        }
        (path, "location") if path.starts_with("/old") => {
            (200, "<LocationConstraint>EU</LocationConstraint>".to_owned())
        }
        (path, "location") if path.starts_with("/lost") => refused(404, "NoSuchBucket"),
        (_, "location") => (200, "<LocationConstraint/>".to_owned()),
        (_, setting) => none(setting),
    });
    let server = server.await;
    let names = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    let (rows, outcome) = server.collect(&Buckets::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    assert_eq!(names(&json!(rows["aws_s3_bucket"])), ["here", "old"]);
    let (rows, outcome) = server.collect(&Buckets::new(), "us-east-1", Extent::Whole).await;
    outcome.unwrap();
    assert_eq!(names(&json!(rows["aws_s3_bucket"])), ["there", "nowhere"]);
    let (rows, outcome) = server.collect(&Buckets::new(), "eu-west-1", Extent::Targets(vec!["old".into()])).await;
    outcome.unwrap();
    assert_eq!(names(&json!(rows["aws_s3_bucket"])), ["old"]);
    let asked = server.asked();
    let last = asked.iter().rfind(|asked| asked.path == "/").unwrap();
    assert_eq!((last.value("bucket-region"), last.value("prefix")), ("eu-west-1", "old"));
}

#[tokio::test]
async fn of_each_bucket_as_many_objects_are_read_as_are_wanted_and_it_is_said_whether_there_are_more() {
    let object = |key: &str, class: &str, day: u32| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-{day:02}T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>10</Size><StorageClass>{class}</StorageClass></Contents>"
        )
    };
    let server = StandIn::new(move |asked| {
        let (contents, next) = match (&*asked.path, asked.value("continuation-token")) {
            ("/", _) => return listing(&[("closed", "eu-west-1"), ("large", "eu-west-1"), ("small", "eu-west-1")]),
            (path, _) if path.starts_with("/closed") => return refused(403, "AccessDenied"),
            (path, "") if path.starts_with("/large") => (
                object("a+b%26", "STANDARD", 3) + &object("c", "GLACIER", 2),
                "<NextContinuationToken>2</NextContinuationToken>",
            ),
            (path, _) if path.starts_with("/large") => {
                assert_eq!(asked.value("max-keys"), "1");
                (object("d", "STANDARD", 1), "<NextContinuationToken>3</NextContinuationToken>")
            }
            _ => (object("only", "STANDARD", 1), ""),
        };
        (200, format!("<ListBucketResult><EncodingType>url</EncodingType>{contents}{next}</ListBucketResult>"))
    });
    let (rows, outcome) = server.await.collect(&Objects::new(), "eu-west-1", Extent::Whole).await;
    outcome.unwrap();
    let [closed, large, small] = &rows["aws_s3_bucket_content"][..] else { panic!("three buckets: {rows:?}") };
    assert_eq!((closed.get("objects_listed"), closed.get("is_truncated")), (None, None));
    assert_eq!(
        (&large["objects_listed"], &large["is_truncated"], &large["size"]),
        (&json!(3), &json!(true), &json!(30))
    );
    assert_eq!((&large["storage_class"], &large["last_modified"]), (&json!("MIXED"), &json!("2026-01-03T00:00:00Z")));
    assert_eq!((&small["storage_class"], &small["is_truncated"]), (&json!("STANDARD"), &json!(false)));
    let objects = &rows["aws_s3_object"];
    assert_eq!(objects.len(), 4);
    let first = objects.iter().find(|row| row["key"] == "a b&").unwrap();
    assert_eq!((&first["arn"], &first["etag"]), (&json!("arn:aws:s3:::large/a b&"), &json!("e")));
}

#[tokio::test]
async fn an_account_that_has_never_set_anything_blocks_nothing() {
    // AWS wraps the error; what stands in for it may not.
    let never = refused(404, "NoSuchPublicAccessBlockConfiguration").1;
    let never = (404, format!("<ErrorResponse>{never}</ErrorResponse>"));
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    for (answer, blocks) in
        [(never, false), (refused(404, "NoSuchPublicAccessBlockConfiguration"), false), ((200, block.to_owned()), true)]
    {
        let server = StandIn::new(move |asked| {
            assert_eq!(asked.path, "/v20180820/configuration/publicAccessBlock");
            answer.clone()
        });
        let (rows, outcome) = server.await.collect(&AccountSettings::new(), "global", Extent::Whole).await;
        outcome.unwrap();
        let row = &rows["aws_s3_account_settings"][0];
        assert_eq!((&row["block_public_acls"], &row["block_public_policy"]), (&json!(blocks), &json!(false)));
    }
}
