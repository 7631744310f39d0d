//! Baton as an MCP server: its three tools, in the shapes of the seeds, in both eras of the protocol.

use reqwest::Method;
use serde_json::{Value, json};

use crate::blackbox::keys::create;
use crate::blackbox::support::{Answer, Baton, Fixture, run, sent};
use crate::blackbox::v1::text;

/// The seed's policy for `select_optimal_model`, behind the endpoint.
const SEED: &str = include_str!("../../seeds/S1-6.yaml");

/// Two specialists of the file's own.
const OWN_TABLE: &str = "
mcp_endpoint:
  select: [oai/fake, ant/fake]
  specialists:
    poems: { model: ant/fake, prompt_style: lyrical, focus: rhythm }
    rest: { model: [oai/fake, ant/fake] }
  otherwise: rest
";

fn message(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

async fn ask(baton: &Baton, method: &str, params: &Value) -> Answer {
    baton.post("/mcp", &message(method, params)).await
}

/// Calls a tool as clients did before 2026-07-28.
async fn call(baton: &Baton, tool: &str, arguments: &Value) -> Answer {
    ask(baton, "tools/call", &json!({ "name": tool, "arguments": arguments })).await
}

/// Calls a tool as clients do since.
async fn call_now(baton: &Baton, tool: &str, arguments: &Value) -> Answer {
    let params = json!({
        "name": tool,
        "arguments": arguments,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    let request = baton.posting("/mcp", &message("tools/call", &params));
    sent(
        request
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool),
    )
    .await
}

/// The result of a call that came to an answer.
#[track_caller]
fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)), "{body}");
    assert!(body["error"].is_null(), "{body}");
    body["result"].clone()
}

/// The structured content of a call, and its decision, which must be in the journal.
async fn found(baton: &Baton, answer: &Answer, kind: &str) -> (Value, Value) {
    let result = result(answer);
    assert_eq!(result["isError"], false, "{result}");
    let found = result["structuredContent"].clone();
    let id = text(&found["decision_id"]);
    assert_eq!(answer.header("x-baton-decision-id"), id);
    let run = baton.get(&format!("/v1/decisions/{id}")).await.expect(200).json();
    let decision = run["decisions"][0].clone();
    assert_eq!(
        (&decision["id"], &decision["kind"], &decision["surface"]),
        (&json!(id), &json!(kind), &json!("/mcp")),
        "{run}"
    );
    assert_eq!(decision["reason"], found["reason"], "{run}");
    assert_eq!(run["id"], found["run_id"], "{run}");
    assert_eq!(decision["outcome"]["status"], "not_expected", "nobody was asked: {run}");
    (found, decision)
}

#[track_caller]
fn error(answer: &Answer, status: u16, code: i64) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!((&body["jsonrpc"], &body["error"]["code"]), (&json!("2.0"), &json!(code)), "{body}");
    assert!(!text(&body["error"]["message"]).is_empty());
    body["error"].clone()
}

#[test]
fn s1_6_the_constraints_choose_as_the_policy_says() {
    run(async {
        let config = format!("{SEED}\nmcp_endpoint: {{ select: policy/optimal }}\n");
        let baton = Baton::start(&config).await;
        let simple = "What is the capital of France?";
        for (constraints, model, target, code) in [
            (json!({"max_cost": 0.005}), "openai/gpt-4o-mini", "openai/gpt-4o-mini", "chosen_by_rule"),
            (
                json!({"capabilities": ["code"]}),
                "claude-3-5-sonnet-20241022",
                "anthropic/claude-3-5-sonnet-20241022",
                "chosen_by_rule",
            ),
            (
                json!({"capabilities": ["creative"], "max_cost": 1}),
                "claude-3-opus-20240229",
                "anthropic/claude-3-opus-20240229",
                "chosen_by_rule",
            ),
            (json!({}), "openai/gpt-4", "openai/gpt-4", "only_model"),
        ] {
            let arguments = json!({"task": simple, "constraints": constraints});
            let old = call(&baton, "select_optimal_model", &arguments).await;
            let new = call_now(&baton, "select_optimal_model", &arguments).await;
            for answer in [&old, &new] {
                let (found, decision) = found(&baton, answer, "select").await;
                assert_eq!(found["result"], model, "{constraints}");
                assert_eq!(decision["to"], target, "{decision}");
                assert_eq!(found["reason"]["code"], code, "{constraints}");
                // What a client of the seed's server reads: the name alone.
                assert_eq!(result(answer)["content"], json!([{"type": "text", "text": model}]));
            }
            assert_eq!(result(&old)["resultType"], Value::Null);
            assert_eq!(result(&new)["resultType"], "complete");
        }
    });
}

