use super::*;

#[test]
fn every_route_has_a_name_an_example_an_error_and_a_word_on_keys() {
    let document = serde_json::to_value(openapi(utoipa::openapi::OpenApi::default())).unwrap();
    let mut names = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            names.push(
                operation["operationId"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{at} has no operationId"))
                    .to_owned(),
            );
            let responses = operation["responses"].as_object().unwrap();
            let good = responses.iter().find(|(status, _)| status.starts_with('2')).unwrap().1;
            for (kind, content) in good["content"].as_object().unwrap() {
                assert!(!content["example"].is_null(), "{at} has no example of {kind}");
            }
            if path.starts_with("/v1/") {
                assert!(!operation["security"].is_null(), "{at} says nothing on keys");
                assert!(
                    responses["401"]["content"]["application/json"]["schema"]["$ref"].is_string(),
                    "{at} has no errors"
                );
            }
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two operations share a name");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(openapi(utoipa::openapi::OpenApi::default())).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
