//! Keys from end to end: made by the command, used over HTTP, refused when they may not.

use baton_testkit::fake::{Credential, FakeUpstream, Script};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Baton, Fixture, Home, Raw, baton, run, sent, until};
use super::v1::text;

/// A key as its maker sees it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

/// Makes a key at the running server of this home.
pub(super) async fn create(server: &Baton, arguments: &[&str]) -> Key {
    create_in(&server.home, arguments).await
}

pub(super) async fn create_in(home: &Home, arguments: &[&str]) -> Key {
    let made = baton(home, &[&["keys", "create", "--json"], arguments].concat()).await.expect(0).json();
    Key { id: text(&made["id"]), secret: text(&made["secret"]) }
}

const REQUIRED: &str = "auth: { required: true }";

fn ask() -> Value {
    json!({"model": "echo/hello", "messages": "hi"})
}

#[test]
fn a_key_is_shown_once_and_then_only_its_end() {
    run(async {
        let server = Baton::start(REQUIRED).await;
        let output = baton(&server.home, &["keys", "create", "phone"]).await.expect(0);
        let secret = output.out.trim();
        assert!(!secret.contains(char::is_whitespace) && secret.len() > 30, "{output:?}");
        assert!(output.err.contains("not shown again"), "{output:?}");
        for arguments in [&["keys", "list"][..], &["keys", "list", "--json"]] {
            let list = baton(&server.home, arguments).await.expect(0);
            assert!(
                list.out.contains("phone")
                    && secret.get(secret.len() - 4..).is_some_and(|end| list.out.contains(end)),
                "{list:?}"
            );
            assert!(!list.out.contains(secret), "{list:?}");
        }
        let used =
            sent(server.keyless(Method::POST, "/v1/chat/completions").bearer_auth(secret).json(&ask())).await;
        used.expect(200);
    });
}

#[test]
fn keys_are_managed_alike_with_and_without_a_server() {
    run(async {
        let home = Home::new(REQUIRED);
        // Without a server.
        let first = create_in(
            &home,
            &[
                "first",
                "--model",
                "echo/*",
                "--concurrency",
                "3",
                "--expires-in-days",
                "9",
                "--byok",
                "--role",
                "viewer",
            ],
        )
        .await;
        let listed = baton(&home, &["keys", "list", "--json"]).await.expect(0).json();
        assert_eq!(listed[0]["id"], first.id);
        for (member, value) in [
            ("name", json!("first")),
            ("models", json!(["echo/*"])),
            ("concurrency", json!(3)),
            ("byok", json!(true)),
            ("role", json!("viewer")),
            ("state", json!("valid")),
        ] {
            assert_eq!(listed[0][member], value, "{listed}");
        }
        let second = create_in(&home, &["second"]).await;
        let rotated = baton(&home, &["keys", "rotate", &second.id, "--json"]).await.expect(0).json();
        assert_eq!(rotated["id"], second.id);
        let third = create_in(&home, &["third"]).await;
        baton(&home, &["keys", "revoke", &third.id]).await.expect(0);
        // A server that starts later knows all of it.
        let server = Baton::start_in(home.clone(), &[]).await;
        let try_with = async |secret: &str| {
            sent(server.keyless(Method::POST, "/v1/chat/completions").bearer_auth(secret).json(&ask()))
                .await
                .status
        };
        assert_eq!(try_with(&text(&rotated["secret"])).await, 200);
        assert_eq!(try_with(&second.secret).await, 401, "the old secret of a rotated key");
        assert_eq!(try_with(&third.secret).await, 401, "a revoked key");
        // With a server, what is done takes effect at once.
        let fourth = create_in(&home, &["fourth"]).await;
        assert_eq!(try_with(&fourth.secret).await, 200);
        let rotated = baton(&home, &["keys", "rotate", &fourth.id, "--grace-minutes", "5", "--json"])
            .await
            .expect(0)
            .json();
        assert_eq!(try_with(&text(&rotated["secret"])).await, 200);
        assert_eq!(try_with(&fourth.secret).await, 200, "the old secret has some minutes");
        baton(&home, &["keys", "revoke", &fourth.id]).await.expect(0);
        assert_eq!(try_with(&text(&rotated["secret"])).await, 401);
        assert_eq!(try_with(&fourth.secret).await, 401);
        let states = baton(&home, &["keys", "list", "--json"]).await.expect(0).json();
        let states: Vec<_> = states
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| (text(&key["name"]), text(&key["state"])))
            .collect();
        for wanted in [("first", "valid"), ("second", "valid"), ("third", "revoked"), ("fourth", "revoked")] {
            assert!(states.contains(&(wanted.0.to_owned(), wanted.1.to_owned())), "{states:?}");
        }
    });
}

