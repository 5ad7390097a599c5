//! When is recorded, and when replayed.

use super::*;
use crate::cassette::tape::Tape;

/// Asks; where that is wanted, records what the world would answer.
fn ask(tape: &Tape, request: &Request, world: &str) -> String {
    match tape.play(request).unwrap() {
        Some(recorded) => text(&recorded).to_owned(),
        None => {
            tape.record(request, &answer(world)).unwrap();
            world.to_owned()
        }
    }
}

fn uris(path: &Path) -> Vec<(String, String)> {
    lying(path).iter().map(|one| (one.request.uri.replace("http://h/", ""), text(&one.response).to_owned())).collect()
}

fn pair(uri: &str, text: &str) -> (String, String) {
    (uri.to_owned(), text.to_owned())
}

#[test]
fn once_records_where_there_is_no_file_and_then_only_replays_each_answer_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    assert!(!tape.only_replays());
    assert_eq!(ask(&tape, &get("http://h/a"), "1"), "1");
    assert_eq!(ask(&tape, &get("http://h/a"), "2"), "2", "what is recorded now is not replayed now");
    assert_eq!(ask(&tape, &get("http://h/b"), "3"), "3");
    drop(tape);
    assert_eq!(uris(&folder.path().join("c.yml")), [pair("a", "1"), pair("a", "2"), pair("b", "3")]);
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    assert!(tape.only_replays());
    assert_eq!(ask(&tape, &get("http://h/b"), ""), "3");
    assert_eq!(ask(&tape, &get("http://h/a"), ""), "1");
    assert_eq!(ask(&tape, &get("http://h/a"), ""), "2");
    let error = tape.play(&get("http://h/a")).unwrap_err();
    assert!(error.message.contains("it was recorded 2 times"), "{error}");
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
    assert!(tape.play(&get("http://h/c")).is_err());
}

#[test]
fn the_last_answer_serves_again_only_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    ask(&tape, &get("http://h/a"), "1");
    ask(&tape, &get("http://h/a"), "2");
    drop(tape);
    let again = "cassette: {path: c.yml, mode: none, allow_playback_repeats: true}";
    let tape = cassette(folder.path(), again).tape().unwrap();
    let found: Vec<String> = (0..4).map(|_| ask(&tape, &get("http://h/a"), "")).collect();
    assert_eq!(found, ["1", "2", "2", "2"]);
}

#[test]
fn none_never_records_and_needs_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let none = "cassette: {path: c.yml, mode: none}";
    let error = cassette(folder.path(), none).tape().unwrap_err();
    assert!(error.message.contains("missing or empty"), "{error}");
    std::fs::write(folder.path().join("c.yml"), "http_interactions: []\n").unwrap();
    let tape = cassette(folder.path(), none).tape().unwrap();
    assert!(tape.only_replays());
    assert!(tape.play(&get("http://h/a")).unwrap_err().message.contains("nothing is recorded"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "it leaves nothing behind");
}

#[test]
fn new_episodes_records_what_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    ask(&cassette(folder.path(), "cassette: c.yml").tape().unwrap(), &get("http://h/a"), "1");
    let tape = cassette(folder.path(), "cassette: {path: c.yml, mode: new_episodes}").tape().unwrap();
    assert_eq!(ask(&tape, &get("http://h/a"), "other"), "1");
    assert_eq!(ask(&tape, &get("http://h/b"), "2"), "2");
    assert_eq!(ask(&tape, &get("http://h/a"), "3"), "3", "a second time it is not known");
    drop(tape);
    assert_eq!(uris(&folder.path().join("c.yml")), [pair("a", "1"), pair("b", "2"), pair("a", "3")]);
}

#[test]
fn all_records_everything_anew_and_keeps_what_was_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    for (uri, world) in [("http://h/a", "1"), ("http://h/b", "2"), ("http://h/a", "3")] {
        ask(&tape, &get(uri), world);
    }
    drop(tape);
    let tape = cassette(folder.path(), "cassette: {path: c.yml, mode: all}").tape().unwrap();
    assert_eq!(ask(&tape, &get("http://h/a"), "new"), "new");
    drop(tape);
    assert_eq!(uris(&folder.path().join("c.yml")), [pair("b", "2"), pair("a", "new")]);
}

#[test]
fn at_any_time_the_file_is_whole_and_nothing_else_lies_beside_it_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    let mut least = 0;
    for number in 0..100 {
        ask(&tape, &get(&format!("http://h/{number}")), "x");
        let now = lying(&path).len();
        assert!(now >= least, "nothing is taken away");
        least = now;
    }
    assert!(least >= 80, "most of it is written before the end: {least}");
    let other = cassette(folder.path(), "cassette: {path: c.yml, mode: all}").tape().unwrap();
    let error = other.record(&get("http://h/"), &answer("")).unwrap_err();
    assert!(error.message.contains("is being recorded already"), "{error}");
    drop((tape, other));
    assert_eq!(lying(&path).len(), 100);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_node_that_is_opened_again_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let cassette = cassette(folder.path(), "cassette: c.yml");
    ask(&cassette.tape().unwrap(), &get("http://h/a"), "1");
    ask(&cassette.clone().tape().unwrap(), &get("http://h/b"), "2");
    drop(cassette);
    assert_eq!(lying(&folder.path().join("c.yml")).len(), 2);
}

#[test]
fn recorded_cassettes_answer_what_they_were_asked_in_their_order_and_then_no_more() {
    let Some(paths) = super::format::recorded() else { return };
    for path in paths {
        let quoted = format!("cassette: {{path: '{}', mode: none}}", path.display());
        let tape = cassette(Path::new("/"), &quoted).tape().unwrap();
        let recorded = lying(&path);
        for one in &recorded {
            // Signed anew, by somebody else, at another time.
            let mut request = one.request.clone();
            request.headers.replace("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAOTHER/20260101".into());
            request.headers.replace("X-Amz-Date", "20260101T000000Z".into());
            let played = tape.play(&request).unwrap().unwrap();
            assert_eq!(played.body, one.response.body);
            let length = played.headers.get("content-length").map(|length| length.parse::<usize>().unwrap());
            assert_eq!(
                length,
                one.response.headers.get("content-length").map(|_| played.body.bytes.len()),
                "the client checks it"
            );
        }
        assert!(tape.play(&recorded[0].request).is_err());
    }
}

#[test]
fn compressed_answers_are_handed_on_as_they_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"hello").unwrap();
    let tape = cassette(folder.path(), "cassette: c.yml").tape().unwrap();
    let mut response = answer(packed.finish().unwrap());
    response.headers =
        headers(&[("content-encoding", "gzip"), ("content-length", "25"), ("transfer-encoding", "chunked")]);
    tape.record(&get("http://h/"), &response).unwrap();
    drop(tape);
    let played = cassette(folder.path(), "cassette: c.yml").tape().unwrap().play(&get("http://h/")).unwrap().unwrap();
    assert_eq!(text(&played), "hello");
    assert_eq!(played.headers, headers(&[("content-length", "5")]));
}
