use baton_model::RawJson;
use insta::assert_snapshot;

use super::super::schema::enforceable;

#[test]
fn what_is_enforced_stays() {
    assert_snapshot!(check(r#"{"type":"object","title":"T","properties":{"a":{"type":["string","null"],"enum":["x",null]},"b":{"const":1,"default":1}},"required":["a"],"additionalProperties":false}"#), @r#"{"type":"object","title":"T","properties":{"a":{"type":["string","null"],"enum":["x",null]},"b":{"const":1,"default":1}},"required":["a"],"additionalProperties":false}"#);
}

#[test]
fn objects_are_closed_everywhere() {
    assert_snapshot!(check(r##"{"properties":{"a":{"type":"array","items":{"type":"object","properties":{}}},"b":{"$ref":"#/$defs/B"}},"$defs":{"B":{"type":["object","null"],"additionalProperties":true}}}"##), @r##"{"properties":{"a":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false}},"b":{"$ref":"#/$defs/B"}},"$defs":{"B":{"type":["object","null"],"additionalProperties":false}},"additionalProperties":false}"##);
}

#[test]
fn what_is_not_enforced_is_said() {
    assert_snapshot!(check(r#"{"type":"integer","description":"A number","minimum":1,"maximum":10}"#), @r#"{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 10}"}"#);
    assert_snapshot!(check(r#"{"type":"object","additionalProperties":{"type":"string"}}"#), @"not enforceable");
    assert_snapshot!(check(r#"{"type":"array","items":true,"minItems":1,"maxItems":9}"#), @r#"{"type":"array","items":true,"minItems":1,"description":"{maxItems: 9}"}"#);
    assert_snapshot!(check(r#"{"type":"array","minItems":3}"#), @r#"{"type":"array","description":"{minItems: 3}"}"#);
}

#[test]
fn formats_stay_where_they_are_known() {
    assert_snapshot!(check(r#"{"type":"string","format":"date-time"}"#), @r#"{"type":"string","format":"date-time"}"#);
    assert_snapshot!(check(r#"{"type":"string","format":"color","pattern":"^#"}"#), @r#"{"type":"string","description":"{format: \"color\", pattern: \"^#\"}"}"#);
}

#[test]
fn alternatives_are_all_of_one_kind() {
    assert_snapshot!(check(r#"{"oneOf":[{"type":"object","properties":{}},{"type":"null"}],"$schema":"x"}"#), @r#"{"anyOf":[{"type":"object","properties":{},"additionalProperties":false},{"type":"null"}]}"#);
    assert_snapshot!(check(r#"{"allOf":[{"type":"number","minimum":0}]}"#), @r#"{"allOf":[{"type":"number","description":"{minimum: 0}"}]}"#);
}

#[test]
fn what_is_no_schema_is_left_to_the_server() {
    assert_snapshot!(check("true"), @"true");
    assert_snapshot!(check(r#"{"type":"object","type":"string"}"#), @r#"{"type":"object","type":"string"}"#);
    assert_snapshot!(check(r#"{"type":"object","properties":[]}"#), @r#"{"type":"object","properties":[],"additionalProperties":false}"#);
}

#[track_caller]
fn check(schema: &str) -> String {
    let narrowed = enforceable(&RawJson::parse(schema).unwrap());
    narrowed.map_or("not enforceable".to_owned(), |schema| schema.get().to_owned())
}
