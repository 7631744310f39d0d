use baton_model::Target;
use proptest::prelude::*;

use super::*;
use crate::{
    Asked, Candidate, Complexity, Context, Current, DeclaredTask, HandoffBy, RunInputs, TaskKind,
    TaskReading, Variable,
};

#[test]
fn the_kind_of_task_is_compared() {
    check("task.kind == 'code'", "yes");
    check("task.kind != 'code'", "no");
    check("task.kind in ['writing', 'code']", "yes");
    check("task.kind in ['writing', 'chat']", "no");
    check("!(task.kind in ['writing', 'chat'])", "yes");
    check("task.complexity == 'simple' && task.confidence >= 0.8", "yes");
    check("task.declared", "no");
    check("task.code > 0.2 && task.math == 0.0", "yes");
    check("task.languages == ['en', 'de'] && task.languages[0] == 'en'", "yes");
}

#[test]
fn the_request_is_looked_at() {
    check("request.surface == '/v1/chat/completions'", "yes");
    check("request.stream", "yes");
    check("request.input_tokens > 1000 && request.input_tokens <= 1200", "yes");
    check("request.tools == 2 && request.messages == 3", "yes");
    check("request.images || request.audio || request.structured_output", "no");
    check("request.logprobs == false && !request.reasoning", "yes");
    check("'vip' in request.tags", "yes");
    check("request.tags.exists(tag, tag.startsWith('vi'))", "yes");
    check("request.tags.all(tag, tag.size() == 3)", "no");
    check("request.tags.exists_one(tag, tag == 'vip')", "yes");
    check("request.tags.filter(tag, tag != 'vip') == ['beta']", "yes");
    check("size(request.tags.map(tag, tag.size())) == 2", "yes");
    check("'openai/gpt-4o' in request.candidates", "yes");
    check("request.candidates.size() == 2", "yes");
}

#[test]
fn models_that_only_a_rule_may_use_are_no_candidates() {
    check("'openai/o3' in request.candidates", "no");
}

#[test]
fn key_turn_and_time_are_looked_at() {
    check("key.id == 'key_1' && turn.number == 2", "yes");
    check("time.hour == 22 && time.minute == 13 && time.weekday == 2", "yes");
    check("time.unix >= 1700000000", "yes");
    check("time.hour >= 22 || time.hour < 6", "yes");
}

#[test]
fn the_run_is_looked_at() {
    check("run.turn == 3 && run.hop == 2 && run.handoffs == 1 && run.tools_done", "yes");
    check("run.model == 'openai/gpt-4o'", "yes");
    check("run.model.startsWith('anthropic/') || run.model == ''", "no");
}

#[test]
fn before_a_run_has_begun_it_is_at_its_first_turn_and_with_nobody() {
    let first = "run.turn == 1 && run.hop == 1 && run.handoffs == 0 && !run.tools_done && run.model == ''";
    let mut inputs = inputs();
    (inputs.run, inputs.current) = (None, None);
    inputs.context.as_mut().unwrap().turn = 1;
    assert_eq!(set(&[first]).unwrap().first_match(&inputs), Some(0));
    // A conversation that goes on is with whom it was with.
    inputs.current = Some(Current { target: "openai/o3".parse().unwrap(), cached_tokens: 0 });
    assert_eq!(set(&[first, "run.model == 'openai/o3'"]).unwrap().first_match(&inputs), Some(1));
}

/// A name of theirs that became a variable of ours stays theirs: a policy of then is still read.
#[test]
fn the_entries_of_a_list_may_be_called_run() {
    check("request.tags.exists(run, run == 'vip')", "yes");
    check("request.tags.exists(run, run == 'vip') && run.turn == 3", "yes");
    refused("request.tags.exists(run, run.turn == 3)", "1:30 `run` has no members");
    refused("request.tags.exists(key, key == 'vip')", "1:21 `key` has a meaning already (take another name)");
}

