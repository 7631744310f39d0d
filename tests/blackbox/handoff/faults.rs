//! What fails at the second hop: the run goes back to the model before, or on to another, and no text is
//! lost or given twice.

use baton_testkit::fake::{Fault, Step};
use serde_json::json;

use super::{POOLS, WAYS, asked, calls, saw, says, says_and_calls, story, talking, transfer, user};
use crate::blackbox::support::run;

/// Failures that come before any content of the turn.
const BEFORE_CONTENT: [Fault; 6] = [
    Fault::AcceptThenClose,
    Fault::ServerError,
    Fault::RateLimited,
    Fault::Unauthorized,
    Fault::ErrorIn200,
    Fault::BadGatewayHtml,
];

#[test]
fn when_the_target_cannot_be_had_the_one_before_is_told_and_answers() {
    run(async {
        for fault in BEFORE_CONTENT {
            for pool in POOLS {
                for way in WAYS {
                    let [a, b] = pool;
                    let turns = vec![
                        (0, says_and_calls("Wait.", vec![transfer(b, "r")])),
                        (1, Step::Fault(fault)),
                        (0, says("Myself then.")),
                    ];
                    let fixture = talking(pool, turns, "").await;
                    let body = json!({"model": pool, "messages": user("go")});
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let case = format!("{fault:?} {pool:?} {way:?}");
                    assert_eq!(said.text.replace("\n\n", ""), "Wait.Myself then.", "{case}");
                    assert_eq!(said.model, a, "{case}");
                    let told = saw(&fixture, a)[1].json().to_string();
                    assert!(told.contains("target unavailable"), "{case}: {told}");
                    let story = story(&fixture, &answer).await;
                    assert!(
                        story[1].contains("handoff handed_over") && story[1].ends_with("failed"),
                        "{case} {story:?}"
                    );
                    let last = story.last().expect("one");
                    assert!(last.contains("fallback target_unavailable"), "{case} {story:?}");
                }
            }
        }
    });
}

#[test]
fn a_model_that_fails_after_its_tool_round_has_others_who_stand_in() {
    run(async {
        for way in WAYS {
            let pool = ["oai/fake", "ant/fake-b"];
            let turns = vec![
                (0, calls(vec![("transfer_to_nobody".to_owned(), json!({}))])),
                (0, Step::Fault(Fault::ServerError)),
                (1, says("I stand in.")),
            ];
            let fixture = talking(pool, turns, "").await;
            let body = json!({"model": pool, "messages": user("go")});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            assert_eq!((said.text.as_str(), said.model.as_str()), ("I stand in.", "ant/fake-b"), "{way:?}");
            let story = story(&fixture, &answer).await;
            assert!(story[2].contains("fallback fallback_after_fault"), "{way:?} {story:?}");
        }
    });
}
