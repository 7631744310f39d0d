use std::sync::Arc;

use baton_model::RawObject;

use super::*;

fn principal() -> Principal {
    Principal::operator()
}

fn order(body: &str) -> Result<Order, ApiError> {
    let mut reader = Reader::of(&RawObject::parse(body.to_owned().into()).unwrap())?;
    let previous = reader.previous()?;
    assert_eq!(previous, None);
    let wanted = reader.wanted()?;
    let principal = principal();
    let headers = HeaderMap::new();
    let arrival = Arrival {
        request: RequestId::from_parts(1, [1; 10]),
        run: RunId::from_parts(1, [2; 10]),
        now_ms: 1_000,
        wanted,
        principal: &principal,
        headers: &headers,
        workflows: &workflows(),
    };
    Order::read(reader, None, &arrival)
}

/// The body is refused, and this is where.
fn refused(body: &str, path: &str) {
    let error = order(body).expect_err(body);
    assert_eq!(error.param(), Some(path), "{body}: {}", error.message());
}

/// The request as the engine gets it.
fn asked(body: &str) -> Ask {
    let stored = RawJson::of(&order(body).unwrap()).unwrap();
    let order: Order = stored.read().unwrap();
    order.ask(&Checkpoint::default(), None).unwrap()
}

fn messages(ask: &Ask) -> Value {
    serde_json::from_slice(ask.body.get("messages").unwrap()).unwrap()
}

