//! What never gets into a cassette.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

const SECRET: &str = "hunter2+/ö&<\"pass";

/// What a tape writes of an interaction, as text.
fn kept(options: &str, request: &Request, response: &Response) -> String {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), options).tape().unwrap();
    tape.record(request, response).unwrap();
    drop(tape);
    std::fs::read_to_string(folder.path().join("c.yml")).unwrap()
}

#[test]
fn headers_parameters_and_members_that_hold_secrets_are_blacked_out() {
    let request = Request {
        headers: headers(&[
            ("authorization", "Bearer hunter2"),
            ("cookie", "session=hunter2"),
            ("x-api-key", "hunter2"),
            ("X-Amz-Security-Token", "hunter2"),
            ("X-Custom-Secret", "hunter2"),
            ("referer", "http://me:hunter2@h/?access_token=hunter2"),
            ("content-type", "application/x-www-form-urlencoded"),
        ]),
        ..post(
            "https://me:hunter2@h/p?X-Amz-Signature=hunter2&x=1&api_key=hunter2",
            "",
            "Action=A&Signature=hunter2&AWSAccessKeyId=hunter2&SecurityToken=hunter2&NextToken=page",
        )
    };
    let response = Response {
        headers: headers(&[
            ("set-cookie", "hunter2"),
            ("content-length", "9999"),
            ("x-amz-checksum-crc32", "abc="),
            ("etag", "e"),
        ]),
        ..answer(
            r#"{"access_token": "hunter2", "client_secret":"a\"hunter2", "text": "{\"password\": \"hunter2\"}", "next_token": "page", "token": "page"}"#,
        )
    };
    let text = kept("cassette: c.yml", &request, &response);
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        text.contains("NextToken=page") && text.contains(r#"\"token\": \"page\""#)
            || text.contains(r#""token": "page""#),
        "{text}"
    );
    assert!(!text.contains("crc32") && !text.contains("9999") && text.contains("Etag"), "{text}");
}

#[test]
fn the_keys_of_an_sts_answer_are_blacked_out_and_those_of_a_list_of_keys_are_not() {
    let sts = "<Credentials>\n <AccessKeyId>ASIAHUNTER2HUNTER22</AccessKeyId>\n <SecretAccessKey>hunter2</SecretAccessKey>\n <SessionToken>hunter2</SessionToken>\n <Expiration>2026</Expiration>\n</Credentials>";
    let text = kept("cassette: c.yml", &form("Action=AssumeRole"), &answer(sts));
    assert!(!text.to_lowercase().contains("hunter2") && text.contains("<Expiration>2026</Expiration>"), "{text}");
    let machine = r#"{"AccessKeyId" : "ASIAHUNTER2", "SecretAccessKey" : "hunter2", "Token" : "hunter2"}"#;
    assert!(!kept("cassette: c.yml", &get("http://h/"), &answer(machine)).to_lowercase().contains("hunter2"));
    let list = "<member><AccessKeyId>AKIAOTHERKEY</AccessKeyId><Status>Active</Status></member>";
    assert!(kept("cassette: c.yml", &form("Action=ListAccessKeys"), &answer(list)).contains("AKIAOTHERKEY"));
}

#[test]
fn texts_that_are_named_are_replaced_in_every_shape_and_requests_with_them_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = r#"cassette: {path: c.yml, redact: ["123456789012", "Ann & Co"]}"#;
    let request = get("https://sqs/123456789012/queue?owner=Ann%20%26%20Co&by=Ann+%26+Co");
    let body = r#"{"account": 123456789012, "arn": "arn:aws:iam::123456789012:role/x", "name": "Ann & Co", "xml": "Ann &amp; Co"}"#;
    let tape = cassette(folder.path(), options).tape().unwrap();
    tape.record(&request, &answer(body)).unwrap();
    drop(tape);
    let tape = cassette(folder.path(), options).tape().unwrap();
    let played = tape.play(&request).unwrap().unwrap();
    let file = std::fs::read_to_string(folder.path().join("c.yml")).unwrap();
    assert!(!file.contains("123456789012") && !file.contains("Ann"), "{file}");
    let json: serde_json::Value = serde_json::from_str(text(&played)).unwrap();
    assert_eq!(json["account"], 100_000_000_001_i64, "digits stay digits");
    assert_eq!(json["name"], "REDACTED_2");
}