#[test]
fn a_variable_that_is_missing_is_null() {
    check("context.tier == 'gold'", "yes");
    check("context.plan == 'gold'", "no");
    check("context.plan != 'gold'", "yes");
    check("context.plan == null && !has(context.plan)", "yes");
    check("has(context.tier) && context['user-seats'] == 5", "yes");
    check("context.seats > 3", "fails: `>` cannot take null and a number");
    check("context.seats > 3 || true", "yes");
    check("has(context.seats) && context.seats > 3", "no");
    check("request.max_output_tokens == null", "yes");
    check("request.max_output_tokens < 10", "fails: `<` cannot take null and a number");
    check("request.max_output_tokens in [100, 200]", "no");
}

#[test]
fn a_value_of_another_kind_does_not_match() {
    check("context.beta", "yes");
    check("context.tier", "fails: it gives a text, not true or false");
    check("context.tier && true", "fails: `&&` cannot take a text and true or false");
    check("!context.tier", "fails: `!` cannot take a text");
    check("context.tier > 3", "fails: `>` cannot take a text and a number");
    check("context.tier.startsWith('go')", "yes");
    check("context.ratio.startsWith('go')", "fails: `startsWith` cannot take a number and a text");
    check("context.ratio.matches('go')", "fails: `matches` cannot take a number");
    check("context.ratio == 0.5 && context.ratio != 'x'", "yes");
    check("context.tier + 1 > 2", "fails: `add` cannot take a text and a number");
    check("size(context.ratio) > 2", "fails: `size` cannot take a number");
}

#[test]
fn numbers_are_worked_out() {
    check("request.input_tokens * 2 - 400 == 2000", "yes");
    check("request.input_tokens / request.tools == 600", "yes");
    check("request.input_tokens / (request.tools - 2) > 1", "fails: a number is divided by zero");
    check("request.input_tokens % (request.tools - 2) > 1", "fails: a number is divided by zero");
    check("request.input_tokens * 9000000000000000000 > 1", "fails: a number becomes too large");
    check("double(request.input_tokens) * 1.5 == 1800.0", "yes");
    check("-request.tools < -1", "yes");
    check("request.candidates[7] == 'x'", "fails: a list has no entry at this place");
    check("(request.tools > 1 ? request.messages : 0) == 3", "yes");
}

#[test]
fn texts_are_matched() {
    check("key.id.matches('^key_[0-9]+$')", "yes");
    check("key.id.matches('^[0-9]+$') || key.id.endsWith('_1')", "yes");
    check("request.tags.exists(tag, tag.matches('^v.p$'))", "yes");
    check("key.id.contains('ey')", "yes");
}

#[test]
fn an_empty_expression_always_holds() {
    check("", "yes");
    check("  \n", "yes");
    check("true", "yes");
}

#[test]
fn an_expression_may_have_lines_and_remarks() {
    check("task.kind == 'code' // so it's\n  && request.stream", "yes");
    check("((((((((key.id != '((((((((((' // (((((((((\n))))))))", "yes");
}

#[test]
fn what_nobody_read_is_unknown() {
    let rules = ["task.kind == 'unknown' && task.complexity == 'unknown' && task.confidence == 0.0"];
    assert_eq!(set(&rules).unwrap().first_match(&Inputs::default()), Some(0));
}

#[test]
fn a_declared_kind_is_certain() {
    let mut inputs = inputs();
    inputs.features.declared_task = Some(DeclaredTask::Kind(TaskKind::Research));
    let rules = set(&["task.declared && task.kind == 'research' && task.confidence == 1.0"]).unwrap();
    assert_eq!(rules.first_match(&inputs), Some(0));
}

#[test]
fn a_declared_kind_that_is_none_of_ours_is_unknown() {
    let mut inputs = inputs();
    inputs.features.declared_task = Some(DeclaredTask::Other);
    let rules = set(&["task.declared && task.kind == 'unknown' && task.confidence == 0.0"]).unwrap();
    assert_eq!(rules.first_match(&inputs), Some(0));
}

