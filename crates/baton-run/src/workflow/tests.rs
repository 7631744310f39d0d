use proptest::prelude::*;
use serde_json::json;

use super::*;

fn others() -> Vec<(String, Value)> {
    let pair = |name: &str, document: Value| (name.to_owned(), document);
    vec![
        pair("inner", json!({"sequence": [{"name": "a", "model": "m", "input": "inner {{input}}"}]})),
        pair("ping", json!({"sequence": [{"name": "x", "workflow": "pong"}]})),
        pair("pong", json!({"sequence": [{"name": "y", "workflow": "ping"}]})),
        pair(
            "wide",
            json!({"sequence": (0..60).map(|n| json!({"name": format!("s{n}"), "model": "m"})).collect::<Vec<_>>()}),
        ),
        pair("bad", json!({"sequence": [{"name": "x", "model": ""}]})),
    ]
}

fn read(document: &Value) -> Result<Workflow, Vec<WorkflowMistake>> {
    Workflow::read("main", document, Around { others: &others(), context: None })
}

/// What is wrong with a document, in its order.
#[track_caller]
fn mistakes(document: &Value, expected: &[&str]) {
    let found: Vec<String> = read(document)
        .expect_err("mistakes")
        .into_iter()
        .map(|it| {
            format!(
                "{}: {}{}",
                it.path,
                it.message,
                it.hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(found, expected);
}

/// A workflow whose steps say what these words make of their inputs: `ok` says the input in brackets, `fail` fails.
/// The order of what was asked, side by side in one line, and how it ended.
fn play(
    document: &Value,
    input: &str,
    mut says: impl FnMut(&AskedStep) -> Result<String, String>,
) -> (Vec<String>, Flow) {
    let workflow = read(document).expect("a workflow");
    let mut flow = Flow::begin(workflow, input, Map::new()).expect("a beginning");
    let mut lines = Vec::new();
    let mut open: Vec<AskedStep> = Vec::new();
    loop {
        let mut line = Vec::new();
        for effect in flow.due() {
            match effect {
                FlowEffect::Ask(asked) => {
                    line.push(format!("{}={}", asked.name, asked.input));
                    open.push(*asked);
                }
                FlowEffect::Check(checked) => {
                    let wrong = (!checked.output.contains("right")).then(|| "not right".to_owned());
                    flow.checked(checked.step, checked.attempt, wrong, StepRecord::default())
                        .expect("awaited");
                    line.push(format!("check {}", checked.name));
                }
                FlowEffect::Drop { step } => {
                    line.push(format!("drop {}", flow.name(step)));
                    open.retain(|asked| asked.step != step);
                }
            }
        }
        if !line.is_empty() {
            lines.push(line.join(" | "));
        }
        if flow.end().is_some() {
            return (lines, flow);
        }
        if open.is_empty() {
            assert!(!flow.steps.iter().all(|step| step.state == flow::State::Waiting), "stuck: {lines:?}");
            continue;
        }
        let asked = open.remove(0);
        match says(&asked) {
            Ok(output) => flow
                .answered(asked.step, asked.attempt, StepAnswer { output, record: StepRecord::default() })
                .expect("awaited"),
            Err(code) => flow
                .failed(
                    asked.step,
                    asked.attempt,
                    StepFailure::new(&code, "it failed"),
                    StepRecord::default(),
                )
                .expect("awaited"),
        }
    }
}

fn bracketed(asked: &AskedStep) -> String {
    format!("[{}]", asked.name)
}

#[track_caller]
fn check(document: &Value, lines: &[&str], end: &str) {
    let (asked, flow) = play(document, "go", |asked| Ok(bracketed(asked)));
    assert_eq!(asked, lines);
    assert_eq!(flow.end(), Some(FlowEnd::Done(end.to_owned())));
}

#[test]
fn each_step_of_a_sequence_sees_what_was_said_before() {
    check(
        &json!({"sequence": [
            {"name": "research", "model": "m", "input": "look into {{input}}"},
            {"name": "analysis", "agent": "analyst", "input": "{{ steps.research.output }} of {{input}}"},
            {"name": "report", "model": ["a", "b"]},
        ]}),
        &["research=look into go", "analysis=[research] of go", "report=[analysis]"],
        "[report]",
    );
}

#[test]
fn branches_are_asked_side_by_side_and_put_together() {
    check(
        &json!({"parallel": {
            "branches": [{"name": "a", "model": "m"}, {"name": "b", "model": "m", "input": "b of {{input}}"}, {"name": "c", "model": "m"}],
            "synthesis": {"name": "all", "model": "m", "input": "{{branches}} + {{steps.b.output}}"},
        }}),
        &["a=go | b=b of go | c=go", "all=## a\n\n[a]\n\n## b\n\n[b]\n\n## c\n\n[c] + [b]"],
        "[all]",
    );
}

#[test]
fn no_more_branches_run_than_may() {
    let branch = |name: &str| json!({"name": name, "model": "m"});
    check(
        &json!({"parallel": {"branches": [branch("a"), branch("b"), branch("c")], "max_parallel": 2}}),
        &["a=go | b=go", "c=go"],
        "## a\n\n[a]\n\n## b\n\n[b]\n\n## c\n\n[c]",
    );
}

#[test]
fn steps_stand_in_each_other_and_workflows_too() {
    check(
        &json!({"sequence": [
            {"name": "first", "workflow": "inner", "input": "of {{input}}"},
            {"name": "both", "input": "see {{steps.first.output}}", "parallel": {"branches": [
                {"name": "x", "model": "m"}, {"name": "y", "model": "m", "input": "{{steps.first.output}}"},
            ]}},
        ]}),
        &["first/a=inner of go", "both/x=see [first/a] | both/y=[first/a]"],
        "## x\n\n[both/x]\n\n## y\n\n[both/y]",
    );
}

fn three(on_error: &Value, synthesis: bool) -> Value {
    let mut parallel = json!({"branches": [
        {"name": "a", "model": "m"}, {"name": "b", "model": "m"}, {"name": "c", "model": "m"},
    ]});
    if synthesis {
        parallel["synthesis"] = json!({"name": "all", "model": "m", "input": "{{branches}}"});
    }
    for (key, value) in on_error.as_object().expect("members") {
        parallel[key] = value.clone();
    }
    json!({ "parallel": parallel })
}

/// How it ends when these of three branches fail.
#[track_caller]
fn fails(on_error: &Value, failing: &[&str], code: Option<&str>) -> Vec<String> {
    let (lines, flow) = play(&three(on_error, true), "go", |asked| {
        if failing.contains(&asked.name.as_str()) { Err("upstream".to_owned()) } else { Ok(bracketed(asked)) }
    });
    let found = match flow.end() {
        Some(FlowEnd::Failed(failure)) => Some(failure.code),
        _ => None,
    };
    assert_eq!(found.as_deref(), code, "{on_error} {failing:?}");
    lines
}

#[test]
fn a_branch_that_fails_does_as_declared() {
    let lines = fails(&json!({}), &["a"], Some("branch_failed"));
    assert_eq!(lines[1], "drop b | drop c");
    let lines = fails(&json!({"on_branch_error": "skip"}), &["b"], None);
    assert_eq!(lines[1], "all=## a\n\n[a]\n\n## b\n\n(no answer)\n\n## c\n\n[c]");
    fails(&json!({"on_branch_error": "skip"}), &["a", "b", "c"], Some("branch_failed"));
    // More than half, where nobody says how many.
    fails(&json!({"on_branch_error": "quorum"}), &["a"], None);
    fails(&json!({"on_branch_error": "quorum"}), &["a", "b"], Some("quorum_missed"));
    fails(&json!({"on_branch_error": "quorum", "quorum": 3}), &["c"], Some("quorum_missed"));
}

fn ballot(tie: &str) -> Value {
    json!({"consensus": {
        "voters": [{"name": "a", "model": "m"}, {"name": "b", "model": "m"}, {"name": "c", "model": "m"}],
        "judge": {"name": "judge", "model": "m"},
        "tie": tie,
    }})
}

/// The vote that counts, who chose it, and how it ended.
#[track_caller]
fn chosen(tie: &str, votes: [&str; 3], judge: Result<&str, &str>, expected: Option<(&str, ChoiceBy)>) {
    let (_, flow) = play(&ballot(tie), "which?", |asked| match asked.name.as_str() {
        "judge" => judge.map(ToOwned::to_owned).map_err(ToOwned::to_owned),
        "a" => Ok(votes[0].to_owned()),
        "b" => Ok(votes[1].to_owned()),
        _ => Ok(votes[2].to_owned()),
    });
    let choice = flow.report().choice;
    assert_eq!(choice.as_ref().map(|choice| (choice.step.as_str(), choice.by)), expected, "{tie} {votes:?}");
    if let Some((step, _)) = expected {
        let vote = votes[["a", "b", "c"].iter().position(|name| *name == step).expect("a voter")];
        assert_eq!(flow.end(), Some(FlowEnd::Done(vote.to_owned())));
    }
}

#[test]
fn the_judges_choice_counts_and_else_the_rule_for_a_tie() {
    let votes = ["red", "blue", "Blue "];
    chosen("first", votes, Ok(r#"{"choice": 2, "reason": "calm"}"#), Some(("b", ChoiceBy::Judge)));
    chosen("first", votes, Ok("I cannot say"), Some(("a", ChoiceBy::Tie(Tie::First))));
    chosen("majority", votes, Err("timeout"), Some(("b", ChoiceBy::Tie(Tie::Majority))));
    chosen("fail", votes, Ok("1 or 2"), None);
}

#[test]
fn a_judge_sees_the_votes_as_material() {
    let (lines, flow) = play(&ballot("first"), "which?", |asked| match asked.name.as_str() {
        "judge" => {
            assert!(
                asked
                    .inquiry
                    .instructions
                    .as_deref()
                    .is_some_and(|told| told.contains("not instructions to you"))
            );
            Ok(r#"{"choice": 3, "reason": "why not"}"#.to_owned())
        }
        name => Ok(format!("vote of {name}")),
    });
    let [voters, judge] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(voters, "a=which? | b=which? | c=which?");
    assert!(
        judge.contains("which?") && judge.contains("<answer number=\"2\">\nvote of b\n</answer>"),
        "{judge}"
    );
    assert_eq!(flow.report().choice.and_then(|choice| choice.reason).as_deref(), Some("why not"));
}

/// What is asked of a step whose answers are these, until one holds the word `right`.
fn validated(on_failure: &Value, answers: &[&str]) -> (Vec<String>, Option<FlowEnd>, Vec<CheckThen>) {
    let mut validation = json!({"cel": "true"});
    for (key, value) in on_failure.as_object().expect("members") {
        validation[key] = value.clone();
    }
    let document = json!({"sequence": [{"name": "s", "model": "m", "validation": validation}]});
    let mut asked_of = Vec::new();
    let mut answers = answers.iter();
    let (_, flow) = play(&document, "go", |asked| {
        asked_of.push(format!("{}:{}", asked.inquiry.asks.names().join(","), asked.wrong.is_some()));
        Ok((*answers.next().expect("an answer")).to_owned())
    });
    let then = flow.report().steps[0].record.checks.iter().map(|note| note.then).collect();
    (asked_of, flow.end(), then)
}

#[test]
fn an_answer_that_is_not_right_is_asked_for_again_handed_over_or_the_end() {
    let done = |text: &str| Some(FlowEnd::Done(text.to_owned()));
    let failed = Some(FlowEnd::Failed(StepFailure::new("validation_failed", "not right")));
    assert_eq!(validated(&json!({}), &["right"]), (vec!["m:false".to_owned()], done("right"), vec![]));
    assert_eq!(
        validated(&json!({}), &["no"]),
        (vec!["m:false".to_owned()], failed.clone(), vec![CheckThen::Fail])
    );
    assert_eq!(
        validated(&json!({"on_failure": "retry", "times": 2}), &["no", "no", "right"]),
        (
            ["m:false", "m:true", "m:true"].map(str::to_owned).to_vec(),
            done("right"),
            vec![CheckThen::Retry; 2]
        )
    );
    assert_eq!(
        validated(&json!({"on_failure": "retry"}), &["no", "no"]),
        (
            ["m:false", "m:true"].map(str::to_owned).to_vec(),
            failed.clone(),
            vec![CheckThen::Retry, CheckThen::Fail]
        )
    );
    assert_eq!(
        validated(&json!({"on_failure": "handoff", "to": "agent/editor"}), &["no", "right"]),
        (
            ["m:false", "agent/editor:true"].map(str::to_owned).to_vec(),
            done("right"),
            vec![CheckThen::Handoff]
        )
    );
    assert_eq!(validated(&json!({"on_failure": "handoff", "to": "n"}), &["no", "no"]).1, failed);
}

#[test]
fn variables_come_from_the_run_or_from_the_workflow() {
    let document = json!({
        "context": {"audience": "engineers", "topic": null},
        "sequence": [{"name": "s", "model": "m", "input": "{{context.topic.name}} for {{context.audience}} {{context.topic.tags}}"}],
    });
    let context = |value: Value| if let Value::Object(context) = value { context } else { Map::new() };
    let workflow = read(&document).expect("a workflow");
    let missing = Flow::begin(workflow.clone(), "go", Map::new()).expect_err("a variable is missing");
    assert_eq!(missing.path, "context.topic");
    let given = context(json!({"topic": {"name": "bees", "tags": ["a", 1]}}));
    let mut flow = Flow::begin(workflow, "go", given).expect("a beginning");
    let effects = flow.due();
    let Some(FlowEffect::Ask(asked)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(asked.input, r#"bees for engineers ["a",1]"#);
    // What a run brings is known when its own workflow is read.
    let inline = json!({"sequence": [{"name": "s", "model": "m", "input": "{{context.user}}"}]});
    let brings = context(json!({"user": "ann"}));
    assert!(Workflow::read("inline", &inline, Around { others: &[], context: Some(&brings) }).is_ok());
    assert!(read(&inline).is_err());
}

#[test]
fn a_workflow_that_comes_back_to_itself_is_refused_with_its_place() {
    mistakes(
        &json!({"sequence": [{"name": "a", "model": "m"}, {"name": "b", "workflow": "ping"}]}),
        &["sequence[1].workflow: a workflow cannot refer to itself: main → ping → pong → ping"],
    );
    mistakes(
        &json!({"sequence": [{"name": "a", "workflow": "main"}]}),
        &["sequence[0].workflow: a workflow cannot refer to itself: main → main"],
    );
    mistakes(
        &json!({"sequence": [{"name": "a", "workflow": "bad"}]}),
        &[
            "sequence[0].workflow: the workflow `bad` has a mistake: expected the name of a model, or a list of them",
        ],
    );
}

#[test]
fn a_template_names_what_is_there() {
    let step = |input: &str| json!({"sequence": [{"name": "first", "model": "m"}, {"name": "s", "model": "m", "input": input}]});
    mistakes(
        &step("{{steps.frist.output}}"),
        &["sequence[1].input: no step `frist` has answered by then (did you mean `steps.first.output`?)"],
    );
    mistakes(&step("{{steps.s.output}}"), &["sequence[1].input: no step `s` has answered by then"]);
    mistakes(
        &step("{{user}}"),
        &[
            "sequence[1].input: there is no variable `user` (there are `input`, `steps.<name>.output` and `context.<name>`)",
        ],
    );
    mistakes(
        &step("{{context.x}}"),
        &["sequence[1].input: there is no variable `context.x` (declare it under `context` of the workflow)"],
    );
    mistakes(&step("{{input"), &["sequence[1].input: `{{` is not closed by `}}`"]);
    mistakes(&step("{{ }}"), &["sequence[1].input: there is no name between `{{` and `}}`"]);
    mistakes(
        &step("{{branches}}"),
        &[
            "sequence[1].input: there is no variable `branches` (there are `input`, `steps.<name>.output` and `context.<name>`)",
        ],
    );
    // A branch does not see another.
    let side = json!({"parallel": {"branches": [{"name": "a", "model": "m"}, {"name": "b", "model": "m", "input": "{{steps.a.output}}"}]}});
    mistakes(&side, &["parallel.branches[1].input: no step `a` has answered by then"]);
}

#[test]
fn what_is_no_workflow_is_told_all_at_once() {
    mistakes(&json!({}), &[": expected one of `sequence`, `parallel` and `consensus`"]);
    mistakes(&json!({"sequence": []}), &["sequence: expected at least 1 of them"]);
    mistakes(
        &json!({"sequence": [
            {"model": "m"},
            {"name": "a b", "model": "m"},
            {"name": "x"},
            {"name": "y", "model": "m", "agent": "z"},
            {"name": "z", "model": 3, "inputs": "x", "settings": {"stream": true}},
        ]}),
        &[
            "sequence[0]: `name` is missing",
            "sequence[1].name: this is not a name of a step (letters, digits, `-` and `_`, at most 64)",
            "sequence[2]: it does not say whom to ask (give it one of `model`, `models`, `agent`, `workflow`, `sequence`, `parallel`, `consensus`)",
            "sequence[3]: it has several forms (give it one of `model`, `models`, `agent`, `workflow`, `sequence`, `parallel`, `consensus`)",
            "sequence[4].inputs: unknown key (did you mean `input`?)",
            "sequence[4].model: expected the name of a model, or a list of them",
            "sequence[4].settings.stream: a step cannot set this member of a request",
        ],
    );
    mistakes(
        &json!({"parallel": {"branches": [{"name": "a", "model": "m"}, {"name": "a", "model": "m"}], "max_parallel": 0, "quorum": 2}}),
        &[
            "parallel.branches[1].name: a step before is called `a` already",
            "parallel.max_parallel: expected a whole number from 1 to 32",
            "parallel.quorum: nobody asks for a quorum (set `on_branch_error: quorum`)",
        ],
    );
    let mut untied = ballot("first");
    untied["consensus"]["tie"] = Value::Null;
    mistakes(
        &untied,
        &[
            "consensus.tie: the rule for a tie is missing (which vote counts where the judge names none: `first`, `majority` or `fail`)",
        ],
    );
    let twice = json!({"sequence": [{"name": "a", "workflow": "wide"}, {"name": "b", "workflow": "wide"}]});
    assert!(read(&twice).expect_err("too many").iter().any(|it| it.message == "it has more than 100 steps"));
}

#[test]
fn what_nobody_waits_for_is_not_taken() {
    let workflow = read(&three(&json!({}), false)).expect("a workflow");
    let mut flow = Flow::begin(workflow, "go", Map::new()).expect("a beginning");
    let answer = || StepAnswer { output: "x".to_owned(), record: StepRecord::default() };
    assert_eq!(flow.answered(1, 1, answer()), Err(NotAwaited));
    flow.due();
    assert_eq!(flow.answered(1, 2, answer()), Err(NotAwaited));
    assert_eq!(flow.answered(1, 1, answer()), Ok(()));
    assert_eq!(flow.answered(1, 1, answer()), Err(NotAwaited));
    assert_eq!(flow.answered(99, 1, answer()), Err(NotAwaited));
    flow.end_with(StepFailure::new("budget_reached", "the budget is used up"));
    assert_eq!(flow.answered(2, 1, answer()), Err(NotAwaited));
    assert!(flow.due().is_empty());
}

/// What may happen to a step, by number.
fn fate() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..60)
}

fn nested() -> impl Strategy<Value = Value> {
    let validation = prop_oneof![
        Just(Value::Null),
        Just(json!({"cel": "true", "on_failure": "retry", "times": 2})),
        Just(json!({"cel": "true", "on_failure": "handoff", "to": "n"})),
    ];
    let ask = validation.prop_map(|validation| json!({"model": "m", "validation": validation}));
    ask.prop_recursive(3, 24, 4, |inner| {
        let many = proptest::collection::vec(inner, 2..4);
        let on_error = prop_oneof![Just("fail"), Just("skip"), Just("quorum")];
        let tie = prop_oneof![Just("first"), Just("majority"), Just("fail")];
        let judge = json!({"name": "judge", "model": "m"});
        prop_oneof![
            many.clone().prop_map(move |steps| json!({"sequence": steps})),
            (many.clone(), on_error.clone(), 1_usize..4).prop_map(move |(steps, on_error, most)| {
                json!({"parallel": {"branches": steps, "on_branch_error": on_error, "max_parallel": most,
                    "synthesis": {"name": "all", "model": "m"}}})
            }),
            (many, on_error, tie).prop_map(move |(steps, on_error, tie)| {
                json!({"consensus": {"voters": steps, "on_branch_error": on_error, "judge": judge.clone(), "tie": tie}})
            }),
        ]
    })
    .prop_map(|mut step| {
        named(&mut step, &mut 0);
        json!({"sequence": [step]})
    })
}

/// Gives every step within a name that no other has.
fn named(step: &mut Value, count: &mut u32) {
    if let Value::Object(members) = step {
        let is_step =
            ["model", "sequence", "parallel", "consensus"].iter().any(|form| members.contains_key(*form));
        if is_step {
            *count += 1;
            members.insert("name".to_owned(), json!(format!("s{count}")));
        }
        members.values_mut().for_each(|member| named(member, count));
    } else if let Value::Array(items) = step {
        items.iter_mut().for_each(|item| named(item, count));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is answered, in whatever order, written down and taken up in between: it ends, nothing is asked
    /// twice, and nobody is left waiting.
    #[test]
    fn every_workflow_ends_and_asks_once_for_each_attempt(document in nested(), fates in fate()) {
        let workflow = read(&document).expect("a workflow");
        let nodes = workflow.nodes.len();
        let mut flow = Flow::begin(workflow, "go", Map::new()).expect("a beginning");
        let mut fates = fates.into_iter().cycle();
        let mut asked_of = std::collections::HashSet::new();
        let mut open: Vec<FlowEffect> = Vec::new();
        let mut rounds = 0;
        let mut resumed = 0;
        while flow.end().is_none() {
            rounds += 1;
            prop_assert!(rounds < nodes * 20 + 200, "it does not end");
            for effect in flow.due() {
                match &effect {
                    FlowEffect::Ask(asked) => {
                        prop_assert!(asked_of.insert((asked.step, asked.attempt)), "asked twice");
                        open.push(effect);
                    }
                    FlowEffect::Check(_) => open.push(effect),
                    FlowEffect::Drop { step } => {
                        let step = *step;
                        let before = open.len();
                        open.retain(|effect| !matches!(effect,
                            FlowEffect::Ask(asked) if asked.step == step) && !matches!(effect,
                            FlowEffect::Check(checked) if checked.step == step));
                        prop_assert_eq!(open.len() + 1, before, "what is dropped was under way");
                    }
                }
            }
            if flow.end().is_some() {
                break;
            }
            prop_assert!(!open.is_empty(), "nobody is asked, and it has not ended");
            let fate = fates.next().unwrap_or_default();
            if fate % 11 == 0 && resumed < 5 {
                resumed += 1;
                let written = serde_json::to_string(&flow).expect("JSON");
                flow = serde_json::from_str(&written).expect("the same");
                for effect in open.drain(..) {
                    if let FlowEffect::Ask(asked) = effect {
                        asked_of.remove(&(asked.step, asked.attempt));
                    }
                }
                flow.resume();
                prop_assert_eq!(flow.under_way().count(), 0, "nothing is under way any more");
                continue;
            }
            match open.swap_remove(usize::from(fate) % open.len()) {
                FlowEffect::Ask(asked) if fate % 4 == 0 => {
                    let failure = StepFailure::new("upstream", "it failed");
                    prop_assert!(flow.failed(asked.step, asked.attempt, failure, StepRecord::default()).is_ok());
                }
                FlowEffect::Ask(asked) => {
                    let answer = StepAnswer { output: format!("{}", fate % 5), record: StepRecord::default() };
                    prop_assert!(flow.answered(asked.step, asked.attempt, answer).is_ok());
                }
                FlowEffect::Check(checked) => {
                    let wrong = (fate % 3 == 0).then(|| "wrong".to_owned());
                    prop_assert!(flow.checked(checked.step, checked.attempt, wrong, StepRecord::default()).is_ok());
                }
                FlowEffect::Drop { .. } => {}
            }
        }
        prop_assert!(flow.due().is_empty(), "nothing is asked after the end");
    }
}
