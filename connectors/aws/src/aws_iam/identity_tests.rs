//! What is made of the answers of IAM.

use serde_json::{Value, json};
use tidegate_pipeline::provider::Extent;

use super::access_key::AccessKeys;
use super::group::Groups;
use super::password_policy::PasswordPolicies;
use super::policy::Policies;
use super::role::Roles;
use super::user::Users;
use super::virtual_mfa_device::VirtualMfaDevices;
use crate::testing::{Answer, Asked, StandIn};

const DOCUMENT: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22S3%3AGet%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D";

fn result(asked: &Asked, text: impl std::fmt::Display) -> Answer {
    let name = asked.value("Action");
    (200, format!("<{name}Response><{name}Result>{text}</{name}Result></{name}Response>"))
}

fn refused(status: u16, code: &str) -> Answer {
    (status, format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"))
}

fn user(name: &str, more: &str) -> String {
    format!(
        "<member><UserName>{name}</UserName><UserId>AIDA{name}</UserId><Path>/</Path>\
         <Arn>arn:aws:iam::123456789012:user/{name}</Arn><CreateDate>2026-01-02T03:04:05Z</CreateDate>{more}</member>"
    )
}

fn details(asked: &Asked) -> Answer {
    let inline = format!(
        "<UserPolicyList><member><PolicyName>own</PolicyName><PolicyDocument>{DOCUMENT}</PolicyDocument></member></UserPolicyList>\
         <GroupList><member>ops</member><member>admins</member></GroupList><Tags><member><Key>team</Key><Value>x</Value></member>\
         </Tags><AttachedManagedPolicies><member><PolicyName>p</PolicyName><PolicyArn>arn:aws:iam::aws:policy/p</PolicyArn>\
         </member></AttachedManagedPolicies>"
    );
    match (asked.value("Filter.member.1"), asked.value("Marker")) {
        ("User", "") => result(
            asked,
            format_args!(
                "<UserDetailList>{}{}</UserDetailList><IsTruncated>true</IsTruncated><Marker>2</Marker>",
                user("ann", &inline),
                user("gone", "")
            ),
        ),
        ("User", _) => {
            let users = user("bob", "<GroupList><member>ops</member></GroupList>");
            result(
                asked,
                format_args!(
                    "<UserDetailList>{users}</UserDetailList><IsTruncated>false</IsTruncated><Marker>9</Marker>"
                ),
            )
        }
        _ => result(
            asked,
            "<GroupDetailList><member><GroupName>ops</GroupName><GroupId>AGPA</GroupId></member><member><GroupName>empty\
             </GroupName></member></GroupDetailList>",
        ),
    }
}

fn of_users(asked: &Asked) -> Answer {
    match (asked.value("Action"), asked.value("UserName")) {
        ("GetAccountAuthorizationDetails", _) => details(asked),
        ("ListUsers", _) => {
            let used = "<PasswordLastUsed>2026-02-03T04:05:06Z</PasswordLastUsed>";
            result(
                asked,
                format_args!("<Users>{}{}</Users><IsTruncated>false</IsTruncated>", user("ann", used), user("bob", "")),
            )
        }
        ("ListMFADevices", "gone") => refused(404, "NoSuchEntity"),
        ("ListMFADevices", "ann") => result(
            asked,
            "<MFADevices><member><UserName>ann</UserName><SerialNumber>s</SerialNumber>\
             <EnableDate>2026-01-02T03:04:05Z</EnableDate></member></MFADevices>",
        ),
        ("ListMFADevices", _) => result(asked, "<MFADevices/>"),
        ("GetLoginProfile", "ann") => result(
            asked,
            "<LoginProfile><UserName>ann</UserName><CreateDate>2026-01-02T03:04:05Z</CreateDate>\
             <PasswordResetRequired>true</PasswordResetRequired></LoginProfile>",
        ),
        ("GetLoginProfile", _) => refused(404, "NoSuchEntity"),
        other => panic!("{other:?}"),
    }
}

fn json_of(row: &Value, column: &str) -> Value {
    serde_json::from_str(row[column].as_str().unwrap_or_else(|| panic!("{column}: {row}"))).unwrap()
}

#[tokio::test]
async fn a_user_is_what_several_calls_say_of_it_and_one_that_is_gone_meanwhile_is_left_out() {
    let (rows, outcome) = StandIn::new(of_users).await.collect(&Users::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let [ann, bob] = &rows["aws_iam_user"][..] else { panic!("two users: {rows:?}") };
    assert_eq!((&ann["arn"], &ann["user_id"]), (&json!("arn:aws:iam::123456789012:user/ann"), &json!("AIDAann")));
    assert_eq!((&ann["groups"], &ann["tags"]), (&json!(["admins", "ops"]), &json!({"team": "x"})));
    assert_eq!(ann["attached_policy_arns"], json!(["arn:aws:iam::aws:policy/p"]));
    assert_eq!(json_of(ann, "inline_policies")[0]["PolicyDocument"]["Statement"]["Action"], "S3:Get*");
    assert_eq!(json_of(ann, "inline_policies_std")[0]["PolicyDocument"]["Statement"][0]["Action"], json!(["s3:get*"]));
    assert_eq!((&ann["password_last_used"], &ann["console_access"]), (&json!("2026-02-03T04:05:06Z"), &json!(true)));
    assert_eq!(
        (&ann["mfa_enabled"], &json_of(ann, "login_profile")["PasswordResetRequired"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&bob["mfa_enabled"], &bob["console_access"], bob.get("login_profile")),
        (&json!(false), &json!(false), None)
    );
    assert_eq!((bob.get("inline_policies"), &bob["attached_policy_arns"]), (None, &json!([])));
    let statements = &rows["aws_iam_user_inline_statement"];
    assert_eq!(
        (statements.len(), &statements[0]["user_name"], &statements[0]["policy_name"]),
        (1, &json!("ann"), &json!("own"))
    );
}

#[tokio::test]
async fn what_may_not_be_read_of_users_is_null_and_asked_for_no_more() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "GetAccountAuthorizationDetails" => details(asked),
        _ => refused(403, "AccessDenied"),
    });
    let server = server.await;
    let (rows, outcome) = server.collect(&Users::new(), "global", Extent::Targets(vec!["bob".into()])).await;
    outcome.unwrap();
    let [bob] = &rows["aws_iam_user"][..] else { panic!("one user: {rows:?}") };
    for column in ["mfa_enabled", "mfa_devices", "console_access", "password_last_used"] {
        assert_eq!(bob.get(column), None, "{column}");
    }
    assert_eq!(bob["groups"], json!(["ops"]));
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn a_group_has_the_users_that_say_so_of_themselves() {
    let (rows, outcome) = StandIn::new(of_users).await.collect(&Groups::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let groups = &rows["aws_iam_group"];
    assert_eq!((&groups[0]["users"], &groups[1]["users"]), (&json!(["ann", "bob"]), &json!([])));
}

#[tokio::test]
async fn a_role_says_who_may_assume_it_and_when_that_was_done_last() {
    let server = StandIn::new(|asked| {
        result(
            asked,
            "<RoleDetailList><member><RoleName>r</RoleName><RoleId>AROA</RoleId><Path>/</Path>\
             <Arn>arn:aws:iam::123456789012:role/r</Arn><AssumeRolePolicyDocument>%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow\
             %22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D\
             </AssumeRolePolicyDocument><RoleLastUsed><LastUsedDate>2026-01-02T03:04:05Z</LastUsedDate><Region>eu-west-1</Region>\
             </RoleLastUsed></member></RoleDetailList>",
        )
    });
    let (rows, outcome) = server.await.collect(&Roles::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let role = &rows["aws_iam_role"][0];
    assert_eq!(json_of(role, "assume_role_policy")["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
    assert_eq!(
        (&role["role_last_used_region"], &role["role_last_used_date"]),
        (&json!("eu-west-1"), &json!("2026-01-02T03:04:05Z"))
    );
    assert_eq!(rows["aws_iam_role_trust_statement"][0]["principals"], json!(["Service:ec2.amazonaws.com"]));
}

#[tokio::test]
async fn policies_of_aws_are_there_where_they_are_used() {
    let policy = |arn: &str, attached: u32| {
        format!(
            "<member><PolicyName>p</PolicyName><Arn>{arn}</Arn><AttachmentCount>{attached}</AttachmentCount>\
             <PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount><IsAttachable>true</IsAttachable><PolicyVersionList>\
             <member><VersionId>v1</VersionId><IsDefaultVersion>false</IsDefaultVersion><Document>%7B%7D</Document></member>\
             <member><VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion><Document>{DOCUMENT}</Document></member>\
             </PolicyVersionList></member>"
        )
    };
    let own = "arn:aws:iam::123456789012:policy/own";
    let server = StandIn::new(move |asked| match asked.value("Action") {
        "ListPolicyTags" => result(
            asked,
            "<Tags><member><Key>env</Key><Value>prod</Value></member></Tags><IsTruncated>false</IsTruncated>",
        ),
        _ => result(
            asked,
            format_args!(
                "<Policies>{}{}{}</Policies>",
                policy(own, 0),
                policy("arn:aws:iam::aws:policy/used", 2),
                policy("arn:aws:iam::aws:policy/unused", 0)
            ),
        ),
    });
    let server = server.await;
    let (rows, outcome) = server.collect(&Policies::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let [first, second] = &rows["aws_iam_policy"][..] else { panic!("two policies: {rows:?}") };
    assert_eq!(
        (&first["arn"], &first["is_attached"], &first["tags"]),
        (&json!(own), &json!(false), &json!({"env": "prod"}))
    );
    assert_eq!(json_of(first, "policy")["Statement"]["Action"], "S3:Get*");
    assert_eq!((&second["is_aws_managed"], &second["attachment_count"]), (&json!(true), &json!(2)));
    let statement = &rows["aws_iam_policy_statement"][0];
    assert_eq!((&statement["policy_arn"], &statement["actions"]), (&json!(own), &json!(["s3:get*"])));
    // Only that of the account itself is asked for its tags.
    assert_eq!(server.asked().len(), 2);
    let (rows, _) = server.collect(&Policies::new(), "global", Extent::Targets(vec![own.into()])).await;
    assert_eq!(rows["aws_iam_policy"].len(), 1);
}

#[tokio::test]
async fn a_key_that_was_never_used_says_nothing_of_its_use() {
    let server = StandIn::new(|asked| match (asked.value("Action"), asked.value("UserName")) {
        ("ListUsers", _) => result(
            asked,
            format_args!("<Users>{}{}</Users><IsTruncated>false</IsTruncated>", user("ann", ""), user("gone", "")),
        ),
        ("ListAccessKeys", "gone") => refused(404, "NoSuchEntity"),
        ("ListAccessKeys", _) => result(
            asked,
            "<AccessKeyMetadata><member><UserName>ann</UserName><AccessKeyId>AKIAIOSFODNN7EXAMPLE</AccessKeyId>\
             <Status>Active</Status><CreateDate>2026-01-02T03:04:05Z</CreateDate></member></AccessKeyMetadata>\
             <IsTruncated>false</IsTruncated>",
        ),
        _ => result(
            asked,
            "<UserName>ann</UserName><AccessKeyLastUsed><ServiceName>N/A</ServiceName><Region>N/A</Region></AccessKeyLastUsed>",
        ),
    });
    let server = server.await;
    let (rows, outcome) = server.collect(&AccessKeys::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let [key] = &rows["aws_iam_access_key"][..] else { panic!("one key: {rows:?}") };
    assert_eq!((&key["user_name"], &key["status"]), (&json!("ann"), &json!("Active")));
    assert_eq!((key.get("access_key_last_used_date"), key.get("access_key_last_used_service")), (None, None));
    // What can be no key is not looked for at every user.
    let before = server.asked().len();
    let (rows, outcome) =
        server.collect(&AccessKeys::new(), "global", Extent::Targets(vec!["tidegate-verify".into()])).await;
    outcome.unwrap();
    assert!(rows.is_empty());
    assert_eq!(server.asked()[before].value("MaxItems"), "1");
}

#[tokio::test]
async fn an_account_without_a_password_policy_has_no_row() {
    let server = StandIn::new(|_| refused(404, "NoSuchEntity")).await;
    let (rows, outcome) = server.collect(&PasswordPolicies::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn the_second_factor_of_the_root_user_has_a_name_of_its_own_and_no_secret_is_kept() {
    let server = StandIn::new(|asked| {
        result(
            asked,
            "<VirtualMFADevices><member><SerialNumber>arn:aws:iam::123456789012:mfa/root-account-mfa-device</SerialNumber>\
             <Base32StringSeed>c2VjcmV0</Base32StringSeed><User><Path>/</Path><UserName/><UserId>123456789012</UserId>\
             <Arn>arn:aws:iam::123456789012:root</Arn><CreateDate>2026-01-02T03:04:05Z</CreateDate></User></member>\
             </VirtualMFADevices><IsTruncated>false</IsTruncated>",
        )
    });
    let (rows, outcome) = server.await.collect(&VirtualMfaDevices::new(), "global", Extent::Whole).await;
    outcome.unwrap();
    let row = &rows["aws_iam_virtual_mfa_device"][0];
    assert_eq!((&row["arn"], &row["assignment_status"]), (&row["serial_number"].clone(), &json!("Assigned")));
    assert_eq!((row.get("user_name"), &row["user_arn"]), (None, &json!("arn:aws:iam::123456789012:root")));
    assert!(!row["raw"].as_str().unwrap().contains("c2VjcmV0"));
}
