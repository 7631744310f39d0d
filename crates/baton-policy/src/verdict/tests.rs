use super::*;

#[test]
fn a_guard_says_what_was_reached() {
    check(
        RunEvent::MaxTurns(10),
        "max_turns, says the policy: the run ends because it has taken its 10 turns",
    );
    check(RunEvent::MaxTurns(1), "max_turns, says the policy: the run ends because it has taken its 1 turn");
    check(
        RunEvent::MaxHandoffs(8),
        "max_handoffs, says the policy: the run ends because it has made its 8 hand-overs",
    );
    check(
        RunEvent::PingPong { from: "a/x", to: "b/y" },
        "ping_pong, says the policy: the run ends because a/x and b/y hand the conversation to and fro",
    );
    check(
        RunEvent::BudgetReached(NanoUsd(20_000_000)),
        "budget_reached, says the policy: the run ends because the next turn may go beyond its budget of $0.02",
    );
}

#[test]
fn a_hand_over_that_does_not_happen_says_who_keeps_the_conversation() {
    check(
        RunEvent::Denied { from: "a/x", why: "no model of that name may take over" },
        "handoff_denied, says the policy: a/x keeps the conversation: no model of that name may take over",
    );
    check(
        RunEvent::Unavailable { from: "a/x", to: "b/y" },
        "target_unavailable, says the fault: a/x gets the conversation back because b/y did not answer",
    );
    check(
        RunEvent::TextIsFinal { from: "a/x" },
        "text_is_final, says the policy: a/x keeps the conversation: its text is the answer, which has to follow a schema",
    );
}

#[test]
fn what_a_client_has_to_do_with_it_is_said() {
    check(
        RunEvent::CallsGoToClient { from: "a/x", to: "b/y" },
        "calls_go_to_client, says the model: b/y takes over from a/x with the next request: the client has tools to call first",
    );
    check(
        RunEvent::Observed { to: Some("billing") },
        "observed, says the client: the client's own loop handed over to billing",
    );
    check(RunEvent::Observed { to: None }, "observed, says the client: the client's own loop handed over");
}

/// Says the code, the source and the sentence; the code as it is recorded.
#[track_caller]
fn check(event: RunEvent<'_>, expected: &str) {
    let reason = Reason::in_run(event);
    let recorded = serde_json::to_value(&reason).unwrap();
    assert_eq!(recorded["code"], reason.code.as_str());
    let source = recorded["source"].as_str().unwrap();
    assert_eq!(format!("{}, says the {source}: {}", reason.code.as_str(), reason.text), expected);
}
