//! What is wrong is told with its path, before anything is stored.

use serde_json::{Value, json};

use super::param;
use crate::blackbox::support::{Baton, run};

const AGENTS: &str = "agents:\n  root: { model: echo/hello, description: answers, instruction: Answer. }\n";

async fn refused(baton: &Baton, status: u16, body: Value) -> String {
    let answer = baton.post("/v1/runs", &body).await;
    param(&answer, status)
}

#[test]
fn a_wrong_request_is_refused_with_its_path_and_leaves_no_run() {
    run(async {
        let baton = Baton::start(AGENTS).await;
        let cases = [
            (400, "input", json!({"model": "echo/hello"})),
            (400, "input[0].role", json!({"model": "echo/hello", "input": [{"content": "x"}]})),
            (400, "model", json!({"input": "x"})),
            (404, "model", json!({"model": "nobody/has-this", "input": "x"})),
            (404, "model", json!({"agent": "nobody", "input": "x"})),
            (
                400,
                "agent.command",
                json!({"agent": {"model": "echo/hello", "command": ["sh"]}, "input": "x"}),
            ),
            (
                400,
                "agent.mcp_servers",
                json!({"agent": {"model": "echo/hello", "mcp_servers": ["http://127.0.0.1/mcp"]}, "input": "x"}),
            ),
            (400, "model", json!({"model": "echo/hello", "input": "x", "workflow": {"sequence": []}})),
            (400, "workflow.sequence", json!({"input": "x", "workflow": {"sequence": []}})),
            (
                400,
                "context.age",
                json!({
                    "model": "echo/hello", "input": "x", "context": {"age": "old"},
                    "context_schema": {"type": "object", "properties": {"age": {"type": "integer"}}},
                }),
            ),
            (
                400,
                "context",
                json!({"model": "echo/hello", "input": "x", "context": {"long": "x".repeat(100_000)}}),
            ),
            (400, "previous_run", json!({"model": "echo/hello", "input": "x", "previous_run": "run_0"})),
            (
                400,
                "budget.max_tokens",
                json!({"model": "echo/hello", "input": "x", "budget": {"max_tokens": 0}}),
            ),
            (400, "inputt", json!({"model": "echo/hello", "inputt": "x"})),
        ];
        for (status, path, body) in cases {
            assert_eq!(refused(&baton, status, body.clone()).await, path, "{body}");
        }
        let refused = baton.posting("/v1/runs", &json!({"model": "echo/hello", "input": "x"}));
        let refused = crate::blackbox::support::sent(refused.header("x-provider-key", "sk-x")).await;
        assert_eq!(param(&refused, 400), "x-provider-key");
        assert_eq!(baton.get("/v1/runs").await.expect(200).json()["data"], json!([]), "nothing was stored");
        for path in ["/v1/runs/run_1", "/v1/runs/run_00000000000000000000000000000000", "/v1/runs/x/events"] {
            baton.get(path).await.openai_error(404);
        }
        baton.post("/v1/runs/x", &json!({})).await.openai_error(405);
    });
}
