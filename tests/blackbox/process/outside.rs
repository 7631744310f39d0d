//! What leaves the audit log: files for others, and alerts.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::blackbox::support::{Baton, Home, Hook, baton, run};

#[test]
fn every_decision_and_outcome_is_in_the_files_of_the_export_after_a_stop() {
    run(async {
        let home = Home::new("audit: { export: { dir: data/export } }");
        let mut ids = Vec::new();
        // Two lives of the server: the second goes on where the first was.
        for _ in 0..2 {
            let mut server = Baton::start_in(home.clone(), &[]).await;
            for _ in 0..5 {
                let answer = server.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.expect(200);
                ids.push(answer.header("x-baton-decision-id").to_owned());
            }
            server.signal(Signal::TERM);
            assert_eq!(server.ended().await, Some(0));
        }
        let files =
            home.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "ndjson"));
        let text: String = files.map(|(_, bytes)| String::from_utf8(bytes).expect("text")).collect();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut decided: Vec<_> = of_kind(&lines, "decision", "id");
        let mut ended: Vec<_> = of_kind(&lines, "outcome", "decision");
        for list in [&mut ids, &mut decided, &mut ended] {
            list.sort();
        }
        assert_eq!((&decided, &ended), (&ids, &ids), "{text}");
    });
}

#[test]
fn a_disk_with_too_little_room_is_told_to_the_webhook() {
    run(async {
        let hook = Hook::new();
        // No disk has so much room.
        let config =
            format!("audit: {{ alerts: {{ webhook: {}, disk_free: 8000000GiB }} }}", hook.settings());
        let server = Baton::start(&config).await;
        let (head, body) = hook.message().await;
        assert!(head.contains("webhook-signature: v1,") && head.contains("webhook-id: msg_"), "{head}");
        let message: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(message["type"], "audit.disk", "{body}");
        assert_eq!(message["data"]["state"], "begun", "{body}");
        assert!(message["data"]["value"].as_u64() < message["data"]["limit"].as_u64(), "{body}");
        drop(server);
    });
}

#[test]
fn a_checkpoint_that_a_webhook_took_is_checked_against_the_log() {
    run(async {
        let hook = Hook::new();
        let config = format!("audit: {{ checkpoints: {{ webhook: {} }} }}", hook.settings());
        let mut server = Baton::start(&config).await;
        let (_head, body) = hook.message().await;
        let message: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(message["type"], "audit.checkpoint", "{body}");
        // What it got, as it got it, is what the command takes.
        std::fs::write(server.home.config().with_file_name("kept.ndjson"), &body).expect("a file");
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await, Some(0));
        let verify = ["audit", "verify", "--json", "--checkpoints", "kept.ndjson"];
        assert_eq!(baton(&server.home, &verify).await.expect(0).json()["clean"], true);
        std::fs::remove_file(server.home.data().join("baton.db")).expect("the store");
        assert_eq!(baton(&server.home, &verify).await.expect(1).json()["clean"], false);
    });
}

/// A member of all lines of a kind.
fn of_kind(lines: &[Value], kind: &str, member: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line["record"] == kind);
    lines.map(|line| line[member].as_str().unwrap_or_default().to_owned()).collect()
}