#[test]
fn a_key_that_does_not_exist_cannot_be_rotated_or_revoked() {
    run(async {
        let server = Baton::start(REQUIRED).await;
        for id in ["key_019356aa00007000800000000000000a", "nonsense", "../status", ""] {
            for command in ["rotate", "revoke"] {
                let output = baton(&server.home, &["keys", command, id]).await.expect(1);
                assert!(output.out.is_empty() && output.err.starts_with("error:"), "{output:?}");
            }
        }
        for arguments in [
            &["keys", "create"][..],
            &["keys", "create", "x", "--role", "king"],
            &["keys", "create", "x", "--concurrency", "-1"],
        ] {
            baton(&server.home, arguments).await.expect(2);
        }
        for arguments in [&["keys", "create", ""][..], &["keys", "create", "x", "--concurrency", "0"]] {
            let output = baton(&server.home, arguments).await;
            assert_ne!(output.code, 0, "{output:?}");
        }
    });
}

#[test]
fn without_a_valid_key_nothing_is_answered() {
    run(async {
        let server = Baton::start(REQUIRED).await;
        let key = create(&server, &["k"]).await;
        let wrong = format!("{}x", key.secret);
        for path in [
            "/v1/chat/completions",
            "/v1/messages",
            "/v1/messages/count_tokens",
            "/v1/embeddings",
            "/v1/models",
            "/v1/models/echo/hello",
            "/v1/decisions",
            "/v1/decisions/dec_1",
        ] {
            let method = if path.contains("models") || path.contains("decisions") {
                Method::GET
            } else {
                Method::POST
            };
            let request = |secret: Option<&str>| {
                let request = server
                    .keyless(method.clone(), path)
                    .header("content-type", "application/json")
                    .body("not even JSON");
                match secret {
                    Some(secret) => request.bearer_auth(secret),
                    None => request,
                }
            };
            let anthropic = path.starts_with("/v1/messages");
            for (secret, code) in [
                (None, "missing_api_key"),
                (Some(wrong.as_str()), "invalid_api_key"),
                (Some("sk-anything"), "invalid_api_key"),
            ] {
                let answer = sent(request(secret)).await;
                if anthropic {
                    assert_eq!(answer.anthropic_error(401)["type"], "authentication_error");
                } else {
                    let error = answer.openai_error(401);
                    assert_eq!(
                        (&error["code"], &error["type"]),
                        (&json!(code), &json!("authentication_error")),
                        "{path}"
                    );
                }
                assert!(!answer.text().contains(&wrong), "the key is repeated: {}", answer.text());
            }
        }
        for (name, value) in [
            ("x-api-key", key.secret.clone()),
            ("authorization", format!("bearer {}", key.secret)),
            ("authorization", format!("Bearer  {}", key.secret)),
        ] {
            sent(server.keyless(Method::POST, "/v1/chat/completions").header(name, value).json(&ask()))
                .await
                .expect(200);
        }
        // Of two, the bearer counts.
        let both = |bearer: &str, other: &str| {
            server
                .keyless(Method::POST, "/v1/chat/completions")
                .bearer_auth(bearer)
                .header("x-api-key", other)
                .json(&ask())
        };
        sent(both(&key.secret, "wrong")).await.expect(200);
        sent(both("wrong", &key.secret)).await.expect(401);
        // What says how the process stands, and how to use it, needs no key.
        for path in ["/healthz", "/readyz", "/openapi.json", "/"] {
            sent(server.keyless(Method::GET, path)).await.expect(200);
        }
    });
}

