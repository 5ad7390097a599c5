//! `http_resource`: any object that is read and changed over HTTP in JSON.
//!
//! The id of a resource is the URL of its object, unless `read`, `create`, `update` or `delete` say another. A `{name}` in a
//! URL or body is the field of that name (`{id}` and `{agent}` those of the resource): percent-encoded in URLs, as JSON in
//! bodies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::sink::{FieldDescription, HandlerKind, OpenHandler};
use tidegate_pipeline::handler::{Changes, Fields, Halt, Handler, HandlerContext, Reading, Resource, ResourceType};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Options, Secret};
use url::Url;

use crate::places::Places;
use crate::sources::http_client::{build, builder, explain};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// How much of what a server answers to what it refuses is told, in letters.
const TOLD: usize = 200;

/// The options of `http_resource` itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpResourceOptions {
    /// How an object is read: `GET` of its URL by default. 404 and 410 say that it is not there.
    #[serde(default)]
    pub read: RequestOptions,
    /// How one is made: `PUT` to its URL by default, with the fields as the body.
    #[serde(default)]
    pub create: RequestOptions,
    /// How one is changed: `PATCH` of its URL by default, with the fields that differ as the body.
    #[serde(default)]
    pub update: RequestOptions,
    /// How one is removed: `DELETE` of its URL by default.
    #[serde(default)]
    pub delete: RequestOptions,
    /// Where in the answer to `read` the object is, as names of members: `[data, attributes]`.
    #[serde(default)]
    pub at: Vec<String>,
    /// Headers of all requests.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// A token that is sent as `Authorization: Bearer`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Whether the server's certificate is verified.
    #[serde(default = "yes")]
    pub verify: bool,
    /// The longest answer.
    #[serde(default = "a_mebibyte")]
    pub max_answer: ByteSize,
}

/// How something is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestOptions {
    /// The method.
    pub method: Option<String>,
    /// The URL, with `{name}` where a field goes.
    pub url: Option<String>,
    /// The body, with `{name}` where a field goes, as JSON.
    pub body: Option<String>,
}

fn yes() -> bool {
    true
}

fn a_mebibyte() -> ByteSize {
    ByteSize::mebibytes(1)
}

/// The kind `http_resource`.
#[derive(Debug, Clone, Copy)]
pub struct HttpResourceKind;

impl HandlerKind for HttpResourceKind {
    type Own = HttpResourceOptions;

    fn name(&self) -> &'static str {
        "http_resource"
    }

    fn summary(&self) -> &'static str {
        "Enforces objects that are read and changed over HTTP in JSON"
    }

    fn resource_type(&self) -> ResourceType {
        ResourceType::new("http", "Resource", "url")
    }

    fn fields(&self) -> Option<&'static [FieldDescription]> {
        None
    }

    /// The server: one object of a server at a time.
    fn agent_of(&self, id: &str) -> Option<String> {
        let url = Url::parse(id).ok()?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    fn plan(
        &self,
        own: HttpResourceOptions,
        options: &Options,
        _context: &mut PlanContext<'_>,
    ) -> Result<Box<dyn OpenHandler>, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let requests = [("read", &own.read), ("create", &own.create), ("update", &own.update), ("delete", &own.delete)];
        for (name, request) in requests {
            if let Some(method) = &request.method
                && Method::from_bytes(method.as_bytes()).is_err()
            {
                wrong.push(Places(options).at(name, format!("`{method}` is no method of HTTP")));
            }
            for template in [&request.url, &request.body].into_iter().flatten() {
                if let Err(message) = parts(template) {
                    wrong.push(Places(options).at(name, message));
                }
            }
        }
        for name in own.headers.keys().filter(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
            wrong.push(Places(options).at("headers", format!("`{name}` is no name of a header")));
        }
        if wrong.is_empty() { Ok(Box::new(own)) } else { Err(wrong) }
    }
}

