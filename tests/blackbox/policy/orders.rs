//! Every order, through the wire: who is first, why, and with which figures.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, chosen, decided, rows, start, under};
use crate::blackbox::support::{Baton, Fixture, run};
use crate::blackbox::v1::text;

/// Asks under a policy with only this order, and expects target, code and the rows of the table.
async fn check(fixture: &Fixture, body: &Value, target: &str, code: &str, table: &[&str]) {
    let answer = fixture.baton.chat(body).await.expect(200);
    assert_eq!(
        (answer.header("x-baton-model"), answer.header("x-baton-reason")),
        (target, code),
        "{body}: {answer:?}"
    );
    let decision = decided(&fixture.baton, &answer).await;
    assert_eq!(decision["reason"]["code"], code, "{decision}");
    assert_eq!(decision["to"], target, "{decision}");
    assert!(text(&decision["reason"]["text"]).contains(target), "{decision}");
    assert_eq!(rows(&decision), table, "{body}");
}

#[test]
fn the_cheapest_is_first_with_what_it_is_expected_to_cost() {
    run(async {
        let fixture = start("  p: { order: cheapest }").await;
        // 1 token in and at most 100 out, at the prices of the file, in nano-dollars.
        let mut body = under("p");
        body["max_tokens"] = json!(100);
        let answer = fixture.baton.chat(&body).await.expect(200);
        let decision = decided(&fixture.baton, &answer).await;
        let input = decision["features"]["input_tokens"].as_u64().expect("an estimate");
        let cost = |per_input: u64, per_output: u64| input * per_input + 100 * per_output;
        let table = [
            format!("{PROSE} eligible 1 {}", cost(3_000, 15_000)),
            format!("{LARGE} eligible 2 {}", cost(5_000, 20_000)),
            format!("{SMALL} selected {}", cost(100, 400)),
        ];
        check(&fixture, &body, SMALL, "cheapest", &table.each_ref().map(String::as_str)).await;
        assert_eq!(fixture.openai_saw("fake-small").len(), 2);
        assert_eq!(fixture.anthropic_saw("fake-prose").len(), 0);
    });
}

#[test]
fn an_unknown_price_is_last_and_falls_out_under_a_limit() {
    run(async {
        let fixture = start("  p: { order: cheapest }\n  q: { constraints: { max_cost_usd: 1 } }").await;
        let body = |policy: &str| json!({"model": ["oai/fake", LARGE], "messages": "hi", "baton": {"policy": policy}});
        assert_eq!(chosen(&fixture.baton, &body("p")).await, (LARGE.to_owned(), "cheapest".to_owned()));
        let answer = fixture.baton.chat(&body("q")).await.expect(200);
        let table = rows(&decided(&fixture.baton, &answer).await);
        assert_eq!(table, ["oai/fake constraints price_unknown -", "oai/fake-large selected -"]);
    });
}

#[test]
fn lots_are_drawn_by_weight_and_one_without_weight_never_wins() {
    run(async {
        let fixture = start(
            "  p: { order: weighted, weights: { oai/fake-small: 3, oai/fake-large: 1, ant/fake-prose: 0 } }",
        )
        .await;
        let mut drawn: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..60 {
            let answer = fixture.baton.chat(&under("p")).await.expect(200);
            assert_eq!(answer.header("x-baton-reason"), "drawn_by_weight");
            *drawn.entry(answer.header("x-baton-model").to_owned()).or_default() += 1;
            let decision = decided(&fixture.baton, &answer).await;
            let table = rows(&decision);
            assert_eq!(table[0], format!("{PROSE} order zero_weight -"));
            assert!(table[1].ends_with(" 1") && table[2].ends_with(" 3"), "{table:?}");
        }
        let of = |name: &str| drawn.get(name).copied().unwrap_or_default();
        println!("drawn: {drawn:?}");
        assert_eq!(of(PROSE), 0);
        // Each comes with odds of better than a million to one.
        assert!(of(LARGE) > 0 && of(SMALL) > 0, "{drawn:?}");
        assert_eq!(fixture.openai_saw("fake-small").len(), of(SMALL));
        assert_eq!(fixture.openai_saw("fake-large").len(), of(LARGE));
    });
}

