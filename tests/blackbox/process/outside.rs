//! What leaves the audit log: files for others, and alerts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::blackbox::support::{Baton, Home, run};

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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/alerts", listener.local_addr().expect("an address"));
        let receiver = std::thread::spawn(move || take(&listener));
        // No disk has so much room.
        let config = format!(
            "audit: {{ alerts: {{ webhook: {{ url: \"{url}\", \
             secret: \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }}, disk_free: 8000000GiB }} }}"
        );
        let server = Baton::start(&config).await;
        let (head, body) =
            tokio::task::spawn_blocking(|| receiver.join()).await.expect("a task").expect("a message");
        assert!(head.contains("webhook-signature: v1,") && head.contains("webhook-id: msg_"), "{head}");
        let message: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(message["type"], "audit.disk", "{body}");
        assert_eq!(message["data"]["state"], "begun", "{body}");
        assert!(message["data"]["value"].as_u64() < message["data"]["limit"].as_u64(), "{body}");
        drop(server);
    });
}

/// A member of all lines of a kind.
fn of_kind(lines: &[Value], kind: &str, member: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line["record"] == kind);
    lines.map(|line| line[member].as_str().unwrap_or_default().to_owned()).collect()
}

/// Takes one message and says that it was taken.
fn take(listener: &TcpListener) -> (String, String) {
    let mut stream = BufReader::new(listener.accept().expect("a connection").0);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).expect("a line"), 0, "the sender left");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer");
    (head, String::from_utf8(body).expect("text"))
}
