//! A client that leaves while the gateway runs a tool for it.

use serde_json::json;

use super::server::Mcp;
use super::{everywhere, query, with_server};
use crate::blackbox::handoff::leaving::request;
use crate::blackbox::handoff::{saw, says, says_and_calls, says_next, user};
use crate::blackbox::support::{Raw, run, until};

#[test]
fn leaving_while_a_tool_runs_ends_the_call_and_the_run() {
    run(async {
        for ((surface, stream), model) in everywhere() {
            let mcp = Mcp::start().await;
            mcp.hold_calls();
            let fixture = with_server(&mcp, "").await;
            says_next(&fixture, model, says_and_calls("Let me see.", vec![query("cats")]));
            says_next(&fixture, model, says("nobody hears this"));
            let mut client = Raw::open(fixture.baton.address()).await;
            let body = json!({
                "model": model, "messages": user("go"), "max_tokens": 200, "stream": stream,
                "mcp_servers": "acme/search",
            });
            client.say(&request(surface, &body)).await.expect("a request");
            until("the tool is called", async || (mcp.held() == 1).then_some(())).await;
            drop(client);
            until("the call is given up", async || (mcp.held() == 0).then_some(())).await;
            let case = format!("{surface:?} {stream} {model}");
            assert_eq!(mcp.calls().len(), 1, "{case}");
            let all = until("the turn before is recorded", async || {
                let all = fixture.baton.get("/v1/decisions").await.expect(200).json();
                (all["data"][0]["outcome"]["status"] == "ok").then_some(all)
            })
            .await;
            assert_eq!(all["data"].as_array().map(Vec::len), Some(1), "{case} {all}");
            assert_eq!(saw(&fixture, model).len(), 1, "{case}: the model was asked again for nobody");
        }
    });
}
