//! Which requests are the same, and what is said where none is.

use super::*;
use crate::cassette::question::Question;

fn question(request: &Request) -> Question {
    Question::of(request, &[])
}

#[test]
fn signatures_and_dates_and_the_order_of_parameters_do_not_matter() {
    let signed = "http://h/b?X-Amz-Algorithm=A&X-Amz-Credential=K1&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=S1&prefix=p&max=1";
    let again = "http://h/b?max=1&prefix=p&X-Amz-Algorithm=A&X-Amz-Credential=K2&X-Amz-Date=2&X-Amz-Expires=8&X-Amz-SignedHeaders=host&X-Amz-Signature=S2";
    assert_eq!(question(&get(signed)), question(&get(again)));
    assert_ne!(question(&get(signed)), question(&get(&again.replace("prefix=p", "prefix=q"))));
    let old = form(
        "Action=A&Signature=1&Timestamp=2020&AWSAccessKeyId=K&SignatureVersion=2&SignatureMethod=H&SecurityToken=T",
    );
    assert_eq!(question(&old), question(&form("Action=A")));
    assert_ne!(
        question(&form("Action=A&Timestamp=2020")),
        question(&form("Action=A&Timestamp=2021")),
        "no signature, no date of one"
    );
    let dated = |date: &str| Request {
        headers: headers(&[("date", date), ("authorization", date), ("x-amz-date", date)]),
        ..get("http://h/")
    };
    assert_eq!(question(&dated("1")), question(&dated("2")));
    assert_eq!(question(&get("http://me:secret@h:80/")), question(&get("http://h/#part")));
}

#[test]
fn json_is_compared_as_json_and_the_operation_of_a_header_counts() {
    let json = |text: &str| post("http://h/", "application/x-amz-json-1.0", text);
    assert_eq!(
        question(&json(r#"{"a": 1, "b": [{"c": 2, "d": 3}]}"#)),
        question(&json(r#"{"b":[{"d":3,"c":2}],"a":1}"#))
    );
    assert_ne!(question(&json("[1,2]")), question(&json("[2,1]")));
    let with_target = |target: &str| {
        let mut request = json("{}");
        request.headers.add("X-Amz-Target", target);
        request
    };
    assert_ne!(question(&with_target("AmazonSQS.ListQueues")), question(&with_target("AmazonSQS.GetQueueUrl")));
    assert_ne!(question(&post("http://h/", "text/xml", "<a/>")), question(&post("http://h/", "text/xml", "<b/>")));
    assert_ne!(question(&get("http://h/a")), question(&get("http://h/b")));
}

#[test]
fn names_that_are_ignored_do_not_matter_wherever_they_stand() {
    let ignored = ["StartTime".to_owned()];
    let of = |request: &Request| Question::of(request, &ignored);
    assert_eq!(of(&form("Action=A&StartTime=1")), of(&form("Action=A&StartTime=2")));
    assert_eq!(of(&get("http://h/?StartTime=1")), of(&get("http://h/")));
    let json = |text: &str| post("http://h/", "application/json", text);
    assert_eq!(of(&json(r#"{"q": {"StartTime": 1, "x": 1}}"#)), of(&json(r#"{"q": {"x": 1}}"#)));
}

#[test]
fn a_request_without_an_answer_is_told_in_what_it_differs_from_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    recorder.record(&form("Action=DescribeVpcs&Version=2016-11-15"), &answer("")).unwrap();
    recorder
        .record(
            &form("Action=DescribeVolumes&Filter.1.Name=volume-id&Filter.1.Value.1=vol-1&Version=2016-11-15"),
            &answer(""),
        )
        .unwrap();
    let json = r#"{"QueueUrl": "http://q", "Wait": 2, "Attributes": ["All"]}"#;
    recorder.record(&post("http://sqs/", "application/x-amz-json-1.0", json), &answer("")).unwrap();
    recorder.record(&get("http://h/items?page=1"), &answer("")).unwrap();
    drop(recorder);
    let tape = cassette(folder.path(), "cassette: {path: c.yml, mode: none}").tape().unwrap();
    let said = |request: &Request| {
        let said = tape.play(request).unwrap_err().to_string();
        said.replace(&folder.path().display().to_string(), "FOLDER")
    };
    tape.play(&form("Action=DescribeVpcs&Version=2016-11-15")).unwrap().unwrap();
    let all = [
        said(&form(
            "Action=DescribeVolumes&Filter.1.Name=volume-id&Filter.1.Value.1=vol-2&MaxResults=5&Version=2016-11-15",
        )),
        said(&post("http://sqs/", "application/x-amz-json-1.0", r#"{"QueueUrl": "http://q", "Wait": 3}"#)),
        said(&get("http://me:hunter2@h/items?page=2&token=hunter2")),
        said(&get("http://other/items")),
        said(&form("Action=DescribeVpcs&Version=2016-11-15")),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}
