use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};

use super::*;
use crate::body::{Chunks, ProgressTimeout};

#[tokio::test]
async fn a_body_in_one_frame_is_that_frame() {
    let frame = Bytes::from(vec![7; 100]);
    let whole = read_to_end(Chunks::from(frame.clone()), 100).await.unwrap();
    assert_eq!((whole.as_ptr(), whole.len()), (frame.as_ptr(), 100));
}

#[tokio::test]
async fn frames_are_put_together() {
    assert_eq!(check(Script::new(["ab", "", "cd", "e"]), 5).await, "abcde");
    assert_eq!(check(Script::new([]), 5).await, "");
}

#[tokio::test]
async fn a_body_at_the_limit_passes_and_one_byte_more_does_not() {
    assert_eq!(check(Script::new(["abc", "de"]), 5).await, "abcde");
    assert_eq!(check(Script::new(["abc", "def"]), 5).await, "the body is longer than 5 bytes");
    assert_eq!(check(Script::new(["abc", "de", "f"]), 5).await, "the body is longer than 5 bytes");
    assert_eq!(check(Script::new(["x"]), 0).await, "the body is longer than 0 bytes");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_read() {
    let mut body = Script::new(["a"]);
    body.declared = Some(10 << 40);
    let error = read_to_end(&mut body, 5).await.unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { limit: 5 }));
    assert_eq!(body.frames.len(), 1);
}

#[tokio::test]
async fn nothing_is_read_past_the_limit() {
    let mut body = Script::new(["abc", "def", "ghi", "jkl"]);
    read_to_end(&mut body, 5).await.unwrap_err();
    assert_eq!(body.frames.len(), 2);
}

#[tokio::test]
async fn a_broken_body_says_so() {
    let mut body = Script::new(["abc"]);
    body.frames.push_back(Err("reset"));
    assert_eq!(check(body, 5).await, "the body broke off");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_told_from_a_broken_one() {
    let mut body = Script::new(["abc"]);
    body.hangs = true;
    let body = ProgressTimeout::new(body, Duration::from_secs(30));
    let error = read_to_end(body, 5).await.unwrap_err();
    assert!(matches!(error, ReadError::Stalled(Stalled { after }) if after.as_secs() == 30));
}

/// Reads the body to its text, or to what went wrong.
async fn check(body: Script, limit: usize) -> String {
    match read_to_end(body, limit).await {
        Ok(whole) => String::from_utf8(whole.to_vec()).unwrap(),
        Err(error) => error.to_string(),
    }
}

struct Script {
    frames: VecDeque<Result<&'static str, &'static str>>,
    declared: Option<u64>,
    hangs: bool,
}

impl Script {
    fn new<const N: usize>(frames: [&'static str; N]) -> Self {
        Self { frames: frames.into_iter().map(Ok).collect(), declared: None, hangs: false }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            frame => Poll::Ready(
                frame.map(|frame| frame.map(|text| Frame::data(text.into())).map_err(BoxError::from)),
            ),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
