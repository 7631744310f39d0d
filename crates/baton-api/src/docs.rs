//! The `OpenAPI` document, made from the handlers, and the page that shows it offline.
//!
//! What many routes share is put in here and not at each of them: the errors, from one table and
//! written by the code that writes real ones, and the headers of every answer.

mod schema;

use std::sync::{Arc, LazyLock};

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use baton_dialect::{ErrorBody, encode_error};
use baton_model::Dialect;
use bytes::Bytes;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr};
use utoipa::{Modify, OpenApi};

pub(crate) use self::schema::{
    ChatRequest, CountRequest, MessagesRequest, ResponsesRequest, RunEvents, RunList, RunObject, RunOutputs,
    RunRequest,
};

use crate::error::type_word;
use crate::{chat, decisions, feedback, mcp, messages, models, pass, responses, route, runs, status, stored};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baton",
        description = "An HTTP gateway with an OpenAI-compatible API in front of every model. Every decision is recorded before it takes effect.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        chat::create,
        messages::create,
        messages::count_tokens,
        responses::create,
        stored::compact::create,
        stored::routes::retrieve,
        stored::routes::delete,
        stored::routes::input_items,
        stored::routes::cancel,
        models::list,
        models::retrieve,
        decisions::list,
        decisions::retrieve,
        feedback::create,
        route::route,
        mcp::endpoint,
        runs::routes::create,
        runs::routes::list,
        runs::routes::retrieve,
        runs::routes::delete,
        runs::routes::cancel,
        runs::routes::tool_outputs,
        runs::routes::events,
        pass::forward,
        status::healthz,
        status::readyz,
        status::metrics,
        status::root,
    ),
    components(schemas(schema::OpenaiError, schema::AnthropicError, schema::AnyError)),
    tags(
        (name = "answers", description = "Answers of models"),
        (name = "runs", description = "Work that outlives its request"),
        (name = "models", description = "What a key may use"),
        (name = "decisions", description = "Why an answer came from where it came"),
        (name = "passed on", description = "What Baton has no surface for"),
        (name = "status", description = "How the process stands"),
    ),
)]
struct Document;

/// The document as it is served and committed, with what another crate has beside.
#[must_use]
pub fn openapi(beside: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(beside);
    let shared: [&dyn Modify; 4] = [&EveryMethod, &SharedErrors, &SharedHeaders, &Keys];
    for part in shared {
        part.modify(&mut document);
    }
    document
}

/// Serves the document. It is made when it is first asked for: the tree that it is written from is large.
#[derive(Clone)]
pub(crate) struct Served(Arc<LazyLock<Result<Bytes, serde_json::Error>, MakeText>>);

type MakeText = Box<dyn FnOnce() -> Result<Bytes, serde_json::Error> + Send>;

