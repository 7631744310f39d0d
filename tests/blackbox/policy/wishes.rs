//! What a client may wish: a policy, an order, limits, providers, attributes; and what it is told of what is
//! not followed.

use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, chosen, decided, rows, start, under};
use crate::blackbox::support::{Answer, Fixture, run, sent};
use crate::blackbox::v1::text;

const POLICIES: &str = "
  default: { order: ordered }
  open: { client_order: true }
  closed: { order: cheapest, client_order: false }
  named: { pool: [oai/fake-large, oai/fake-small], order: cheapest }
  fixed: { constraints: { max_cost_usd: 0.0001 } }
";

#[test]
fn a_policy_is_named_in_the_body_in_a_header_or_as_the_model() {
    run(async {
        let fixture = start(POLICIES).await;
        let by_body = fixture.baton.chat(&under("closed")).await.expect(200);
        let plain = json!({"model": POOL, "messages": "hi"});
        let by_header =
            fixture.baton.posting("/v1/chat/completions", &plain).header("x-baton-policy", "closed");
        let by_header = sent(by_header).await.expect(200);
        for answer in [by_body, by_header] {
            assert_eq!(answer.header("x-baton-model"), SMALL);
            assert!(answer.header("x-baton-policy").starts_with("closed@"), "{answer:?}");
        }
        let as_model = json!({"model": "policy/named", "messages": "hi"});
        let answer = fixture.baton.chat(&as_model).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), SMALL);
        assert!(answer.header("x-baton-policy").starts_with("named@"), "{answer:?}");
        assert_eq!(answer.json()["model"], SMALL, "one of many is named in full");
        assert_eq!(rows(&decided(&fixture.baton, &answer).await).len(), 2);
    });
}

#[test]
fn a_policy_that_is_not_there_is_not_found_with_a_suggestion() {
    run(async {
        let fixture = start(POLICIES).await;
        for body in [under("clsed"), json!({"model": "policy/clsed", "messages": "hi"})] {
            let error = fixture.baton.chat(&body).await.openai_error(404);
            assert_eq!(error["code"], "policy_not_found", "{error}");
            assert!(text(&error["message"]).contains("did you mean `closed`?"), "{error}");
        }
        let error =
            fixture.baton.chat(&json!({"model": "policy/open", "messages": "hi"})).await.openai_error(400);
        assert_eq!(error["code"], "policy_without_pool", "{error}");
        assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty());
    });
}

#[test]
fn an_order_of_the_clients_own_holds_where_the_policy_leaves_it_to_it() {
    run(async {
        let fixture = start(POLICIES).await;
        for (policy, order, target, code) in [
            ("open", json!("cheapest"), SMALL, "cheapest"),
            ("open", json!(["strengths", "cheapest"]), LARGE, "best_strengths"),
            ("default", json!("cheapest"), SMALL, "cheapest"),
        ] {
            let mut body = under(policy);
            body["baton"]["order"] = order;
            body["baton"]["task"] = json!("code");
            assert_eq!(chosen(&fixture.baton, &body).await, (target.to_owned(), code.to_owned()), "{body}");
        }
        // `OpenRouter` says it so.
        for (provider, target, code) in [
            (json!({"sort": "price"}), SMALL, "cheapest"),
            (json!({"sort": {"by": "price"}}), SMALL, "cheapest"),
            (json!({"order": ["oai"], "sort": "price"}), SMALL, "provider_order"),
            (json!({"order": ["ant"], "sort": "price"}), PROSE, "provider_order"),
            (json!({"max_price": {"completion": 1}}), SMALL, "first_eligible"),
            (json!({"max_price": {"prompt": "4", "completion": "16"}}), PROSE, "first_in_order"),
            (json!({"only": ["oai"], "sort": "price"}), SMALL, "cheapest"),
            (json!({"ignore": ["ant"]}), LARGE, "first_eligible"),
        ] {
            let body = json!({"model": POOL, "messages": "hi", "provider": provider});
            assert_eq!(chosen(&fixture.baton, &body).await, (target.to_owned(), code.to_owned()), "{body}");
        }
        let body = json!({"model": POOL, "messages": "hi", "provider": {"sort": "throughput"}});
        // What was measured by the requests before ranks them; now and then the least measured is tried.
        let (_, code) = chosen(&fixture.baton, &body).await;
        assert!(["fastest", "exploring"].contains(&code.as_str()), "{code}");
    });
}

#[test]
fn what_is_not_followed_is_named_in_the_record() {
    run(async {
        let fixture = start(POLICIES).await;
        let ignored = async |body: Value| {
            let answer = fixture.baton.chat(&body).await.expect(200);
            decided(&fixture.baton, &answer).await["ignored_parameters"].clone()
        };
        let mut body = under("closed");
        body["baton"]["order"] = json!("fastest");
        body["agent_attributes"] = json!({"speed": 1});
        assert_eq!(ignored(body.clone()).await, json!(["baton.order", "agent_attributes"]));
        assert_eq!(chosen(&fixture.baton, &body).await, (SMALL.to_owned(), "cheapest".to_owned()));

        let body = json!({
            "model": POOL,
            "messages": "hi",
            "route": "elsewhere",
            "provider": {"sort": "beauty", "quantizations": ["int4"], "max_price": {"image": 1}},
            "baton": {"colour": "red", "constraints": {"max_beauty": 3}},
        });
        let names = ignored(body).await;
        for name in [
            "route",
            "provider.sort",
            "provider.quantizations",
            "provider.max_price.image",
            "baton.colour",
            "baton.constraints.max_beauty",
        ] {
            assert!(
                names.as_array().is_some_and(|all| all.contains(&json!(name))),
                "{name} is not in {names}"
            );
        }
        let body =
            json!({"model": POOL, "messages": "hi", "route": "fallback", "agent_attributes": {"speed": 1}});
        assert_eq!(ignored(body).await, Value::Null, "all of it is followed");
    });
}

