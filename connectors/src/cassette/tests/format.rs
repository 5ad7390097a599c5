//! The format: what VCR has written is read, and what is written here VCR reads.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::cassette::{read, write};

fn parse(text: &str) -> Result<Vec<Interaction>, String> {
    read::read(text, 1 << 20).map_err(|wrong| format!("{}: {}", wrong.line, wrong.message))
}

fn written(interactions: &[Interaction]) -> String {
    let mut out = Vec::new();
    write::write(&mut out, interactions.iter()).unwrap();
    String::from_utf8(out).unwrap()
}

/// The cassettes that others have recorded, where they are.
pub(super) fn recorded() -> Option<Vec<PathBuf>> {
    let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
        eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
        return None;
    };
    let entries = std::fs::read_dir(Path::new(&data).join("vcr")).unwrap().map(|entry| entry.unwrap().path());
    Some(entries.filter(|path| path.extension().is_some_and(|ending| ending == "yml")).collect())
}

#[test]
fn recorded_cassettes_are_read_and_written_and_read_as_the_same() {
    let Some(paths) = recorded() else { return };
    let mut counts = Vec::new();
    for path in paths {
        let read = lying(&path);
        assert_eq!(lying_in(&written(&read)), read, "{}", path.display());
        counts.push(read.len());
    }
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 8, 11, 15]);
}

fn lying_in(text: &str) -> Vec<Interaction> {
    read::read(text, usize::MAX).unwrap()
}

#[test]
fn bodies_are_text_or_base64_and_what_vcr_leaves_out_is_empty() {
    let text = "
http_interactions:
- request: {method: GET, uri: 'http://h/', body: {encoding: US-ASCII, string: ''}, headers: &none {}}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Length: ['3'], X-Many: [a, b], X-One: alone}
    body: {encoding: ASCII-8BIT, base64_string: \"AP+A\\n\"}
    http_version:
- request: {method: get, uri: 'http://h/2', body: {encoding: UTF-8, string: 012}, headers: *none}
  response:
    status: {code: '404', message: }
    body:
      encoding: ASCII-8BIT
      string: !binary |-
        AP+A
    adapter_metadata: {effective_url: 'http://h/'}
  recorded_at: Thu, 26 Oct 2023 16:24:04 GMT
- request: {method: get, uri: 'http://h/3'}
  response: {status: {code: 200}, body: {encoding: ISO-8859-1, string: naïve}}
recorded_with: VCR 6.3.1
";
    let read = parse(text).unwrap();
    assert_eq!(read[0].request.method, "get");
    assert_eq!(read[0].response.body.bytes.as_ref(), [0, 255, 128]);
    assert_eq!(read[0].response.http_version, None);
    assert_eq!(
        read[0].response.headers,
        headers(&[("content-length", "3"), ("x-many", "a"), ("x-many", "b"), ("x-one", "alone")])
    );
    assert_eq!((read[1].request.body.bytes.as_ref(), read[1].response.code), (b"012".as_slice(), 404));
    assert_eq!(read[1].response.body.bytes.as_ref(), [0, 255, 128]);
    assert_eq!(read[2].response.body.bytes.as_ref(), b"na\xefve");
    assert_eq!(lying_in(&written(&read)), read);
}

#[test]
fn what_is_no_cassette_is_refused_with_its_line() {
    let wrong = |text: &str| parse(text).unwrap_err();
    assert_eq!(wrong("- a"), "1: a cassette is a map with `http_interactions`");
    assert_eq!(wrong("http_interactions:\n- request: {method: get}\n  response: {}"), "2: `uri` is missing");
    assert_eq!(
        wrong("http_interactions:\n- request: {method: get, uri: u}\n  response: {status: {code: 20}}"),
        "3: this is no status code"
    );
    assert!(wrong("http_interactions:\n- !ruby/object:Evil {}").starts_with("2: the tag"));
    assert!(wrong("a: [b").starts_with("1: this is not YAML"), "{}", wrong("a: [b"));
    let deep = wrong(&format!("a: {}{}", "[".repeat(40), "]".repeat(40)));
    assert!(deep.contains("levels"), "{deep}");
    assert!(wrong("a: &a [*a]").contains("alias"));
    let many = "a: &a [1,1,1,1,1,1,1,1,1]\nhttp_interactions:\n- request: {method: get, uri: u, headers: {x: &b ["
        .to_owned()
        + &"'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy',".repeat(1000)
        + "]}}\n  response: &r {status: {code: 200}, headers: {"
        + &(0..20).map(|number| format!("h{number}: *b,")).collect::<String>()
        + "}}\n";
    assert!(wrong(&many).contains("more than 1048576 bytes"), "repetition by aliases counts");
    assert!(parse("").unwrap().is_empty());
    assert!(parse("http_interactions: []").unwrap().is_empty());
}

