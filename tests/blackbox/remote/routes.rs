//! The routes themselves: who is let in, what is not there, and how a mistake is told.

use reqwest::Method;
use serde_json::{Value, json};

use super::Far;
use crate::blackbox::keys::create;
use crate::blackbox::support::{Answer, run, sent};

/// Every route that is for administrators alone.
fn routes() -> Vec<(Method, &'static str)> {
    vec![
        (Method::GET, "/keys"),
        (Method::POST, "/keys"),
        (Method::POST, "/keys/key_019356aa00007000800000000000000d/rotate"),
        (Method::POST, "/keys/key_019356aa00007000800000000000000d/revoke"),
        (Method::GET, "/targets"),
        (Method::POST, "/targets"),
        (Method::GET, "/policies"),
        (Method::POST, "/policies"),
        (Method::GET, "/policies/default"),
        (Method::POST, "/policy-state"),
        (Method::GET, "/plans"),
        (Method::GET, "/plans/dec_019356aa00007000800000000000000a"),
        (Method::GET, "/mcp"),
        (Method::GET, "/audit/keys"),
    ]
}

async fn asked(far: &Far, method: &Method, path: &str, secret: Option<&str>) -> Answer {
    let request = far.server.keyless(method.clone(), &format!("/admin/v1{path}")).json(&json!({}));
    sent(match secret {
        Some(secret) => request.header("x-api-key", secret),
        None => request,
    })
    .await
}

#[test]
fn administrators_are_let_in_and_nobody_else() {
    run(async {
        let far = Far::start("").await;
        let viewer = create(&far.server, &["v", "--role", "viewer"]).await.secret;
        let user = create(&far.server, &["u"]).await.secret;
        for (method, path) in routes() {
            let error = asked(&far, &method, path, None).await.openai_error(401);
            assert_eq!(error["code"], "missing_api_key", "{path}");
            asked(&far, &method, path, Some("nobody-made-this-key-0123456789")).await.openai_error(401);
            for secret in [&user, &viewer] {
                let error = asked(&far, &method, path, Some(secret)).await.openai_error(403);
                assert_eq!(error["code"], "role_not_allowed", "{path}");
            }
            let answer = asked(&far, &method, path, Some(&far.admin)).await;
            let is_there = answer.status == 200 || !answer.text().contains("nothing at this path");
            assert!(is_there && !matches!(answer.status, 401 | 403 | 405 | 500..), "{path}: {answer:?}");
        }
    });
}

#[test]
fn what_stays_with_the_data_directory_is_not_there() {
    run(async {
        let far = Far::start("").await;
        for (method, path) in [
            (Method::GET, "/status"),
            (Method::POST, "/audit/erase"),
            (Method::POST, "/audit/rotate-key"),
            (Method::POST, "/audit/settle"),
            (Method::POST, "/audit/list"),
            (Method::POST, "/audit/recompute"),
            (Method::GET, "/audit/chains"),
            (Method::POST, "/audit/reproject/boot_019356aa00007000800000000000000a"),
            (Method::GET, "/audit/records/dec_019356aa00007000800000000000000a"),
            (Method::GET, "/audit/content/dec_019356aa00007000800000000000000a"),
            (Method::GET, "/explain/dec_019356aa00007000800000000000000a"),
            (Method::POST, "/route"),
            (Method::POST, "/mcp/approve"),
        ] {
            let answer = asked(&far, &method, path, Some(&far.admin)).await;
            let error = answer.openai_error(404);
            assert!(
                error["message"].as_str().is_some_and(|said| said.contains("nothing at this path")),
                "{path}"
            );
        }
    });
}

#[test]
fn a_mistake_is_told_in_the_form_of_the_admin_api() {
    run(async {
        let far = Far::start("").await;
        let post = async |path: &str, body: &str| {
            let request = far.server.keyless(Method::POST, &format!("/admin/v1{path}"));
            sent(
                request
                    .bearer_auth(&far.admin)
                    .header("content-type", "application/json")
                    .body(body.to_owned()),
            )
            .await
        };
        for (path, body, wanted) in [
            ("/keys", "{", 400),
            ("/keys", "{}", 422),
            ("/keys", r#"{"name": "x", "colour": "red"}"#, 422),
            ("/keys", r#"{"name": "x", "role": "king"}"#, 400),
            ("/keys/nonsense/revoke", "{}", 400),
            ("/targets", r#"{"scope": "echo", "state": "asleep"}"#, 422),
            ("/policies", r#"{"name": "p", "document": {"order": "upwards"}}"#, 400),
            ("/policy-state", r#"{"act": "activate", "name": "p", "version": "00"}"#, 400),
        ] {
            let error = post(path, body).await.openai_error(wanted);
            assert_eq!(error["type"], "invalid_request_error", "{path} {body}");
        }
        let request = far.server.keyless(Method::DELETE, "/admin/v1/keys").bearer_auth(&far.admin);
        let answer = sent(request).await;
        answer.openai_error(405);
        assert!(answer.header("allow").contains("POST"), "{answer:?}");
        for query in ["?limit=0", "?limit=501", "?limit=x", "?after=dec_019356aa00007000800000000000000a"] {
            asked(&far, &Method::GET, &format!("/plans{query}"), Some(&far.admin)).await.openai_error(400);
        }
        let none =
            asked(&far, &Method::GET, "/plans/dec_019356aa00007000800000000000000a", Some(&far.admin)).await;
        assert_eq!(none.openai_error(404)["code"], "not_found");
    });
}

#[test]
fn a_key_needs_no_more_than_a_name() {
    run(async {
        let far = Far::start("").await;
        let request = far.server.keyless(Method::POST, "/admin/v1/keys").bearer_auth(&far.admin);
        let made = sent(request.json(&json!({"name": "small"}))).await.expect(200).json();
        assert_eq!(
            (&made["role"], &made["models"], &made["state"]),
            (&json!("use"), &Value::Null, &json!("valid"))
        );
        assert!(made["secret"].as_str().is_some_and(|secret| secret.len() > 30), "{made}");
        let listed = asked(&far, &Method::GET, "/keys", Some(&far.admin)).await.expect(200).json();
        let rows = listed["data"].as_array().expect("keys");
        assert!(
            rows.iter().any(|row| row["id"] == made["id"]) && rows.iter().all(|row| row["secret"].is_null())
        );
    });
}
