//! Runs of agents: hand-overs for good, hand-overs that return, tasks, forced ones, and all of them at random.

use super::*;
use crate::{ErrandWay, Task, Team, TeamAgent, ToolForm, Way};

fn way(to: usize) -> Way {
    Way { to, ..Way::default() }
}

fn returning(to: usize) -> Way {
    Way { to, returns: true, ..Way::default() }
}

fn helper(to: usize) -> ErrandWay {
    ErrandWay { to, ..ErrandWay::default() }
}

fn agent(name: &str, ways: Vec<Way>, errands: Vec<ErrandWay>) -> TeamAgent {
    TeamAgent {
        name: name.to_owned(),
        description: format!("does {name}"),
        ways,
        errands,
        client_tools: vec!["weather".to_owned()],
        ..TeamAgent::default()
    }
}

pub(super) fn of_agents(agents: Vec<TeamAgent>, limits: Limits) -> Terms {
    let named = agents.iter().map(|agent| Member { name: agent.name.clone(), ..Member::default() }).collect();
    let taken = vec!["weather".to_owned()];
    Terms {
        limits,
        members: Members::new(named, &taken, false, false),
        team: Some(Team::new(agents, &taken)),
        client_tools: taken,
        own_tools: true,
        rules: false,
        ..terms()
    }
}

/// root hands to a for good and to b with a return, and gives tasks to c and, by a tool of its own, to d.
pub(super) fn crew() -> Terms {
    let by_tool = ErrandWay { to: 4, tool: Some("check".to_owned()), description: None };
    let mut agents = vec![
        agent("root", vec![way(1), returning(2)], vec![helper(3), by_tool]),
        agent("a", vec![way(0)], vec![]),
        agent("b", vec![way(1)], vec![helper(3)]),
        agent("c", vec![way(4)], vec![helper(0), helper(1)]),
        agent("d", vec![], vec![]),
    ];
    agents[3].server_tools = vec!["web__search".to_owned()];
    agents[4].form = ToolForm::TransferTo;
    of_agents(agents, Limits::default())
}

fn tools_of(terms: &Terms, member: usize) -> Vec<String> {
    let name = |tool| match tool {
        baton_model::Tool::Function { name, .. } | baton_model::Tool::Vendor { name, .. } => name,
    };
    terms.tools(member).into_iter().map(name).collect()
}

/// The last result in the history of who has the conversation.
fn last_result(machine: &Machine) -> (String, bool) {
    let added = machine.added(machine.active());
    let part = added.iter().rev().flat_map(|message| &message.parts).find_map(|part| match &part.kind {
        PartKind::ToolResult { parts, is_error, .. } => Some((parts.clone(), *is_error)),
        _ => None,
    });
    let (parts, is_error) = part.unwrap();
    let text = parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) => Some(text.clone()),
        _ => None,
    });
    (text.collect::<Vec<_>>().join("|"), is_error)
}

const TO_B: &str = r#"handoff {"agent":"b","reason":"r"}"#;
const TO_C: &str = r#"transfer_task {"agent":"c","task":"look it up","expected_output":"a date"}"#;
const CHECK: &str = r#"check {"task":"is it so?"}"#;

#[test]
fn each_agent_has_the_tools_for_those_it_reaches() {
    let terms = crew();
    assert_eq!(tools_of(&terms, 0), ["handoff", "transfer_task", "check"]);
    assert_eq!(tools_of(&terms, 2), ["handoff", "transfer_task"]);
    assert!(tools_of(&terms, 4).is_empty(), "a leaf has none");
    let mut agents = vec![agent("x", vec![way(1), way(2)], vec![]), agent("Y y", vec![], vec![])];
    agents.push(agent("y-y", vec![], vec![]));
    agents[0].form = ToolForm::TransferTo;
    assert_eq!(tools_of(&of_agents(agents, Limits::default()), 0), ["transfer_to_y_y", "transfer_to_y_y_2"]);
}