#[test]
fn a_limit_that_nobody_keeps_is_a_refusal_that_is_recorded() {
    run(async {
        let baton = Baton::start(SEED).await;
        let arguments = json!({
            "task": "What is the capital of France?",
            "constraints": {"max_cost": 0.000_000_001},
        });
        let answer = call(&baton, "select_optimal_model", &arguments).await;
        let result = result(&answer);
        assert_eq!(result["isError"], true, "{result}");
        assert!(text(&result["content"][0]["text"]).contains("cost"), "{result}");
        let id = text(&result["_meta"]["baton/decision_id"]);
        let run = baton.get(&format!("/v1/decisions/{id}")).await.expect(200).json();
        assert_eq!(run["decisions"][0]["kind"], "refuse", "{run}");
    });
}

#[test]
fn s1_5_a_kind_of_work_goes_to_its_specialist_and_an_unknown_one_to_the_rest() {
    run(async {
        let config = SEED.replace("policies:", "default_provider: openai\npolicies:");
        let baton = Baton::start(&config).await;
        for (kind, model, style, focus) in [
            ("code_review", "claude-3-5-sonnet-20241022", "technical", "bugs, performance, best practices"),
            (
                "creative_expansion",
                "claude-3-opus-20240229",
                "creative",
                "narrative, engagement, originality",
            ),
            ("fact_checking", "openai/gpt-4.1", "analytical", "accuracy, sources, verification"),
            ("summarization", "openai/gpt-4o-mini", "concise", "key points, brevity, clarity"),
            ("dance", "openai/gpt-4o-mini", "concise", "key points, brevity, clarity"),
        ] {
            let arguments = json!({"content": "fn main() {}", "analysis_type": kind});
            let answer = call(&baton, "route_to_specialist", &arguments).await;
            let (found, decision) = found(&baton, &answer, "select").await;
            assert_eq!(
                (&found["content"], &found["routing"], &found["ready_for_handoff"]),
                (
                    &json!("fn main() {}"),
                    &json!({"model": model, "prompt_style": style, "focus": focus}),
                    &json!(true)
                )
            );
            assert_eq!(decision["requested"], json!([model]), "{decision}");
            // The text of a client without structured content is the same.
            let said: Value =
                serde_json::from_str(&text(&result(&answer)["content"][0]["text"])).expect("JSON");
            assert_eq!(said, found);
        }
    });
}

#[test]
fn a_table_of_the_files_own_replaces_the_built_in_one() {
    run(async {
        let fixture = Fixture::start(OWN_TABLE).await;
        let baton = &fixture.baton;
        for (kind, model, style) in [("poems", "ant/fake", "lyrical"), ("code_review", "oai/fake", "")] {
            let arguments = json!({"content": "roses", "analysis_type": kind});
            let answer = call(baton, "route_to_specialist", &arguments).await;
            let (found, _) = found(baton, &answer, "select").await;
            assert_eq!(
                (&found["routing"]["model"], &found["routing"]["prompt_style"]),
                (&json!(model), &json!(style))
            );
        }
        let answer = call(baton, "select_optimal_model", &json!({"task": "hi"})).await;
        let (found, decision) = found(baton, &answer, "select").await;
        assert_eq!(
            (&found["result"], &decision["requested"]),
            (&json!("oai/fake"), &json!(["oai/fake", "ant/fake"]))
        );
        assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty(), "nobody was asked");
    });
}

#[test]
fn without_the_tables_models_the_policy_chooses_among_what_there_is() {
    run(async {
        let baton = Baton::start("").await;
        let arguments = json!({"content": "roses", "analysis_type": "fact_checking"});
        let answer = call(&baton, "route_to_specialist", &arguments).await;
        let (found, decision) = found(&baton, &answer, "select").await;
        assert!(text(&found["routing"]["model"]).starts_with("echo/"), "{found}");
        assert_eq!(decision["requested"], json!(["baton/auto"]), "{decision}");
    });
}

