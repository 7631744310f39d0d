use http_body_util::BodyExt;

use super::*;

#[tokio::test]
async fn the_slices_leave_in_order_and_are_not_copied() {
    let whole = Bytes::from_static(b"{\"model\":\"a\"}");
    let mut chunks: Chunks = vec![whole.slice(..10), whole.slice(10..)].into();
    let first = chunks.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.as_ptr(), whole.as_ptr());
    assert_eq!(chunks.collect().await.unwrap().to_bytes(), &whole[10..]);
}

#[tokio::test]
async fn the_size_is_exact_at_every_step() {
    let mut chunks: Chunks = ["ab", "", "cde"].map(Bytes::from).into_iter().collect();
    assert_eq!((chunks.size_hint().exact(), chunks.len()), (Some(5), 5));
    let _first = chunks.frame().await.unwrap().unwrap();
    assert_eq!((chunks.size_hint().exact(), chunks.is_end_stream()), (Some(3), false));
    let _second = chunks.frame().await.unwrap().unwrap();
    assert_eq!((chunks.size_hint().exact(), chunks.is_end_stream()), (Some(0), true));
    assert!(chunks.frame().await.is_none());
}

#[test]
fn a_body_of_nothing_has_ended() {
    for chunks in [Chunks::empty(), Bytes::new().into(), vec![Bytes::new()].into()] {
        assert!(chunks.is_end_stream() && chunks.is_empty());
        assert_eq!(chunks.size_hint().exact(), Some(0));
    }
}
