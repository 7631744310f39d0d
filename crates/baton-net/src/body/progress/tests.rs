use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;

#[tokio::test(start_paused = true)]
async fn each_byte_buys_the_full_time_again() {
    assert_eq!(check(30, &[(29, "a"), (29, "b"), (29, "c")]).await, "87s end");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_fails_in_time() {
    assert_eq!(check(30, &[(29, "a"), (31, "b")]).await, "59s no byte came for 30000 ms");
}

#[tokio::test(start_paused = true)]
async fn frames_without_bytes_are_no_progress() {
    assert_eq!(check(30, &[(20, ""), (20, "")]).await, "30s no byte came for 30000 ms");
}

#[tokio::test(start_paused = true)]
async fn time_does_not_pass_while_nobody_waits() {
    let (sender, body) = channel();
    let mut body = ProgressTimeout::new(body, Duration::from_secs(30));
    for text in ["a", "b"] {
        tokio::time::advance(Duration::from_secs(100)).await;
        sender.send(text).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn another_limit_counts_from_the_next_wait() {
    let (sender, body) = channel();
    let mut body = ProgressTimeout::new(body, Duration::from_secs(30));
    sender.send("a").unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    body.set_timeout(Duration::from_secs(60));
    let start = Instant::now();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(start.elapsed().as_secs(), 60);
}

/// Sends each text after its pause in seconds; says when and how the body ended.
async fn check(timeout_s: u64, script: &'static [(u64, &'static str)]) -> String {
    let start = Instant::now();
    let (sender, body) = channel();
    let mut body = ProgressTimeout::new(body, Duration::from_secs(timeout_s));
    let sending = async move {
        for (pause, text) in script {
            tokio::time::sleep(Duration::from_secs(*pause)).await;
            if sender.send(text).is_err() {
                return;
            }
        }
    };
    let reading = async move {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => return "end".to_owned(),
            }
        }
    };
    tokio::pin!(reading);
    let end = tokio::select! {
        end = &mut reading => end,
        () = sending => reading.await,
    };
    format!("{}s {end}", start.elapsed().as_secs())
}

fn channel() -> (mpsc::UnboundedSender<&'static str>, Channel) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Channel(receiver))
}

struct Channel(mpsc::UnboundedReceiver<&'static str>);

impl Body for Channel {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text.into()))))
    }
}
