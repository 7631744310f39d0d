use baton_model::{Dialect, FinishReason, Message, NanoUsd, Part, PartKind, Role, Usage};
use proptest::prelude::*;

use super::*;
use crate::{Limits, Member, Members, ToolCall};

mod budgets;
mod tape;
mod team;

const CHAT: Dialect = Dialect::OpenaiChat;

fn members(offered: bool) -> Members {
    let member = |name: &str| Member { name: name.to_owned(), ..Member::default() };
    let mut all = vec![member("p/a"), member("p/b"), member("p/c")];
    all[1].instructions = Some("be brief".to_owned());
    Members::new(all, &["weather".to_owned()], offered, false)
}

fn terms() -> Terms {
    Terms {
        limits: Limits::default(),
        members: members(true),
        team: None,
        client_tools: vec!["weather".to_owned()],
        server_tools: vec!["web__search".to_owned()],
        own_tools: false,
        rules: true,
        text_is_final: false,
        dialect: CHAT,
    }
}

/// A turn that says `text:` and calls, as in `text: hello, transfer_to_b, weather`.
fn turn(script: &str) -> Event {
    let mut parts = Vec::new();
    let mut calls = 0;
    for word in script.split(", ").filter(|word| !word.is_empty()) {
        if let Some(text) = word.strip_prefix("text: ") {
            parts.push(Part::text(text, CHAT));
            continue;
        }
        calls += 1;
        let (name, arguments) = word.split_once(' ').unwrap_or((word, "{}"));
        parts.push(Part::new(
            PartKind::ToolCall { id: format!("c{calls}"), name: name.into(), arguments: arguments.into() },
            CHAT,
        ));
    }
    let finish = if calls > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
    let usage = Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() };
    Event::Ended(TurnEnd { dialect: CHAT, parts, finish, usage: Some(usage), cost: Some(NanoUsd(5)) })
}

/// The machine in the middle of its first turn.
fn begun(terms: Terms) -> Machine {
    let mut machine = Machine::new(terms, 0);
    assert_eq!(machine.step(Event::Begin), Effect::Turn);
    machine
}

/// The history that was added, one word for each message: calls by name, results in brackets.
fn history(machine: &Machine) -> Vec<String> {
    let part = |part: &Part| match &part.kind {
        PartKind::Text(text) => format!("'{text}'"),
        PartKind::ToolCall { name, .. } => name.clone(),
        PartKind::ToolResult { parts, is_error, .. } => {
            let text: String = parts
                .iter()
                .map(|part| match &part.kind {
                    PartKind::Text(text) => text.split(['.', ';', ':']).next().unwrap_or_default(),
                    _ => "?",
                })
                .collect::<Vec<_>>()
                .join("|");
            format!("{}[{text}]", if *is_error { "!" } else { "" })
        }
        _ => "?".to_owned(),
    };
    machine
        .added(machine.active())
        .iter()
        .map(|message: &Message| message.parts.iter().map(part).collect::<Vec<_>>().join(" "))
        .collect()
}

fn finish(finish: FinishReason) -> Effect {
    Effect::Finish(Finish { finish, aside: None })
}

#[test]
fn text_alone_is_the_answer() {
    let mut machine = begun(terms());
    assert_eq!(machine.step(turn("text: hello")), finish(FinishReason::Stop));
    assert!(machine.added(machine.active()).is_empty());
}

#[test]
fn a_transfer_that_is_granted_moves_the_conversation() {
    let mut machine = begun(terms());
    assert_eq!(
        machine.step(turn("text: wait, transfer_to_b {\"reason\":\" it writes \"}")),
        Effect::Decide { to: 1 }
    );
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.hop(), machine.turn()), (1, 2, 2));
    assert_eq!(machine.moves()[0].reason.as_deref(), Some("it writes"));
    assert_eq!(
        history(&machine),
        ["'wait' transfer_to_b", "[You have the conversation now|Instructions for you]"],
        "the instructions are the target's alone"
    );
    assert_eq!(machine.step(turn("text: done")), finish(FinishReason::Stop));
    assert_eq!(machine.usage().input_tokens, 6);
    assert_eq!(machine.spent(), NanoUsd(10));
}

#[test]
fn instructions_are_not_seen_by_the_next_one() {
    let mut machine = begun(terms());
    machine.step(turn("transfer_to_b"));
    machine.step(Event::Granted);
    machine.step(turn("transfer_to_c"));
    machine.step(Event::Granted);
    let history = history(&machine);
    assert!(history.iter().all(|line| !line.contains("Instructions")), "{history:?}");
}

