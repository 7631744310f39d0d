//! Captured content: redacted, sealed, shown to administrators, erased.
//!
//! `BATON_CONTENT_SECRETS` and `BATON_CONTENT_TEXTS` make the two counting tests long: `cargo xtask redaction` and
//! `cargo xtask erase`.

use std::collections::HashMap;

use baton_testkit::fake::{End, FakeUpstream, Raw as RawStep, Script, Step};
use baton_testkit::postgres::Database;
use serde_json::{Value, json};

use super::super::keys::holds;
use super::super::support::{Answer, Baton, Fixture, Home, Raw, baton, finished, run, sent, until};
use super::{stop, verify};
use reqwest::Method;

const ADMIN: &str = "an-admin-key-that-is-long-enough-0123456789";
const ENVIRONMENT: [(&str, &str); 1] = [("BATON_ADMIN_KEY", ADMIN)];
/// A Postgres wants the master key given.
const GIVEN: [(&str, &str); 2] =
    [ENVIRONMENT[0], ("BATON_MASTER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];
const ON: &str = "audit: { capture: { content: true, patterns: ['EMP-[0-9]{6}'] } }\n";
/// Every secret and text is longer than this.
const BEGINNING: usize = 8;
/// As many secrets stand in one request.
const AT_ONCE: usize = 20;

async fn start(config: &str) -> Baton {
    Baton::start_in(Home::new(config), &ENVIRONMENT).await
}

async fn read(server: &Baton, id: &str) -> Answer {
    sent(server.keyless(Method::GET, &format!("/admin/v1/decisions/{id}/content")).bearer_auth(ADMIN)).await
}

/// The content of a decision, once the store has so many pieces of it.
async fn content(server: &Baton, id: &str, count: usize) -> Vec<Value> {
    until("the store has the content", async || {
        let list = read(server, id).await.expect(200).json();
        let data = list["data"].as_array().cloned().expect("a list");
        // What leads to content comes right before its evidence.
        let is_here = data.iter().all(|piece| piece["state"] != "unavailable");
        (is_here && data.len() == count).then_some(data)
    })
    .await
}

fn id_of(answer: &Answer) -> String {
    answer.header("x-baton-decision-id").to_owned()
}

/// The environment's number, or a small one.
fn count(variable: &str, small: usize) -> usize {
    std::env::var(variable).map_or(small, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_captured_unless_the_file_says_so() {
    run(async {
        for config in [
            "",
            "audit: { capture: { content: false } }\n",
            "audit: { capture: { content: true, routes: [echo/hello], keys: [key_0190d4ff5a7c7000800000000000002a], policies: [none] } }\n",
        ] {
            let server = start(config).await;
            let answer =
                server.chat(&json!({"model": "echo/parrot", "messages": "canary-tomato"})).await.expect(200);
            // What comes later in the log is in the store.
            baton(&server.home, &["audit", "verify"]).await.expect(0);
            assert!(content(&server, &id_of(&answer), 0).await.is_empty());
            assert!(!server.home.data().join("content-keys").exists(), "{config}");
        }
    });
}

#[test]
fn what_was_asked_and_answered_is_shown_to_administrators_and_that_is_recorded() {
    run(async {
        let server = start(ON).await;
        for stream in [false, true] {
            let body = json!({"model": "echo/parrot", "messages": "canary-tomato of ada@mail.example", "stream": stream, "user": "ada"});
            let answer = server.chat(&body).await.expect(200);
            let id = id_of(&answer);
            let pieces = content(&server, &id, 2).await;
            assert_eq!((&pieces[0]["part"], &pieces[1]["part"]), (&json!("request"), &json!("answer")));
            assert_eq!(pieces[0]["content"]["body"]["messages"], "canary-tomato of [email]");
            assert_eq!(
                pieces[1]["content"],
                json!({"status": "ok", "cut": false, "parts": [{"type": "text", "text": "canary-tomato of [email]"}]}),
            );
            assert!(
                pieces[0]["subject"].as_str().is_some_and(|subject| subject.starts_with("user_")),
                "{pieces:?}"
            );
            let shown = baton(&server.home, &["audit", "show", &id, "--content"]).await.expect(0);
            assert!(shown.out.contains("canary-tomato of [email]"), "{shown:?}");

            let path = format!("/admin/v1/decisions/{id}/content");
            sent(server.keyless(Method::GET, &path)).await.expect(401);
            let viewer = baton(&server.home, &["keys", "create", "v", "--role", "viewer", "--json"])
                .await
                .expect(0)
                .json();
            let viewer = viewer["secret"].as_str().expect("a secret");
            let refused = sent(server.keyless(Method::GET, &path).bearer_auth(viewer)).await.expect(403);
            assert_eq!(refused.json()["error"]["code"], "role_not_allowed");
        }
        let files = server.home.files();
        for (path, bytes) in &files {
            assert!(!holds(bytes, b"canary-tomato"), "{} holds a prompt", path.display());
        }
        assert!(
            files.iter().any(|(_, bytes)| holds(bytes, b"content.read")),
            "that it was read is not recorded"
        );
    });
}

#[test]
fn a_copied_store_opens_what_was_captured_and_knows_who_was_erased() {
    run(async {
        let postgres = Database::create().await.expect("a database");
        if postgres.is_none() {
            println!("SKIPPED: TEST_DATABASE_URL is not set, so content is not copied to Postgres");
        }
        for database in std::iter::once(None).chain(postgres.map(Some)) {
            let mut server = Baton::start_in(Home::new(ON), &GIVEN).await;
            let home = server.home.clone();
            let command = async |arguments: &[&str]| {
                let mut command = home.command(arguments);
                command.envs(GIVEN);
                finished(command).await
            };
            let asked = async |server: &Baton, user: &str| {
                let body = json!({"model": "echo/parrot", "messages": format!("canary-plum of {user}"), "user": user});
                let id = id_of(&server.chat(&body).await.expect(200));
                content(server, &id, 2).await;
                id
            };
            let (kept, erased) = (asked(&server, "ada").await, asked(&server, "ben").await);
            let url = database.as_ref().map(Database::url);
            let other = url.as_deref().unwrap_or("copy.db");
            // Erased between two copies: the second one takes the keys out of the copy, too.
            command(&["store", "copy", "--to", other]).await.expect(0);
            command(&["audit", "erase", "--subject", "ben"]).await.expect(0);
            for _ in 0..2 {
                let copied = command(&["store", "copy", "--to", other]).await.expect(0);
                assert!(copied.out.contains("nothing was found"), "{copied:?}");
            }
            stop(&mut server).await;

            // The same folder on the other store; on the embedded one, what was copied is copied back.
            let beside = match &url {
                Some(url) => vec!["--database", url.as_str()],
                None => {
                    for lost in ["baton.db", "baton.db-wal", "baton.db-shm"] {
                        drop(std::fs::remove_file(home.data().join(lost)));
                    }
                    command(&["store", "copy", "--from", other]).await.expect(0);
                    vec![]
                }
            };
            let on = async |arguments: &[&str]| command(&[&beside, arguments].concat()).await;
            let shown =
                async |id: &str| on(&["audit", "show", id, "--content", "--json"]).await.expect(0).json();
            let kept = shown(&kept).await;
            assert_eq!(kept["data"][0]["content"]["body"]["messages"], "canary-plum of ada", "{kept}");
            let answer = &kept["data"][1]["content"]["parts"][0]["text"];
            assert_eq!(*answer, "canary-plum of ada", "{kept}");
            let gone = shown(&erased).await;
            assert!(!gone.to_string().contains("canary-plum of ben"), "{gone}");
            on(&["audit", "verify"]).await.expect(0);
            for (path, bytes) in home.files() {
                assert!(!holds(&bytes, b"canary-plum"), "{} holds a prompt", path.display());
            }
            if let Some(database) = database {
                database.remove().await.expect("a removed database");
            }
        }
    });
}

#[test]
fn what_was_said_of_decisions_is_told_as_lessons_with_the_text_where_it_was_captured() {
    run(async {
        let learned = async |server: &Baton| {
            let body = json!({"model": ["echo/parrot", "echo/hello"], "messages": "sort this list", "baton": {"task": "code"}});
            let id = id_of(&server.chat(&body).await.expect(200));
            let path = format!("/v1/decisions/{id}/feedback");
            // What was said last counts.
            server.post(&path, &json!({"correct_target": true})).await.expect(200);
            server.post(&path, &json!({"correct_target": "echo/hello"})).await.expect(200);
            server.post(&path, &json!({"score": 0.5})).await.expect(200);
            let told = baton(&server.home, &["audit", "lessons"]).await.expect(0);
            assert_eq!(told.out.lines().count(), 1, "{told:?}");
            let lesson = told.json();
            assert_eq!((&lesson["id"], &lesson["task"]), (&json!(id), &json!("audit:code")), "{lesson}");
            assert_eq!(lesson["m"], json!({"parrot": [0], "hello": [1]}), "{lesson}");
            lesson["prompt"].clone()
        };
        assert_eq!(learned(&start("").await).await, "", "nothing was captured");
        let server = start(ON).await;
        assert_eq!(learned(&server).await, "sort this list");
        baton(&server.home, &["audit", "verify"]).await.expect(0);
        assert!(
            server.home.files().iter().any(|(_, bytes)| holds(bytes, b"content.read")),
            "that it was read is recorded"
        );
    });
}

#[test]
fn a_secret_that_is_cut_over_chunks_and_an_answer_that_nobody_heard_to_its_end_are_redacted() {
    run(async {
        let card = "4111 1111 1111 1111";
        let frame = |text: &str| {
            let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
            format!("data: {chunk}\n\n").into_bytes()
        };
        let mut pieces: Vec<Vec<u8>> = vec![frame("pay with ")];
        pieces.extend(card.as_bytes().chunks(3).map(|part| frame(&String::from_utf8_lossy(part))));
        let cut = pieces.clone();
        let end = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        pieces.push(format!("data: {end}\n\ndata: [DONE]\n\n").into_bytes());
        let raw = |pieces, then| {
            let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
            Step::Raw(RawStep { status: 200, headers, pieces, then })
        };
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let config = Fixture::config(&openai, &other, ON);
        let server = start(&config).await;
        let body = json!({"model": "oai/fake", "messages": "hi", "stream": true});

        openai.then(raw(pieces, End::Whole));
        let answer = server.chat(&body).await.expect(200);
        let whole = content(&server, &id_of(&answer), 2).await;
        assert_eq!(whole[1]["content"]["parts"][0]["text"], "pay with [card]", "{whole:?}");

        // The last three bytes never come.
        let most = cut.len() - 1;
        openai.then(raw(cut.into_iter().take(most).collect(), End::Reset));
        let answer = server.chat(&body).await;
        let broken = content(&server, &id_of(&answer), 2).await;
        assert_eq!(broken[1]["content"]["status"], "failed", "{broken:?}");
        let text = broken[1]["content"]["parts"][0]["text"].as_str().expect("a text").trim_end().to_owned();
        assert_eq!(text, "pay with", "{broken:?}");

        let mut client = Raw::open(server.address()).await;
        let body = json!({"model": "oai/fault-stall", "messages": "hi", "stream": true}).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.say(head.as_bytes()).await.expect("a request");
        let came = client.read_until(|text| text.contains("\"content\":\"H")).await;
        let id =
            came.lines().find_map(|line| line.strip_prefix("x-baton-decision-id: ")).expect("an id").trim();
        drop(client);
        let left = content(&server, id, 2).await;
        assert_eq!(left[1]["content"]["status"], "client_cancelled", "{left:?}");
    });
}

#[test]
fn no_seeded_secret_is_found_anywhere() {
    run(async {
        let secrets: Vec<String> = (0..count("BATON_CONTENT_SECRETS", 240)).map(secret).collect();
        let mut server = start(ON).await;
        let mut ids = Vec::new();
        for (at, some) in secrets.chunks(AT_ONCE).enumerate() {
            // In a text, as an argument of a call within a text of JSON, as a name, and as a number where it is one.
            let arguments = json!({"to": some}).to_string();
            let numbers: Vec<u64> = some.iter().filter_map(|secret| secret.parse().ok()).collect();
            let body = json!({
                "model": "echo/parrot", "stream": at % 2 == 0, "user": format!("u{at}"),
                "messages": [
                    {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
                    {"role": "tool", "tool_call_id": "c", "content": json!(numbers).to_string()},
                    {"role": "user", "content": some.join(", then ")},
                ],
            });
            ids.push(id_of(&server.chat(&body).await.expect(200)));
        }
        let mut found = 0;
        for (id, some) in ids.iter().zip(secrets.chunks(AT_ONCE)) {
            let opened = json!(content(&server, id, 2).await).to_string();
            assert!(opened.contains(", then "), "{opened}");
            found += some.iter().filter(|secret| opened.contains(secret.as_str())).count();
        }
        baton(&server.home, &["audit", "export", "--out", "evidence.ndjson"]).await.expect(0);
        stop(&mut server).await;
        let mut files = server.home.files();
        files.push((
            "evidence.ndjson".into(),
            std::fs::read(server.home.data().with_file_name("evidence.ndjson")).expect("an export"),
        ));
        files.push(("the log".into(), server.log().into_bytes()));
        for (_path, bytes) in &files {
            found += held(bytes, &secrets);
        }
        println!(
            "{found} of {} seeded secrets found, in {} opened decisions and {} files",
            secrets.len(),
            ids.len(),
            files.len()
        );
        assert_eq!(found, 0);
    });
}

#[test]
fn what_is_erased_is_gone_everywhere_and_the_log_is_whole() {
    run(async {
        let server = start(ON).await;
        let texts: Vec<String> =
            (0..count("BATON_CONTENT_TEXTS", 30)).map(|at| format!("canary-{at}-{:x}", dice(at))).collect();
        let mut asked = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let user = if at % 3 == 2 { "ben" } else { "ada" };
            let body = json!({"model": "echo/parrot", "input": text, "safety_identifier": user});
            let answer = if at % 2 == 0 {
                server.responses(&body).await.expect(200)
            } else {
                let body = json!({"model": "echo/parrot", "messages": text, "safety_identifier": user, "stream": true});
                server.chat(&body).await.expect(200)
            };
            let response = (at % 2 == 0).then(|| answer.json()["id"].as_str().expect("an id").to_owned());
            asked.push((user, text, id_of(&answer), response));
        }
        for (_user, text, id, _response) in &asked {
            let opened = json!(content(&server, id, 2).await).to_string();
            assert!(opened.contains(text.as_str()), "{opened}");
        }

        let erased =
            baton(&server.home, &["audit", "erase", "--subject", "ada", "--json"]).await.expect(0).json();
        let of = |who: &str| asked.iter().filter(|(user, ..)| *user == who).count();
        let stored =
            asked.iter().filter(|(user, _, _, response)| *user == "ada" && response.is_some()).count();
        assert_eq!(erased["contents"].as_u64(), Some(2 * of("ada") as u64), "{erased}");
        assert_eq!(erased["responses"].as_u64(), Some(stored as u64), "{erased}");
        assert!(erased["keys"].as_u64() >= Some(1), "{erased}");

        let mut recoverable = 0;
        for round in ["once", "again"] {
            for (user, text, id, response) in &asked {
                let pieces = read(&server, id).await.expect(200).json();
                let opened = pieces.to_string().contains(text.as_str());
                let status = match response {
                    Some(response) => server.get(&format!("/v1/responses/{response}")).await.status,
                    None => 404,
                };
                if *user == "ada" {
                    recoverable += usize::from(opened || status != 404);
                } else {
                    assert!(opened, "{round}: another subject's content is gone: {pieces}");
                    assert!(response.is_none() || status == 200, "{round}: {status}");
                }
            }
            baton(&server.home, &["audit", "verify"]).await.expect(0);
        }
        baton(&server.home, &["audit", "export", "--out", "evidence.ndjson"]).await.expect(0);
        baton(
            &server.home,
            &["audit", "verify", "--export", "evidence.ndjson", "--key", &public_key(&server).await],
        )
        .await
        .expect(0);
        let mut files = server.home.files();
        files.push((
            "evidence.ndjson".into(),
            std::fs::read(server.home.data().with_file_name("evidence.ndjson")).expect("an export"),
        ));
        for (_path, bytes) in &files {
            recoverable += held(bytes, &texts);
        }
        println!(
            "{recoverable} of {} erased texts recoverable, in {} files and all answers; verify found nothing",
            of("ada"),
            files.len()
        );
        assert_eq!(recoverable, 0);

        // Content of later is kept again.
        let body = json!({"model": "echo/parrot", "messages": "canary-later", "safety_identifier": "ada"});
        let answer = server.chat(&body).await.expect(200);
        assert!(json!(content(&server, &id_of(&answer), 2).await).to_string().contains("canary-later"));
        verify(&server.home, &[]).await.expect(0);
    });
}

#[test]
fn content_survives_a_crash_and_can_be_erased_after_it() {
    run(async {
        let home = {
            let mut server = start(ON).await;
            let body = json!({"model": "echo/parrot", "messages": "canary-crash", "user": "ada"});
            let answer = server.chat(&body).await.expect(200);
            let id = id_of(&answer);
            content(&server, &id, 2).await;
            server.signal(rustix::process::Signal::KILL);
            server.ended().await;
            (server.home.clone(), id)
        };
        let (home, id) = home;
        let server = Baton::start_in(home, &ENVIRONMENT).await;
        assert!(json!(content(&server, &id, 2).await).to_string().contains("canary-crash"));
        let keys = server.home.data().join("content-keys");
        until("the crashed process's key is destroyed", async || {
            let left = std::fs::read_dir(&keys).map(Iterator::count).unwrap_or_default();
            (left == 0).then_some(())
        })
        .await;
        let erased =
            baton(&server.home, &["audit", "erase", "--subject", "ada", "--json"]).await.expect(0).json();
        assert_eq!(erased["contents"], 2, "{erased}");
        assert!(content(&server, &id, 0).await.is_empty());
    });
}

/// How often a file holds one of these, each of which has a beginning of its own or shares it with few.
fn held(bytes: &[u8], wanted: &[String]) -> usize {
    let mut by_beginning: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for wanted in wanted {
        let wanted = wanted.as_bytes();
        by_beginning.entry(&wanted[..BEGINNING]).or_default().push(wanted);
    }
    let is_at = |at: usize| {
        let some = bytes.get(at..at + BEGINNING).and_then(|beginning| by_beginning.get(beginning));
        some.is_some_and(|some| some.iter().any(|wanted| bytes[at..].starts_with(wanted)))
    };
    // Most of a journal's file is what nothing was written to yet.
    (0..bytes.len()).filter(|at| bytes[*at] != 0 && is_at(*at)).count()
}

async fn public_key(server: &Baton) -> String {
    baton(&server.home, &["audit", "key"]).await.expect(0).out.trim().to_owned()
}

/// The same number for the same place, and no pattern in it.
const fn dice(at: usize) -> u64 {
    let mut x = (at as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A secret of each kind in turn.
fn secret(at: usize) -> String {
    let random = dice(at);
    match at % 6 {
        0 => format!("m{random:x}@mail-{at}.example.org"),
        1 => card(random, ""),
        2 => card(random, " "),
        3 => format!("+49 30 {:07}", random % 10_000_000),
        4 => format!("sk-{random:016x}{:08x}", dice(at + 1) >> 32),
        _ => format!("EMP-{:06}", random % 1_000_000),
    }
}

/// A number with a right check digit, in groups of four.
fn card(random: u64, between: &str) -> String {
    let digits = format!("4{:014}", random % 100_000_000_000_000);
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    let whole = format!("{digits}{}", (10 - sum % 10) % 10);
    let groups: Vec<&str> =
        whole.as_bytes().chunks(4).map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(between)
}
