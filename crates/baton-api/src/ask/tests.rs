use super::*;

#[test]
fn a_model_may_be_named_in_many_ways() {
    assert_eq!(check(r#"{"model":"a"}"#), "a");
    assert_eq!(check(r#"{"model":["a"]}"#), "[a]");
    assert_eq!(check(r#"{"model":["a",{"model":"b","settings":null}]}"#), "[a b] hand over: 2");
    assert_eq!(
        check(r#"{"model":["a",{"model":"b","settings":{"temperature":0}}]}"#),
        "[a b] hand over: 2 set b {\"temperature\":0}"
    );
    assert_eq!(
        check(r#"{"model":{"model":"a","settings":{"temperature":0}}}"#),
        "a set a {\"temperature\":0}"
    );
    assert_eq!(check(r#"{"models":["a","b"]}"#), "[a b]");
    assert_eq!(check(r#"{"model":"a","fallbacks":["b"]}"#), "[a b]");
    assert_eq!(check(r#"{"model":"a","models":null,"fallbacks":null}"#), "a");
}

#[test]
fn a_request_without_a_model_is_told_so() {
    assert_eq!(check("{}"), "you must name a model in `model`");
    assert_eq!(check(r#"{"model":null}"#), "you must name a model in `model`");
    assert_eq!(check(r#"{"model":[]}"#), "the list of models is empty");
    assert_eq!(check(r#"{"model":" "}"#), "a model's name cannot be empty");
    assert_eq!(check(r#"{"model":7}"#), "`model` must be a name, an object with `model`, or a list of those");
    for odd in [r#"[["a"]]"#, r#"["a",7]"#, r#"[{"model":["a"]}]"#, "{}", r#"[{"settings":{}}]"#] {
        assert_eq!(
            check(&format!(r#"{{"model":{odd}}}"#)),
            "`model` must be a name, an object with `model`, or a list of those"
        );
    }
    assert_eq!(check(r#"{"models":"a"}"#), "`models` must be a list of model names");
}

#[test]
fn only_a_list_under_model_hands_over() {
    assert_eq!(check(r#"{"model":["a","b"]}"#), "[a b] hand over: 2");
    assert_eq!(check(r#"{"model":["a","b"],"fallbacks":["c"]}"#), "[a b c] hand over: 2");
    assert_eq!(check(r#"{"model":["a"],"fallbacks":["b"]}"#), "[a b]");
    assert_eq!(check(r#"{"models":["a","b"]}"#), "[a b]");
}

#[test]
fn tools_are_run_here_unless_the_client_runs_them() {
    let runs = |body: &str| {
        runs_tools(&RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap())
            .map_err(|error| error.message().to_owned())
    };
    assert_eq!(runs("{}"), Ok(true));
    assert_eq!(runs(r#"{"automatic_tool_execution":null,"auto_execute_tools":false}"#), Ok(false));
    assert_eq!(runs(r#"{"automatic_tool_execution":true,"auto_execute_tools":false}"#), Ok(true));
    assert!(runs(r#"{"automatic_tool_execution":"no"}"#).is_err());
}

#[test]
fn what_is_not_followed_is_named_unless_it_says_nothing() {
    assert_eq!(
        check(r#"{"model":"a","guardrails":[],"credentials":null,"handoff_mode":false,"deferred":true}"#),
        "a ignored deferred"
    );
    assert_eq!(check(r#"{"model":"a","correlation_id":"x","route":"fallback"}"#), "a");
    assert_eq!(check(r#"{"model":"a","correlation_id":7,"route":"best"}"#), "a ignored route correlation_id");
}

fn check(body: &str) -> String {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let ignored = not_followed(&body);
    match models(&body, None) {
        Err(error) => error.message().to_owned(),
        Ok(Named { models, settings }) => {
            let names = models.names.join(" ");
            let mut said = if models.list { format!("[{names}]") } else { names };
            if models.hands_off() {
                said += &format!(" hand over: {}", models.members);
            }
            for (model, settings) in settings {
                said += &format!(" set {model} {}", settings.get());
            }
            if !ignored.is_empty() {
                said += &format!(" ignored {}", ignored.join(" "));
            }
            said
        }
    }
}
