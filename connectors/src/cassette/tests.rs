//! What cassettes do: the format, matching, modes, and what never gets into one.

mod format;
mod guarding;
mod matching;
mod modes;

use std::path::Path;

use tidegate_pipeline::spec::Options;

use super::interaction::{Body, Headers, Interaction, Request, Response};
use super::options::{Cassette, CassetteOptions};

/// A cassette of a folder, with these options (YAML).
fn cassette(folder: &Path, options: &str) -> Cassette {
    #[derive(serde::Deserialize)]
    struct Holder {
        cassette: CassetteOptions,
        #[serde(default)]
        #[allow(dead_code, reason = "it is read to be kept out")]
        secrets: Vec<tidegate_pipeline::spec::Secret>,
    }
    let options = Options::parse(options).unwrap();
    let holder: Holder = options.read().unwrap();
    holder.cassette.insert(folder, &options)
}

fn headers(given: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    given.iter().for_each(|(name, value)| headers.add(name, *value));
    headers
}

fn get(uri: &str) -> Request {
    Request { method: "get".into(), uri: uri.into(), headers: Headers::default(), body: Body::new("") }
}

fn post(uri: &str, kind: &str, body: &str) -> Request {
    let headers = headers(&[("content-type", kind)]);
    Request { method: "post".into(), uri: uri.into(), headers, body: Body::new(body.to_owned()) }
}

fn form(body: &str) -> Request {
    post("https://ec2.us-east-1.amazonaws.com/", "application/x-www-form-urlencoded; charset=utf-8", body)
}

fn answer(body: impl Into<Vec<u8>>) -> Response {
    let body = Body::new(body.into());
    Response { code: 200, message: "OK".into(), headers: Headers::default(), body, http_version: None }
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body.bytes).unwrap()
}

/// What lies in a file.
fn lying(path: &Path) -> Vec<Interaction> {
    super::read::read(&std::fs::read_to_string(path).unwrap(), usize::MAX).unwrap()
}
