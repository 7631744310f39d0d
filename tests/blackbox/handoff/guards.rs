//! What bounds a run: first the model is told, then the run ends with what there is.

use baton_testkit::fake::Step;
use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, decisions, saw, says, says_and_calls, story, talking, tools_of,
    transfer, user,
};
use crate::blackbox::support::{Answer, Fixture, run};

/// A script in which the conversation goes to and fro, each turn with a word.
fn to_and_fro(pool: [&str; 2], turns: usize) -> Vec<(usize, Step)> {
    (0..turns)
        .map(|turn| {
            let other = pool[(turn + 1) % 2];
            (turn % 2, says_and_calls(&format!("t{turn}."), vec![transfer(other, "r")]))
        })
        .collect()
}

#[test]
fn an_exhausted_number_of_hand_offs_is_told_once_and_then_ends_the_run() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![
                    (0, says_and_calls("One.", vec![transfer(b, "r")])),
                    (1, says_and_calls("Two.", vec![transfer(a, "r")])),
                    (1, says_and_calls("Three.", vec![transfer(a, "r")])),
                ];
                let fixture = talking(pool, turns, "").await;
                let body =
                    json!({"model": pool, "messages": user("go"), "handoff_config": {"max_handoffs": 1}});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}: {}", answer.text());
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert_eq!(said.text.replace("\n\n", ""), "One.Two.Three.", "{case}");
                if way != (Surface::Messages, true) {
                    // There the model stands in the first event, and its text was given by then.
                    assert_eq!(said.model, b, "{case}");
                }
                assert!(said.calls.is_empty(), "{case}");
                let seen = saw(&fixture, b);
                assert_eq!((saw(&fixture, a).len(), seen.len()), (1, 2), "{case}");
                let told = seen[1].json().to_string();
                assert!(told.contains("not handed over") && told.contains("often enough"), "{case}: {told}");
                assert!(!tools_of(&seen[1]).is_empty(), "{case}: a guard took the tool away");
                assert_eq!(
                    story(&fixture, &answer).await,
                    [
                        format!("1.1 select first_in_order -->{a} ok"),
                        format!("2.2 handoff handed_over {a}->{b} ok"),
                        format!("3.2 stay max_handoffs -->{b} ok"),
                        format!("3.2 stop max_handoffs {b}->- not_expected"),
                    ],
                    "{case}"
                );
            }
        }
    });
}

#[test]
fn going_to_and_fro_is_told_once_and_then_ends_the_run() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                // a->b, b->a, a->b, b->a; the fifth is sent back, the sixth ends the run.
                let mut turns = to_and_fro(pool, 5);
                turns.push((0, says_and_calls("t5.", vec![transfer(b, "r")])));
                turns.push((0, says("too far")));
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}: {}", answer.text());
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert_eq!(said.text.replace("\n\n", ""), "t0.t1.t2.t3.t4.t5.", "{case}");
                assert_eq!((saw(&fixture, a).len(), saw(&fixture, b).len()), (4, 2), "{case}");
                let told = saw(&fixture, a)[3].json().to_string();
                assert!(told.contains("the user has said nothing new"), "{case}: {told}");
                let story = story(&fixture, &answer).await;
                assert_eq!(
                    story.last().expect("one"),
                    &format!("6.5 stop ping_pong {a}->- not_expected"),
                    "{case} {story:?}"
                );
            }
        }
    });
}

#[test]
fn a_model_that_was_told_of_a_guard_may_still_answer() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![(0, calls(vec![transfer(b, "r")])), (0, says("Myself then."))];
                let fixture = talking(pool, turns, "").await;
                let body =
                    json!({"model": pool, "messages": user("go"), "handoff_config": {"max_handoffs": 0}});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Myself then.", a), "{case}");
                assert!(["stop", "end_turn"].contains(&said.finish.as_str()), "{case}");
                assert_eq!(saw(&fixture, b).len(), 0, "{case}");
                assert_eq!(answer.header("x-baton-handoffs"), "0", "{case}");
            }
        }
    });
}

#[test]
fn ten_turns_are_the_most_without_a_word_from_the_client() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let a = pool[0];
                let nobody = || (0, calls(vec![("transfer_to_nobody".to_owned(), json!({}))]));
                let fixture = talking(pool, (0..12).map(|_| nobody()).collect(), "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert_eq!(saw(&fixture, a).len(), 10, "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").starts_with("10.1 stop max_turns"), "{case} {story:?}");
                assert!(answer.text().contains("\"turns_consumed\":10"), "{case} {}", answer.text());
            }
        }
    });
}

/// Prices at which every byte counts, and every model's the same.
const PRICES: &str = "
models:
  oai/fake: { price: { input: 3, output: 15 } }
  oai/fake-b: { price: { input: 3, output: 15 } }
  ant/fake: { price: { input: 3, output: 15 } }
  ant/fake-b: { price: { input: 3, output: 15 } }
