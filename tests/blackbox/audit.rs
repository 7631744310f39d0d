//! `baton audit`: what was recorded is shown, checked and handed out, with a server and without.

mod content;

use std::path::Path;

use baton_testkit::fake::{FakeUpstream, Script};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{Answer, Baton, Home, Hook, Output, baton, finished, run, until};
use super::v1::text;

const OUTSIDE: &str = "audit: { checkpoints: { file: ./checkpoints.ndjson } }\nproviders: {}\n";
const NOT_CHECKED: &str = "no checkpoint from outside was given";

#[test]
fn a_log_is_checked_with_a_server_and_without() {
    run(async {
        let mut server = asked(OUTSIDE, 3).await;
        for stopped in [false, true] {
            if stopped {
                stop(&mut server).await;
            }
            let plain = verify(&server.home, &[]).await.expect(0);
            assert!(plain.err.contains(NOT_CHECKED), "{plain:?}");
            let held = verify(&server.home, &["--checkpoints", "checkpoints.ndjson"]).await.expect(0);
            assert!(!held.err.contains(NOT_CHECKED), "{held:?}");
            let report = verify(&server.home, &["--json"]).await.expect(0).json();
            assert_eq!(report["clean"], true, "{report}");
            assert!(report["decisions"].as_u64() >= Some(3), "{report}");
        }
    });
}

#[test]
fn a_log_that_was_rolled_back_is_found_by_a_checkpoint_from_outside_alone() {
    run(async {
        let hook = Hook::new();
        let config = format!(
            "audit: {{ checkpoints: {{ file: ./checkpoints.ndjson }}, alerts: {{ webhook: {} }} }}\nproviders: {{}}\n",
            hook.settings()
        );
        let mut server = asked(&config, 1).await;
        stop(&mut server).await;
        let home = server.home.clone();
        let before = home.data().with_file_name("before");
        copy(&home.data(), &before);
        let mut server = Baton::start_in(home.clone(), &[]).await;
        ask(&server, 2).await;
        stop(&mut server).await;
        verify(&home, &["--checkpoints", "checkpoints.ndjson"]).await.expect(0);

        std::fs::remove_dir_all(home.data()).expect("the data of now");
        copy(&before, &home.data());
        let alone = verify(&home, &[]).await.expect(0);
        assert!(alone.err.contains(NOT_CHECKED), "{alone:?}");
        let held = verify(&home, &["--checkpoints", "checkpoints.ndjson", "--json"]).await.expect(1).json();
        assert_eq!(held["clean"], false, "{held}");
        // Who watches over it is told.
        let (_head, body) = hook.message().await;
        let message: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(message["type"], "audit.verify_failed", "{body}");
        assert_eq!(message["data"]["count"].as_u64(), held["findings"].as_array().map(|it| it.len() as u64));
    });
}

#[test]
fn rows_are_made_again_from_the_evidence_as_they_were() {
    run(async {
        let mut server = asked("", 3).await;
        server.chat(&json!({"model": "echo/fail-500", "messages": "hi"})).await;
        for stopped in [false, true] {
            if stopped {
                stop(&mut server).await;
            }
            verify(&server.home, &[]).await.expect(0);
            let list = ["audit", "list", "--json", "--limit", "100"];
            let before = baton(&server.home, &list).await.expect(0).json();
            let made = baton(&server.home, &["audit", "reproject", "--json"]).await.expect(0).json();
            let rows = before.as_array().map(|rows| rows.len() as u64);
            assert!(rows > Some(3) && made["rows"].as_u64() == rows, "{made}, {rows:?}");
            assert_eq!(baton(&server.home, &list).await.expect(0).json(), before);
            verify(&server.home, &[]).await.expect(0);
        }
        let refused = baton(&server.home, &["audit", "reproject", "--chain", "boot_1"]).await.expect(1);
        assert!(refused.err.contains("is no chain"), "{refused:?}");
    });
}

