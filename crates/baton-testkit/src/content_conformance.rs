//! What every store must do with captured content and the keys to it.
//!
//! - Start with [`check`].

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests, kept in a library so that both stores can run them"
)]

use baton_audit::{ContentPart, ContentRow, ContentStore, Forgotten, SubjectKeyRow};
use baton_model::{BootId, DecisionId};

/// Content of a decision, where nobody looks at the evidence.
#[must_use]
pub fn content(number: u8, part: ContentPart, subject: &str, epoch: &str) -> ContentRow {
    ContentRow {
        decision: DecisionId::from_parts(1_000 + u64::from(number), [number; 10]),
        part,
        boot: BootId::from_parts(1, [1; 10]),
        seq: u64::from(number),
        at_ms: 1_000 + u64::from(number),
        subject: subject.to_owned(),
        epoch: epoch.to_owned(),
    }
}

/// A key that anybody can tell from another one.
#[must_use]
pub fn key(subject: &str, epoch: &str, began_ms: u64) -> SubjectKeyRow {
    let sealed = format!("the sealed key of {subject} in {epoch}").into_bytes();
    SubjectKeyRow { subject: subject.to_owned(), epoch: epoch.to_owned(), began_ms, sealed }
}

/// Content is found with its key, a key that comes late is refused, and what is forgotten or old is gone.
///
/// # Panics
/// When the store does otherwise.
pub async fn check(store: &dyn ContentStore) {
    let (asked, answered) =
        (content(1, ContentPart::Request, "ada", "e1"), content(1, ContentPart::Answer, "ada", "e1"));
    let other = content(2, ContentPart::Answer, "o'ben\u{10ffff}", "e1");
    let keys = [key("ada", "e1", 100), key("o'ben\u{10ffff}", "e1", 100)];
    let all = [answered.clone(), asked.clone(), other.clone()];
    assert_eq!(store.last_forgotten().await.unwrap(), None);
    // A batch whose answer was lost comes again.
    for _ in 0..2 {
        store.put_contents(&all, &keys).await.unwrap();
    }
    let of = async |row: &ContentRow| store.contents(row.decision).await.unwrap();
    let found = of(&asked).await;
    let rows: Vec<&ContentRow> = found.iter().map(|stored| &stored.row).collect();
    assert_eq!(rows, [&asked, &answered], "the request comes first");
    assert_eq!(found[0].key.as_ref(), Some(&keys[0].sealed));
    assert_eq!(found[0].record, None, "there is no evidence of it");
    assert_eq!(store.subject_keys(("", ""), 10).await.unwrap(), keys);
    assert_eq!(store.subject_keys(("ada", "e1"), 10).await.unwrap(), keys[1..]);
    assert_eq!(store.content_rows("", 1).await.unwrap(), [answered, asked.clone()]);
    assert_eq!(
        store.content_rows(&asked.decision.to_string(), 1).await.unwrap(),
        std::slice::from_ref(&other)
    );

    assert_eq!(store.forget_subject("ada", 500).await.unwrap(), Forgotten { contents: 2, keys: 1 });
    store.scrub().await.unwrap();
    assert_eq!(store.last_forgotten().await.unwrap(), Some(500));
    assert!(of(&asked).await.is_empty());
    assert_eq!(of(&other).await[0].key.as_ref(), Some(&keys[1].sealed), "nobody else is forgotten");
    // Another replica's relay is late: what was sealed before stays sealed.
    let late = [key("ada", "e2", 500), key("ada", "e3", 501)];
    let rows = [content(3, ContentPart::Answer, "ada", "e2"), content(4, ContentPart::Answer, "ada", "e3")];
    store.put_contents(&rows, &late).await.unwrap();
    assert_eq!(of(&rows[0]).await[0].key, None, "its epoch began before the erasing");
    assert_eq!(of(&rows[1]).await[0].key.as_ref(), Some(&late[1].sealed));
    // An erasing of before takes nothing back.
    assert_eq!(store.forget_subject("ada", 400).await.unwrap(), Forgotten { contents: 2, keys: 1 });
    assert_eq!(store.last_forgotten().await.unwrap(), Some(500));

    store
        .put_contents(&[content(9, ContentPart::Answer, "eve", "e4")], &[key("eve", "e4", 600)])
        .await
        .unwrap();
    assert_eq!(store.drop_contents(1_003).await.unwrap(), 1, "the one of the second decision");
    let left = store.subject_keys(("", ""), 10).await.unwrap();
    assert_eq!(left, [key("eve", "e4", 600)], "a key that opens something stays");
}