/// Text with everything that YAML finds hard.
fn hard() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\t",
            " ",
            "  \n",
            "\n  ",
            ": ",
            " #",
            "- ",
            "'",
            "\"",
            "\\",
            "yes",
            "1,000",
            "0o17",
            ":sym",
            "~",
            "null",
            "2020-01-01",
            "12:30:45",
            "%",
            "---",
            "...",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{7f}",
            "é",
            "😀",
            "\0",
            "<<",
            "=",
            "!b",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

fn any_interaction() -> impl Strategy<Value = Interaction> {
    let body = prop_oneof![
        hard().prop_map(|text| Body::new(text.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Body::new),
    ];
    (hard(), hard(), body, hard()).prop_map(|(uri, name, body, value)| {
        let given = Headers(vec![(name, vec![value.clone(), uri.clone()])]);
        let request =
            Request { method: "post".into(), uri, headers: given.clone(), body: Body::new(value.clone().into_bytes()) };
        let response = Response { code: 200, message: value, headers: given, body, http_version: Some("1.1".into()) };
        Interaction { request, response, recorded_at: None }
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_as_it_was(interactions in prop::collection::vec(any_interaction(), 0..4)) {
        let text = written(&interactions);
        prop_assert_eq!(lying_in(&text), interactions, "{}", text);
    }
}

/// What the YAML parser of another language reads, as JSON; `None` where there is none.
fn read_by_python(text: &str) -> Option<serde_json::Value> {
    const SCRIPT: &str = "import sys, json, yaml\nprint(json.dumps(yaml.safe_load(sys.stdin.buffer.read())))";
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    std::io::Write::write_all(&mut child.stdin.take()?, text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("ModuleNotFoundError") {
        return None;
    }
    assert!(output.status.success(), "{said}\n{text}");
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn the_parser_of_another_language_reads_what_is_written() {
    let hard = [
        "yes",
        "1,000",
        ":sym",
        "12:30:45",
        "2020-01-01",
        "0x1F",
        "~",
        "",
        " a",
        "a\nb\n",
        "a \n b",
        "a\r\nb",
        "\u{85}\u{7f}",
        "<<",
        "é 😀",
        "# no",
        "a: b",
    ];
    let interactions: Vec<Interaction> = hard
        .iter()
        .map(|text| {
            let given = Headers(vec![("X-Hard".into(), vec![(*text).to_owned()])]);
            let request = Request { headers: given, ..post("http://h/", "text/plain", text) };
            Interaction { request, response: answer(*text), recorded_at: Some("Thu, 26 Oct 2023 16:24:04 GMT".into()) }
        })
        .collect();
    let text = written(&interactions);
    let Some(found) = read_by_python(&text) else {
        return eprintln!("SKIPPED: there is no python3 with PyYAML");
    };
    for (text, one) in hard.iter().zip(found["http_interactions"].as_array().unwrap()) {
        assert_eq!(one["request"]["headers"]["X-Hard"][0], *text);
        assert_eq!(one["response"]["body"]["string"], *text);
        assert_eq!(one["response"]["status"]["code"], 200);
        assert_eq!(one["recorded_at"], "Thu, 26 Oct 2023 16:24:04 GMT");
    }
}

#[test]
fn a_cassette_looks_as_vcr_writes_it() {
    let request = form("Action=DescribeRegions&Version=2016-11-15");
    let response = Response {
        headers: headers(&[("content-type", "text/xml"), ("content-length", "41")]),
        ..answer("<a>\n  <b/>\n</a>\n")
    };
    let interaction = Interaction { request, response, recorded_at: Some("Thu, 26 Oct 2023 16:24:04 GMT".into()) };
    let text = written(&[interaction]).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(text);
}
