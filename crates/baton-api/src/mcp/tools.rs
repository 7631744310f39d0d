//! The tools as they are listed.

use std::sync::LazyLock;

use serde_json::{Value, json};

pub(super) const SELECT: &str = "select_optimal_model";
pub(super) const ROUTE: &str = "route_to_specialist";
pub(super) const PREPARE: &str = "prepare_handoff";

/// All tools, as `tools/list` shows them.
pub(super) fn all() -> &'static Value {
    static ALL: LazyLock<Value> = LazyLock::new(|| json!([select(), route(), prepare()]));
    &ALL
}

fn tool(name: &str, title: &str, about: &str, input: Value, output: Value) -> Value {
    Value::from_iter([
        ("name", Value::from(name)),
        ("title", Value::from(title)),
        ("description", Value::from(about)),
        ("inputSchema", input),
        ("outputSchema", output),
        // It records a decision, which changes nothing for the client.
        ("annotations", json!({ "readOnlyHint": true, "openWorldHint": false })),
    ])
}

fn object(required: &[&str], members: Value) -> Value {
    Value::from_iter([
        ("type", Value::from("object")),
        ("properties", members),
        ("required", Value::from(required.to_vec())),
    ])
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

/// What every answer says of its decision, beside the tool's own members.
fn with_decision(required: &[&str], mut members: Value) -> Value {
    let own = json!({
        "reason": object(&["code", "text", "source"], json!({
            "code": text("A stable word."),
            "text": text("One sentence."),
            "source": text("Who spoke."),
        })),
        "policy": text("The policy, as name@version."),
        "decision_id": text("The decision; GET /v1/decisions/{id} explains it."),
        "run_id": text("The run that the decision stands in."),
    });
    if let (Value::Object(members), Value::Object(own)) = (&mut members, own) {
        members.extend(own);
    }
    let required: Vec<&str> =
        required.iter().copied().chain(["reason", "policy", "decision_id", "run_id"]).collect();
    object(&required, members)
}

fn select() -> Value {
    let limits = json!({
        "type": "object",
        "properties": {
            "max_cost": { "type": "number", "minimum": 0, "description": "US dollars that one answer may be expected to cost." },
            "max_latency": { "type": "number", "minimum": 0, "description": "Milliseconds that one answer may be expected to take." },
            "capabilities": {
                "type": "array",
                "items": { "type": "string" },
                "maxItems": 16,
                "description": "What the model must be able to do (vision, audio, tools, structured_output, logprobs, reasoning), or be for (code, creative, research, ...).",
            },
        },
        "additionalProperties": false,
    });
    tool(
        SELECT,
        "Select a model",
        "Chooses the model for a task, within limits on cost, time and capabilities. Call it before you send a task to a model.",
        object(&["task"], json!({ "task": text("The task, in words."), "constraints": limits })),
        with_decision(
            &["result", "target"],
            json!({
                "result": text("The model to name in a request."),
                "target": text("Where it is served, as provider/model."),
            }),
        ),
    )
}

fn route() -> Value {
    let routing = object(
        &["model", "prompt_style", "focus"],
        json!({
            "model": text("The model to name in a request."),
            "prompt_style": text("How it should be asked."),
            "focus": text("What it should look at."),
        }),
    );
    tool(
        ROUTE,
        "Route to a specialist",
        "Says which model is the specialist for a kind of work, and how it should be asked. A kind that nobody is for goes to the one for the rest.",
        object(
            &["content", "analysis_type"],
            json!({
                "content": text("What shall be worked on."),
                "analysis_type": text("The kind of work, such as code_review, creative_expansion, fact_checking or summarization."),
            }),
        ),
        with_decision(
            &["content", "routing", "ready_for_handoff"],
            json!({
                "content": text("The content, as it came."),
                "routing": routing,
                "ready_for_handoff": { "type": "boolean", "description": "Whether the conversation may be handed over now." },
            }),
        ),
    )
}

fn prepare() -> Value {
    let metadata = object(
        &["suggested_parameters", "expected_output_format", "validation_criteria"],
        json!({
            "suggested_parameters": { "type": "object", "description": "Settings for the request to the model." },
            "expected_output_format": text("The form that the answer should have."),
            "validation_criteria": { "type": "array", "items": { "type": "string" }, "description": "What the answer should be checked for." },
        }),
    );
    tool(
        PREPARE,
        "Prepare a hand-over",
        "Puts together what a hand-over to another model should carry, and says whether that model may take the task now.",
        object(
            &["task", "current_context", "target_model", "handoff_instructions"],
            json!({
                "task": text("The task, in words."),
                "current_context": { "type": "object", "description": "What is known so far." },
                "target_model": text("The model that shall take over."),
                "handoff_instructions": text("What it is told."),
            }),
        ),
        with_decision(
            &["original_task", "context", "target_model", "instructions", "timestamp", "handoff_metadata"],
            json!({
                "original_task": text("The task, as it came."),
                "context": { "type": "object", "description": "What is known so far, as it came." },
                "target_model": text("The model that takes over."),
                "instructions": text("What it is told, as it came."),
                "timestamp": text("When the hand-over was prepared, in UTC."),
                "handoff_metadata": metadata,
            }),
        ),
    )
}
