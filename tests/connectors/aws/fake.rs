//! A server of our own that answers as AWS would, for what moto does not know or does not do.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use parking_lot::Mutex;
use serde_json::Value;

type Answer = Box<dyn FnMut(&str, &Value) -> Value + Send>;

struct Answers {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<(String, Value)>>,
}

/// The server, which runs until the test program ends.
pub(crate) struct Fake {
    pub(crate) endpoint: String,
    answers: Arc<Answers>,
}

impl Fake {
    /// Starts a server whose answers to an action and its arguments are those of `answer`. One with a member `__type`
    /// is a refusal.
    pub(crate) fn start(answer: impl FnMut(&str, &Value) -> Value + Send + 'static) -> Self {
        let answers = Arc::new(Answers { answer: Mutex::new(Box::new(answer)), requests: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it can be");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&answers));
        std::thread::spawn(move || {
            super::wait(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await
            })
        });
        Self { endpoint, answers }
    }

    /// What an action was asked with so far.
    pub(crate) fn requests(&self, action: &str) -> Vec<Value> {
        let requests = self.answers.requests.lock();
        requests.iter().filter(|(asked, _)| asked == action).map(|(_, request)| request.clone()).collect()
    }
}

async fn respond(State(answers): State<Arc<Answers>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let action = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    answers.requests.lock().push((action.to_owned(), request.clone()));
    let answer = (answers.answer.lock())(action, &request);
    let status = if answer.get("__type").is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], answer.to_string())
}