#[test]
fn a_name_that_the_client_has_is_not_taken_from_it() {
    let mut agents = vec![agent("x", vec![way(1)], vec![]), agent("y", vec![], vec![])];
    agents[0].client_tools.push("handoff".to_owned());
    let team = Team::new(agents, &["handoff".to_owned()]);
    let terms = Terms { team: Some(team), ..crew() };
    assert_eq!(tools_of(&terms, 0), ["handoff_2"]);
    let mut machine = begun(terms);
    assert!(machine.gate().may_see("handoff"));
    assert_eq!(machine.step(turn(r#"handoff_2 {"agent":"y"}"#)), Effect::Decide { to: 1 });
}

#[test]
fn either_form_hands_over_and_no_other_name_does() {
    let to = |script: &str| begun(crew()).step(turn(script));
    assert_eq!(to(r#"handoff {"agent":"a"}"#), Effect::Decide { to: 1 });
    assert_eq!(to("transfer_to_a"), Effect::Decide { to: 1 });
    for script in [
        r#"handoff {"agent":"A"}"#,
        r#"handoff {"agent":"c"}"#,
        r#"handoff {"agent":"a "}"#,
        r#"handoff {"agent":"agent/a"}"#,
        "handoff",
        "transfer_to_c",
        "Transfer_to_a",
    ] {
        let mut machine = begun(crew());
        assert!(!machine.gate().may_see(script.split(' ').next().unwrap()), "{script}");
        assert_eq!(machine.step(turn(script)), Effect::Turn, "{script}");
        let (told, is_error) = last_result(&machine);
        assert!(is_error && told.ends_with("Available agent IDs are: a, b"), "{script}: {told}");
        assert_eq!((machine.active(), machine.handoffs()), (0, 0));
    }
}

#[test]
fn the_target_of_a_hand_over_does_not_get_it_back() {
    let mut machine = begun(crew());
    machine.step(turn("text: one, transfer_to_a"));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.depth()), (1, 1));
    assert_eq!(machine.step(turn("text: two")), finish(FinishReason::Stop));
}

#[test]
fn a_hand_over_that_returns_brings_the_answer_as_its_result() {
    let mut machine = begun(crew());
    assert_eq!(machine.step(turn(&format!("{TO_B}, weather"))), Effect::Decide { to: 2 });
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.depth(), machine.waiting().collect::<Vec<_>>()), (2, 2, vec![0]));
    assert_eq!(machine.step(turn("handoff {\"agent\":\"nobody\"}")), Effect::Turn, "a round of its own");
    assert_eq!(machine.step(turn("text: the answer")), Effect::Turn);
    assert_eq!((machine.active(), machine.cause(), machine.depth()), (0, Cause::Returned, 1));
    assert_eq!(history(&machine), ["handoff weather", "[the answer]", "![not executed]"]);
    assert_eq!((machine.handoffs(), machine.moves().len(), machine.back_from()), (1, 2, Some(2)));
    assert_eq!(machine.step(turn("text: all in all")), finish(FinishReason::Stop));
}

#[test]
fn whoever_a_returning_agent_hands_on_to_answers_for_it() {
    let mut machine = begun(crew());
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    machine.step(turn("transfer_to_a"));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!(machine.step(turn("text: from a")), Effect::Turn);
    assert_eq!((machine.active(), last_result(&machine)), (0, ("from a".to_owned(), false)));
}

#[test]
fn who_gets_the_conversation_by_hand_waits_for_it_no_more() {
    let mut machine = begun(crew());
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    machine.step(turn("transfer_to_a"));
    machine.step(Event::Granted);
    machine.step(turn(r#"handoff {"agent":"root"}"#));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.depth()), (0, 1));
    assert_eq!(machine.step(turn("text: done")), finish(FinishReason::Stop));
}

#[test]
fn a_return_that_is_due_since_an_earlier_request_comes() {
    let mut machine = Machine::new(crew(), 2);
    machine.resume(vec![0]);
    assert_eq!(machine.step(Event::Begin), Effect::Turn);
    assert_eq!(machine.step(turn("text: found")), Effect::Turn);
    assert_eq!(machine.active(), 0);
    assert_eq!(history(&machine), ["handoff", "[found]"]);
}

#[test]
fn a_clients_tool_in_a_returning_hop_goes_to_the_client_and_the_return_stays_due() {
    let mut machine = begun(crew());
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("weather")), finish(FinishReason::ToolCalls));
    assert_eq!((machine.holder(), machine.waiting().collect::<Vec<_>>()), (2, vec![0]));
}

#[test]
fn a_task_is_done_out_of_sight_and_its_answer_is_the_calls_result() {
    let mut machine = begun(crew());
    let task = Task { task: "look it up".to_owned(), expected_output: Some("a date".to_owned()) };
    assert_eq!(machine.step(turn(TO_C)), Effect::Delegate { to: 3, task: task.clone() });
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.holder(), machine.depth()), (3, 0, 2));
    assert_eq!(machine.task(), Some(&task));
    assert!(machine.added(3).is_empty(), "it sees nothing of the conversation");
    assert!(!machine.gate().may_see("weather"), "the client is not there for it");
    assert!(matches!(machine.step(turn("web__search")), Effect::Tools(_)));
    assert_eq!(machine.step(Event::ToolsDone(Vec::new())), Effect::Turn);
    assert_eq!(machine.step(turn("text: in May")), Effect::Turn);
    assert_eq!((machine.active(), machine.depth(), machine.cause()), (0, 1, Cause::Returned));
    assert_eq!(history(&machine), ["transfer_task", "[in May]"]);
}