#[test]
fn an_export_is_checked_with_the_public_key_and_nothing_else() {
    run(async {
        let server = asked(OUTSIDE, 3).await;
        baton(&server.home, &["audit", "export", "--out", "evidence.ndjson"]).await.expect(0);
        let key = baton(&server.home, &["audit", "key"]).await.expect(0).out.trim().to_owned();
        let held = ["--checkpoints", "checkpoints.ndjson"];
        let checked = |arguments: Vec<String>| {
            let home = server.home.clone();
            async move {
                // Where neither a configuration nor data is.
                let mut command = home.command(&["audit", "verify", "--export", "evidence.ndjson"]);
                command.env_remove("BATON_CONFIG").env("BATON_DATA_DIR", "nowhere").args(arguments);
                finished(command).await
            }
        };
        let with = |key: &str, more: &[&str]| {
            let mut all = vec!["--key".to_owned(), key.to_owned()];
            all.extend(more.iter().map(|it| (*it).to_owned()));
            all
        };
        let plain = checked(with(&key, &[])).await.expect(0);
        assert!(plain.err.contains(NOT_CHECKED), "{plain:?}");
        checked(with(&key, &held)).await.expect(0);
        let stranger = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let found = checked(with(stranger, &[])).await.expect(1);
        assert!(found.out.contains("not signed by a known key"), "{found:?}");
        let refused = checked(with("no key", &[])).await.expect(1);
        assert!(refused.err.contains("32 bytes in base64"), "{refused:?}");

        let file = server.home.config().with_file_name("evidence.ndjson");
        let whole = std::fs::read_to_string(&file).expect("the export");
        let lines = whole.lines().count();
        let cut: String = whole.lines().take(lines - 1).map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, cut).expect("the cut export");
        let cut = checked(with(&key, &[])).await.expect(1);
        assert!(cut.err.contains("is not whole"), "{cut:?}");
    });
}

#[test]
fn another_key_signs_and_the_one_before_vouches_for_it() {
    run(async {
        let mut server = asked(OUTSIDE, 1).await;
        let home = server.home.clone();
        let first = baton(&home, &["audit", "key"]).await.expect(0).out.trim().to_owned();
        let second = baton(&home, &["audit", "rotate-key"]).await.expect(0).out.trim().to_owned();
        assert_ne!(first, second);
        ask(&server, 1).await;
        stop(&mut server).await;
        // The next life signs with it, and says again why it may.
        let mut server = Baton::start_in(home.clone(), &[]).await;
        ask(&server, 1).await;
        stop(&mut server).await;
        let keys = baton(&home, &["audit", "key"]).await.expect(0).out;
        assert_eq!(keys.lines().collect::<Vec<_>>(), [first.as_str(), second.as_str()]);
        for keys in
            [vec![], vec!["--key", &first], vec!["--key", &first, "--checkpoints", "checkpoints.ndjson"]]
        {
            verify(&home, &keys).await.expect(0);
        }
        let found = verify(&home, &["--key", &second]).await.expect(1);
        assert!(found.out.contains("not signed by a known key"), "{found:?}");
    });
}

#[test]
fn decisions_are_listed_by_what_is_asked_for() {
    run(async {
        let server = asked("", 2).await;
        server.chat(&json!({"model": "echo/fail-500", "messages": "hi"})).await;
        let home = &server.home;
        let listed = |arguments: &'static [&'static str]| async move {
            let arguments = [&["audit", "list", "--json"], arguments].concat();
            let rows = baton(home, &arguments).await.expect(0).json();
            rows.as_array().expect("a list").clone()
        };
        until("the store has them", async || (listed(&["--status", "ok"]).await.len() == 2).then_some(()))
            .await;
        assert_eq!(listed(&["--status", "ok", "--model", "echo/hello", "--since", "1h"]).await.len(), 2);
        assert_eq!(listed(&["--status", "ok", "--limit", "1"]).await.len(), 1);
        assert!(listed(&["--until", "2020-01-01"]).await.is_empty());
        assert!(listed(&["--key", "somebody else"]).await.is_empty());
        let table = baton(home, &["audit", "tail"]).await.expect(0).out;
        assert!(table.lines().count() >= 2 && table.contains("echo/hello"), "{table}");
        for wrong in [
            ["--status", "fine"],
            ["--kind", "wish"],
            ["--since", "yesterday"],
            ["--run", "x"],
            ["--min-cost", "1e3"],
        ] {
            let refused = baton(home, &["audit", "list", wrong[0], wrong[1]]).await.expect(1);
            assert!(refused.err.starts_with("error:"), "{refused:?}");
        }
    });
}