#[test]
fn lists_are_seen_up_to_a_limit() {
    let mut inputs = inputs();
    let candidate = inputs.candidates[0].clone();
    inputs.candidates = vec![candidate; 300];
    let rules = set(&["request.candidates.size() == 256"]).unwrap();
    assert_eq!(rules.first_match(&inputs), Some(0));
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused("task.knd == 'code'", "1:6 `task` has no member `knd` (write `task.kind`)");
    refused("tsk.kind == 'code'", "1:1 unknown variable `tsk` (write `task`)");
    refused("kind == 'code'", "1:1 unknown variable `kind` (write `task.kind`)");
    refused("request.stream && task.hour > 3", "1:24 `task` has no member `hour` (write `time.hour`)");
    refused("key.colour == 'x'", "1:5 `key` has no member `colour` (there are id)");
    refused("task == 'code'", "1:1 `task` is no value, its members are (write `task.kind`)");
    refused("'x' in context", "1:8 `context` is no value, its members are (write `context.name`)");
    refused("task.kind.size == 3", "1:11 a text has no member `size`");
    refused("model == 'x'", "1:1 unknown variable `model` (write `run.model`)");
    refused("run.hops > 1", "1:5 `run` has no member `hops` (write `run.hop`)");
}

#[test]
fn unknown_functions_are_refused_with_the_nearest() {
    refused("key.id.startWith('x')", "1:8 unknown function `startWith` (write `value.startsWith(…)`)");
    refused("sise(key.id) > 2", "1:1 unknown function `sise` (write `size(…)`)");
    refused(
        "string(request.tools) == '2'",
        "1:1 unknown function `string` (there are has, size, int, double, startsWith, endsWith, contains, matches, size, exists, all, exists_one, map, filter)",
    );
}

#[test]
fn unknown_words_are_refused_with_the_nearest() {
    refused("task.kind == 'writng'", "1:14 `task.kind` is never `writng` (write `writing`)");
    refused("task.kind == 'coding'", "1:14 `task.kind` is never `coding` (write `code`)");
    refused("task.kind != 'Code'", "1:14 `task.kind` is never `Code` (write `code`)");
    refused("'summarize' == task.kind", "1:1 `task.kind` is never `summarize` (write `summarise`)");
    refused("task.kind in ['chat', 'wrting']", "1:23 `task.kind` is never `wrting` (write `writing`)");
    refused(
        "task.complexity == 'hard'",
        "1:20 `task.complexity` is never `hard` (there are simple, moderate, complex, unknown)",
    );
    refused(
        "request.surface == '/v1/mesages'",
        "1:20 `request.surface` is never `/v1/mesages` (write `/v1/messages`)",
    );
}

#[test]
fn kinds_that_do_not_fit_are_refused() {
    refused("request.input_tokens", "1:1 a rule is true or false, this is a whole number");
    refused("'code'", "1:1 a rule is true or false, this is a text");
    refused("request.input_tokens == '12'", "1:1 a whole number is never a text");
    refused("task.kind == null", "1:1 a text is never null");
    refused("task.kind > 3", "1:1 `>` cannot put a text and a whole number in order");
    refused("request.tools && true", "1:1 `&&` needs true or false, this is a whole number");
    refused("!task.kind", "1:1 `!` needs true or false, this is a text");
    refused("task.kind + 'x' == 'codex'", "1:1 `+` needs numbers, this is a text");
    refused(
        "task.confidence * 2 > 1",
        "1:1 `*` needs two numbers of one kind, not a fraction and a whole number (write `double(…)` around the whole number)",
    );
    refused("3 in request.tags", "1:1 a whole number is never in this list, its entries are a text");
    refused("task.kind in 'code'", "1:14 `in` needs a list, this is a text");
    refused("request.tags['x'] == 'y'", "1:14 the place in a list is a number, this is a text");
    refused("request.tags.exists(tag, tag == 3)", "1:26 a text is never a whole number");
    refused("request.tags.exists(tag, tag)", "1:26 `exists` needs true or false, this is a text");
    refused("task.kind.exists(x, x == 'a')", "1:1 `exists` needs a list, this is a text");
    refused(
        "request.tags.exists(task, task == 'a')",
        "1:21 `task` has a meaning already (take another name)",
    );
    refused("has('x')", "1:5 `has` needs a member (write `has(context.name)`)");
    refused("request.tools == 1u", "1:18 numbers are written without `u` (write `1`)");
    refused("{'a': true}.a", "1:1 a rule has no use for `{…}`");
    refused("1 / 0 == request.tools", "1:1 this has no value: a number is divided by zero");
}

