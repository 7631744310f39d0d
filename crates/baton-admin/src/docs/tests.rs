use super::openapi;

#[test]
fn every_route_has_a_name_an_example_and_demands_a_key() {
    let document = serde_json::to_value(openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 9, "{:?}", paths.keys());
    for (path, item) in paths {
        let get = &item["get"];
        assert!(get["operationId"].as_str().is_some_and(|name| name.starts_with("admin.")), "{path}");
        for (kind, content) in get["responses"]["200"]["content"].as_object().unwrap() {
            assert!(!content["example"].is_null(), "{path} has no example of {kind}");
        }
        let ways = get["security"].as_array().unwrap();
        assert!(!ways.is_empty() && ways.iter().all(|way| !way.as_object().unwrap().is_empty()), "{path}");
    }
}
