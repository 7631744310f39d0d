use crate::load::tests::load_text;

/// The versions of two files.
fn versions(one: &str, two: &str) -> [String; 2] {
    [one, two].map(|text| load_text(text).unwrap().version().to_owned())
}

#[test]
fn the_version_is_sixteen_hex_digits_and_does_not_depend_on_the_order_of_keys() {
    let [one, two] = versions(
        "models: {echo/a: {price: {input: 1, output: 2}}, echo/b: {}}\nlimits: {max_connections: 5}",
        "limits: {max_connections: 5}\nmodels: {echo/b: {}, echo/a: {price: {output: 2.0, input: 1}}}",
    );
    assert_eq!(one, two);
    assert!(one.len() == 16 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
}

#[test]
fn the_order_of_a_pool_is_content() {
    let [one, two] =
        versions("routes: {r: {pool: [echo/a, echo/b]}}", "routes: {r: {pool: [echo/b, echo/a]}}");
    assert_ne!(one, two);
}

#[test]
fn a_changed_secret_is_a_change_but_no_other_version() {
    let text = |key: &str| {
        format!(
            "providers: {{openai: {{api_key: {key}, headers: {{x-a: {key}}}, proxy: \"http://u:{key}@h\"}}}}"
        )
    };
    let [one, two] = [text("sk-one"), text("sk-two")].map(|text| load_text(&text).unwrap());
    assert_eq!(one.version(), two.version());
    assert!(!one.same_as(&two) && one.same_as(&one.clone()));
}

#[test]
fn a_policy_has_a_version_of_its_content_only() {
    let config =
        load_text("policies: {a: {fallback: {retries: 1}}, b: {fallback: {retries: 1}}, c: {}, d: {client_order: true}}").unwrap();
    let version = |name| config.policy(name).unwrap().reference.version.as_str();
    assert_eq!(version("a"), version("b"));
    assert_ne!(version("a"), version("c"));
    assert_eq!(version("d"), version("default"));
}