#[test]
fn a_record_is_shown_as_it_is() {
    run(async {
        let server = Baton::start("").await;
        let answer = ask(&server, 1).await;
        let id = answer.header("x-baton-decision-id");
        let shown = baton(&server.home, &["audit", "show", id]).await.expect(0).out;
        assert!(shown.contains(id) && shown.contains("echo/hello"), "{shown}");
        let rows = baton(&server.home, &["audit", "show", id, "--json"]).await.expect(0).json();
        assert_eq!(text(&rows[0]["decision"]["id"]), id);
        assert_eq!(text(&rows[0]["status"]), "ok");
        let explained = baton(&server.home, &["audit", "explain", id]).await.expect(0).out;
        assert!(explained.contains("Served by echo/hello"), "{explained}");
        for nothing in ["dec_019356aa00007000800000000000000a", "nonsense", "../keys", ""] {
            baton(&server.home, &["audit", "show", nothing]).await.expect(1);
        }
    });
}

#[test]
fn a_table_for_spreadsheets_holds_no_formula() {
    run(async {
        let mut server = Baton::start("").await;
        let body = json!({"model": "echo/hello", "messages": "hi", "user": "=1+1"});
        server.chat(&body).await.expect(200);
        stop(&mut server).await;
        let table = baton(&server.home, &["audit", "export", "--csv"]).await.expect(0).out;
        let mut lines = table.lines();
        assert!(lines.next().is_some_and(|header| header.starts_with("id,time,run,")), "{table}");
        assert!(lines.next().is_some_and(|row| row.contains("\"'=1+1\"")), "{table}");
        let rows =
            baton(&server.home, &["audit", "export", "--ndjson", "--key", "anonymous"]).await.expect(0);
        let row: Value = serde_json::from_str(rows.out.lines().next().expect("a row")).expect("JSON");
        assert_eq!(text(&row["decision"]["labels"]["user"]), "=1+1");
        let refused = baton(&server.home, &["audit", "export", "--model", "x"]).await.expect(1);
        assert!(refused.err.contains("--csv"), "{refused:?}");
    });
}

#[test]
fn a_copy_is_a_backup_that_restores_log_and_keys() {
    run(async {
        let mut server = asked("auth: { required: false }", 3).await;
        let home = server.home.clone();
        let made = baton(&home, &["keys", "create", "app", "--json"]).await.expect(0).json();
        // Beside the running server, and again when it has stopped: only what is new goes over.
        for _ in 0..2 {
            let copied = baton(&home, &["store", "copy", "--to", "backup.db"]).await.expect(0);
            assert!(copied.out.contains("nothing was found"), "{copied:?}");
            ask(&server, 2).await;
        }
        stop(&mut server).await;
        baton(&home, &["store", "copy", "--to", "backup.db"]).await.expect(0);
        let list = ["audit", "list", "--json", "--limit", "100"];
        let before = baton(&home, &list).await.expect(0).json();
        assert_eq!(before.as_array().map(Vec::len), Some(7), "{before}");

        for lost in ["baton.db", "baton.db-wal", "baton.db-shm"] {
            drop(std::fs::remove_file(home.data().join(lost)));
        }
        let restored = baton(&home, &["store", "copy", "--from", "backup.db"]).await.expect(0);
        assert!(restored.out.contains("nothing was found"), "{restored:?}");
        assert_eq!(baton(&home, &list).await.expect(0).json(), before);
        let keys = baton(&home, &["keys", "list", "--json"]).await.expect(0).json();
        assert_eq!(keys[0]["id"], made["id"], "{keys}");

        let refused = baton(&home, &["store", "copy", "--from", "nowhere.db"]).await.expect(1);
        assert!(refused.err.contains("there is no `nowhere.db`"), "{refused:?}");
        baton(&home, &["store", "copy"]).await.expect(2);
        baton(&home, &["store", "copy", "--to", "mysql://x"]).await.expect(2);
    });
}

