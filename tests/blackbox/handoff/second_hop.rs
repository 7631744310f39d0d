//! Every way to fail, at the second hop: before its first content the run goes back to the model before,
//! and after it the stream ends with an error. No text is lost or given twice.

use baton_testkit::fake::unreachable::{BlackHole, refused};
use baton_testkit::fake::{FakeUpstream, Fault, Script, Step};
use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, decisions, saw, says, says_and_calls, says_next, story, talking,
    transfer, user,
};
use crate::blackbox::support::{
    Answer, Baton, Fixture, chat_text, events, messages_text, responses_text, run, unique,
};

/// What follows from a fault at the second hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The model before is told, and answers.
    Back,
    /// The stream ends with an error.
    Error,
    /// Nothing: the answer is good.
    Nothing,
    /// Nothing is left of the time that all attempts have together: the run ends with what there is.
    TooLate,
}

fn expected(fault: Fault, stream: bool) -> Then {
    match fault {
        Fault::ErrorAfterContent
        | Fault::ResetAfterContent
        | Fault::StallAfterContent
        | Fault::NoFinish
        | Fault::GarbageFrame
            if stream =>
        {
            Then::Error
        }
        Fault::NoEndMarker | Fault::DataAfterEnd => Then::Nothing,
        // A whole answer has no first content to wait for.
        Fault::HeaderStall | Fault::StallAfterContent if !stream => Then::TooLate,
        _ => Then::Back,
    }
}

/// What the fakes say to a result.
const AFTER_A_RESULT: &str = "The tool says: it is mild in Paris, 18 °C, with a light wind from the west.";

/// Deadlines short enough for a test, and no retries.
const SHORT: &str =
    "policies: { default: { fallback: { retries: 0 }, timeouts: { first_content: 900ms, idle: 500ms } } }";
const TOTAL: &str = "policies: { default: { fallback: { retries: 0 }, timeouts: { total: 1500ms } } }";

fn text_of(surface: Surface, answer: &Answer) -> String {
    match surface {
        Surface::Chat => chat_text(answer.text()),
        Surface::Messages => messages_text(answer.text()),
        Surface::Responses => responses_text(answer.text()),
    }
}

/// Whether somebody waits for a deadline: those cases are few.
fn is_slow(fault: Fault) -> bool {
    matches!(fault, Fault::HeaderStall | Fault::StallAfterContent)
}

/// Whether a server remembers the fault beyond the target, so that another case would see it.
fn lingers(fault: Fault) -> bool {
    matches!(fault, Fault::Unauthorized | Fault::Forbidden)
}

#[test]
fn every_fault_at_the_second_hop_loses_nothing_and_repeats_nothing() {
    run(async {
        let patient = talking(POOLS[0], Vec::new(), "").await;
        let short = talking(POOLS[0], Vec::new(), SHORT).await;
        let total = talking(POOLS[0], Vec::new(), TOTAL).await;
        for (fault, name) in Fault::ALL {
            for pool in POOLS {
                for way in WAYS {
                    if is_slow(fault) && (pool[0].starts_with("oai/") == pool[1].starts_with("oai/")) {
                        continue;
                    }
                    // Each case has models of its own.
                    let test = unique();
                    let own = |model: &str| model.replace('/', &format!("/{test}/"));
                    let pool = [own(pool[0]), own(pool[1])];
                    let pool = [pool[0].as_str(), pool[1].as_str()];
                    if lingers(fault) {
                        check(&talking(pool, Vec::new(), "").await, fault, name, pool, way).await;
                        continue;
                    }
                    let fixture = match expected(fault, way.1) {
                        Then::TooLate => &total,
                        _ if is_slow(fault) => &short,
                        _ => &patient,
                    };
                    check(fixture, fault, name, pool, way).await;
                }
            }
        }
    });
}

