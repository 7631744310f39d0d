use super::*;

#[test]
fn a_model_may_be_named_in_many_ways() {
    assert_eq!(check(r#"{"model":"a"}"#), "a");
    assert_eq!(check(r#"{"model":["a"]}"#), "[a]");
    assert_eq!(check(r#"{"model":["a",{"model":"b"}]}"#), "[a b]");
    assert_eq!(
        check(r#"{"model":["a",{"model":"b","settings":{"temperature":0}}]}"#),
        "[a b] ignored model[].settings"
    );
    assert_eq!(
        check(r#"{"model":{"model":"a","settings":{"temperature":0}}}"#),
        "a ignored model[].settings"
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
    assert_eq!(check(r#"{"models":"a"}"#), "`models` must be a list of model names");
}

#[test]
fn what_is_not_followed_is_named_unless_it_says_nothing() {
    assert_eq!(
        check(r#"{"model":"a","mcp_servers":[],"credentials":null,"max_turns":3}"#),
        "a ignored max_turns"
    );
}

fn check(body: &str) -> String {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let mut ignored = not_followed(&body);
    match models(&body, None, &mut ignored) {
        Err(error) => error.message().to_owned(),
        Ok(spec) => {
            let names = spec.names.join(" ");
            let named = if spec.list { format!("[{names}]") } else { names };
            if ignored.is_empty() { named } else { format!("{named} ignored {}", ignored.join(" ")) }
        }
    }
}
