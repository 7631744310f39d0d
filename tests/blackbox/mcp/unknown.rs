//! A tool that nobody offered, where the gateway runs tools: the model is told, and the client sees nothing of it.

use baton_testkit::fake::Step;
use serde_json::{Value, json};

use super::server::Mcp;
use super::{everywhere, query, with_server};
use crate::blackbox::handoff::{
    POOLS, Surface, WAYS, asked, calls, saw, says, says_and_calls, says_next, story, tool, transfer, user,
};
use crate::blackbox::support::{Fixture, run};

fn nobodys() -> (String, Value) {
    ("acme_search_query".to_owned(), json!({"q": "cats"}))
}

/// The results that a model was told in its last request.
fn told(fixture: &Fixture, model: &str) -> String {
    saw(fixture, model).pop().expect("a request").json()["messages"].to_string()
}

#[test]
fn the_model_is_told_which_tools_there_are_and_goes_on() {
    run(async {
        let mcp = Mcp::start().await;
        let fixture = with_server(&mcp, "").await;
        for (way, model) in everywhere() {
            let before = mcp.calls().len();
            says_next(&fixture, model, says_and_calls("Hm.", vec![nobodys(), query("dogs")]));
            says_next(&fixture, model, calls(vec![query("cats")]));
            says_next(&fixture, model, says("Cats."));
            let body = json!({
                "model": model, "messages": user("go"), "mcp_servers": "acme/search",
                "tools": [tool(way.0, "weather")],
            });
            let (answer, said) = asked(&fixture.baton, way, body).await;
            let case = format!("{way:?} {model} {}", answer.text());
            assert_eq!(said.text.replace("\n\n", ""), "Hm.Cats.", "{case}");
            assert!(said.calls.is_empty() && !answer.text().contains("acme_search_query"), "{case}");
            assert!(["stop", "end_turn"].contains(&said.finish.as_str()), "{case}");
            let told = told(&fixture, model);
            assert!(
                told.contains(
                    "there is no tool `acme_search_query`. The tools that exist: weather, acme-search__query"
                ),
                "{case} {told}"
            );
            // Behind it, nothing of the turn was carried out.
            assert_eq!(mcp.calls()[before..], [json!({"q": "cats"})], "{case}");
            let story = story(&fixture, &answer).await;
            assert_eq!(story.len(), 3, "{case} {story:?}");
            assert!(story[1].starts_with("2.1 stay tools_answered "), "{case} {story:?}");
        }
    });
}

#[test]
fn a_tool_of_the_old_form_is_the_clients() {
    run(async {
        let mcp = Mcp::start().await;
        let fixture = with_server(&mcp, "").await;
        // The models that take the old form no more refuse it whatever the gateway does.
        let model = "ant/fake";
        for stream in [false, true] {
            let weather = ("weather".to_owned(), json!({"city": "Paris"}));
            says_next(&fixture, model, calls(vec![weather.clone()]));
            let function = json!({"name": "weather", "parameters": {"type": "object", "properties": {}}});
            let body = json!({
                "model": model, "messages": user("go"), "mcp_servers": "acme/search", "functions": [function],
            });
            let (answer, said) = asked(&fixture.baton, (Surface::Chat, stream), body).await;
            assert_eq!(said.calls, [weather], "{stream} {}", answer.text());
        }
    });
}

#[test]
fn the_transfers_of_a_pool_are_among_the_tools_that_exist() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let fixture = with_server(&mcp, "").await;
            for way in WAYS {
                let [a, b] = pool;
                says_next(&fixture, a, calls(vec![nobodys()]));
                says_next(&fixture, a, calls(vec![transfer(b, "r")]));
                says_next(&fixture, b, says("Mine."));
                let body = json!({"model": pool, "messages": user("go"), "mcp_servers": "acme/search"});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Mine.", b), "{case}");
                let told = told(&fixture, b);
                let expected = format!("The tools that exist: acme-search__query, {}", transfer(b, "").0);
                assert!(told.contains(&expected), "{case} {told}");
            }
        }
    });
}

#[test]
fn a_model_that_insists_comes_to_the_end_of_its_turns() {
    run(async {
        let mcp = Mcp::start().await;
        let fixture = with_server(&mcp, "").await;
        for (way, model) in everywhere() {
            let turn = || -> Step { says_and_calls("Hm.", vec![nobodys()]) };
            (0..3).for_each(|_| says_next(&fixture, model, turn()));
            let body =
                json!({"model": model, "messages": user("go"), "mcp_servers": "acme/search", "max_turns": 3});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            let case = format!("{way:?} {model} {}", answer.text());
            assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
            assert!(said.calls.is_empty() && mcp.calls().is_empty(), "{case}");
            assert!(story(&fixture, &answer).await.last().expect("one").contains("stop max_turns"), "{case}");
        }
    });
}

#[test]
fn where_the_gateway_runs_nothing_the_call_is_the_clients() {
    run(async {
        let mcp = Mcp::start().await;
        let fixture = with_server(&mcp, "").await;
        for (way, model) in everywhere() {
            for body in [
                json!({"model": model, "messages": user("go"), "tools": [tool(way.0, "weather")]}),
                json!({"model": model, "messages": user("go"), "mcp_servers": "acme/search", "automatic_tool_execution": false}),
            ] {
                says_next(&fixture, model, calls(vec![nobodys()]));
                let (answer, said) = asked(&fixture.baton, way, body).await;
                assert_eq!(said.calls, [nobodys()], "{way:?} {model} {}", answer.text());
            }
        }
    });
}