#[test]
fn a_key_reaches_only_the_models_of_its_list() {
    run(async {
        let mut fixture = Fixture::start(&format!("{REQUIRED}\nmodels: {{ oai/fake-a: {{ aliases: [nick] }} }}\nroutes: {{ r: {{ pool: [oai/fake-a, ant/fake] }} }}")).await;
        let key = create(&fixture.baton, &["k", "--model", "oai/fake-a", "--model", "echo/*"]).await;
        fixture.baton.set_key(&key.secret);
        let server = &fixture.baton;
        for (model, status) in [
            (json!("oai/fake-a"), 200),
            (json!("echo/hello"), 200),
            (json!("oai/fake-b"), 403),
            (json!("ant/fake"), 403),
            (json!(["ant/fake", "oai/fake-b"]), 403),
            (json!(["ant/fake", "oai/fake-a"]), 200),
            (json!("nick"), 200),
            (json!("oai/fake-a "), 404),
        ] {
            let answer = server.chat(&json!({"model": model, "messages": "hi"})).await;
            assert_eq!(answer.status, status, "{model}: {answer:?}");
        }
        let error = server.chat(&json!({"model": "ant/fake", "messages": "hi"})).await.openai_error(403);
        assert_eq!((&error["code"], &error["type"]), (&json!("key_not_allowed"), &json!("permission_error")));
        let answer =
            server.chat(&json!({"model": ["ant/fake", "oai/fake-a"], "messages": "hi"})).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), "oai/fake-a");
        let run = server.run_of(&answer).await;
        let first = &run["decisions"][0]["candidates"][0];
        assert_eq!(
            (&first["verdict"], &first["stage"], &first["code"]),
            (&json!("rejected"), &json!("allow"), &json!("key_not_allowed"))
        );
        // What it may not use, it does not see.
        let list = server.get("/v1/models").await.expect(200).json();
        let ids: Vec<String> =
            list["data"].as_array().expect("models").iter().map(|one| text(&one["id"])).collect();
        assert!(ids.iter().all(|id| id.starts_with("echo/") || id == "oai/fake-a"), "{ids:?}");
        server.get("/v1/models/ant/fake").await.openai_error(404);
        // Nor by another door.
        let passing = |model: &str| server.posting("/v1/embeddings", &json!({"model": model, "input": "hi"}));
        sent(passing("oai/fake-a")).await.expect(200);
        sent(passing("oai/fake-b")).await.openai_error(403);
        sent(server.posting("/v1/embeddings", &json!({"input": "hi"})).header("x-baton-provider", "oai"))
            .await
            .openai_error(403);
        sent(server.request(Method::GET, "/v1/files").header("x-baton-provider", "oai"))
            .await
            .openai_error(403);
        let counted = server
            .post(
                "/v1/messages/count_tokens",
                &json!({"model": "ant/fake", "messages": [{"role": "user", "content": "hi"}]}),
            )
            .await;
        counted.anthropic_error(403);
        assert!(fixture.openai_saw("fake-b").is_empty() && fixture.anthropic_saw("fake").is_empty());
    });
}

#[test]
fn a_key_ends_with_its_last_day() {
    run(async {
        let server = Baton::start(REQUIRED).await;
        let made =
            baton(&server.home, &["keys", "create", "short", "--expires-in-days", "0", "--json"]).await;
        // A key that is over before it begins is refused at once, or made and never valid.
        if made.code == 0 {
            let secret = text(&made.json()["secret"]);
            let answer =
                sent(server.keyless(Method::POST, "/v1/chat/completions").bearer_auth(secret).json(&ask()))
                    .await;
            let error = answer.openai_error(401);
            assert!(text(&error["message"]).contains("expired"), "{error}");
        } else {
            assert!(made.err.contains("day") || made.err.contains("expir"), "{made:?}");
        }
    });
}

#[test]
fn a_viewer_may_look_and_not_ask() {
    run(async {
        let mut server = Baton::start(REQUIRED).await;
        let key = create(&server, &["eyes", "--role", "viewer"]).await;
        server.set_key(&key.secret);
        let error = server.chat(&ask()).await.openai_error(403);
        assert_eq!(error["type"], "permission_error");
        server
            .messages(&json!({"model": "echo/hello", "max_tokens": 9, "messages": []}))
            .await
            .anthropic_error(403);
        sent(server.posting("/v1/embeddings", &json!({"model": "echo/hello", "input": "x"})))
            .await
            .openai_error(403);
        server.get("/v1/models").await.expect(200);
        server.get("/v1/decisions").await.expect(200);
    });
}

