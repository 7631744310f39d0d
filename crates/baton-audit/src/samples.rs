//! Records for tests.

use std::sync::LazyLock;

use baton_model::{DecisionId, FinishReason, RequestId, RunId, Usage};
use baton_policy::{Reason, ReasonCode, ReasonSource};

use crate::{Decision, DecisionKind, Labels, Outcome, OutcomeStatus, Record, UsageSource};

pub(crate) fn decision_id(number: u64) -> DecisionId {
    DecisionId::from_parts(1_000_000 + number, [1; 10])
}

/// A decision with an attempt, its fields made from the number.
pub(crate) fn decision(number: u64) -> Record {
    Record::Decision(Box::new(Decision {
        id: decision_id(number),
        run: RunId::from_parts(1_000_000 + number, [3; 10]),
        request: RequestId::from_parts(1_000_000 + number, [4; 10]),
        parent: None,
        at_ms: 1_000_000 + number,
        turn: 1,
        hop: 1,
        kind: DecisionKind::Select,
        principal: "anonymous".to_owned(),
        surface: "/v1/chat/completions".to_owned(),
        requested: vec!["echo/hello".to_owned()],
        from: None,
        to: "echo/hello".parse().ok(),
        to_model: "echo/hello".parse().ok(),
        attempt: true,
        reason: Reason {
            code: ReasonCode::OnlyModel,
            text: format!("number {number}"),
            source: ReasonSource::Client,
        },
        planner: 1,
        config: "c0ffee".to_owned(),
        inputs: None,
        table: Vec::new(),
        shadow: None,
        handoff: None,
        tools: Vec::new(),
        steps: Vec::new(),
        dropped_parameters: Vec::new(),
        ignored_parameters: Vec::new(),
        labels: Labels::default(),
    }))
}

/// The first decision of a run among three models, with all that is recorded of its plan.
pub(crate) fn planned(number: u64) -> Record {
    static PLANNED: LazyLock<Decision> =
        LazyLock::new(|| serde_json::from_str(include_str!("samples/decision.json")).unwrap());
    Record::Decision(Box::new(Decision {
        id: decision_id(number),
        run: RunId::from_parts(1_000_000 + number, [3; 10]),
        at_ms: 1_000_000,
        ..PLANNED.clone()
    }))
}

/// A decision without an attempt.
pub(crate) fn refusal(number: u64) -> Record {
    let Record::Decision(mut decision) = decision(number) else { unreachable!("it is a decision") };
    decision.kind = DecisionKind::Refuse;
    decision.attempt = false;
    Record::Decision(decision)
}

pub(crate) fn outcome(number: u64) -> Record {
    Record::Outcome(Box::new(Outcome {
        decision: decision_id(number),
        at_ms: 1_000_000 + number,
        status: OutcomeStatus::Ok,
        fault: None,
        http_status: Some(200),
        finish: Some(FinishReason::Stop),
        usage: Some(Usage { input_tokens: 7, output_tokens: 3, ..Usage::default() }),
        usage_source: Some(UsageSource::Provider),
        cost: None,
        first_content_us: Some(10),
        total_us: 20,
        bytes: 30,
        content_sent: true,
        upstream_done: true,
        upstream_id: Some("chatcmpl-1".to_owned()),
        upstream_model: None,
    }))
}