#[test]
fn what_cannot_be_bounded_is_refused() {
    refused(
        "request.tags.exists(a, request.tags.exists(b, a == b))",
        "1:37 `exists` cannot stand within or behind another such call",
    );
    refused(
        "request.tags.map(a, a).exists(b, b == 'x')",
        "1:24 `exists` cannot stand within or behind another such call",
    );
    refused(
        "key.id.matches(context.pattern)",
        "1:16 the pattern of `matches` is fixed when the policy is loaded (write the pattern in quotes)",
    );
    refused("key.id.matches('(')", "1:16 the pattern cannot be read: unclosed group");
    refused("key.id.matches('(a{1000}){1000}')", "1:16 the pattern is too large");
    refused(&"a".repeat(2001), "1:1 the expression has 2001 bytes, the limit is 2000");
    let long = vec!["request.stream"; 90].join("||");
    refused(&long, "1:1 the expression has 269 parts, the limit is 200");
    let long = vec!["1"; 60].join("+") + " > request.tools";
    refused(&long, "1:1 the expression is nested 61 deep, the limit is 40");
    let deep = "(".repeat(300) + "true" + &")".repeat(300);
    refused(&deep, "1:9 the limit of brackets within each other is 8");
    let deep = "request.stream ? true : ".repeat(20) + "false";
    refused(&deep, "1:1 the expression is nested too deeply");
}

#[test]
fn what_is_no_expression_is_refused() {
    refused("task.kind = 'code'", "1:11 `=` is not expected here (write `==`)");
    refused("request.stream and task.declared", "1:16 `and` is not expected here (write `&&`)");
    refused("task.kind ==", "1:13 the expression ends too early");
    refused("request.stream\n  && task.kind ==", "2:18 the expression ends too early");
    refused("'ä' == task.kind && §", "1:21 `§` is not expected here");
}

#[test]
fn the_place_is_inside_the_expression() {
    refused("request.stream\n  && task.knd == 'x'", "2:11 `task` has no member `knd` (write `task.kind`)");
    refused("key.id == 'äöü' && task.knd == 'x'", "1:25 `task` has no member `knd` (write `task.kind`)");
    refused("'äöü' == key.id\n && 'ä' == key.id && tsk.x", "2:22 unknown variable `tsk` (write `task`)");
}

#[test]
fn every_mistake_of_every_rule_is_found() {
    let mistakes = set(&["task.knd == turn.x", "true", "task.kind == 'coding'"]).unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|found| (found.rule, found.line, found.column)).collect();
    assert_eq!(places, [(0, 1, 6), (0, 1, 18), (2, 1, 14)]);
}

#[test]
fn a_rule_that_can_never_match_is_refused() {
    never("false", "1:1 this is always false");
    never("1 > 2", "1:1 this is always false");
    never("request.stream && 'a' == 'b'", "1:19 this is always false");
    never("task.kind == 'code' && task.kind == 'chat'", "1:24 it leaves no value for `task.kind`");
    never(
        "task.kind == 'code' && !(task.kind in ['chat', 'code'])",
        "1:24 it leaves no value for `task.kind`",
    );
    never("task.confidence > 2", "1:1 `task.confidence` is between 0 and 1");
    never("task.confidence < 0.0", "1:1 `task.confidence` is between 0 and 1");
    never("time.hour > 23", "1:1 `time.hour` is between 0 and 23");
    never("24 == time.hour", "1:1 `time.hour` is between 0 and 23");
    never("time.weekday in [0, 8]", "1:1 `time.weekday` is between 1 and 7");
    never("time.hour > 4 && time.hour < 5", "1:18 it leaves no value for `time.hour`");
    never("time.hour >= 22 && time.hour < 6", "1:20 it leaves no value for `time.hour`");
    never("turn.number == 0", "1:1 `turn.number` is never below 1");
    never("context.tier == 'gold' && context.tier == 'silver'", "1:27 it leaves no value for `context.tier`");
    never("context.tier == 'gold' && !has(context.tier)", "1:27 it leaves no value for `context.tier`");
    never("context.seats > 5 && context.seats == 'x'", "1:22 it leaves no value for `context.seats`");
    never("request.stream && !request.stream", "1:19 it leaves no value for `request.stream`");
    never("request.tools in []", "1:1 the list is empty");
    never("request.stream ? task.confidence > 2 : false", "1:18 `task.confidence` is between 0 and 1");
    never(
        "(task.kind == 'code' || task.kind == 'chat') && task.kind == 'research'",
        "1:49 it leaves no value for `task.kind`",
    );
}

