//! What the commands say of a gateway elsewhere, and of what is none.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::Far;
use crate::blackbox::keys::create;
use crate::blackbox::support::{baton, finished, run, until};
use crate::blackbox::v1::text;

const MODELS: &str = "models: { echo/hello: { aliases: [nick], price: { input: 1, output: 2 } } }";

#[test]
fn keys_are_made_listed_rotated_and_revoked_elsewhere() {
    run(async {
        let far = Far::start("auth: { required: true }").await;
        let made =
            far.run(&["keys", "create", "phone", "--model", "echo/*", "--json"]).await.expect(0).json();
        let (id, secret) = (text(&made["id"]), text(&made["secret"]));
        let ask = async |secret: &str| {
            let body = json!({"model": "echo/hello", "messages": "hi"});
            let request = far.server.posting("/v1/chat/completions", &body).bearer_auth(secret);
            crate::blackbox::support::sent(request).await.status
        };
        assert_eq!(ask(&secret).await, 200);
        let list = far.run(&["keys", "list"]).await.expect(0).out;
        assert!(list.contains("phone") && !list.contains(&secret), "{list}");
        let here = baton(&far.server.home, &["keys", "list"]).await.expect(0).out;
        assert_eq!(list, here, "the list is the one of the control socket");
        let rotated = far.run(&["keys", "rotate", &id, "--json"]).await.expect(0).json();
        assert_eq!((ask(&secret).await, ask(&text(&rotated["secret"])).await), (401, 200));
        far.run(&["keys", "revoke", &id]).await.expect(0);
        assert_eq!(ask(&text(&rotated["secret"])).await, 401);
        // The log has who did it, and tells it from whoever sits at the machine.
        let mut journal = Vec::new();
        for (_, bytes) in far
            .server
            .home
            .files()
            .into_iter()
            .filter(|(path, _)| path.starts_with(far.server.home.data().join("journal")))
        {
            journal.extend(bytes);
        }
        let journal = String::from_utf8_lossy(&journal);
        for action in ["key.create", "key.rotate", "key.revoke"] {
            let wanted = format!("\"actor\":\"{}\",\"action\":\"{action}\"", far.admin_id);
            assert!(journal.contains(&wanted), "{wanted} is not in the journal");
        }
        assert!(journal.contains("\"actor\":\"cli\",\"action\":\"key.create\""));
    });
}

#[test]
fn what_is_explained_elsewhere_is_what_is_explained_here() {
    run(async {
        let far = Far::start(MODELS).await;
        let body = json!({"models": ["echo/fail-500", "echo/hello"], "messages": "hi"});
        let answer = far.server.chat(&body).await.expect(200);
        let whole = far.server.run_of(&answer).await;
        for id in [answer.header("x-baton-run-id"), answer.header("x-baton-decision-id")] {
            let here = baton(&far.server.home, &["explain", id]).await.expect(0).out;
            assert!(here.contains("Served by echo/hello"), "{here}");
            for command in [&["explain", id][..], &["audit", "explain", id]] {
                assert_eq!(far.run(command).await.expect(0).out, here);
            }
            assert_eq!(far.run(&["explain", id, "--json"]).await.expect(0).json(), whole);
        }
        let planned = ["explain", "--models", "echo/hello,echo/parrot"];
        let here = baton(&far.server.home, &planned).await.expect(0).out;
        assert_eq!(far.run(&planned).await.expect(0).out, here);
        let planned = far.run(&[&planned[..], &["--json"]].concat()).await.expect(0).json();
        assert_eq!(planned["selected"], "echo/hello");
        for id in [
            "dec_019356aa00007000800000000000000a",
            "run_019356aa00007000800000000000000a",
            "nonsense",
            "../keys",
        ] {
            let output = far.run(&["explain", id]).await.expect(1);
            assert!(output.out.is_empty() && output.err.contains("error:"), "{id}: {output:?}");
        }
    });
}

