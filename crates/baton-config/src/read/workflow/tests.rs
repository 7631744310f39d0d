use insta::assert_snapshot;

use crate::load::tests::load_text;

const PROVIDERS: &str = "providers: {oai: {dialect: openai_chat, base_url: 'http://127.0.0.1:1/v1', api_key: k, models: [small, large]}}\n\
                         agents: {analyst: {model: oai/small, description: d, instruction: i}}\n";

/// What is wrong with these workflows, each with its place.
fn check(workflows: &str) -> String {
    let text = format!("{PROVIDERS}{workflows}");
    match load_text(&text) {
        Ok(config) => serde_json::json!(config.workflows).to_string(),
        Err(error) => error
            .mistakes
            .iter()
            .map(|it| {
                let (line, column) = (it.line().unwrap_or_default(), it.column().unwrap_or_default());
                let hint = it.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{line}:{column} {}: {}{hint}", it.path, it.message)
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn a_workflow_is_kept_as_it_is_written() {
    assert_snapshot!(
        check("workflows:\n  report:\n    sequence:\n      - {name: research, model: oai/small, input: 'look into {{input}}', settings: {temperature: 0.2, max_tokens: 100}}\n      - {name: report, agent: analyst}\n"),
        @r#"[["report",{"sequence":[{"input":"look into {{input}}","model":"oai/small","name":"research","settings":{"max_tokens":100,"temperature":0.2}},{"agent":"analyst","name":"report"}]}]]"#
    );
}

#[test]
fn a_mistake_has_its_place() {
    assert_snapshot!(
        check("workflows:\n  w:\n    sequence:\n      - {name: a, model: oai/small}\n      - name: b\n        model: oai/smal\n        input: '{{steps.c.output}}'\n"),
        @"9:16 workflows.w.sequence[1].input: no step `c` has answered by then"
    );
    assert_snapshot!(
        check("workflows:\n  w:\n    sequence:\n      - {name: a, model: oai/smal}\n      - {name: b, agent: analist}\n      - {name: c, model: oai/small, validation: {cel: 'user == 1'}}\n"),
        @r"
    6:26 workflows.w.sequence[0].model: no configured provider serves a model `oai/smal`
    7:26 workflows.w.sequence[1].agent: there is no agent `analist` (did you mean `analyst`?)
    8:55 workflows.w.sequence[2].validation.cel: there is no `user`; there are `output` and `json`
    "
    );
}

#[test]
fn a_workflow_that_refers_to_itself_is_refused_with_its_place() {
    assert_snapshot!(
        check("workflows:\n  a: {sequence: [{name: x, workflow: b}]}\n  b:\n    sequence:\n      - {name: y, workflow: a}\n"),
        @r"
    4:38 workflows.a.sequence[0].workflow: a workflow cannot refer to itself: a → b → a
    7:29 workflows.b.sequence[0].workflow: a workflow cannot refer to itself: b → a → b
    "
    );
}