#[async_trait]
impl OpenHandler for HttpResourceOptions {
    async fn open(&self, _node: &Arc<str>) -> Result<Arc<dyn Handler>> {
        let mut headers = Vec::new();
        let bearer = self.token.as_ref().map(Secret::resolve).transpose()?;
        let bearer = bearer.map(|token| ("authorization", format!("Bearer {}", token.expose_secret())));
        let mut given = Vec::new();
        for (name, secret) in &self.headers {
            given.push((name.as_str(), secret.resolve()?.expose_secret().to_owned()));
        }
        for (name, value) in bearer.into_iter().chain(given) {
            let wrong =
                || Error::user(format!("the value of the header `{name}` has letters that headers cannot have"));
            let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.push((HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value));
        }
        // A redirect would take headers, and a change, to where nobody meant them.
        let client = build(builder(REQUEST, self.verify).redirect(Policy::none()))?;
        Ok(Arc::new(HttpResource { client, headers, options: self.clone() }))
    }
}

struct HttpResource {
    client: Client,
    headers: Vec<(HeaderName, HeaderValue)>,
    options: HttpResourceOptions,
}

/// A piece of a template.
enum Part<'a> {
    Text(&'a str),
    Field(&'a str),
}

/// The pieces of a template. Braces that hold no name, as those of JSON, are text.
fn parts(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let (mut rest, mut searched) = (template, 0);
    while let Some(open) = rest[searched..].find('{').map(|at| at + searched) {
        let name = rest[open + 1..].split_once('}').map(|(name, _)| name);
        let is_name =
            |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        match name.filter(is_name) {
            Some(name) => {
                parts.push(Part::Text(&rest[..open]));
                parts.push(Part::Field(name));
                (rest, searched) = (&rest[open + name.len() + 2..], 0);
            }
            None => searched = open + 1,
        }
    }
    parts.push(Part::Text(rest));
    if template.is_empty() { Err("the template is empty".to_owned()) } else { Ok(parts) }
}

/// A template with the fields of a resource.
fn fill(template: &str, resource: &Resource, write: impl Fn(&Value) -> String) -> Result<String> {
    let mut text = String::new();
    for part in parts(template).map_err(Error::user)? {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Field("id") => text.push_str(&write(&Value::from(resource.id.value.as_str()))),
            Part::Field("agent") => text.push_str(&write(&Value::from(resource.id.agent.as_str()))),
            Part::Field(name) => {
                let missing = || {
                    Error::user(format!("`{{{name}}}`: {} has no such field", resource.id))
                        .with_remedy("name it in `desired`")
                };
                let mut names = name.split('.');
                let first = names.next().and_then(|first| resource.fields.get(first)).ok_or_else(missing)?;
                let value = names.try_fold(first, |value, name| value.get(name)).ok_or_else(missing)?;
                text.push_str(&write(value));
            }
        }
    }
    Ok(text)
}