#[test]
fn tasks_of_one_turn_are_done_one_after_the_other() {
    let mut machine = begun(crew());
    assert!(matches!(machine.step(turn(&format!("{TO_C}, {CHECK}"))), Effect::Delegate { to: 3, .. }));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("text: in May")), Effect::Returned { from: 3 });
    assert!(matches!(machine.step(Event::Noted), Effect::Delegate { to: 4, .. }));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("text: it is")), Effect::Turn);
    assert_eq!(history(&machine), ["transfer_task check", "[in May]", "[it is]"]);
}

#[test]
fn a_task_may_be_handed_on_within_its_own_conversation() {
    let mut machine = begun(crew());
    machine.step(turn(TO_C));
    machine.step(Event::Granted);
    machine.step(turn("transfer_to_d"));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!((machine.active(), machine.holder()), (4, 0));
    machine.step(turn("text: by d"));
    assert_eq!((machine.active(), last_result(&machine).0), (0, "by d".to_owned()));
}

#[test]
fn a_task_that_comes_back_to_who_waits_for_it_is_a_cycle() {
    let mut machine = begun(crew());
    machine.step(turn(TO_C));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn(r#"transfer_task {"agent":"root","task":"x"}"#)), Effect::Turn);
    let expected = ("delegation cycle detected: root -> c -> root".to_owned(), true);
    assert_eq!(last_result(&machine), expected);
}

#[test]
fn a_task_without_words_and_a_helper_who_is_not_there_are_errors() {
    let told = |script: &str| {
        let mut machine = begun(crew());
        assert_eq!(machine.step(turn(script)), Effect::Turn);
        last_result(&machine)
    };
    assert_eq!(told(r#"transfer_task {"agent":"c"}"#), (words::NO_TASK.to_owned(), true));
    let (text, is_error) = told(r#"transfer_task {"agent":"d","task":"x"}"#);
    assert!(is_error && text.ends_with("Available agent IDs are: c"), "{text}");
}

#[test]
fn levels_are_bounded() {
    let below = |at: usize| agent(&format!("l{at}"), vec![returning(at + 1)], vec![helper(at + 1)]);
    for script in ["transfer_to_l", "task"] {
        let agents = (0..6).map(below).chain([agent("l6", vec![], vec![])]).collect();
        let mut machine = begun(of_agents(agents, Limits::default()));
        for level in 1..4 {
            let call = match script {
                "task" => format!(r#"transfer_task {{"agent":"l{level}","task":"x"}}"#),
                _ => format!("transfer_to_l{level}"),
            };
            machine.step(turn(&call));
            assert_eq!(machine.step(Event::Granted), Effect::Turn);
            assert_eq!(machine.depth(), level + 1);
        }
        let call = match script {
            "task" => r#"transfer_task {"agent":"l4","task":"x"}"#,
            _ => "transfer_to_l4",
        };
        assert_eq!(machine.step(turn(call)), Effect::Turn);
        assert_eq!((machine.depth(), machine.cause()), (4, Cause::Guarded(Guard::Depth)));
        assert_eq!(last_result(&machine), (words::TOO_DEEP.to_owned(), true));
    }
}

#[test]
fn a_forced_hand_over_follows_the_final_answer() {
    let mut agents = vec![agent("x", vec![], vec![]), agent("y", vec![], vec![])];
    agents[0].forced = Some(1);
    let terms = of_agents(agents, Limits::default());
    let mut machine = begun(terms.clone());
    assert_eq!(machine.step(turn("text: mine")), Effect::Force { to: 1 });
    let mut denied = machine.clone();
    assert_eq!(denied.step(Event::Denied("no".into())), finish(FinishReason::Stop));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!(history(&machine), ["'mine' handoff", "[You have the conversation now]"]);
    assert_eq!((machine.moves()[0].by, machine.active()), (By::Forced, 1));
    assert_eq!(machine.step(turn("text: theirs")), finish(FinishReason::Stop));
}

#[test]
fn instructions_of_a_way_are_its_targets_alone() {
    let to_a = Way { to: 1, instructions: Some("be kind".to_owned()), ..Way::default() };
    let agents =
        vec![agent("x", vec![to_a], vec![]), agent("a", vec![way(2)], vec![]), agent("c", vec![], vec![])];
    let mut machine = begun(of_agents(agents, Limits::default()));
    machine.step(turn("transfer_to_a"));
    machine.step(Event::Granted);
    assert!(last_result(&machine).0.contains("be kind"));
    machine.step(turn("transfer_to_c"));
    machine.step(Event::Granted);
    assert!(!format!("{:?}", machine.added(2)).contains("be kind"));
}

#[test]
fn a_briefing_is_its_targets_alone_beside_what_is_configured() {
    let mut agents: Vec<TeamAgent> =
        (0..5).map(|at| crew().team.unwrap().agent(at).unwrap().clone()).collect();
    agents[0].ways[0].instructions = Some("be brief".to_owned());
    let mut machine = begun(of_agents(agents, Limits::default()));
    assert_eq!(machine.step(turn(r#"handoff {"agent":"a"}"#)), Effect::Decide { to: 1 });
    assert_eq!(machine.step(Event::Briefed("account 7".to_owned())), Effect::Turn);
    assert!(last_result(&machine).0.ends_with("be brief\naccount 7"), "{:?}", last_result(&machine));
    machine.step(turn(r#"handoff {"agent":"root"}"#));
    machine.step(Event::Granted);
    assert!(machine.added(0).iter().all(|it| !format!("{it:?}").contains("account 7")));
}

/// The crew, of whom these have something to do at their end.
fn with_steps(at_end: &[usize]) -> Terms {
    let mut agents: Vec<TeamAgent> =
        (0..5).map(|at| crew().team.unwrap().agent(at).unwrap().clone()).collect();
    for at in at_end {
        agents[*at].steps_at_end = true;
    }
    agents[4].forced = Some(1);
    of_agents(agents, Limits::default())
}

#[test]
fn what_is_to_be_done_at_an_end_comes_before_the_answer_goes_anywhere() {
    let ended = |member, text: &str| Effect::Ended { member, text: text.to_owned() };
    let mut machine = begun(with_steps(&[0, 2, 3]));
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("text: found")), ended(2, "found"));
    assert_eq!(machine.step(Event::Noted), Effect::Turn);
    assert_eq!((machine.active(), last_result(&machine)), (0, ("found".to_owned(), false)));
    machine.step(turn(TO_C));
    machine.step(Event::Granted);
    assert_eq!(machine.step(turn("text: in 1889")), ended(3, "in 1889"));
    assert_eq!(machine.step(Event::Noted), Effect::Turn);
    assert_eq!(machine.step(turn("text: so")), ended(0, "so"));
    assert_eq!(machine.step(Event::Noted), finish(FinishReason::Stop));
}

#[test]
fn a_hand_over_is_no_end_and_a_forced_one_follows_it() {
    let mut machine = begun(with_steps(&[0, 1]));
    assert_eq!(machine.step(turn(r#"handoff {"agent":"a"}"#)), Effect::Decide { to: 1 });
    let mut machine = Machine::new(with_steps(&[4]), 4);
    machine.step(Event::Begin);
    assert_eq!(machine.step(turn("text: rough")), Effect::Ended { member: 4, text: "rough".to_owned() });
    assert_eq!(machine.step(Event::Noted), Effect::Force { to: 1 });
    assert_eq!(machine.step(Event::Denied("no".to_owned())), finish(FinishReason::Stop), "it has ended once");
}

#[test]
fn an_agent_that_is_stopped_has_not_ended() {
    let mut terms = with_steps(&[0]);
    terms.limits.max_turns = 1;
    let mut machine = begun(terms);
    assert_eq!(machine.step(turn("web__search")), Effect::Stop(Guard::MaxTurns));
}

#[test]
fn a_turn_that_others_have_used_up_is_not_taken() {
    let mut machine = begun(crew());
    assert_eq!(machine.step(Event::Spent(Guard::Budget)), Effect::Stop(Guard::Budget));
    assert_eq!(machine.turn(), 0);
}

#[test]
fn a_run_that_is_another_ones_task_is_out_of_sight_and_gives_nobody_above_a_task() {
    let mut machine = Machine::new(crew(), 3);
    machine.set_apart(vec![0]);
    assert_eq!(machine.step(Event::Begin), Effect::Turn);
    assert!(machine.is_aside() && !machine.gate().may_see("weather"));
    assert_eq!(machine.step(turn(r#"transfer_task {"agent":"root","task":"x"}"#)), Effect::Turn);
    assert!(last_result(&machine).0.contains("delegation cycle detected: root -> c -> root"));
    assert_eq!(machine.step(turn("text: done")), finish(FinishReason::Stop));
}

#[test]
fn agents_reach_others_once_they_are_regrouped_and_keep_their_tools() {
    let mut machine = begun(crew());
    machine.equip(0, vec!["web__search".to_owned()]);
    let mut agents: Vec<TeamAgent> =
        (0..5).map(|at| crew().team.unwrap().agent(at).unwrap().clone()).collect();
    agents[0].ways = vec![way(4)];
    machine.regroup(Team::new(agents, &["weather".to_owned()]));
    assert!(matches!(machine.step(turn("web__search")), Effect::Tools(_)));
    machine.step(Event::ToolsDone(Vec::new()));
    assert_eq!(machine.step(turn(r#"handoff {"agent":"d"}"#)), Effect::Decide { to: 4 });
}

#[test]
fn who_does_not_answer_is_told_to_who_waits() {
    let mut machine = begun(crew());
    machine.step(turn(TO_C));
    machine.step(Event::Granted);
    assert_eq!(machine.step(Event::Failed), Effect::Turn);
    assert_eq!((machine.active(), machine.cause(), last_result(&machine).1), (0, Cause::GaveUp, true));
    // A returning hand-over whose target said something already.
    let mut machine = begun(crew());
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    machine.step(turn("nothing_like_it"));
    assert_eq!(machine.step(Event::Failed), Effect::Turn);
    assert_eq!((machine.active(), machine.depth(), last_result(&machine).1), (0, 1, true));
    // And one whose target said nothing: the transfer is undone.
    let mut machine = begun(crew());
    machine.step(turn(TO_B));
    machine.step(Event::Granted);
    assert_eq!(machine.step(Event::Failed), Effect::Turn);
    assert_eq!((machine.active(), machine.depth(), machine.cause()), (0, 1, Cause::Unavailable));
}

#[test]
fn an_agent_that_has_taken_all_of_its_turns_is_stopped() {
    let mut agents = vec![agent("x", vec![], vec![helper(1)]), agent("y", vec![], vec![])];
    agents[1].max_turns = Some(2);
    agents[0].max_turns = Some(2);
    let mut machine = begun(of_agents(agents, Limits::default()));
    machine.step(turn(r#"transfer_task {"agent":"y","task":"x"}"#));
    assert_eq!(machine.step(Event::Granted), Effect::Turn);
    assert_eq!(machine.step(turn("nothing_like_it")), Effect::Turn);
    assert_eq!(machine.step(turn("nothing_like_it")), Effect::Turn, "of the one who waits");
    assert!(last_result(&machine).0.contains("has taken all of its turns"));
    assert_eq!(machine.step(turn("nothing_like_it")), Effect::Stop(Guard::MaxTurns));
}

#[test]
fn tokens_are_bounded() {
    let limits = Limits { max_tokens: Some(10), ..Limits::default() };
    let mut machine = begun(of_agents(vec![agent("x", vec![], vec![])], limits));
    assert_eq!(machine.step(turn("nothing_like_it")), Effect::Turn, "5 are used");
    assert_eq!(machine.step(turn("nothing_like_it")), Effect::Stop(Guard::Tokens));
}

#[test]
fn the_section_names_those_an_agent_reaches_and_nobody_else() {
    let terms = crew();
    let team = terms.team.as_ref().unwrap();
    assert_eq!(
        team.section(0),
        "# Team\nThese agents can take the conversation over from you:\n- a: does a\n- b: does b\n\
         Hand over where one of them fits better than you, and do not speak of it to the user.\n\n\
         These agents can do a task for you and give you the result:\n- c: does c\n- d: does d\n\
         They see nothing of the conversation: put all that they need into the task."
    );
    assert_eq!(team.section(4), "");
    assert!(team.leads(0, 2) && team.leads(1, 2) && !team.leads(0, 3));
}

pub(super) fn words_of_agents() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "text: x",
        "transfer_to_a",
        "transfer_to_d",
        "transfer_to_nobody",
        r#"handoff {"agent":"root"}"#,
        TO_B,
        TO_C,
        CHECK,
        r#"transfer_task {"agent":"root","task":"x"}"#,
        r#"transfer_task {"agent":"a","task":"x"}"#,
        r#"transfer_task {"agent":"c"}"#,
        "weather",
        "web__search",
        "other",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_run_of_agents_ends_within_its_guards(
        turns in prop::collection::vec(
            (prop::collection::vec(words_of_agents(), 0..5), prop::bool::weighted(0.1)),
            60,
        ),
        max_turns in 1_u32..20,
        max_handoffs in 0_u32..8,
        max_depth in 1_u32..6,
        own_most in prop::option::of(1_u32..5),
        forced in prop::bool::ANY,
        budget in prop::option::of(0_u64..120),
        seed in 0_usize..7,
        waits in prop::bool::ANY,
        at_end in 0_usize..5,
    ) {
        let limits = Limits { max_turns, max_handoffs, max_depth, budget: budget.map(NanoUsd), ..Limits::default() };
        let mut agents: Vec<TeamAgent> =
            (0..5).map(|at| crew().team.unwrap().agent(at).unwrap().clone()).collect();
        agents[1].max_turns = own_most;
        agents[3].max_turns = own_most;
        agents[4].forced = forced.then_some(1);
        agents[at_end].steps_at_end = true;
        let mut machine = Machine::new(of_agents(agents, limits), if waits { 2 } else { 0 });
        if waits {
            machine.resume(vec![0]);
        }
        let deepest = usize::try_from(max_depth).unwrap().max(machine.depth());
        let mut script = turns.into_iter();
        let (mut asked, mut steps) = (0_u32, 0_usize);
        let (mut given, mut done) = (0_u32, 0_u32);
        let mut effect = machine.step(Event::Begin);
        let over = loop {
            steps += 1;
            prop_assert!(steps < 600, "it goes on for ever");
            prop_assert!(machine.depth() <= deepest, "{} within each other", machine.depth());
            let event = match effect {
                Effect::Price => Event::Priced(Some(NanoUsd(5))),
                Effect::Turn => {
                    asked += 1;
                    let added = machine.added(machine.active());
                    let (mut calls, mut results) = ids(&added);
                    let all = calls.len();
                    calls.sort();
                    results.sort();
                    prop_assert_eq!(all, results.len(), "every call has one result");
                    prop_assert!(added.first().is_none_or(|message| message.role == Role::Assistant));
                    prop_assert_eq!(machine.is_aside(), machine.task().is_some());
                    let Some((calls, fails)) = script.next() else { break false };
                    if fails { Event::Failed } else { turn(&calls.join(", ")) }
                }
                Effect::Decide { to } | Effect::Force { to } => {
                    prop_assert_ne!(to, machine.active());
                    if (steps + seed).is_multiple_of(7) { Event::Denied("no".into()) } else { Event::Granted }
                }
                Effect::Delegate { to, .. } => {
                    prop_assert_ne!(to, machine.active());
                    prop_assert_ne!(to, machine.holder(), "a task does not come back to who waits");
                    if (steps + seed).is_multiple_of(5) {
                        Event::Denied("no".into())
                    } else {
                        given += 1;
                        Event::Granted
                    }
                }
                Effect::Returned { from } => {
                    prop_assert_eq!(machine.back_from(), Some(from));
                    done += 1;
                    Event::Noted
                }
                Effect::Ended { member, .. } => {
                    prop_assert_eq!(member, machine.active());
                    Event::Noted
                }
                Effect::Tools(calls) => {
                    prop_assert!(calls.iter().all(|call| call.name == "web__search"));
                    prop_assert_eq!(machine.active(), 3, "only who has it");
                    Event::ToolsDone(Vec::new())
                }
                Effect::Rules => return Err(TestCaseError::fail("agents have no rules between turns")),
                Effect::Finish(Finish { aside, .. }) => {
                    prop_assert!(!machine.is_aside(), "the client gets the conversation's answer, not a task's");
                    prop_assert!(aside.is_some() || machine.depth() == 1 || machine.waiting().count() > 0);
                    break true;
                }
                Effect::Stop(_) | Effect::Fail => break true,
            };
            effect = machine.step(event);
        };
        prop_assert!(asked <= max_turns);
        prop_assert!(machine.handoffs() <= max_handoffs);
        prop_assert!(done <= given);
        prop_assert!(budget.is_none_or(|budget| machine.spent().0 <= budget));
        if over {
            prop_assert_eq!(machine.step(turn("text: more")), Effect::Fail, "a run that is over stays over");
        }
    }
}
