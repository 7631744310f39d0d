use super::*;

#[test]
fn every_row_names_the_gateway_and_is_filled() {
    for row in ROWS {
        let text = filled(row.text, "http://127.0.0.1:8080", "oai/small");
        assert!(text.contains("http://127.0.0.1:8080"), "{}", row.name);
        assert!(!text.contains("{root}") && !text.contains("{model}"), "{}", row.name);
        assert!(crate::cli::model_pattern(ANY_MODEL).is_ok() && row.path.starts_with("/v1/"));
    }
}

#[test]
fn names_stand_once() {
    let mut names = names();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ROWS.len());
}

#[test]
fn what_is_json_is_json() {
    let row = ROWS.iter().find(|row| row.name == "opencode").unwrap();
    let value: serde_json::Value = serde_json::from_str(&filled(row.text, "http://x", "a/b")).unwrap();
    assert_eq!(value["provider"]["baton"]["options"]["baseURL"], "http://x/v1");
    assert_eq!(value["model"], "baton/a/b");
}
