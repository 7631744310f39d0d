//! Who is let in: the operators, and nobody else.

use reqwest::Method;
use serde_json::json;

use super::{ADMIN, Site, on_each_store};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Answer, run, sent};

const PATHS: [&str; 8] = [
    "/decisions",
    "/decisions/export",
    "/decisions/dec_019356aa00007000800000000000000a",
    "/runs/run_019356aa00007000800000000000000a",
    "/handoffs",
    "/usage",
    "/models/unchosen",
    "/rules/unfired",
];

async fn asked(site: &Site, path: &str, secret: Option<&str>) -> Answer {
    let request = site.baton().keyless(Method::GET, &format!("/admin/v1{path}"));
    sent(match secret {
        Some(secret) => request.header("x-api-key", secret),
        None => request,
    })
    .await
}

#[test]
fn a_key_of_an_operators_is_always_needed() {
    on_each_store("", async |site| {
        // Whoever is on this machine may ask models, and is not let in for that.
        site.baton().chat(&json!({"model": "oai/fake-x", "messages": "hi"})).await.expect(200);
        let user = create(site.baton(), &["user"]).await;
        let viewer = create(site.baton(), &["viewer", "--role", "viewer"]).await;
        for path in PATHS.into_iter().chain(["", "/", "/nothing", "/decisions/a/b", "/%ff"]) {
            let error = asked(site, path, None).await.openai_error(401);
            assert_eq!(error["code"], "missing_api_key", "{path}");
            assert!(
                error["message"].as_str().is_some_and(|said| said.contains("baton keys create")),
                "{error}"
            );
            for wrong in ["wrong", "sk-anything", ADMIN.get(1..).expect("a rest")] {
                let error = asked(site, path, Some(wrong)).await.openai_error(401);
                assert_eq!(
                    (&error["code"], &error["type"]),
                    (&json!("invalid_api_key"), &json!("authentication_error"))
                );
            }
            let error = asked(site, path, Some(&user.secret)).await.openai_error(403);
            assert_eq!(
                (&error["code"], &error["type"]),
                (&json!("role_not_allowed"), &json!("permission_error"))
            );
        }
        for path in PATHS {
            for secret in [ADMIN, &viewer.secret] {
                let answer = asked(site, path, Some(secret)).await;
                assert!(answer.status == 200 || path.contains("019356aa"), "{path}: {answer:?}");
            }
            let posted = site.baton().keyless(Method::POST, &format!("/admin/v1{path}")).bearer_auth(ADMIN);
            let answer = sent(posted).await;
            answer.openai_error(405);
            assert_eq!(answer.header("allow"), "GET");
        }
        for path in ["/nothing", "/decisions/a/b", "/audit/erase"] {
            asked(site, path, Some(ADMIN)).await.openai_error(404);
        }
        // A revoked key is out at once.
        let revoked = ["keys", "revoke", &viewer.id];
        crate::blackbox::support::baton(&site.baton().home, &revoked).await.expect(0);
        asked(site, "/decisions", Some(&viewer.secret)).await.openai_error(401);
    });
}

#[test]
fn two_keys_in_one_header_are_refused() {
    run(async {
        let site = Site::start("", None).await;
        let twice = site
            .baton()
            .keyless(Method::GET, "/admin/v1/usage")
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("authorization", "Bearer other");
        assert_eq!(sent(twice).await.openai_error(400)["param"], "authorization");
    });
}
