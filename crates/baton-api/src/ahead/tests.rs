use std::future::pending;

use axum::http::StatusCode;
use http_body_util::BodyExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_sent_as_it_is() {
    assert_eq!(check(9, 201, Some(0)).await, "201 at 9, whole, body at 9");
    assert_eq!(check(9, 502, Some(0)).await, "502 at 9, whole, body at 9");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_ahead_of_what_is_not_certain() {
    assert_eq!(check(500, 504, None).await, "504 at 500, whole, body at 500");
    assert_eq!(check(29, 429, Some(20)).await, "429 at 29, whole, body at 29");
}

#[tokio::test(start_paused = true)]
async fn ten_seconds_after_it_is_certain_the_head_goes_ahead_and_blanks_follow() {
    assert_eq!(
        check(45, 200, Some(7)).await,
        "200 at 17, x-head: certain, blank at 17, blank at 27, blank at 37, body at 45"
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_later_is_the_body_and_is_known_to_have_failed() {
    assert_eq!(
        check(12, 502, Some(0)).await,
        "200 at 10, x-head: certain, blank at 10, body at 12, failed late"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_what_is_done_for_it() {
    let (alive, gone) = tokio::sync::oneshot::channel::<()>();
    let answer = async move {
        pending::<()>().await;
        drop(alive);
        Response::default()
    };
    let response = ahead(answer, async { HeaderMap::new }).await;
    let mut body = response.into_body();
    assert!(body.frame().await.is_some());
    drop(body);
    assert!(gone.await.is_err());
}

/// What a client gets of an answer that is there after so many seconds with this status, where that
/// was certain after so many: everything with its second.
async fn check(seconds: u64, status: u16, certain: Option<u64>) -> String {
    let began = Instant::now();
    let at = || began.elapsed().as_secs();
    let answer = async move {
        sleep(Duration::from_secs(seconds)).await;
        let mut response = Response::new(Body::from("whole"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    let certain = async move {
        match certain {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => pending().await,
        }
        || HeaderMap::from_iter([("x-head".parse().unwrap(), "certain".parse().unwrap())])
    };
    let response = ahead(answer, certain).await;
    let mut said = vec![format!("{} at {}", response.status().as_u16(), at())];
    let headers = response.headers().iter();
    said.extend(headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    let failed = response.extensions().get::<FailedLate>().cloned();
    let mut body = response.into_body();
    said.extend(http_body::Body::size_hint(&body).exact().map(|_| "whole".to_owned()));
    while let Some(frame) = body.frame().await {
        let what = match &*frame.unwrap().into_data().unwrap() {
            b" " => "blank",
            b"whole" => "body",
            other => panic!("{other:?}"),
        };
        said.push(format!("{what} at {}", at()));
    }
    said.extend(failed.filter(FailedLate::has_failed).map(|_| "failed late".to_owned()));
    said.join(", ")
}
