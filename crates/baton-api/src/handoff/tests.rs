use bytes::Bytes;
use insta::assert_snapshot;

use super::*;

#[test]
fn the_strategy_says_who_may_hand_over() {
    assert_snapshot!(config(r#"{"strategy":"first"}"#), @"mode Off");
    assert_snapshot!(config(r#"{"strategy":"rules"}"#), @"mode Rules");
    assert_snapshot!(config(r#"{"strategy":"attributes"}"#), @r#"mode Off wishes {"order":["attributes"]}"#);
    assert_snapshot!(config(r#"{"strategy":"llm"}"#), @"mode Model");
    assert_snapshot!(config(r#"{"strategy":"hybrid"}"#), @"mode Both");
    assert_snapshot!(config(r#"{"strategy":"auto"}"#), @"");
    assert_snapshot!(config(r#"{"strategy":"vote"}"#), @"ignored handoff_config.strategy");
}

#[test]
fn limits_and_demands_are_read() {
    assert_snapshot!(
        config(r#"{"max_handoffs":3,"allow_return":false,"require_reason":true,"package":true}"#),
        @"max_handoffs 3 no_return require_reason package"
    );
    assert_snapshot!(config(r#"{"allow_cycles":false,"allow_return":true}"#), @"no_return");
    assert_snapshot!(
        config(r#"{"constraints":{"max_cost":0.5,"max_latency_ms":900,"capabilities":["tools"]}}"#),
        @r#"budget 500000000 wishes {"constraints":{"max_latency_ms":900,"capabilities":[{"can":"tools"}]}}"#
    );
}

#[test]
fn a_history_may_be_named_or_counted() {
    assert_snapshot!(config(r#"{"history":"full"}"#), @"history Full");
    assert_snapshot!(config(r#"{"history":"summary"}"#), @"history Summary");
    assert_snapshot!(config(r#"{"history":"none"}"#), @"history None");
    assert_snapshot!(config(r#"{"history":{"last_n":4}}"#), @"history LastN(4)");
    assert_snapshot!(config(r#"{"history":"last_n","last_n":6}"#), @"history LastN(6)");
    assert_snapshot!(config(r#"{"history":"last_n"}"#), @"history LastN(10)");
    assert_snapshot!(config(r#"{"history":{"last_n":0}}"#), @"ignored handoff_config.history");
}

#[test]
fn a_target_is_described_and_instructed() {
    assert_snapshot!(
        config(r#"{"targets":[{"model":"b","description":"Writes prose.","when":"a text is asked for","additional_instructions":"Be brief.","settings":{"temperature":0.10}}]}"#),
        @r#"b: description "Writes prose. To be chosen when: a text is asked for" instructions "Be brief." temperature=0.10"#
    );
}

#[test]
fn what_is_not_followed_is_named_and_nothing_is_refused() {
    assert_snapshot!(
        config(r#"{"a":1,"max_depth":3,"follow":false,"sticky":"request","fallback":{"retries":1}}"#),
        @"ignored handoff_config.a handoff_config.fallback handoff_config.follow handoff_config.max_depth handoff_config.sticky"
    );
    assert_snapshot!(
        config(r#"{"max_handoffs":"many","history":7,"require_reason":"yes","targets":{},"constraints":[]}"#),
        @"ignored handoff_config.constraints handoff_config.history handoff_config.max_handoffs handoff_config.require_reason handoff_config.targets"
    );
    assert_snapshot!(
        config(r#"{"targets":[7,{"when":"x"},{"model":"b","enabled_if":"x","colour":1,"description":2}],"constraints":{"max_cost":"dear","max_love":1,"capabilities":7}}"#),
        @"ignored handoff_config.constraints.capabilities handoff_config.constraints.max_cost handoff_config.constraints.max_love handoff_config.targets[] handoff_config.targets[].colour handoff_config.targets[].description handoff_config.targets[].enabled_if handoff_config.targets[].model"
    );
    assert_snapshot!(check(r#"{"handoff_config":"llm"}"#, &[]), @"ignored handoff_config");
    assert_snapshot!(check(r#"{"handoff_config":[]}"#, &[]), @"ignored handoff_config");
}

#[test]
fn what_happens_anyway_and_what_is_null_is_not_named() {
    assert_snapshot!(config(r#"{"follow":true,"sticky":"conversation","history":null,"strategy":null}"#), @"");
    assert_snapshot!(check(r#"{"handoff_config":null,"max_turns":null}"#, &[]), @"");
    assert_snapshot!(config("{}"), @"");
}

#[test]
fn a_model_of_the_list_may_have_settings_of_its_own() {
    assert_snapshot!(
        check("{}", &[("a", r#"{"temperature":0.30,"stop":["x"],"top_p":null}"#)]),
        @r#"a: stop=["x"] temperature=0.30"#
    );
    assert_snapshot!(
        check("{}", &[("a", r#"{"stream":true,"n":2,"extra_headers":{"x":"y"},"timeout":3}"#)]),
        @"ignored model[].settings.extra_headers model[].settings.n model[].settings.stream model[].settings.timeout"
    );
    assert_snapshot!(check("{}", &[("a", "7")]), @"ignored model[].settings");
}

#[test]
fn settings_of_a_target_go_before_those_in_the_list() {
    assert_snapshot!(
        check(
            r#"{"handoff_config":{"targets":[{"model":"a","settings":{"temperature":1}}]}}"#,
            &[("a", r#"{"temperature":0,"top_p":0.5}"#)]
        ),
        @"a: top_p=0.5 temperature=1"
    );
}

#[test]
fn attributes_among_the_settings_are_those_of_the_model() {
    assert_snapshot!(
        check("{}", &[("a", r#"{"attributes":{"speed":1}}"#)]),
        @r#"wishes {"model_attributes":{"a":{"speed":1000000}}}"#
    );
    assert_snapshot!(
        check("{}", &[("a", r#"{"attributes":{"speed":"fast"}}"#)]),
        @"ignored model[].settings.attributes"
    );
}

#[test]
fn settings_are_those_that_the_dialect_has() {
    let body = RawObject::parse(Bytes::from_static(b"{}")).unwrap();
    let settings =
        vec![("a".to_owned(), RawJson::parse(r#"{"stop":["x"],"stop_sequences":["x"]}"#).unwrap())];
    let (mut wishes, mut ignored) = (Wishes::default(), Vec::new());
    let read = read(Dialect::AnthropicMessages, &body, settings, &mut wishes, &mut ignored).unwrap();
    assert_snapshot!(show(&read, &wishes, &ignored), @r#"a: stop_sequences=["x"] ignored model[].settings.stop"#);
}

#[test]
fn a_structured_hand_over_of_calls_is_asked_for_by_true() {
    for (mode, read) in
        [("true", "structured"), ("false", ""), ("null", ""), ("\"yes\"", "ignored handoff_mode")]
    {
        assert_eq!(check(&format!(r#"{{"handoff_mode":{mode}}}"#), &[]), read);
    }
}

#[test]
fn a_number_of_turns_is_at_least_one() {
    assert_snapshot!(check(r#"{"max_turns":4}"#, &[]), @"max_turns 4");
    for wrong in ["0", "-1", "1.5", r#""4""#] {
        assert_eq!(
            check(&format!(r#"{{"max_turns":{wrong}}}"#), &[]),
            "`max_turns` must be a whole number from 1"
        );
    }
}

#[test]
fn attributes_find_their_model_when_a_client_changed_the_case() {
    let offers = |speed: u32| BTreeMap::from([("speed".to_owned(), speed)]);
    let mut wishes = Wishes {
        model_attributes: [
            ("meta-llama/_llama-3".to_owned(), offers(1)),
            ("a/x".to_owned(), offers(2)),
            ("other".to_owned(), offers(3)),
        ]
        .into(),
        ..Wishes::default()
    };
    respell(&["meta-llama/Llama-3".to_owned(), "a/x".to_owned(), "A/x".to_owned()], &mut wishes);
    let named: Vec<&str> = wishes.model_attributes.keys().map(String::as_str).collect();
    assert_eq!(named, ["a/x", "meta-llama/Llama-3", "other"]);
}

fn config(config: &str) -> String {
    check(&format!(r#"{{"handoff_config":{config}}}"#), &[])
}

fn check(body: &str, settings: &[(&str, &str)]) -> String {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let settings = settings
        .iter()
        .map(|(model, settings)| ((*model).to_owned(), RawJson::parse(*settings).unwrap()))
        .collect();
    let (mut wishes, mut ignored) = (Wishes::default(), Vec::new());
    match read(Dialect::OpenaiChat, &body, settings, &mut wishes, &mut ignored) {
        Ok(read) => show(&read, &wishes, &ignored),
        Err(error) => error.message().to_owned(),
    }
}

fn show(read: &HandoffWishes, wishes: &Wishes, ignored: &[String]) -> String {
    let HandoffWishes {
        calls,
        max_turns,
        max_handoffs,
        budget,
        mode,
        history,
        no_return,
        require_reason,
        package,
        targets,
    } = read;
    let mut said = Vec::new();
    said.extend(max_turns.map(|turns| format!("max_turns {turns}")));
    said.extend(max_handoffs.map(|most| format!("max_handoffs {most}")));
    said.extend(budget.map(|budget| format!("budget {}", budget.0)));
    said.extend(mode.map(|mode| format!("mode {mode:?}")));
    said.extend(history.map(|history| format!("history {history:?}")));
    said.extend((*calls == CallsTold::Apart).then(|| "structured".to_owned()));
    let flags = [(no_return, "no_return"), (require_reason, "require_reason"), (package, "package")];
    said.extend(flags.iter().filter(|(is, _)| **is).map(|(_, name)| (*name).to_owned()));
    for (model, TargetWishes { description, additional_instructions, settings }) in targets {
        said.push(format!("{model}:"));
        said.extend(description.as_ref().map(|text| format!("description {text:?}")));
        said.extend(additional_instructions.as_ref().map(|text| format!("instructions {text:?}")));
        said.extend(settings.iter().map(|(key, value)| format!("{key}={}", value.get())));
    }
    let wishes = serde_json::to_string(wishes).unwrap();
    if wishes != "{}" {
        said.push(format!("wishes {wishes}"));
    }
    if !ignored.is_empty() {
        said.push(format!("ignored {}", ignored.join(" ")));
    }
    said.join(" ")
}
