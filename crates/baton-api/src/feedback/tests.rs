use baton_audit::CorrectTarget;
use bytes::Bytes;

use super::{FeedbackRequest, read};

fn check(body: &str) -> Result<FeedbackRequest, String> {
    read(Bytes::copy_from_slice(body.as_bytes())).map_err(|error| error.message().to_owned())
}

#[test]
fn every_member_is_read() {
    let said = check(r#"{"correct_target": "echo/hello", "score": 0.9, "label": "good", "comment": "so"}"#);
    let wanted = FeedbackRequest {
        correct_target: Some(CorrectTarget::Named("echo/hello".to_owned())),
        score: Some(900_000),
        label: Some("good".to_owned()),
        comment: Some("so".to_owned()),
    };
    assert_eq!(said, Ok(wanted));
    assert_eq!(
        check(r#"{"correct_target": false}"#).unwrap().correct_target,
        Some(CorrectTarget::Chosen(false))
    );
}

#[test]
fn a_score_is_exact_to_a_millionth() {
    for (score, millionths) in
        [("0", 0), ("1", 1_000_000), ("0.333333", 333_333), ("1e-6", 1), ("0.9999996", 1_000_000)]
    {
        assert_eq!(check(&format!(r#"{{"score": {score}}}"#)).unwrap().score, Some(millionths), "{score}");
    }
}

#[test]
fn a_comment_is_cut_between_characters() {
    let said = check(&format!(r#"{{"comment": "{}"}}"#, "ä".repeat(600))).unwrap();
    assert_eq!(said.comment.map(|comment| comment.chars().count()), Some(500));
}

#[test]
fn what_is_wrong_is_named() {
    let long = "x".repeat(65);
    for (body, message) in [
        ("{}".to_owned(), "nothing is said: send `correct_target`, `score`, `label` or `comment`"),
        (
            r#"{"score": null}"#.to_owned(),
            "nothing is said: send `correct_target`, `score`, `label` or `comment`",
        ),
        (r#"{"scores": 1}"#.to_owned(), "there is no member `scores`; did you mean `score`?"),
        (r#"{"score": 1.1}"#.to_owned(), "`score` must be a number from 0 to 1"),
        (r#"{"score": -0.1}"#.to_owned(), "`score` must be a number from 0 to 1"),
        (r#"{"score": "1"}"#.to_owned(), "`score` must be a number from 0 to 1"),
        (r#"{"label": ""}"#.to_owned(), "`label` must be a text of 1 to 64 bytes without control characters"),
        (
            r#"{"label": "a\nb"}"#.to_owned(),
            "`label` must be a text of 1 to 64 bytes without control characters",
        ),
        (
            format!(r#"{{"label": "{long}"}}"#),
            "`label` must be a text of 1 to 64 bytes without control characters",
        ),
        (r#"{"comment": 1}"#.to_owned(), "`comment` must be a text"),
        (
            r#"{"correct_target": 1}"#.to_owned(),
            "`correct_target` must be `true`, `false`, or the name of a model or target of at most 256 bytes",
        ),
    ] {
        assert_eq!(check(&body), Err(message.to_owned()), "{body}");
    }
    for body in ["", "[]", "1", "{", r#"{"score": 1, "score": 0}"#] {
        assert!(check(body).is_err(), "{body}");
    }
}
