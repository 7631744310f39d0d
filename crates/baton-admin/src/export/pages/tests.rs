use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use baton_audit::{
    Decision, DecisionPage, DecisionView, DecisionsError, ListQuery, OutcomeView, PageStart, StoreError,
    StoreErrorKind,
};
use baton_model::DecisionId;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use super::{Format, Pages, Source, stream};

/// So many pages of two decisions; perhaps one of them cannot be read.
#[derive(Clone, Debug, Default)]
struct Book {
    pages: usize,
    torn: Option<usize>,
    read: Arc<AtomicUsize>,
}

fn id(number: usize) -> DecisionId {
    // The newest first.
    DecisionId::from_parts(1_000_000 - u64::try_from(number).unwrap(), [0; 10])
}

fn decision(number: usize) -> DecisionView {
    let decision: Decision = serde_json::from_value(json!({
        "id": id(number).to_string(),
        "run": "run_019356aa00007000800000000000000b",
        "request": "req_019356aa00007000800000000000000c",
        "at_ms": 1, "turn": 1, "hop": 1, "kind": "refuse", "principal": "anonymous", "surface": "/v1/chat/completions",
        "requested": ["=cmd|' /C calc'!A0"], "attempt": false, "planner": 1, "config": "c",
        "reason": {"code": "only_model", "text": "so", "source": "client"},
    }))
    .unwrap();
    DecisionView { decision, outcome: OutcomeView::NotExpected, corrections: Vec::new() }
}

impl Source for Book {
    async fn page(&self, query: &ListQuery) -> Result<DecisionPage, DecisionsError> {
        let read = self.read.fetch_add(1, Ordering::Relaxed);
        let wanted = if read > 0 { PageStart::After(id(2 * read - 1)) } else { PageStart::default() };
        assert_eq!(query.start, wanted, "page {read} begins behind the one before");
        if self.torn == Some(read) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "away").into());
        }
        let decisions =
            if self.pages == 0 { Vec::new() } else { vec![decision(2 * read), decision(2 * read + 1)] };
        Ok(DecisionPage { decisions, has_more: read + 1 < self.pages })
    }
}

async fn open(book: &Book, format: Format) -> impl Stream<Item = Result<Bytes, DecisionsError>> + Unpin {
    let begun = Pages::new(book.clone(), ListQuery::default()).begin().await.unwrap();
    Box::pin(stream(begun, format, Arc::clone(&book.read)))
}

async fn whole(pages: usize, format: Format) -> String {
    let book = Book { pages, ..Book::default() };
    let chunks: Vec<_> = open(&book, format).await.map(Result::unwrap).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

fn ids(pages: usize) -> Vec<String> {
    (0..2 * pages).map(|number| id(number).to_string()).collect()
}

#[tokio::test]
async fn every_form_has_every_decision_once() {
    for pages in [0, 1, 2, 5] {
        let text = whole(pages, Format::Ndjson).await;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), ids(pages));
        let list: Value = serde_json::from_str(&whole(pages, Format::Json).await).unwrap();
        assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
        assert_eq!(list["data"], Value::from(lines));
        let text = whole(pages, Format::Csv).await;
        let (header, rows) = text.split_once("\r\n").unwrap();
        assert!(header.starts_with("id,time,"));
        let first = |row: &str| row.split(',').next().unwrap().to_owned();
        assert_eq!(rows.lines().map(first).collect::<Vec<_>>(), ids(pages));
        assert!(!rows.contains(",=") && !rows.contains(",\"="), "{rows}");
    }
}

#[tokio::test]
async fn the_store_is_read_no_faster_than_the_reader_reads() {
    let book = Book { pages: 1_000, ..Book::default() };
    let mut file = open(&book, Format::Ndjson).await;
    for taken in 1..=5 {
        file.next().await.unwrap().unwrap();
        assert_eq!(book.read.load(Ordering::Relaxed), taken);
    }
    // A reader that goes away lets go of everything that was held for it.
    drop(file);
    assert_eq!((book.read.load(Ordering::Relaxed), Arc::strong_count(&book.read)), (5, 1));
}

#[tokio::test]
async fn a_store_that_fails_in_between_cuts_the_file_off() {
    let book = Book { pages: 5, torn: Some(2), ..Book::default() };
    let came: Vec<_> = open(&book, Format::Json).await.collect().await;
    assert_eq!(came.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
    let text = came.into_iter().filter_map(Result::ok).collect::<Vec<_>>().concat();
    assert!(serde_json::from_slice::<Value>(&text).is_err(), "a part looks like the whole");
}

#[tokio::test]
async fn a_store_that_is_away_is_told_before_the_file_begins() {
    let book = Book { torn: Some(0), ..Book::default() };
    assert!(Pages::new(book, ListQuery::default()).begin().await.is_err());
}
