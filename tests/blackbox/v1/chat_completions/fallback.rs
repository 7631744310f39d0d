//! Who is tried, in which order, how often, and with which key.

use baton_testkit::fake::Credential;
use baton_testkit::fake::{End, FakeUpstream, Fault, Pace, Raw, Script, Step};
use serde_json::{Value, json};

use super::{story, story_of};
use crate::blackbox::support::{Baton, Fixture, run, unique};
use crate::blackbox::v1::answers::{chat, greeting, text};

#[test]
fn a_chain_is_walked_to_its_end_in_order() {
    run(async {
        let fixture = Fixture::shared().await;
        // Each way to say it has targets of its own: one that was told to wait is passed over later.
        for form in 0..5 {
            let test = unique();
            let bad = |provider: &str, fault: &str| format!("{provider}/{test}/{fault}");
            let (a, b, c) = (bad("oai", "fault-500"), bad("ant", "fault-529"), bad("oai", "fault-429"));
            let mut body = match form {
                0 => json!({"model": a, "fallbacks": [b, c, "ant/fake"]}),
                1 => json!({"models": [a, b, c, "ant/fake"], "route": "fallback"}),
                2 => json!({"model": a, "models": [b, c, "ant/fake"]}),
                3 => json!({"model": [a, b, c, "ant/fake"]}),
                _ => json!({"model": [{"model": a}, b], "fallbacks": [c, "ant/fake"]}),
            };
            body["messages"] = json!("hi");
            let (answer, said) = chat(&fixture.baton, body.clone(), false).await;
            assert_eq!(
                (said.text.as_str(), said.model.as_str()),
                (greeting("hi").as_str(), "ant/fake"),
                "{body}"
            );
            assert_eq!(
                story_of(&fixture, &answer).await,
                [
                    format!("select first_in_order -->{a} failed server_error"),
                    format!("fallback fallback_after_fault {a}->{b} failed overloaded"),
                    format!("fallback fallback_after_fault {b}->{c} failed rate_limited"),
                    format!("fallback fallback_after_fault {c}->ant/fake ok -"),
                ]
            );
            assert_eq!(answer.header("x-baton-attempts"), "4");
        }
    });
}

#[test]
fn each_decision_names_the_one_before_it() {
    run(async {
        let fixture = Fixture::shared().await;
        let first = format!("oai/{}/fault-500", unique());
        let (answer, _) =
            chat(&fixture.baton, json!({"model": [first, "ant/fake"], "messages": "hi"}), true).await;
        let run = fixture.baton.run_of(&answer).await;
        let [select, fallback] = run["decisions"].as_array().expect("decisions").as_slice() else {
            panic!("{run}")
        };
        assert_eq!((&select["parent"], &fallback["parent"]), (&Value::Null, &select["id"]));
        assert_eq!((&select["turn"], &fallback["hop"]), (&json!(1), &json!(1)));
        let reason = text(&fallback["reason"]["text"]);
        assert_eq!(reason, format!("ant/fake takes over because {first} failed with server_error"));
        assert_eq!(
            (&select["reason"]["source"], &fallback["reason"]["source"]),
            (&json!("client"), &json!("fault"))
        );
        let candidates = select["candidates"].as_array().expect("a table");
        assert_eq!(candidates[0]["verdict"], "selected");
        assert_eq!((&candidates[1]["verdict"], &candidates[1]["rank"]), (&json!("eligible"), &json!(1)));
        let summary = text(&run["summary"]);
        assert_eq!(
            summary,
            format!(
                "Served by ant/fake: {first} is first in the list; {first} failed with server_error (500)."
            )
        );
    });
}

#[test]
fn a_model_named_twice_is_tried_once() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let bad = format!("oai/{test}/fault-500");
        let answer =
            fixture.baton.chat(&json!({"model": [bad, bad, bad], "messages": "hi"})).await.expect(500);
        assert_eq!(fixture.openai_saw(&format!("{test}/fault-500")).len(), 1);
        let run = fixture.baton.run_of(&answer).await;
        let codes: Vec<&Value> = run["decisions"][0]["candidates"]
            .as_array()
            .expect("a table")
            .iter()
            .map(|one| &one["code"])
            .collect();
        assert_eq!(codes, [&Value::Null, &json!("listed_twice"), &json!("listed_twice")]);
    });
}