impl Served {
    pub(crate) fn new(beside: fn() -> utoipa::openapi::OpenApi) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(move || openapi(beside()).to_json().map(Bytes::from)))))
    }

    pub(crate) fn answer(&self) -> axum::response::Response {
        match &**self.0 {
            Ok(text) => ([(CONTENT_TYPE, "application/json")], text.clone()).into_response(),
            Err(error) => {
                tracing::error!(error = %error, "the OpenAPI document cannot be written");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key made with `baton keys create`"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header =
            ApiKeyValue::with_description("x-api-key", "The same key, as Anthropic's clients send it");
        components.add_security_scheme("x-api-key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

/// The pass-through takes every method; its handler describes `POST`.
struct EveryMethod;

impl Modify for EveryMethod {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let Some(item) = document.paths.paths.get_mut(pass::PATH) else { return };
        let Some(post) = item.post.clone() else { return };
        for (method, place, has_body) in [
            ("get", &mut item.get, false),
            ("put", &mut item.put, true),
            ("patch", &mut item.patch, true),
            ("delete", &mut item.delete, false),
        ] {
            let mut operation = post.clone();
            operation.operation_id = Some(format!("pass.{method}"));
            operation.request_body = operation.request_body.filter(|_| has_body);
            *place = Some(operation);
        }
    }
}

/// An error that a route may answer with.
struct Row {
    status: StatusCode,
    description: &'static str,
    code: Option<&'static str>,
    param: Option<&'static str>,
    message: &'static str,
}

const fn row(
    status: StatusCode,
    code: Option<&'static str>,
    description: &'static str,
    message: &'static str,
) -> Row {
    Row { status, description, code, param: None, message }
}

const INVALID: Row = Row {
    param: Some("model"),
    ..row(
        StatusCode::BAD_REQUEST,
        None,
        "The request is wrong; `param` says where. Also what a provider says about a request, unchanged.",
        "you must name a model in `model`",
    )
};
const INVALID_QUERY: Row = Row {
    param: Some("limit"),
    ..row(
        StatusCode::BAD_REQUEST,
        None,
        "The request is wrong; `param` says where.",
        "`limit` is 500, it must be 1 to 100",
    )
};
const INVALID_MEMBER: Row = Row {
    param: Some("score"),
    ..row(
        StatusCode::BAD_REQUEST,
        None,
        "The request is wrong; `param` says where.",
        "`score` must be a number from 0 to 1",
    )
};
const INVALID_ACT: Row = row(
    StatusCode::BAD_REQUEST,
    None,
    "What is asked for cannot be done; the message says why.",
    "there is no key `key_019356aa00007000800000000000000d`",
);
const UNAUTHENTICATED: Row = row(
    StatusCode::UNAUTHORIZED,
    Some("missing_api_key"),
    "No key, or one that is not valid.",
    "no key was sent: use `Authorization: Bearer …` or `x-api-key`",
);
const FORBIDDEN: Row = row(
    StatusCode::FORBIDDEN,
    Some("key_not_allowed"),
    "The key may not do this, or a web page from elsewhere asked without one.",
    "no model is left: openai/gpt-4o is not allowed for this key",
);
const NO_MODEL: Row = Row {
    param: Some("model"),
    ..row(
        StatusCode::NOT_FOUND,
        Some("model_not_found"),
        "No such model, or no provider that would take the request.",
        "the model `echo/helo` does not exist here; did you mean `echo/hello`?",
    )
};
const NO_DECISION: Row = row(
    StatusCode::NOT_FOUND,
    Some("not_found"),
    "No such decision of the caller's. `not_yet_visible`: it may be too young; `retry-after` says when to ask again.",
    "there is no such decision",
);
const NO_RESPONSE: Row = row(
    StatusCode::NOT_FOUND,
    Some("not_found"),
    "No such stored response of the caller's; or an id that Baton did not give, and no provider for it.",
    "there is no response `resp_019356aa00007000800000000000000a`",
);
const NO_RUN: Row = row(
    StatusCode::NOT_FOUND,
    Some("not_found"),
    "No such run of the caller's.",
    "there is no run `run_019356aa00007000800000000000000b`",
);
const NOT_WAITING: Row = row(
    StatusCode::CONFLICT,
    Some("run_not_waiting"),
    "The run does not wait for its caller.",
    "the run does not wait for tool outputs: it is `completed`",
);
const NOT_ENDED: Row = row(
    StatusCode::CONFLICT,
    Some("run_not_ended"),
    "The run goes on, or waits for its caller.",
    "the run has not ended: it is `in_progress`; cancel it first",
);
const STALLED: Row = row(
    StatusCode::REQUEST_TIMEOUT,
    Some("request_timeout"),
    "The body stopped coming.",
    "the request body stopped coming",
);
const TOO_LARGE: Row = row(
    StatusCode::PAYLOAD_TOO_LARGE,
    Some("request_too_large"),
    "The body is too large.",
    "the request body is larger than 33554432 bytes",
);
const ENCODED: Row = row(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    Some("unsupported_encoding"),
    "The body is compressed in a way that Baton does not read.",
    "content encoding `br` is not supported; send `gzip`, `zstd` or none",
);
const TOO_MANY: Row = row(
    StatusCode::TOO_MANY_REQUESTS,
    Some("key_concurrency_exceeded"),
    "Too many requests, here or at the provider; `retry-after` says when.",
    "this key may have 2 requests open at once",
);
const INTERNAL: Row = row(
    StatusCode::INTERNAL_SERVER_ERROR,
    Some("internal"),
    "Baton failed, or a provider did; the code tells which.",
    "Baton failed; the log has the reason under this request's id",
);
const UPSTREAM: Row = row(
    StatusCode::BAD_GATEWAY,
    Some("upstream_unreachable"),
    "The providers failed; every attempt is in the decision that `x-baton-decision-id` names.",
    "the provider `local` could not be reached",
);
const UNAVAILABLE: Row = row(
    StatusCode::SERVICE_UNAVAILABLE,
    Some("audit_unavailable"),
    "The request was not carried out, since it could not be recorded or looked up; or a provider is overloaded.",
    "the audit log cannot take a record, so the request was not carried out",
);
const LATE: Row = row(
    StatusCode::GATEWAY_TIMEOUT,
    Some("upstream_timeout"),
    "The providers did not answer in time.",
    "the upstream did not answer in time",
);

const UNMET: Row = row(
    StatusCode::UNPROCESSABLE_ENTITY,
    Some("cost_too_high"),
    "No candidate keeps the limits; `candidates` in the error has the table. Also what a provider says about a request, unchanged.",
    "no model is left: openai/gpt-4o would cost more than the limit ($0.02, limit $0.01)",
);

const OUTCOME_UNKNOWN: Row = Row {
    param: Some("idempotency-key"),
    ..row(
        StatusCode::CONFLICT,
        Some("outcome_unknown"),
        "A request with this `Idempotency-Key` was begun before, and its answer is not here any more: it is more than ten minutes old, too long to be kept, or from before a restart.",
        "a request with this `Idempotency-Key` was begun before, and its answer is not here any more; to carry it out again, send another key",
    )
};
const UNMET_OR_REUSED: Row = row(
    StatusCode::UNPROCESSABLE_ENTITY,
    Some("idempotency_key_reused"),
    "Another body was sent with this `Idempotency-Key` before. Or no candidate keeps the limits; `candidates` in the error has the table. Also what a provider says about a request, unchanged.",
    "this `Idempotency-Key` was sent with another body before; another request needs another key",
);

/// What `POST` of a conversation may answer with: the same as others that answer, and what a key brings.
const CONVERSING: [&Row; 14] = [
    &INVALID,
    &UNMET_OR_REUSED,
    &UNAUTHENTICATED,
    &FORBIDDEN,
    &NO_MODEL,
    &STALLED,
    &OUTCOME_UNKNOWN,
    &TOO_LARGE,
    &ENCODED,
    &TOO_MANY,
    &INTERNAL,
    &UPSTREAM,
    &UNAVAILABLE,
    &LATE,
];

const ANSWERING: [&Row; 13] = [
    &INVALID,
    &UNMET,
    &UNAUTHENTICATED,
    &FORBIDDEN,
    &NO_MODEL,
    &STALLED,
    &TOO_LARGE,
    &ENCODED,
    &TOO_MANY,
    &INTERNAL,
    &UPSTREAM,
    &UNAVAILABLE,
    &LATE,
];

/// Whose error bodies a route answers with.
#[derive(Clone, Copy)]
enum Speaks {
    One(Dialect),
    AsAsked,
}

/// What a route may answer with besides its own.
fn errors_of(operation: &str) -> Option<(Speaks, &'static [&'static Row])> {
    const READING: [&Row; 5] = [&INVALID_QUERY, &UNAUTHENTICATED, &FORBIDDEN, &INTERNAL, &UNAVAILABLE];
    const LOOKING: [&Row; 4] = [&UNAUTHENTICATED, &FORBIDDEN, &INTERNAL, &UNAVAILABLE];
    const ADMINISTERING: [&Row; 5] = [&INVALID_ACT, &UNAUTHENTICATED, &FORBIDDEN, &INTERNAL, &UNAVAILABLE];
    const EXPORTING: [&Row; 6] =
        [&INVALID_QUERY, &UNAUTHENTICATED, &FORBIDDEN, &TOO_MANY, &INTERNAL, &UNAVAILABLE];
    const ONE_MODEL: [&Row; 5] = [&UNAUTHENTICATED, &FORBIDDEN, &NO_MODEL, &INTERNAL, &UNAVAILABLE];
    const ONE_DECISION: [&Row; 5] = [&UNAUTHENTICATED, &FORBIDDEN, &NO_DECISION, &INTERNAL, &UNAVAILABLE];
    const ONE_RESPONSE: [&Row; 6] =
        [&INVALID_QUERY, &UNAUTHENTICATED, &FORBIDDEN, &NO_RESPONSE, &INTERNAL, &UNAVAILABLE];
    const ONE_RUN: [&Row; 6] =
        [&INVALID_QUERY, &UNAUTHENTICATED, &FORBIDDEN, &NO_RUN, &INTERNAL, &UNAVAILABLE];
    const DELETING_A_RUN: [&Row; 7] =
        [&INVALID_QUERY, &UNAUTHENTICATED, &FORBIDDEN, &NO_RUN, &NOT_ENDED, &INTERNAL, &UNAVAILABLE];
    const ANSWERING_A_RUN: [&Row; 11] = [
        &INVALID_MEMBER,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &NO_RUN,
        &NOT_WAITING,
        &STALLED,
        &TOO_LARGE,
        &ENCODED,
        &TOO_MANY,
        &INTERNAL,
        &UNAVAILABLE,
    ];
    const BEGINNING: [&Row; 11] = [
        &INVALID,
        &UNMET,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &NO_MODEL,
        &STALLED,
        &TOO_LARGE,
        &ENCODED,
        &TOO_MANY,
        &INTERNAL,
        &UNAVAILABLE,
    ];
    const JUDGING: [&Row; 9] = [
        &INVALID_MEMBER,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &NO_DECISION,
        &STALLED,
        &TOO_LARGE,
        &ENCODED,
        &INTERNAL,
        &UNAVAILABLE,
    ];
    const PLANNING: [&Row; 8] =
        [&INVALID, &UNAUTHENTICATED, &FORBIDDEN, &NO_MODEL, &STALLED, &TOO_LARGE, &ENCODED, &INTERNAL];
    match operation {
        "chat.completions.create" => Some((Speaks::One(Dialect::OpenaiChat), &CONVERSING)),
        "messages.create" => Some((Speaks::One(Dialect::AnthropicMessages), &CONVERSING)),
        "responses.create" | "responses.compact" => {
            Some((Speaks::One(Dialect::OpenaiResponses), &CONVERSING))
        }
        "responses.retrieve" | "responses.delete" | "responses.input_items" | "responses.cancel" => {
            Some((Speaks::One(Dialect::OpenaiResponses), &ONE_RESPONSE))
        }
        "messages.count_tokens" => Some((Speaks::One(Dialect::AnthropicMessages), &ANSWERING)),
        "runs.create" => Some((Speaks::AsAsked, &BEGINNING)),
        "runs.list" => Some((Speaks::AsAsked, &READING)),
        "runs.retrieve" | "runs.cancel" | "runs.events" => Some((Speaks::AsAsked, &ONE_RUN)),
        "runs.delete" => Some((Speaks::AsAsked, &DELETING_A_RUN)),
        "runs.tool_outputs" => Some((Speaks::AsAsked, &ANSWERING_A_RUN)),
        "models.list" | "decisions.list" => Some((Speaks::AsAsked, &READING)),
        "models.retrieve" => Some((Speaks::AsAsked, &ONE_MODEL)),
        "decisions.retrieve" => Some((Speaks::AsAsked, &ONE_DECISION)),
        "admin.usage.list"
        | "admin.decisions.list"
        | "admin.handoffs.list"
        | "admin.models.unchosen"
        | "admin.rules.unfired" => Some((Speaks::One(Dialect::OpenaiChat), &READING)),
        "admin.keys.list"
        | "admin.targets.list"
        | "admin.policies.list"
        | "admin.mcp.list"
        | "admin.audit.keys" => Some((Speaks::One(Dialect::OpenaiChat), &LOOKING)),
        "admin.plans.list" => Some((Speaks::One(Dialect::OpenaiChat), &READING)),
        "admin.plans.retrieve" => Some((Speaks::One(Dialect::OpenaiChat), &ONE_DECISION)),
        "admin.keys.create"
        | "admin.keys.rotate"
        | "admin.keys.revoke"
        | "admin.targets.switch"
        | "admin.policies.put"
        | "admin.policies.retrieve"
        | "admin.policies.act" => Some((Speaks::One(Dialect::OpenaiChat), &ADMINISTERING)),
        "admin.decisions.export" => Some((Speaks::One(Dialect::OpenaiChat), &EXPORTING)),
        "admin.decisions.retrieve" | "admin.decisions.content" | "admin.runs.retrieve" => {
            Some((Speaks::One(Dialect::OpenaiChat), &ONE_DECISION))
        }
        "decisions.feedback" => Some((Speaks::AsAsked, &JUDGING)),
        "route" => Some((Speaks::AsAsked, &PLANNING)),
        passed if passed.starts_with("pass.") => Some((Speaks::AsAsked, &ANSWERING)),
        _ => None,
    }
}

struct SharedErrors;

impl Modify for SharedErrors {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let Some((speaks, rows)) = operation.operation_id.as_deref().and_then(errors_of) else {
                continue;
            };
            let is_passed = operation.operation_id.as_deref().is_some_and(|id| id.starts_with("pass."));
            let responses = &mut operation.responses.responses;
            for row in rows {
                let response = error_response(row, speaks);
                responses.entry(row.status.as_str().to_owned()).or_insert(RefOr::T(response));
            }
            if rows.len() >= ANSWERING.len() && !is_passed {
                for (range, description) in [
                    ("4XX", "What a provider says is wrong with the request, with the provider's status."),
                    ("5XX", "A provider's failure that ended the last attempt, with the provider's status."),
                ] {
                    let mut response = error_response(&INVALID, speaks);
                    description.clone_into(&mut response.description);
                    responses.entry(range.to_owned()).or_insert(RefOr::T(response));
                }
            }
        }
    }
}

