use super::openapi;

#[test]
fn every_route_has_a_name_an_example_an_error_and_demands_a_key() {
    let document = serde_json::to_value(baton_api::openapi(openapi())).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut seen = 0;
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/admin/")) {
        for (method, operation) in item.as_object().unwrap() {
            seen += 1;
            let at = format!("{method} {path}");
            let name = operation["operationId"].as_str().unwrap();
            assert!(name.starts_with("admin."), "{at}: {name}");
            for (kind, content) in operation["responses"]["200"]["content"].as_object().unwrap() {
                assert!(!content["example"].is_null(), "{at} has no example of {kind}");
            }
            for body in operation["requestBody"]["content"].as_object().into_iter().flat_map(|it| it.values())
            {
                assert!(!body["example"].is_null(), "{at} has no example of its body");
            }
            for status in ["401", "403", "503"] {
                let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
                assert!(schema.is_string(), "{at} does not tell of {status}");
            }
            let ways = operation["security"].as_array().unwrap();
            assert!(!ways.is_empty() && ways.iter().all(|way| !way.as_object().unwrap().is_empty()), "{at}");
        }
    }
    assert_eq!(seen, 23, "{:?}", paths.keys());
}
