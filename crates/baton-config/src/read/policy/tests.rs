use baton_policy::{Capability, Need, Order};
use insta::assert_snapshot;

use crate::load::tests::load_text;
use crate::{Config, ConfigError};

/// What the policies of these tests can name.
const BASE: &str = concat!(
    "providers: {openai: {api_key: a}, own: {dialect: openai_chat, base_url: \"http://h\", models: [m, n]}}\n",
    "models: {own/m: {aliases: [fast], strengths: {law: 0.9}}}\n",
);

/// Loads a policy that is called `p`.
fn load(policy: &str) -> Result<Config, ConfigError> {
    load_text(&format!("{BASE}policies: {{p: {policy}}}"))
}

/// The document of a policy, as JSON.
#[track_caller]
fn document(policy: &str) -> String {
    let config = load(policy).unwrap();
    serde_json::to_value(&config.policy("p").unwrap().document).unwrap().to_string()
}

/// One part of the document of a policy, as JSON.
#[track_caller]
fn part(policy: &str, pointer: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(&document(policy)).unwrap();
    document.pointer(pointer).unwrap().to_string()
}

/// Every mistake of a policy in a line: its column in the policy, its key, what is wrong and what to do.
#[track_caller]
fn check(policy: &str) -> String {
    let error = load(policy).unwrap_err();
    let start = "policies: {p: ".len();
    let line = |mistake: &crate::Mistake| {
        let column = mistake.column().unwrap() - start;
        let path = mistake.path.strip_prefix("policies.p").unwrap();
        let hint = mistake.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{column} {}: {}{hint}", path.trim_start_matches('.'), mistake.message)
    };
    error.mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_order_is_a_word_or_several() {
    assert_eq!(part("{order: fastest}", "/order"), r#"["fastest"]"#);
    assert_eq!(part("{order: [strengths, cheapest]}", "/order"), r#"["strengths","cheapest"]"#);
    for order in Order::ALL.into_iter().filter(|order| *order != Order::Judge) {
        assert_eq!(
            part(&format!("{{order: {}}}", order.as_str()), "/order/0"),
            format!("\"{}\"", order.as_str())
        );
    }
}

#[test]
fn an_order_that_is_none_or_stands_twice_is_a_mistake() {
    assert_snapshot!(check("{order: [fastest, cheepest, fastest]}"), @r"
    19 order[1]: expected `ordered`, `weighted`, `cheapest`, `fastest`, `balanced`, `attributes`, `strengths`, `auto` or `judge` (did you mean `cheapest`?)
    29 order[2]: `fastest` stands here twice
    ");
    assert_snapshot!(check("{order: []}"), @"9 order: the list is empty");
    assert_snapshot!(check("{order: {cheapest: 1}}"), @"9 order: expected a single value or a list of them, found a map");
}

#[test]
fn a_policy_that_names_an_unknown_model_says_where() {
    assert_snapshot!(check("{pool: [own/x, own/m]}"), @"9 pool[0]: no configured provider serves a model `own/x` (did you mean `own/m`?)");
    assert_snapshot!(check("{pool: [fats]}"), @"9 pool[0]: no configured provider serves a model `fats` (did you mean `fast`?)");
    assert_snapshot!(check("{pool: [gtp-4o]}"), @"9 pool[0]: no configured provider serves a model `gtp-4o` (did you mean `gpt-4o`?)");
    assert_snapshot!(check("{order: weighted, weights: {own/m: 1, opnai/x: 2}}"), @"39 weights.opnai/x: provider `opnai` is not configured (did you mean `openai`?)");
    assert_snapshot!(check("{order: judge, judge: {model: own/o}}"), @"31 judge.model: no configured provider serves a model `own/o` (did you mean `own/m`?)");
    assert_snapshot!(check("{rules: [{when: 'true', use: [own/m, own/x], prefer: own/y, avoid: [own/z]}]}"), @r"
    38 rules[0].use[1]: no configured provider serves a model `own/x` (did you mean `own/m`?)
    54 rules[0].prefer: no configured provider serves a model `own/y` (did you mean `own/m`?)
    69 rules[0].avoid[0]: no configured provider serves a model `own/z` (did you mean `own/m`?)
    ");
    assert_snapshot!(check("{rules: [{when: 'true', allow_models: [own/q, 'own/*', 'opnai/*', 'a*b', '**']}]}"), @r"
    40 rules[0].allow_models[0]: no configured provider serves a model `own/q` (did you mean `own/m`?)
    56 rules[0].allow_models[2]: provider `opnai` is not configured (did you mean `openai`?)
    67 rules[0].allow_models[3]: a `*` is only taken at the end
    74 rules[0].allow_models[4]: a `*` is only taken at the end
    ");
}

#[test]
fn a_pattern_is_taken_in_allow_models_only() {
    assert_snapshot!(check("{pool: ['openai/*'], weights: {'*': 1}, rules: [{when: 'true', use: 'openai/*'}]}"), @r"
    9 pool[0]: a pattern is not taken here (list the models)
    32 weights.*: a pattern is not taken here (list the models)
    69 rules[0].use: a pattern is not taken here (list the models)
    ");
    assert_eq!(
        part("{rules: [{when: 'true', allow_models: ['openai/*', 'gpt-*', fast, '*']}]}", "/rules/0/then"),
        r#"{"allow_models":["openai/*","gpt-*","fast","*"]}"#
    );
}

#[test]
fn a_model_stands_in_a_list_once() {
    assert_snapshot!(check("{pool: [own/m, own/m], rules: [{when: 'true', prefer: [fast, fast]}]}"), @r"
    16 pool[1]: `own/m` is in the pool twice
    62 rules[0].prefer[1]: `fast` is in the list twice
    ");
}

#[test]
fn weights_are_whole_numbers_and_not_all_zero() {
    assert_eq!(
        part("{order: weighted, weights: {own/m: 0, fast: 3}}", "/weights"),
        r#"{"fast":3,"own/m":0}"#
    );
    assert_snapshot!(check("{order: weighted, weights: {own/m: 0, own/n: 0}}"), @"28 weights: the weights sum to zero (give at least one model a weight above 0)");
    assert_snapshot!(check("{order: weighted, weights: {own/m: 0.5, own/n: 1000001}}"), @r"
    36 weights.own/m: expected a whole number from 0 to 1000000
    48 weights.own/n: expected a whole number from 0 to 1000000
    ");
    assert_snapshot!(check("{order: weighted, weights: {}}"), @"28 weights: the weights sum to zero (give at least one model a weight above 0)");
}

#[test]
fn what_is_not_in_the_balance_counts_nothing() {
    assert_eq!(
        part("{balance: {quality: 0.7, cost: 0.05}}", "/balance"),
        r#"{"cost":50,"quality":700,"speed":0}"#
    );
    assert_eq!(part("{}", "/balance"), r#"{"cost":300,"quality":500,"speed":200}"#);
    assert_snapshot!(check("{balance: {cost: 0}}"), @"11 balance: the shares sum to zero (give at least one a share above 0)");
    assert_snapshot!(check("{balance: {cost: 1.5, speed: 0.0001, qualty: 1}}"), @r"
    18 balance.cost: expected a number from 0 to 1
    30 balance.speed: more than 3 digits after the point (write a number from 0 to 1, such as `0.8`)
    38 balance.qualty: unknown key (did you mean `quality`?)
    ");
}

#[test]
fn a_judge_is_named_where_one_is_asked_and_nowhere_else() {
    assert_eq!(
        part("{order: [judge, cheapest], judge: {model: fast}}", "/judge"),
        r#"{"model":"fast","timeout_ms":5000}"#
    );
    assert_eq!(
        part("{client_order: true, judge: {model: fast, timeout: 500ms}}", "/judge"),
        r#"{"model":"fast","timeout_ms":500}"#
    );
    assert_snapshot!(check("{order: judge}"), @"1 : `judge` is missing (`order` names it; write `judge: { model: <provider>/<name> }`)");
    assert_snapshot!(check("{order: judge, judge: }"), @"1 : `judge` is missing (`order` names it; write `judge: { model: <provider>/<name> }`)");
    assert_snapshot!(check("{order: cheapest, judge: {model: fast}}"), @"26 judge: nobody asks this judge (add `judge` to `order`)");
    assert_snapshot!(check("{order: judge, judge: {timeout: 5}}"), @r"
    23 judge: `model` is missing (who judges; a small and quick model will do)
    33 judge.timeout: the duration has no unit (did you mean `5s`?)
    ");
}

#[test]
fn the_constraints_of_the_design_load() {
    let config =
        load("{constraints: {max_cost_usd: 0.02, capabilities: [tools, law, { tool_use: 0.7 }, reasoning]}}")
            .unwrap();
    let constraints = &config.policy("p").unwrap().document.constraints;
    let good_at = |strength: &str, at_least| Need::GoodAt { strength: strength.to_owned(), at_least };
    assert_eq!(
        constraints.capabilities,
        [
            Need::Can(Capability::Tools),
            good_at("law", 500_000),
            good_at("tool_use", 700_000),
            Need::Can(Capability::Reasoning)
        ]
    );
    assert_eq!(constraints.max_cost.unwrap().0, 20_000_000);
}

#[test]
fn limits_have_two_spellings() {
    let spelt = |text: &str| part(&format!("{{constraints: {{{text}}}}}"), "/constraints");
    assert_eq!(spelt("max_cost: 0.5"), r#"{"max_cost":500000000}"#);
    assert_eq!(spelt("max_latency_ms: 800"), r#"{"max_latency_ms":800}"#);
    assert_eq!(spelt("max_latency: 800"), r#"{"max_latency_ms":800}"#);
    assert_eq!(spelt("max_latency: 2s"), r#"{"max_latency_ms":2000}"#);
    assert_eq!(
        spelt("max_price: {input: 1, output: 2.5}"),
        r#"{"max_input_price":1000000000,"max_output_price":2500000000}"#
    );
    assert_snapshot!(check("{constraints: {max_cost: 1, max_cost_usd: 1, max_latency: 1s, max_latency_ms: 1}}"), @r"
    26 constraints.max_cost: `max_cost_usd` says the same already (keep one of them)
    59 constraints.max_latency: `max_latency_ms` says the same already (keep one of them)
    ");
    assert_snapshot!(check("{constraints: {max_cost: $1, max_latency_ms: 1s, max_price: {inputs: 1}}}"), @r"
    26 constraints.max_cost: expected a decimal number (write US dollars as a decimal, such as `0.02`)
    46 constraints.max_latency_ms: expected a whole number from 1 to 86400000
    62 constraints.max_price.inputs: unknown key (did you mean `input`?)
    ");
}

#[test]
fn a_need_that_no_model_can_meet_is_a_mistake() {
    assert_snapshot!(check("{constraints: {capabilities: [vison, lor, x, tools, tools]}}"), @r"
    31 constraints.capabilities[0]: no model is known to have `vison` (did you mean `vision`?)
    38 constraints.capabilities[1]: no model is known to have `lor` (give it to a model, under `strengths`)
    43 constraints.capabilities[2]: no model is known to have `x` (give it to a model, under `strengths`)
    53 constraints.capabilities[4]: `tools` stands here twice
    ");
    assert_snapshot!(check("{constraints: {capabilities: [{tools: 0.5, law: 2, lwa: 0.5}, law, {law: 0.7}]}}"), @r"
    32 constraints.capabilities[0].tools: a model has `tools` or not; it takes no threshold (write `tools` alone)
    49 constraints.capabilities[0].law: expected a number from 0 to 1
    52 constraints.capabilities[0].lwa: no model is known to have `lwa` (did you mean `law`?)
    69 constraints.capabilities[2].law: `law` stands here twice
    ");
}

#[test]
fn a_rule_has_a_name_of_its_own() {
    assert_eq!(
        part(
            "{rules: [{when: 'turn.number == 1', avoid: fast}, {name: b, when: 'turn.number == 2', avoid: fast}]}",
            "/rules/0/name"
        ),
        r#""rule 1""#
    );
    assert_snapshot!(check("{rules: [{name: a, when: 'turn.number == 1', avoid: fast}, {name: a, when: 'turn.number == 2', avoid: fast}]}"), @"67 rules[1].name: `a` is the name of a rule already, on line 3");
}

#[test]
fn a_rule_needs_something_to_do() {
    assert_snapshot!(check("{rules: [{name: b, when: 'turn.number > 2'}, {when: 'turn.number == 1', stop: false, set: {}}]}"), @r"
    10 rules[0]: the rule does nothing (say what is done, such as `use`, `prefer`, `avoid` or `refuse`)
    46 rules[1]: the rule does nothing (say what is done, such as `use`, `prefer`, `avoid` or `refuse`)
    ");
    assert_snapshot!(check("{rules: [fast]}"), @"10 rules[0]: expected a map of keys and values, found a single value");
}

#[test]
fn a_rule_without_an_expression_is_for_the_rest() {
    let rules = "{rules: [{when: 'turn.number > 2', use: fast}, {avoid: fast}]}";
    assert_eq!(part(rules, "/rules/1"), r#"{"name":"rule 2","then":{"avoid":["fast"]}}"#);
    assert_snapshot!(check("{rules: [{avoid: fast}, {when: 'turn.number > 2', use: fast}, {prefer: fast}]}"), @r"
    33 rules[1].when: the rule is never reached: `rule 1` before it always matches first
    63 rules[2]: the rule is never reached: `rule 1` before it always matches first
    ");
    assert_snapshot!(check("{rules: [{when: '', use: fast}, {when: [a], use: fast}]}"), @r"
    17 rules[0].when: the value is empty
    40 rules[1].when: expected a single value, found a list (if it is meant as text, put it in quotes)
    ");
}

#[test]
fn a_rule_does_not_contradict_itself() {
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', refuse: Not today., use: fast}]}"), @"61 rules[0].use: the rule says `refuse` too, and then nothing else is done (keep one of them, or make it two rules)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', stop: true, set: {seed: 1}}]}"), @"53 rules[0].set: the rule says `stop` too, and then nothing else is done (keep one of them, or make it two rules)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', stop: true, refuse: Not today.}]}"), @"42 rules[0].stop: the rule says `refuse` too, and then nothing else is done (keep one of them, or make it two rules)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', use: fast, allow_models: 'own/*'}]}"), @"61 rules[0].allow_models: `use` already says that there are no others (keep one of them)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', prefer: [own/m, own/n], avoid: [own/n]}]}"), @"67 rules[0].avoid: the rule wants `own/n` too (keep it in one list)");
}

#[test]
fn a_rule_hands_over_and_bounds_a_run() {
    assert_eq!(
        part("{rules: [{when: 'run.tools_done', handoff_to: fast, max_turns: 3}]}", "/rules/0/then"),
        r#"{"handoff_to":"fast","max_turns":3}"#
    );
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', handoff_to: [fast, own/m], max_turns: 0}]}"), @r"
    48 rules[0].handoff_to: expected a single value, found a list (if it is meant as text, put it in quotes)
    74 rules[0].max_turns: expected a whole number from 1 to 1000
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', handoff_to: own/q, max_turns: many}]}"), @r"
    48 rules[0].handoff_to: no configured provider serves a model `own/q` (did you mean `own/m`?)
    66 rules[0].max_turns: expected a whole number from 1 to 1000
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', handoff_to: 'own/*', max_turns: 1001}]}"), @r"
    48 rules[0].handoff_to: a pattern is not taken here (list the models)
    68 rules[0].max_turns: expected a whole number from 1 to 1000
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', handoff_to: fast, avoid: [own/n, fast]}]}"), @"48 rules[0].handoff_to: the rule avoids `fast` too (keep one of them)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', handoff_to: fast, stop: true}]}"), @"48 rules[0].handoff_to: the rule says `stop` too, and then nothing else is done (keep one of them, or make it two rules)");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', max_turns: 2, refuse: Not today.}]}"), @"47 rules[0].max_turns: the rule says `refuse` too, and then nothing else is done (keep one of them, or make it two rules)");
    assert_snapshot!(check("{rules: [{when: 'run.turns > 1 && run.model == 1', handoff_to: fast}]}"), @r"
    22 rules[0].when: `run` has no member `turns` (write `run.turn`)
    35 rules[0].when: a text is never a whole number
    ");
    assert_snapshot!(check("{rules: [{when: 'run.turn < 1', handoff_to: fast}]}"), @"18 rules[0].when: the rule can never match: `run.turn` is never below 1");
}

#[test]
fn a_rule_names_tool_servers_of_the_file() {
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', mcp_servers: [files]}]}"), @"50 rules[0].mcp_servers[0]: there is no server `files` (add it to `mcp_servers`)");
    let with = |servers: &str| {
        let error = load_text(&format!(
            "{BASE}policies: {{p: {{rules: [{{when: 'turn.number > 1', mcp_servers: {servers}}}]}}}}\n\
             mcp_servers: {{files: {{command: [mcp-files]}}, acme/search: {{url: \"https://a\"}}}}\n"
        ));
        let of_rules = |error: &ConfigError| {
            error
                .mistakes
                .iter()
                .filter(|mistake| mistake.path.starts_with("policies"))
                .map(|mistake| format!("{}: {} {:?}", mistake.path, mistake.message, mistake.hint))
                .collect::<Vec<_>>()
                .join("\n")
        };
        error.as_ref().err().map(of_rules).unwrap_or_default()
    };
    assert_eq!(with("files"), "");
    assert_eq!(with("[files, acme/search]"), "");
    assert_snapshot!(with("[file, files, files]"), @r#"
    policies.p.rules[0].mcp_servers[0]: there is no server `file` Some("did you mean `files`?")
    policies.p.rules[0].mcp_servers[2]: `files` is in the list twice None
    "#);
}

#[test]
fn a_setting_has_the_type_that_it_has_in_a_request() {
    let set = |settings: &str| {
        part(&format!("{{rules: [{{when: 'turn.number > 1', set: {{{settings}}}}}]}}"), "/rules/0/then/set")
    };
    assert_eq!(
        set("temperature: 0.2, max_tokens: 100, seed: -7, logprobs: true, reasoning_effort: low"),
        r#"{"logprobs":true,"max_tokens":100,"reasoning_effort":"low","seed":-7,"temperature":0.2}"#
    );
    assert_eq!(set("stop: END"), r#"{"stop":"END"}"#);
    assert_eq!(set("stop: [1, \"2\"]"), r#"{"stop":["1","2"]}"#);
    assert_eq!(
        set(
            "response_format: {type: json_schema, json_schema: {strict: true, schema: {maximum: 3, enum: [\"3\", a, 0.5, null]}}}"
        ),
        r#"{"response_format":{"json_schema":{"schema":{"enum":["3","a",0.5,null],"maximum":3},"strict":true},"type":"json_schema"}}"#
    );
}

#[test]
fn a_setting_of_another_kind_is_a_mistake() {
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', set: {temprature: 1, model: fast, tools: []}}]}"), @r"
    42 rules[0].set.temprature: a rule cannot set `temprature` (did you mean `temperature`?)
    57 rules[0].set.model: a rule cannot set `model` (it can set how an answer is made, such as `temperature`)
    70 rules[0].set.tools: a rule cannot set `tools` (it can set how an answer is made, such as `temperature`)
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', set: {temperature: 3, max_tokens: 1.5, seed: x, logprobs: 1}}]}"), @r"
    55 rules[0].set.temperature: expected a number from 0 to 2
    70 rules[0].set.max_tokens: expected a whole number from 1 to 10000000
    81 rules[0].set.seed: expected a whole number
    94 rules[0].set.logprobs: expected `true` or `false`
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', set: {response_format: json, verbosity: a b, stop: {a: b}}}]}"), @r"
    59 rules[0].set.response_format: expected a map of keys and values, found a single value
    76 rules[0].set.verbosity: expected one word
    87 rules[0].set.stop: expected a single value, found a map (if it is meant as text, put it in quotes)
    ");
    assert_snapshot!(check("{rules: [{when: 'turn.number > 1', set: {response_format: {maximum: 0x10}}}]}"), @"69 rules[0].set.response_format.maximum: expected a number (if it is meant as text, put it in quotes)");
}

#[test]
fn a_mistake_inside_an_expression_has_its_own_place() {
    let text = format!(
        "{BASE}policies:\n  p:\n    rules:\n      - {{ name: a, when: 'task.knd == \"code\"', use: fast }}\n"
    );
    assert_snapshot!(load_text(&text).unwrap_err(), @r#"
    error: `policies.p.rules[0].when`: `task` has no member `knd`
     --> baton.yaml:6:32
      |
    6 |       - { name: …, when: 'task.knd == "code"', use: … }
      |                                ^
    hint: write `task.kind`

    found 1 mistake
    "#);
    let text = format!(
        "{BASE}policies:\n  p:\n    rules:\n      - when: task.kind == \"code\" &&\n        avoid: fast\n"
    );
    assert_snapshot!(load_text(&text).unwrap_err(), @r#"
    error: `policies.p.rules[0].when`: the expression ends too early
     --> baton.yaml:6:37
      |
    6 |       - when: task.kind == "code" &&
      |                                     ^

    found 1 mistake
    "#);
    let text = format!(
        "{BASE}policies:\n  p:\n    rules:\n      - when: |\n          turn.number > 1 &&\n            task.knd == \"code\"\n        avoid: fast\n"
    );
    assert_snapshot!(load_text(&text).unwrap_err(), @r"
    error: `policies.p.rules[0].when`: line 2, column 8 of the expression: `task` has no member `knd`
     --> baton.yaml:7:11
      |
    7 |           turn.number > 1 &&
      |           ^^^^^^^^^^^^^^^^^^
    hint: write `task.kind`

    found 1 mistake
    ");
    let text = format!(
        "{BASE}policies:\n  p:\n    rules:\n      - when: \"task.knd == \\\"code\\\"\"\n        avoid: fast\n"
    );
    assert_snapshot!(load_text(&text).unwrap_err(), @r#"
    error: `policies.p.rules[0].when`: line 1, column 6 of the expression: `task` has no member `knd`
     --> baton.yaml:6:15
      |
    6 |       - when: "task.knd == \"code\""
      |               ^^^^^^^^^^^^^^^^^^^^^^
    hint: write `task.kind`

    found 1 mistake
    "#);
}

#[test]
fn an_expression_that_could_hold_a_password_is_veiled() {
    let text = format!(
        "{BASE}policies: {{p: {{rules: [{{when: 'key.nome == \"https://u:canary@h\"', use: fast}}]}}}}"
    );
    assert_snapshot!(load_text(&text).unwrap_err(), @r#"
    error: `policies.p.rules[0].when`: `key` has no member `nome`
     --> baton.yaml:3:36
      |
    3 | policies: {p: {rules: [{when: '… … "…"', use: …}]}}
      |                               ^^^^^^^^^
    hint: there are id

    found 1 mistake
    "#);
}

#[test]
fn an_expression_from_elsewhere_is_not_quoted() {
    let text = format!("{BASE}policies: {{p: {{rules: [{{when: \"${{NOPE:-canary.x}}\", use: fast}}]}}}}");
    let error = load_text(&text).unwrap_err();
    assert_eq!(error.mistakes[0].message, "the value of `${NOPE:-canary.x}` is not right here");
    assert_eq!(error.mistakes.len(), 1);
}

#[test]
fn every_bad_rule_of_a_policy_is_told_at_once() {
    assert_snapshot!(check("{rules: [{when: 'tusk.kind == 1', use: fast}, {when: 'turn.number > 1', use: fsat}, {when: 'turn.number >', stop: true}]}"), @r"
    18 rules[0].when: unknown variable `tusk` (write `task`)
    78 rules[1].use: no configured provider serves a model `fsat` (did you mean `fast`?)
    106 rules[2].when: the expression ends too early
    ");
}

#[test]
fn the_default_policy_lets_clients_order() {
    let client_order = |text: &str| load_text(text).unwrap().default_policy().unwrap().document.client_order;
    assert!(client_order("") && client_order("policies: {default: {fallback: {retries: 1}}}"));
    assert!(!client_order("policies: {default: {client_order: false}}"));
    assert!(!load("{}").unwrap().policy("p").unwrap().document.client_order);
}

#[test]
fn a_switch_margin_is_a_share() {
    assert_eq!(part("{switch_margin: 0.25}", "/switch_margin"), "250");
    assert_eq!(part("{}", "/switch_margin"), "100");
    assert_snapshot!(check("{switch_margin: 10%}"), @"17 switch_margin: expected a decimal number (write a number from 0 to 1, such as `0.8`)");
}
