use std::collections::HashSet;

use super::*;
use crate::fake::{FakeUpstream, Fault, Script};

const WAIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_request_is_logged_once_and_reaches_the_server() {
    let (log, fake) = run(&["fake", "fake"], 60, Loop::Closed).await;
    assert_eq!(log.len(), 60);
    assert!(log.iter().all(|entry| entry.verdict == Verdict::Ok && entry.acknowledged), "{log:?}");
    let markers = log.iter().map(|entry| entry.marker.as_str()).collect::<HashSet<_>>();
    assert_eq!(markers.len(), 60);
    let seen = fake.seen();
    let there =
        seen.iter().map(|seen| seen.json()["user"].as_str().unwrap().to_owned()).collect::<HashSet<_>>();
    assert!(there.iter().all(|marker| markers.contains(marker.as_str())) && there.len() == 60);
}

#[tokio::test]
async fn an_open_loop_sends_them_all() {
    let (log, _) = run(&["fake"], 20, Loop::Open { per_second: 1000.0 }).await;
    assert_eq!(log.len(), 20);
}

#[tokio::test]
async fn a_refusal_is_a_failure_and_no_acknowledgement() {
    assert_eq!(verdict(Fault::ServerError).await, (Verdict::Failed, false));
}

#[tokio::test]
async fn a_stream_that_ends_without_its_marker_is_a_failure() {
    assert_eq!(verdict(Fault::ErrorAfterContent).await, (Verdict::Failed, true));
}

#[tokio::test]
async fn a_reset_after_content_is_unknown_and_acknowledged() {
    assert_eq!(verdict(Fault::ResetAfterContent).await, (Verdict::Unknown, true));
}

#[tokio::test]
async fn no_answer_is_unknown() {
    assert_eq!(verdict(Fault::AcceptThenClose).await, (Verdict::Unknown, false));
}

async fn verdict(fault: Fault) -> (Verdict, bool) {
    let (log, _) = run(&[fault.model()], 1, Loop::Closed).await;
    (log[0].verdict, log[0].acknowledged)
}

async fn run(models: &[&str], most: u64, pace: Loop) -> (Vec<Entry>, FakeUpstream) {
    let fake = FakeUpstream::start(Script::default()).await.unwrap();
    let kind = |model: &&str| Kind { surface: Surface::Chat, model: (*model).to_owned(), stream: true };
    let load = Load {
        server: fake.address(),
        key: Some("k".to_owned()),
        kinds: models.iter().map(kind).collect(),
        pace,
        at_once: 4,
        most,
        timeout: WAIT,
        label: "test".to_owned(),
    };
    let running = load.start();
    assert!(running.logged(usize::try_from(most).unwrap(), WAIT).await);
    (running.stop().await, fake)
}
