//! Policies of the store: put, put in force, tried on a share, planned with beside, taken back.
//!
//! What plans is held against the target that answered and against the record.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{Answer, Baton, Home, Output, baton, run, until};
use super::v1::text;

const HELLO: &str = "echo/hello";
const PARROT: &str = "echo/parrot";

/// A file with one policy, which prefers a model by a rule.
fn preferring(model: &str) -> String {
    format!(
        "policies:\n  p: {{ pool: [echo/hello, echo/parrot], rules: [{{ name: all, prefer: [{model}] }}] }}\n"
    )
}

/// Puts the policy of a file, and gives its version.
async fn put(home: &Home, content: &str) -> String {
    let file = home.data().with_file_name("new.yaml");
    std::fs::write(&file, content).expect("a written file");
    let file = file.to_str().expect("a path");
    let put = baton(home, &["policy", "put", file, "--name", "p", "--json"]).await.expect(0).json();
    assert_eq!(text(&put["name"]), "p");
    text(&put["version"])
}

async fn act(home: &Home, arguments: &[&str]) -> Output {
    baton(home, &[&["policy"], arguments].concat()).await
}

/// Asks under the policy in a conversation.
async fn ask(server: &Baton, session: &str) -> Answer {
    let own = json!({"policy": "p", "session": session});
    server.chat(&json!({"model": [HELLO, PARROT], "messages": "hi", "baton": own})).await
}

/// The target and the version that chose it.
async fn chosen(server: &Baton, session: &str) -> (String, String) {
    let answer = ask(server, session).await.expect(200);
    let policy = answer.header("x-baton-policy").to_owned();
    let version = policy.strip_prefix("p@").unwrap_or_else(|| panic!("{policy}")).to_owned();
    (answer.header("x-baton-model").to_owned(), version)
}

/// The decision that carries the table.
async fn decided(server: &Baton, answer: &Answer) -> Value {
    let run = server.run_of(answer).await;
    let decisions = run["decisions"].as_array().expect("decisions");
    decisions.iter().find(|one| one["candidates"].is_array()).cloned().expect("a table")
}

/// Every decision so far comes out of its record alone.
async fn replays(home: &Home, at_least: u64) {
    let replay = until("the store has every decision", async || {
        let replay = baton(home, &["policy", "replay", "--last", "1000", "--json"]).await;
        assert!(replay.code == 0, "{replay:?}");
        let replay = replay.json();
        (replay["replayed"].as_u64() >= Some(at_least)).then_some(replay)
    })
    .await;
    assert_eq!(replay["differs"], json!([]), "{replay}");
    assert_eq!(replay["not_replayable"], json!([]), "{replay}");
}

#[test]
fn a_version_is_put_activated_tried_on_half_and_rolled_back() {
    run(async {
        let server = Baton::start("").await;
        let home = server.home.clone();
        let old = put(&home, &preferring(HELLO)).await;
        // What is put is not in force.
        assert_eq!(ask(&server, "s").await.openai_error(404)["code"], "policy_not_found");
        act(&home, &["activate", &format!("p@{old}")]).await.expect(0);
        assert_eq!(chosen(&server, "s").await, (HELLO.to_owned(), old.clone()));
        let named = server.chat(&json!({"model": "policy/p", "messages": "hi"})).await.expect(200);
        assert_eq!(named.header("x-baton-model"), HELLO);

        let new = put(&home, &preferring(PARROT)).await;
        assert_ne!(new, old);
        assert_eq!(chosen(&server, "s").await.1, old);
        act(&home, &["canary", &format!("p@{new}"), "--percent", "50"]).await.expect(0);
        let mut tried = 0;
        for number in 0..20 {
            let session = format!("conversation-{number}");
            let (model, version) = chosen(&server, &session).await;
            assert_eq!(model, if version == new { PARROT } else { HELLO });
            for _ in 0..2 {
                assert_eq!(chosen(&server, &session).await.1, version, "{session} went to another version");
            }
            tried += u32::from(version == new);
        }
        // By the names of the sessions, not by chance: the same in every run.
        assert!((5..=15).contains(&tried), "{tried} of 20 got the canary");

        act(&home, &["activate", &format!("p@{}", new.get(..6).expect("digits"))]).await.expect(0);
        assert_eq!(chosen(&server, "s").await, (PARROT.to_owned(), new.clone()));
        let listed = act(&home, &["list"]).await.expect(0).out;
        assert!(listed.contains(&format!("p@{new}  store  active")), "{listed}");
        act(&home, &["rollback", "p"]).await.expect(0);
        assert_eq!(chosen(&server, "s").await, (HELLO.to_owned(), old));
        replays(&home, 60).await;
    });
}

