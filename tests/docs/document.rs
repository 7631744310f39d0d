//! Holds the committed `OpenAPI` document against the code, and real answers against the document.

use std::process::Command;

use serde_json::{Value, json};

use super::blocks::root;
use super::server::Server;

#[test]
fn the_committed_document_is_what_the_program_prints() {
    let output = Command::new(env!("CARGO_BIN_EXE_baton")).arg("openapi").output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    let committed = std::fs::read(root().join("openapi/openapi.json")).expect("the committed document");
    assert!(
        output.stdout == committed,
        "openapi/openapi.json is not what the code says: run `cargo xtask openapi`"
    );
}

#[test]
fn real_answers_have_the_members_that_the_document_names() {
    let server = Server::start();
    let url = format!("http://{}", server.address);
    let document = get(&server, &[&format!("{url}/openapi.json")]);
    let chat = format!("{url}/v1/chat/completions");
    let body = json!({
        "models": ["echo/fail-429", "echo/hello"],
        "messages": [{"role": "user", "content": "hi"}],
        "baton": {"session": "s", "tags": ["t"]},
        "user": "u",
        "metadata": {"k": "v"},
    })
    .to_string();
    let answer = get(&server, &[&chat, "-d", &body]);
    let decision = answer["baton"]["decision"].as_str().expect("a decision").to_owned();
    for (path, documented) in [
        (format!("/v1/decisions/{decision}"), "/v1/decisions/{id}"),
        ("/v1/decisions".to_owned(), "/v1/decisions"),
        ("/v1/models".to_owned(), "/v1/models"),
        ("/v1/models/echo/hello".to_owned(), "/v1/models/{id}"),
        ("/healthz".to_owned(), "/healthz"),
        ("/readyz".to_owned(), "/readyz"),
        ("/".to_owned(), "/"),
    ] {
        let real = get(&server, &[&format!("{url}{path}")]);
        let content =
            &document["paths"][documented]["get"]["responses"]["200"]["content"]["application/json"];
        check(&document, &content["schema"], &real, documented);
        check(&document, &content["schema"], &content["example"], &format!("the example of {documented}"));
    }
    let key = Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(["keys", "create", "reader", "--role", "viewer"])
        .env("BATON_DATA_DIR", server.home.path().join("data"))
        .output()
        .expect("the program");
    let key = format!("x-api-key: {}", String::from_utf8_lossy(&key.stdout).trim());
    for (path, documented) in [
        ("/admin/v1/decisions", "/admin/v1/decisions"),
        (&format!("/admin/v1/decisions/{decision}"), "/admin/v1/decisions/{id}"),
        ("/admin/v1/decisions/export?format=json", "/admin/v1/decisions/export"),
        ("/admin/v1/usage?group_by=model", "/admin/v1/usage"),
        ("/admin/v1/handoffs", "/admin/v1/handoffs"),
        ("/admin/v1/models/unchosen", "/admin/v1/models/unchosen"),
        ("/admin/v1/rules/unfired", "/admin/v1/rules/unfired"),
    ] {
        let real = get(&server, &[&format!("{url}{path}"), "-H", &key]);
        let content =
            &document["paths"][documented]["get"]["responses"]["200"]["content"]["application/json"];
        check(&document, &content["schema"], &real, documented);
        check(&document, &content["schema"], &content["example"], &format!("the example of {documented}"));
    }
    let feedback = format!("{url}/v1/decisions/{decision}/feedback");
    let whole = r#"{"correct_target":"echo/hello","score":0.5,"label":"l","comment":"c"}"#;
    let content = "/paths/~1v1~1decisions~1{id}~1feedback/post/responses/200/content/application~1json";
    let content = document.pointer(content).expect("the documented answer");
    check(&document, &content["schema"], &get(&server, &[&feedback, "-d", whole]), "feedback");
    check(&document, &content["schema"], &content["example"], "the example of feedback");
    for (path, body, schema) in [
        ("/v1/chat/completions", r#"{"model":"echo/helo","messages":[]}"#, "OpenaiError"),
        ("/v1/messages", r#"{"model":"echo/helo","max_tokens":1,"messages":[]}"#, "AnthropicError"),
    ] {
        let real = get(&server, &[&format!("{url}{path}"), "-d", body]);
        check(&document, &document["components"]["schemas"][schema], &real, path);
    }
}

fn get(server: &Server, arguments: &[&str]) -> Value {
    let output = server.home.command("curl").arg("-sS").args(arguments).output().expect("curl");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {arguments:?}: {}", String::from_utf8_lossy(&output.stdout)))
}

/// Every member is named, every required one is there, every value has its type.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schemas = resolved(document, schema);
    if value.is_null() && schemas.iter().any(|schema| allows(schema, "null")) {
        return;
    }
    match value {
        Value::Object(members) => {
            let known = |name: &str| schemas.iter().find_map(|schema| schema["properties"].get(name));
            let open = schemas.iter().all(|schema| schema["properties"].is_null());
            for (name, member) in members {
                match known(name) {
                    Some(schema) => check(document, schema, member, &format!("{at} {name}")),
                    None => assert!(open, "{at}: `{name}` is not documented"),
                }
            }
            for required in schemas.iter().filter_map(|schema| schema["required"].as_array()).flatten() {
                let required = required.as_str().expect("a name");
                assert!(members.contains_key(required), "{at}: `{required}` is not there");
            }
        }
        Value::Array(items) => {
            let schema = schemas.iter().find(|schema| !schema["items"].is_null());
            let schema = schema.unwrap_or_else(|| panic!("{at}: a list is not documented"));
            items.iter().for_each(|item| check(document, &schema["items"], item, at));
        }
        scalar => {
            let word = match scalar {
                Value::String(_) => "string",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                _ => "null",
            };
            let fits = schemas
                .iter()
                .any(|schema| allows(schema, word) || (word == "integer" && allows(schema, "number")));
            assert!(fits, "{at}: {scalar} is not a documented value: {schemas:?}");
        }
    }
}

fn allows(schema: &Value, word: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == word,
        Value::Array(many) => many.iter().any(|one| one == word),
        _ => false,
    }
}

/// The schema's own parts, references and compositions followed.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return resolved(document, target.unwrap_or_else(|| panic!("{reference} leads nowhere")));
    }
    let mut parts = vec![schema];
    for composition in ["allOf", "oneOf", "anyOf"] {
        for part in schema[composition].as_array().into_iter().flatten() {
            parts.extend(resolved(document, part));
        }
    }
    parts
}
