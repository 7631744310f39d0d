use super::*;

#[test]
fn a_data_url_is_split_at_its_comma() {
    assert_eq!(split_data_url("data:image/png;base64,AAAA"), Some(("image/png", "AAAA")));
    assert_eq!(split_data_url("DATA:image/png;name=x;base64,AA,"), Some(("image/png", "AA,")));
}

#[test]
fn what_is_no_base64_data_url_stays_whole() {
    for url in ["https://example.com/a.png", "data:image/svg+xml,<svg/>", "data", "", "\u{e9}\u{e9}\u{e9}"] {
        assert_eq!(split_data_url(url), None, "{url}");
    }
}

#[test]
fn a_plain_short_id_is_kept() {
    assert_eq!(remap_id("call_1-A", "call_", 40), "call_1-A");
}

#[test]
fn other_ids_are_replaced_by_one_of_their_own() {
    let long = "x".repeat(41);
    for id in [long.as_str(), "a b", "caf\u{e9}", "", "a:1"] {
        let new = remap_id(id, "call_", 40);
        assert!(new.starts_with("call_") && new.len() == 37, "{new}");
        assert_eq!(new, remap_id(id, "call_", 40));
    }
    assert_ne!(remap_id("a:1", "call_", 40), remap_id("a:2", "call_", 40));
}

#[test]
fn members_are_written_in_order_and_escaped() {
    let mut object = ObjectWriter::new();
    object.member("a\"", "x\n");
    object.optional("b", None::<&str>);
    object.optional("c", Some(&[1, 2]));
    assert_eq!(String::from_utf8(object.finish()).unwrap(), r#"{"a\"":"x\n","c":[1,2]}"#);
    assert_eq!(ObjectWriter::new().finish(), b"{}");
}

#[test]
fn a_budget_has_a_nearest_effort() {
    let efforts: Vec<_> = [0, 1_024, 2_048, 4_096, 8_192, 32_000].map(effort_of_budget).into();
    assert_eq!(efforts, ["none", "low", "medium", "medium", "high", "high"]);
}
