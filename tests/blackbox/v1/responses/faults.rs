//! What a client of responses sees of an upstream that fails: nothing before content, an error behind it.

use baton_testkit::fake::Fault;
use serde_json::json;

use super::{ALL, final_response};
use crate::blackbox::support::{Fixture, events, responses_text, run, unique};
use crate::blackbox::v1::answers::{WAYS, greeting, response};

#[test]
fn a_failure_before_content_is_not_seen() {
    run(async {
        let fixture = Fixture::shared().await;
        for first in ALL {
            for second in ALL.into_iter().filter(|second| *second != first) {
                for fault in
                    ["fault-500", "fault-502", "fault-200-error", "fault-first-frame", "fault-lifecycle"]
                {
                    for stream in WAYS {
                        let test = unique();
                        let models = [format!("{first}/{test}/{fault}"), format!("{second}/{test}/fake")];
                        let body = json!({"models": models, "input": "hi"});
                        let (answer, said) = response(&fixture.baton, body, stream).await;
                        let case = format!("{models:?} {stream}");
                        assert_eq!(said.text, greeting("hi"), "{case}");
                        assert_eq!(said.model, models[1], "{case}");
                        assert_eq!(answer.header("x-baton-attempts"), "2", "{case}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_failure_behind_content_ends_the_stream_as_a_failed_response() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ALL {
            for fault in
                [Fault::ErrorAfterContent, Fault::ResetAfterContent, Fault::NoFinish, Fault::GarbageFrame]
            {
                let name = Fault::ALL.iter().find(|(known, _)| *known == fault).expect("a name").1;
                let body = json!({"model": format!("{provider}/{name}"), "input": "hi", "stream": true});
                let answer = fixture.baton.responses(&body).await.expect(200);
                let case = format!("{provider} {name}: {}", answer.text());
                let said = responses_text(answer.text());
                assert!(!said.is_empty() && greeting("hi").starts_with(&said), "{case}");
                let response = final_response(answer.text());
                assert_eq!(response["status"], "failed", "{case}");
                assert!(response["error"]["code"].is_string(), "{case}");
                assert!(response["error"]["message"].is_string(), "{case}");
                // SDKs look for one or for the other.
                let names: Vec<String> = events(answer.text()).into_iter().map(|event| event.name).collect();
                assert_eq!(names[names.len() - 2..], ["error", "response.failed"], "{case}");
                let run = fixture.baton.run_of(&answer).await;
                assert_eq!(run["decisions"][0]["outcome"]["status"], "failed", "{case}");
            }
        }
    });
}

#[test]
fn what_the_provider_says_of_a_request_comes_in_the_callers_words() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ALL {
            for stream in WAYS {
                for (model, status, code) in [
                    ("fault-context", 400, "context_length_exceeded"),
                    ("fault-429", 429, "rate_limit_exceeded"),
                    ("fault-401", 502, "upstream_auth"),
                    ("fault-500", 500, "upstream_error"),
                ] {
                    let model = format!("{provider}/{}/{model}", unique());
                    let body = json!({"model": model, "input": "hi", "stream": stream});
                    let answer = fixture.baton.responses(&body).await;
                    assert_eq!(answer.status, status, "{model} {stream}: {answer:?}");
                    let error = answer.json()["error"].clone();
                    assert_eq!(error["code"], code, "{model} {stream}: {error}");
                }
            }
        }
    });
}