#[test]
fn costs_are_counted_anew_where_a_price_was_wrong() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let priced = |price: &str| {
            format!(
                "providers: {{ oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: sk-fake }} }}\n\
                 models: {{ oai/fake: {{ price: {price} }} }}\n",
                openai.base_url()
            )
        };
        let mut server = Baton::start(&priced("{ input: 1, output: 2 }")).await;
        let home = server.home.clone();
        let body = json!({"model": "oai/fake", "messages": "hi"});
        let id = server.chat(&body).await.expect(200).header("x-baton-decision-id").to_owned();
        server.chat(&json!({"model": "oai/fake-unpriced", "messages": "hi"})).await.expect(200);
        baton(&home, &["audit", "verify"]).await.expect(0);
        let outcome = async || {
            let explained = baton(&home, &["audit", "explain", &id, "--json"]).await.expect(0).json();
            explained["decisions"][0]["outcome"].clone()
        };
        let first = outcome().await;
        let tokens = |name: &str| first["usage"][name].as_u64().expect("tokens");
        let (input, output) = (tokens("input_tokens"), tokens("output_tokens"));
        let usd = |nano: u64| format!("0.{nano:09}");
        assert_eq!(first["cost_usd"], usd(input * 1_000 + output * 2_000), "{first}");
        let recompute = ["audit", "recompute", "--from", "1h", "--to", "2100-01-01", "--json"];
        let counted = async |more: &[&str]| baton(&home, &[&recompute, more].concat()).await.expect(0).json();
        assert_eq!(counted(&[]).await["corrected"], 0, "the price is what it was");

        stop(&mut server).await;
        home.write(&priced("{ input: 3, output: 5 }"));
        let mut server = Baton::start_in(home.clone(), &[]).await;
        let now = input * 3_000 + output * 5_000;
        let other = counted(&["--model", "oai/other"]).await;
        assert_eq!((&other["decisions"], &other["corrected"]), (&json!(0), &json!(0)), "{other}");
        for _ in 0..2 {
            let dry = counted(&["--dry-run"]).await;
            assert_eq!((&dry["corrected"], &dry["without_price"]), (&json!(1), &json!(1)), "{dry}");
            assert_eq!(
                (&dry["was_nano"], &dry["now_nano"]),
                (&json!(input * 1_000 + output * 2_000), &json!(now))
            );
            assert_eq!(outcome().await, first, "nothing was written");
        }
        assert_eq!(counted(&["--model", "oai/fake"]).await["corrected"], 1);
        for stopped in [false, true] {
            if stopped {
                stop(&mut server).await;
            }
            let corrected = outcome().await;
            assert_eq!(corrected["cost_usd"], usd(now), "{corrected}");
            assert_eq!(corrected["first_cost_usd"], first["cost_usd"], "{corrected}");
            assert_ne!(corrected["corrections"][0]["prices"], corrected["corrections"][0]["first_prices"]);
            let text = baton(&home, &["audit", "explain", &id]).await.expect(0).out;
            for cost in [usd(now), first["cost_usd"].as_str().expect("a cost").to_owned()] {
                assert!(text.contains(&format!("${cost}")), "{text}");
            }
            let listed = baton(&home, &["audit", "export", "--csv"]).await.expect(0).out;
            assert!(listed.contains(&usd(now)), "{listed}");
            assert_eq!(counted(&[]).await["corrected"], 0, "a second time changes nothing");
            verify(&home, &[]).await.expect(0);
            baton(&home, &["audit", "reproject"]).await.expect(0);
            assert_eq!(outcome().await, corrected, "made again from the evidence");
            verify(&home, &[]).await.expect(0);
        }
        let upside_down = ["audit", "recompute", "--from", "2100-01-02", "--to", "2100-01-01"];
        let refused = baton(&home, &upside_down).await.expect(1);
        assert!(refused.err.contains("is not before"), "{refused:?}");
        baton(&home, &["audit", "recompute", "--from", "1h"]).await.expect(2);
    });
}

/// A server that has answered so often.
async fn asked(config: &str, times: usize) -> Baton {
    let server = Baton::start(config).await;
    ask(&server, times).await;
    server
}

async fn ask(server: &Baton, times: usize) -> Answer {
    let body = json!({"model": "echo/hello", "messages": "hi"});
    for _ in 1..times {
        server.chat(&body).await.expect(200);
    }
    let last = server.chat(&body).await.expect(200);
    drop(server.run_of(&last).await);
    last
}

async fn stop(server: &mut Baton) {
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await, Some(0));
}

async fn verify(home: &Home, more: &[&str]) -> Output {
    baton(home, &[&["audit", "verify"], more].concat()).await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            let copied = std::fs::copy(entry.path(), to.join(entry.file_name()));
            assert!(copied.is_ok(), "{copied:?}");
        }
    }
}
