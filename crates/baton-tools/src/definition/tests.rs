use rmcp::model::JsonObject;
use serde_json::json;

use super::*;

#[test]
fn the_hash_is_of_name_description_and_schema() {
    let base = hash_of("a", Some("b"), json!({"type": "object"}));
    assert_eq!(base.len(), 64);
    assert_ne!(base, hash_of("A", Some("b"), json!({"type": "object"})));
    assert_ne!(base, hash_of("a", Some("b "), json!({"type": "object"})));
    assert_ne!(base, hash_of("a", None, json!({"type": "object"})));
    assert_ne!(base, hash_of("a", Some("b"), json!({"type": "array"})));
    assert_ne!(hash_of("a", None, json!({})), hash_of("a", Some(""), json!({})));
}

#[test]
fn the_order_of_keys_makes_no_difference_and_that_of_items_does() {
    let one: JsonObject = serde_json::from_str(r#"{"a": [1, 2], "b": {"c": 1, "d": 2}}"#).unwrap();
    let two: JsonObject = serde_json::from_str(r#"{"b": {"d": 2, "c": 1}, "a": [1, 2]}"#).unwrap();
    let three: JsonObject = serde_json::from_str(r#"{"b": {"d": 2, "c": 1}, "a": [2, 1]}"#).unwrap();
    let of = |schema: JsonObject| hash_of("a", None, Value::Object(schema));
    assert_eq!(of(one.clone()), of(two));
    assert_ne!(of(one), of(three));
}

#[test]
fn no_two_values_feed_the_same_bytes() {
    assert_ne!(hash_of("a", None, json!({"x": "1"})), hash_of("a", None, json!({"x": 1})));
    assert_ne!(hash_of("a", None, json!({"x": ["a", "b"]})), hash_of("a", None, json!({"x": ["ab"]})));
    assert_ne!(hash_of("ab", Some("c"), json!({})), hash_of("a", Some("bc"), json!({})));
}

#[test]
fn what_hides_changes_the_hash_even_where_it_is_shown_alike() {
    let hidden = hash_of("a", Some("x\u{200b}"), json!({}));
    assert_ne!(hidden, hash_of("a", Some("x\\u{200b}"), json!({})));
}

#[test]
fn a_long_description_is_cut_and_a_long_schema_is_unfit() {
    let long = "é".repeat(MAX_DESCRIPTION);
    let description = definition("a", Some(&long), json!({})).description.unwrap();
    assert_eq!((description.len(), description.ends_with('…')), (MAX_DESCRIPTION + 3, true));
    let schema = json!({"description": "x".repeat(MAX_SCHEMA)});
    assert_eq!(definition("a", None, schema).unfit, Some("its schema is too long"));
}

#[test]
fn a_name_that_is_empty_or_too_long_is_unfit() {
    assert_eq!(definition("", None, json!({})).unfit, Some("its name is empty or too long"));
    assert_eq!(definition(&"a".repeat(129), None, json!({})).unfit, Some("its name is empty or too long"));
    assert_eq!(definition(&"a".repeat(128), None, json!({})).unfit, None);
}

fn hash_of(name: &str, description: Option<&str>, schema: Value) -> String {
    definition(name, description, schema).hash
}

fn definition(name: &str, description: Option<&str>, schema: Value) -> Definition {
    let Value::Object(schema) = schema else { panic!("not an object") };
    let description = description.map(|text| text.to_owned().into());
    Definition::of(&Tool::new_with_raw(name.to_owned(), description, schema))
}
