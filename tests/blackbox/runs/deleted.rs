//! Runs that their callers delete, and runs whose key may not be used any more.

use baton_testkit::fake::{FakeUpstream, Script};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use super::notices::Receiver;
use super::{SHORT_LEASE, id_of, queued, reaches, read, started};
use crate::blackbox::keys::{create, create_in};
use crate::blackbox::support::{Baton, Fixture, Home, baton, run, sent, until};

async fn delete(baton: &Baton, id: &str) -> crate::blackbox::support::Answer {
    sent(baton.request(Method::DELETE, &format!("/v1/runs/{id}"))).await
}

#[test]
fn a_run_that_has_ended_can_be_deleted_and_its_decisions_stay() {
    run(async {
        let fixture = Fixture::start("").await;
        let baton = &fixture.baton;
        let id = id_of(&started(baton, json!({"model": "echo/hello", "input": "hi"})).await);
        let other = id_of(&started(baton, json!({"model": "echo/hello", "input": "hi"})).await);
        let gone = delete(baton, &id).await.expect(200).json();
        assert_eq!(gone, json!({"id": id, "object": "run", "deleted": true}));
        for path in [format!("/v1/runs/{id}"), format!("/v1/runs/{id}/events")] {
            baton.get(&path).await.openai_error(404);
        }
        delete(baton, &id).await.openai_error(404);
        let left = baton.get("/v1/runs").await.expect(200).json();
        assert_eq!(left["data"].as_array().map(Vec::len), Some(1), "{left}");
        read(baton, &other).await;
        let decisions = baton.settled(&id).await["decisions"].clone();
        assert_eq!(decisions[0]["to"], "echo/hello", "{decisions}");
        // Nobody goes on from it.
        let body = json!({"input": "and?", "previous_run": id});
        let refused = baton.post("/v1/runs", &body).await.openai_error(400);
        assert_eq!(refused["code"], "previous_run_not_found");
    });
}

#[test]
fn a_run_that_has_not_ended_is_to_be_cancelled_first() {
    run(async {
        let fixture = Fixture::start("").await;
        let tool =
            json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}});
        let silent = queued(&fixture.baton, json!({"model": "oai/fault-header-stall", "input": "x"})).await;
        let waits =
            queued(&fixture.baton, json!({"model": "echo/tool", "input": "x", "tools": [tool]})).await;
        for (id, status) in [(silent, "in_progress"), (waits, "requires_action")] {
            reaches(&fixture.baton, &id, status).await;
            let refused = delete(&fixture.baton, &id).await.openai_error(409);
            assert_eq!(refused["code"], "run_not_ended", "{refused}");
            assert!(refused["message"].as_str().is_some_and(|text| text.contains(status)), "{refused}");
            fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
            reaches(&fixture.baton, &id, "cancelled").await;
            delete(&fixture.baton, &id).await.expect(200);
            fixture.baton.get(&format!("/v1/runs/{id}")).await.openai_error(404);
        }
    });
}

#[test]
fn nobody_deletes_the_run_of_another_key() {
    run(async {
        let mut server = Baton::start("auth: { required: true }").await;
        let (mine, other) = (create(&server, &["mine"]).await, create(&server, &["other"]).await);
        server.set_key(&mine.secret);
        let id = id_of(&started(&server, json!({"model": "echo/hello", "input": "hi"})).await);
        server.set_key(&other.secret);
        delete(&server, &id).await.openai_error(404);
        server.set_key(&mine.secret);
        read(&server, &id).await;
    });
}

#[test]
fn a_run_does_not_go_on_for_a_key_that_was_revoked() {
    run(async {
        let fake = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let receiver = Receiver::start().await;
        let home = Home::new(&format!(
            "auth: {{ required: true }}\nruns: {{ webhook: {} }}\nproviders: {{ oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: k }} }}",
            receiver.settings(),
            fake.base_url(),
        ));
        let key = create_in(&home, &["gone"]).await;
        let mut first = Baton::start_in(home.clone(), &SHORT_LEASE).await;
        first.set_key(&key.secret);
        let id = queued(&first, json!({"model": "oai/fault-header-stall", "input": "x"})).await;
        until("the upstream is asked", async || (fake.seen().len() == 1).then_some(())).await;
        baton(&home, &["keys", "revoke", &key.id]).await.expect(0);
        first.signal(Signal::KILL);
        first.ended().await;
        let second = Baton::start_in(home, &SHORT_LEASE).await;
        let message = receiver.message(&id).await;
        assert_eq!(message.body["type"], "run.failed", "{message:?}");
        assert_eq!(message.body["data"]["error_code"], "key_revoked", "{message:?}");
        assert_eq!(fake.seen().len(), 1, "the upstream is not asked again");
        drop(second);
    });
}
