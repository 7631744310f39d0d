//! The configuration of a running server: replaced whole, or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use baton_testkit::fake::{FakeUpstream, Script};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::blackbox::support::{Baton, Fixture, run, until};
use crate::blackbox::v1::text;

#[test]
fn a_changed_file_takes_effect() {
    run(async {
        let baton = Baton::start("").await;
        let before = version(&baton).await;
        baton.chat(&json!({"model": "nick", "messages": "hi"})).await.openai_error(404);
        baton.home.write("models: { echo/hello: { aliases: [nick] } }");
        changed(&baton, &before).await;
        let answer = baton.chat(&json!({"model": "nick", "messages": "hi"})).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), "echo/hello");
        assert_eq!(baton.run_of(&answer).await["decisions"][0]["config"], version(&baton).await);
    });
}

#[test]
fn a_signal_reads_the_file_again_and_what_it_names() {
    run(async {
        let fake = FakeUpstream::start(Script::default().key("sk-second")).await.expect("a fake upstream");
        let home = crate::blackbox::support::Home::new("");
        let secret = home.config().with_file_name("secret");
        std::fs::write(&secret, "sk-first").expect("a file");
        home.write(&format!(
            "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: \"${{file:{}}}\" }}\n",
            fake.base_url(),
            secret.display(),
        ));
        let baton = Baton::start_in(home, &[]).await;
        let ask = json!({"model": "oai/fake", "messages": "hi"});
        baton.chat(&ask).await.openai_error(502);
        std::fs::write(&secret, "sk-second").expect("a file");
        baton.signal(Signal::HUP);
        until("the new key is in use", async || (baton.chat(&ask).await.status == 200).then_some(())).await;
    });
}

#[test]
fn a_bad_file_keeps_the_old_one_and_says_so_once() {
    run(async {
        let baton = Baton::start("models: { echo/hello: { aliases: [nick] } }").await;
        let before = version(&baton).await;
        for (number, bad) in [
            "models: [",
            "modles: {}",
            "models: { echo/hello: { aliases: [nick, nick] } }",
            "providers: { x: {} }",
            "listen: nowhere",
            "a: &a [*a]",
        ]
        .into_iter()
        .enumerate()
        {
            let logged = refusals(&baton);
            baton.home.write(&format!("{bad}\n# {number}\n"));
            let now = until("the file is refused", async || {
                let now = refusals(&baton);
                (now.len() > logged.len()).then_some(now)
            })
            .await;
            assert_eq!(now.len(), logged.len() + 1, "said more than once: {now:?}");
            assert_eq!(version(&baton).await, before, "{bad}");
            baton.chat(&json!({"model": "nick", "messages": "hi"})).await.expect(200);
        }
        assert!(
            baton
                .get("/metrics")
                .await
                .text()
                .lines()
                .any(|line| line.contains("reload") && line.contains("rejected")),
            "no metric"
        );
        // The way back is open.
        baton.home.write("models: { echo/hello: { aliases: [nack] } }");
        changed(&baton, &before).await;
        baton.chat(&json!({"model": "nack", "messages": "hi"})).await.expect(200);
    });
}

#[test]
fn what_needs_a_restart_is_said_and_left_as_it_is() {
    run(async {
        let baton = Baton::start("").await;
        let before = version(&baton).await;
        baton.home.write("journal: { max_bytes: 64MiB }\nmodels: { echo/hello: { aliases: [nick] } }");
        changed(&baton, &before).await;
        until("the key is named", async || {
            (baton.log().contains("journal") && baton.log().contains("next start")).then_some(())
        })
        .await;
    });
}

#[test]
fn keys_become_needed_while_it_runs() {
    run(async {
        let baton = Baton::start("").await;
        let before = version(&baton).await;
        let ask = json!({"model": "echo/hello", "messages": "hi"});
        baton.chat(&ask).await.expect(200);
        baton.home.write("auth: { required: true }");
        changed(&baton, &before).await;
        until("a key is demanded", async || (baton.chat(&ask).await.status == 401).then_some(())).await;
    });
}