async fn check(fixture: &Fixture, fault: Fault, name: &str, pool: [&str; 2], way: (Surface, bool)) {
    let [a, b] = pool;
    let case = format!("{name} {pool:?} {way:?}");
    says_next(fixture, a, says_and_calls("Wait.", vec![transfer(b, "r")]));
    says_next(fixture, b, Step::Fault(fault));
    let expected = expected(fault, way.1);
    if expected == Then::Back {
        says_next(fixture, a, says("Myself then."));
    }
    let body = json!({"model": pool, "messages": user("go"), "max_tokens": 200, "stream": way.1});
    let answer = fixture.baton.post(way.0.path(), &way.0.body(body)).await;
    assert_eq!(answer.status, 200, "{case}: {answer:?}");
    let story = story(fixture, &answer).await;
    let case = format!("{case} {story:?} {}", answer.text());
    assert!(!answer.text().contains("transfer_to_"), "{case}");
    assert!(story[1].starts_with(&format!("2.2 handoff handed_over {a}->{b} ")), "{case}");
    let said = if way.1 {
        text_of(way.0, &answer)
    } else {
        let body = answer.json();
        let blocks = body["content"].as_array().cloned().unwrap_or_default();
        let text = |block: &Value| block["text"].as_str().unwrap_or_default().to_owned();
        let chat = body["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        let items = body["output"].as_array().cloned().unwrap_or_default();
        let parts = items.iter().flat_map(|item| item["content"].as_array().cloned().unwrap_or_default());
        let blocks = blocks.into_iter().chain(parts);
        format!("{chat}{}", blocks.map(|block| text(&block)).collect::<String>())
    };
    let said = said.replace("\n\n", "");
    match expected {
        // Where the last moment went by is not sure: it may be enough for one more quick answer.
        Then::TooLate if said != "Wait." => assert_eq!(said, format!("Wait.{AFTER_A_RESULT}"), "{case}"),
        Then::TooLate => {
            assert!(story[1].ends_with(" failed"), "{case}");
            assert!(story.last().expect("one").contains(" stop exhausted "), "{case}");
            let finish = match way.0 {
                Surface::Chat => &answer.json()["choices"][0]["finish_reason"],
                Surface::Messages => &answer.json()["stop_reason"],
                Surface::Responses => &answer.json()["incomplete_details"]["reason"],
            };
            let words = ["length", "max_tokens", "max_output_tokens"];
            assert!(finish.as_str().is_some_and(|word| words.contains(&word)), "{case}");
        }
        Then::Back => {
            assert_eq!(said, "Wait.Myself then.", "{case}");
            assert!(story[1].ends_with(" failed"), "{case}");
            assert_eq!(
                story.last().expect("one"),
                &format!("3.3 fallback target_unavailable {b}->{a} ok"),
                "{case}"
            );
            assert_eq!((saw(fixture, a).len(), saw(fixture, b).len()), (2, 1), "{case}");
            let told = saw(fixture, a)[1].json().to_string();
            assert!(told.contains("target unavailable"), "{case} {told}");
        }
        Then::Nothing => {
            let heard = said.strip_prefix("Wait.").unwrap_or_else(|| panic!("{case}"));
            assert_eq!(heard, AFTER_A_RESULT, "{case}");
            assert_eq!(story.len(), 2, "{case}");
            assert!(story[1].ends_with(" ok"), "{case}");
        }
        Then::Error => {
            let part = said.strip_prefix("Wait.").unwrap_or_else(|| panic!("{case}"));
            assert!(!part.is_empty() && AFTER_A_RESULT.starts_with(part), "{case}");
            let all = events(answer.text());
            let mut rest = all.iter().rev();
            if way.0 == Surface::Responses {
                // The answer as it stood follows the error.
                assert_eq!(rest.next().expect("an event").name, "response.failed", "{case}");
            }
            let last = rest.next().expect("an event");
            assert_eq!(last.name, "error", "{case}");
            assert!(last.json()["error"]["message"].is_string(), "{case}");
            assert!(all.iter().all(|event| event.data != "[DONE]"), "{case}");
            assert!(all.iter().all(|event| event.name != "message_stop"), "{case}");
            assert_eq!(story.len(), 2, "{case}");
            assert!(story[1].ends_with(" failed"), "{case}");
            let outcome = decisions(fixture, &answer).await[1]["outcome"].clone();
            assert_eq!(outcome["content_sent"], true, "{case} {outcome}");
            assert_eq!((saw(fixture, a).len(), saw(fixture, b).len()), (1, 1), "{case}");
        }
    }
}

#[test]
fn a_target_that_cannot_be_reached_at_the_second_hop_is_unavailable() {
    run(async {
        let hole = BlackHole::dig().await.expect("a black hole");
        let policies = "policies: { default: { fallback: { retries: 0 }, timeouts: { connect: 300ms } } }";
        // Few enough for each server that no breaker opens.
        let (some, others) = WAYS.split_at(4);
        for (first, ways) in
            [("oai/fake", some), ("ant/fake", some), ("oai/fake", others), ("ant/fake", others)]
        {
            let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let gone = refused().expect("a port");
            let config = Fixture::config(&openai, &anthropic, policies).replace(
                "  nowhere:",
                &format!(
                    "  hole: {{ dialect: openai_chat, base_url: \"{}\", api_key: k }}\n  \
                     gone: {{ dialect: anthropic_messages, base_url: \"{gone}\", api_key: k }}\n  nowhere:",
                    hole.url().expect("a url"),
                ),
            );
            let fixture = Fixture { baton: Baton::start(&config).await, openai, anthropic };
            for target in ["down/fake-b", "nowhere/fake-b", "hole/fake-b", "gone/fake-b"] {
                for way in ways.iter().copied() {
                    says_next(&fixture, first, says_and_calls("Wait.", vec![transfer(target, "r")]));
                    says_next(&fixture, first, says("Myself then."));
                    let body = json!({"model": [first, target], "messages": user("go")});
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let case = format!("{first} {target} {way:?}");
                    assert_eq!(said.text.replace("\n\n", ""), "Wait.Myself then.", "{case}");
                    let story = story(&fixture, &answer).await;
                    assert_eq!(
                        story[1],
                        format!("2.2 handoff handed_over {first}->{target} failed"),
                        "{case}"
                    );
                    assert_eq!(
                        story.last().expect("one"),
                        &format!("3.3 fallback target_unavailable {target}->{first} ok"),
                        "{case}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_model_that_was_told_once_and_finds_the_next_target_gone_too_ends_the_run_with_what_there_is() {
    run(async {
        for way in WAYS {
            let pool = ["oai/fake", "ant/fake-b", "ant/fake-c"];
            let turns = vec![
                (0, says_and_calls("Wait.", vec![transfer(pool[1], "r")])),
                (1, Step::Fault(Fault::ServerError)),
                (0, calls(vec![transfer(pool[2], "r")])),
                (1, Step::Fault(Fault::ServerError)),
            ];
            let fixture = talking(["oai/fake", "ant/fake-b"], turns, "").await;
            let body = json!({"model": pool, "messages": user("go"), "max_tokens": 200});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            let case = format!("{way:?} {answer:?}");
            assert_eq!(said.text, "Wait.", "{case}");
            assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
            let run = fixture.baton.run_of(&answer).await;
            let last = run["decisions"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
            assert_eq!(
                (&last["kind"], &last["reason"]["code"]),
                (&json!("stop"), &json!("exhausted")),
                "{case} {run}"
            );
            assert_eq!(saw(&fixture, pool[0]).len(), 2, "{case}");
        }
    });
}

#[test]
fn a_run_that_fails_before_anything_was_said_is_an_error() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![
                    (0, calls(vec![transfer(b, "r")])),
                    (1, Step::Fault(Fault::ServerError)),
                    (0, Step::Fault(Fault::ServerError)),
                    (1, Step::Fault(Fault::ServerError)),
                ];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go"), "max_tokens": 200, "stream": way.1});
                let answer = fixture.baton.post(way.0.path(), &way.0.body(body)).await;
                let case = format!("{pool:?} {way:?} {answer:?}");
                assert!(answer.status >= 500 || answer.text().contains("\"error\""), "{case}");
                assert!(!answer.text().contains("length") && !answer.text().contains("max_tokens"), "{case}");
                assert_eq!(saw(&fixture, a).len(), 2, "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").contains(" stop exhausted "), "{case} {story:?}");
            }
        }
    });
}
