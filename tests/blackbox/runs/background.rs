//! Runs that go on without their callers, and runs whose callers leave.

use serde_json::json;

use super::{are_whole, events_of, id_of, names, queued, reaches, read};
use crate::blackbox::support::{Fixture, run, until};

/// A model that never answers.
const SILENT: &str = "oai/fault-header-stall";

#[test]
fn a_run_in_the_background_is_answered_at_once_and_ends_by_itself() {
    run(async {
        let fixture = Fixture::shared().await;
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(queued(&fixture.baton, json!({"model": "echo/hello", "input": "hi"})).await);
        }
        for id in &ids {
            let ended = reaches(&fixture.baton, id, "completed").await;
            assert_eq!(
                (&ended["background"], &ended["turns_consumed"]),
                (&json!(true), &json!(1)),
                "{ended}"
            );
            assert!(ended["output"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{ended}");
        }
    });
}

#[test]
fn a_run_that_is_cancelled_ends_and_its_upstream_is_let_go() {
    run(async {
        let fixture = Fixture::start("").await;
        let id = queued(&fixture.baton, json!({"model": SILENT, "input": "x"})).await;
        until("the upstream is asked", async || {
            (!fixture.openai_saw("fault-header-stall").is_empty()).then_some(())
        })
        .await;
        let cancelled =
            fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200).json();
        assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
        assert_eq!(id_of(&cancelled), id);
        let told = events_of(&fixture.baton, &id, None).await;
        are_whole(&told);
        assert_eq!(told.last().map(|event| event.data["status"].clone()), Some(json!("cancelled")));
        let outcome = fixture.baton.settled(&id).await["decisions"][0]["outcome"]["status"].clone();
        assert_eq!(outcome, "client_cancelled");
        // It stays so.
        let again = fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200).json();
        assert_eq!(again, cancelled);
    });
}

#[test]
fn a_run_whose_caller_leaves_is_cancelled_and_one_in_the_background_is_not() {
    run(async {
        let fixture = Fixture::start("").await;
        for stream in [false, true] {
            let before = fixture.openai_saw("fault-header-stall").len();
            let body = json!({"model": SILENT, "input": "x", "stream": stream});
            let asking = fixture.baton.posting("/v1/runs", &body);
            let asking = crate::blackbox::support::spawn(async move {
                // The body of a stream is read until this is dropped.
                let response = asking.send().await.expect("a response");
                response.bytes().await
            });
            until("the upstream is asked", async || {
                (fixture.openai_saw("fault-header-stall").len() > before).then_some(())
            })
            .await;
            let list = fixture.baton.get("/v1/runs?limit=1").await.expect(200).json();
            let id = id_of(&list["data"][0]);
            assert_eq!(list["data"][0]["status"], "in_progress", "{list}");
            asking.abort();
            reaches(&fixture.baton, &id, "cancelled").await;
        }
        let id = queued(&fixture.baton, json!({"model": "oai/fake-l300", "input": "x"})).await;
        let path = format!("/v1/runs/{id}/events");
        let following = fixture.baton.request(reqwest::Method::GET, &path);
        drop(following.send().await.expect("a response"));
        let ended = reaches(&fixture.baton, &id, "completed").await;
        assert_eq!(names(&events_of(&fixture.baton, &id, None).await).last(), Some(&"run_end"), "{ended}");
        assert_eq!(read(&fixture.baton, &id).await, ended);
    });
}