#[test]
fn the_strongest_at_the_declared_task_is_first() {
    run(async {
        let fixture = start("  p: { order: strengths }").await;
        for (task, target, scores) in [
            ("code", LARGE, [600_000, 900_000, 400_000]),
            ("writing", PROSE, [900_000, 500_000, 400_000]),
            ("quick_answers", SMALL, [300_000, 400_000, 900_000]),
            ("tool_use", LARGE, [500_000, 900_000, 600_000]),
        ] {
            let mut body = under("p");
            body["baton"]["task"] = json!(task);
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(
                (answer.header("x-baton-model"), answer.header("x-baton-reason")),
                (target, "best_strengths"),
                "{task}"
            );
            let decision = decided(&fixture.baton, &answer).await;
            let scored: Vec<&Value> =
                decision["candidates"].as_array().expect("a table").iter().map(|one| &one["score"]).collect();
            assert_eq!(json!(scored), json!(scores), "{task}: {decision}");
        }
    });
}

#[test]
fn an_order_of_the_clients_own_gets_what_it_looks_at() {
    run(async {
        let fixture = start("  p: { order: cheapest }").await;
        let words = "Write a polite email to my landlord about the broken heating";
        let body = json!({"models": POOL, "messages": words, "baton": {"order": "strengths"}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        let decision = decided(&fixture.baton, &answer).await;
        assert_eq!(decision["features"]["task"]["kind"], "writing", "{decision}");
        assert_eq!(decision["reason"]["code"], "best_strengths", "{decision}");
    });
}

#[test]
fn a_task_of_no_known_kind_goes_to_the_next_order() {
    run(async {
        let fixture = start("  p: { order: [strengths, cheapest] }").await;
        let mut body = under("p");
        body["baton"]["task"] = json!("gardening");
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!((answer.header("x-baton-model"), answer.header("x-baton-reason")), (SMALL, "cheapest"));
        let decision = decided(&fixture.baton, &answer).await;
        let why = text(&decision["reason"]["text"]);
        assert!(why.ends_with(", as the kind of task is not known"), "{why}");
        assert_eq!(decision["features"]["declared_task"], "other", "{decision}");
    });
}

#[test]
fn attributes_of_the_task_meet_those_of_the_models() {
    run(async {
        let fixture = start("  p: { order: attributes }").await;
        let asking = |wants: Value, offers: Value| {
            let mut body = under("p");
            body["agent_attributes"] = wants;
            body["model_attributes"] = offers;
            body
        };
        for (wants, offers, target) in [
            (json!({"speed": 1.0}), json!(null), SMALL),
            (json!({"complexity": 0.9}), json!(null), LARGE),
            (json!({"creativity": 0.8, "speed": 0.1}), json!(null), PROSE),
            // What the client says of a model counts more than what is known of it.
            (json!({"creativity": 0.8}), json!({SMALL: {"creativity": 1.0}}), SMALL),
        ] {
            let body = asking(wants, offers);
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(
                (answer.header("x-baton-model"), answer.header("x-baton-reason")),
                (target, "best_attributes"),
                "{body}"
            );
            let decision = decided(&fixture.baton, &answer).await;
            assert!(
                decision["candidates"].as_array().expect("a table").iter().all(|one| one["score"].is_u64())
            );
        }
        // Whoever wants nothing gets the order of the list.
        assert_eq!(
            chosen(&fixture.baton, &under("p")).await,
            (PROSE.to_owned(), "first_in_order".to_owned())
        );
    });
}

#[test]
fn the_quickest_is_first_once_all_were_measured() {
    run(async {
        let fixture = start("  p: { order: fastest }").await;
        // The one takes a second and a half before it answers, the other as long as the machine does.
        let body = json!({"model": ["oai/fake-slow-l1500", "ant/fake-quick"], "messages": "hi", "baton": {"policy": "p"}});
        let mut measured = Vec::new();
        for _ in 0..2 {
            let (target, code) = chosen(&fixture.baton, &body).await;
            assert_eq!(code, "exploring", "{target}");
            measured.push(target);
        }
        measured.sort();
        assert_eq!(measured, ["ant/fake-quick", "oai/fake-slow-l1500"], "each is tried once first");
        let mut ranked = 0;
        for _ in 0..40 {
            let answer = fixture.baton.chat(&body).await.expect(200);
            let decision = decided(&fixture.baton, &answer).await;
            match answer.header("x-baton-reason") {
                "fastest" => {
                    assert_eq!(answer.header("x-baton-model"), "ant/fake-quick");
                    let score = |at: usize| decision["candidates"][at]["score"].as_u64().expect("a figure");
                    assert!(score(0) >= 1_500 && score(1) < score(0), "{decision}");
                    ranked += 1;
                }
                // Now and then the least measured is tried, so that a slow start is not for ever.
                code => assert_eq!(code, "exploring", "{decision}"),
            }
            if ranked == 5 {
                break;
            }
        }
        assert_eq!(ranked, 5);
    });
}

#[test]
fn a_balance_counts_what_the_file_says() {
    run(async {
        let fixture = start(
            "  quality: { order: balanced, balance: { quality: 1 } }\n  cost: { order: balanced, balance: { cost: 1 } }",
        )
        .await;
        let mut body = under("quality");
        body["baton"]["task"] = json!("code");
        assert_eq!(chosen(&fixture.baton, &body).await, (LARGE.to_owned(), "best_balance".to_owned()));
        body["baton"]["policy"] = json!("cost");
        assert_eq!(chosen(&fixture.baton, &body).await, (SMALL.to_owned(), "best_balance".to_owned()));
    });
}

#[test]
fn auto_weighs_what_is_expected_against_what_it_costs() {
    run(async {
        let fixture = start("  dear: { order: auto, balance: { quality: 1 } }").await;
        // All that has a price is a candidate where nothing is named.
        let mut body = json!({"model": "baton/auto", "messages": "hi", "baton": {"task": "code"}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!(answer.header("x-baton-reason"), "best_expected");
        assert!(answer.header("x-baton-policy").starts_with("auto@"), "{answer:?}");
        let decision = decided(&fixture.baton, &answer).await;
        let table = rows(&decision);
        assert_eq!(table.len(), POOL.len(), "{table:?}");
        assert!(table.iter().all(|row| !row.ends_with(" -")), "a candidate has no score: {table:?}");
        // Where cost counts nothing, the best at the task is first.
        body["baton"]["policy"] = json!("dear");
        assert_eq!(chosen(&fixture.baton, &body).await, (LARGE.to_owned(), "best_expected".to_owned()));
        body["baton"]["task"] = json!("writing");
        assert_eq!(chosen(&fixture.baton, &body).await, (PROSE.to_owned(), "best_expected".to_owned()));
    });
}

#[test]
fn auto_never_leads_to_a_model_that_is_made_to_fail() {
    run(async {
        // A new installation, which knows nothing but `echo`.
        let baton = Baton::start("{}").await;
        let body = json!({"model": "baton/auto", "messages": "hi"});
        let answer = baton.chat(&body).await.expect(200);
        assert!(answer.header("x-baton-model").starts_with("echo/"), "{answer:?}");
        assert!(rows(&decided(&baton, &answer).await).iter().all(|row| !row.contains("fail-")));
        // Beside a provider, `echo` is no choice; and of this one no model is known by name.
        let fixture = Fixture::shared().await;
        let error = fixture.baton.chat(&body).await.openai_error(400);
        assert_eq!(error["code"], "policy_without_pool", "{error}");
    });
}

#[test]
fn a_conversation_stays_where_it_is_unless_the_gain_is_worth_it() {
    run(async {
        let fixture = start("  p: { order: weighted }\n  q: { order: cheapest }").await;
        let mut body = under("p");
        body["baton"]["session"] = json!("talk-1");
        let (first, code) = chosen(&fixture.baton, &body).await;
        assert_eq!(code, "drawn_by_weight");
        for _ in 0..12 {
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(answer.header("x-baton-model"), first, "lots are drawn once for a conversation");
            let decision = decided(&fixture.baton, &answer).await;
            let stays = decision["kind"] == "stay" && decision["reason"]["code"] == "stays";
            assert!(stays || decision["reason"]["code"] == "drawn_by_weight", "{decision}");
        }
        // A gain of more than the margin is worth a switch.
        body["model"] = json!([PROSE]);
        body["baton"] = json!({"policy": "q", "session": "talk-2"});
        assert_eq!(chosen(&fixture.baton, &body).await.0, PROSE);
        body["model"] = json!(POOL);
        assert_eq!(chosen(&fixture.baton, &body).await, (SMALL.to_owned(), "cheapest".to_owned()));
    });
}