/// A value inside a URL.
fn in_url(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

impl HttpResource {
    /// Asks for something; gives back the answer where it is a success, and `None` where the object is not there.
    async fn request(
        &self,
        resource: &Resource,
        request: &RequestOptions,
        method: Method,
        body: Option<Value>,
    ) -> Result<Option<Value>, Halt> {
        let method = match &request.method {
            Some(name) => Method::from_bytes(name.as_bytes()).map_err(Error::internal)?,
            None => method,
        };
        let url = match &request.url {
            Some(template) => fill(template, resource, in_url)?,
            None => resource.id.value.clone(),
        };
        let url = Url::parse(&url).map_err(|error| {
            Error::user(format!("`{url}` is no URL: {error}")).with_remedy("correct `id`, or the `url` of the request")
        })?;
        let mut asked = self.client.request(method.clone(), url);
        for (name, value) in &self.headers {
            asked = asked.header(name, value);
        }
        let body = match &request.body {
            Some(template) => Some(fill(template, resource, Value::to_string)?),
            None => body.map(|body| body.to_string()),
        };
        if let Some(body) = body {
            asked = asked.header("content-type", "application/json").body(body);
        }
        let failed = |error| Error::external(format!("{method} {}: {}", resource.id, explain(error)));
        let answer = asked.header("accept", "application/json").send().await.map_err(failed)?;
        let (status, later) = (answer.status(), answer.headers().get(RETRY_AFTER).cloned());
        let text = self.text(answer).await?;
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => Ok(Some(if text.trim_ascii().is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&text).unwrap_or(Value::Null)
            })),
            status => {
                let said: String = String::from_utf8_lossy(&text).trim().chars().take(TOLD).collect();
                let later = later.and_then(|later| later.to_str().ok().map(|text| format!(", again after {text}")));
                let error = Error::external(format!(
                    "{method} of {} was answered {status}{}: {said}",
                    resource.id,
                    later.unwrap_or_default()
                ));
                let is_passing = status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::CONFLICT]
                        .contains(&status);
                Err(Halt::Failed(if is_passing { error } else { error.never_retry() }))
            }
        }
    }

    async fn text(&self, mut answer: reqwest::Response) -> Result<Vec<u8>> {
        let (mut text, most) = (Vec::new(), self.options.max_answer.bytes());
        while let Some(piece) = answer.chunk().await.map_err(|error| Error::external(explain(error)))? {
            if text.len() + piece.len() > most {
                return Err(
                    Error::external(format!("the answer is longer than {most} bytes (`max_answer`)")).never_retry()
                );
            }
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// What has to be there.
    fn there(&self, resource: &Resource, answer: Option<Value>) -> Result<(), Halt> {
        let gone = || Error::external(format!("the place of {} is not there (404)", resource.id)).never_retry();
        answer.map(drop).ok_or_else(|| Halt::Failed(gone()))
    }
}

#[async_trait]
impl Handler for HttpResource {
    async fn read(&self, _context: &mut HandlerContext, resource: &Resource) -> Result<Reading, Halt> {
        let answer = self.request(resource, &self.options.read, Method::GET, None).await?;
        let Some(answer) = answer else { return Ok(Reading::Purged) };
        let found = self.options.at.iter().try_fold(&answer, |value, name| value.get(name));
        match found {
            Some(Value::Object(fields)) => Ok(Reading::Found(fields.clone())),
            _ => {
                let place = self.options.at.join(".");
                let message = format!("the answer of {} has no object at `at: {place}`", resource.id);
                Err(Error::external(message).never_retry().into())
            }
        }
    }

    async fn create(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        context.info("Making %(url)s", &[("url", &resource.id.value)]);
        let fields: Fields = resource
            .fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let body = Some(Value::Object(fields));
        let answer = self.request(resource, &self.options.create, Method::PUT, body).await?;
        self.there(resource, answer)
    }

    async fn update(&self, context: &mut HandlerContext, changes: &Changes, resource: &Resource) -> Result<(), Halt> {
        context.info("Changing %(url)s", &[("url", &resource.id.value)]);
        let body: Map<String, Value> =
            changes.iter().map(|(name, change)| (name.to_owned(), change.desired.clone())).collect();
        let answer = self.request(resource, &self.options.update, Method::PATCH, Some(Value::Object(body))).await?;
        self.there(resource, answer)
    }

    async fn delete(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        context.info("Removing %(url)s", &[("url", &resource.id.value)]);
        // What is gone already is gone.
        self.request(resource, &self.options.delete, Method::DELETE, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{HeaderMap, Uri};
    use axum::routing::any;
    use parking_lot::Mutex;
    use serde_json::json;
    use tidegate_pipeline::error::Retry;
    use tidegate_pipeline::handler::{Change, Deployment, Open, Patience, ResourceState, Rules, deploy};

    use super::*;

    /// A server of objects by their paths. It notes what it is asked, and answers with `status` where that is set.
    #[derive(Default)]
    struct Objects {
        objects: Mutex<BTreeMap<String, Value>>,
        asked: Mutex<Vec<String>>,
        status: AtomicU16,
    }

    async fn answer(
        State(server): State<Arc<Objects>>,
        method: axum::http::Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> (axum::http::StatusCode, String) {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        server.asked.lock().push(format!("{method} {uri} {token} {text}").trim().to_owned());
        let forced = server.status.load(Ordering::SeqCst);
        if forced > 0 {
            return (axum::http::StatusCode::from_u16(forced).unwrap(), "no".to_owned());
        }
        let mut objects = server.objects.lock();
        let path = uri.path().to_owned();
        let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
        match method.as_str() {
            "PUT" => drop(objects.insert(path.clone(), sent)),
            "PATCH" => {
                let object = objects.get_mut(&path).unwrap().as_object_mut().unwrap();
                object.extend(sent.as_object().unwrap().clone());
            }
            "DELETE" => drop(objects.remove(&path)),
            _ => {}
        }
        match objects.get(&path) {
            Some(object) => (axum::http::StatusCode::OK, json!({"data": object}).to_string()),
            None if method == "DELETE" => (axum::http::StatusCode::NO_CONTENT, String::new()),
            None => (axum::http::StatusCode::NOT_FOUND, "{}".to_owned()),
        }
    }

    async fn serve() -> (Arc<Objects>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let objects: Arc<Objects> = Arc::default();
        let router = Router::new().fallback(any(answer)).with_state(Arc::clone(&objects));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (objects, base)
    }

    async fn deployed(options: Value, url: &str, fields: Value) -> Deployment {
        let options: HttpResourceOptions = serde_json::from_value(options).unwrap();
        let handler = options.open(&"mend".into()).await.unwrap();
        let agent = HttpResourceKind.agent_of(url).unwrap();
        let id = HttpResourceKind.resource_type().id(&agent, url).unwrap();
        let resource = Resource::new(id, fields.as_object().unwrap().clone()).unwrap();
        let patience = Patience { work: Duration::from_secs(5), post: Duration::from_secs(1) };
        deploy(handler.as_ref(), &resource, &[], Rules { dry_run: false, gate: &Open, patience }).await
    }

    #[tokio::test]
    async fn an_object_is_made_changed_and_removed_by_its_url() {
        let (server, base) = serve().await;
        let url = format!("{base}/things/a");
        let options = || json!({"at": ["data"], "token": "s3cret-token"});
        let made = deployed(options(), &url, json!({"size": 1, "colour": "red", "any": null})).await;
        assert_eq!((made.state, made.change), (ResourceState::Deployed, Change::Created), "{made:?}");
        let changed = deployed(options(), &url, json!({"size": 2, "colour": "red"})).await;
        assert_eq!(changed.change, Change::Updated);
        assert_eq!(server.objects.lock()["/things/a"], json!({"size": 2, "colour": "red"}));
        let removed = deployed(options(), &url, json!({"purged": true})).await;
        assert_eq!((removed.change, server.objects.lock().len()), (Change::Purged, 0));
        let asked = server.asked.lock().clone();
        assert_eq!(asked[1], "PUT /things/a Bearer s3cret-token {\"size\":1,\"colour\":\"red\"}");
        assert_eq!(asked[3], "PATCH /things/a Bearer s3cret-token {\"size\":2}");
        assert!(!format!("{made:?}{changed:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn templates_say_where_and_how_else() {
        let (server, base) = serve().await;
        let options = json!({
            "read": {"url": format!("{base}/search/{{name}}")},
            "create": {"method": "POST", "url": format!("{base}/new"), "body": "{\"thing\": {name}, \"of\": {tags.owner}}"},
        });
        let deployment = deployed(options, &base, json!({"name": "a/b c", "tags": {"owner": "us"}})).await;
        let asked = server.asked.lock().clone();
        assert_eq!(asked, ["GET /search/a%2Fb%20c", "POST /new  {\"thing\": \"a/b c\", \"of\": \"us\"}"]);
        assert!(deployment.error.unwrap().message.contains("404"));
        let options = json!({"read": {"url": format!("{base}/{{nobody}}")}});
        let missing = deployed(options, &base, json!({})).await.error.unwrap();
        assert!(missing.message.contains("`{nobody}`") && missing.retry == Retry::Never);
    }

    #[tokio::test]
    async fn what_a_server_refuses_is_final_and_what_it_cannot_do_now_is_not() {
        let (server, base) = serve().await;
        for (status, retry) in [
            (500, Retry::WithBackoff),
            (429, Retry::WithBackoff),
            (409, Retry::WithBackoff),
            (401, Retry::Never),
            (422, Retry::Never),
            (302, Retry::Never),
        ] {
            server.status.store(status, Ordering::SeqCst);
            let error = deployed(json!({}), &format!("{base}/a"), json!({})).await.error.unwrap();
            assert!(error.retry == retry && error.message.contains(&status.to_string()), "{error}");
        }
        server.status.store(0, Ordering::SeqCst);
        server.objects.lock().insert("/long".to_owned(), json!("x".repeat(2000)));
        let long = deployed(json!({"max_answer": 1000}), &format!("{base}/long"), json!({})).await.error.unwrap();
        assert!(long.message.contains("longer than 1000 bytes"), "{long}");
        let nobody = deployed(json!({}), "http://127.0.0.1:1/a", json!({})).await.error.unwrap();
        assert_eq!(nobody.retry, Retry::WithBackoff);
    }
}
