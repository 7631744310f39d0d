use serde_json::json;

use super::*;

const HINT: &str = "Oslo";

#[test]
fn plain_types_have_plain_values() {
    check(
        json!({"type": "object", "properties": {
            "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"},
            "b": {"type": "boolean"}, "z": {"type": "null"}, "a": {"type": "array", "items": {"type": "integer"}}}}),
        json!({"s": "Oslo", "i": 1, "n": 1, "b": true, "z": null, "a": [1]}),
    );
}

#[test]
fn a_schema_that_says_nothing_takes_text() {
    check(json!({}), json!("Oslo"));
    check(json!(true), json!("Oslo"));
}

#[test]
fn an_object_may_be_empty() {
    check(json!({"type": "object", "properties": {}, "additionalProperties": true}), json!({}));
}

#[test]
fn keywords_tell_the_type_where_none_is_said() {
    check(json!({"properties": {"a": {"minimum": 3}}}), json!({"a": 3}));
    check(json!({"items": {"const": 1}}), json!([1]));
}

#[test]
fn const_and_enum_are_followed() {
    check(json!({"const": {"x": [1]}}), json!({"x": [1]}));
    check(json!({"enum": ["red", "green"]}), json!("red"));
    check(json!({"enum": [null, "red"]}), json!("red"));
    check(json!({"type": "integer", "enum": ["x", 5]}), json!(5));
}

#[test]
fn an_example_of_the_author_is_taken_if_it_has_the_type() {
    check(json!({"type": "string", "examples": ["Bergen"]}), json!("Bergen"));
    check(json!({"type": "integer", "examples": ["Bergen"]}), json!(1));
}

#[test]
fn the_type_that_is_not_null_is_preferred() {
    check(json!({"type": ["null", "integer"]}), json!(1));
    check(json!({"anyOf": [{"type": "null"}, {"type": "string"}]}), json!("Oslo"));
    check(json!({"oneOf": [{"type": "null"}]}), json!(null));
}

#[test]
fn required_members_without_a_schema_are_there() {
    check(
        json!({"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}}),
        json!({"x": 1}),
    );
    check(json!({"type": "object", "required": ["x"]}), json!({"x": "Oslo"}));
}

#[test]
fn members_are_counted() {
    check(
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "boolean"}}),
        json!({"key_1": false, "key_2": true}),
    );
    check(
        json!({"type": "object", "maxProperties": 1, "required": ["b"], "properties": {"a": {}, "b": {"const": 1}}}),
        json!({"b": 1}),
    );
}

#[test]
fn a_member_that_nothing_satisfies_is_left_out() {
    check(json!({"type": "object", "properties": {"a": false, "b": {"const": 1}}}), json!({"b": 1}));
}

#[test]
fn references_are_followed_in_every_spelling() {
    check(
        json!({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "integer", "minimum": 4}}}),
        json!(4),
    );
    check(json!({"$ref": "#/definitions/x", "definitions": {"x": {"const": "y"}}}), json!("y"));
}

#[test]
fn what_stands_beside_a_reference_counts_too() {
    check(
        json!({"$ref": "#/$defs/n", "minimum": 7, "$defs": {"n": {"type": "integer", "minimum": 2}}}),
        json!(7),
    );
}

#[test]
fn all_of_several_schemas_hold() {
    check(
        json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
            {"properties": {"a": {"type": "integer", "minimum": 3}, "b": {"maxLength": 2, "type": "string"}}}]}),
        json!({"a": 3, "b": "Os"}),
    );
    check(json!({"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 2]}]}), json!(2));
}

#[test]
fn a_branch_adds_to_what_stands_around_it() {
    check(
        json!({"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"],
               "oneOf": [{"properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}}},
                         {"properties": {"kind": {"const": "square"}}}]}),
        json!({"kind": "circle", "radius": 1}),
    );
}

#[test]
fn bounds_of_numbers_are_kept() {
    for (schema, expected) in [
        (json!({"type": "integer", "minimum": 10}), json!(10)),
        (json!({"type": "integer", "exclusiveMinimum": 10}), json!(11)),
        (json!({"type": "integer", "minimum": 10, "exclusiveMinimum": true}), json!(11)),
        (json!({"type": "integer", "minimum": 2.5}), json!(3)),
        (json!({"type": "integer", "maximum": -3}), json!(-3)),
        (json!({"type": "integer", "exclusiveMaximum": -3}), json!(-4)),
        (json!({"type": "integer", "maximum": 100}), json!(1)),
        (json!({"type": "integer", "minimum": 0, "maximum": 5}), json!(1)),
        (json!({"type": "integer", "minimum": 0, "maximum": 0}), json!(0)),
        (json!({"type": "integer", "multipleOf": 7, "minimum": 8}), json!(14)),
        (json!({"type": "number", "minimum": 0, "maximum": 1}), json!(1)),
        (json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}), json!(0.5)),
        (json!({"type": "number", "minimum": 0.25, "maximum": 0.75}), json!(0.5)),
        (json!({"type": "number", "multipleOf": 0.5, "minimum": 0.75}), json!(1)),
        (json!({"allOf": [{"minimum": 1}, {"minimum": 5}], "type": "integer"}), json!(5)),
    ] {
        check(schema, expected);
    }
}