#[test]
fn so_many_requests_are_open_at_once_and_no_more() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let stalling = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let mut server = Baton::start(&Fixture::config(&openai, &stalling, REQUIRED)).await;
        let key = create(&server, &["k", "--concurrency", "3"]).await;
        server.set_key(&key.secret);
        let mut open = Vec::new();
        for _ in 0..3 {
            let body = json!({"model": "ant/fault-stall", "messages": "hi", "stream": true}).to_string();
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
                key.secret,
                body.len(),
            );
            let mut client = Raw::open(server.address()).await;
            client.say(head.as_bytes()).await.expect("a request");
            assert!(
                client.read_until(|text| text.contains("\"content\":\"H")).await.starts_with("HTTP/1.1 200")
            );
            open.push(client);
        }
        for _ in 0..3 {
            let answer = server.chat(&json!({"model": "oai/fake", "messages": "hi"})).await;
            let error = answer.openai_error(429);
            assert_eq!(error["code"], "key_concurrency_exceeded");
            assert!(!answer.header("retry-after").is_empty());
        }
        assert!(openai.seen().is_empty(), "a refused request went on");
        // Looking at decisions takes no place.
        server.get("/v1/decisions").await.expect(200);
        drop(open.pop());
        until("the place is free", async || {
            (server.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.status == 200).then_some(())
        })
        .await;
    });
}

#[test]
fn an_own_provider_key_is_taken_only_where_it_is_allowed() {
    run(async {
        let mut fixture = Fixture::start(REQUIRED).await;
        let (plain, byok) =
            (create(&fixture.baton, &["plain"]).await, create(&fixture.baton, &["byok", "--byok"]).await);
        let canary = "sk-canary-of-the-client";
        let body = json!({"model": "oai/fake", "messages": "hi"});
        let request = |server: &Baton, body: &Value| {
            server
                .posting("/v1/chat/completions", body)
                .header("x-provider", "oai")
                .header("x-provider-key", canary)
        };

        fixture.baton.set_key(&plain.secret);
        let error = sent(request(&fixture.baton, &body)).await.openai_error(403);
        assert!(text(&error["message"]).contains("x-provider-key"), "{error}");
        assert!(fixture.openai.seen().is_empty());

        fixture.baton.set_key(&byok.secret);
        let answer = sent(request(&fixture.baton, &body)).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), "oai/fake");
        assert_eq!(fixture.openai_saw("fake")[0].credential, Some(Credential::of(canary)));
        sent(request(&fixture.baton, &body).header("x-provider-model", "fake-mine")).await.expect(200);
        assert_eq!(fixture.openai_saw("fake-mine")[0].credential, Some(Credential::of(canary)));
        // The provider may come with the model's name.
        let by_model = fixture.baton.posting("/v1/chat/completions", &body).header("x-provider-key", canary);
        sent(by_model).await.expect(200);
        // The key goes to no other provider: a fallback has nowhere to go.
        let fall = json!({"model": ["oai/fault-500", "ant/fake"], "messages": "hi"});
        sent(request(&fixture.baton, &fall)).await.expect(500);
        assert!(fixture.anthropic.seen().is_empty(), "a foreign key went to another provider");
        // A name and no key changes nothing.
        let named = fixture.baton.posting("/v1/chat/completions", &body).header("x-provider", "oai");
        sent(named).await.expect(200);
        assert_eq!(
            fixture.openai_saw("fake").last().and_then(|seen| seen.credential),
            Some(Credential::of("sk-fake-openai"))
        );
        let nobody = fixture
            .baton
            .posting("/v1/chat/completions", &body)
            .header("x-provider", "nobody")
            .header("x-provider-key", canary);
        sent(nobody).await.openai_error(400);

        assert!(!fixture.baton.log().contains(canary));
        let metrics = fixture.baton.get("/metrics").await.expect(200);
        assert!(!metrics.text().contains(canary));
        for (path, bytes) in fixture.baton.home.files() {
            assert!(!holds(&bytes, canary.as_bytes()), "{} holds the client's provider key", path.display());
        }
    });
}

