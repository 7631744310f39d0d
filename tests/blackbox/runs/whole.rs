//! A run whose caller waits for it.

use serde_json::{Value, json};

use super::{decided, events_of, id_of, names, read, started};
use crate::blackbox::handoff::{calls, saw, says, says_next, scripted};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Fixture, run};

#[test]
fn the_answer_is_the_run_when_it_has_ended() {
    run(async {
        let fixture = scripted(vec![says("Twelve degrees.")], Vec::new(), "").await;
        let body = json!({
            "model": "oai/fake-sync", "input": "How warm is it?", "metadata": {"team": "blue"},
            "context": {"city": "Bonn", "deep": {"list": [1, 2]}},
        });
        let done = started(&fixture.baton, body).await;
        assert_eq!((&done["object"], &done["status"]), (&json!("run"), &json!("completed")), "{done}");
        assert_eq!(done["output"]["text"], "Twelve degrees.");
        let said = &done["output"]["messages"][0];
        assert_eq!((&said["role"], &said["content"]), (&json!("assistant"), &json!("Twelve degrees.")));
        assert_eq!(done["ended_by"], json!({"agent": null, "model": "oai/fake-sync"}));
        assert_eq!((&done["agents_used"], &done["turns_consumed"]), (&json!(["oai/fake-sync"]), &json!(1)));
        assert_eq!(
            (&done["metadata"], &done["context"]["deep"]),
            (&json!({"team": "blue"}), &json!({"list": [1, 2]}))
        );
        assert!(done["usage"]["total_tokens"].as_u64() > Some(0), "{done}");
        assert!(done["ended_at"].as_u64() >= done["created_at"].as_u64(), "{done}");
        assert_eq!((&done["error"], &done["handoffs"]), (&Value::Null, &json!([])));
        // What is stored is what was answered, and the decision is the one of the turn.
        let id = id_of(&done);
        assert_eq!(read(&fixture.baton, &id).await, done);
        let record = fixture.baton.settled(&id).await;
        assert_eq!(record["decisions"][0]["id"], done["turns"][0]["decision"]);
        assert_eq!(record["decisions"][0]["surface"], "/v1/runs");
        assert_eq!(decided(&fixture.baton, &id).await, ["select oai/fake-sync"]);
        let asked = saw(&fixture, "oai/fake-sync")[0].json();
        assert_eq!(asked["messages"], json!([{"role": "user", "content": "How warm is it?"}]));
        let told = events_of(&fixture.baton, &id, None).await;
        super::are_whole(&told);
        let expected = [
            "run_start",
            "agent_start",
            "turn_start",
            "text_delta",
            "text_done",
            "turn_end",
            "agent_end",
            "run_end",
        ];
        assert_eq!(names(&told), expected);
    });
}

#[test]
fn a_run_that_fails_says_why() {
    run(async {
        let fixture = Fixture::shared().await;
        let failed = started(&fixture.baton, json!({"model": "oai/x/fault-400", "input": "x"})).await;
        assert_eq!(failed["status"], "failed", "{failed}");
        assert!(failed["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{failed}");
        assert_eq!(failed["output"]["text"], "");
        let told = events_of(&fixture.baton, &id_of(&failed), None).await;
        super::are_whole(&told);
        assert_eq!(names(&told), ["run_start", "error", "run_end"]);
    });
}

#[test]
fn a_run_keeps_its_limits_and_ends_with_what_there_is() {
    run(async {
        let mcp = crate::blackbox::mcp::server::Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let fixture = scripted(Vec::new(), Vec::new(), &servers).await;
        let asks = |body: Value| {
            let mut all = json!({"model": "oai/fake", "input": "Look", "mcp_servers": ["acme"]});
            all.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
            all
        };
        let query = || calls(vec![("acme__query".to_owned(), json!({"q": "x"}))]);
        for (limits, why) in [
            (json!({"max_turns": 1}), "max_turns"),
            (json!({"budget": {"max_tokens": 1}}), "budget_reached"),
            // A model without a price is not called under a budget of money.
            (json!({"budget": {"max_cost_usd": 0.01}}), "budget_reached"),
        ] {
            let before = saw(&fixture, "oai/fake").len();
            if !why.starts_with("budget") || limits["budget"]["max_tokens"] == 1 {
                says_next(&fixture, "oai/fake", query());
            }
            let ended = started(&fixture.baton, asks(limits.clone())).await;
            assert_eq!(ended["status"], "incomplete", "{limits} {ended}");
            assert_eq!(ended["incomplete_details"]["reason"], why, "{limits} {ended}");
            let asked = saw(&fixture, "oai/fake").len() - before;
            assert_eq!(asked, usize::from(limits["budget"]["max_cost_usd"].is_null()), "{limits}");
            assert_eq!(ended["turns_consumed"], asked, "{limits}");
        }
    });
}

#[test]
fn runs_are_listed_by_pages_and_are_their_keys_own() {
    run(async {
        let mut fixture = Fixture::start("auth: { required: true }").await;
        let mine = create(&fixture.baton, &["mine"]).await;
        let other = create(&fixture.baton, &["other"]).await;
        fixture.baton.set_key(&mine.secret);
        let mut ids = Vec::new();
        for number in 0..5 {
            let done =
                started(&fixture.baton, json!({"model": "echo/hello", "input": format!("{number}")})).await;
            ids.insert(0, id_of(&done));
        }
        let page = async |query: &str| {
            let page = fixture.baton.get(&format!("/v1/runs{query}")).await.expect(200).json();
            let ids: Vec<String> = page["data"].as_array().expect("a list").iter().map(id_of).collect();
            (ids, page["has_more"] == true)
        };
        assert_eq!(page("").await, (ids.clone(), false));
        assert_eq!(page("?limit=2").await, (ids[..2].to_vec(), true));
        assert_eq!(page(&format!("?limit=2&starting_after={}", ids[1])).await, (ids[2..4].to_vec(), true));
        assert_eq!(page(&format!("?limit=2&starting_after={}", ids[3])).await, (ids[4..].to_vec(), false));
        assert_eq!(page(&format!("?limit=2&ending_before={}", ids[3])).await, (ids[1..3].to_vec(), true));
        for query in ["?limit=0", "?limit=101", "?order=asc", "?starting_after=run_1"] {
            fixture.baton.get(&format!("/v1/runs{query}")).await.openai_error(400);
        }
        // To another key there are none.
        fixture.baton.set_key(&other.secret);
        let id = ids[0].clone();
        assert_eq!(fixture.baton.get("/v1/runs").await.expect(200).json()["data"], json!([]));
        for path in ["", "/events"] {
            fixture.baton.get(&format!("/v1/runs/{id}{path}")).await.openai_error(404);
        }
        fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.openai_error(404);
        let outputs = json!({"tool_outputs": []});
        fixture.baton.post(&format!("/v1/runs/{id}/tool_outputs"), &outputs).await.openai_error(404);
        let goes_on = json!({"input": "x", "model": "echo/hello", "previous_run": id});
        let refused = fixture.baton.post("/v1/runs", &goes_on).await;
        assert_eq!(super::param(&refused, 400), "previous_run");
    });
}
