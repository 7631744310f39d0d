use serde_json::json;

use super::*;

/// What is read, in short, or the path of the mistake and what is said of it.
#[track_caller]
fn check(value: &Value, expected: &str) {
    let read = match Validation::read(value) {
        Ok(Validation { check, on_failure }) => format!("{} {on_failure:?}", check.as_str()),
        Err(mistake) => {
            format!(
                "{}: {}{}",
                mistake.path,
                mistake.message,
                mistake.hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
            )
        }
    };
    assert_eq!(read, expected);
}

#[test]
fn an_answer_is_looked_at_in_one_way_and_something_follows() {
    check(&json!({"schema": {"type": "object"}}), "schema Fail");
    check(&json!({"cel": "output.size() > 3", "on_failure": "retry"}), "cel Retry { times: 1 }");
    check(&json!({"cel": "true", "on_failure": "retry", "times": 3}), "cel Retry { times: 3 }");
    check(
        &json!({"criteria": ["short"], "judge": "oai/small", "on_failure": "handoff", "to": "agent/editor"}),
        r#"criteria Handoff { to: Agent("editor") }"#,
    );
    check(
        &json!({"criteria": "short", "judge": "oai/small", "on_failure": "handoff", "to": "oai/large"}),
        r#"criteria Handoff { to: Model("oai/large") }"#,
    );
}

#[test]
fn what_is_wrong_has_its_path() {
    check(&json!(3), ": expected a map");
    check(&json!({}), ": expected one of `schema`, `cel` and `criteria`");
    check(&json!({"cel": "true", "schema": {}}), ": only one of `schema`, `cel` and `criteria` can be given");
    check(&json!({"schema": "object"}), "schema: expected a JSON Schema of at most 65536 bytes");
    check(&json!({"cel": ""}), "cel: expected a text of at most 4096 bytes");
    check(&json!({"criteria": ["x"]}), "judge: criteria need a model that judges");
    check(&json!({"cel": "true", "judge": "a"}), "judge: a judge needs `criteria`");
    check(&json!({"criteria": [], "judge": "a"}), "criteria: expected 1 to 20 of them");
    check(
        &json!({"cel": "true", "on_failure": "again"}),
        "on_failure: expected `retry`, `handoff` or `fail`",
    );
    check(
        &json!({"cel": "true", "on_failure": "retry", "times": 4}),
        "times: expected a whole number from 1 to 3",
    );
    check(&json!({"cel": "true", "times": 2}), "times: only `on_failure: retry` is done several times");
    check(
        &json!({"cel": "true", "on_failure": "handoff"}),
        "to: expected the model or `agent/<name>` that takes over",
    );
    check(&json!({"cel": "true", "to": "x"}), "to: only `on_failure: handoff` goes to somebody");
    check(&json!({"cell": "true"}), "cell: unknown key (did you mean `cel`?)");
}