#[test]
fn decisions_elsewhere_are_listed_shown_exported_and_derived_again() {
    run(async {
        let far = Far::start(MODELS).await;
        for session in ["one", "two", "one"] {
            let body = json!({"model": "nick", "messages": "hi", "baton": {"session": session}});
            far.server.chat(&body).await.expect(200);
        }
        let rows = until("the store has every decision and its end", async || {
            let rows = far.run(&["audit", "list", "--status", "ok", "--json"]).await.expect(0).json();
            rows.as_array().filter(|rows| rows.len() == 3).cloned()
        })
        .await;
        let ids: Vec<String> = rows.iter().map(|row| text(&row["id"])).collect();
        let table = far.run(&["audit", "list"]).await.expect(0).out;
        let here = baton(&far.server.home, &["audit", "list"]).await.expect(0).out;
        let column = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
        };
        assert_eq!((column(&table), column(&here)), (ids.clone(), ids.clone()), "{table}\n{here}");
        // Pages are followed: two of three with a filter that leaves two.
        let some = far.run(&["audit", "list", "--session", "one", "--since", "1h", "--json"]).await.expect(0);
        assert_eq!(some.json().as_array().map(Vec::len), Some(2));
        let some = far.run(&["audit", "list", "--limit", "1", "--json"]).await.expect(0).json();
        assert_eq!(text(&some[0]["id"]), ids[0]);
        far.run(&["audit", "list", "--since", "yesterday"]).await.expect(1);
        let tail = far.run(&["audit", "tail", "-n", "2", "--json"]).await.expect(0).json();
        assert_eq!([text(&tail[0]["id"]), text(&tail[1]["id"])], [ids[1].clone(), ids[0].clone()]);
        let shown = far.run(&["audit", "show", &ids[2]]).await.expect(0).json();
        assert_eq!(text(&shown[0]["id"]), ids[2]);

        let csv = far.run(&["audit", "export", "--csv"]).await.expect(0).out;
        assert!(csv.starts_with("id,time,run") && csv.lines().count() == 4, "{csv}");
        let file = far.here.data().with_file_name("out.ndjson");
        let name = file.to_str().expect("a path");
        far.run(&["audit", "export", "--ndjson", "--session", "two", "--out", name]).await.expect(0);
        let exported = std::fs::read_to_string(&file).expect("the export");
        let row: Value = serde_json::from_str(&exported).expect("one decision");
        assert_eq!(text(&row["id"]), ids[1]);

        let replayed = far.run(&["audit", "replay", "--last", "10", "--json"]).await.expect(0).json();
        assert_eq!((&replayed["replayed"], &replayed["differs"]), (&json!(3), &json!([])), "{replayed}");
        far.run(&["policy", "replay", &ids[0]]).await.expect(0);
        let keys = far.run(&["audit", "key"]).await.expect(0).out;
        assert_eq!(keys, baton(&far.server.home, &["audit", "key"]).await.expect(0).out);
        assert!(!keys.trim().is_empty());
    });
}

#[test]
fn policies_and_targets_elsewhere_are_changed() {
    run(async {
        let far = Far::start("").await;
        let file = far.here.data().with_file_name("new.yaml");
        std::fs::write(&file, "policies: { p: { pool: [echo/hello, echo/parrot], rules: [{ name: all, prefer: [echo/parrot] }] } }").expect("a file");
        let file = file.to_str().expect("a path");
        let put = far.run(&["policy", "put", file, "--name", "p", "--json"]).await.expect(0).json();
        let version = format!("p@{}", text(&put["version"]));
        far.run(&["policy", "activate", &version]).await.expect(0);
        let ask = json!({"model": "policy/p", "messages": "hi"});
        assert_eq!(far.server.chat(&ask).await.expect(200).header("x-baton-model"), "echo/parrot");
        let list = far.run(&["policy", "list"]).await.expect(0).out;
        assert!(list.lines().any(|line| line.starts_with(&version) && line.ends_with("active")), "{list}");
        let shown = far.run(&["policy", "show", "p", "--json"]).await.expect(0).json();
        assert_eq!(text(&shown["created_by"]), far.admin_id);
        far.run(&["policy", "what-if", "--policy", file, "--name", "p"]).await.expect(0);

        far.run(&["targets", "disable", "echo/parrot"]).await.expect(0);
        let targets = far.run(&["targets"]).await.expect(0).out;
        assert!(
            targets.lines().any(|line| line.contains("echo/parrot") && line.contains("disabled")),
            "{targets}"
        );
        assert_eq!(far.server.chat(&ask).await.expect(200).header("x-baton-model"), "echo/hello");
        far.run(&["mcp"]).await.expect(0);
    });
}

#[test]
fn models_elsewhere_are_those_of_the_gateway() {
    run(async {
        let far = Far::start(MODELS).await;
        let listed = far.run(&["models"]).await.expect(0).out;
        assert!(listed.lines().any(|line| line.starts_with("echo/hello  (nick)")), "{listed}");
        let shown = far.run(&["models", "show", "nick"]).await.expect(0).json();
        assert_eq!(text(&shown["id"]), "echo/hello");
        let output = far.run(&["models", "show", "no such"]).await.expect(1);
        assert!(output.err.contains("`no such` does not exist"), "{output:?}");
        let connect = far.run(&["connect", "aider", "--json"]).await.expect(0).json();
        assert_eq!(text(&connect["url"]), far.url());
    });
}

