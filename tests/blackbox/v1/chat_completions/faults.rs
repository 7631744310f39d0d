//! Every kind of failure of an upstream, before content: in each dialect, streamed and not, with
//! another target behind it and without.

use baton_testkit::fake::{FakeUpstream, Fault, Script};
use serde_json::json;

use super::{both, story_of};
use crate::blackbox::support::{Answer, Baton, Fixture, chat_text, run, unique};
use crate::blackbox::v1::answers::{chat, greeting, text};

/// What a failed attempt is called in the record, and what a client is told when it was the only one:
/// model name, fault, status, code. A refused key is not among them: the third in a row rests, and with it
/// the provider that the tests share; the failure table of the policy has it.
const FAILURES: [(&str, &str, u16, &str); 13] = [
    ("fault-context", "context_too_long", 400, "context_length_exceeded"),
    ("fault-404", "model_unavailable", 404, "model_not_found"),
    ("fault-408", "server_error", 502, "upstream_error"),
    ("fault-429", "rate_limited", 429, "rate_limit_exceeded"),
    ("fault-429-retry-after", "rate_limited", 429, "rate_limit_exceeded"),
    ("fault-500", "server_error", 500, "upstream_error"),
    ("fault-502", "server_error", 502, "upstream_error"),
    ("fault-503", "overloaded", 503, "upstream_overloaded"),
    ("fault-529", "overloaded", 529, "upstream_overloaded"),
    ("fault-close", "connect", 502, "upstream_unreachable"),
    ("fault-200-error", "server_error", 502, "upstream_error"),
    ("fault-content-type", "malformed_answer", 502, "upstream_malformed"),
    ("fault-first-frame", "-", 0, "-"),
];

#[test]
fn another_target_takes_over_and_the_client_sees_nothing() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, kind, ..) in FAILURES {
            for (provider, stream) in both() {
                let test = unique();
                let next = if provider == "oai" { "ant" } else { "oai" };
                let (first, second) = (format!("{provider}/{test}/{fault}"), format!("{next}/{test}/fake"));
                let body = json!({"model": [first, second], "messages": "hi"});
                let (answer, said) = chat(&fixture.baton, body, stream).await;
                let place = format!("{fault} over {provider}, streamed: {stream}");
                assert_eq!(said.text, greeting("hi"), "{place}");
                assert_eq!(
                    (answer.header("x-baton-attempts"), answer.header("x-baton-model")),
                    ("2", second.as_str()),
                    "{place}"
                );
                assert_eq!(answer.header("x-baton-reason"), "fallback_after_fault", "{place}");
                let story = story_of(&fixture, &answer).await;
                let [select, fallback] = story.as_slice() else { panic!("{place}: {story:?}") };
                assert_eq!(
                    *fallback,
                    format!("fallback fallback_after_fault {first}->{second} ok -"),
                    "{place}"
                );
                if kind == "-" {
                    assert!(
                        select.starts_with(&format!("select first_in_order -->{first} failed ")),
                        "{place}: {select}"
                    );
                } else {
                    assert_eq!(*select, format!("select first_in_order -->{first} failed {kind}"), "{place}");
                }
                assert_eq!(
                    fixture.openai_saw(&format!("{test}/fake")).len()
                        + fixture.anthropic_saw(&format!("{test}/fake")).len(),
                    1
                );
            }
        }
    });
}

