//! `POST /v1/decisions/{id}/feedback`: what a caller says afterwards of a decision made for it.
//!
//! Feedback adds to the record and changes nothing. Another caller's decision is answered like one that does not exist.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_access::{Principal, Sealer};
use baton_audit::{
    CorrectTarget, Decisions, Feedback, FeedbackBody, FeedbackByDecision, FeedbackLog, Lookup, RunView,
};
use baton_engine::Engine;
use baton_model::{DecisionId, Member, RawObject, nearest};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::decisions::unreadable;
use crate::error::ApiError;
use crate::gate::Gate;
use crate::router::request_id;
use crate::surface::by_headers;

/// A label has no more bytes.
const MAX_LABEL: usize = 64;
/// The name of a target has no more bytes.
const MAX_TARGET: usize = 256;
/// A comment is kept to so many characters.
const COMMENT_KEPT: usize = 500;

/// What is said of a decision. At least one member is there.
#[derive(Debug, Default, PartialEq, ToSchema)]
pub(crate) struct FeedbackRequest {
    /// Whether the choice was right, or the model or target that would have been.
    #[schema(value_type = Option<baton_audit::CorrectTargetSchema>)]
    correct_target: Option<CorrectTarget>,
    /// How good the answer was, from 0 to 1.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    score: Option<i64>,
    /// A word of the caller's own.
    #[schema(min_length = 1, max_length = 64)]
    label: Option<String>,
    /// In words. The first 500 characters are kept, sealed: only the same key reads them again.
    comment: Option<String>,
}

const MEMBERS: [&str; 4] = ["correct_target", "score", "label", "comment"];

/// Takes feedback, and shows it to whoever said it.
#[derive(Clone, Debug)]
pub struct FeedbackDesk {
    log: FeedbackLog,
    sealer: Sealer,
}

impl FeedbackDesk {
    /// Feedback goes into this log, its comments sealed.
    #[must_use]
    pub const fn new(log: FeedbackLog, sealer: Sealer) -> Self {
        Self { log, sealer }
    }

    /// What was said of a run's decisions. Without the store nothing is known of it.
    pub(crate) async fn of_run(&self, run: &RunView) -> FeedbackByDecision {
        self.log.of_run(run).await.unwrap_or_else(|error| {
            tracing::debug!(error = %error, "a run is shown without its feedback");
            FeedbackByDecision::new()
        })
    }

    /// What was said of one decision, with the caller's own comments opened.
    pub(crate) fn shown(
        &self,
        said: &FeedbackByDecision,
        decision: DecisionId,
        principal: &Principal,
    ) -> Vec<FeedbackBody> {
        let own = principal.id().to_string();
        let shown = |feedback: &Feedback| {
            let comment = (feedback.principal == own).then(|| self.opened(feedback)).flatten();
            FeedbackBody::from(feedback).with_comment(comment)
        };
        said.get(&decision).into_iter().flatten().map(shown).collect()
    }

    fn opened(&self, feedback: &Feedback) -> Option<String> {
        let sealed = STANDARD.decode(feedback.comment.as_ref()?).ok()?;
        String::from_utf8(self.sealer.open(&seal_context(feedback), &sealed).ok()?).ok()
    }

    /// Seals the comment and writes the feedback down.
    async fn add(&self, mut feedback: Feedback, comment: Option<&str>) -> Result<Feedback, ApiError> {
        let not_recordable =
            || ApiError::unavailable("the audit log cannot take a record at the moment", "audit_unavailable");
        if let Some(comment) = comment {
            let comment = baton_audit::redact(comment);
            let sealed = self.sealer.seal(&seal_context(&feedback), comment.as_bytes());
            feedback.comment = Some(STANDARD.encode(sealed.map_err(|_no_random| not_recordable())?));
        }
        self.log.add(feedback.clone()).await.map_err(|error| {
            tracing::error!(error = %error, "feedback cannot be recorded");
            not_recordable()
        })?;
        Ok(feedback)
    }
}

fn seal_context(feedback: &Feedback) -> Vec<u8> {
    let Feedback { principal, decision, at_ms, .. } = feedback;
    format!("feedback\0{principal}\0{decision}\0{at_ms}").into_bytes()
}