#[test]
fn a_text_is_what_the_user_says() {
    let ask = asked(r#"{"model":"a","input":"hi"}"#);
    assert_eq!(messages(&ask), json!([{ "role": "user", "content": "hi" }]));
    assert_eq!((ask.models.names.as_slice(), ask.models.list), (["a".to_owned()].as_slice(), false));
    assert_eq!(ask.surface, "/v1/runs");
}

#[test]
fn a_list_of_models_is_a_pool() {
    let ask = asked(r#"{"model":["a","b"],"input":[{"role":"user","content":"x"}]}"#);
    assert_eq!((ask.models.names.len(), ask.models.members), (2, 2));
}

#[test]
fn an_agent_is_named_as_a_model() {
    assert_eq!(asked(r#"{"agent":"root","input":"x"}"#).models.names, ["agent/root"]);
    assert_eq!(asked(r#"{"agent":"agent/root","input":"x"}"#).models.names, ["agent/root"]);
}

#[test]
fn an_agent_of_the_request_is_a_model_that_is_told_something() {
    let ask = asked(
        r#"{"agent":{"model":"a","instruction":"be kind","temperature":0.1,"mcp_servers":["docs"]},"input":"x"}"#,
    );
    assert_eq!(ask.models.names, ["a"]);
    assert_eq!(
        messages(&ask),
        json!([{ "role": "system", "content": "be kind" }, { "role": "user", "content": "x" }])
    );
    assert_eq!(ask.mcp_servers.unwrap().get(), r#"["docs"]"#);
    assert_eq!(ask.body.get("temperature"), Some(b"0.1".as_slice()));
}

#[test]
fn limits_are_the_requests() {
    let order = order(
        r#"{"model":"a","input":"x","max_turns":3,"max_handoffs":0,"follow_handoffs":false,
            "budget":{"max_cost_usd":0.5,"max_tokens":9,"max_seconds":2}}"#,
    )
    .unwrap();
    let terms = order.terms();
    assert_eq!((terms.max_tokens, terms.until_ms, terms.follow_handoffs), (Some(9), Some(3_000), false));
    let ask = order.ask(&Checkpoint::default(), None).unwrap();
    assert_eq!((ask.handoff.max_turns, ask.handoff.max_handoffs), (Some(3), Some(0)));
    assert_eq!(ask.handoff.budget, Some(NanoUsd(500_000_000)));
}

#[test]
fn a_conversation_takes_the_place_of_the_messages() {
    let order = order(r#"{"model":"a","input":"x"}"#).unwrap();
    let conversation = RawJson::parse(r#"[{"role":"user","content":"later"}]"#).unwrap();
    let mut checkpoint = Checkpoint::default();
    checkpoint.next_segment(conversation);
    let ask = order.ask(&checkpoint, None::<Arc<Kept>>).unwrap();
    assert_eq!(messages(&ask), json!([{ "role": "user", "content": "later" }]));
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    refused(r#"{"model":"a"}"#, "input");
    refused(r#"{"model":"a","input":7}"#, "input");
    refused(r#"{"model":"a","input":[]}"#, "input");
    refused(r#"{"model":"a","input":[{"role":"user","content":"x"},{"role":"boss"}]}"#, "input[1].role");
    refused(r#"{"input":"x"}"#, "model");
    refused(r#"{"model":"a","agent":"b","input":"x"}"#, "agent");
    refused(r#"{"agent":7,"input":"x"}"#, "agent");
    refused(r#"{"agent":{"instruction":"x"},"input":"x"}"#, "agent.model");
    refused(r#"{"agent":{"model":"a","command":["sh"]},"input":"x"}"#, "agent.command");
    refused(r#"{"agent":{"model":"a","toolsets":[]},"input":"x"}"#, "agent.toolsets");
    refused(r#"{"agent":{"model":"a","instructions":"x"},"input":"x"}"#, "agent.instructions");
    let foreign = r#"{"agent":{"model":"a","mcp_servers":["https://x.example/mcp"]},"input":"x"}"#;
    refused(foreign, "agent.mcp_servers");
    refused(r#"{"model":"a","input":"x","max_turns":0}"#, "max_turns");
    refused(r#"{"model":"a","input":"x","max_turns":51}"#, "max_turns");
    refused(r#"{"model":"a","input":"x","budget":{"max_cost_usd":"dear"}}"#, "budget.max_cost_usd");
    refused(r#"{"model":"a","input":"x","budget":{"max_seconds":0}}"#, "budget.max_seconds");
    refused(r#"{"model":"a","input":"x","budget":{"max_money":1}}"#, "budget.max_money");
    refused(r#"{"model":"a","input":"x","stream":"yes"}"#, "stream");
    refused(r#"{"model":"a","input":"x","previous_run":"run_7"}"#, "previous_run");
    refused(r#"{"model":"a","input":"x","inputs":"y"}"#, "inputs");
}

fn workflows() -> Vec<(String, Value)> {
    let step = json!({ "name": "one", "model": "a", "input": "{{input}} for {{context.user}}" });
    vec![("greet".to_owned(), json!({ "context": ["user"], "sequence": [step] }))]
}

#[test]
fn a_workflow_is_one_of_the_file_or_the_requests_own() {
    let named = order(r#"{"workflow":"greet","input":"x","context":{"user":"Ann"}}"#).unwrap();
    assert_eq!(named.shown.workflow.as_deref(), Some("greet"));
    let flow = named.workflow.as_ref().unwrap();
    assert_eq!(flow.workflow().steps().collect::<Vec<_>>(), ["greet", "one"]);
    assert_eq!(named.ask(&Checkpoint::default(), None).unwrap().models.names, ["a"]);
    let own = order(
        r#"{"workflow":{"name":"mine","sequence":[{"name":"one","workflow":"greet"}]},"input":"x","context":{"user":"Ann"}}"#,
    )
    .unwrap();
    assert_eq!(own.shown.workflow.as_deref(), Some("mine"));
    assert_eq!(own.ask(&Checkpoint::default(), None).unwrap().models.names, ["a"]);
}

#[test]
fn a_workflow_that_cannot_be_carried_out_is_told_with_its_path() {
    refused(r#"{"workflow":"greed","input":"x"}"#, "workflow");
    refused(r#"{"workflow":"greet","input":"x"}"#, "context.user");
    refused(r#"{"workflow":"greet","input":"x","context":{"user":1},"model":"a"}"#, "model");
    refused(r#"{"workflow":"greet","input":"x","context":{"user":1},"tools":[]}"#, "tools");
    refused(
        r#"{"workflow":"greet","input":[{"role":"system","content":"x"}],"context":{"user":1}}"#,
        "input",
    );
    refused(
        r#"{"workflow":{"sequence":[{"name":"a","model":"m","input":"{{b}}"}]},"input":"x"}"#,
        "workflow.sequence[0].input",
    );
    refused(r#"{"workflow":{"name":7,"sequence":[]},"input":"x"}"#, "workflow.name");
    let foreign = r#"{"workflow":{"sequence":[{"name":"a","model":"m","mcp_servers":["https://x.example/mcp"]}]},"input":"x"}"#;
    refused(foreign, "workflow.sequence[0].mcp_servers");
}

#[test]
fn a_validation_and_approvals_are_kept_with_the_order() {
    let stored = RawJson::of(
        &order(
            r#"{"model":"a","input":"x","validation":{"cel":"true","on_failure":"retry"},
                "approvals":{"tools":["pay*"],"idempotent":["read"]}}"#,
        )
        .unwrap(),
    )
    .unwrap();
    let order: Order = stored.read().unwrap();
    assert_eq!(order.validation.as_ref().map(|it| it.check.as_str()), Some("cel"));
    let approvals = order.terms().approvals.unwrap();
    assert!(approvals.covers("pay_back") && !approvals.covers("read") && approvals.may_repeat("read"));
    refused(r#"{"model":"a","input":"x","validation":{}}"#, "validation");
    refused(r#"{"model":"a","input":"x","validation":{"cel":"true","times":1}}"#, "validation.times");
    refused(r#"{"model":"a","input":"x","approvals":{"tools":[1]}}"#, "approvals.tools");
}

#[test]
fn a_context_follows_its_schema() {
    let with = |context: &str| {
        format!(
            r#"{{"model":"a","input":"x","context":{context},"context_schema":{{"type":"object","required":["user"],
                "properties":{{"user":{{"type":"object","properties":{{"age":{{"type":"integer"}}}}}}}}}}}}"#
        )
    };
    assert!(order(&with(r#"{"user":{"age":7}}"#)).is_ok());
    refused(&with(r#"{"user":{"age":"seven"}}"#), "context.user.age");
    let error = order(&with("{}")).unwrap_err();
    assert!(error.param().unwrap().starts_with("context"), "{:?}", error.param());
    refused(r#"{"model":"a","input":"x","context":[]}"#, "context");
}

#[test]
fn an_error_of_the_engine_names_what_the_caller_sent() {
    let error = as_sent(ApiError::invalid("`messages[1].content` is wrong", Some("messages[1].content")));
    assert_eq!((error.param(), error.message()), (Some("input[1].content"), "`input[1].content` is wrong"));
    let error = as_sent(ApiError::invalid("`baton.context` is too large", Some("baton.context")));
    assert_eq!((error.param(), error.message()), (Some("context"), "`context` is too large"));
}