#[test]
fn an_own_provider_key_does_not_widen_the_list_of_models() {
    run(async {
        let mut fixture = Fixture::start(REQUIRED).await;
        let key = create(&fixture.baton, &["k", "--byok", "--model", "oai/fake-a"]).await;
        fixture.baton.set_key(&key.secret);
        let body = json!({"model": "oai/fake-a", "messages": "hi"});
        let request = fixture
            .baton
            .posting("/v1/chat/completions", &body)
            .header("x-provider", "oai")
            .header("x-provider-key", "sk-own")
            .header("x-provider-model", "fake-b");
        sent(request).await.openai_error(403);
        assert!(fixture.openai.seen().is_empty());
    });
}

#[test]
fn where_no_key_is_needed_an_unknown_one_is_nobody_and_a_known_one_counts() {
    run(async {
        let server = Baton::start("").await;
        let key = create(&server, &["k", "--model", "echo/parrot"]).await;
        let with = |secret: &str| {
            server.keyless(Method::POST, "/v1/chat/completions").bearer_auth(secret).json(&ask())
        };
        let anonymous = sent(with("sk-whatever")).await.expect(200);
        assert_eq!(server.run_of(&anonymous).await["decisions"][0]["principal"], "anonymous");
        sent(with(&key.secret)).await.openai_error(403);
    });
}

#[test]
fn a_page_from_elsewhere_cannot_spend_the_owners_keys() {
    run(async {
        let server = Baton::start("cors: { origins: [\"https://app.example.com\"] }").await;
        let post = |host: &str, origin: Option<&str>| {
            let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
            let body = ask().to_string();
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\n{origin}content-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        for (host, origin, status) in [
            ("localhost", None, 200),
            ("127.0.0.1:9", None, 200),
            ("[::1]:80", None, 200),
            ("localhost", Some("http://localhost:3000"), 200),
            ("localhost", Some("https://app.example.com"), 200),
            ("localhost", Some("https://evil.example"), 403),
            ("localhost", Some("null"), 403),
            ("localhost", Some("https://localhost.evil.example"), 403),
            ("evil.example", None, 403),
            ("localhost.evil.example", None, 403),
            ("127.0.0.1.evil.example", None, 403),
            ("127.0.0.1:80@evil.example", None, 403),
        ] {
            let head = super::support::exchange(server.address(), post(host, origin).as_bytes()).await;
            let came = super::support::status_of(&head);
            assert!(came == status || (status == 403 && came == 400), "{host} {origin:?}: {head}");
        }
        // With a key it is the caller's business where it comes from.
        let key = create(&server, &["k"]).await;
        let request = post("evil.example", Some("https://evil.example"))
            .replace("content-type", &format!("authorization: Bearer {}\r\ncontent-type", key.secret));
        let head = super::support::exchange(server.address(), request.as_bytes()).await;
        assert_eq!(super::support::status_of(&head), 200, "{head}");
    });
}

#[test]
fn what_anonymous_did_is_theirs_after_a_restart_too() {
    run(async {
        let home = Home::new("");
        let first = Baton::start_in(home.clone(), &[]).await;
        let answer = first.chat(&ask()).await.expect(200);
        let before = first.run_of(&answer).await;
        let mut first = first;
        first.signal(rustix::process::Signal::TERM);
        assert_eq!(first.ended().await, Some(0));
        let second = Baton::start_in(home, &[]).await;
        assert_eq!(second.run_of(&answer).await, before);
        let list = second.get("/v1/decisions").await.json();
        assert_eq!(list["data"][0]["id"], before["decisions"][0]["id"]);
    });
}

#[test]
fn the_admin_key_of_the_environment_is_a_key() {
    run(async {
        let home = Home::new(REQUIRED);
        let secret = "an-admin-key-that-is-long-enough-0123456789";
        let mut server = Baton::start_in(home, &[("BATON_ADMIN_KEY", secret)]).await;
        server.set_key(secret);
        server.chat(&ask()).await.expect(200);
        server.get("/v1/decisions").await.expect(200);
        assert!(!server.log().contains(secret));
    });
}

/// Whether the bytes hold these somewhere.
pub(super) fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
