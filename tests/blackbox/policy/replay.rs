//! Every decision of a varied run is derived again from its record alone, in another process.

use baton_testkit::fake::{Fault, Said, Step};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, start};
use crate::blackbox::support::{Fixture, Home, baton, run, until};

const POLICIES: &str = r#"
  default: { fallback: { retries: 1 } }
  cheap: { order: cheapest }
  strong: { order: [strengths, cheapest] }
  lots: { order: weighted, weights: { oai/fake-small: 5, oai/fake-large: 2, ant/fake-prose: 1 } }
  quick: { order: fastest }
  even: { order: balanced }
  fit: { order: attributes, client_order: true }
  best: { order: auto }
  judged: { order: [judge, cheapest], judge: { model: oai/fake-judge } }
  limited: { order: cheapest, constraints: { max_cost_usd: 0.0000001 } }
  able: { constraints: { capabilities: [vision, { code: 0.7 }] } }
  ruled:
    order: cheapest
    rules:
      - { name: code, when: 'task.kind == "code" && "vip" in request.tags', use: [oai/fake-large] }
      - { name: prose, when: 'task.kind == "writing"', prefer: [ant/fake-prose] }
      - { name: stage, when: 'context.stage == "draft"', avoid: [oai/fake-small] }
      - { name: shape, when: 'context.stage == "final"', set: { temperature: 0.1 }, prepend: Be exact. }
      - { name: no, when: 'context.stage == "never"', refuse: Not here. }
      - { name: time, when: 'time.unix > 1700000000 && context.late == true', allow_models: ["ant/*"] }
"#;

/// The bodies: every policy with several shapes of request.
fn bodies() -> Vec<Value> {
    let policies =
        ["cheap", "strong", "lots", "quick", "even", "fit", "best", "judged", "limited", "able", "ruled"];
    let shapes = [
        json!({"messages": "hi"}),
        json!({"messages": "Write a function that sorts a list of words.", "stream": true}),
        json!({"messages": "Schreibe bitte eine Kurzgeschichte über einen Leuchtturm.", "max_tokens": 300}),
        json!({"messages": "What is 17 * 23? Show each step.", "agent_attributes": {"complexity": 0.9}}),
    ];
    let mut all = Vec::new();
    for policy in policies {
        for shape in &shapes {
            let mut body = shape.clone();
            body["model"] = json!(POOL);
            body["baton"] = json!({"policy": policy});
            all.push(body);
        }
    }
    let mut with = |own: Value, more: Value| {
        let mut body = more;
        body["messages"] = json!("hi");
        if body.get("model").is_none() {
            body["model"] = json!(POOL);
        }
        body["baton"] = own;
        all.push(body);
    };
    with(json!({"policy": "ruled", "task": "code", "tags": ["vip"]}), json!({}));
    with(json!({"policy": "ruled", "task": "writing"}), json!({}));
    for stage in ["draft", "final", "never"] {
        with(json!({"policy": "ruled", "context": {"stage": stage}}), json!({}));
    }
    with(json!({"policy": "ruled", "context": {"late": true, "share": 0.25, "n": 3}}), json!({}));
    with(json!({"policy": "lots", "session": "talk"}), json!({}));
    with(json!({"policy": "lots", "session": "talk"}), json!({}));
    with(json!({"order": "cheapest"}), json!({}));
    with(json!({"constraints": {"max_cost_usd": 0.007, "capabilities": ["code"]}}), json!({}));
    with(json!({}), json!({"provider": {"order": ["oai"], "allow_fallbacks": false}}));
    with(json!({}), json!({"provider": {"sort": "price", "max_price": {"completion": 16}}}));
    with(json!({}), json!({"model": "baton/auto"}));
    with(json!({}), json!({"model": [LARGE, LARGE, SMALL]}));
    with(json!({}), json!({"model": ["oai/fault-500", PROSE]}));
    with(json!({}), json!({"model": ["oai/fault-429", "ant/fault-400"]}));
    with(json!({"strict": true}), json!({"model": [PROSE, SMALL], "logit_bias": {"1": 1}}));
    all
}