/// A refusal for want of a candidate: in the caller's dialect, with the table, and recorded.
async fn unmet(fixture: &Fixture, body: &Value, code: &str, table: &[String]) {
    let mut anthropic = body.clone();
    anthropic["messages"] = json!([{"role": "user", "content": "hi"}]);
    let refused = |answer: Answer, error: Value| async move {
        assert_eq!(answer.json()["code"], code, "{answer:?}");
        let run = fixture.baton.run_of(&answer).await;
        let decisions = run["decisions"].as_array().expect("decisions");
        let [decision] = decisions.as_slice() else { panic!("{run}") };
        assert_eq!((&decision["kind"], &decision["to"]), (&json!("refuse"), &Value::Null), "{run}");
        assert_eq!(decision["id"], answer.header("x-baton-decision-id"));
        assert_eq!(error["candidates"], decision["candidates"], "the body has the table of the record");
        assert_eq!(rows(decision), table, "{run}");
    };
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        let answer = fixture.baton.chat(&body).await;
        let error = answer.openai_error(422);
        refused(answer, error).await;
        anthropic["stream"] = json!(stream);
        let answer = fixture.baton.messages(&anthropic).await;
        let error = answer.anthropic_error(422);
        refused(answer, error).await;
    }
}

#[test]
fn a_limit_that_nobody_keeps_is_refused_with_the_table() {
    run(async {
        let fixture = start(POLICIES).await;
        let all = |code: &str| POOL.map(|target| format!("{target} constraints {code} -"));
        let with = |policy: &str, constraints: Value| {
            json!({"model": POOL, "messages": "hi", "max_tokens": 2_000,
                   "baton": {"policy": policy, "constraints": constraints}})
        };
        for (body, code) in [
            // The policy's own limit, and the client's, tighter than the policy's none.
            (with("fixed", json!({})), "cost_too_high"),
            (with("open", json!({"max_cost_usd": 0.00001})), "cost_too_high"),
            (with("open", json!({"max_cost": "0.00001"})), "cost_too_high"),
            (with("open", json!({"capabilities": ["audio"]})), "capability_missing"),
            (with("open", json!({"capabilities": [{"code": 0.95}]})), "strength_too_low"),
            (with("open", json!({"capabilities": ["gardening"]})), "strength_too_low"),
        ] {
            unmet(&fixture, &body, code, &all(code)).await;
        }
        assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty());
        // The tighter limit holds: a client cannot loosen the policy's.
        let loose = with("fixed", json!({"max_cost_usd": 10}));
        unmet(&fixture, &loose, "cost_too_high", &all("cost_too_high")).await;
        // One that somebody keeps leaves that one.
        let body = with("open", json!({"capabilities": ["tools", {"writing": 0.8}]}));
        assert_eq!(chosen(&fixture.baton, &body).await, (PROSE.to_owned(), "first_in_order".to_owned()));
        let body = with("open", json!({"capabilities": ["code", "vision"], "max_cost_usd": 0.007}));
        assert_eq!(chosen(&fixture.baton, &body).await.0, PROSE);
    });
}

#[test]
fn a_table_says_what_was_seen_and_what_would_do() {
    run(async {
        let fixture = start(POLICIES).await;
        let body = json!({"model": [LARGE], "messages": "hi", "baton": {"constraints": {"capabilities": [{"writing": 0.6}]}}});
        let error = fixture.baton.chat(&body).await.openai_error(422);
        let wanted = json!([{
            "model": LARGE,
            "target": LARGE,
            "verdict": "rejected",
            "stage": "constraints",
            "code": "strength_too_low",
            "observed": "writing 0.50",
            "limit": "0.60",
        }]);
        assert_eq!(error["candidates"], wanted);
        assert!(text(&error["message"]).contains(LARGE), "{error}");
    });
}

#[test]
fn a_wish_in_the_wrong_form_is_refused_by_name() {
    run(async {
        let fixture = start(POLICIES).await;
        for (wish, param) in [
            (json!({"baton": {"order": "prettiest"}}), "baton.order"),
            (json!({"baton": {"policy": 7}}), "baton.policy"),
            (json!({"baton": {"constraints": {"max_cost_usd": -1}}}), "baton.constraints.max_cost_usd"),
            (
                json!({"baton": {"constraints": {"max_latency_ms": "soon"}}}),
                "baton.constraints.max_latency_ms",
            ),
            (json!({"baton": {"constraints": {"capabilities": "tools"}}}), "baton.constraints.capabilities"),
            (json!({"baton": {"context": ["a"]}}), "baton.context"),
            (json!({"baton": {"context": {"a": "x".repeat(20_000)}}}), "baton.context"),
            (json!({"baton": "fast"}), "baton"),
            (json!({"agent_attributes": {"speed": 2}}), "agent_attributes"),
            (json!({"model_attributes": {SMALL: {"speed": "high"}}}), "model_attributes"),
            (json!({"provider": "oai"}), "provider"),
            (json!({"provider": {"max_price": {"prompt": "cheap"}}}), "provider.max_price"),
        ] {
            let mut body = wish;
            body["model"] = json!(POOL);
            body["messages"] = json!("hi");
            let error = fixture.baton.chat(&body).await.openai_error(400);
            assert_eq!(error["param"], param, "{body}: {error}");
        }
        let request =
            fixture.baton.posting("/v1/chat/completions", &json!({"model": POOL, "messages": "hi"}));
        let error = sent(request.header("x-baton-policy", "none")).await.openai_error(404);
        assert_eq!(error["code"], "policy_not_found");
        assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty());
    });
}