/// Says how good a decision was.
///
/// It adds to the record and changes nothing; more may be said later.
#[utoipa::path(
    post,
    path = "/v1/decisions/{id}/feedback",
    operation_id = "decisions.feedback",
    tag = "decisions",
    params(("id" = String, Path, description = "The id of a decision made for this key", example = "dec_019356aa00007000800000000000000a")),
    request_body(content = FeedbackRequest, content_type = "application/json", example = json!({"correct_target": true, "score": 0.9, "label": "helpful", "comment": "short and right"})),
    responses(
        (status = 200, description = "It is recorded", body = FeedbackBody, example = json!({"object": "feedback", "decision": "dec_019356aa00007000800000000000000a", "at": "2026-11-21T12:05:00.000Z", "principal": "anonymous", "correct_target": true, "score": 0.9, "label": "helpful", "comment": "short and right"})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create(
    State(decisions): State<Arc<Decisions>>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    State(desk): State<FeedbackDesk>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let dialect = by_headers(request.headers());
    // A path that is no text names no decision.
    let named = named.map_or_else(|_not_text| String::new(), |Path(named)| named);
    match take(&decisions, &engine, &gate, &desk, &named, request).await {
        Ok(body) => Json(body).into_response(),
        Err(error) => error.into_response_as(dialect, id),
    }
}

async fn take(
    decisions: &Decisions,
    engine: &Engine,
    gate: &Gate,
    desk: &FeedbackDesk,
    named: &str,
    request: Request<Body>,
) -> Result<FeedbackBody, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    engine.admit()?;
    let said = read(gate.read(&parts.headers, body).await?)?;
    let principal = admitted.principal.id().to_string();
    let decision = own(decisions, named, &principal).await?;
    let feedback = Feedback {
        at_ms: engine.ids().now_ms(),
        decision,
        principal,
        correct_target: said.correct_target,
        score: said.score,
        label: said.label,
        comment: None,
    };
    let feedback = desk.add(feedback, said.comment.as_deref()).await?;
    Ok(FeedbackBody::from(&feedback).with_comment(said.comment))
}

/// The decision of this name, if it was made for this caller.
async fn own(decisions: &Decisions, named: &str, principal: &str) -> Result<DecisionId, ApiError> {
    let unknown = || ApiError::not_found("there is no such decision");
    let id: DecisionId = named.parse().map_err(|_no_id| unknown())?;
    match decisions.get(id).await.map_err(|error| unreadable(&error))? {
        Lookup::Found(view) if view.decision.principal == principal => Ok(id),
        Lookup::Found(_) | Lookup::NotFound => Err(unknown()),
        Lookup::NotYetVisible => Err(ApiError::not_yet_visible()),
    }
}

fn read(body: Bytes) -> Result<FeedbackRequest, ApiError> {
    let object = RawObject::parse(body)?;
    let mut said = FeedbackRequest::default();
    for Member { key, value } in object.members() {
        match key {
            known if value == b"null" && MEMBERS.contains(&known) => {}
            "correct_target" => said.correct_target = Some(correct_target(value)?),
            "score" => said.score = Some(score(value)?),
            "label" => said.label = Some(label(value)?),
            "comment" => said.comment = Some(comment(value)?),
            other => {
                let other: String = other.chars().filter(|found| !found.is_control()).take(64).collect();
                let hint = nearest(&other, MEMBERS).map(|name| format!("; did you mean `{name}`?"));
                let message = format!("there is no member `{other}`{}", hint.unwrap_or_default());
                return Err(ApiError::invalid(message, Some(&other)));
            }
        }
    }
    if said == FeedbackRequest::default() {
        let message = "nothing is said: send `correct_target`, `score`, `label` or `comment`";
        return Err(ApiError::invalid(message, None));
    }
    Ok(said)
}

fn value<'de, T: Deserialize<'de>>(name: &str, value: &'de [u8], must_be: &str) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|_error| bad(name, must_be))
}

fn bad(name: &str, must_be: &str) -> ApiError {
    ApiError::invalid(format!("`{name}` must be {must_be}"), Some(name))
}

fn correct_target(given: &[u8]) -> Result<CorrectTarget, ApiError> {
    const MUST_BE: &str = "`true`, `false`, or the name of a model or target of at most 256 bytes";
    match value("correct_target", given, MUST_BE)? {
        CorrectTarget::Named(name) if !is_word(&name, MAX_TARGET) => Err(bad("correct_target", MUST_BE)),
        correct => Ok(correct),
    }
}

/// In millionths.
fn score(given: &[u8]) -> Result<i64, ApiError> {
    const MUST_BE: &str = "a number from 0 to 1";
    let score: f64 = value("score", given, MUST_BE)?;
    if !(0.0..=1.0).contains(&score) {
        return Err(bad("score", MUST_BE));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is at most a million")]
    Ok((score * 1e6).round() as i64)
}

fn label(given: &[u8]) -> Result<String, ApiError> {
    const MUST_BE: &str = "a text of 1 to 64 bytes without control characters";
    let label: String = value("label", given, MUST_BE)?;
    if is_word(&label, MAX_LABEL) { Ok(label) } else { Err(bad("label", MUST_BE)) }
}

fn comment(given: &[u8]) -> Result<String, ApiError> {
    let comment: String = value("comment", given, "a text")?;
    Ok(comment.chars().take(COMMENT_KEPT).collect())
}

fn is_word(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.len() <= most && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests;