#[test]
fn every_key_that_will_not_do_is_told_why() {
    run(async {
        let far = Far::start("").await;
        let (url, viewer) = (far.url(), create(&far.server, &["v", "--role", "viewer"]).await.secret);
        let user = create(&far.server, &["u"]).await.secret;
        let cases = [
            (None, "BATON_ADMIN_KEY"),
            (Some(""), "BATON_ADMIN_KEY"),
            (Some("a-key-that-nobody-made-0123456789"), "does not take the key in `BATON_ADMIN_KEY`"),
            (Some("with a\nline"), "holds a character that is in no key"),
            (Some(viewer.as_str()), "may not do this on"),
            (Some(user.as_str()), "its role is `use`"),
        ];
        for (key, wanted) in cases {
            let output = finished(far.command(&url, key, &["keys", "list"])).await.expect(1);
            assert!(output.out.is_empty() && output.err.contains(wanted), "{wanted}: {output:?}");
            assert!(key.is_none_or(|key| key.is_empty() || !output.err.contains(key)), "{output:?}");
        }
        // A viewer sees what a viewer sees in the admin API.
        let listed = finished(far.command(&url, Some(&viewer), &["audit", "list"])).await;
        listed.expect(0);
    });
}

#[test]
fn a_command_of_this_machine_is_not_sent_elsewhere() {
    run(async {
        let far = Far::start("").await;
        for command in [
            &["serve"][..],
            &["check"],
            &["doctor"],
            &["openapi"],
            &["store", "copy", "--to", "x.db"],
            &["policy", "test", "cases.yaml"],
            &["models", "list", "--all"],
            &["explain", "--agent", "root"],
            &["mcp", "approve", "server"],
            &["audit", "verify"],
            &["audit", "erase", "--subject", "somebody"],
            &["audit", "reproject"],
            &["audit", "rotate-key"],
            &["audit", "export"],
        ] {
            let output = far.run(command).await.expect(2);
            assert!(output.err.contains("`--url` does not go with this command"), "{command:?}: {output:?}");
        }
        for url in ["gateway", "ftp://gateway", "https://user@gateway", ""] {
            let output = far.run_at(url, &["keys", "list"]).await.expect(2);
            assert!(output.err.contains("--url"), "{output:?}");
        }
    });
}

#[test]
fn what_does_not_answer_or_is_no_baton_is_told_apart() {
    run(async {
        let far = Far::start("").await;
        let refused = baton_testkit::fake::unreachable::refused().expect("a port");
        let refused = refused.trim_end_matches("/v1");
        let said = async |url: &str| far.run_at(url, &["keys", "list"]).await.expect(1).err;
        let text = said(refused).await;
        assert!(text.contains("cannot be asked") && text.contains("does it run there?"), "{text}");
        let text = said("https://no-such-host.invalid").await;
        assert!(text.contains("could not be looked up"), "{text}");
        let text = said(&format!("https://{}", far.server.address())).await;
        assert!(text.contains("TLS") && text.contains("is it `http://`?"), "{text}");

        let text = said(&format!("{}/elsewhere", far.url())).await;
        assert!(text.contains("has no `/admin/v1/keys`") && text.contains("is the URL right"), "{text}");

        let stranger = Stranger::new("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        let text = said(&stranger.url).await;
        assert!(text.contains("is no Baton") && text.contains("200"), "{text}");
        let stranger = Stranger::new("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        let text = said(&stranger.url).await;
        assert!(text.contains("502") && text.contains("something in front of it"), "{text}");
        let stranger = Stranger::new("SSH-2.0-OpenSSH_9.6\r\n");
        let text = said(&stranger.url).await;
        assert!(text.contains("cannot be asked") && text.contains("does it speak TLS"), "{text}");
    });
}

#[test]
fn a_key_does_not_follow_a_redirect() {
    run(async {
        let far = Far::start("").await;
        let second = TcpListener::bind("127.0.0.1:0").expect("a port");
        second.set_nonblocking(true).expect("a listener that does not wait");
        let place = format!("http://{}/", second.local_addr().expect("an address"));
        let first = Stranger::new(&format!(
            "HTTP/1.1 308 Permanent Redirect\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n"
        ));
        let output = far.run_at(&first.url, &["keys", "list"]).await.expect(1);
        assert!(output.err.contains(&place) && output.err.contains("follows nobody"), "{output:?}");
        assert!(first.asked().contains("authorization: Bearer"), "the first was not asked");
        assert!(second.accept().is_err(), "the second was asked");
    });
}

/// Answers one connection with these bytes.
struct Stranger {
    url: String,
    answering: JoinHandle<String>,
}

impl Stranger {
    fn new(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = answer.to_owned();
        let answering = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().expect("a connection").0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).expect("a line") > 0 {}
            stream.get_mut().write_all(answer.as_bytes()).expect("an answer");
            head
        });
        Self { url, answering }
    }

    /// The head of the request.
    fn asked(self) -> String {
        self.answering.join().expect("a request")
    }
}