#[test]
fn s1_4_a_hand_over_is_prepared_from_what_is_known_of_the_task_and_the_model() {
    run(async {
        let baton = Baton::start(SEED).await;
        let arguments = json!({
            "task": "Summarize this report in three sentences: sales grew, costs fell.",
            "current_context": {"audience": "board", "pages": [1, 2]},
            "target_model": "claude-3-5-sonnet-20241022",
            "handoff_instructions": "Be brief.",
        });
        let answer = call_now(&baton, "prepare_handoff", &arguments).await;
        // The client hands over, not the gateway.
        let (found, decision) = found(&baton, &answer, "observe").await;
        assert_eq!(decision["to"], "anthropic/claude-3-5-sonnet-20241022");
        assert_eq!(found["original_task"], arguments["task"]);
        assert_eq!(found["context"], arguments["current_context"]);
        assert_eq!(found["target_model"], "claude-3-5-sonnet-20241022");
        assert_eq!(found["instructions"], "Be brief.");
        assert_eq!(found["timestamp"], decision["at"]);
        let metadata = &found["handoff_metadata"];
        assert_eq!(metadata["expected_output_format"], "a few sentences or a short list", "{metadata}");
        assert_eq!(metadata["suggested_parameters"]["max_tokens"], 1024, "{metadata}");
        assert!(metadata["validation_criteria"].to_string().contains("nothing is added"), "{metadata}");
        // Neither the task nor the context is in the record.
        let record = decision.to_string();
        assert!(!record.contains("sales grew") && !record.contains("board"), "{record}");
    });
}

#[test]
fn a_model_that_is_not_there_is_an_answer_for_the_model_that_asks() {
    run(async {
        let baton = Baton::start("").await;
        let arguments = json!({
            "task": "x", "current_context": {}, "target_model": "echo/helo", "handoff_instructions": "",
        });
        let result = result(&call(&baton, "prepare_handoff", &arguments).await);
        assert_eq!(
            (&result["isError"], &result["_meta"]["baton/code"]),
            (&json!(true), &json!("model_not_found"))
        );
        assert!(text(&result["content"][0]["text"]).contains("echo/hello"), "{result}");
    });
}

#[test]
fn a_handshake_is_answered_and_so_is_a_discovery() {
    run(async {
        let fixture = Fixture::shared().await;
        let baton = &fixture.baton;
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let hello = result(&ask(baton, "initialize", &params).await);
        assert_eq!(
            (&hello["protocolVersion"], &hello["serverInfo"]["name"]),
            (&json!("2025-06-18"), &json!("baton"))
        );
        assert_eq!(hello["capabilities"], json!({"tools": {}}));
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let taken = baton.post("/mcp", &note).await.expect(202);
        assert!(taken.body.is_empty());
        assert_eq!(result(&ask(baton, "ping", &json!({})).await), json!({}));
        let listed = result(&ask(baton, "tools/list", &json!({})).await);
        let names: Vec<&Value> =
            listed["tools"].as_array().expect("tools").iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["select_optimal_model", "route_to_specialist", "prepare_handoff"]);
        let meta = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let discover = baton.posting("/mcp", &message("server/discover", &meta));
        let found = sent(
            discover.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "server/discover"),
        )
        .await;
        let found = result(&found);
        assert_eq!(found["supportedVersions"][0], "2026-07-28", "{found}");
        assert_eq!(
            (&found["resultType"], &found["cacheScope"]),
            (&json!("complete"), &json!("public")),
            "{found}"
        );
        // Neither a stream of the server's own nor a session to end.
        for method in [Method::GET, Method::DELETE] {
            let refused = sent(baton.request(method, "/mcp")).await.expect(405);
            assert_eq!(refused.header("allow"), "POST");
        }
    });
}

