//! `GET /v1/models` and `GET /v1/models/{id}`.

use reqwest::Method;
use serde_json::{Value, json};

use super::answers::text;
use crate::blackbox::support::{Baton, run, sent};

const CONFIG: &str = r#"
providers:
  oai: { dialect: openai_chat, base_url: "http://127.0.0.1:9/v1", api_key: k, models: [plain, "deep/er"] }
models:
  oai/plain: { aliases: [short, team/short], context_window: 4096, price: { input: 0.15, output: 0.6 } }
routes:
  smart: { pool: [oai/plain, echo/hello] }
"#;

#[test]
fn the_list_has_what_each_family_of_clients_looks_for() {
    run(async {
        let baton = Baton::start(CONFIG).await;
        for path in ["/v1/models", "/models"] {
            let list = baton.get(path).await.expect(200).json();
            assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
            let data = list["data"].as_array().expect("models");
            for model in data {
                assert_eq!((&model["object"], &model["type"]), (&json!("model"), &json!("model")), "{model}");
                assert!(model["created"].is_u64() && model["created_at"].is_string(), "{model}");
                for key in ["id", "owned_by", "provider", "display_name"] {
                    assert!(model[key].is_string(), "{model}");
                }
            }
            let ids: Vec<String> = data.iter().map(|model| text(&model["id"])).collect();
            for id in ["echo/hello", "oai/deep/er", "oai/plain", "smart"] {
                assert!(ids.contains(&id.to_owned()), "{id} is not in {ids:?}");
            }
            assert_eq!((&list["first_id"], &list["last_id"]), (&json!(ids.first()), &json!(ids.last())));
        }
    });
}

#[test]
fn a_model_is_found_under_each_of_its_names_and_spellings() {
    run(async {
        let baton = Baton::start(CONFIG).await;
        for (name, id) in [
            ("oai/plain", "oai/plain"),
            ("oai%2Fplain", "oai/plain"),
            ("oai%2fplain", "oai/plain"),
            ("oai/deep/er", "oai/deep/er"),
            ("oai%2Fdeep%2Fer", "oai/deep/er"),
            ("short", "oai/plain"),
            ("team/short", "oai/plain"),
            ("smart", "smart"),
            ("echo/hello", "echo/hello"),
        ] {
            let model = baton.get(&format!("/v1/models/{name}")).await.expect(200).json();
            assert_eq!(model["id"], id, "{name}");
        }
        let model = baton.get("/v1/models/short").await.json();
        assert_eq!(
            (&model["capabilities"]["input_token_limit"], &model["pricing"]["input_per_million"]),
            (&json!(4096), &json!(0.15))
        );
        assert_eq!(model["aliases"], json!(["short", "team/short"]));
    });
}

#[test]
fn an_unknown_model_is_not_found_in_the_callers_dialect() {
    run(async {
        let baton = Baton::start(CONFIG).await;
        for name in ["oai/none", "none", "oai", "%00", "..%2f..%2fetc%2fpasswd", "%ff"] {
            let answer = baton.get(&format!("/v1/models/{name}")).await;
            assert!((400..405).contains(&answer.status), "{name}: {answer:?}");
            let status = answer.status;
            answer.openai_error(status);
        }
        let error = baton.get("/v1/models/none").await.openai_error(404);
        assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
        let request = baton.request(Method::GET, "/v1/models/none").header("anthropic-version", "2023-06-01");
        assert_eq!(sent(request).await.anthropic_error(404)["type"], "not_found_error");
        for path in ["/v1/models", "/v1/models/short"] {
            let answer = sent(baton.request(Method::DELETE, path)).await;
            answer.openai_error(405);
            assert_eq!(answer.header("allow"), "GET");
        }
    });
}

#[test]
fn an_unknown_model_of_a_request_comes_with_the_nearest_names() {
    run(async {
        let baton = Baton::start(CONFIG).await;
        for (name, near) in
            [("echo/helo", "echo/hello"), ("oai/plane", "oai/plain"), ("smrt", "smart"), ("shrt", "short")]
        {
            let error = baton.chat(&json!({"model": name, "messages": "hi"})).await.openai_error(404);
            assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
            assert!(text(&error["message"]).contains(&format!("`{near}`")), "{name}: {error}");
        }
        let error = baton.chat(&json!({"model": "zzzzzz", "messages": "hi"})).await.openai_error(404);
        assert!(text(&error["message"]).contains("/v1/models"), "{error}");
        let list: Value = baton.get("/v1/decisions").await.json();
        assert_eq!(list["data"], json!([]), "a request for an unknown model decides nothing");
    });
}