#[test]
fn what_may_match_is_not_refused() {
    for fine in [
        "time.hour > 4 && time.hour < 6",
        "task.confidence > 0.4 && task.confidence < 0.5",
        "context.tier != 'gold' && context.tier != 'silver'",
        "context.n > 4 && context.n < 5",
        "task.kind == 'code' || task.kind == 'chat' && time.hour > 12",
        "task.confidence > 2 || request.stream",
        "request.max_output_tokens == null || request.max_output_tokens > 10",
        "request.input_tokens > 9007199254740993 && request.input_tokens < 9007199254740995",
    ] {
        assert!(set(&[fine]).is_ok(), "{fine}");
    }
}

#[test]
fn a_rule_behind_one_that_takes_all_of_its_requests_is_refused() {
    let hidden = |rules: &[&str]| set(rules).unwrap_err().iter().map(show).collect::<Vec<_>>().join("; ");
    let first = "1:1 the rule is never reached: `rule 0` before it always matches first";
    assert_eq!(hidden(&["true", "request.stream"]), first);
    assert_eq!(hidden(&["", "request.stream"]), first);
    assert_eq!(hidden(&["task.confidence >= 0.0", "request.stream"]), first);
    assert_eq!(hidden(&["task.kind in ['code', 'chat']", "task.kind == 'code' && request.stream"]), first);
    assert_eq!(hidden(&["time.hour >= 8", "time.hour > 9"]), first);
    assert_eq!(
        hidden(&["request.stream", "!request.stream", "task.kind == 'code'"]),
        "1:1 the rule is never reached: those before it always match first"
    );
    // A rule without a value for some request leaves that request to those behind it.
    assert!(set(&["context.seats > 3", "context.seats > 5"]).is_ok());
    assert!(set(&["context.seats > 3 || context.seats <= 3", "true"]).is_ok());
    assert!(set(&["task.kind == 'code'", "task.kind != 'code'",]).is_ok());
}

#[test]
fn the_first_that_holds_counts() {
    let rules = set(&["task.kind == 'chat'", "context.seats > 3", "request.stream", "true"]).unwrap();
    assert_eq!(rules.first_match(&inputs()), Some(2));
    let outcomes: Vec<_> = rules.trace(&inputs()).into_iter().map(|traced| traced.outcome).collect();
    let failed = RuleOutcome::Failed("`>` cannot take null and a number".to_owned());
    assert_eq!(outcomes, [RuleOutcome::NotMatched, failed, RuleOutcome::Matched, RuleOutcome::Matched]);
    assert_eq!(RuleSet::default().first_match(&inputs()), None);
}

#[test]
fn the_text_is_read_only_for_those_that_look_at_it() {
    let reads = |rule| set(&[rule]).unwrap().reads_task();
    assert!(reads("request.stream && task.kind == 'code'"));
    assert!(reads("task.languages.exists(language, language == 'de')"));
    assert!(!reads("task.declared || request.stream"));
    assert!(!reads("has(context.task)"));
}

#[test]
fn who_has_the_conversation_is_found_out_only_for_those_that_look_at_it() {
    let reads = |rule| set(&[rule]).unwrap().reads_conversation();
    assert!(reads("run.model != ''"));
    assert!(!reads("run.turn > 1 && run.tools_done"));
}

