use std::task::Poll;

use super::*;

#[tokio::test]
async fn whoever_comes_late_hears_it_from_the_beginning() {
    let (tape, mut first) = tape();
    tape.say(head());
    tape.push(piece("a")).await;
    assert_eq!(first.next().await, Ok(Some(piece("a"))));
    let mut second = here(&tape);
    tape.push(piece("b")).await;
    tape.end(Ok(()));
    for (listener, expected) in [(&mut first, "b"), (&mut second, "ab")] {
        assert_eq!(listener.head().await, Ok(head()));
        assert_eq!(heard(listener).await, Ok(expected.to_owned()));
    }
}

#[tokio::test]
async fn somebody_who_waits_hears_what_comes() {
    let (tape, mut listener) = tape();
    {
        let mut waiting = std::pin::pin!(heard(&mut listener));
        assert!(pending(waiting.as_mut()).await);
        tape.push(piece("a")).await;
        assert!(pending(waiting.as_mut()).await);
        tape.end(Ok(()));
        assert_eq!(waiting.await, Ok("a".to_owned()));
    }
    assert_eq!(listener.head().await, Err(Broken::CutOff), "it ended without a head");
}

#[tokio::test]
async fn an_answer_that_broke_off_breaks_off_for_all() {
    let (tape, mut first) = tape();
    let mut second = here(&tape);
    tape.push(piece("a")).await;
    tape.end(Err(Broken::CutOff));
    tape.end(Ok(()));
    assert_eq!(heard(&mut first).await, Err(Broken::CutOff));
    assert_eq!(heard(&mut second).await, Err(Broken::CutOff));
    assert_eq!(second.rest(), None);
}

#[tokio::test]
async fn the_rest_of_a_complete_answer_comes_at_once() {
    let (tape, mut listener) = tape();
    tape.push(piece("a")).await;
    tape.push(piece("b")).await;
    tape.push(piece("c")).await;
    assert_eq!(listener.rest(), None);
    assert_eq!(listener.next().await, Ok(Some(piece("a"))));
    tape.end(Ok(()));
    assert_eq!(listener.rest(), Some(piece("bc")));
    assert_eq!(listener.rest(), Some(piece("")));
    assert_eq!(listener.next().await, Ok(None));
}

#[tokio::test]
async fn the_writer_waits_for_the_fastest_listener() {
    let (tape, mut fast) = tape();
    let mut slow = here(&tape);
    tape.push(long(DISTANCE)).await;
    let mut writing = std::pin::pin!(tape.push(piece("b")));
    assert!(pending(writing.as_mut()).await);
    assert_eq!(fast.next().await, Ok(Some(long(DISTANCE))));
    writing.await;
    assert_eq!(slow.next().await, Ok(Some(long(DISTANCE))));
    assert_eq!(slow.next().await, Ok(Some(piece("b"))));
}

#[tokio::test]
async fn a_very_long_answer_loses_its_beginning_and_those_far_behind() {
    let (tape, mut fast) = tape();
    let mut slow = here(&tape);
    let (step, mut length) = (DISTANCE / 2, 0);
    while length <= 2 * LONGEST {
        tape.push(long(step)).await;
        length += step;
        assert_eq!(fast.next().await, Ok(Some(long(step))));
        assert!(tape.state().held <= LONGEST + step);
    }
    assert!(tape.state().held <= 2 * DISTANCE);
    assert!(matches!(Tape::listen(&tape), Listen::BeginningLost));
    assert_eq!(slow.next().await, Err(Broken::Behind));
    assert_eq!(slow.rest(), None);
    tape.end(Ok(()));
    assert_eq!(slow.rest(), None);
    assert_eq!(fast.rest(), Some(piece("")));
    assert!(tape.recorded(usize::MAX).is_none());
}

#[tokio::test]
async fn all_running_answers_share_a_room() {
    let room = Arc::new(Room::default());
    room.0.store(MOST - 3, Ordering::Relaxed);
    let tape = Arc::new(Tape::new(Arc::clone(&room)));
    let mut listener = Listener::first(Arc::clone(&tape));
    tape.push(piece("abc")).await;
    assert!(matches!(Tape::listen(&tape), Listen::Here(_)));
    tape.push(piece("d")).await;
    assert!(matches!(Tape::listen(&tape), Listen::BeginningLost));
    tape.end(Ok(()));
    assert_eq!(heard(&mut listener).await, Ok("abcd".to_owned()));
    drop((tape, listener));
    assert_eq!(room.0.load(Ordering::Relaxed), MOST - 3);
}

#[tokio::test(start_paused = true)]
async fn when_all_have_left_it_lingers_and_closes() {
    let (tape, first) = tape();
    let mut left = std::pin::pin!(Arc::clone(&tape).left());
    assert!(pending(left.as_mut()).await);
    drop(first);
    assert!(pending(left.as_mut()).await);
    tokio::time::advance(LINGER / 2).await;
    assert!(pending(left.as_mut()).await);
    let second = here(&tape);
    tokio::time::advance(LINGER).await;
    assert!(pending(left.as_mut()).await, "somebody came back");
    drop(second);
    assert!(pending(left.as_mut()).await);
    tokio::time::advance(LINGER / 2).await;
    assert!(pending(left.as_mut()).await);
    drop(here(&tape));
    tokio::time::advance(LINGER / 2).await;
    assert!(pending(left.as_mut()).await, "somebody came and left again");
    let began = tokio::time::Instant::now();
    left.await;
    assert_eq!(began.elapsed(), LINGER);
    assert!(matches!(Tape::listen(&tape), Listen::Closed));
}

fn tape() -> (Arc<Tape>, Listener) {
    let tape = Arc::new(Tape::new(Arc::default()));
    let listener = Listener::first(Arc::clone(&tape));
    (tape, listener)
}

fn here(tape: &Arc<Tape>) -> Listener {
    match Tape::listen(tape) {
        Listen::Here(listener) => listener,
        other => panic!("{other:?}"),
    }
}

async fn heard(listener: &mut Listener) -> Result<String, Broken> {
    let mut text = String::new();
    while let Some(piece) = listener.next().await? {
        text += std::str::from_utf8(&piece).unwrap();
    }
    Ok(text)
}

async fn pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn head() -> Head {
    Head { status: StatusCode::OK, headers: HeaderMap::new() }
}

fn piece(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn long(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}