#[test]
fn the_first_call_of_a_turn_decides() {
    let check = |script: &str, seen: &[&str], effect: Effect| {
        let mut machine = begun(terms());
        let calls = script
            .split(", ")
            .filter(|word| !word.starts_with("text"))
            .map(|word| word.split(' ').next().unwrap());
        let mut gate = machine.gate();
        let shown: Vec<&str> = calls.filter(|name| gate.may_see(name)).collect();
        assert_eq!(shown, seen, "{script}");
        assert_eq!(machine.step(turn(script)), effect, "{script}");
    };
    let tool = |id: &str| ToolCall { id: id.into(), name: "web__search".into(), arguments: "{}".into() };
    check("transfer_to_b, weather", &[], Effect::Decide { to: 1 });
    check("transfer_to_b, transfer_to_c", &[], Effect::Decide { to: 1 });
    check("weather", &["weather"], finish(FinishReason::ToolCalls));
    check("unheard_of", &["unheard_of"], finish(FinishReason::ToolCalls));
    check(
        "weather, transfer_to_b {\"reason\":\"r\"}, weather",
        &["weather", "weather"],
        Effect::Finish(Finish {
            finish: FinishReason::ToolCalls,
            aside: Some(Aside::Later { to: 1, reason: Some("r".into()) }),
        }),
    );
    check("weather, web__search", &["weather"], finish(FinishReason::ToolCalls));
    check("web__search, web__search", &[], Effect::Tools(vec![tool("c1"), tool("c2")]));
    check("web__search, weather, transfer_to_b", &[], Effect::Tools(vec![tool("c1")]));
    check("transfer_to_nobody, weather", &[], Effect::Turn);
}

#[test]
fn later_calls_of_a_turn_are_answered() {
    let mut machine = begun(terms());
    machine.step(turn("transfer_to_c, weather, transfer_to_b"));
    machine.step(Event::Granted);
    assert_eq!(
        history(&machine),
        [
            "transfer_to_c weather transfer_to_b",
            "[You have the conversation now]",
            "![not executed]",
            "![not executed]"
        ]
    );
}

#[test]
fn tools_run_and_then_the_rules_are_asked() {
    let mut machine = begun(terms());
    machine.step(turn("web__search"));
    let result = CallResult { parts: vec![Part::text("found", CHAT)], is_error: false };
    assert_eq!(machine.step(Event::ToolsDone(vec![("c1".into(), result)])), Effect::Rules);
    assert_eq!(machine.step(Event::Ruled(Ruling::Go(2))), Effect::Turn);
    assert_eq!(
        history(&machine),
        ["web__search", "[found]", "transfer_to_c", "[You have the conversation now]"]
    );
    assert_eq!(machine.moves()[0].by, By::Rule);
}

#[test]
fn a_tool_without_a_result_has_failed() {
    let mut machine = begun(Terms { rules: false, ..terms() });
    machine.step(turn("web__search"));
    assert_eq!(machine.step(Event::ToolsDone(Vec::new())), Effect::Turn);
    assert_eq!(history(&machine), ["web__search", "![not executed]"]);
}

#[test]
fn a_transfer_behind_tools_comes_after_them() {
    let mut machine = begun(terms());
    machine.step(turn("web__search, transfer_to_b"));
    assert_eq!(machine.step(Event::ToolsDone(Vec::new())), Effect::Decide { to: 1 });
}

#[test]
fn a_bad_target_is_answered_with_the_valid_ones() {
    let check = |name: &str| {
        let mut machine = begun(terms());
        assert!(!machine.gate().may_see(name), "{name}");
        assert_eq!(machine.step(turn(name)), Effect::Turn, "{name}");
        let told = format!("{:?}", machine.added(machine.active()));
        assert!(told.contains("transfer_to_b, transfer_to_c") && told.contains("is_error: true"), "{told}");
        assert_eq!((machine.active(), machine.hop(), machine.turn()), (0, 1, 2));
    };
    check("transfer_to_d");
    check("Transfer_To_B");
    check("transfer_to_b\u{200b}");
    check("transfer_to_a");
}

#[test]
fn where_nobody_is_offered_a_transfer_is_the_clients_own_call() {
    let mut machine = begun(Terms { members: members(false), ..terms() });
    assert!(machine.gate().may_see("transfer_to_b"));
    assert_eq!(machine.step(turn("transfer_to_b")), finish(FinishReason::ToolCalls));
}

