//! The commands, with a server and without.

use serde_json::{Value, json};

use super::support::{Baton, Fixture, Home, baton, run};
use super::v1::text;

#[test]
fn explain_says_the_same_with_a_server_and_without() {
    run(async {
        let mut fixture =
            Fixture::start("models: { oai/fake-mute: { capabilities: { tools: false } } }").await;
        let tools =
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
        let body = json!({"model": ["oai/fake-mute", "oai/fault-500", "ant/fake"], "messages": "hi", "tools": tools});
        let answer = fixture.baton.chat(&body).await.expect(200);
        let whole = fixture.baton.run_of(&answer).await;
        let ids =
            [answer.header("x-baton-run-id").to_owned(), answer.header("x-baton-decision-id").to_owned()];
        let home = fixture.baton.home.clone();
        let mut texts = Vec::new();
        for stopped in [false, true] {
            if stopped {
                fixture.baton.signal(rustix::process::Signal::TERM);
                assert_eq!(fixture.baton.ended().await, Some(0));
            }
            for id in &ids {
                texts.push(baton(&home, &["explain", id]).await.expect(0).out);
                let json = baton(&home, &["explain", id, "--json"]).await.expect(0).json();
                assert_eq!(json, whole, "stopped: {stopped}");
            }
        }
        let first = texts[0].clone();
        assert!(texts.iter().all(|text| *text == first), "{texts:?}");
        for wanted in [
            "Served by ant/fake",
            "oai/fake-mute calls no tools",
            "oai/fault-500 failed with server_error (500)",
            "rejected: no_tools",
            "eligible, fallback 1",
            "tokens",
            "cost unknown",
        ] {
            assert!(first.contains(wanted), "{wanted} is not in {first}");
        }
    });
}

#[test]
fn explain_of_what_is_not_there_fails() {
    run(async {
        let server = Baton::start("").await;
        for id in [
            "dec_019356aa00007000800000000000000a",
            "run_019356aa00007000800000000000000a",
            "nonsense",
            "../keys",
            "a b",
            "",
        ] {
            let output = baton(&server.home, &["explain", id]).await.expect(1);
            assert!(output.out.is_empty() && output.err.starts_with("error:"), "{id}: {output:?}");
        }
    });
}

#[test]
fn models_are_listed_with_their_other_names() {
    run(async {
        let home = Home::new(
            "models: { echo/hello: { aliases: [nick] } }\nroutes: { r: { pool: [echo/hello, echo/json] } }",
        );
        let listed = baton(&home, &["models"]).await.expect(0).out;
        for wanted in ["echo/hello  (nick)", "r  → echo/hello, echo/json"] {
            assert!(listed.lines().any(|line| line.starts_with(wanted)), "{wanted} is not in {listed}");
        }
        let listed = baton(&home, &["models", "--json"]).await.expect(0).json();
        let ids: Vec<String> =
            listed.as_array().expect("models").iter().map(|one| text(&one["id"])).collect();
        assert!(ids.contains(&"echo/hello".to_owned()) && ids.contains(&"r".to_owned()), "{ids:?}");
    });
}

#[test]
fn what_is_known_of_a_model_is_shown_with_its_source() {
    run(async {
        let home = Home::new("providers: { openai: { api_key: sk-1, models: [gpt-4o-mini] } }");
        let listed = baton(&home, &["models", "list"]).await.expect(0).out;
        let row = listed.lines().find(|line| line.starts_with("openai/gpt-4o-mini")).expect("a row");
        assert!(row.contains("0.15") && row.ends_with("catalogue"), "{row}");
        assert!(!listed.contains("claude"), "{listed}");
        let all = baton(&home, &["models", "list", "--all"]).await.expect(0).out;
        assert!(all.lines().count() > 80 && all.contains("anthropic/claude-3-opus-20240229"), "{all}");
        let shown = baton(&home, &["models", "show", "gpt-4o-mini"]).await.expect(0).out;
        for wanted in ["$0.15 in, $0.60 out, $0.075 cached in", "read from     https://", "tool_use 0.80"] {
            assert!(shown.contains(wanted), "{wanted} is not in {shown}");
        }
        let shown = baton(&home, &["models", "show", "claude-3-opus", "--json"]).await.expect(0).json();
        assert_eq!(text(&shown["id"]), "anthropic/claude-3-opus-20240229");
        assert_eq!(text(&shown["price"]["output"]), "75.00");
        baton(&home, &["models", "show", "no-such-model"]).await.expect(1);
    });
}

#[test]
fn a_good_file_is_checked_without_serving_and_without_touching_data() {
    run(async {
        let home = Home::new("providers: { openai: { api_key: \"${CANARY}\" } }");
        let mut command = home.command(&["check", "--json"]);
        command.env("CANARY", "sk-canary-1234567890");
        let output = super::support::finished(command).await.expect(0);
        assert_eq!(output.json()["ok"], true);
        assert!(!output.out.contains("sk-canary"), "{output:?}");
        assert!(!home.data().exists());
        let output = baton(&home, &["check"]).await.expect(1);
        assert!(output.err.contains("CANARY"), "a variable that is not set: {output:?}");
    });
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    run(async {
        let server = Baton::start("").await;
        let address = server.address().to_owned();
        let output = baton(&server.home, &["doctor", "--live", "--listen", &address]).await.expect(0);
        assert!(!output.err.contains("error"), "{output:?}");
        let home = Home::new("");
        let output = baton(&home, &["doctor", "--live", "--listen", "127.0.0.1:1"]).await;
        assert_eq!(output.code, 1, "{output:?}");
        let output = baton(&server.home, &["doctor", "--json", "--listen", &address]).await;
        assert!(serde_json::from_str::<Value>(&output.out).is_ok(), "{output:?}");
    });
}

#[test]
fn completions_and_help_are_printed() {
    run(async {
        let home = Home::new("");
        for shell in ["bash", "zsh", "fish"] {
            assert!(baton(&home, &["completions", shell]).await.expect(0).out.contains("baton"));
        }
        let help = baton(&home, &["--help"]).await.expect(0).out;
        for command in ["serve", "check", "explain", "keys", "models", "doctor", "openapi", "completions"] {
            assert!(help.contains(command), "{help}");
        }
        baton(&home, &["fly"]).await.expect(2);
    });
}

#[test]
fn a_secret_is_never_an_argument() {
    run(async {
        let home = Home::new("");
        let help = baton(&home, &["serve", "--help"]).await.expect(0).out;
        for word in ["--api-key", "--admin-key", "--master-key"] {
            assert!(!help.contains(word), "{help}");
        }
    });
}