#[test]
fn a_rule_needs_no_expression() {
    let rule: Rule = serde_json::from_str(r#"{"name": "rest", "then": {"stop": true}}"#).unwrap();
    assert_eq!(rule.when, "");
    assert_eq!(serde_json::to_string(&rule).unwrap(), r#"{"name":"rest","then":{"stop":true}}"#);
}

/// The expressions of the guide, and the names it lists.
#[test]
fn the_guide_says_what_is_so() {
    let guide = include_str!("../../../../docs/policies.md");
    let (_, rest) = guide.split_once("\n## Rules\n").or_else(|| guide.split_once("## Rules\n")).unwrap();
    let (_, rest) = rest.split_once("```cel no-run\n").unwrap();
    let (examples, rest) = rest.split_once("```").unwrap();
    for example in examples.lines() {
        assert!(set(&[example]).is_ok(), "{example}");
    }
    for (name, _) in vocabulary::MEMBERS {
        let (root, member) = name.split_once('.').unwrap();
        let row = rest
            .lines()
            .find(|line| line.starts_with(&format!("| `{root}.")) && line.contains(&format!("{member}`")));
        assert!(row.is_some(), "{name}");
    }
    let (_, refused) = rest.split_once("### What is refused").unwrap();
    let refused = refused.split("\n## ").next().unwrap();
    let rows = refused.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut count = 0;
    for (expression, why) in rows {
        let mistake = set(&[expression]).expect_err(expression).remove(0);
        let hint = mistake.hint.clone().unwrap_or_default();
        assert!(why.contains(&mistake.message) || why.contains(&hint), "{expression}: {mistake}");
        count += 1;
    }
    assert_eq!(count, 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_stands_there_is_compiled_or_refused(source in tokens()) {
        match set(&[&source]) {
            Ok(rules) => prop_assert_eq!(rules.trace(&inputs()).len(), 1),
            Err(mistakes) => {
                let lines = u32::try_from(source.split('\n').count()).unwrap();
                prop_assert!(!mistakes.is_empty());
                for found in mistakes {
                    prop_assert!(found.rule == 0 && (1..=lines).contains(&found.line) && found.column >= 1);
                }
            }
        }
    }

    #[test]
    fn what_is_proved_of_an_expression_is_true_of_its_values(
        source in expression(),
        inputs in proptest::collection::vec(any_inputs(), 16),
    ) {
        let (checked, expanded) = compile::read(&source).map_err(|found| TestCaseError::fail(format!("{source}: {found:?}")))?;
        let never = [false, true].map(|wanted| reach::holds(&checked.node, wanted).is_err());
        let expression = evaluate::Expression::new(expanded, &mut Vec::new());
        for inputs in &inputs {
            let value = Scope::new(inputs, &[]).evaluate([&expression]).next().unwrap();
            prop_assert!(checked.node.may_fail || value.is_ok(), "{source} fails: {value:?}");
            if let Ok(is) = value {
                prop_assert!(!never[usize::from(is)], "{source} is {is} for {inputs:?}");
            }
        }
    }

    #[test]
    fn a_rule_that_is_never_reached_is_never_first(
        sources in proptest::collection::vec(expression(), 2..5),
        inputs in proptest::collection::vec(any_inputs(), 16),
    ) {
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let refused: Vec<usize> = set(&sources).err().into_iter().flatten().map(|found| found.rule).collect();
        let expressions: Vec<_> = sources
            .iter()
            .map(|source| evaluate::Expression::new(compile::read(source).unwrap().1, &mut Vec::new()))
            .collect();
        for inputs in &inputs {
            let first = Scope::new(inputs, &[]).evaluate(&expressions).position(|value| value == Ok(true));
            prop_assert!(first.is_none_or(|first| !refused.contains(&first)), "{first:?} of {sources:?}");
        }
        if let Ok(rules) = set(&sources) {
            for inputs in &inputs {
                let first = rules.trace(inputs).into_iter().find(|traced| traced.outcome == RuleOutcome::Matched);
                prop_assert_eq!(rules.first_match(inputs), first.map(|traced| traced.rule));
            }
        }
    }
}

/// What stands in expressions, in any order, with what does not.
fn tokens() -> impl Strategy<Value = String> {
    let token = proptest::sample::select(&TOKENS[..]).prop_map(str::to_owned);
    proptest::collection::vec(prop_oneof![8 => token, 1 => any::<char>().prop_map(String::from)], 0..20)
        .prop_map(|tokens| tokens.concat())
}

const TOKENS: [&str; 48] = [
    "task.kind",
    "request.tags",
    "context.",
    "context[",
    "key.id",
    "true",
    "null",
    "x",
    "'code'",
    "'ä'",
    "\"",
    "'",
    "1",
    "-1",
    "0.5",
    "9223372036854775807",
    "1u",
    "b'x'",
    "r'\\d'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "?",
    ":",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "+",
    "-",
    "*",
    "/",
    "%",
    " in ",
    ".exists(x, ",
    ".matches('a')",
    "has(",
    "size(",
    "\n",
    "`",
];

/// An expression over few names with few values, so that parts meet often.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (order(), 0..24_i32).prop_map(|(sign, number)| format!("time.hour {sign} {number}")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("{number} {sign} turn.number")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("run.turn {sign} {number}")),
        (order(), -1..2_i32).prop_map(|(sign, number)| format!("{number} {sign} run.handoffs")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("run.hop + run.handoffs {sign} {number}")),
        (same(), kinds()).prop_map(|(sign, kind)| format!("run.model {sign} 'a/{kind}'")),
        Just("run.model == ''".to_owned()),
        Just("run.tools_done".to_owned()),
        (order(), -1..4_i32).prop_map(|(sign, number)| format!("task.confidence {sign} {number}")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("context.n {sign} {number}")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("request.max_output_tokens {sign} {number}")),
        (order(), 0..3_i32).prop_map(|(sign, number)| format!("request.tools + 1 {sign} {number}")),
        (same(), kinds()).prop_map(|(sign, kind)| format!("task.kind {sign} '{kind}'")),
        (same(), kinds()).prop_map(|(sign, kind)| format!("'{kind}' {sign} context.n")),
        (kinds(), kinds()).prop_map(|(one, other)| format!("task.kind in ['{one}', '{other}']")),
        (0..3_i32, 0..3_i32).prop_map(|(one, other)| format!("context.n in [{one}, {other}, 'code']")),
        same().prop_map(|sign| format!("context.n {sign} null")),
        Just("context.n".to_owned()),
        Just("has(context.n)".to_owned()),
        Just("has(request.max_output_tokens)".to_owned()),
        Just("request.images".to_owned()),
        Just("request.images == true".to_owned()),
        Just("1 > 2".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) && ({right})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) || ({right})")),
            1 => inner.clone().prop_map(|one| format!("!({one})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(which, one, other)| {
                format!("(({which}) ? ({one}) : ({other}))")
            }),
        ]
    })
}