/// `BATON_RELOADS` files, good and bad in turns, while requests come without pause.
#[test]
fn mutated_files_under_load_fail_no_request() {
    let reloads: u32 = std::env::var("BATON_RELOADS").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let base = Fixture::config(&openai, &anthropic, "");
        let baton = Arc::new(Baton::start(&base).await);
        let stop = Arc::new(AtomicBool::new(false));
        let versions = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        let asked = Arc::new(AtomicU64::new(0));
        let load: Vec<_> = [false, true]
            .into_iter()
            .map(|stream| {
                let (baton, stop, versions, asked) = (Arc::clone(&baton), Arc::clone(&stop), Arc::clone(&versions), Arc::clone(&asked));
                crate::blackbox::support::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let answer = baton.chat(&json!({"model": ["oai/fake", "ant/fake"], "messages": "hi", "stream": stream})).await.expect(200);
                        assert!(!answer.text().contains("event: error"), "{}", answer.text());
                        let run = baton.get(&format!("/v1/decisions/{}", answer.header("x-baton-run-id"))).await.expect(200).json();
                        for decision in run["decisions"].as_array().expect("decisions") {
                            versions.lock().expect("versions").insert(text(&decision["config"]));
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();

        let mut good = BTreeSet::from([version(&baton).await]);
        for number in 0..reloads {
            let (before, logged) = (version(&baton).await, refusals(&baton).len());
            let (config, is_good) = mutated(&base, number);
            baton.home.write(&config);
            // The signal spares the pause in which an editor may still be writing.
            baton.signal(Signal::HUP);
            if is_good {
                changed(&baton, &before).await;
                good.insert(version(&baton).await);
            } else {
                until("the file is refused", async || (refusals(&baton).len() > logged).then_some(())).await;
                assert_eq!(version(&baton).await, before, "{config}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for one in load {
            one.await.expect("no request failed");
        }
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked >= u64::from(reloads), "{asked} requests for {reloads} files are no load");
        let named = versions.lock().expect("versions").clone();
        assert!(
            named.is_subset(&good),
            "a decision names a configuration that never was: {named:?} {good:?}"
        );
        assert!(named.len() > 1, "{named:?}");

        // Each version that a decision names is on record: the journal had it before its first use.
        let files = baton.home.files();
        for version in named {
            assert!(
                files.iter().any(|(_, bytes)| crate::blackbox::keys::holds(bytes, version.as_bytes())),
                "{version} is not recorded"
            );
        }
    });
}

/// The configuration with one change, and whether it is good.
fn mutated(base: &str, number: u32) -> (String, bool) {
    match number % 8 {
        0 => (format!("{base}\nmodels: {{ oai/fake: {{ aliases: [nick-{number}] }} }}\n"), true),
        1 => (format!("{base}\nmodls: {number}\n"), false),
        2 => (base.get(..base.len() * 2 / 3).unwrap_or(base).to_owned() + "  x: {", false),
        3 => (format!("{base}\nroutes: {{ r{number}: {{ pool: [oai/fake, ant/fake] }} }}\n"), true),
        4 => (format!("{base}\nroutes: {{ r{number}: {{ pool: [oai/fake], policy: none }} }}\n"), false),
        5 => (format!("{base}\nlimits: {{ max_body_bytes: {number} thousand }}\n"), false),
        6 => (format!("{base}\nlimits: {{ max_body_bytes: {} }}\n", 1_000_000 + number), true),
        _ => (base.replace("oai:", "oai: &loop").replace("sk-fake-openai", "${NOT_SET_ANYWHERE}"), false),
    }
}

async fn version(baton: &Baton) -> String {
    let ready: Value = baton.get("/readyz").await.json();
    text(&ready["config"])
}

async fn changed(baton: &Baton, before: &str) {
    until("another configuration is in force", async || (version(baton).await != before).then_some(())).await;
}

/// The log lines that say that a configuration was refused.
fn refusals(baton: &Baton) -> Vec<String> {
    let log = baton.log();
    let lines = log.lines().filter(|line| line.contains("mistakes"));
    lines.map(str::to_owned).collect()
}