#[test]
fn several_messages_come_together_where_the_version_knows_that() {
    run(async {
        let fixture = Fixture::shared().await;
        let many = json!([
            {"jsonrpc": "2.0", "id": "a", "method": "ping"},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": "b", "method": "nothing"},
            3,
        ]);
        let answers = fixture.baton.post("/mcp", &many).await.expect(200).json();
        assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "a", "result": {}}));
        assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!("b"), &json!(-32_601)));
        assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&Value::Null, &json!(-32_600)));
        assert_eq!(answers.as_array().map(Vec::len), Some(3), "{answers}");
        let later = fixture.baton.posting("/mcp", &many).header("mcp-protocol-version", "2025-06-18");
        error(&sent(later).await, 400, -32_600);
    });
}

#[test]
fn what_is_wrong_is_told_in_the_protocols_own_errors() {
    run(async {
        let fixture = Fixture::shared().await;
        let baton = &fixture.baton;
        let raw = sent(baton.request(Method::POST, "/mcp").body("{")).await;
        error(&raw, 400, -32_700);
        error(&baton.post("/mcp", &json!({"id": 1, "method": "ping"})).await, 400, -32_600);
        error(&ask(baton, "resources/list", &json!({})).await, 200, -32_601);
        error(&call(baton, "drop_tables", &json!({})).await, 200, -32_602);
        for (tool, arguments, path) in [
            ("select_optimal_model", json!({}), "arguments.task"),
            ("select_optimal_model", json!({"task": 3}), "arguments.task"),
            (
                "select_optimal_model",
                json!({"task": "x", "constraints": {"max_cost": "low"}}),
                "arguments.constraints.max_cost",
            ),
            ("route_to_specialist", json!({"content": "x"}), "arguments.analysis_type"),
            (
                "prepare_handoff",
                json!({"task": "x", "current_context": [], "target_model": "y", "handoff_instructions": "z"}),
                "arguments.current_context",
            ),
        ] {
            let wrong = error(&call(baton, tool, &arguments).await, 200, -32_602);
            assert_eq!(wrong["data"]["path"], path, "{wrong}");
        }
        let newer = baton.posting("/mcp", &message("tools/list", &json!({})));
        let unknown = error(&sent(newer.header("mcp-protocol-version", "2031-01-01")).await, 400, -32_022);
        assert!(unknown["data"]["supported"].to_string().contains("2026-07-28"), "{unknown}");
    });
}

#[test]
fn keys_limits_and_origins_hold_here_too() {
    run(async {
        let config = "auth: { required: true }\nlimits: { max_body_bytes: 1KiB }\ncors: { origins: [\"https://app.example\"] }";
        let mut baton = Baton::start(config).await;
        let ping = message("ping", &json!({}));
        let refused = error(&baton.post("/mcp", &ping).await, 401, -32_000);
        assert_eq!(refused["data"]["code"], "missing_api_key");
        let key = create(&baton, &["one"]).await;
        let viewer = create(&baton, &["two", "--role", "viewer"]).await;
        let held = create(&baton, &["three", "--model", "echo/parrot"]).await;
        baton.set_key(&viewer.secret);
        error(&baton.post("/mcp", &ping).await, 403, -32_000);
        // A key that may not use a model is not told to use it, and cannot read another's decision.
        baton.set_key(&held.secret);
        let arguments = json!({
            "task": "x", "current_context": {}, "target_model": "echo/hello", "handoff_instructions": "",
        });
        let denied = result(&call(&baton, "prepare_handoff", &arguments).await);
        assert_eq!(denied["isError"], true, "{denied}");
        let id = text(&denied["_meta"]["baton/decision_id"]);
        baton.get(&format!("/v1/decisions/{id}")).await.expect(200);
        baton.set_key(&key.secret);
        baton.get(&format!("/v1/decisions/{id}")).await.expect(404);
        for (origin, status) in [("https://app.example", 200), ("https://evil.example", 403), ("null", 403)] {
            let answer = sent(baton.posting("/mcp", &ping).header("origin", origin)).await;
            assert_eq!(answer.status, status, "{origin} {answer:?}");
        }
        let own = format!("http://{}", baton.address());
        sent(baton.posting("/mcp", &ping).header("origin", own)).await.expect(200);
        let long = json!({"task": "x".repeat(2_000)});
        let too_large = error(&call(&baton, "select_optimal_model", &long).await, 413, -32_000);
        assert_eq!(too_large["data"]["code"], "request_too_large");
    });
}