fn order() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["==", "!=", "<", "<=", ">", ">="][..])
}

fn same() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["==", "!="][..])
}

fn kinds() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["code", "chat", "unknown"][..])
}

fn any_inputs() -> impl Strategy<Value = Inputs> {
    let kind = proptest::sample::select(&[None, Some(TaskKind::Code), Some(TaskKind::Chat)][..]);
    let variable = prop_oneof![
        Just(None),
        any::<bool>().prop_map(|is| Some(Variable::Bool(is))),
        (0..4_i64).prop_map(|number| Some(Variable::Int(number))),
        (0..8_i32).prop_map(|number| Some(Variable::Float(f64::from(number) / 2.0))),
        kinds().prop_map(|text| Some(Variable::Text(text.to_owned()))),
    ];
    let request = (any::<bool>(), 0..3_u32, proptest::option::of(0..3_u64));
    let run = (0..3_u32, 0..3_u32, 0..2_u32, any::<bool>()).prop_map(|(turn, hop, handoffs, tools_done)| {
        Box::new(RunInputs { turn, hop, handoffs, tools_done, asked: None })
    });
    let run = (proptest::option::of(run), proptest::option::of(kinds()));
    (kind, 0..5_u32, variable, request, 0..3_u32, 0..100_000_u64, run).prop_map(
        |(kind, confidence, variable, (images, tools, most), turn, unix_seconds, (run, with))| {
            let mut inputs = inputs();
            inputs.run = run;
            inputs.current =
                with.map(|with| Current { target: format!("a/{with}").parse().unwrap(), cached_tokens: 0 });
            inputs.features.images = images;
            inputs.features.tools = tools;
            inputs.features.max_output_tokens = most;
            let reading = inputs.features.task.as_mut().unwrap();
            (reading.kind, reading.confidence) = (kind, confidence * 250);
            let context = inputs.context.as_mut().unwrap();
            (context.turn, context.unix_seconds) = (turn, unix_seconds);
            context.variables.extend(variable.map(|variable| ("n".to_owned(), variable)));
            inputs
        },
    )
}