#[test]
fn text_is_the_answer_where_it_must_have_a_form() {
    let mut machine = begun(Terms { text_is_final: true, ..terms() });
    let aside = Some(Aside::TextIsFinal { to: 1 });
    assert_eq!(
        machine.step(turn("text: {}, transfer_to_b")),
        Effect::Finish(Finish { finish: FinishReason::Stop, aside })
    );
    let mut machine = begun(Terms { text_is_final: true, ..terms() });
    assert_eq!(machine.step(turn("transfer_to_b")), Effect::Decide { to: 1 });
}

#[test]
fn a_denied_transfer_is_told_to_the_model() {
    let mut machine = begun(terms());
    machine.step(turn("transfer_to_b"));
    assert_eq!(machine.step(Event::Denied("too small a window".into())), Effect::Turn);
    assert_eq!(history(&machine), ["transfer_to_b", "![too small a window]"]);
    assert_eq!(machine.active(), 0);
}

#[test]
fn turns_are_bounded() {
    let limits = Limits { max_turns: 2, ..Limits::default() };
    let mut machine = begun(Terms { limits, ..terms() });
    assert_eq!(machine.step(turn("transfer_to_x")), Effect::Turn);
    assert_eq!(machine.step(turn("transfer_to_x")), Effect::Stop(Guard::MaxTurns));
}

#[test]
fn a_guard_is_told_once_and_then_ends_the_run() {
    let limits = Limits { max_handoffs: 1, ..Limits::default() };
    let mut machine = begun(Terms { limits, ..terms() });
    machine.step(turn("transfer_to_b"));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!(machine.step(turn("transfer_to_c")), Effect::Turn);
    assert!(history(&machine).last().unwrap().starts_with("![not handed over"));
    assert_eq!(machine.step(turn("transfer_to_c")), Effect::Stop(Guard::MaxHandoffs));
}

#[test]
fn to_and_fro_is_bounded() {
    let limits = Limits { max_turns: 100, max_handoffs: 100, ..Limits::default() };
    let mut machine = begun(Terms { limits, ..terms() });
    let mut turns = 0;
    loop {
        let other = if machine.active() == 0 { "transfer_to_b" } else { "transfer_to_a" };
        match machine.step(turn(other)) {
            Effect::Decide { .. } => assert_eq!(machine.step(Event::Granted), Effect::Turn),
            Effect::Turn => {}
            effect => break assert_eq!(effect, Effect::Stop(Guard::PingPong)),
        }
        turns += 1;
    }
    assert_eq!(turns, 5, "twice each way, and one warning");
}

#[test]
fn a_budget_holds_before_a_turn() {
    let limits = Limits { budget: Some(NanoUsd(12)), ..Limits::default() };
    let mut machine = Machine::new(Terms { limits, ..terms() }, 0);
    assert_eq!(machine.step(Event::Begin), Effect::Price);
    assert_eq!(machine.step(Event::Priced(Some(NanoUsd(12)))), Effect::Turn);
    assert_eq!(machine.step(turn("transfer_to_x")), Effect::Price);
    let mut dear = machine.clone();
    assert_eq!(dear.step(Event::Priced(Some(NanoUsd(8)))), Effect::Stop(Guard::Budget));
    let mut unknown = machine.clone();
    assert_eq!(unknown.step(Event::Priced(None)), Effect::Stop(Guard::Budget));
    assert_eq!(machine.step(Event::Priced(Some(NanoUsd(7)))), Effect::Turn);
}

#[test]
fn a_hand_over_whose_turn_cannot_be_paid_has_not_happened() {
    let limits = Limits { budget: Some(NanoUsd(12)), ..Limits::default() };
    let mut machine = Machine::new(Terms { limits, ..terms() }, 0);
    machine.step(Event::Begin);
    machine.step(Event::Priced(Some(NanoUsd(5))));
    machine.step(turn("text: so far, transfer_to_b"));
    assert_eq!(machine.step(Event::Granted), Effect::Price);
    assert_eq!(machine.step(Event::Priced(Some(NanoUsd(8)))), Effect::Stop(Guard::Budget));
    assert_eq!((machine.active(), machine.hop(), machine.handoffs()), (0, 1, 0));
}