#[test]
fn a_route_gives_its_pool_and_its_policy() {
    run(async {
        let routes = "
policies:
  eager: { fallback: { retries: 0 } }
routes:
  smart: { pool: [oai/fault-500, ant/fake], policy: eager }
";
        let fixture = Fixture::start(routes).await;
        for stream in [false, true] {
            let (answer, said) =
                chat(&fixture.baton, json!({"model": "smart", "messages": "hi"}), stream).await;
            assert_eq!((said.text.as_str(), said.model.as_str()), (greeting("hi").as_str(), "ant/fake"));
            assert!(answer.header("x-baton-policy").starts_with("eager@"), "{answer:?}");
            assert_eq!(
                story_of(&fixture, &answer).await,
                [
                    "select first_in_order -->oai/fault-500 failed server_error",
                    "fallback fallback_after_fault oai/fault-500->ant/fake ok -",
                ]
            );
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["requested"], json!(["smart"]));
        }
    });
}

#[test]
fn the_wishes_about_providers_are_followed() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let bad = format!("oai/{test}/fault-500");
        for (provider, model, target, code) in [
            (json!({"order": ["ant"]}), json!(["oai/fake", "ant/fake"]), "ant/fake", "provider_order"),
            (json!({"only": ["ant"]}), json!(["oai/fake", "ant/fake"]), "ant/fake", "first_eligible"),
            (json!({"ignore": ["oai"]}), json!(["oai/fake", "ant/fake"]), "ant/fake", "first_eligible"),
        ] {
            let answer = fixture
                .baton
                .chat(&json!({"model": model, "provider": provider, "messages": "hi"}))
                .await
                .expect(200);
            assert_eq!(
                (answer.header("x-baton-model"), answer.header("x-baton-reason")),
                (target, code),
                "{provider}"
            );
        }
        let body =
            json!({"model": [bad, "ant/fake"], "provider": {"allow_fallbacks": false}, "messages": "hi"});
        let answer = fixture.baton.chat(&body).await.expect(500);
        let run = fixture.baton.run_of(&answer).await;
        assert_eq!(run["decisions"][0]["candidates"][1]["code"], "fallback_not_allowed", "{run}");
        let body = json!({"model": ["oai/fake"], "provider": {"only": ["ant"]}, "messages": "hi"});
        let error = fixture.baton.chat(&body).await.openai_error(400);
        assert_eq!(error["code"], "provider_not_in_only");
    });
}

#[test]
fn the_same_target_is_retried_as_often_as_the_policy_says() {
    run(async {
        let policies = "policies: { default: { fallback: { retries: 2 } } }";
        let fixture = Fixture::start(policies).await;
        // Alone, and with another one behind it: a server's error is first retried where it was.
        let (answer, _) =
            chat(&fixture.baton, json!({"model": ["oai/fault-500", "ant/fake"], "messages": "hi"}), false)
                .await;
        let retry = "retry retry_after_fault oai/fault-500->oai/fault-500 failed server_error";
        assert_eq!(
            story_of(&fixture, &answer).await,
            [
                "select first_in_order -->oai/fault-500 failed server_error",
                retry,
                retry,
                "fallback fallback_after_fault oai/fault-500->ant/fake ok -",
            ]
        );
        // One with enough to do goes to the next at once.
        let (answer, _) =
            chat(&fixture.baton, json!({"model": ["oai/fault-429", "ant/fake"], "messages": "hi"}), false)
                .await;
        assert_eq!(story_of(&fixture, &answer).await.len(), 2);
    });
}

#[test]
fn a_single_failure_is_healed_by_a_retry_unseen() {
    run(async {
        for stream in [false, true] {
            let script = Script::default()
                .then(Step::Fault(Fault::Overloaded))
                .then(Step::Fault(Fault::AcceptThenClose));
            let fake = FakeUpstream::start(script).await.expect("a fake upstream");
            let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let baton = Baton::start(&Fixture::config(
                &fake,
                &other,
                "policies: { default: { fallback: { retries: 3 } } }",
            ))
            .await;
            let (answer, said) = chat(&baton, json!({"model": "oai/fake", "messages": "hi"}), stream).await;
            assert_eq!(said.text, greeting("hi"));
            assert_eq!(
                story(&baton.run_of(&answer).await),
                [
                    "select only_model -->oai/fake failed overloaded",
                    "retry retry_after_fault oai/fake->oai/fake failed connect",
                    "retry retry_after_fault oai/fake->oai/fake ok -",
                ]
            );
            assert_eq!(fake.seen().len(), 3);
        }
    });
}