";

/// A budget in nano-dollars, as a text that has the same length whatever it is.
fn dollars(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// What an answer's attempts cost, in nano-dollars.
async fn spent(fixture: &Fixture, answer: &Answer) -> u64 {
    let cost = |one: &Value| -> u64 {
        let Some(cost) = one["outcome"]["cost_usd"].as_str() else { return 0 };
        let (whole, part) = cost.split_once('.').unwrap_or((cost, ""));
        let whole: u64 = whole.parse().expect("dollars");
        whole * 1_000_000_000 + format!("{part:0<9}").parse::<u64>().expect("parts of a dollar")
    };
    decisions(fixture, answer).await.iter().map(cost).sum()
}

#[test]
fn a_budget_is_kept_to_the_nano_dollar() {
    run(async {
        for pool in POOLS {
            for way in [(Surface::Chat, false), (Surface::Messages, true)] {
                let [a, b] = pool;
                let fixture = talking(pool, Vec::new(), PRICES).await;
                // One request: whether the second turn was allowed, and what all of it cost.
                let try_with = async |budget: u64| {
                    for (model, step) in [(a, calls(vec![transfer(b, "r")])), (b, says("done"))] {
                        let fake =
                            if model.starts_with("oai/") { &fixture.openai } else { &fixture.anthropic };
                        fake.then(step);
                    }
                    let before = saw(&fixture, b).len();
                    let body = json!({
                        "model": pool,
                        "messages": user("go"),
                        "max_tokens": 50,
                        "handoff_config": {"constraints": {"max_cost": dollars(budget)}},
                    });
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let cost = spent(&fixture, &answer).await;
                    assert!(cost <= budget, "{pool:?} {way:?}: {cost} of {budget} was spent");
                    let second = saw(&fixture, b).len() > before;
                    if !second {
                        // What was not asked for is taken out of the script again.
                        let direct = json!({"model": b, "messages": user("rest"), "max_tokens": 50});
                        asked(&fixture.baton, way, direct).await;
                        assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{said:?}");
                        let story = story(&fixture, &answer).await;
                        // The hand-over has not happened: the run ends where it was.
                        assert_eq!(
                            story.last().expect("one"),
                            &format!("1.1 stop budget_reached {a}->- not_expected"),
                            "{story:?}"
                        );
                    }
                    second
                };
                // Enough for the first turn; enough for both.
                let (mut low, mut high) = (3_000_000, 10_000_000);
                assert!(!try_with(low).await && try_with(high).await, "{pool:?} {way:?}");
                while high - low > 1 {
                    let middle = low.midpoint(high);
                    if try_with(middle).await { high = middle } else { low = middle }
                }
                // The prices are whole thousands of nano-dollars, and so is the worst case.
                assert_eq!(high % 1_000, 0, "{pool:?} {way:?}: {high} is no sum of tokens at their price");
            }
        }
    });
}

#[test]
fn what_has_no_price_is_beyond_every_budget() {
    run(async {
        for pool in POOLS {
            let way = (Surface::Chat, false);
            let more = format!("models: {{ {}: {{ price: {{ input: 1, output: 1 }} }} }}", pool[0]);
            let turns = vec![(0, says_and_calls("Wait.", vec![transfer(pool[1], "r")]))];
            let fixture = talking(pool, turns, &more).await;
            let body = json!({
                "model": pool,
                "messages": user("go"),
                "max_tokens": 50,
                "handoff_config": {"constraints": {"max_cost": 1000}},
            });
            let (answer, said) = asked(&fixture.baton, way, body).await;
            assert_eq!((said.text.as_str(), said.finish.as_str()), ("Wait.", "length"), "{pool:?}");
            assert_eq!(saw(&fixture, pool[1]).len(), 0, "{pool:?}");
            assert!(story(&fixture, &answer).await.last().expect("one").contains("stop budget_reached"));
        }
    });
}

#[test]
fn a_budget_that_the_first_turn_could_exceed_stops_the_run_before_any_call() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let fixture = talking(pool, vec![(0, says("x"))], PRICES).await;
                let body = json!({
                    "model": pool,
                    "messages": user("go"),
                    "max_tokens": 50,
                    "stream": way.1,
                    "handoff_config": {"constraints": {"max_cost": 0.000_001}},
                });
                let path = way.0.path();
                let answer = fixture.baton.post(path, &way.0.body(body)).await;
                let case = format!("{pool:?} {way:?} {answer:?}");
                assert!(answer.status < 500, "{case}");
                assert_eq!(saw(&fixture, pool[0]).len() + saw(&fixture, pool[1]).len(), 0, "{case}");
                let id = answer.header("x-baton-decision-id");
                let recorded = fixture.baton.get(&format!("/v1/decisions/{id}")).await.expect(200).json();
                assert!(recorded.to_string().contains("budget_reached"), "{case}: {recorded}");
            }
        }
    });
}