#[test]
fn without_another_target_the_client_is_told_in_http() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, kind, status, code) in FAILURES.into_iter().filter(|(.., status, _)| *status > 0) {
            for (provider, stream) in both() {
                let target = format!("{provider}/{}/{fault}", unique());
                let answer =
                    fixture.baton.chat(&json!({"model": target, "messages": "hi", "stream": stream})).await;
                let place = format!("{fault} over {provider}, streamed: {stream}");
                assert_eq!(answer.status, status, "{place}: {answer:?}");
                assert_eq!(answer.header("x-should-retry"), "false", "{place}");
                let passed = provider == "oai" && fault == "fault-context";
                if !passed {
                    let error = answer.openai_error(status);
                    assert_eq!(error["code"], code, "{place}: {error}");
                }
                assert_eq!(answer.header("x-baton-attempts"), "1", "{place}");
                let story = story_of(&fixture, &answer).await;
                assert_eq!(story[0], format!("select only_model -->{target} failed {kind}"), "{place}");
                assert!(story[1].starts_with("stop "), "{place}: {story:?}");
                assert_eq!(story.len(), 2, "{place}: {story:?}");
            }
        }
    });
}

#[test]
fn a_refusal_that_is_the_requests_own_is_returned_at_once() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, status, kind) in [("fault-400", 400, "invalid_request"), ("fault-413", 413, "too_large")]
        {
            for (provider, stream) in both() {
                let test = unique();
                let first = format!("{provider}/{test}/{fault}");
                let body =
                    json!({"model": [first, format!("ant/{test}/fake")], "messages": "hi", "stream": stream});
                let answer = fixture.baton.chat(&body).await;
                let error = answer.openai_error_or_passed(status);
                assert!(!text(&error["message"]).is_empty(), "{error}");
                let story = story_of(&fixture, &answer).await;
                assert_eq!(
                    story,
                    [
                        format!("select first_in_order -->{first} failed {kind}"),
                        format!("stop not_retryable {first}->- not_expected -"),
                    ]
                );
                assert!(
                    fixture.anthropic_saw(&format!("{test}/fake")).is_empty(),
                    "{fault} was tried elsewhere"
                );
            }
        }
    });
}

#[test]
fn a_refusal_in_the_clients_dialect_is_returned_unchanged() {
    run(async {
        let fixture = Fixture::shared().await;
        let target = format!("oai/{}/fault-400", unique());
        let answer = fixture.baton.chat(&json!({"model": target, "messages": "hi"})).await.expect(400);
        let wanted = json!({"error": {
            "message": "Invalid 'messages': the script refuses this request.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "invalid_value",
        }});
        assert_eq!(answer.json(), wanted);
    });
}

#[test]
fn no_connection_is_a_failure_like_any_other() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ["down", "nowhere"] {
            for stream in [false, true] {
                let first = format!("{provider}/fake");
                let body = json!({"model": [first, "ant/fake"], "messages": "hi"});
                let (answer, said) = chat(&fixture.baton, body, stream).await;
                assert_eq!(said.text, greeting("hi"));
                let story = story_of(&fixture, &answer).await;
                assert_eq!(story[0], format!("select first_in_order -->{first} failed connect"));
                let alone =
                    fixture.baton.chat(&json!({"model": first, "messages": "hi", "stream": stream})).await;
                let error = alone.openai_error(502);
                assert_eq!(error["code"], "upstream_unreachable", "{error}");
            }
        }
    });
}

#[test]
fn whole_answers_that_break_off_are_tried_elsewhere() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, kinds) in [
            ("fault-truncated", ["malformed_answer", "truncated"]),
            ("fault-reset", ["truncated", "connect"]),
            ("fault-garbage", ["malformed_answer", "malformed_answer"]),
            ("fault-utf8", ["malformed_answer", "malformed_answer"]),
        ] {
            for provider in super::BOTH {
                let first = format!("{provider}/{}/{fault}", unique());
                let (answer, said) =
                    chat(&fixture.baton, json!({"model": [first, "oai/fake"], "messages": "hi"}), false)
                        .await;
                assert_eq!(said.text, greeting("hi"), "{first}");
                let story = story_of(&fixture, &answer).await;
                let failed = story[0].rsplit(' ').next().unwrap_or_default();
                assert!(kinds.contains(&failed), "{story:?}");
            }
        }
    });
}

