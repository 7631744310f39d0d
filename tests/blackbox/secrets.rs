//! Canaries: secrets and prompts go in, and every place where something is kept is searched for them.

use baton_testkit::fake::{FakeUpstream, Script};
use serde_json::json;

use super::keys::{create, holds};
use super::support::{Baton, Fixture, Home, baton, run, sent};

const PROVIDER: &str = "sk-canary-provider-0123456789";
const SECOND: &str = "sk-canary-second-9876543210";
const ADMIN: &str = "admin-canary-key-long-enough-0123456789";
const BYOK: &str = "sk-canary-byok-5555555555";
const PROMPT: &str = "canary-prompt-tomato";
const SYSTEM: &str = "canary-system-potato";
const TOOL: &str = "canary-tool-carrot";
const UNKNOWN: &str = "sk-canary-unknown-3333333333";
const HEADER: &str = "canary-header-leek";

#[test]
fn no_secret_and_no_content_is_kept_anywhere() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let config = format!(
            "auth: {{ required: true }}\ntelemetry: {{ log_filter: trace }}\n{}",
            Fixture::config(&openai, &anthropic, "")
                .replace(
                    "api_key: sk-fake-openai",
                    "api_keys: [\"${FIRST}\", \"${SECOND}\"], headers: { x-own: \"${HEADER}\" }"
                )
                .replace("sk-fake-anthropic", "\"${FIRST}\""),
        );
        let home = Home::new(&config);
        let environment =
            [("FIRST", PROVIDER), ("SECOND", SECOND), ("HEADER", HEADER), ("BATON_ADMIN_KEY", ADMIN)];
        let mut server = Baton::start_in(home.clone(), &environment).await;
        let key = create_with(&home, &environment).await;
        server.set_key(&key);

        let messages = json!([
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": format!("{{\"x\":\"{TOOL}\"}}")}}]},
            {"role": "tool", "tool_call_id": "c1", "content": TOOL},
            {"role": "user", "content": PROMPT},
        ]);
        let tools = json!([{"type": "function", "function": {"name": "f", "description": TOOL, "parameters": {"type": "object"}}}]);
        let models = [
            "oai/fake",
            "ant/fake",
            "oai/fault-400",
            "ant/fault-400",
            "oai/fault-401",
            "oai/fault-500",
            "oai/fault-garbage",
            "oai/fault-after-content",
            "oai/fault-utf8",
            "down/fake",
            "nowhere/fake",
            "nobody/fake",
            "echo/parrot",
        ];
        for model in models {
            for stream in [false, true] {
                server
                    .chat(&json!({"model": model, "messages": messages, "tools": tools, "stream": stream}))
                    .await;
                let body = json!({"model": model, "max_tokens": 99, "system": SYSTEM, "messages": [{"role": "user", "content": PROMPT}], "stream": stream});
                server.messages(&body).await;
            }
        }
        let wrong = json!({"model": "oai/fake", "messages": [{"role": PROMPT, "content": 1}], "temperature": PROMPT, "stream": PROMPT});
        server.chat(&wrong).await.expect(400);
        let broken = server
            .request(reqwest::Method::POST, "/v1/chat/completions")
            .body(format!("{{\"messages\": \"{PROMPT}\" {PROMPT}"));
        sent(broken).await.expect(400);
        sent(server.posting("/v1/embeddings", &json!({"model": "oai/fake", "input": PROMPT})))
            .await
            .expect(200);
        let own =
            server.posting("/v1/chat/completions", &json!({"model": "oai/fault-401", "messages": PROMPT}));
        sent(own.header("x-provider", "oai").header("x-provider-key", BYOK)).await.expect(502);
        let unknown = server
            .keyless(reqwest::Method::POST, "/v1/chat/completions")
            .bearer_auth(UNKNOWN)
            .json(&json!({}));
        sent(unknown).await.expect(401);

        let list = server.get("/v1/decisions?limit=100").await.expect(200);
        let metrics = server.get("/metrics").await.expect(200);
        let check = {
            let mut command = home.command(&["check", "--json"]);
            command.envs(environment);
            super::support::finished(command).await.expect(0)
        };
        let log_while_running = server.log();
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.ended().await, Some(0));

        let mut kept: Vec<(String, Vec<u8>)> = vec![
            ("the log".to_owned(), server.log().into_bytes()),
            ("the log of the running server".to_owned(), log_while_running.into_bytes()),
            ("the list of decisions".to_owned(), list.body.to_vec()),
            ("the metrics".to_owned(), metrics.body.to_vec()),
            ("the checked configuration".to_owned(), (check.out + &check.err).into_bytes()),
        ];
        kept.extend(home.files().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
        // The search finds what is there: the journal holds the same blocks as the store, not packed.
        for place in ["journal", "baton.db"] {
            assert!(
                kept.iter().any(|(path, bytes)| path.contains(place) && holds(bytes, b"fault-500")),
                "{place}"
            );
        }
        for (place, bytes) in kept {
            for canary in [PROVIDER, SECOND, ADMIN, BYOK, PROMPT, SYSTEM, TOOL, UNKNOWN, HEADER, key.as_str()]
            {
                assert!(!holds(&bytes, canary.as_bytes()), "{place} holds {canary}");
            }
        }
    });
}

#[test]
fn a_secret_is_in_no_error_of_a_command() {
    run(async {
        let home = Home::new(
            "providers: { x: { dialect: openai_chat, base_url: \"http://user:sk-canary@host/v1\", api_key: [sk-canary] } }\ndatabase: \"postgres://u:sk-canary@127.0.0.1:1/x\"\nlisten: 1",
        );
        for arguments in [&["check"][..], &["check", "--json"], &["serve"], &["doctor"], &["keys", "list"]] {
            let output = baton(&home, arguments).await;
            assert_ne!(output.code, 0, "{output:?}");
            assert!(!output.out.contains("sk-canary") && !output.err.contains("sk-canary"), "{output:?}");
        }
    });
}

#[test]
fn a_key_is_kept_as_a_hash() {
    run(async {
        let server = Baton::start("auth: { required: true }").await;
        let key = create(&server, &["k"]).await;
        let secret = key.secret.as_bytes();
        // No part of the secret longer than its shown end and its common beginning.
        let random = &secret[secret.len() - 24..];
        for (path, bytes) in server.home.files() {
            for part in random.windows(8) {
                assert!(!holds(&bytes, part), "{} holds a part of the key", path.display());
            }
        }
        assert!(!server.log().contains(&key.secret));
    });
}

async fn create_with(home: &Home, environment: &[(&str, &str)]) -> String {
    let mut command = home.command(&["keys", "create", "k", "--byok", "--json"]);
    command.envs(environment.iter().copied());
    super::v1::text(&super::support::finished(command).await.expect(0).json()["secret"])
}