#[test]
fn recording_refuses_a_secret_of_the_pipeline_in_whatever_shape_and_says_where() {
    let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let json = serde_json::Value::from(SECRET).to_string();
    let escaped: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    let numbered: String = SECRET.chars().map(|letter| format!("&#{};", u32::from(letter))).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, SECRET.as_bytes()).unwrap();
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
    let mut shapes: Vec<Vec<u8>> = [
        SECRET.to_owned(),
        percent,
        url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
        json.clone(),
        serde_json::Value::from(json).to_string(),
        escaped,
        numbered,
        hex,
    ]
    .map(String::into_bytes)
    .into();
    shapes.push(packed.finish().unwrap());
    for before in ["", "a", "ab", "me:"] {
        shapes.push(STANDARD.encode(format!("{before}{SECRET}!")).into_bytes());
        shapes.push(URL_SAFE_NO_PAD.encode(format!("{before}{SECRET}")).into_bytes());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let options = format!("cassette: c.yml\nsecrets: [{{file: '{}'}}]", file.display());
    for shape in shapes {
        let body = [b"<p>".as_slice(), &shape, b"</p>"].concat();
        let body = if shape.starts_with(&[0x1f, 0x8b]) { shape.clone() } else { body };
        let tape = cassette(folder.path(), &options).tape().unwrap();
        let error = tape.record(&get("http://h/path?x=1"), &answer(body)).unwrap_err();
        assert!(error.message.contains("in the body of the answer of GET http://h/path;"), "{error}");
        assert!(error.message.contains("`{file: ") && !error.message.contains("hunter2"), "{error}");
        assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
        drop(tape);
        assert!(!folder.path().join("c.yml").exists(), "nothing is written");
    }
    let tape = cassette(folder.path(), &options).tape().unwrap();
    let header = Response { headers: headers(&[("x-note", SECRET)]), ..answer("") };
    assert!(tape.record(&get("http://h/"), &header).unwrap_err().message.contains("the header `X-Note` of the answer"));
    let path: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let said = tape.record(&get(&format!("http://h/{path}")), &answer("")).unwrap_err().message;
    assert!(said.contains("in the URI of a request") && !said.contains(&path), "{said}");
}

#[test]
fn a_secret_of_the_pipeline_that_is_named_is_replaced_instead() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter2hunter2").unwrap();
    let secret = format!("{{file: '{}'}}", file.display());
    let options = format!("cassette: {{path: c.yml, redact: [{secret}]}}\nsecrets: [{secret}]");
    assert!(kept(&options, &get("http://h/"), &answer("it is hunter2hunter2.")).contains("it is REDACTED_1."));
}

#[test]
fn a_secret_too_short_to_be_told_from_text_stops_recording() {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml\nsecrets: [abc]").tape().unwrap();
    let error = tape.record(&get("http://h/"), &answer("")).unwrap_err();
    assert!(error.message.contains("fewer than 4 letters"), "{error}");
}

#[test]
fn what_an_answer_teaches_is_looked_for_in_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    tape.record(&get("http://h/login"), &answer(r#"{"access_token": "0123456789abcdef01"}"#)).unwrap();
    let error = tape.record(&get("http://h/"), &answer("you are 0123456789abcdef01")).unwrap_err();
    assert!(error.message.contains("one of an earlier answer"), "{error}");
    tape.confide("a key of the credentials", "another-secret-key".to_owned().into());
    assert!(tape.record(&get("http://h/"), &answer("another-secret-key")).is_err());
    assert!(tape.record(&get("http://h/"), &answer("nothing")).is_ok());
}

#[test]
fn options_that_make_no_sense_are_named() {
    #[derive(Debug, serde::Deserialize)]
    struct Holder {
        #[allow(dead_code, reason = "it is never read")]
        cassette: CassetteOptions,
    }
    let wrong = |yaml: &str| {
        let found = Options::parse(yaml).unwrap().read::<Holder>().unwrap_err();
        found.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; ")
    };
    insta::assert_snapshot!(
        [
            "cassette: 7",
            "cassette: {mode: none}",
            "cassette: {path: c.yml, mode: sometimes}",
            "cassette: {path: c.yml, redact: [abc]}",
            "cassette: {path: c.yml, redact: [123456789012]}",
            "cassette: {path: c.yml, repeat: true}",
            "cassette: {path: ..}",
        ]
        .map(wrong)
        .join("\n")
    );
}