#[test]
fn retry_after_is_told_to_the_client() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, status) in [("fault-429-retry-after", 429), ("fault-503", 503)] {
            let answer = fixture
                .baton
                .chat(&json!({"model": format!("oai/{}/{fault}", unique()), "messages": "hi"}))
                .await
                .expect(status);
            assert_eq!(
                (answer.header("retry-after"), answer.header("x-should-retry")),
                ("1", "false"),
                "{fault}"
            );
        }
    });
}

#[test]
fn a_refused_credential_is_followed_by_the_next_one() {
    run(async {
        let fake = FakeUpstream::start(Script::default().key("sk-good")).await.expect("a fake upstream");
        for keys in ["[sk-bad, sk-good]", "[sk-good, sk-bad]", "[sk-bad-1, sk-bad-2, sk-good]"] {
            let config = format!(
                "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_keys: {keys} }}\n\
                 policies: {{ default: {{ fallback: {{ retries: 0 }} }} }}\n",
                fake.base_url(),
            );
            let baton = Baton::start(&config).await;
            for stream in [false, true, false] {
                let (answer, said) =
                    chat(&baton, json!({"model": "oai/fake", "messages": "hi"}), stream).await;
                assert_eq!(said.text, greeting("hi"), "{keys}");
                let story = story(&baton.run_of(&answer).await);
                assert!(story.last().is_some_and(|last| last.ends_with(" ok -")), "{story:?}");
                assert!(
                    story
                        .iter()
                        .skip(1)
                        .all(|line| line.starts_with("retry retry_after_fault oai/fake->oai/fake")),
                    "{story:?}"
                );
            }
        }
        assert!(fake.seen().iter().any(|seen| seen.credential == Some(Credential::of("sk-good"))));
    });
}

#[test]
fn when_every_credential_is_refused_the_client_is_not_told_that_its_own_is() {
    run(async {
        let fake = FakeUpstream::start(Script::default().key("sk-good")).await.expect("a fake upstream");
        let config = format!(
            "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_keys: [sk-bad-1, sk-bad-2] }}\n",
            fake.base_url(),
        );
        let baton = Baton::start(&config).await;
        let answer = baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await;
        let error = answer.openai_error(502);
        assert_eq!((&error["code"], &error["type"]), (&json!("upstream_auth"), &json!("server_error")));
        assert_eq!(answer.header("x-should-retry"), "false");
        assert_eq!(fake.seen().len(), 2, "each credential is tried once");
    });
}

#[test]
fn a_provider_that_repeats_its_key_does_not_give_it_away() {
    run(async {
        let told = |status: u16| {
            let body = json!({"error": {"message": "Incorrect API key provided: sk-fake-openai. See /keys.", "type": "invalid_request_error", "param": null, "code": "sk-fake-openai"}});
            Step::Raw(Raw {
                status,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                pieces: vec![body.to_string().into_bytes()],
                then: End::Whole,
            })
        };
        for status in [400, 401, 403, 404, 429, 500] {
            let script = Script::default().then(told(status)).then(told(status));
            let fake = FakeUpstream::start(script).await.expect("a fake upstream");
            let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let baton = Baton::start(&Fixture::config(&fake, &other, "")).await;
            for stream in [false, true] {
                let answer =
                    baton.chat(&json!({"model": "oai/fake", "messages": "hi", "stream": stream})).await;
                assert!(
                    answer.status >= 400 && !answer.text().contains("sk-fake-openai"),
                    "{status}: {}",
                    answer.text()
                );
            }
        }
    });
}

#[test]
fn a_fallback_after_a_slow_first_answer_leaves_no_attempt_open() {
    run(async {
        let slow = Pace { latency: std::time::Duration::from_secs(60), ..Pace::default() };
        let fake =
            FakeUpstream::start(Script::default().then(Step::Answer(slow))).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let policies =
            "policies: { default: { fallback: { retries: 0 }, timeouts: { first_content: 600ms } } }";
        let baton = Baton::start(&Fixture::config(&fake, &other, policies)).await;
        let (answer, said) =
            chat(&baton, json!({"model": ["oai/fake", "ant/fake"], "messages": "hi"}), true).await;
        assert_eq!(said.text, greeting("hi"));
        assert_eq!(
            story(&baton.run_of(&answer).await)[0],
            "select first_in_order -->oai/fake failed timeout"
        );
        assert!(
            fake.until(crate::blackbox::support::PATIENCE, |seen| seen.iter().all(|one| one.ended.is_some()))
                .await
        );
    });
}