#[test]
fn a_target_that_fails_is_told_to_the_one_before_once() {
    let mut machine = begun(terms());
    machine.step(turn("transfer_to_b, weather"));
    machine.step(Event::Granted);
    assert_eq!(machine.step(Event::Failed), Effect::Turn);
    assert_eq!((machine.active(), machine.hop()), (0, 3));
    assert!(machine.moves()[0].undone);
    assert_eq!(history(&machine), ["transfer_to_b weather", "![target unavailable]", "![not executed]"]);
    machine.step(turn("transfer_to_c"));
    machine.step(Event::Granted);
    assert_eq!(machine.step(Event::Failed), Effect::Fail, "told once only");
}

#[test]
fn a_rule_that_ends_the_run_ends_it_at_a_transfer_too() {
    let mut machine = begun(terms());
    machine.step(turn("text: so far, transfer_to_b"));
    assert_eq!(machine.step(Event::Ruled(Ruling::Stop)), Effect::Stop(Guard::Rule));
    assert_eq!((machine.active(), machine.handoffs()), (0, 0));
}

#[test]
fn a_tool_that_nobody_offered_is_the_clients_where_the_gateway_runs_none() {
    assert_eq!(begun(terms()).step(turn("other")), finish(FinishReason::ToolCalls));
}

#[test]
fn a_tool_that_nobody_offered_is_an_error_for_the_model_where_the_gateway_runs_tools() {
    let run = || begun(Terms { own_tools: true, ..terms() });
    let mut machine = run();
    assert_eq!(machine.step(turn("other, weather, web__search")), Effect::Turn);
    assert_eq!(machine.cause(), Cause::NoSuchTool);
    let told = "![not executed]";
    assert_eq!(history(&machine), ["other weather web__search", told, told, told]);
    let results = machine.added(0);
    let PartKind::ToolResult { parts, .. } = &results[1].parts[0].kind else { panic!("no result") };
    assert_eq!(
        parts[0],
        Part::text(
            "not executed: there is no tool `other`. The tools that exist: \
             weather, web__search, transfer_to_b, transfer_to_c",
            CHAT
        )
    );
    // Behind a tool that runs, it is told beside it.
    let mut machine = run();
    assert!(matches!(machine.step(turn("web__search, other")), Effect::Tools(tools) if tools.len() == 1));
    machine.step(Event::ToolsDone(Vec::new()));
    let results = machine.added(0);
    let PartKind::ToolResult { parts, is_error: true, .. } = &results[2].parts[0].kind else {
        panic!("none")
    };
    assert!(matches!(&parts[0].kind, PartKind::Text(text) if text.contains("`other`")), "{parts:?}");
    // Behind a call of the client's, the client does not see it.
    let mut machine = run();
    let mut gate = machine.gate();
    assert!(gate.may_see("weather") && !gate.may_see("other"));
    assert_eq!(machine.step(turn("weather, other")), finish(FinishReason::ToolCalls));
}

#[test]
fn a_model_that_calls_what_is_not_there_again_and_again_comes_to_an_end() {
    let limits = Limits { max_turns: 3, ..Limits::default() };
    let mut machine = begun(Terms { own_tools: true, limits, ..terms() });
    assert_eq!(machine.step(turn("other")), Effect::Turn);
    assert_eq!(machine.step(turn("other")), Effect::Turn);
    assert_eq!(machine.step(turn("other")), Effect::Stop(Guard::MaxTurns));
}

#[test]
fn a_failure_after_the_target_has_spoken_is_its_own() {
    let mut machine = begun(terms());
    machine.step(turn("transfer_to_b"));
    machine.step(Event::Granted);
    machine.step(turn("transfer_to_nobody"));
    assert_eq!(machine.step(Event::Failed), Effect::Fail);
}

#[test]
fn the_first_turns_failure_is_the_clients() {
    assert_eq!(begun(terms()).step(Event::Failed), Effect::Fail);
}

#[test]
fn a_reason_can_be_demanded_and_a_return_forbidden() {
    let mut machine = {
        let limits = Limits { require_reason: true, no_return: true, ..Limits::default() };
        begun(Terms { limits, ..terms() })
    };
    assert_eq!(machine.step(turn("transfer_to_b")), Effect::Turn);
    assert_eq!(machine.step(turn("transfer_to_b {\"reason\":\"r\"}")), Effect::Decide { to: 1 });
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("transfer_to_a {\"reason\":\"r\"}")), Effect::Turn);
    assert_eq!(machine.active(), 1);
}

