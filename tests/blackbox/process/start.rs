//! How the server starts, and when it refuses to.

use rustix::process::Signal;
use serde_json::json;

use crate::blackbox::support::{Baton, Home, Output, baton, finished, run, sent};

#[test]
fn without_any_file_it_serves_and_prints_a_command_that_works() {
    run(async {
        let home = Home::new("");
        let mut command = home.command(&["--listen", "127.0.0.1:0"]);
        command.env_remove("BATON_CONFIG").env("ANTHROPIC_API_KEY", "sk-canary-of-the-environment");
        std::fs::remove_file(home.config()).expect("a file");
        let server = Baton::started(home, command).await;
        let log = crate::blackbox::support::until("the greeting is whole", async || {
            let log = server.log();
            log.contains("try ").then_some(log)
        })
        .await;
        assert!(log.contains("anthropic") && !log.contains("canary"), "{log}");
        let (_, curl) = log.split_once("curl ").expect("a command");
        let curl = curl.lines().next().expect("a line");
        let (url, rest) = curl.split_once(' ').expect("a URL");
        let body = rest.split("-d '").nth(1).and_then(|body| body.strip_suffix('\'')).expect("a body");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer =
            sent(client.post(url).header("content-type", "application/json").body(body.to_owned())).await;
        answer.expect(200);
    });
}

#[test]
fn the_built_in_models_answer_as_their_names_say() {
    run(async {
        let server = Baton::start("policies: { default: { fallback: { retries: 0 }, timeouts: { first_content: 500ms, total: 500ms } } }").await;
        for (model, status) in [
            ("hello", 200),
            ("parrot", 200),
            ("tool", 200),
            ("json", 200),
            ("fail-429", 429),
            ("fail-500", 500),
            ("fail-timeout", 504),
        ] {
            for stream in [false, true] {
                let answer = server
                    .chat(&json!({"model": format!("echo/{model}"), "messages": "hi", "stream": stream}))
                    .await;
                assert_eq!(answer.status, status, "{model} {stream}: {answer:?}");
            }
        }
        let cut = server
            .chat(&json!({"model": "echo/fail-midstream", "messages": "hi", "stream": true}))
            .await
            .expect(200);
        assert!(cut.text().contains("event: error"), "{}", cut.text());
        assert!(!crate::blackbox::support::chat_text(cut.text()).is_empty());
        let parrot = server.chat(&json!({"model": "echo/parrot", "messages": "say this"})).await.json();
        assert!(
            parrot["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.contains("say this")),
            "{parrot}"
        );
    });
}

#[test]
fn an_address_that_others_reach_is_refused_without_keys() {
    run(async {
        for (config, fix) in [
            ("", "baton keys create"),
            ("auth: { required: false }", "auth.required: true"),
            ("auth: { required: true }", "baton keys create"),
        ] {
            let home = Home::new(config);
            for address in ["0.0.0.0:0", "[::]:0"] {
                let output = serve(&home, address).await;
                assert_eq!(output.code, 1, "{output:?}");
                assert!(
                    output.err.contains(fix) && output.err.contains("reachable from other machines"),
                    "{output:?}"
                );
            }
        }
        // The fix works.
        let home = Home::new("");
        super::super::keys::create_in(&home, &["k"]).await;
        let mut command = home.command(&["serve", "--listen", "0.0.0.0:0"]);
        command.env("NO_COLOR", "1");
        drop(Baton::started(home, command).await);
        // Also with the variable.
        let home = Home::new("");
        let mut command = home.command(&["serve", "--listen", "0.0.0.0:0"]);
        command.env("BATON_ADMIN_KEY", "an-admin-key-that-is-long-enough-0123456789");
        drop(Baton::started(home, command).await);
    });
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_told_who_has_it() {
    run(async {
        let server = Baton::start("").await;
        let output = serve(&server.home, "127.0.0.1:0").await;
        assert_eq!(output.code, 1);
        assert!(output.err.contains(&server.pid().to_string()), "the process is not named: {output:?}");
        // The first one is well.
        server.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.expect(200);
    });
}

#[test]
fn a_taken_address_is_named() {
    run(async {
        let server = Baton::start("").await;
        let output = serve(&Home::new(""), server.address()).await;
        assert_eq!(output.code, 1);
        assert!(output.err.contains(server.address()), "{output:?}");
    });
}

#[test]
fn a_wrong_configuration_is_refused_with_every_mistake_and_its_place() {
    run(async {
        let home = Home::new(
            "listn: 127.0.0.1:0\nproviders:\n  x: { dialect: openai_chat }\ndefault_provider: nobody\n",
        );
        for arguments in [&["serve"][..], &["check"]] {
            let output = baton(&home, arguments).await.expect(1);
            for wanted in ["listn", "listen", "base_url", "nobody"] {
                assert!(output.err.contains(wanted), "{wanted} is not in {output:?}");
            }
        }
        let found = baton(&home, &["check", "--json"]).await.expect(1).json();
        assert_eq!(found["ok"], false);
        let lines: Vec<_> =
            found["mistakes"].as_array().expect("mistakes").iter().map(|one| one["line"].as_u64()).collect();
        assert_eq!(lines, [Some(1), Some(3), Some(4)], "{found}");
    });
}

#[test]
fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    run(async {
        let server = Baton::start("").await;
        crate::blackbox::keys::create(&server, &["k"]).await;
        server.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.expect(200);
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode(&server.home.data()), 0o700);
        assert_eq!(mode(&server.home.data().join("control.sock")), 0o600);
        for (path, _) in server.home.files() {
            assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
        }
    });
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    run(async {
        let home = Home::new("data_dir: ./from-file\n");
        let check = async |flag: bool, variable: bool| {
            let arguments: &[&str] =
                if flag { &["check", "--json", "--data-dir", "from-flag"] } else { &["check", "--json"] };
            let mut command = home.command(arguments);
            if variable {
                command.env("BATON_DATA_DIR", "from-variable")
            } else {
                command.env_remove("BATON_DATA_DIR")
            };
            finished(command).await.expect(0).json()["config"]["data_dir"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        for (flag, variable, wanted) in
            [(true, true, "from-flag"), (false, true, "from-variable"), (false, false, "from-file")]
        {
            assert!(check(flag, variable).await.ends_with(wanted));
        }
    });
}

/// Tries to serve; the attempt is expected to end by itself.
async fn serve(home: &Home, address: &str) -> Output {
    let mut command = home.command(&["serve", "--listen", address]);
    command.env("NO_COLOR", "1");
    let ended = tokio::time::timeout(crate::blackbox::support::PATIENCE, finished(command)).await;
    ended.unwrap_or_else(|_| panic!("it serves on {address} and should not"))
}

#[test]
fn a_child_that_is_told_to_stop_at_once_stops_at_once() {
    run(async {
        let mut server = Baton::start("").await;
        server.signal(Signal::INT);
        assert_eq!(server.ended().await, Some(0));
        assert!(!server.home.data().join("control.sock").exists());
    });
}