#[test]
fn each_deadline_ends_an_attempt() {
    run(async {
        let policies = "
policies:
  default: { fallback: { retries: 0 }, timeouts: { connect: 400ms } }
  content: { fallback: { retries: 0 }, timeouts: { first_content: 700ms } }
  total: { fallback: { retries: 0 }, timeouts: { total: 700ms } }
routes:
  first-content: { pool: [oai/fault-header-stall, ant/fake], policy: content }
  whole: { pool: [oai/fault-stall, ant/fake], policy: total }
";
        let hole = baton_testkit::fake::unreachable::BlackHole::dig().await.expect("a black hole");
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let config = Fixture::config(&openai, &anthropic, policies);
        let config = config.replace(
            "  nowhere:",
            &format!(
                "  hole: {{ dialect: openai_chat, base_url: \"{}\", api_key: k }}\n  nowhere:",
                hole.url().expect("a url"),
            ),
        );
        let baton = Baton::start(&config).await;

        for stream in [false, true] {
            let (answer, said) =
                chat(&baton, json!({"model": ["hole/fake", "ant/fake"], "messages": "hi"}), stream).await;
            assert_eq!(said.text, greeting("hi"));
            let story = super::story(&baton.run_of(&answer).await);
            assert_eq!(
                story[0], "select first_in_order -->hole/fake failed timeout",
                "connect, streamed: {stream}"
            );
        }

        let (answer, said) = chat(&baton, json!({"model": "first-content", "messages": "hi"}), true).await;
        assert_eq!(said.text, greeting("hi"));
        let story = super::story(&baton.run_of(&answer).await);
        assert_eq!(story[0], "select first_in_order -->oai/fault-header-stall failed timeout");

        // The total is over all attempts: nothing is left for another target.
        let answer = baton.chat(&json!({"model": "whole", "messages": "hi"})).await;
        let error = answer.openai_error(504);
        assert_eq!(error["code"], "upstream_timeout", "{error}");
        let story = super::story(&baton.run_of(&answer).await);
        assert_eq!(story[0], "select first_in_order -->oai/fault-stall failed timeout");
        assert!(story[1].starts_with("stop exhausted"), "{story:?}");
        // What was given up is closed.
        assert!(
            openai
                .until(crate::blackbox::support::PATIENCE, |seen| seen
                    .iter()
                    .all(baton_testkit::fake::Seen::closed_by_peer))
                .await
        );
        assert_eq!(openai.seen().len(), 2);
    });
}

#[test]
fn every_fault_of_the_fakes_is_accounted_for_somewhere() {
    let before_content: Vec<&str> = FAILURES.iter().map(|(name, ..)| *name).collect();
    let elsewhere = [
        "fault-400",
        "fault-401",
        "fault-403",
        "fault-413",
        "fault-truncated",
        "fault-reset",
        "fault-garbage",
        "fault-utf8",
        "fault-header-stall",
        "fault-stall",
        "fault-lifecycle",
        "fault-after-content",
        "fault-no-end",
        "fault-no-finish",
        "fault-after-end",
    ];
    for (fault, name) in Fault::ALL {
        assert!(before_content.contains(&name) || elsewhere.contains(&name), "{fault:?} is tested nowhere");
    }
}

impl Answer {
    /// The error of an answer that is in OpenAI's form, ours or an upstream's passed on.
    #[track_caller]
    fn openai_error_or_passed(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()["error"].clone()
    }
}

#[test]
fn text_is_never_given_twice() {
    run(async {
        let fixture = Fixture::shared().await;
        for (provider, fault) in super::BOTH.into_iter().flat_map(|one| {
            ["fault-first-frame", "fault-lifecycle", "fault-truncated"].map(|fault| (one, fault))
        }) {
            let body = json!({"model": [format!("{provider}/{}/{fault}", unique()), "ant/fake"], "messages": "hi", "stream": true});
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(chat_text(answer.text()), greeting("hi"), "{provider} {fault}");
        }
    });
}