/// What an expression comes to for one request.
#[track_caller]
fn check(when: &str, expected: &str) {
    let rules = set(&[when]).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let found = match &rules.trace(&inputs())[0].outcome {
        RuleOutcome::Matched => "yes".to_owned(),
        RuleOutcome::NotMatched => "no".to_owned(),
        RuleOutcome::Failed(reason) => format!("fails: {reason}"),
    };
    assert_eq!(found, expected, "{when}");
}

/// The one mistake of an expression.
#[track_caller]
fn refused(when: &str, expected: &str) {
    let mistakes = set(&[when]).expect_err(when);
    assert_eq!(mistakes.iter().map(show).collect::<Vec<_>>().join("; "), expected, "{when}");
}

/// Why a rule can never match.
#[track_caller]
fn never(when: &str, expected: &str) {
    let (place, why) = expected.split_once(' ').unwrap();
    refused(when, &format!("{place} the rule can never match: {why}"));
}

fn show(mistake: &RuleMistake) -> String {
    let hint = mistake.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}:{} {mistake}{hint}", mistake.line, mistake.column)
}

fn set(expressions: &[&str]) -> Result<RuleSet, Vec<RuleMistake>> {
    let rules: Vec<Rule> = expressions
        .iter()
        .enumerate()
        .map(|(at, when)| Rule {
            name: format!("rule {at}"),
            when: (*when).to_owned(),
            then: Actions::default(),
        })
        .collect();
    RuleSet::compile(&rules)
}

/// Tuesday, 14 November 2023, 22:13:20.
fn inputs() -> Inputs {
    let candidate = |name: &str, by_rule| {
        let target: Target = name.parse().unwrap();
        Candidate { by_rule, ..Candidate::named(name.parse().unwrap(), target) }
    };
    let mut inputs = Inputs {
        candidates: vec![
            candidate("openai/gpt-4o", false),
            candidate("anthropic/claude-sonnet-4-5", false),
            candidate("openai/o3", true),
        ],
        ..Inputs::default()
    };
    inputs.features.input_tokens = 1200;
    inputs.features.tools = 2;
    inputs.features.messages = 3;
    inputs.features.stream = true;
    inputs.features.task = Some(Box::new(TaskReading {
        kind: Some(TaskKind::Code),
        confidence: 870,
        complexity: Complexity::Simple,
        evidence: Vec::new(),
        languages: vec!["en".to_owned(), "de".to_owned()],
        code: 400,
        math: 0,
        asked_tokens: None,
    }));
    inputs.context = Some(Box::new(Context {
        surface: "/v1/chat/completions".to_owned(),
        key: "key_1".to_owned(),
        tags: vec!["vip".to_owned(), "beta".to_owned()],
        variables: [
            ("tier".to_owned(), Variable::Text("gold".to_owned())),
            ("user-seats".to_owned(), Variable::Int(5)),
            ("ratio".to_owned(), Variable::Float(0.5)),
            ("beta".to_owned(), Variable::Bool(true)),
        ]
        .into(),
        turn: 2,
        unix_seconds: 1_700_000_000,
    }));
    let asked = Asked { to: 1, from: 0, by: HandoffBy::Model };
    inputs.run =
        Some(Box::new(RunInputs { turn: 3, hop: 2, handoffs: 1, tools_done: true, asked: Some(asked) }));
    inputs
}