#[test]
fn lengths_are_kept() {
    check(json!({"type": "string", "maxLength": 2}), json!("Os"));
    check(json!({"type": "string", "minLength": 6}), json!("OsloOs"));
    check(json!({"type": "string", "maxLength": 0}), json!(""));
}

#[test]
fn formats_are_kept() {
    for (format, expected) in [
        ("date-time", "2026-01-15T09:30:00Z"),
        ("date", "2026-01-10"),
        ("email", "ada0@example.com"),
        ("uri", "https://example.com/0"),
        ("uuid", "123e4567-e89b-42d3-a456-426614174000"),
        ("ipv4", "192.0.2.1"),
        ("no-such-format", "Oslo"),
    ] {
        check(json!({"type": "string", "format": format}), json!(expected));
    }
}

#[test]
fn patterns_are_kept() {
    check(json!({"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"}), json!("AAA-00"));
    check(json!({"type": "string", "pattern": "^a+$", "minLength": 3}), json!("aaa"));
    check(json!({"type": "string", "pattern": "(?=unknown)"}), json!("Oslo"));
}

#[test]
fn arrays_have_their_number_of_items() {
    check(json!({"type": "array", "items": {"const": 1}, "minItems": 3}), json!([1, 1, 1]));
    check(json!({"type": "array", "items": {"const": 1}, "maxItems": 0}), json!([]));
    check(json!({"type": "array"}), json!(["Oslo"]));
    check(
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}),
        json!([1, "Oslo"]),
    );
    check(json!({"type": "array", "items": false}), json!([]));
}

#[test]
fn unique_items_differ() {
    check(
        json!({"type": "array", "minItems": 3, "uniqueItems": true, "items": {"type": "string"}}),
        json!(["Oslo", "2 Oslo", "3 Oslo"]),
    );
    check(
        json!({"type": "array", "minItems": 2, "uniqueItems": true, "items": {"enum": ["x", "y"]}}),
        json!(["x", "y"]),
    );
    check(
        json!({"type": "array", "minItems": 3, "uniqueItems": true, "items": {"type": "integer", "minimum": 5}}),
        json!([5, 6, 7]),
    );
}

#[test]
fn without_a_hint_a_string_says_what_it_is_for() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    assert_eq!(example(&schema, ""), json!({"city": "city"}));
}

#[test]
fn a_tree_ends_by_itself() {
    let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "required": ["value", "children", "next"], "additionalProperties": false,
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}});
    assert_node(&example(&schema, HINT));
}

#[test]
fn a_reference_to_itself_says_nothing() {
    check(json!({"$ref": "#"}), json!("Oslo"));
    check(
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!("Oslo"),
    );
    check(json!({"$ref": "https://example.com/schema"}), json!("Oslo"));
}

#[test]
fn what_can_never_end_is_cut() {
    let schema = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "required": ["a", "b"],
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}}}}});
    assert!(count(&example(&schema, HINT)) <= 2 * NODES);
    let schema = json!({"type": "array", "minItems": 1_000_000_000, "items": {"type": "integer"}});
    assert!(count(&example(&schema, HINT)) <= NODES);
    let schema = json!({"type": "array", "minItems": 1_000_000_000, "items": {"$ref": "#"}});
    assert!(count(&example(&schema, HINT)) <= NODES);
    let schema =
        json!({"type": "array", "minItems": 1_000, "items": {"type": "string", "minLength": 10_000}});
    assert!(example(&schema, HINT).to_string().len() <= 128 * NODES);
    let schema = json!({"type": "string", "minLength": 1_000_000_000_u64});
    assert!(example(&schema, HINT).as_str().is_some_and(|text| text.len() <= 10_000));
}

#[test]
fn schemas_that_are_nonsense_do_no_harm() {
    check(json!(7), json!("Oslo"));
    check(json!(false), json!("Oslo"));
    check(json!({"type": "wizard"}), json!("Oslo"));
    check(json!({"type": 7, "enum": 7, "properties": 7, "required": 7, "allOf": 7, "anyOf": 7}), json!({}));
    check(json!({"enum": []}), json!("Oslo"));
    check(json!({"anyOf": []}), json!("Oslo"));
    check(json!({"type": "integer", "minimum": 5, "maximum": 1}), json!(5));
    check(json!({"type": "integer", "minimum": 1e300}), json!(null));
    check(json!({"type": "number", "minimum": 1e300}), json!(1e300));
    check(json!({"type": "string", "minLength": -1, "maxLength": 1e300}), json!("Oslo"));
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the cases read better without ampersands")]
fn check(schema: Value, expected: Value) {
    assert_eq!(example(&schema, HINT), expected, "{schema}");
}

#[track_caller]
fn assert_node(node: &Value) {
    let Value::Object(members) = node else { panic!("not an object: {node}") };
    let keys: Vec<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(keys, ["children", "next", "value"]);
    assert!(node["value"].is_i64());
    node["children"].as_array().unwrap().iter().for_each(assert_node);
    if !node["next"].is_null() {
        assert_node(&node["next"]);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
