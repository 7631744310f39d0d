//! A run that is asked for again while it goes on: carried out once, told to all.

use baton_testkit::fake::{FakeUpstream, Script};
use serde_json::json;

use super::{says_and_calls, transfer, user};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Baton, Fixture, chat_text, messages_text, run, sent, spawn, until};
use crate::blackbox::v1::idempotency::{Held, is_full};

#[test]
fn repeats_that_come_during_the_second_hop_hear_the_one_run() {
    run(async {
        for first in ["oai/fake", "ant/fake"] {
            for path in ["/v1/chat/completions", "/v1/messages"] {
                for stream in [false, true] {
                    let held = Held::start().await;
                    let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
                    let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
                    let config = Fixture::config(&openai, &anthropic, "auth: { required: true }")
                        .replace("  nowhere:", &format!("{}  nowhere:", held.provider()));
                    let mut baton = Baton::start(&config).await;
                    let key = create(&baton, &["k", "--concurrency", "3"]).await;
                    baton.set_key(&key.secret);
                    let fake = if first.starts_with("oai/") { &openai } else { &anthropic };
                    fake.then(says_and_calls("Wait.", vec![transfer("held/m", "r")]));
                    let body = json!({"model": [first, "held/m"], "messages": user("go"), "max_tokens": 99, "stream": stream});
                    let ask = || sent(baton.posting(path, &body).header("idempotency-key", "one-key"));
                    let asking = [(); 3].map(|()| spawn(ask()));
                    held.asked().await;
                    until("all three are in: there is no place for a fourth", async || is_full(&baton).await)
                        .await;
                    held.release();
                    let mut answers = Vec::new();
                    for answer in asking {
                        answers.push(answer.await.expect("an answer").expect(200));
                    }
                    answers.push(ask().await.expect(200));
                    let case = format!("{first} {path} {stream} {}", answers[0].text());
                    let said = match (path, stream) {
                        (_, false) => answers[0].text().to_owned(),
                        ("/v1/messages", true) => messages_text(answers[0].text()),
                        (_, true) => chat_text(answers[0].text()),
                    };
                    assert!(said.contains("Wait.") && said.contains("one two"), "{case}");
                    for answer in &answers {
                        assert_eq!(answer.body, answers[0].body, "{case}");
                        for name in ["x-baton-run-id", "x-baton-decision-id"] {
                            assert_eq!(answer.header(name), answers[0].header(name), "{case}");
                        }
                    }
                    let replayed =
                        answers.iter().filter(|one| one.header("idempotent-replayed") == "true").count();
                    assert_eq!(replayed, 3, "{case}");
                    let run = baton.run_of(&answers[0]).await;
                    assert_eq!(run["decisions"].as_array().map(Vec::len), Some(2), "{case} {run}");
                    assert_eq!((fake.seen().len(), held.calls()), (1, 1), "{case}");
                }
            }
        }
    });
}
