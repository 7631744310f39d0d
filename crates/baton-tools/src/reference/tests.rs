use serde_json::json;

use super::*;

#[test]
fn nothing_names_nothing() {
    check(&json!(null), "");
    check(&json!([]), "");
}

#[test]
fn a_text_is_a_name_or_a_url() {
    check(&json!("acme/search"), "acme/search");
    check(&json!("acme/search@1.2"), "acme/search@1.2");
    check(&json!("docker:duckduckgo"), "docker:duckduckgo");
    check(&json!("https://MCP.example.com/mcp"), "https://mcp.example.com/mcp");
}

#[test]
fn an_object_holds_one_of_both() {
    check(&json!({"slug": "acme/search", "url": null, "version": null}), "acme/search");
    check(&json!({"url": "https://mcp.example.com/mcp", "name": "mine"}), "mine=https://mcp.example.com/mcp");
    check(
        &json!({"slug": "a", "url": "https://b.test/"}),
        "each object in `mcp_servers` must have one of `slug` and `url`",
    );
    check(&json!({"name": "a"}), "each object in `mcp_servers` must have one of `slug` and `url`");
}

#[test]
fn what_has_no_effect_is_told() {
    check(
        &json!({"slug": "a/b", "version": "1", "credentials": {"org-x": "sealed"}, "headers": {"authorization": "x"}}),
        "a/b ignoring credentials,headers,version",
    );
}

#[test]
fn a_list_mixes_them() {
    check(&json!(["a/b", {"slug": "c/d"}, "https://e.test/"]), "a/b c/d https://e.test/");
}

#[test]
fn a_command_is_refused() {
    check(
        &json!([{"name": "x", "command": ["sh", "-c", "id"]}]),
        "`command` in `mcp_servers` is not taken from a request: the operator configures it",
    );
    check(
        &json!([{"slug": "files", "command": null}]),
        "`command` in `mcp_servers` is not taken from a request: the operator configures it",
    );
}

#[test]
fn other_shapes_are_refused() {
    let shape = "`mcp_servers` must be a name, a URL, an object with `slug` or `url`, or a list of them";
    check(&json!(3), shape);
    check(&json!([["a/b"]]), shape);
    check(&json!({"slug": 3}), "`slug` in `mcp_servers` must be a text");
    let name = "a name in `mcp_servers` is empty, too long, or has a character that no name may have";
    check(&json!(""), name);
    check(&json!("acme\u{200b}/search"), name);
    check(&json!("file:///etc/passwd"), "a URL in `mcp_servers` cannot be taken");
    check(&json!(vec!["a"; 33]), "`mcp_servers` names more than 32 servers");
}

#[track_caller]
fn check(value: &Value, expected: &str) {
    let shown = match ServerRef::read(value) {
        Ok(refs) => refs.iter().map(show).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

fn show(server: &ServerRef) -> String {
    let place = match &server.place {
        Place::Slug(slug) => slug.clone(),
        Place::Url(url) => url.to_string(),
    };
    let label = server.label.as_ref().map(|label| format!("{label}=")).unwrap_or_default();
    let ignored = match server.ignored() {
        [] => String::new(),
        keys => format!(" ignoring {}", keys.join(",")),
    };
    format!("{label}{place}{ignored}")
}