fn error_response(row: &Row, speaks: Speaks) -> Response {
    let (schema, dialect) = match speaks {
        Speaks::One(dialect @ (Dialect::OpenaiChat | Dialect::OpenaiResponses)) => ("OpenaiError", dialect),
        Speaks::One(Dialect::AnthropicMessages) => ("AnthropicError", Dialect::AnthropicMessages),
        Speaks::AsAsked => ("AnyError", Dialect::OpenaiChat),
    };
    let body = encode_error(
        dialect,
        &ErrorBody {
            kind: type_word(dialect, row.status, row.code),
            message: row.message,
            param: row.param,
            code: row.code,
            request_id: Some("req_019356aa00007000800000000000000c"),
        },
    );
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(serde_json::from_slice(&body).ok())
        .build();
    ResponseBuilder::new().description(row.description).content("application/json", content).build()
}

/// Headers that come with every answer, and those that tell of the decision behind one.
struct SharedHeaders;

const DECISION_HEADERS: [(&str, &str); 8] = [
    ("x-baton-decision-id", "The decision that this answer came from: `GET /v1/decisions/{id}` explains it."),
    ("x-baton-run-id", "Everything that was decided for this request."),
    ("x-baton-model", "The target that answered, as `provider/model`."),
    ("x-baton-provider", "The provider that answered."),
    ("x-baton-policy", "The policy, as `name@version`."),
    ("x-baton-attempts", "How many attempts it took until this one."),
    ("x-baton-handoffs", "How often the conversation was handed over until then."),
    ("x-baton-reason", "Why this target: a stable word."),
];

impl Modify for SharedHeaders {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let answers = operation
                .tags
                .as_ref()
                .is_some_and(|tags| tags.iter().any(|tag| tag == "answers" || tag == "passed on"));
            let takes_key = matches!(
                operation.operation_id.as_deref(),
                Some("chat.completions.create" | "messages.create" | "responses.create")
            );
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                let mut add = |name: &str, header: Header| {
                    response.headers.entry(name.to_owned()).or_insert(RefOr::T(header));
                };
                add("x-request-id", text_header("The request's id, to be quoted in a report."));
                if answers && status.starts_with('2') {
                    for (name, description) in DECISION_HEADERS {
                        add(name, text_header(description));
                    }
                }
                if takes_key && status.starts_with('2') {
                    let said = "`true` where this is the answer to an earlier request of the same `Idempotency-Key`.";
                    add("idempotent-replayed", text_header(said));
                }
                if matches!(status.as_str(), "429" | "503") {
                    add("retry-after", text_header("When to ask again, in seconds."));
                }
            }
        }
    }
}

fn text_header(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

#[cfg(test)]
mod tests;
