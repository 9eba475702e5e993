//! What can be asked, and the form of the answers.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::events::{Listening, follow};
use super::query::{SessionQuery, Subscriber};
use super::stream::{Form, Sessions};
use super::token::Token;
use super::{Backend, Limits};
use crate::feed::{Fed, FeedEntry, FeedError};
use crate::identities::Identities;

/// The description of this interface.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

type Shared = State<Arc<dyn Backend>>;

/// Every path there is.
fn table() -> [(&'static str, MethodRouter<Arc<dyn Backend>>); 6] {
    [
        ("/events", get(events)),
        ("/identities", post(identities)),
        ("/sessions", get(sessions)),
        ("/stats", get(stats)),
        ("/version", get(version)),
        ("/openapi.json", get(openapi)),
    ]
}

/// The API over the Unix socket.
pub(super) fn routes(backend: Arc<dyn Backend>, limits: &Limits, stop: watch::Receiver<bool>) -> Router {
    let listening = Listening {
        stop,
        heartbeat: limits.heartbeat,
        listeners: limits.listeners,
        body_bytes: limits.body_bytes,
    };
    let routes = table().into_iter().fold(Router::new(), |router, (path, answer)| router.route(path, answer));
    routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(wrong_path)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(Extension(listening))
        .with_state(backend)
}

/// The same for clients that must present a token.
pub(super) fn behind_token(routes: Router, token: Token) -> Router {
    let check = move |request: Request, next: Next| {
        let admitted = token.is_in(request.headers());
        async move {
            if admitted {
                return next.run(request).await;
            }
            let mut answer = refuse(
                StatusCode::UNAUTHORIZED,
                "present the token of `token_file`, as  Authorization: Bearer TOKEN",
            );
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
    };
    routes.layer(middleware::from_fn(check))
}

/// What everybody is answered while there are as many clients as there may be.
pub(super) fn full(connections: usize) -> Router {
    Router::new().fallback(move || async move {
        unavailable(&format!("{connections} clients are connected, and no more can be: try again"))
    })
}

/// An error as every client gets it.
fn refuse(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "error": message }).to_string() + "\n";
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}

fn unavailable(message: &str) -> Response {
    let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, message);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// What was asked is different a moment later.
fn fresh(kind: HeaderValue, body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, body.into()).into_response()
}

fn failed() -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "this went wrong inside; the log says more")
}

async fn wrong_path(uri: Uri) -> Response {
    let paths: Vec<&str> = table().iter().map(|(path, _)| *path).collect();
    let asked: String = uri.path().chars().take(64).collect();
    refuse(StatusCode::NOT_FOUND, &format!("there is no {asked}; there are {}", paths.join(", ")))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let asked: String = method.as_str().chars().take(16).collect();
    refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("{} cannot be asked with {asked}", uri.path()))
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, JSON)], OPENAPI).into_response()
}

async fn version() -> Response {
    let version = serde_json::json!({ "name": "snipe", "version": env!("CARGO_PKG_VERSION") });
    fresh(JSON, version.to_string() + "\n")
}

async fn stats(State(backend): Shared) -> Response {
    let stats = spawn_blocking(move || backend.stats().to_json()).await;
    match stats {
        Ok(Ok(json)) => fresh(JSON, json),
        _ => failed(),
    }
}