#[test]
fn every_decision_is_derived_again_from_its_record_alone() {
    run(async {
        let Fixture { mut baton, openai, anthropic } = start(POLICIES).await;
        let bodies = bodies();
        assert!(bodies.len() >= 60, "{} requests", bodies.len());
        let mut codes = std::collections::BTreeSet::new();
        for body in &bodies {
            if body["baton"]["policy"] == "judged" {
                let said = ["2", "none of them", "1", "3"][openai.seen().len() % 4];
                openai.then(Step::Say(Said::Text(said.to_owned())));
            }
            let answer = baton.chat(body).await;
            assert!([200, 400, 403, 422].contains(&answer.status), "{body}: {answer:?}");
            baton.run_of(&answer).await;
            codes.insert(answer.header("x-baton-reason").to_owned());
        }
        // A target that is unwell makes other tables.
        for _ in 0..8 {
            openai.then(Step::Fault(Fault::ServerError));
        }
        for _ in 0..6 {
            baton.chat(&json!({"model": [SMALL, PROSE], "messages": "hi"})).await.expect(200);
        }
        let plans = bodies.len() + 6;
        println!("reasons: {codes:?}");
        assert!(codes.len() >= 12, "too little variety: {codes:?}");
        until("the store has every plan", async || {
            let seen = planned(&baton).await;
            (seen >= plans).then_some(())
        })
        .await;

        // With the server, through it; and in a fresh process on what it left.
        let home = baton.home.clone();
        check(&home, plans).await;
        baton.signal(Signal::TERM);
        assert_eq!(baton.ended().await, Some(0), "{}", baton.log());
        drop((openai, anthropic));
        check(&home, plans).await;
    });
}

/// How many plans the store has.
async fn planned(baton: &crate::blackbox::support::Baton) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let page = baton.get(&format!("/v1/decisions?limit=100{after}")).await.expect(200).json();
        let data = page["data"].as_array().expect("a list");
        count += data.iter().filter(|one| one.get("policy").is_some()).count();
        match data.last() {
            Some(last) if page["has_more"] == true => {
                after = format!("&starting_after={}", last["id"].as_str().unwrap_or_default());
            }
            _ => return count,
        }
    }
}

async fn check(home: &Home, plans: usize) {
    let said = baton(home, &["policy", "replay", "--last", "1000", "--json"]).await.expect(0).json();
    assert_eq!(said["differs"], json!([]), "{said}");
    assert_eq!(said["replayed"], json!(plans), "{said}");
    assert_eq!(said["same"], said["replayed"], "{said}");
}

#[test]
fn another_policy_is_tried_on_what_was_recorded() {
    run(async {
        let fixture = start("  p: { order: ordered }\n  q: { order: cheapest }").await;
        for policy in ["p", "p", "p", "q"] {
            let body = json!({"model": POOL, "messages": "hi", "baton": {"policy": policy}});
            fixture.baton.chat(&body).await.expect(200);
        }
        until("the store has every plan", async || (planned(&fixture.baton).await >= 4).then_some(())).await;
        let asked = (fixture.openai.seen().len(), fixture.anthropic.seen().len());
        let home = &fixture.baton.home;
        let file = home.config().with_file_name("other.yaml");
        let file_name = file.to_str().expect("a path");
        let what_if = async |order: &str| {
            std::fs::write(&file, format!("policies: {{ p: {{ order: {order} }} }}"))
                .expect("a written file");
            let arguments = ["policy", "what-if", "--policy", file_name, "--last", "10", "--json"];
            baton(home, &arguments).await.expect(0).json()
        };
        let said = what_if("cheapest").await;
        assert_eq!(
            (&said["decisions"], &said["same"], &said["changed"]),
            (&json!(4), &json!(1), &json!(3)),
            "{said}"
        );
        let [change] = said["changes"].as_array().expect("changes").as_slice() else { panic!("{said}") };
        assert_eq!(
            (&change["from"], &change["to"], &change["count"]),
            (&json!(PROSE), &json!(SMALL), &json!(3))
        );
        assert!(change["cost_difference_usd"].as_str().is_some_and(|cost| cost.starts_with('-')), "{said}");
        // What was measured then is not in the record of a policy that did not look at it.
        let said = what_if("fastest").await;
        let undetermined: u64 =
            said["undetermined"].as_object().expect("reasons").values().filter_map(Value::as_u64).sum();
        assert_eq!((undetermined, &said["changed"]), (4, &json!(0)), "{said}");
        assert_eq!(
            (fixture.openai.seen().len(), fixture.anthropic.seen().len()),
            asked,
            "somebody was asked"
        );
    });
}
