use bytes::Bytes;

use super::*;

#[test]
fn limits_of_the_client_are_read_with_their_other_names() {
    insta::assert_snapshot!(
        check(r#"{"baton":{"constraints":{"max_cost":0.02,"max_latency":1500,"capabilities":["tools",{"tool_use":0.7},"reasoning","prose"]}}}"#),
        @r#"{"constraints":{"max_cost":20000000,"max_latency_ms":1500,"capabilities":[{"can":"tools"},{"good_at":{"strength":"tool_use","at_least":700000}},{"can":"reasoning"},{"good_at":{"strength":"prose","at_least":500000}}]}}"#
    );
}

#[test]
fn preferences_of_another_gateway_are_understood() {
    insta::assert_snapshot!(
        check(r#"{"provider":{"order":["b"],"sort":"price","max_price":{"prompt":"1.5","completion":2,"image":1},"data_collection":"deny"}}"#),
        @r#"{"order":["cheapest"],"constraints":{"max_input_price":1500000000,"max_output_price":2000000000}} providers {"order":["b"]} ignored provider.data_collection provider.max_price.image"#
    );
    insta::assert_snapshot!(
        check(r#"{"provider":{"sort":{"by":"latency"}}}"#),
        @r#"{"order":["fastest"]}"#
    );
}

#[test]
fn attributes_of_task_and_models_are_shares() {
    insta::assert_snapshot!(
        check(r#"{"agent_attributes":{"complexity":0.9},"model_attributes":{"a/x":{"intelligence":1,"speed":0.25}}}"#),
        @r#"{"attributes":{"complexity":900000},"model_attributes":{"a/x":{"intelligence":1000000,"speed":250000}}}"#
    );
    insta::assert_snapshot!(
        check(r#"{"agent_attributes":{"complexity":2}}"#),
        @"`agent_attributes` must be numbers from 0 to 1 by name"
    );
}

#[test]
fn a_wrong_form_is_told_with_its_path() {
    for (body, expected) in [
        (r#"{"baton":7}"#, "`baton` must be an object"),
        (r#"{"baton":{"strict":"yes"}}"#, "`baton.strict` must be `true` or `false`"),
        (
            r#"{"baton":{"order":"cheepest"}}"#,
            "`baton.order` must be one of `ordered`, `weighted`, `cheapest`, `fastest`, `balanced`, `attributes`, `strengths`, `auto`",
        ),
        (
            r#"{"baton":{"constraints":{"max_cost":-1}}}"#,
            "`baton.constraints.max_cost` must be an amount in US dollars",
        ),
        (r#"{"baton":{"context":["a"]}}"#, "`baton.context` must be an object"),
        (
            r#"{"provider":{"max_price":{"prompt":"cheap"}}}"#,
            "`provider.max_price` must be US dollars per million tokens",
        ),
    ] {
        assert_eq!(check(body), expected);
    }
}

#[test]
fn what_nobody_follows_is_named() {
    assert_eq!(
        check(r#"{"baton":{"colour":1,"constraints":{"max_love":2}}}"#),
        "{} ignored baton.colour baton.constraints.max_love"
    );
}

fn check(body: &str) -> String {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let mut ignored = Vec::new();
    let read =
        own(&body, &HeaderMap::new(), &mut ignored).and_then(|mut own| wishes(&body, &mut own, &mut ignored));
    match read {
        Err(error) => error.message().to_owned(),
        Ok((providers, wishes)) => {
            let mut text = serde_json::to_string(&wishes).unwrap();
            let providers = serde_json::to_string(&providers).unwrap();
            if providers != "{}" {
                text += &format!(" providers {providers}");
            }
            if !ignored.is_empty() {
                text += &format!(" ignored {}", ignored.join(" "));
            }
            text
        }
    }
}