async fn sessions(State(backend): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = match SessionQuery::parse(&query.unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let by_pseudonym = matches!(query.imsi, Some(Subscriber::Pseudonym(_)));
    if by_pseudonym && matches!(backend.identities(), Identities::Clear) {
        let message = "imsi: this instance writes identities as they are: ask for the IMSI itself";
        return refuse(StatusCode::BAD_REQUEST, message);
    }
    let form = Form::wanted(headers.get(ACCEPT));
    match Sessions::begin(backend, query, form).await {
        Ok(answer) => fresh(HeaderValue::from_static(form.name()), Body::from_stream(answer)),
        Err(error) if error.is_busy() => unavailable(&error.to_string()),
        Err(_) => failed(),
    }
}

async fn identities(
    State(backend): Shared,
    Extension(listening): Extension<Listening>,
    body: Body,
) -> Response {
    let most = listening.body_bytes;
    let Ok(body): Result<Bytes, _> = axum::body::to_bytes(body, most).await else {
        let message =
            format!("the body is longer than {most} bytes, or broke off: send fewer entries at a time");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &message);
    };
    let entries = match FeedEntry::parse_list(&body) {
        Ok(entries) => entries,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let answer = |status, error: Option<String>, Fed { accepted, sessions }| {
        let mut body = serde_json::json!({ "accepted": accepted, "sessions": sessions });
        if let (Some(error), Some(body)) = (error, body.as_object_mut()) {
            body.insert("error".to_owned(), error.into());
        }
        (status, fresh(JSON, body.to_string() + "\n")).into_response()
    };
    match spawn_blocking(move || backend.identify(entries)).await {
        Ok(Ok(fed)) => answer(StatusCode::OK, None, fed),
        Ok(Err(error @ FeedError::Busy(fed))) => {
            let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, Some(error.to_string()), fed);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
        Ok(Err(error @ FeedError::Full(fed))) => {
            answer(StatusCode::INSUFFICIENT_STORAGE, Some(error.to_string()), fed)
        }
        Err(_) => failed(),
    }
}

async fn events(State(backend): Shared, Extension(listening): Extension<Listening>) -> Response {
    let events = backend.events();
    if events.listeners() >= listening.listeners {
        return unavailable(&format!(
            "{} clients follow the events, and no more can: try again",
            listening.listeners
        ));
    }
    let frames = events.listen();
    fresh(HeaderValue::from_static("text/event-stream"), Body::from_stream(follow(frames, listening)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_json::SESSION_FIELDS;

    fn openapi_document() -> serde_json::Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn the_description_has_every_path_and_no_other() {
        let document = openapi_document();
        let described = document["paths"].as_object().unwrap().keys();
        let served = table();
        assert!(described.eq(served.iter().map(|(path, _)| path)), "{document:#}");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_description_has_every_field_and_no_other() {
        let document = openapi_document();
        let schemas = &document["components"]["schemas"];
        let properties = |schema: &str| schemas[schema]["properties"].as_object().unwrap().keys();
        assert!(properties("Session").eq(SESSION_FIELDS));
        let required = schemas["Session"]["required"].as_array().unwrap();
        assert!(required.iter().eq(SESSION_FIELDS));
        let stats = serde_json::to_value(crate::Stats::new("0.1.0")).unwrap();
        assert!(properties("Stats").eq(stats.as_object().unwrap().keys()));
        let parameters = document["paths"]["/sessions"]["get"]["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["imsi", "ue_ip", "teid", "limit"]);
    }

    #[test]
    fn the_description_has_every_event_with_its_fields() {
        let document = openapi_document();
        let described = document["components"]["schemas"]["Event"]["oneOf"].as_array().unwrap();
        let samples = crate::events::tests::samples();
        assert_eq!(described.len(), samples.len());
        for (schema, (name, event)) in described.iter().zip(crate::EVENT_NAMES.iter().zip(samples)) {
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(properties["event"]["const"], *name);
            let written: serde_json::Value =
                serde_json::from_str(&event.to_json(0, &Identities::Clear)).unwrap();
            assert!(written.as_object().unwrap().keys().eq(properties.keys()), "{name}");
            assert!(schema["required"].as_array().unwrap().iter().eq(properties.keys()), "{name}");
        }
    }

    /// Every `$ref` leads somewhere.
    #[test]
    fn the_description_hangs_together() {
        fn walk<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
            match value {
                serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
                    Some(place) if key == "$ref" => found.push(place),
                    _ => walk(value, found),
                }),
                serde_json::Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = openapi_document();
        let mut found = Vec::new();
        walk(&document, &mut found);
        assert!(found.len() > 5);
        for place in found {
            assert!(document.pointer(place.trim_start_matches('#')).is_some(), "{place}");
        }
    }
}
