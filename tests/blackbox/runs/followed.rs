//! The events of a run: on the stream of who began it, and again for who comes later.

use reqwest::Method;
use serde_json::{Value, json};

use super::{are_whole, events_of, frames, queued, reaches, read};
use crate::blackbox::handoff::{calls, says, scripted, transfer};
use crate::blackbox::support::{Fixture, run, sent};

#[test]
fn a_stream_has_every_event_and_any_part_of_it_can_be_had_again() {
    run(async {
        let turns = vec![calls(vec![transfer("oai/fake-b", "prose")]), says("A tale.")];
        let fixture = scripted(turns, Vec::new(), "").await;
        let body = json!({"model": ["oai/fake", "oai/fake-b"], "input": "x", "stream": true});
        let answer = fixture.baton.post("/v1/runs", &body).await.expect(200);
        assert!(answer.header("content-type").starts_with("text/event-stream"), "{answer:?}");
        let id = answer.header("x-baton-run-id").to_owned();
        let all = frames(answer.text());
        are_whole(&all);
        assert_eq!(all[0].data["run"], json!(id));
        let run = read(&fixture.baton, &id).await;
        assert_eq!(run["status"], "completed");
        let end = all.last().expect("an end");
        assert_eq!((&end.data["status"], &end.data["usage"]), (&json!("completed"), &run["usage"]));
        assert_eq!(events_of(&fixture.baton, &id, None).await, all);
        for last in 0..all.len() {
            let number = u64::try_from(last).expect("a number");
            let rest = events_of(&fixture.baton, &id, Some(number)).await;
            assert_eq!(rest, all[last + 1..], "behind {last}");
        }
        let far = events_of(&fixture.baton, &id, Some(1_000)).await;
        assert_eq!(far, [], "there is nothing behind the end");
        let path = format!("/v1/runs/{id}/events");
        let wrong = sent(fixture.baton.request(Method::GET, &path).header("last-event-id", "seven")).await;
        assert_eq!(super::param(&wrong, 400), "last-event-id");
    });
}

#[test]
fn who_follows_hears_of_what_happens_meanwhile() {
    run(async {
        let fixture = Fixture::shared().await;
        let id = queued(&fixture.baton, json!({"model": "oai/fake-l200", "input": "x"})).await;
        let told = events_of(&fixture.baton, &id, None).await;
        are_whole(&told);
        let ended = reaches(&fixture.baton, &id, "completed").await;
        assert_eq!(super::text_of(&told), ended["output"]["text"].as_str().expect("a text"));
        assert_ne!(ended["output"]["text"], Value::from(""));
    });
}