#[test]
fn a_shadow_is_recorded_compared_and_without_effect() {
    run(async {
        let server = Baton::start("").await;
        let home = server.home.clone();
        let counts = put(&home, &preferring(HELLO)).await;
        act(&home, &["activate", &format!("p@{counts}")]).await.expect(0);
        let plain = ask(&server, "s").await.expect(200);
        assert_eq!(decided(&server, &plain).await.get("shadow"), None);

        let other = put(&home, &preferring(PARROT)).await;
        act(&home, &["shadow", &format!("p@{other}")]).await.expect(0);
        let answer = ask(&server, "s").await.expect(200);
        assert_eq!(answer.header("x-baton-model"), HELLO);
        let decision = decided(&server, &answer).await;
        let expected = json!({"policy": "p", "version": other, "to": PARROT, "same": false});
        assert_eq!(decision["shadow"], expected, "{decision}");
        assert_eq!(decision["policy"], format!("p@{counts}"));
        let explained = baton(&home, &["explain", &text(&decision["id"])]).await.expect(0).out;
        assert!(explained.contains(&format!("policy p@{other}: {PARROT}")), "{explained}");

        // The same choice by other means.
        let pool = "policies: { p: { pool: [echo/hello, echo/parrot] } }\n";
        let alike = put(&home, pool).await;
        act(&home, &["shadow", &format!("p@{alike}")]).await.expect(0);
        let decision = decided(&server, &ask(&server, "s").await.expect(200)).await;
        assert_eq!(decision["shadow"]["same"], true, "{decision}");

        // Nobody read the text for the version that counts.
        let task = "policies: { p: { pool: [echo/hello, echo/parrot], order: strengths } }\n";
        let blind = put(&home, task).await;
        act(&home, &["shadow", &format!("p@{blind}")]).await.expect(0);
        let decision = decided(&server, &ask(&server, "s").await.expect(200)).await;
        let why = "the kind of task was not recorded";
        assert_eq!(decision["shadow"], json!({"policy": "p", "version": blind, "undetermined": why}));

        let metrics = server.get("/metrics").await.expect(200);
        for result in ["same", "different", "undetermined"] {
            let counted = format!("baton_shadow_decisions_total{{policy=\"p\",result=\"{result}\"}} 1");
            assert!(metrics.text().contains(&counted), "no `{counted}`");
        }
        // Its own models are no candidates where the policy that counts brings other ones.
        let elsewhere = put(&home, "policies: { p: { pool: [echo/parrot] } }\n").await;
        act(&home, &["shadow", &format!("p@{elsewhere}")]).await.expect(0);
        let named = server.chat(&json!({"model": "policy/p", "messages": "hi"})).await.expect(200);
        let decision = decided(&server, &named).await;
        assert_eq!(
            decision["shadow"]["undetermined"], "the models of its own pool were not looked at",
            "{decision}"
        );

        act(&home, &["off", "p"]).await.expect(0);
        let decision = decided(&server, &ask(&server, "s").await.expect(200)).await;
        assert_eq!(decision.get("shadow"), None);
        replays(&home, 5).await;
    });
}

#[test]
fn versions_outlive_a_restart() {
    run(async {
        let mut server = Baton::start("").await;
        let home = server.home.clone();
        let version = put(&home, &preferring(PARROT)).await;
        act(&home, &["activate", &format!("p@{version}")]).await.expect(0);
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await, Some(0));
        let mut server = Baton::start_in(home.clone(), &[]).await;
        assert_eq!(chosen(&server, "s").await, (PARROT.to_owned(), version.clone()));
        // Without a server, commands say the same.
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await, Some(0));
        let shown = act(&home, &["show", "p", "--json"]).await.expect(0).json();
        assert_eq!(text(&shown["version"]), version);
        assert_eq!(shown["document"]["rules"][0]["name"], "all");
    });
}

#[test]
fn a_name_is_of_the_file_or_of_the_store() {
    run(async {
        let mut server = Baton::start("policies: { f: { order: cheapest } }\n").await;
        let home = server.home.clone();
        put(&home, &preferring(PARROT)).await;
        let file = home.data().with_file_name("new.yaml");
        let file = file.to_str().expect("a path");
        for (name, why) in
            [("f", "is in the file"), ("auto", "of Baton's own"), ("a/b", "no name for a policy")]
        {
            let refused = act(&home, &["put", file, "--name", name]).await.expect(1);
            assert!(refused.err.contains(why), "{refused:?}");
        }
        // A reload that brings the name is refused as a whole, and a start too.
        home.write(&preferring(HELLO));
        server.signal(Signal::HUP);
        until("the reload is refused", async || {
            let log = server.log();
            (log.contains("`policies.p`") && log.contains("in the store (`p@")).then_some(())
        })
        .await;
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await, Some(0));
        let refused = baton(&home, &["serve", "--listen", "127.0.0.1:0"]).await.expect(1);
        assert!(
            refused.err.contains("`policies.p`") && refused.err.contains("in the store (`p@"),
            "{refused:?}"
        );
    });
}

#[test]
fn what_cannot_be_used_is_not_stored() {
    run(async {
        let server = Baton::start("").await;
        let home = server.home.clone();
        let file = home.data().with_file_name("new.yaml");
        let path = file.to_str().expect("a path");
        for (content, why) in [
            ("policies: { p: { ordr: cheapest } }", "ordr"),
            ("policies: { p: { rules: [{ name: a, when: 'task.knd == 1', refuse: No. }] } }", "knd"),
            ("policies: { a: { order: cheapest }, b: { order: auto } }", "has no policy `p`"),
            ("limits: {}", "has no policy `p`"),
        ] {
            std::fs::write(&file, content).expect("a written file");
            let refused = act(&home, &["put", path, "--name", "p"]).await.expect(1);
            assert!(refused.err.contains(why), "{refused:?}");
        }
        assert!(!act(&home, &["list"]).await.expect(0).out.contains("store"));
        let missing = act(&home, &["activate", "p@abcdef"]).await.expect(1);
        assert!(missing.err.contains("the store has no policy `p`"), "{missing:?}");
        act(&home, &["activate", "p"]).await.expect(2);
        act(&home, &["canary", "p@abcdef", "--percent", "0"]).await.expect(2);
    });
}