#[test]
fn calls_without_an_id_or_with_anothers_get_their_own() {
    let call = |id: &str| {
        let kind =
            PartKind::ToolCall { id: id.into(), name: "transfer_to_b".into(), arguments: "{oops".into() };
        Part::new(kind, CHAT)
    };
    let mut machine = begun(terms());
    let parts = vec![call("x"), call("x"), call("")];
    let end = TurnEnd { dialect: CHAT, parts, finish: FinishReason::ToolCalls, usage: None, cost: None };
    assert_eq!(machine.step(Event::Ended(end)), Effect::Decide { to: 1 });
    machine.step(Event::Granted);
    let (calls, results) = ids(&machine.added(machine.active()));
    assert_eq!(calls, ["x", "call_1_2", "call_1_3"]);
    assert_eq!(results, calls);
    assert!(
        !format!("{:?}", machine.added(machine.active())).contains("oops"),
        "arguments are JSON in the history"
    );
}

#[test]
fn a_hand_over_before_the_run_is_in_the_history() {
    let mut machine = Machine::new(terms(), 2);
    machine.came_from(0);
    assert_eq!(machine.step(Event::Begin), Effect::Turn);
    assert_eq!(history(&machine), ["transfer_to_c", "[You have the conversation now]"]);
    assert_eq!((machine.hop(), machine.moves()[0].from), (2, 0));
}

/// The ids of calls and of results, in their order.
fn ids(messages: &[Message]) -> (Vec<String>, Vec<String>) {
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for part in messages.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::ToolCall { id, .. } => calls.push(id.clone()),
            PartKind::ToolResult { call_id, .. } => results.push(call_id.clone()),
            _ => {}
        }
    }
    (calls, results)
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "text: x",
        "transfer_to_a",
        "transfer_to_b",
        "transfer_to_c",
        "transfer_to_d",
        "weather",
        "web__search",
        "other",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_run_ends_within_its_guards(
        turns in prop::collection::vec((prop::collection::vec(names(), 0..5), prop::bool::weighted(0.2)), 40),
        max_turns in 1_u32..12,
        max_handoffs in 0_u32..6,
        budget in prop::option::of(0_u64..80),
        own_tools in prop::bool::ANY,
    ) {
        let limits = Limits { max_turns, max_handoffs, budget: budget.map(NanoUsd), ..Limits::default() };
        let mut machine = Machine::new(Terms { limits, own_tools, ..terms() }, 0);
        let mut script = turns.into_iter();
        let (mut asked, mut granted) = (0_u32, 0_u32);
        let mut effect = machine.step(Event::Begin);
        let mut steps = 0;
        let over = loop {
            steps += 1;
            prop_assert!(steps < 200, "it goes on for ever");
            let event = match effect {
                Effect::Price => Event::Priced(Some(NanoUsd(5))),
                Effect::Turn => {
                    asked += 1;
                    prop_assert!(machine.active() < 3);
                    // Whatever an upstream is sent, each call in it has one result.
                    let (mut calls, mut results) = ids(&machine.added(machine.active()));
                    calls.sort();
                    results.sort();
                    prop_assert_eq!(calls.len(), results.len());
                    let roles: Vec<Role> = machine.added(machine.active()).iter().map(|it| it.role).collect();
                    prop_assert_eq!(roles.first().copied().unwrap_or(Role::Assistant), Role::Assistant);
                    let Some((calls, fails)) = script.next() else { break false };
                    if fails { Event::Failed } else { turn(&calls.join(", ")) }
                }
                Effect::Decide { to } => {
                    prop_assert_ne!(to, machine.active());
                    if steps % 3 == 0 { Event::Denied("no".into()) } else { granted += 1; Event::Granted }
                }
                Effect::Tools(calls) => {
                    prop_assert!(calls.iter().all(|call| call.name == "web__search"), "only what the gateway has");
                    Event::ToolsDone(Vec::new())
                }
                Effect::Rules => Event::Ruled(if steps % 7 == 0 { Ruling::Stop } else { Ruling::Go(steps % 4) }),
                Effect::Force { .. }
                | Effect::Delegate { .. }
                | Effect::Returned { .. }
                | Effect::Ended { .. } => {
                    return Err(TestCaseError::fail("a pool of models has no agents"));
                }
                Effect::Finish(_) | Effect::Stop(_) | Effect::Fail => break true,
            };
            effect = machine.step(event);
        };
        prop_assert!(asked <= max_turns);
        prop_assert!(machine.handoffs() <= max_handoffs);
        // The last one may not have happened, for want of a turn.
        prop_assert!(granted <= machine.handoffs() + 1);
        prop_assert!(budget.is_none_or(|budget| machine.spent().0 <= budget));
        if over {
            prop_assert_eq!(machine.step(turn("text: more")), Effect::Fail, "a run that is over stays over");
        }
    }
}
