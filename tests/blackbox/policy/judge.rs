//! A small model that is asked which one should answer: followed, bounded in time, and passed over when it
//! says nothing of use.

use baton_testkit::fake::{Fault, Said, Step};
use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, decided, start, under};
use crate::blackbox::support::{Answer, Fixture, run};
use crate::blackbox::v1::{story, text};

const POLICIES: &str = "
  p: { order: [judge, cheapest], judge: { model: oai/fake-judge } }
  slow: { order: [judge, cheapest], judge: { model: oai/fake-judge-l60000, timeout: 300ms } }
";

/// What the judge says to the next request.
fn says(fixture: &Fixture, words: &str) {
    fixture.openai.then(Step::Say(Said::Text(words.to_owned())));
}

#[test]
fn the_judges_word_decides_and_is_recorded() {
    run(async {
        let fixture = start(POLICIES).await;
        for (number, words) in [(2, "2"), (1, "Model 1."), (3, "3, because it is small")] {
            for stream in [false, true] {
                says(&fixture, words);
                let mut body = under("p");
                body["stream"] = json!(stream);
                let answer = fixture.baton.chat(&body).await.expect(200);
                let target = POOL[number - 1];
                assert_eq!(
                    (answer.header("x-baton-model"), answer.header("x-baton-reason")),
                    (target, "judged"),
                    "{words}"
                );
                let run = fixture.baton.run_of(&answer).await;
                assert_eq!(
                    story(&run),
                    [
                        "delegate asks_judge -->oai/fake-judge ok -".to_owned(),
                        format!("select judged -->{target} ok -"),
                    ]
                );
                // The question is part of the run, and the choice follows from it.
                assert_eq!(run["decisions"][1]["parent"], run["decisions"][0]["id"], "{run}");
                assert_eq!(run["decisions"][1]["id"], answer.header("x-baton-decision-id"));
            }
        }
        // What the judge was asked: the models by number, bounded and at temperature 0.
        let asked = fixture.openai_saw("fake-judge");
        assert_eq!(asked.len(), 6);
        let body = asked[0].json();
        assert_eq!(body["temperature"], 0, "{body}");
        assert!(body["max_tokens"].as_u64().is_some_and(|most| most <= 64), "{body}");
        let said = text(&body["messages"][0]["content"]);
        for (number, name) in (1..).zip(POOL) {
            assert!(said.contains(&format!("{number}. {name} ")), "{said}");
        }
    });
}

/// The judge was of no use: the next order ranks, and says why.
async fn passed_over(fixture: &Fixture, answer: &Answer, judge: &str, why: &str) {
    assert_eq!((answer.header("x-baton-model"), answer.header("x-baton-reason")), (SMALL, "cheapest"));
    let run = fixture.baton.run_of(answer).await;
    let story = story(&run);
    assert_eq!(story.len(), 2, "{story:?}");
    assert!(story[0].starts_with(&format!("delegate asks_judge -->{judge} ")), "{story:?}");
    assert_eq!(story[1], format!("select cheapest -->{SMALL} ok -"));
    let reason = text(&decided(&fixture.baton, answer).await["reason"]["text"]);
    assert!(reason.contains(why), "{reason}");
}

#[test]
fn a_judge_that_babbles_is_passed_over() {
    run(async {
        let fixture = start(POLICIES).await;
        for words in ["Both are lovely.", "1 or 2", "7", ""] {
            says(&fixture, words);
            let answer = fixture.baton.chat(&under("p")).await.expect(200);
            passed_over(&fixture, &answer, "oai/fake-judge", "the judge named none of the candidates").await;
        }
    });
}

#[test]
fn a_judge_that_is_late_is_passed_over_and_let_go() {
    run(async {
        let fixture = start(POLICIES).await;
        let answer = fixture.baton.chat(&under("slow")).await.expect(200);
        passed_over(&fixture, &answer, "oai/fake-judge-l60000", "the judge did not answer in time").await;
        // It is the judge that failed, not the client that left.
        let asked = &story(&fixture.baton.run_of(&answer).await)[0];
        assert!(asked.ends_with(" failed timeout"), "{asked}");
        let closed =
            |seen: &[baton_testkit::fake::Seen]| seen.iter().any(baton_testkit::fake::Seen::closed_by_peer);
        assert!(
            fixture.openai.until(crate::blackbox::support::PATIENCE, closed).await,
            "the judge is still asked"
        );
    });
}

#[test]
fn a_judge_that_fails_is_passed_over() {
    run(async {
        for fault in [Fault::ServerError, Fault::RateLimited, Fault::Unauthorized, Fault::WrongContentType] {
            // A judge that rests is not asked, so each failure has a judge of its own.
            let fixture = start(POLICIES).await;
            fixture.openai.then(Step::Fault(fault));
            let answer = fixture.baton.chat(&under("p")).await.expect(200);
            passed_over(&fixture, &answer, "oai/fake-judge", "the judge's model failed").await;
        }
    });
}

#[test]
fn a_judge_that_rests_is_not_asked() {
    run(async {
        let fixture = start(POLICIES).await;
        fixture.openai.then(Step::Fault(Fault::RateLimited));
        let answer = fixture.baton.chat(&under("p")).await.expect(200);
        passed_over(&fixture, &answer, "oai/fake-judge", "the judge's model failed").await;
        let answer = fixture.baton.chat(&under("p")).await.expect(200);
        assert_eq!(story(&fixture.baton.run_of(&answer).await), [format!("select cheapest -->{SMALL} ok -")]);
    });
}

#[test]
fn nobody_is_asked_where_there_is_no_choice() {
    run(async {
        let fixture = start(POLICIES).await;
        let body = json!({"model": LARGE, "messages": "hi", "baton": {"policy": "p"}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!(answer.header("x-baton-reason"), "only_model");
        let named: Value =
            json!({"model": POOL, "provider": {"only": ["ant"]}, "messages": "hi", "baton": {"policy": "p"}});
        let answer = fixture.baton.chat(&named).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), PROSE);
        assert!(fixture.openai_saw("fake-judge").is_empty());
    });
}

#[test]
fn a_client_cannot_ask_for_a_judge() {
    run(async {
        let fixture = start("  default: { client_order: true }").await;
        let body = json!({"model": POOL, "messages": "hi", "baton": {"order": "judge"}});
        let error = fixture.baton.chat(&body).await.openai_error(400);
        assert_eq!(error["param"], "baton.order", "{error}");
    });
}
